// SPDX-License-Identifier: Apache-2.0
// One timer that goes off once or again and again, on a clock of the wall, of the machine or of CPU time.
// setitimer(2) and timer_create(2) are made of it.

import type { KernelTimer } from "../../include/linux/sched.ts";
import type { KernelCore, ThreadGroupStruct } from "../task.ts";
import { isRealtime, timekeeping } from "./timespec.ts";

/** How a timer tells time. */
export interface TimerClock {
  /** Time of the clock now, ns. */
  now(): number;
  /** Arranges a look at `deadlineNs` of the clock; returns what undoes it. */
  watch(deadlineNs: number, look: () => void): () => void;
}

/** CLOCK_MONOTONIC and the wall clock (which may be set meanwhile). */
export function machineClock(kernel: KernelCore, clock: number): TimerClock {
  const time = timekeeping(kernel);
  if (!isRealtime(clock)) {
    return {
      now: () => time.monotonicNs(),
      watch(deadlineNs, look) {
        const timer = time.addTimer(deadlineNs, look);
        return () => timer.cancel();
      },
    };
  }
  const offset = (): number => Number(time.realtimeNs() - BigInt(time.monotonicNs()));
  return {
    now: () => Number(time.realtimeNs()),
    watch(deadlineNs, look) {
      let timer: KernelTimer = time.addTimer(Math.max(0, deadlineNs - offset()), look);
      const moved = (): void => {
        timer.cancel();
        timer = time.addTimer(Math.max(0, deadlineNs - offset()), look);
      };
      time.clockSetListeners.add(moved);
      return () => {
        timer.cancel();
        time.clockSetListeners.delete(moved);
      };
    },
  };
}

/** A clock that goes only while `group` runs; looked at after each of its turns. */
export function cpuClock(group: ThreadGroupStruct, read: () => number): TimerClock {
  return {
    now: read,
    watch(deadlineNs, look) {
      const watch = (): void => {
        if (read() >= deadlineNs) look();
      };
      group.cpuWatches.add(watch);
      return () => group.cpuWatches.delete(watch);
    },
  };
}

export class IntervalTimer {
  readonly #clock: TimerClock;
  readonly #expired: (times: number) => void;
  #deadlineNs = 0;
  #unwatch: (() => void) | undefined;
  intervalNs: number = 0;

  /** `expired` hears how many periods have passed since it was last called. */
  constructor(clock: TimerClock, expired: (times: number) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  /** Time to the next expiry; 0 when it is not armed. */
  get leftNs(): number {
    return this.#unwatch === undefined ? 0 : Math.max(1, this.#deadlineNs - this.#clock.now());
  }

  now(): number {
    return this.#clock.now();
  }

  arm(deadlineNs: number, intervalNs: number): void {
    this.disarm();
    this.intervalNs = intervalNs;
    this.#deadlineNs = deadlineNs;
    this.#unwatch = this.#clock.watch(deadlineNs, () => this.#look());
  }

  disarm(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #look(): void {
    const late = this.#clock.now() - this.#deadlineNs;
    if (late < 0) {
      this.arm(this.#deadlineNs, this.intervalNs);
      return;
    }
    this.disarm();
    let times = 1;
    if (this.intervalNs > 0) {
      times += Math.floor(late / this.intervalNs);
      this.arm(this.#deadlineNs + times * this.intervalNs, this.intervalNs);
    }
    this.#expired(times);
  }
}
