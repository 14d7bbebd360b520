// SPDX-License-Identifier: Apache-2.0
// User and group ids, supplementary groups, capabilities. A Cred is a value: a change makes a new one.
// Source: credentials(7), capabilities(7), setresuid(2), setgroups(2), capget(2).

import {
  bufferIn,
  bufferOut,
  int,
  pointer,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import {
  CAP_SETGID,
  CAP_SETPCAP,
  CAP_SETUID,
  LINUX_CAPABILITY_VERSION_1,
  LINUX_CAPABILITY_VERSION_2,
  LINUX_CAPABILITY_VERSION_3,
} from "../include/uapi/capability.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { EFAULT, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import { capable, fixCapabilities, fixFsCapabilities } from "../security/commoncap.ts";
import { mmOf, self, type TaskStruct } from "./task.ts";
import { copyOutResult, viewOf, withBytes, words32 } from "./uaccess.ts";

const KEEP = -1;
const NGROUPS_MAX = 65536;

type Ids = { -readonly [K in "uid" | "euid" | "suid" | "gid" | "egid" | "sgid"]?: Cred[K] };

/** Puts new ids in place; file-system ids follow the effective ones, capabilities follow the user. */
function commit(task: TaskStruct, ids: Ids): number {
  const old = task.cred;
  const euid = ids.euid ?? old.euid;
  const egid = ids.egid ?? old.egid;
  const changed: Cred = { ...old, ...ids, fsuid: euid, fsgid: egid };
  task.cred = fixCapabilities(old, changed, task.keepCapabilities || (old.securebits & 16) !== 0);
  if (task.mm !== undefined && (old.euid !== euid || old.egid !== egid)) task.mm.dumpable = 0;
  return 0;
}

function setuid(task: TaskStruct, uid: number): number {
  if (uid === KEEP) throw EINVAL;
  const id = uid >>> 0;
  if (capable(task, CAP_SETUID)) return commit(task, { uid: id, euid: id, suid: id });
  if (id !== task.cred.uid && id !== task.cred.suid) throw EPERM;
  return commit(task, { euid: id });
}

function setgid(task: TaskStruct, gid: number): number {
  if (gid === KEEP) throw EINVAL;
  const id = gid >>> 0;
  if (capable(task, CAP_SETGID)) return commit(task, { gid: id, egid: id, sgid: id });
  if (id !== task.cred.gid && id !== task.cred.sgid) throw EPERM;
  return commit(task, { egid: id });
}

function setreuid(task: TaskStruct, ruid: number, euid: number): number {
  const { cred } = task;
  const isFree = capable(task, CAP_SETUID);
  const ids: Ids = {};
  if (ruid !== KEEP) {
    ids.uid = ruid >>> 0;
    if (!isFree && ids.uid !== cred.uid && ids.uid !== cred.euid) throw EPERM;
  }
  if (euid !== KEEP) {
    ids.euid = euid >>> 0;
    if (!isFree && ids.euid !== cred.uid && ids.euid !== cred.euid && ids.euid !== cred.suid) throw EPERM;
  }
  if (ruid !== KEEP || (euid !== KEEP && ids.euid !== cred.uid)) ids.suid = ids.euid ?? cred.euid;
  return commit(task, ids);
}

function setregid(task: TaskStruct, rgid: number, egid: number): number {
  const { cred } = task;
  const isFree = capable(task, CAP_SETGID);
  const ids: Ids = {};
  if (rgid !== KEEP) {
    ids.gid = rgid >>> 0;
    if (!isFree && ids.gid !== cred.gid && ids.gid !== cred.egid) throw EPERM;
  }
  if (egid !== KEEP) {
    ids.egid = egid >>> 0;
    if (!isFree && ids.egid !== cred.gid && ids.egid !== cred.egid && ids.egid !== cred.sgid) throw EPERM;
  }
  if (rgid !== KEEP || (egid !== KEEP && ids.egid !== cred.gid)) ids.sgid = ids.egid ?? cred.egid;
  return commit(task, ids);
}

function setresuid(task: TaskStruct, wanted: readonly number[]): number {
  const { uid, euid, suid } = task.cred;
  const [ruid = KEEP, neweuid = KEEP, newsuid = KEEP] = wanted;
  if (!capable(task, CAP_SETUID)) {
    for (const id of wanted) if (id !== KEEP && ![uid, euid, suid].includes(id >>> 0)) throw EPERM;
  }
  const ids: Ids = {};
  if (ruid !== KEEP) ids.uid = ruid >>> 0;
  if (neweuid !== KEEP) ids.euid = neweuid >>> 0;
  if (newsuid !== KEEP) ids.suid = newsuid >>> 0;
  return commit(task, ids);
}

function setresgid(task: TaskStruct, wanted: readonly number[]): number {
  const { gid, egid, sgid } = task.cred;
  const [rgid = KEEP, newegid = KEEP, newsgid = KEEP] = wanted;
  if (!capable(task, CAP_SETGID)) {
    for (const id of wanted) if (id !== KEEP && ![gid, egid, sgid].includes(id >>> 0)) throw EPERM;
  }
  const ids: Ids = {};
  if (rgid !== KEEP) ids.gid = rgid >>> 0;
  if (newegid !== KEEP) ids.egid = newegid >>> 0;
  if (newsgid !== KEEP) ids.sgid = newsgid >>> 0;
  return commit(task, ids);
}

function setfsuid(task: TaskStruct, id: number): number {
  const { cred } = task;
  const old = cred.fsuid;
  const wanted = id >>> 0;
  if (id !== KEEP && (capable(task, CAP_SETUID) || [cred.uid, cred.euid, cred.suid, old].includes(wanted))) {
    task.cred = fixFsCapabilities(cred, { ...cred, fsuid: wanted });
  }
  return old;
}

function setfsgid(task: TaskStruct, id: number): number {
  const { cred } = task;
  const old = cred.fsgid;
  const wanted = id >>> 0;
  if (id !== KEEP && (capable(task, CAP_SETGID) || [cred.gid, cred.egid, cred.sgid, old].includes(wanted))) {
    task.cred = { ...cred, fsgid: wanted };
  }
  return old;
}

function getgroups(task: Task, count: number, address: number): SyscallAnswer {
  const { groups } = task.cred;
  if (count < 0) throw EINVAL;
  if (count === 0) return groups.length;
  if (count < groups.length) throw EINVAL;
  return copyOutResult(task, address, words32(...groups), groups.length);
}

function setgroups(task: Task, count: number, address: number): SyscallAnswer {
  if (!capable(task, CAP_SETGID)) throw EPERM;
  if (count < 0 || count > NGROUPS_MAX) throw EINVAL;
  return withBytes(task, address, count * 4, (bytes) => {
    const view = viewOf(bytes);
    const groups = Array.from({ length: count }, (_, index) => view.getUint32(index * 4));
    task.cred = { ...task.cred, groups: groups.sort((a, b) => a - b) };
    return 0;
  });
}

function* threeIds(task: Task, addresses: readonly number[], ids: readonly number[]): Sleeps<number> {
  const { user } = mmOf(task);
  for (let index = 0; index < 3; index++) yield* user.writeU32(addresses[index]!, ids[index]!);
  return 0;
}

/** Reads the header of capget and capset: the number of 32-bit halves, and the pid. A version unknown is written over. */
function* capHeader(
  task: Task,
  headerAt: number,
  isQuery: boolean,
): Sleeps<{ halves: number; id: number } | undefined> {
  const { user } = mmOf(task);
  const view = viewOf(yield* user.copyIn(headerAt, 8));
  const version = view.getUint32(0);
  const id = view.getInt32(4);
  if (version === LINUX_CAPABILITY_VERSION_1) return { halves: 1, id };
  if (version === LINUX_CAPABILITY_VERSION_2 || version === LINUX_CAPABILITY_VERSION_3) {
    return { halves: 2, id };
  }
  yield* user.writeU32(headerAt, LINUX_CAPABILITY_VERSION_3);
  if (isQuery) return undefined;
  throw EINVAL;
}

function* capget(task: TaskStruct, headerAt: number, dataAt: number): Sleeps<number> {
  const header = yield* capHeader(task, headerAt, dataAt === 0);
  if (header === undefined) return 0;
  if (header.id < 0) throw EINVAL;
  const target = header.id === 0 ? task : task.kernel.tasks.find(header.id);
  if (target === undefined) throw ESRCH;
  if (dataAt === 0) return 0;
  const { capEffective, capPermitted, capInheritable } = target.cred;
  const words: number[] = [];
  for (let half = 0; half < header.halves; half++) {
    const shift = BigInt(32 * half);
    for (const set of [capEffective, capPermitted, capInheritable]) {
      words.push(Number((set >> shift) & 0xffff_ffffn));
    }
  }
  yield* mmOf(task).user.copyOut(dataAt, words32(...words));
  return 0;
}

function* capset(task: TaskStruct, headerAt: number, dataAt: number): Sleeps<number> {
  const header = yield* capHeader(task, headerAt, false);
  if (header === undefined) throw EINVAL;
  if (header.id !== 0 && header.id !== task.pid) throw EPERM;
  if (dataAt === 0) throw EFAULT;
  const view = viewOf(yield* mmOf(task).user.copyIn(dataAt, header.halves * 12));
  const set = (offset: number): bigint => {
    let bits = 0n;
    for (let half = 0; half < header.halves; half++) {
      bits |= BigInt(view.getUint32(half * 12 + offset)) << BigInt(32 * half);
    }
    return bits & 0x1ff_ffff_ffffn;
  };
  const effective = set(0);
  const permitted = set(4);
  const inheritable = set(8);
  const { cred } = task;
  const mayRaise = cred.capInheritable | (capable(task, CAP_SETPCAP) ? cred.capBounding : cred.capPermitted);
  if ((inheritable & ~(cred.capInheritable | cred.capPermitted)) !== 0n && !capable(task, CAP_SETPCAP)) {
    throw EPERM;
  }
  if ((inheritable & ~mayRaise & ~cred.capPermitted) !== 0n) throw EPERM;
  if ((permitted & ~cred.capPermitted) !== 0n) throw EPERM;
  if ((effective & ~permitted) !== 0n) throw EPERM;
  task.cred = {
    ...cred,
    capEffective: effective,
    capPermitted: permitted,
    capInheritable: inheritable,
    capAmbient: cred.capAmbient & permitted & inheritable,
  };
  return 0;
}

export const credSyscalls: readonly Syscall[] = [
  syscall("getuid", [], (task) => task.cred.uid),
  syscall("geteuid", [], (task) => task.cred.euid),
  syscall("getgid", [], (task) => task.cred.gid),
  syscall("getegid", [], (task) => task.cred.egid),
  syscall(
    "getresuid",
    [bufferOut, bufferOut, bufferOut],
    (task, ruid, euid, suid) =>
      threeIds(task, [ruid, euid, suid], [task.cred.uid, task.cred.euid, task.cred.suid]),
  ),
  syscall(
    "getresgid",
    [bufferOut, bufferOut, bufferOut],
    (task, rgid, egid, sgid) =>
      threeIds(task, [rgid, egid, sgid], [task.cred.gid, task.cred.egid, task.cred.sgid]),
  ),
  syscall("setuid", [int], (task, uid) => setuid(self(task), uid)),
  syscall("setgid", [int], (task, gid) => setgid(self(task), gid)),
  syscall("setreuid", [int, int], (task, ruid, euid) => setreuid(self(task), ruid, euid)),
  syscall("setregid", [int, int], (task, rgid, egid) => setregid(self(task), rgid, egid)),
  syscall("setresuid", [int, int, int], (task, ...ids) => setresuid(self(task), ids)),
  syscall("setresgid", [int, int, int], (task, ...ids) => setresgid(self(task), ids)),
  syscall("setfsuid", [int], (task, uid) => setfsuid(self(task), uid)),
  syscall("setfsgid", [int], (task, gid) => setfsgid(self(task), gid)),
  syscall("getgroups", [int, bufferOut], getgroups),
  syscall("setgroups", [int, bufferIn], setgroups),
  syscall("capget", [pointer, bufferOut], (task, header, data) => capget(self(task), header, data)),
  syscall("capset", [pointer, bufferIn], (task, header, data) => capset(self(task), header, data)),
];
