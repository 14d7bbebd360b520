// SPDX-License-Identifier: Apache-2.0
// sched_*(2): policies and priorities are kept and reported; slices follow nice values. Source: sched(7).

import {
  bufferIn,
  bufferOut,
  flagsOf,
  int,
  pid,
  size,
  type Syscall,
  syscall,
  uint,
} from "../../include/linux/syscalls.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { WAIT_RESCHEDULE } from "../../include/linux/wait.ts";
import { CAP_SYS_NICE } from "../../include/uapi/capability.ts";
import { RLIMIT_RTPRIO } from "../../include/uapi/resource.ts";
import {
  SCHED_BATCH,
  SCHED_DEADLINE,
  SCHED_FIFO,
  SCHED_IDLE,
  SCHED_OTHER,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
} from "../../include/uapi/sched.ts";
import { E2BIG, EINVAL, EPERM, ESRCH } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import { setNice } from "../sys.ts";
import { mmOf, self, type TaskStruct } from "../task.ts";
import { timespecBytes } from "../time/timespec.ts";
import { copyOutResult, viewOf, withBytes, words32, words64, writeS64 } from "../uaccess.ts";

const policyName = flagsOf({
  SCHED_OTHER,
  SCHED_FIFO,
  SCHED_RR,
  SCHED_BATCH,
  SCHED_IDLE,
  SCHED_DEADLINE,
  SCHED_RESET_ON_FORK,
});
const RR_INTERVAL_NS = 100_000_000;
const SCHED_FLAG_RESET_ON_FORK = 1;

function targetOf(task: TaskStruct, id: number): TaskStruct {
  if (id < 0) throw EINVAL;
  const target = id === 0 ? task : task.kernel.tasks.find(id);
  if (target === undefined) throw ESRCH;
  return target;
}

function isRealtimePolicy(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

function checkPolicy(policy: number, priority: number): void {
  if (![SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE].includes(policy)) throw EINVAL;
  if (priority < 0 || priority > 99 || isRealtimePolicy(policy) !== (priority > 0)) throw EINVAL;
}

function setPolicy(task: TaskStruct, target: TaskStruct, requested: number, priority: number): void {
  const resets = (requested & SCHED_RESET_ON_FORK) !== 0;
  const policy = requested & ~SCHED_RESET_ON_FORK;
  checkPolicy(policy, priority);
  if (!capable(task, CAP_SYS_NICE)) {
    if (task.cred.euid !== target.cred.euid && task.cred.euid !== target.cred.uid) throw EPERM;
    const limit = target.group.rlimits[RLIMIT_RTPRIO]?.soft ?? 0;
    if (isRealtimePolicy(policy) && (limit === 0 || (priority > limit && priority > target.rtPriority))) {
      throw EPERM;
    }
    if (target.resetOnFork && !resets) throw EPERM;
  }
  target.policy = policy;
  target.rtPriority = priority;
  target.resetOnFork = resets;
}

function* yieldNow(): Sleeps<number> {
  yield WAIT_RESCHEDULE;
  return 0;
}

function priorityLimit(policy: number, isMax: boolean): number {
  if (isRealtimePolicy(policy)) return isMax ? 99 : 1;
  if (![SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE].includes(policy)) throw EINVAL;
  return 0;
}

/** struct sched_attr, 48 bytes in its first form. */
function encodeAttr(target: TaskStruct, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(length, 56));
  const view = viewOf(bytes);
  view.setInt32(0, bytes.length);
  view.setInt32(4, target.policy);
  writeS64(view, 8, target.resetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0);
  view.setInt32(16, target.nice);
  view.setInt32(20, target.rtPriority);
  return bytes;
}

function* setAttr(task: TaskStruct, id: number, address: number): Sleeps<number> {
  const { user } = mmOf(task);
  const length = (yield* user.readU32(address)) || 48;
  if (length < 48) throw E2BIG;
  if (length > 4096) throw E2BIG;
  const view = viewOf(yield* user.copyIn(address, length));
  const target = targetOf(task, id);
  const policy = view.getUint32(4);
  const flags = view.getUint32(8);
  if (policy === SCHED_DEADLINE) throw EPERM;
  const reset = (flags & SCHED_FLAG_RESET_ON_FORK) !== 0 ? SCHED_RESET_ON_FORK : 0;
  setPolicy(task, target, policy | reset, view.getUint32(20));
  if (policy === SCHED_OTHER || policy === SCHED_BATCH) setNice(task, target, view.getInt32(16));
  return 0;
}

