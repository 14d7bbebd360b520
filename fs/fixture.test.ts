// SPDX-License-Identifier: Apache-2.0
// A task with real memory and a real VFS over tmpfs, on which tests make system calls as a program would.

import type { GuestArch } from "../include/linux/cpu.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import { isSleeping } from "../include/linux/wait.ts";
import { ERRNO } from "../include/uapi/errno.ts";
import { Errno } from "../lib/errno.ts";
import { createMm } from "../mm/mm.ts";
import { run, testKernel } from "../mm/testing.ts";
import { eventfdSyscalls } from "./eventfd.ts";
import { eventpollSyscalls } from "./eventpoll.ts";
import { pipeSyscalls } from "./pipe.ts";
import { selectSyscalls } from "./select.ts";
import { spliceSyscalls } from "./splice.ts";
import { createVfs, FilesStructImpl, fsSyscalls, type VfsImpl } from "./fs.ts";
import { createTmpfs, tmpfs } from "./tmpfs/tmpfs.ts";

const MEMORY = 0x10_0000;
const MEMORY_BYTES = 0x20_0000;
const byName = new Map(
  [
    ...fsSyscalls,
    ...pipeSyscalls,
    ...spliceSyscalls,
    ...selectSyscalls,
    ...eventpollSyscalls,
    ...eventfdSyscalls,
  ].map((call) => [call.name, call]),
);
const ROOT_CAPABILITIES = (1n << 41n) - 1n;

export type Argument = number | string | Uint8Array;

export interface Machine {
  readonly kernel: Kernel;
  readonly vfs: VfsImpl;
  readonly task: Task;
  /** Makes a system call: strings and bytes are put into user memory first. A negative errno on failure. */
  call(name: string, ...args: Argument[]): number;
  /** As call, giving the errno's name: "ENOENT", or "0" for success. */
  fails(name: string, ...args: Argument[]): string;
  /** Address of `length` fresh bytes of user memory. */
  buffer(length: number): number;
  bytes(address: number, length: number): Uint8Array;
  text(address: number, length: number): string;
  writeFile(path: string, text: string, mode?: number): void;
  readFile(path: string): string;
  names(path: string): string[];
  stat(
    path: string,
  ): { mode: number; size: number; nlink: number; ino: number; uid: number; gid: number; dev: number };
  become(uid: number, gid?: number, groups?: number[]): void;
}

