// SPDX-License-Identifier: Apache-2.0
// FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAKE_OP. Source: futex(2).

import type { SyscallAnswer } from "../../include/linux/syscalls.ts";
import type { Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps, WAIT_BLOCKED } from "../../include/linux/wait.ts";
import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OP_ADD,
  FUTEX_OP_ANDN,
  FUTEX_OP_CMP_EQ,
  FUTEX_OP_CMP_GE,
  FUTEX_OP_CMP_GT,
  FUTEX_OP_CMP_LE,
  FUTEX_OP_CMP_LT,
  FUTEX_OP_CMP_NE,
  FUTEX_OP_OPARG_SHIFT,
  FUTEX_OP_OR,
  FUTEX_OP_SET,
  FUTEX_OP_XOR,
} from "../../include/uapi/futex.ts";
import { EAGAIN, EINVAL, ENOSYS, ERESTART_RESTARTBLOCK, ERESTARTSYS, ETIMEDOUT } from "../../lib/errno.ts";
import { self } from "../task.ts";
import {
  checkAligned,
  findQueue,
  type FutexQueue,
  FutexWaiter,
  makeQueue,
  storeWord,
  withWord,
} from "./core.ts";

/** Wakes up to `count` waiters whose bitset meets `bitset`. */
function wakeQueue(queue: FutexQueue | undefined, count: number, bitset: number): number {
  if (queue === undefined) return 0;
  let woken = 0;
  for (const waiter of queue.waiters) {
    if (woken >= count) break;
    if (waiter.isPi) throw EINVAL;
    if ((waiter.bitset & bitset) === 0) continue;
    waiter.wake();
    woken++;
  }
  return woken;
}

/** FUTEX_WAKE by the kernel itself. */
export function wakeFutex(task: Task, address: number, count: number): number {
  return wakeQueue(findQueue(task, address, false), count, FUTEX_BITSET_MATCH_ANY);
}

export function futexWake(
  task: Task,
  address: number,
  isPrivate: boolean,
  count: number,
  bitset: number,
): SyscallAnswer {
  checkAligned(address);
  if (bitset === 0) throw EINVAL;
  if (isPrivate) return wakeQueue(findQueue(task, address, true), Math.max(1, count), bitset);
  // The frame names a shared word: bring it in first, so that waiters of other processes are found.
  return withWord(
    task,
    address,
    false,
    () => wakeQueue(findQueue(task, address, false), Math.max(1, count), bitset),
  );
}

export interface FutexWait {
  readonly address: number;
  readonly isPrivate: boolean;
  readonly expected: number;
  readonly bitset: number;
  /** Absolute, CLOCK_MONOTONIC. */
  readonly deadlineNs: number | undefined;
}

export function futexWait(task: Task, wait: FutexWait): SyscallAnswer {
  checkAligned(wait.address);
  if (wait.bitset === 0) throw EINVAL;
  return withWord<number>(task, wait.address, false, (value) => {
    if (value !== wait.expected) throw EAGAIN;
    const waiter = new FutexWaiter(self(task), wait.bitset);
    makeQueue(task, wait.address, wait.isPrivate).add(waiter);
    return sleepOn(waiter, wait);
  });
}

function* sleepOn(waiter: FutexWaiter, wait: FutexWait): Sleeps<number> {
  const { task } = waiter;
  yield* sleepUntilWoken(waiter, wait.deadlineNs, () => {
    if (wait.deadlineNs === undefined) throw ERESTARTSYS;
    task.restartBlock = () => again(task, wait);
    throw ERESTART_RESTARTBLOCK;
  });
  return 0;
}

function* again(task: Task, wait: FutexWait): Sleeps<number> {
  const answer = futexWait(task, wait);
  return Number(isSleeping<number | bigint>(answer) ? yield* answer : answer);
}

/** Sleeps until `waiter.isWoken`. Throws ETIMEDOUT, or what `interrupted` throws. The waiter is off its queue after. */
export function* sleepUntilWoken(
  waiter: FutexWaiter,
  deadlineNs: number | undefined,
  interrupted: () => never,
): Sleeps<void> {
  const { task } = waiter;
  const { time } = task.kernel;
  let isPast = false;
  const timer = deadlineNs === undefined ? undefined : time.addTimer(deadlineNs, () => {
    isPast = true;
    task.wake();
  });
  try {
    while (!waiter.isWoken) {
      if (isPast || (deadlineNs !== undefined && deadlineNs <= time.monotonicNs())) throw ETIMEDOUT;
      if (task.hasSignal) interrupted();
      yield WAIT_BLOCKED;
    }
  } finally {
    timer?.cancel();
    waiter.leave();
  }
}

/** FUTEX_WAKE_OP: changes the word at `address2`, wakes on both, the second if the old value compares so. */
export function futexWakeOp(
  task: Task,
  address: number,
  isPrivate: boolean,
  count: number,
  count2: number,
  address2: number,
  encoded: number,
): SyscallAnswer {
  checkAligned(address);
  checkAligned(address2);
  return withWord(task, address2, true, (old) => {
    storeWord(task, address2, applyOperation(encoded, old));
    let woken = wakeQueue(findQueue(task, address, isPrivate), Math.max(1, count), FUTEX_BITSET_MATCH_ANY);
    if (compares(encoded, old)) {
      woken += wakeQueue(findQueue(task, address2, isPrivate), Math.max(1, count2), FUTEX_BITSET_MATCH_ANY);
    }
    return woken;
  });
}

function applyOperation(encoded: number, old: number): number {
  const operation = (encoded >>> 28) & 0xf;
  let operand = (encoded << 8) >> 20;
  if ((operation & FUTEX_OP_OPARG_SHIFT) !== 0) operand = 1 << (operand & 31);
  switch (operation & 7) {
    case FUTEX_OP_SET:
      return operand;
    case FUTEX_OP_ADD:
      return old + operand;
    case FUTEX_OP_OR:
      return old | operand;
    case FUTEX_OP_ANDN:
      return old & ~operand;
    case FUTEX_OP_XOR:
      return old ^ operand;
    default:
      throw ENOSYS;
  }
}

function compares(encoded: number, oldWord: number): boolean {
  const operand = (encoded << 20) >> 20;
  const old = oldWord | 0;
  switch ((encoded >>> 24) & 0xf) {
    case FUTEX_OP_CMP_EQ:
      return old === operand;
    case FUTEX_OP_CMP_NE:
      return old !== operand;
    case FUTEX_OP_CMP_LT:
      return old < operand;
    case FUTEX_OP_CMP_LE:
      return old <= operand;
    case FUTEX_OP_CMP_GT:
      return old > operand;
    case FUTEX_OP_CMP_GE:
      return old >= operand;
    default:
      throw ENOSYS;
  }
}
