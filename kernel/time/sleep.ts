// SPDX-License-Identifier: Apache-2.0
// nanosleep(2) and clock_nanosleep(2). An interrupted relative sleep says how much was left, and goes on through
// restart_syscall(2) when no handler ran; an absolute one is simply made again.

import { bufferIn, bufferOut, flagsOf, type Syscall, syscall } from "../../include/linux/syscalls.ts";
import { type Sleeps, WAIT_BLOCKED } from "../../include/linux/wait.ts";
import { CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME } from "../../include/uapi/time.ts";
import { EINVAL, EOPNOTSUPP, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from "../../lib/errno.ts";
import { mmOf, self, type TaskStruct } from "../task.ts";
import { viewOf, withBytes } from "../uaccess.ts";
import { clockId } from "./clock-syscalls.ts";
import { cpuClockTarget, isCpuClock, readCpuClock } from "./cpu-clock.ts";
import {
  deadlineOf,
  isMonotonic,
  isRealtime,
  readTimespecNs,
  timekeeping,
  timespecBytes,
} from "./timespec.ts";

/** Sleeps until `deadline()` has passed, or a signal is there (false). */
function* sleepUntil(task: TaskStruct, deadline: () => number, moves: boolean): Sleeps<boolean> {
  const time = timekeeping(task.kernel);
  const wake = (): void => task.wake();
  if (moves) time.clockSetListeners.add(wake);
  try {
    for (;;) {
      const deadlineNs = deadline();
      if (time.monotonicNs() >= deadlineNs) return true;
      if (task.hasSignal) return false;
      const timer = time.addTimer(deadlineNs, wake);
      try {
        yield WAIT_BLOCKED;
      } finally {
        timer.cancel();
      }
    }
  } finally {
    if (moves) time.clockSetListeners.delete(wake);
  }
}

function* sleepSpan(task: TaskStruct, deadlineNs: number, leftAt: number): Sleeps<number> {
  if (yield* sleepUntil(task, () => deadlineNs, false)) return 0;
  if (leftAt !== 0) {
    const left = Math.max(0, deadlineNs - task.kernel.time.monotonicNs());
    yield* mmOf(task).user.copyOut(leftAt, timespecBytes(left));
  }
  task.restartBlock = () => sleepSpan(task, deadlineNs, leftAt);
  throw ERESTART_RESTARTBLOCK;
}

function* sleepAbsolute(task: TaskStruct, clock: number, ns: number): Sleeps<number> {
  const done = yield* sleepUntil(task, () => deadlineOf(task.kernel, clock, true, ns), isRealtime(clock));
  if (!done) throw ERESTARTNOHAND;
  return 0;
}

/** Sleeps on CPU time: looked at every now and then, as nothing runs the clock but running. */
function* sleepOnCpu(task: TaskStruct, clock: number, targetNs: number): Sleeps<number> {
  cpuClockTarget(task, clock);
  const { time } = task.kernel;
  for (;;) {
    const left = targetNs - readCpuClock(task, clock);
    if (left <= 0) return 0;
    const checkAt = time.monotonicNs() + Math.max(left, 1_000_000);
    if (!(yield* sleepUntil(task, () => checkAt, false))) throw ERESTARTNOHAND;
  }
}

export const sleepSyscalls: readonly Syscall[] = [
  syscall(
    "nanosleep",
    [bufferIn, bufferOut],
    (task, address, leftAt) =>
      withBytes(task, address, 16, (bytes) => {
        const target = self(task);
        const span = readTimespecNs(viewOf(bytes), 0);
        return sleepSpan(target, deadlineOf(target.kernel, CLOCK_MONOTONIC, false, span), leftAt);
      }),
  ),
  syscall(
    "clock_nanosleep",
    [clockId, flagsOf({ TIMER_ABSTIME }), bufferIn, bufferOut],
    (task, clock, flags, address, leftAt) => {
      if (clock === CLOCK_THREAD_CPUTIME_ID) throw EINVAL;
      const isCpu = isCpuClock(clock);
      if (!isCpu && !isRealtime(clock) && !isMonotonic(clock)) throw clock > 11 ? EINVAL : EOPNOTSUPP;
      return withBytes(task, address, 16, (bytes) => {
        const target = self(task);
        const ns = readTimespecNs(viewOf(bytes), 0);
        const isAbsolute = (flags & TIMER_ABSTIME) !== 0;
        if (isCpu) return sleepOnCpu(target, clock, isAbsolute ? ns : readCpuClock(target, clock) + ns);
        if (isAbsolute) return sleepAbsolute(target, clock, ns);
        return sleepSpan(target, deadlineOf(target.kernel, clock, false, ns), leftAt);
      });
    },
  ),
];