export function machine(pages: number = 4096): Machine {
  const { kernel, task } = testKernel(pages);
  let now = 1000;
  const registers: number[] = [];
  const vfs = createVfs(kernel);
  Object.assign(kernel, {
    vfs,
    arch: {
      name: "x86_64",
      syscallArgument: (_ram: unknown, index: number) => registers[index] ?? 0,
      syscallArgumentSigned: (_ram: unknown, index: number) => registers[index] ?? 0,
      syscallArgument32: (_ram: unknown, index: number) => (registers[index] ?? 0) | 0,
      syscallArgument64: (_ram: unknown, index: number) => BigInt(registers[index] ?? 0),
    } as unknown as GuestArch,
    time: { monotonicNs: () => now * 1e6, realtime: () => ({ sec: now++, nsec: 5 }) },
  });
  vfs.registerFileSystem(tmpfs);
  const mount = vfs.mounts.create(createTmpfs(kernel, tmpfs, "mode=755"), "rootfs", 0);
  vfs.mounts.root = mount;
  const root = mount.root.pathIn(mount);
  const mm = createMm(kernel);
  Object.assign(task, { mm, fs: { root, cwd: root, umask: 0o022 }, files: new FilesStructImpl() });
  let calls = 0;
  Object.defineProperty(task, "syscallCount", { get: () => calls });
  run(mm.mmap(task, MEMORY, MEMORY_BYTES, 3, 0x32, undefined, 0));
  let next = MEMORY;
  const place = (bytes: Uint8Array): number => {
    const address = next;
    next += (bytes.length + 15) & ~7;
    run(mm.user.copyOut(address, bytes));
    return address;
  };
  const self: Machine = {
    kernel,
    vfs,
    task,
    call(name, ...args) {
      const start = next;
      const call: Syscall | undefined = byName.get(name);
      if (call === undefined) throw new Error(`no system call ${name}`);
      calls++;
      registers.length = 0;
      for (const arg of args) {
        if (typeof arg === "number") registers.push(arg);
        else if (typeof arg === "string") registers.push(place(Buffer.from(`${arg}\0`, "latin1")));
        else registers.push(place(arg));
      }
      try {
        const answer = call.invoke(task);
        return Number(isSleeping<number | bigint>(answer) ? run(answer) : answer);
      } catch (error) {
        if (error instanceof Errno) return -error.errno;
        throw error;
      } finally {
        next = start;
      }
    },
    fails(name, ...args) {
      const result = self.call(name, ...args);
      if (result >= 0) return String(result);
      return Object.entries(ERRNO).find(([, value]) => value === -result)?.[0] ?? String(result);
    },
    buffer(length) {
      const address = next;
      next += (length + 15) & ~7;
      return address;
    },
    bytes: (address, length) => run(mm.user.copyIn(address, length)),
    text: (address, length) => Buffer.from(self.bytes(address, length)).toString("latin1"),
    writeFile(path, text, mode = 0o644) {
      const fd = self.call("open", path, 0o1101, mode);
      if (fd < 0) throw new Error(`open ${path}: ${fd}`);
      const bytes = Buffer.from(text, "latin1");
      for (let at = 0; at < bytes.length; at += 65536) {
        const part = bytes.subarray(at, at + 65536);
        if (self.call("write", fd, part, part.length) !== part.length) throw new Error(`write ${path}`);
      }
      self.call("close", fd);
    },
    readFile(path) {
      const fd = self.call("open", path, 0, 0);
      if (fd < 0) throw new Error(`open ${path}: ${fd}`);
      const start = next;
      const address = self.buffer(65536);
      let text = "";
      for (;;) {
        const count = self.call("read", fd, address, 65536);
        if (count <= 0) break;
        text += self.text(address, count);
      }
      next = start;
      self.call("close", fd);
      return text;
    },
    names(path) {
      const fd = self.call("open", path, 0o200000, 0);
      if (fd < 0) throw new Error(`open ${path}: ${fd}`);
      const start = next;
      const address = self.buffer(4096);
      const found: string[] = [];
      for (;;) {
        const count = self.call("getdents64", fd, address, 4096);
        if (count <= 0) break;
        const view = new DataView(self.bytes(address, count).slice().buffer);
        for (let at = 0; at < count; at += view.getUint16(at + 16, true)) {
          let name = "";
          for (let byte = at + 19; view.getUint8(byte) !== 0; byte++) {
            name += String.fromCharCode(view.getUint8(byte));
          }
          found.push(name);
        }
      }
      next = start;
      self.call("close", fd);
      return found.filter((name) => name !== "." && name !== "..").sort();
    },
    stat(path) {
      const start = next;
      const address = self.buffer(144);
      const result = self.call("lstat", path, address);
      if (result < 0) throw new Error(`lstat ${path}: ${result}`);
      const view = new DataView(self.bytes(address, 144).slice().buffer);
      next = start;
      return {
        dev: Number(view.getBigUint64(0, true)),
        ino: Number(view.getBigUint64(8, true)),
        nlink: Number(view.getBigUint64(16, true)),
        mode: view.getUint32(24, true),
        uid: view.getUint32(28, true),
        gid: view.getUint32(32, true),
        size: Number(view.getBigInt64(48, true)),
      };
    },
    become(uid, gid = uid, groups = []) {
      const capabilities = uid === 0 ? ROOT_CAPABILITIES : 0n;
      task.cred = {
        uid,
        euid: uid,
        suid: uid,
        fsuid: uid,
        gid,
        egid: gid,
        sgid: gid,
        fsgid: gid,
        groups,
        capEffective: capabilities,
        capPermitted: capabilities,
        capInheritable: 0n,
        capBounding: ROOT_CAPABILITIES,
        capAmbient: 0n,
        securebits: 0,
        noNewPrivs: false,
      };
    },
  };
  self.become(0);
  return self;
}
