// SPDX-License-Identifier: Apache-2.0
// futex(2), set_robust_list(2), get_robust_list(2), and the newer futex_wait(2), futex_wake(2), futex_requeue(2).

import {
  bufferOut,
  flagsOf,
  hex,
  int,
  long,
  pid,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../../include/linux/syscalls.ts";
import type { Task } from "../../include/linux/sched.ts";
import {
  FUTEX2_PRIVATE,
  FUTEX2_SIZE_MASK,
  FUTEX2_SIZE_U32,
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_CLOCK_REALTIME,
  FUTEX_CMD_MASK,
  FUTEX_CMP_REQUEUE,
  FUTEX_LOCK_PI,
  FUTEX_LOCK_PI2,
  FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE,
  FUTEX_TRYLOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET,
  FUTEX_WAKE_OP,
} from "../../include/uapi/futex.ts";
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from "../../include/uapi/time.ts";
import { EINVAL, ENOSYS, EPERM, ESRCH } from "../../lib/errno.ts";
import { mayInspect } from "../ptrace-access.ts";
import { self } from "../task.ts";
import { viewOf, withBytes, words64 } from "../uaccess.ts";
import { deadlineOf, readTimespecNs } from "../time/timespec.ts";
import { futexLockPi, futexUnlockPi } from "./pi.ts";
import { futexRequeue } from "./requeue.ts";
import { futexWaitv } from "./waitv.ts";
import { futexWait, futexWake, futexWakeOp } from "./waitwake.ts";

const operation = flagsOf({
  FUTEX_PRIVATE_FLAG,
  FUTEX_CLOCK_REALTIME,
  FUTEX_WAIT,
  FUTEX_WAKE,
  FUTEX_REQUEUE,
  FUTEX_CMP_REQUEUE,
  FUTEX_WAKE_OP,
  FUTEX_LOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_TRYLOCK_PI,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE_BITSET,
  FUTEX_LOCK_PI2,
});

/** Reads the timeout, if there is one, and goes on with an absolute deadline. */
function withDeadline(
  task: Task,
  address: number,
  clock: number,
  isAbsolute: boolean,
  use: (deadlineNs: number | undefined) => SyscallAnswer,
): SyscallAnswer {
  if (address === 0) return use(undefined);
  return withBytes(
    task,
    address,
    16,
    (bytes) => use(deadlineOf(self(task).kernel, clock, isAbsolute, readTimespecNs(viewOf(bytes), 0))),
  );
}

function doFutex(
  task: Task,
  address: number,
  op: number,
  value: number,
  timeoutOrCount: number,
  address2: number,
  value3: number,
): SyscallAnswer {
  const isPrivate = (op & FUTEX_PRIVATE_FLAG) !== 0;
  const clock = (op & FUTEX_CLOCK_REALTIME) !== 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
  const command = op & FUTEX_CMD_MASK;
  switch (command) {
    case FUTEX_WAKE:
      return futexWake(task, address, isPrivate, value | 0, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
      return futexWake(task, address, isPrivate, value | 0, value3);
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET: {
      const isBitset = command === FUTEX_WAIT_BITSET;
      return withDeadline(task, timeoutOrCount, clock, isBitset, (deadlineNs) =>
        futexWait(task, {
          address,
          isPrivate,
          expected: value,
          bitset: isBitset ? value3 : FUTEX_BITSET_MATCH_ANY,
          deadlineNs,
        }));
    }
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return futexRequeue(task, {
        address,
        address2,
        isPrivate,
        wake: value | 0,
        requeue: timeoutOrCount | 0,
        expected: command === FUTEX_CMP_REQUEUE ? value3 : undefined,
      });
    case FUTEX_WAKE_OP:
      return futexWakeOp(task, address, isPrivate, value | 0, timeoutOrCount | 0, address2, value3 | 0);
    case FUTEX_LOCK_PI:
      return withDeadline(
        task,
        timeoutOrCount,
        CLOCK_REALTIME,
        true,
        (deadlineNs) => futexLockPi(task, address, isPrivate, deadlineNs, false),
      );
    case FUTEX_LOCK_PI2:
      return withDeadline(
        task,
        timeoutOrCount,
        clock,
        true,
        (deadlineNs) => futexLockPi(task, address, isPrivate, deadlineNs, false),
      );
    case FUTEX_TRYLOCK_PI:
      return futexLockPi(task, address, isPrivate, undefined, true);
    case FUTEX_UNLOCK_PI:
      return futexUnlockPi(task, address, isPrivate);
    default:
      throw ENOSYS;
  }
}

const ROBUST_LIST_HEAD_BYTES = 24;

/** The flags of futex2 calls. Throws EINVAL for a size or option that is not there. */
function isPrivate2(flags: number): boolean {
  if (
    (flags & FUTEX2_SIZE_MASK) !== FUTEX2_SIZE_U32 || (flags & ~(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE)) !== 0
  ) {
    throw EINVAL;
  }
  return (flags & FUTEX2_PRIVATE) !== 0;
}

export const futexSyscalls: readonly Syscall[] = [
  syscall("futex", [pointer, operation, uint, size, pointer, uint], doFutex, {
    level: "partial",
    missing: "FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI; priorities are not inherited",
  }),
  syscall("set_robust_list", [pointer, size], (task, head, length) => {
    if (length !== ROBUST_LIST_HEAD_BYTES) throw EINVAL;
    self(task).robustList = head;
    return 0;
  }),
  syscall("get_robust_list", [pid, bufferOut, bufferOut], function*(task, id, headAt, lengthAt) {
    const target = id === 0 ? self(task) : self(task).kernel.tasks.find(id);
    if (target === undefined) throw ESRCH;
    if (!mayInspect(task, target)) throw EPERM;
    const { user } = task.mm!;
    yield* user.copyOut(lengthAt, words64(ROBUST_LIST_HEAD_BYTES));
    yield* user.copyOut(headAt, words64(target.robustList));
    return 0;
  }),
  syscall(
    "futex_wake",
    [pointer, long, int, hex],
    (task, address, mask, count, flags) => futexWake(task, address, isPrivate2(flags), count, mask >>> 0),
  ),
  syscall(
    "futex_wait",
    [pointer, long, long, hex, pointer, int],
    (task, address, value, mask, flags, timeout, clock) => {
      const isPrivate = isPrivate2(flags);
      return withDeadline(
        task,
        timeout,
        clock,
        true,
        (deadlineNs) =>
          futexWait(task, { address, isPrivate, expected: value >>> 0, bitset: mask >>> 0, deadlineNs }),
      );
    },
  ),
  syscall(
    "futex_waitv",
    [pointer, uint, uint, pointer, int],
    (task, listAt, count, flags, timeoutAt, clock) =>
      withDeadline(
        task,
        timeoutAt,
        clock,
        true,
        (deadlineNs) => futexWaitv(task, listAt, count, flags, deadlineNs),
      ),
  ),
];
