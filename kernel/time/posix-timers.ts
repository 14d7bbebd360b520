// SPDX-License-Identifier: Apache-2.0
// timer_create(2) and its family. A timer has at most one notice in the queue; expiries meanwhile are its overrun,
// counted up to the moment when the notice is delivered. Timers end with the program that made them.

import {
  bufferIn,
  bufferOut,
  flagsOf,
  int,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../../include/linux/syscalls.ts";
import { StateKey, type Task } from "../../include/linux/sched.ts";
import {
  NSIG,
  SI_TIMER,
  SIGALRM,
  SIGEV_NONE,
  SIGEV_SIGNAL,
  SIGEV_THREAD,
  SIGEV_THREAD_ID,
} from "../../include/uapi/signal.ts";
import { TIMER_ABSTIME } from "../../include/uapi/time.ts";
import { EAGAIN, EINVAL } from "../../lib/errno.ts";
import type { QueuedSignal } from "../signal-set.ts";
import { sendToGroup, sendToTask } from "../signal.ts";
import { self, type TaskStruct, type ThreadGroupStruct } from "../task.ts";
import { copyOutResult, viewOf, withBytes, words32 } from "../uaccess.ts";
import { clockId } from "./clock-syscalls.ts";
import { cpuClockTarget, isCpuClock, readCpuClock } from "./cpu-clock.ts";
import { cpuClock, IntervalTimer, machineClock, type TimerClock } from "./interval.ts";
import { isMonotonic, isRealtime, readTimespecNs, writeTimespec } from "./timespec.ts";

const OVERRUN_MAX = 0x7fff_ffff;
const TIMERS_MAX = 8192;

interface Notice {
  readonly how: number; // SIGEV_*
  readonly signal: number;
  readonly value: bigint;
  readonly thread: TaskStruct | undefined;
}

class PosixTimer {
  readonly id: number;
  readonly timer: IntervalTimer;
  readonly #notice: Notice;
  readonly #group: ThreadGroupStruct;
  #queued: QueuedSignal | undefined;
  #counting = 0;
  /** Of the notice delivered last: timer_getoverrun(2). */
  overrun: number = 0;

  constructor(id: number, clock: TimerClock, notice: Notice, group: ThreadGroupStruct) {
    this.id = id;
    this.#notice = notice;
    this.#group = group;
    this.timer = new IntervalTimer(clock, (times) => this.#expire(times));
  }

  delete(): void {
    this.timer.disarm();
    this.forget();
  }

  /** Takes a notice that has not been delivered back. */
  forget(): void {
    const queued = this.#queued;
    this.#queued = undefined;
    if (queued === undefined) return;
    this.#group.pending.remove(queued);
    this.#notice.thread?.pending.remove(queued);
  }

  #expire(times: number): void {
    const { how, signal, value, thread } = this.#notice;
    if (how === SIGEV_NONE) return;
    if (this.#queued !== undefined) {
      this.#counting = Math.min(OVERRUN_MAX, this.#counting + times);
      return;
    }
    this.#counting = times - 1;
    const info = { signal, code: SI_TIMER, timerId: this.id, value };
    const queued: QueuedSignal = {
      ...info,
      taken: () => {
        this.#queued = undefined;
        this.overrun = this.#counting;
        return { ...info, overrun: this.overrun };
      },
    };
    this.#queued = queued;
    const isQueued = thread === undefined ? sendToGroup(this.#group, queued) : sendToTask(thread, queued);
    if (!isQueued) this.#queued = undefined;
  }
}

class ProcessTimers {
  readonly #timers = new Map<number, PosixTimer>();
  #next = 0;

  constructor(group: ThreadGroupStruct) {
    const clear = (): void => {
      for (const timer of this.#timers.values()) timer.delete();
      this.#timers.clear();
    };
    group.exitHooks.add(clear);
    group.execHooks.add(clear);
  }

  get(id: number): PosixTimer {
    const timer = this.#timers.get(id);
    if (timer === undefined) throw EINVAL;
    return timer;
  }

  create(make: (id: number) => PosixTimer): PosixTimer {
    if (this.#timers.size >= TIMERS_MAX) throw EAGAIN;
    const timer = make(this.#next++);
    this.#timers.set(timer.id, timer);
    return timer;
  }

  delete(id: number): void {
    this.get(id).delete();
    this.#timers.delete(id);
  }
}

const TIMERS = new StateKey<WeakMap<ThreadGroupStruct, ProcessTimers>>("posix-timers");

function timersOf(task: Task): ProcessTimers {
  const { group } = self(task);
  const known = task.kernel.state(TIMERS, () => new WeakMap());
  let timers = known.get(group);
  if (timers === undefined) known.set(group, timers = new ProcessTimers(group));
  return timers;
}

function clockFor(task: TaskStruct, clock: number): TimerClock {
  if (isCpuClock(clock)) {
    const target = cpuClockTarget(task, clock);
    return cpuClock(target.group, () => readCpuClock(target, clock < 0 ? ownClock(clock) : clock));
  }
  if (!isRealtime(clock) && !isMonotonic(clock)) throw EINVAL;
  return machineClock(task.kernel, clock);
}

/** The clock of another task, as that task itself names it. */
function ownClock(clock: number): number {
  return (clock & 4) !== 0 ? 3 : 2;
}

/** struct sigevent: value, signo, notify, tid. */
function decodeNotice(task: TaskStruct, bytes: Uint8Array): Notice {
  const view = viewOf(bytes);
  const how = view.getInt32(12);
  const signal = view.getInt32(8);
  const value = view.getBigInt64(0);
  if (how === SIGEV_NONE) return { how, signal: 0, value, thread: undefined };
  if (signal < 1 || signal > NSIG) throw EINVAL;
  if (how === SIGEV_SIGNAL || how === SIGEV_THREAD) return { how, signal, value, thread: undefined };
  if (how !== SIGEV_THREAD_ID) throw EINVAL;
  const thread = task.kernel.tasks.find(view.getInt32(16));
  if (thread?.group !== task.group) throw EINVAL;
  return { how, signal, value, thread };
}

function create(
  task: TaskStruct,
  clock: TimerClock,
  notice: Notice | undefined,
  idAt: number,
): SyscallAnswer {
  const timers = timersOf(task);
  const { group } = task;
  const timer = timers.create((id) =>
    new PosixTimer(
      id,
      clock,
      notice ?? { how: SIGEV_SIGNAL, signal: SIGALRM, value: BigInt(id), thread: undefined },
      group,
    )
  );
  return copyOutResult(task, idAt, words32(timer.id));
}

function encode(timer: IntervalTimer): Uint8Array {
  const bytes = new Uint8Array(32);
  const { leftNs } = timer;
  writeTimespec(viewOf(bytes), 0, timer.intervalNs);
  writeTimespec(viewOf(bytes), 16, leftNs);
  return bytes;
}

export const posixTimerSyscalls: readonly Syscall[] = [
  syscall("timer_create", [clockId, bufferIn, bufferOut], (task, clock, eventAt, idAt) => {
    const target = self(task);
    const source = clockFor(target, clock);
    if (eventAt === 0) return create(target, source, undefined, idAt);
    return withBytes(task, eventAt, 64, (bytes) => create(target, source, decodeNotice(target, bytes), idAt));
  }),
  syscall(
    "timer_settime",
    [int, flagsOf({ TIMER_ABSTIME }), bufferIn, bufferOut],
    (task, id, flags, newAt, oldAt) => {
      if (newAt === 0) throw EINVAL;
      return withBytes(task, newAt, 32, (bytes) => {
        const view = viewOf(bytes);
        const intervalNs = readTimespecNs(view, 0);
        const valueNs = readTimespecNs(view, 16);
        const posix = timersOf(task).get(id);
        const { timer } = posix;
        const old = encode(timer);
        posix.forget();
        posix.overrun = 0;
        timer.intervalNs = intervalNs;
        if (valueNs === 0) timer.disarm();
        else timer.arm((flags & TIMER_ABSTIME) !== 0 ? valueNs : timer.now() + valueNs, intervalNs);
        return oldAt === 0 ? 0 : copyOutResult(task, oldAt, old);
      });
    },
  ),
  syscall(
    "timer_gettime",
    [int, bufferOut],
    (task, id, address) => copyOutResult(task, address, encode(timersOf(task).get(id).timer)),
  ),
  syscall("timer_getoverrun", [int], (task, id) => timersOf(task).get(id).overrun),
  syscall("timer_delete", [int], (task, id) => {
    timersOf(task).delete(id);
    return 0;
  }),
];