const recorded = { level: "partial", missing: "realtime policies are kept but run as the others" } as const;

export const schedSyscalls: readonly Syscall[] = [
  syscall("sched_yield", [], () => yieldNow()),
  syscall(
    "sched_setscheduler",
    [pid, policyName, bufferIn],
    (task, id, policy, address) =>
      withBytes(task, address, 4, (bytes) => {
        if (policy < 0) throw EINVAL;
        setPolicy(self(task), targetOf(self(task), id), policy, viewOf(bytes).getInt32(0));
        return 0;
      }),
    recorded,
  ),
  syscall("sched_getscheduler", [pid], (task, id) => {
    const target = targetOf(self(task), id);
    return target.policy | (target.resetOnFork ? SCHED_RESET_ON_FORK : 0);
  }),
  syscall("sched_setparam", [pid, bufferIn], (task, id, address) =>
    withBytes(task, address, 4, (bytes) => {
      const target = targetOf(self(task), id);
      const reset = target.resetOnFork ? SCHED_RESET_ON_FORK : 0;
      setPolicy(self(task), target, target.policy | reset, viewOf(bytes).getInt32(0));
      return 0;
    }), recorded),
  syscall("sched_getparam", [pid, bufferOut], (task, id, address) => {
    const target = targetOf(self(task), id);
    if (address === 0) throw EINVAL;
    return copyOutResult(task, address, words32(target.rtPriority));
  }),
  syscall("sched_setattr", [pid, bufferIn, uint], (task, id, address, flags) => {
    if (address === 0 || flags !== 0 || id < 0) throw EINVAL;
    return setAttr(self(task), id, address);
  }, recorded),
  syscall("sched_getattr", [pid, bufferOut, uint, uint], (task, id, address, length, flags) => {
    if (address === 0 || length < 48 || length > 4096 || flags !== 0) throw EINVAL;
    return copyOutResult(task, address, encodeAttr(targetOf(self(task), id), length));
  }),
  syscall("sched_get_priority_max", [policyName], (_task, policy) => priorityLimit(policy, true)),
  syscall("sched_get_priority_min", [policyName], (_task, policy) => priorityLimit(policy, false)),
  syscall("sched_rr_get_interval", [pid, bufferOut], (task, id, address) => {
    const target = targetOf(self(task), id);
    return copyOutResult(task, address, timespecBytes(target.policy === SCHED_RR ? RR_INTERVAL_NS : 0));
  }),
  syscall("sched_setaffinity", [pid, size, bufferIn], (task, id, length, address) => {
    const target = targetOf(self(task), id);
    if (length === 0) throw EINVAL;
    return withBytes(task, address, Math.min(length, 128), (bytes) => {
      const { euid } = task.cred;
      const mayChange = euid === target.cred.euid || euid === target.cred.uid || capable(task, CAP_SYS_NICE);
      if (!mayChange) throw EPERM;
      if ((bytes[0]! & 1) === 0) throw EINVAL; // there is one CPU
      return 0;
    });
  }),
  syscall("sched_getaffinity", [pid, size, bufferOut], (task, id, length, address) => {
    targetOf(self(task), id);
    if (length < 8 || length % 8 !== 0) throw EINVAL;
    return copyOutResult(task, address, words64(1), 8);
  }),
  syscall("ioprio_set", [int, int, int], (task, which, who, priority) => {
    if (which < 1 || which > 3) throw EINVAL;
    const target = who === 0 ? self(task) : self(task).kernel.tasks.find(who);
    if (target === undefined) throw ESRCH;
    const level = priority >> 13;
    if (level < 0 || level > 3) throw EINVAL;
    if (level === 1 && !capable(task, CAP_SYS_NICE)) throw EPERM;
    target.ioPriority = priority;
    return 0;
  }, { level: "partial", missing: "disks do not look at it; groups and users name the caller" }),
  syscall("ioprio_get", [int, int], (task, which, who) => {
    if (which < 1 || which > 3) throw EINVAL;
    const target = who === 0 ? self(task) : self(task).kernel.tasks.find(who);
    if (target === undefined) throw ESRCH;
    return target.ioPriority;
  }),
];
