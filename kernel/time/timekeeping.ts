// SPDX-License-Identifier: Apache-2.0
// Clocks and the timer heap.
//
// CLOCK_MONOTONIC starts at 0 with the kernel; CLOCK_REALTIME is the host's wall clock at that moment plus what
// settimeofday(2) has moved it by. Under a host of virtual time every reading first hands the host the instructions
// that ran since the last one, so that a program that spins on the clock sees it move.
// Timers of one deadline fire in the order in which they were made.

import type { Host } from "../../include/host/host.ts";
import type { Cpu } from "../../include/linux/cpu.ts";
import { type TimeSpec, timeSpec } from "../../include/linux/fs.ts";
import type { KernelTimer, TimeKeeper } from "../../include/linux/sched.ts";

class HeapTimer implements KernelTimer {
  readonly deadlineNs: number;
  readonly order: number;
  readonly fire: () => void;
  readonly #heap: TimerHeap;
  /** Place in the heap, -1 when not in it. */
  index: number = -1;

  constructor(heap: TimerHeap, deadlineNs: number, order: number, fire: () => void) {
    this.#heap = heap;
    this.deadlineNs = deadlineNs;
    this.order = order;
    this.fire = fire;
  }

  cancel(): void {
    if (this.index >= 0) this.#heap.remove(this);
  }
}

/** Binary heap by deadline, then by order of making. */
class TimerHeap {
  readonly #timers: HeapTimer[] = [];
  #made = 0;

  get first(): HeapTimer | undefined {
    return this.#timers[0];
  }

  add(deadlineNs: number, fire: () => void): HeapTimer {
    const timer = new HeapTimer(this, deadlineNs, this.#made++, fire);
    this.#timers.push(timer);
    timer.index = this.#timers.length - 1;
    this.#up(timer);
    return timer;
  }

  remove(timer: HeapTimer): void {
    const hole = timer.index;
    const last = this.#timers.pop();
    timer.index = -1;
    if (last === undefined || last === timer) return;
    this.#put(last, hole);
    this.#up(last);
    this.#down(last);
  }

  #put(timer: HeapTimer, index: number): void {
    this.#timers[index] = timer;
    timer.index = index;
  }

  #up(timer: HeapTimer): void {
    while (timer.index > 0) {
      const place = timer.index;
      const parent = this.#timers[(place - 1) >> 1]!;
      if (!isBefore(timer, parent)) return;
      this.#put(timer, parent.index);
      this.#put(parent, place);
    }
  }

  #down(timer: HeapTimer): void {
    for (;;) {
      const place = timer.index;
      let child = this.#timers[2 * place + 1];
      const right = this.#timers[2 * place + 2];
      if (child === undefined) return;
      if (right !== undefined && isBefore(right, child)) child = right;
      if (!isBefore(child, timer)) return;
      this.#put(timer, child.index);
      this.#put(child, place);
    }
  }
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.deadlineNs < b.deadlineNs || (a.deadlineNs === b.deadlineNs && a.order < b.order);
}

/** setTimeout and the like cannot reach further than this; a later deadline is as good as none. */
const DEADLINE_MAX_NS = Number.MAX_SAFE_INTEGER;

export class TimeKeeping implements TimeKeeper {
  readonly #host: Host;
  readonly #cpu: Cpu;
  readonly #heap = new TimerHeap();
  readonly #startNs: number;
  #wallAtZeroNs = 0n;
  #baseSec = 0;
  #baseNsec = 0;
  #seenRetired = 0;
  readonly clockSetListeners: Set<() => void> = new Set();

  constructor(host: Host, cpu: Cpu) {
    this.#host = host;
    this.#cpu = cpu;
    this.#startNs = host.clock.monotonicNs();
    this.#setWall(host.clock.wallAtZeroNs + BigInt(Math.floor(this.#startNs)));
  }

  monotonicNs(): number {
    if (this.#host.advance !== undefined) {
      const { retired } = this.#cpu;
      if (retired !== this.#seenRetired) {
        this.#host.advance(retired - this.#seenRetired);
        this.#seenRetired = retired;
      }
    }
    return Math.floor(this.#host.clock.monotonicNs() - this.#startNs);
  }

  /** A deadline of ours as the host counts. */
  hostDeadline(deadlineNs: number): number {
    return deadlineNs + this.#startNs;
  }

  get wallAtZeroNs(): bigint {
    return this.#wallAtZeroNs;
  }

  realtimeNs(): bigint {
    return this.#wallAtZeroNs + BigInt(this.monotonicNs());
  }

  realtime(): TimeSpec {
    const ns = this.#baseNsec + this.monotonicNs();
    const carry = Math.floor(ns / 1e9);
    return timeSpec(this.#baseSec + carry, ns - carry * 1e9);
  }

  /** Keeps the wall clock's zero as seconds and nanoseconds too: bigints are slow. */
  #setWall(zeroNs: bigint): void {
    this.#wallAtZeroNs = zeroNs;
    const { sec, nsec } = split(zeroNs);
    this.#baseSec = sec;
    this.#baseNsec = nsec;
  }

  setRealtime(ns: bigint): void {
    this.#setWall(ns - BigInt(this.monotonicNs()));
    for (const listener of [...this.clockSetListeners]) listener();
  }

  /** When the kernel started, as wall-clock seconds: btime of /proc/stat. */
  get bootTimeSec(): number {
    return Number(this.#wallAtZeroNs / 1_000_000_000n);
  }

  /** The monotonic time at which the wall clock will show `ns`. */
  monotonicOfRealtime(ns: bigint): number {
    return Number(ns - this.#wallAtZeroNs);
  }

  addTimer(deadlineNs: number, fire: () => void): KernelTimer {
    return this.#heap.add(Math.min(deadlineNs, DEADLINE_MAX_NS), fire);
  }

  /** Deadline of the first timer, or Infinity. */
  get nextDeadlineNs(): number {
    const { first } = this.#heap;
    return first === undefined || first.deadlineNs === DEADLINE_MAX_NS ? Infinity : first.deadlineNs;
  }

  /** Fires what is due at `nowNs`. */
  expire(nowNs: number): void {
    for (;;) {
      const { first } = this.#heap;
      if (first === undefined || first.deadlineNs > nowNs) return;
      this.#heap.remove(first);
      first.fire();
    }
  }
}

function split(ns: bigint): TimeSpec {
  const sec = ns / 1_000_000_000n;
  return timeSpec(Number(sec), Number(ns - sec * 1_000_000_000n));
}
