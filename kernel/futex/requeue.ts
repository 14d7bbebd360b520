// SPDX-License-Identifier: Apache-2.0
// FUTEX_REQUEUE and FUTEX_CMP_REQUEUE: wakes some waiters and moves the others to another word. Source: futex(2).

import type { SyscallAnswer } from "../../include/linux/syscalls.ts";
import type { Task } from "../../include/linux/sched.ts";
import { EAGAIN, EINVAL } from "../../lib/errno.ts";
import { checkAligned, findQueue, makeQueue, withWord } from "./core.ts";

export interface Requeue {
  readonly address: number;
  readonly address2: number;
  readonly isPrivate: boolean;
  readonly wake: number;
  readonly requeue: number;
  /** Compared with the word at `address` for FUTEX_CMP_REQUEUE. */
  readonly expected: number | undefined;
}

export function futexRequeue(task: Task, call: Requeue): SyscallAnswer {
  const { address, address2, expected } = call;
  checkAligned(address);
  checkAligned(address2);
  if (call.wake < 0 || call.requeue < 0) throw EINVAL;
  return withWord<number>(task, address2, false, () =>
    withWord<number>(task, address, false, (value) => {
      if (expected !== undefined && value !== expected) throw EAGAIN;
      return move(task, call);
    }));
}

/** Answers as Linux: woken plus moved for CMP_REQUEUE, woken for REQUEUE counts both as well. */
function move(task: Task, call: Requeue): number {
  const from = findQueue(task, call.address, call.isPrivate);
  if (from === undefined) return 0;
  let woken = 0;
  let moved = 0;
  for (const waiter of [...from.waiters]) {
    if (waiter.isPi) throw EINVAL;
    if (woken < call.wake) {
      waiter.wake();
      woken++;
    } else if (moved < call.requeue) {
      waiter.leave();
      makeQueue(task, call.address2, call.isPrivate).add(waiter);
      moved++;
    } else {
      break;
    }
  }
  return woken + moved;
}
