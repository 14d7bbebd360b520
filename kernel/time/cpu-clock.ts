// SPDX-License-Identifier: Apache-2.0
// CPU-time clocks: CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID and the clocks of other processes and threads,
// whose ids are made from a pid: (~pid << 3) | 4 for a thread | kind (0 profile, 1 user, 2 scheduled).
// Source: clock_getcpuclockid(3), pthread_getcpuclockid(3).

import { CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID } from "../../include/uapi/time.ts";
import { EINVAL } from "../../lib/errno.ts";
import type { TaskStruct, ThreadGroupStruct } from "../task.ts";

export function processCpuNs(group: ThreadGroupStruct): number {
  return group.cpuTime.userNs + group.cpuTime.systemNs;
}

export function isCpuClock(clock: number): boolean {
  return clock < 0 || clock === CLOCK_PROCESS_CPUTIME_ID || clock === CLOCK_THREAD_CPUTIME_ID;
}

/** Reads a CPU-time clock. Throws EINVAL when it does not exist. */
export function readCpuClock(task: TaskStruct, clock: number): number {
  task.kernel.sched.account();
  if (clock === CLOCK_PROCESS_CPUTIME_ID) return processCpuNs(task.group);
  if (clock === CLOCK_THREAD_CPUTIME_ID) return task.userNs + task.systemNs;
  const target = cpuClockTarget(task, clock);
  const isUserOnly = (clock & 3) === 1;
  if ((clock & 4) !== 0) return isUserOnly ? target.userNs : target.userNs + target.systemNs;
  return isUserOnly ? target.group.cpuTime.userNs : processCpuNs(target.group);
}

export function cpuClockTarget(task: TaskStruct, clock: number): TaskStruct {
  if (clock >= 0) return task;
  if ((clock & 3) === 3) throw EINVAL; // descriptors of hardware clocks
  const id = ~(clock >> 3);
  const target = id === 0 ? task : task.kernel.tasks.find(id);
  if (target === undefined) throw EINVAL;
  const isThread = (clock & 4) !== 0;
  if (isThread ? target.group !== task.group : target.group.leader !== target) throw EINVAL;
  return target;
}
