// SPDX-License-Identifier: Apache-2.0
// The composition root: builds one kernel from its parts. Only this folder names concrete file systems, drivers and
// system calls.

import { createX86FrontEnd, x86 } from "../arch/x86/index.ts";
import { registerDevices } from "../drivers/base/devtmpfs.ts";
import { devPtsType } from "../fs/devpts/inode.ts";
import { erofs } from "../fs/erofs/erofs.ts";
import { createVfs, FilesStructImpl, type VfsImpl } from "../fs/fs.ts";
import { overlay } from "../fs/overlayfs/super.ts";
import { openFifo } from "../fs/pipe.ts";
import { procFileSystem } from "../fs/proc/root.ts";
import { sysFileSystem } from "../fs/sysfs/sysfs.ts";
import { ramfs, tmpfs } from "../fs/tmpfs/tmpfs.ts";
import type { Host } from "../include/host/host.ts";
import type { TranslationStore } from "../include/host/translations.ts";
import type { Cpu } from "../include/linux/cpu.ts";
import type { FileSystemType } from "../include/linux/fs.ts";
import type { FsStruct } from "../include/linux/sched.ts";
import { LinuxKernel } from "../kernel/kernel.ts";
import { Ram } from "../lib/ram.ts";
import { BuddyAllocator } from "../mm/page_alloc.ts";
import { registerFamily } from "../net/core/family.ts";
import { procNet } from "../fs/proc/proc_net.ts";
import { inetFamily } from "../net/ipv4/family.ts";
import { showDevices, showTcp, showUdp } from "../net/ipv4/proc.ts";
import { netlinkFamily } from "../net/netlink/af_netlink.ts";
import { unixFamily } from "../net/unix/family.ts";
import { showUnix } from "../net/unix/proc.ts";
import { credentialsOf } from "../security/commoncap.ts";
import { WasmCpu } from "../virt/cpu.ts";
import { FRAMES_START } from "../virt/layout.ts";
import { mountInitialRoot } from "./rootfs.ts";
import { SYSCALLS } from "./syscalls.ts";

export interface KernelOptions {
  readonly host: Host;
  /** Guest memory in bytes, without what the machine itself uses. */
  readonly memoryBytes: number;
  readonly hostname: string;
  /** Where translated code is kept between runs; without it every run begins anew, and the same. */
  readonly translations?: TranslationStore;
  /** Makes WebAssembly modules of translated code (a host may steer its compiler). */
  readonly compile?: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
  /** Puts something of its own around the CPU: a profiler. */
  readonly watchCpu?: (cpu: Cpu) => Cpu;
}

const FILE_SYSTEMS: readonly FileSystemType[] = [
  tmpfs,
  ramfs,
  erofs,
  overlay,
  devPtsType,
  procFileSystem,
  sysFileSystem,
];

export interface BuiltKernel {
  readonly kernel: LinuxKernel;
  readonly vfs: VfsImpl;
  /** Where processes that the host starts from now on stand. */
  readonly setRoot: (fs: FsStruct) => void;
  /** Leaves what was translated to KernelOptions.translations. `isEnd`: nothing runs any more. */
  readonly saveTranslations: (isEnd: boolean) => void;
}

/** A kernel with an empty tmpfs as its root, and no process. */
export function createKernel(options: KernelOptions): BuiltKernel {
  const ram = new Ram(FRAMES_START + options.memoryBytes);
  const bareCpu = new WasmCpu(
    ram,
    createX86FrontEnd(() => kernel.time.monotonicNs()),
    {
      ...(options.compile === undefined ? {} : { compile: options.compile }),
      ...(options.translations === undefined ? {} : { store: options.translations }),
    },
  );
  const cpu = options.watchCpu?.(bareCpu) ?? bareCpu;
  let made: VfsImpl | undefined;
  let root: FsStruct | undefined;
  const kernel: LinuxKernel = new LinuxKernel({
    host: options.host,
    arch: x86,
    cpu,
    ram,
    frames: new BuddyAllocator(ram, cpu),
    createVfs: (owner) => (made = createVfs(owner)),
    syscalls: SYSCALLS,
    createFiles: () => new FilesStructImpl(),
    rootFs: () => ({ ...(root ??= mountInitialRoot(kernel, vfs)) }),
    rootCred: credentialsOf(0, 0),
    hostname: options.hostname,
  });
  const vfs = made!;
  for (const type of FILE_SYSTEMS) vfs.registerFileSystem(type);
  vfs.openFifo = openFifo;
  registerDevices(kernel);
  registerFamily(kernel, unixFamily);
  registerFamily(kernel, inetFamily);
  registerFamily(kernel, netlinkFamily);
  const { rows } = procNet(kernel);
  rows.set("unix", () => showUnix(kernel)).set("tcp", () => showTcp(kernel)).set(
    "udp",
    () => showUdp(kernel),
  );
  rows.set("dev", showDevices);
  const setRoot = (fs: FsStruct): void => {
    root = fs;
  };
  return { kernel, vfs, setRoot, saveTranslations: (isEnd) => bareCpu.saveTranslations(isEnd) };
}
