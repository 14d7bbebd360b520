// SPDX-License-Identifier: Apache-2.0
// /proc/sys: settings of the kernel. A setting that can be written changes what it names; all others are read-only.
// Source: proc_sys_kernel(5), proc_sys_vm(5), proc_sys_fs(5).

import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { EINVAL, EPERM } from "../../lib/errno.ts";
import { MAX_MAP_COUNT, MMAP_MIN_ADDRESS } from "../../mm/mmap.ts";
import { memoryState } from "../../mm/vmstat.ts";
import { hasCapability } from "../permission.ts";
import { type NodeMaker, type PseudoSuperBlock, type Store, TableDirectory, TextInode } from "../pseudo.ts";

const CAP_SYS_ADMIN = 21;
const HOST_NAME_MAX = 64;

const BOOT_ID = new StateKey<string>("proc.boot-id");

/** A fresh random UUID (version 4). */
function uuid(kernel: Kernel): string {
  const bytes = new Uint8Array(16);
  kernel.random.fill(bytes);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

class Settings {
  readonly #superBlock: PseudoSuperBlock;
  constructor(superBlock: PseudoSuperBlock) {
    this.#superBlock = superBlock;
  }
  get kernel(): Kernel {
    return this.#superBlock.kernel;
  }
  constant(value: string | number): NodeMaker {
    return () => new TextInode(this.#superBlock, () => `${value}\n`);
  }
  live(show: () => string | number): NodeMaker {
    return () => new TextInode(this.#superBlock, () => `${show()}\n`);
  }
  writable(show: () => string | number, store: Store): NodeMaker {
    return () => new TextInode(this.#superBlock, () => `${show()}\n`, { store: privileged(store) });
  }
  /** A whole number between bounds. */
  number(show: () => number, set: (value: number) => void, min: number, max: number): NodeMaker {
    return this.writable(show, (_task, text) => {
      const value = Number(text.trim());
      if (text.trim() === "" || !Number.isInteger(value) || value < min || value > max) throw EINVAL;
      set(value);
    });
  }
  name(show: () => string, set: (value: string) => void): NodeMaker {
    return this.writable(show, (_task, text) => {
      const value = text.replace(/\n[^]*$/, "");
      if (value.length > HOST_NAME_MAX) throw EINVAL;
      set(value);
    });
  }
  directory(entries: Readonly<Record<string, NodeMaker>>): NodeMaker {
    return () => new TableDirectory(this.#superBlock, entries);
  }
}

function privileged(store: Store): Store {
  return (task: Task, text) => {
    if (!hasCapability(task.cred, CAP_SYS_ADMIN)) throw EPERM;
    return store(task, text);
  };
}

export function sysctlDirectory(superBlock: PseudoSuperBlock): TableDirectory {
  const s = new Settings(superBlock);
  return new TableDirectory(superBlock, {
    fs: s.directory(fsSettings(s)),
    kernel: s.directory(kernelSettings(s)),
    net: s.directory(netSettings(s)),
    vm: s.directory(vmSettings(s)),
  });
}

function kernelSettings(s: Settings): Record<string, NodeMaker> {
  const { kernel } = s;
  const { uts } = kernel;
  const memory = memoryState(kernel);
  return {
    cap_last_cap: s.constant(40),
    core_pattern: s.constant("core"),
    core_uses_pid: s.constant(0),
    dmesg_restrict: s.constant(0),
    domainname: s.name(() => uts.domainname, (value) => {
      uts.domainname = value;
    }),
    hostname: s.name(() => uts.nodename, (value) => {
      uts.nodename = value;
    }),
    ngroups_max: s.constant(65536),
    osrelease: s.live(() => uts.release),
    ostype: s.live(() => uts.sysname),
    overflowgid: s.constant(65534),
    overflowuid: s.constant(65534),
    panic: s.constant(0),
    pid_max: s.constant(4194304),
    random: s.directory({
      boot_id: s.live(() => kernel.state(BOOT_ID, () => uuid(kernel))),
      entropy_avail: s.constant(256),
      poolsize: s.constant(256),
      uuid: s.live(() => uuid(kernel)),
    }),
    randomize_va_space: s.number(
      () => memory.randomizeVaSpace,
      (value) => {
        memory.randomizeVaSpace = value;
      },
      0,
      2,
    ),
    tainted: s.constant(0),
    "threads-max": s.live(() => Math.max(20, Math.floor(kernel.frames.totalPages * 4096 / (8 * 16384)))),
    version: s.live(() => uts.version),
  };
}

function vmSettings(s: Settings): Record<string, NodeMaker> {
  const memory = memoryState(s.kernel);
  return {
    drop_caches: s.number(
      () => 0,
      () => {
        memory.shrinkAll();
      },
      0,
      3,
    ),
    max_map_count: s.constant(MAX_MAP_COUNT),
    mmap_min_addr: s.constant(MMAP_MIN_ADDRESS),
    overcommit_memory: s.number(
      () => memory.overcommitMode,
      (value) => {
        memory.overcommitMode = value;
      },
      0,
      2,
    ),
    overcommit_ratio: s.number(
      () => memory.overcommitRatio,
      (value) => {
        memory.overcommitRatio = value;
      },
      0,
      1_000_000,
    ),
    swappiness: s.constant(0),
  };
}

function fsSettings(s: Settings): Record<string, NodeMaker> {
  return {
    "file-max": s.constant("9223372036854775807"),
    "file-nr": s.live(() => `${openFiles(s.kernel)}\t0\t9223372036854775807`),
    inotify: s.directory({
      max_queued_events: s.constant(16384),
      max_user_instances: s.constant(128),
      max_user_watches: s.constant(65536),
    }),
    nr_open: s.constant(1048576),
    "pipe-max-size": s.constant(1048576),
    "pipe-user-pages-hard": s.constant(0),
    "pipe-user-pages-soft": s.constant(16384),
  };
}

function openFiles(kernel: Kernel): number {
  const seen = new Set<unknown>();
  for (const task of kernel.tasks.all()) {
    for (const fd of task.files.descriptors()) seen.add(task.files.find(fd));
  }
  return seen.size;
}

function netSettings(s: Settings): Record<string, NodeMaker> {
  return {
    core: s.directory({ somaxconn: s.constant(4096) }),
    unix: s.directory({ max_dgram_qlen: s.constant(512) }),
  };
}
