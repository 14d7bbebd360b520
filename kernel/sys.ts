// SPDX-License-Identifier: Apache-2.0
// Limits, usage, names and other facts about the system. Source: getrlimit(2), getrusage(2), uname(2), sysinfo(2),
// getrandom(2), getpriority(2), reboot(2).

import {
  bufferIn,
  bufferOut,
  flagsOf,
  int,
  pid,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_NICE, CAP_SYS_RESOURCE } from "../include/uapi/capability.ts";
import * as resource from "../include/uapi/resource.ts";
import { PRIO_PGRP, PRIO_PROCESS, PRIO_USER } from "../include/uapi/sched.ts";
import { EACCES, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import { stringToBytes } from "../lib/byte-string.ts";
import { capable } from "../security/commoncap.ts";
import { watchCpuLimit } from "./time/cpu-limit.ts";
import { rusageOf, threadRusage } from "./rusage.ts";
import { mmOf, self, type TaskStruct, type ThreadGroupStruct } from "./task.ts";
import { copyOutResult, readU64, viewOf, withBytes, writeS64 } from "./uaccess.ts";

const { RLIM_NLIMITS, RLIMIT_NICE, RLIMIT_NOFILE, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD } = resource;
const {
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_CPU,
  RLIMIT_DATA,
  RLIMIT_FSIZE,
  RLIMIT_LOCKS,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NPROC,
  RLIMIT_RSS,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
} = resource;
const limitName = flagsOf({
  RLIMIT_CPU,
  RLIMIT_FSIZE,
  RLIMIT_DATA,
  RLIMIT_STACK,
  RLIMIT_CORE,
  RLIMIT_RSS,
  RLIMIT_NPROC,
  RLIMIT_NOFILE,
  RLIMIT_MEMLOCK,
  RLIMIT_AS,
  RLIMIT_LOCKS,
  RLIMIT_SIGPENDING,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
});

/** Most descriptors a process may ask for: /proc/sys/fs/nr_open. */
const NR_OPEN = 1_048_576;
const INFINITE = 0xffff_ffff_ffff_ffffn;

interface Limit {
  soft: number;
  hard: number;
}

function encodeLimit(limit: Limit): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  view.setBigInt64(0, limit.soft === Infinity ? INFINITE : BigInt(limit.soft));
  view.setBigInt64(8, limit.hard === Infinity ? INFINITE : BigInt(limit.hard));
  return bytes;
}

function decodeLimit(bytes: Uint8Array): Limit {
  const view = viewOf(bytes);
  const at = (offset: number): number => {
    const value = readU64(view, offset);
    return value >= Number(INFINITE) || value > Number.MAX_SAFE_INTEGER ? Infinity : value;
  };
  return { soft: at(0), hard: at(8) };
}

function limitOf(group: ThreadGroupStruct, which: number): Limit {
  const limit = which >= 0 && which < RLIM_NLIMITS ? group.rlimits[which] : undefined;
  if (limit === undefined) throw EINVAL;
  return limit;
}

function setLimit(task: TaskStruct, group: ThreadGroupStruct, which: number, wanted: Limit): void {
  const limit = limitOf(group, which);
  if (wanted.soft > wanted.hard) throw EINVAL;
  if (which === RLIMIT_NOFILE && wanted.hard > NR_OPEN) throw EPERM;
  if (wanted.hard > limit.hard && !capable(task, CAP_SYS_RESOURCE)) throw EPERM;
  limit.soft = wanted.soft;
  limit.hard = wanted.hard;
  if (which === RLIMIT_CPU) watchCpuLimit(group);
}

function* prlimit(task: TaskStruct, id: number, which: number, newAt: number, oldAt: number): Sleeps<number> {
  const target = id === 0 ? task : task.kernel.tasks.find(id);
  if (target === undefined) throw ESRCH;
  if (target.group !== task.group) checkLimitAccess(task, target);
  const old = { ...limitOf(target.group, which) };
  const { user } = mmOf(task);
  if (newAt !== 0) setLimit(task, target.group, which, decodeLimit(yield* user.copyIn(newAt, 16)));
  if (oldAt !== 0) yield* user.copyOut(oldAt, encodeLimit(old));
  return 0;
}

