// SPDX-License-Identifier: Apache-2.0
// Whether a task has a signal to look at: the one word `pendingWork`, kept up to date by whoever changes what it
// depends on (pending sets, masks, group exit, group stop, ptrace).

import { SIGKILL } from "../include/uapi/signal.ts";
import { type TaskStruct, type ThreadGroupStruct, WORK_SIGNAL } from "./task.ts";

/** The task must die: no sleep may go on, whatever it waits for. */
export function isKilled(task: TaskStruct): boolean {
  return isDoomed(task) || task.pending.set.has(SIGKILL) || task.group.pending.set.has(SIGKILL);
}

/** Another thread has ended the process, or executes a new program in it. */
export function isDoomed(task: TaskStruct): boolean {
  return task.group.isExiting && task.group.execTask !== task;
}

function hasWork(task: TaskStruct): boolean {
  const { group, blocked, pending } = task;
  return pending.set.hasOutside(blocked) || group.pending.set.hasOutside(blocked) || isDoomed(task)
    || group.stopSignal !== 0 || task.trace?.interrupt === true;
}

export function recalcSignal(task: TaskStruct): void {
  if (hasWork(task)) task.pendingWork |= WORK_SIGNAL;
  else task.pendingWork &= ~WORK_SIGNAL;
}

export function recalcGroup(group: ThreadGroupStruct): void {
  for (const task of group.threads) recalcSignal(task);
}
