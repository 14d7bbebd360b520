// SPDX-License-Identifier: Apache-2.0
// Load averages without a clock that ticks: how busy the CPU was between two looks, damped as Linux damps its
// samples. With one CPU it cannot exceed 1. Source: proc_loadavg(5), getloadavg(3).

import { type Kernel, StateKey } from "../../include/linux/sched.ts";
import { Scheduler } from "../../kernel/sched/core.ts";
import { self } from "../../kernel/task.ts";

const MINUTE_NS = 60e9;

interface Load {
  atNs: number;
  busyNs: number;
  readonly averages: [number, number, number];
}

const LOAD = new StateKey<Load>("proc.load");

export function schedulerOf(kernel: Kernel): Scheduler | undefined {
  const { current } = kernel.tasks;
  const sched = current === undefined ? undefined : self(current).kernel.sched;
  return sched instanceof Scheduler ? sched : undefined;
}

/** Time since the start in which something ran. */
export function busyNs(kernel: Kernel): number {
  return Math.max(0, kernel.time.monotonicNs() - (schedulerOf(kernel)?.idleNs ?? 0));
}

/** Over 1, 5 and 15 minutes. */
export function loadAverage(kernel: Kernel): readonly number[] {
  const load = kernel.state(LOAD, (): Load => ({ atNs: 0, busyNs: 0, averages: [0, 0, 0] }));
  const now = kernel.time.monotonicNs();
  const busy = busyNs(kernel);
  const elapsed = now - load.atNs;
  if (elapsed > 0) {
    const mean = (busy - load.busyNs) / elapsed;
    for (const [i, minutes] of [1, 5, 15].entries()) {
      const keep = Math.exp(-elapsed / (minutes * MINUTE_NS));
      load.averages[i] = load.averages[i]! * keep + mean * (1 - keep);
    }
    load.atNs = now;
    load.busyNs = busy;
  }
  return load.averages;
}