function checkLimitAccess(task: TaskStruct, target: TaskStruct): void {
  const { uid, gid } = task.cred;
  const to = target.cred;
  const isSame = [to.uid, to.euid, to.suid].every((id) => id === uid)
    && [to.gid, to.egid, to.sgid].every((id) => id === gid);
  if (!isSame && !capable(task, CAP_SYS_RESOURCE)) throw EPERM;
}

const UTS_FIELD = 65;

function uname(task: Task, address: number): SyscallAnswer {
  const { sysname, nodename, release, version, machine, domainname } = task.kernel.uts;
  const bytes = new Uint8Array(6 * UTS_FIELD);
  [sysname, nodename, release, version, machine, domainname].forEach((text, index) => {
    bytes.set(stringToBytes(text).subarray(0, UTS_FIELD - 1), index * UTS_FIELD);
  });
  return copyOutResult(task, address, bytes);
}

function setName(task: Task, address: number, length: number, set: (name: string) => void): SyscallAnswer {
  if (!capable(task, CAP_SYS_ADMIN)) throw EPERM;
  if (length < 0 || length > UTS_FIELD - 1) throw EINVAL;
  return withBytes(task, address, length, (bytes) => {
    const end = bytes.indexOf(0);
    set(String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end))));
    return 0;
  });
}

/** struct sysinfo, 112 bytes; sizes in bytes (mem_unit 1). */
function sysinfo(task: TaskStruct, address: number): SyscallAnswer {
  const bytes = new Uint8Array(112);
  const view = viewOf(bytes);
  const { frames, time, tasks } = task.kernel;
  writeS64(view, 0, Math.floor(time.monotonicNs() / 1e9));
  writeS64(view, 32, frames.totalPages * 4096);
  writeS64(view, 40, frames.freePages * 4096);
  view.setUint16(80, tasks.count);
  view.setInt32(104, 1);
  return copyOutResult(task, address, bytes);
}

/** Threads that PRIO_* names. Throws ESRCH when there are none. */
function priorityTargets(task: TaskStruct, which: number, who: number): TaskStruct[] {
  const { tasks } = task.kernel;
  let found: TaskStruct[];
  if (which === PRIO_PROCESS) {
    const one = who === 0 ? task : tasks.find(who);
    found = one === undefined ? [] : [one];
  } else if (which === PRIO_PGRP) {
    found = [...tasks.processGroup(who === 0 ? task.group.pgid : who)];
  } else if (which === PRIO_USER) {
    const uid = who === 0 ? task.cred.uid : who;
    found = [...tasks.all()].filter((other) => other.cred.uid === uid);
  } else {
    throw EINVAL;
  }
  if (found.length === 0) throw ESRCH;
  return found;
}

export function setNice(task: TaskStruct, target: TaskStruct, wanted: number): void {
  const nice = Math.min(19, Math.max(-20, wanted));
  const { euid } = task.cred;
  const mayAny = capable(task, CAP_SYS_NICE);
  if (euid !== target.cred.euid && euid !== target.cred.uid && !mayAny) throw EPERM;
  const allowed = 20 - Math.min(40, target.group.rlimits[RLIMIT_NICE]?.soft ?? 0);
  if (nice < target.nice && nice < allowed && !mayAny) throw EACCES;
  target.nice = nice;
}

const GRND_NONBLOCK = 1;
const GRND_RANDOM = 2;
const GRND_INSECURE = 4;
const RANDOM_CHUNK = 65536;

function getrandom(task: Task, address: number, length: number, flags: number): SyscallAnswer {
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) !== 0) throw EINVAL;
  if ((flags & (GRND_RANDOM | GRND_INSECURE)) === (GRND_RANDOM | GRND_INSECURE)) throw EINVAL;
  const total = Math.min(length, 0x7fff_ffff);
  if (total > RANDOM_CHUNK) return randomSlowly(task, address, total);
  const bytes = new Uint8Array(total);
  task.kernel.random.fill(bytes);
  return copyOutResult(task, address, bytes, total);
}

