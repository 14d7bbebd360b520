// SPDX-License-Identifier: Apache-2.0
// Futexes with an owner: FUTEX_LOCK_PI, LOCK_PI2, TRYLOCK_PI, UNLOCK_PI. Source: futex(2), "Priority-inheritance
// futexes".
//
// The word holds the owner's thread id, FUTEX_WAITERS when someone sleeps here, and FUTEX_OWNER_DIED. The kernel hands
// the lock to the first waiter itself, so that no one can barge in. Priorities do not move: see `support`.

import type { SyscallAnswer } from "../../include/linux/syscalls.ts";
import type { Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
} from "../../include/uapi/futex.ts";
import { EAGAIN, EDEADLK, EINVAL, EPERM, ERESTARTNOINTR, ESRCH } from "../../lib/errno.ts";
import { self } from "../task.ts";
import { checkAligned, findQueue, FutexWaiter, makeQueue, storeWord, withWord } from "./core.ts";
import { sleepUntilWoken } from "./waitwake.ts";

export function futexLockPi(
  task: Task,
  address: number,
  isPrivate: boolean,
  deadlineNs: number | undefined,
  isTry: boolean,
): SyscallAnswer {
  checkAligned(address);
  return withWord<number>(task, address, true, (value) => {
    const owner = value & FUTEX_TID_MASK;
    if (owner === task.pid) throw EDEADLK;
    if (owner === 0) {
      const waiting = findQueue(task, address, isPrivate) === undefined ? 0 : FUTEX_WAITERS;
      storeWord(task, address, task.pid | (value & FUTEX_OWNER_DIED) | waiting);
      return 0;
    }
    if (isTry) throw EAGAIN;
    if (task.kernel.tasks.find(owner) === undefined) throw ESRCH;
    const waiter = new FutexWaiter(self(task), FUTEX_BITSET_MATCH_ANY, true);
    makeQueue(task, address, isPrivate).add(waiter);
    storeWord(task, address, value | FUTEX_WAITERS);
    return sleepForLock(waiter, deadlineNs);
  });
}

function* sleepForLock(waiter: FutexWaiter, deadlineNs: number | undefined): Sleeps<number> {
  yield* sleepUntilWoken(waiter, deadlineNs, () => {
    throw ERESTARTNOINTR;
  });
  return 0;
}

export function futexUnlockPi(task: Task, address: number, isPrivate: boolean): SyscallAnswer {
  checkAligned(address);
  return withWord<number>(task, address, true, (value) => {
    if ((value & FUTEX_TID_MASK) !== task.pid) throw EPERM;
    handOver(task, address, isPrivate, 0);
    return 0;
  });
}

/** Gives the lock at `address` to the first waiter, or to nobody. `died` is FUTEX_OWNER_DIED or 0. */
export function handOver(task: Task, address: number, isPrivate: boolean, died: number): void {
  const queue = findQueue(task, address, isPrivate);
  const heir = queue?.first();
  if (heir === undefined || queue === undefined) {
    storeWord(task, address, died);
    return;
  }
  if (!heir.isPi) throw EINVAL;
  const waiting = queue.waiters.size > 1 ? FUTEX_WAITERS : 0;
  storeWord(task, address, heir.task.pid | waiting | died);
  heir.wake();
}
