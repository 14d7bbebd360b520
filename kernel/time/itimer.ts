// SPDX-License-Identifier: Apache-2.0
// setitimer(2), getitimer(2), alarm(2): three timers a process. They outlive execve(2), and are not inherited.

import { bufferIn, bufferOut, flagsOf, type Syscall, syscall, uint } from "../../include/linux/syscalls.ts";
import { StateKey } from "../../include/linux/sched.ts";
import { SIGALRM, SIGPROF, SIGVTALRM } from "../../include/uapi/signal.ts";
import { CLOCK_MONOTONIC, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL } from "../../include/uapi/time.ts";
import { EINVAL } from "../../lib/errno.ts";
import { kernelSignal, sendToGroup } from "../signal.ts";
import { type KernelCore, self, type TaskStruct, type ThreadGroupStruct } from "../task.ts";
import { copyOutResult, viewOf, withBytes } from "../uaccess.ts";
import { processCpuNs } from "./cpu-clock.ts";
import { cpuClock, IntervalTimer, machineClock } from "./interval.ts";
import { NS_PER_SEC, readTimevalNs, writeTimeval } from "./timespec.ts";

const TIMERS = new StateKey<WeakMap<ThreadGroupStruct, IntervalTimer[]>>("itimer");
const SIGNALS: readonly number[] = [SIGALRM, SIGVTALRM, SIGPROF];

function makeTimers(kernel: KernelCore, group: ThreadGroupStruct): IntervalTimer[] {
  const account = (read: () => number) => (): number => {
    kernel.sched.account();
    return read();
  };
  const clocks = [
    machineClock(kernel, CLOCK_MONOTONIC),
    cpuClock(group, account(() => group.cpuTime.userNs)),
    cpuClock(group, account(() => processCpuNs(group))),
  ];
  const timers = clocks.map((clock, which) =>
    new IntervalTimer(clock, () => sendToGroup(group, kernelSignal(SIGNALS[which]!)))
  );
  group.exitHooks.add(() => timers.forEach((timer) => timer.disarm()));
  return timers;
}

function timerOf(task: TaskStruct, which: number): IntervalTimer {
  if (which < 0 || which > 2) throw EINVAL;
  const { kernel, group } = task;
  const known = kernel.state(TIMERS, () => new WeakMap());
  let timers = known.get(group);
  if (timers === undefined) known.set(group, timers = makeTimers(kernel, group));
  return timers[which]!;
}

/** struct itimerval. */
function encode(timer: IntervalTimer): Uint8Array {
  const bytes = new Uint8Array(32);
  const { leftNs } = timer;
  writeTimeval(viewOf(bytes), 0, leftNs === 0 ? 0 : timer.intervalNs);
  // What is left is never shown as 0 while the timer is armed.
  writeTimeval(viewOf(bytes), 16, leftNs === 0 ? 0 : Math.max(1000, leftNs));
  return bytes;
}

function set(timer: IntervalTimer, valueNs: number, intervalNs: number): void {
  if (valueNs === 0) timer.disarm();
  else timer.arm(timer.now() + valueNs, intervalNs);
}

const whichTimer = flagsOf({ ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF });

export const itimerSyscalls: readonly Syscall[] = [
  syscall(
    "getitimer",
    [whichTimer, bufferOut],
    (task, which, address) => copyOutResult(task, address, encode(timerOf(self(task), which))),
  ),
  syscall("setitimer", [whichTimer, bufferIn, bufferOut], (task, which, newAt, oldAt) => {
    const timer = timerOf(self(task), which);
    const change = (valueNs: number, intervalNs: number): ReturnType<typeof copyOutResult> => {
      const old = encode(timer);
      set(timer, valueNs, intervalNs);
      return oldAt === 0 ? 0 : copyOutResult(task, oldAt, old);
    };
    if (newAt === 0) return change(0, 0);
    return withBytes(
      task,
      newAt,
      32,
      (bytes) => change(readTimevalNs(viewOf(bytes), 16), readTimevalNs(viewOf(bytes), 0)),
    );
  }),
  syscall("alarm", [uint], (task, seconds) => {
    const timer = timerOf(self(task), ITIMER_REAL);
    const { leftNs } = timer;
    set(timer, seconds * NS_PER_SEC, 0);
    // Rounded, but never to 0 for an alarm that is still to come.
    return leftNs === 0 ? 0 : Math.max(1, Math.round(leftNs / NS_PER_SEC));
  }),
];