function* randomSlowly(task: Task, address: number, length: number): Sleeps<number> {
  for (let done = 0; done < length;) {
    const bytes = new Uint8Array(Math.min(RANDOM_CHUNK, length - done));
    task.kernel.random.fill(bytes);
    try {
      yield* mmOf(task).user.copyOut(address + done, bytes);
    } catch (error) {
      if (done > 0) return done;
      throw error;
    }
    done += bytes.length;
    if (task.hasSignal) return done;
  }
  return length;
}

const REBOOT_MAGIC1 = 0xfee1dead;
const REBOOT_MAGIC2: readonly number[] = [672274793, 85072278, 369367448, 537993216];

function reboot(task: TaskStruct, magic1: number, magic2: number, command: number): number {
  if (!capable(task, CAP_SYS_BOOT)) throw EPERM;
  if (magic1 !== REBOOT_MAGIC1 || !REBOOT_MAGIC2.includes(magic2)) throw EINVAL;
  switch (command) {
    case 0: // CAD_OFF
    case 0x89ab_cdef: // CAD_ON
      return 0;
    case 0x0123_4567: // RESTART
    case 0xcdef_0123: // HALT
    case 0x4321_fedc: // POWER_OFF
      task.kernel.printk(5, command === 0x0123_4567 ? "reboot: Restarting system" : "reboot: Power down");
      task.kernel.powerOff(command === 0x0123_4567 ? "restart" : "off");
      return 0;
    default:
      throw EINVAL;
  }
}

export const sysSyscalls: readonly Syscall[] = [
  syscall(
    "getrlimit",
    [limitName, bufferOut],
    (task, which, address) => copyOutResult(task, address, encodeLimit(limitOf(self(task).group, which))),
  ),
  syscall(
    "setrlimit",
    [limitName, bufferIn],
    (task, which, address) =>
      withBytes(task, address, 16, (bytes) => {
        setLimit(self(task), self(task).group, which, decodeLimit(bytes));
        return 0;
      }),
  ),
  syscall(
    "prlimit64",
    [pid, limitName, bufferIn, bufferOut],
    (task, id, which, newAt, oldAt) => prlimit(self(task), id, which, newAt, oldAt),
  ),
  syscall(
    "getrusage",
    [flagsOf({ RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD }), bufferOut],
    (task, who, address) => {
      const target = self(task);
      target.kernel.sched.account();
      if (who === RUSAGE_THREAD) return copyOutResult(task, address, threadRusage(target));
      if (who !== RUSAGE_SELF && who !== RUSAGE_CHILDREN) throw EINVAL;
      return copyOutResult(task, address, rusageOf(target.group, who === RUSAGE_SELF ? "self" : "children"));
    },
  ),
  syscall("uname", [bufferOut], uname),
  syscall("sethostname", [pointer, int], (task, address, length) =>
    setName(task, address, length, (name) => {
      task.kernel.uts.nodename = name;
    })),
  syscall(
    "setdomainname",
    [pointer, int],
    (task, address, length) =>
      setName(task, address, length, (name) => {
        task.kernel.uts.domainname = name;
      }),
  ),
  syscall("sysinfo", [bufferOut], (task, address) => sysinfo(self(task), address)),
  syscall(
    "getpriority",
    [flagsOf({ PRIO_PROCESS, PRIO_PGRP, PRIO_USER }), pid],
    (task, which, who) =>
      20 - Math.min(...priorityTargets(self(task), which, who).map((target) => target.nice)),
  ),
  syscall(
    "setpriority",
    [flagsOf({ PRIO_PROCESS, PRIO_PGRP, PRIO_USER }), pid, int],
    (task, which, who, nice) => {
      for (const target of priorityTargets(self(task), which, who)) setNice(self(task), target, nice);
      return 0;
    },
  ),
  syscall("getcpu", [bufferOut, bufferOut], function*(task, cpuAt, nodeAt) {
    const { user } = mmOf(task);
    if (cpuAt !== 0) yield* user.writeU32(cpuAt, 0);
    if (nodeAt !== 0) yield* user.writeU32(nodeAt, 0);
    return 0;
  }),
  syscall("getrandom", [bufferOut, size, flagsOf({ GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE })], getrandom),
  syscall(
    "reboot",
    [uint, uint, uint, pointer],
    (task, magic1, magic2, command) => reboot(self(task), magic1, magic2, command),
  ),
];
