// SPDX-License-Identifier: Apache-2.0
// futex_waitv(2): sleeps on several words at once; the first wake-up ends it and says which word it was.
// struct futex_waitv is { u64 value, u64 address, u32 flags, u32 reserved }.

import type { Task } from "../../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../../include/linux/wait.ts";
import {
  FUTEX2_PRIVATE,
  FUTEX2_SIZE_MASK,
  FUTEX2_SIZE_U32,
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_WAITV_MAX,
} from "../../include/uapi/futex.ts";
import { EAGAIN, EINVAL, ERESTARTSYS, ETIMEDOUT } from "../../lib/errno.ts";
import { readU64, viewOf } from "../../lib/little-view.ts";
import { mmOf, self, type TaskStruct } from "../task.ts";
import { finish } from "../uaccess.ts";
import { checkAligned, FutexWaiter, makeQueue, withWord } from "./core.ts";

const ENTRY_BYTES = 24;

interface Word {
  readonly address: number;
  readonly expected: number;
  readonly isPrivate: boolean;
}

function decode(bytes: Uint8Array): Word[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / ENTRY_BYTES }, (_, index) => {
    const at = index * ENTRY_BYTES;
    const flags = view.getUint32(at + 16);
    if (
      (flags & FUTEX2_SIZE_MASK) !== FUTEX2_SIZE_U32 || (flags & ~(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE)) !== 0
    ) {
      throw EINVAL;
    }
    if (view.getUint32(at + 20) !== 0) throw EINVAL;
    const address = readU64(view, at + 8);
    checkAligned(address);
    return { address, expected: view.getUint32(at), isPrivate: (flags & FUTEX2_PRIVATE) !== 0 };
  });
}

export function* futexWaitv(
  task: Task,
  listAt: number,
  count: number,
  flags: number,
  deadlineNs: number | undefined,
): Sleeps<number> {
  if (flags !== 0 || count < 1 || count > FUTEX_WAITV_MAX || listAt === 0) throw EINVAL;
  const words = decode(yield* mmOf(task).user.copyIn(listAt, count * ENTRY_BYTES));
  const waiters: FutexWaiter[] = [];
  try {
    for (const { address, expected, isPrivate } of words) {
      yield* finish<void>(withWord<void>(task, address, false, (value) => {
        if (value !== expected) throw EAGAIN;
        const waiter = new FutexWaiter(self(task), FUTEX_BITSET_MATCH_ANY);
        makeQueue(task, address, isPrivate).add(waiter);
        waiters.push(waiter);
      }));
    }
    return yield* sleepOnAny(self(task), waiters, deadlineNs);
  } catch (error) {
    // A word that was woken while the list was being read counts.
    const woken = waiters.findIndex((waiter) => waiter.isWoken);
    if (woken >= 0) return woken;
    throw error;
  } finally {
    for (const waiter of waiters) waiter.leave();
  }
}

function* sleepOnAny(
  task: TaskStruct,
  waiters: readonly FutexWaiter[],
  deadlineNs: number | undefined,
): Sleeps<number> {
  const { time } = task.kernel;
  const timer = deadlineNs === undefined ? undefined : time.addTimer(deadlineNs, () => task.wake());
  try {
    for (;;) {
      const woken = waiters.findIndex((waiter) => waiter.isWoken);
      if (woken >= 0) return woken;
      if (deadlineNs !== undefined && deadlineNs <= time.monotonicNs()) throw ETIMEDOUT;
      if (task.hasSignal) throw ERESTARTSYS;
      yield WAIT_BLOCKED;
    }
  } finally {
    timer?.cancel();
  }
}
