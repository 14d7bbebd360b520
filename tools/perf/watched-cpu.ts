// SPDX-License-Identifier: Apache-2.0
// A CPU around the machine's own that stops it at each sample and takes the time between its traps.
//
// The kernel sees nothing but a Cpu. Samples are counted in retired instructions, so that under a host of virtual time
// the same run gives the same profile. Code is left only between blocks: a sample stands at the end of a loop's round or
// of a call, never in the middle of straight code.

import type { HostClock } from "../../include/host/host.ts";
import { type Access, type Cpu, TRAP_FAULT, TRAP_PREEMPTED } from "../../include/linux/cpu.ts";
import type { Ram } from "../../lib/ram.ts";

/** Who hears of what the CPU did. */
export interface CpuWatcher {
  /** Instructions until the next sample; Infinity when there is none. */
  readonly untilSample: number;
  /** `hostNs` passed since the CPU was entered. */
  ran(instructions: number, hostNs: number): void;
  /** The CPU stopped for a page fault. */
  faulted(): void;
  /** The CPU is entered again; so much time was spent outside. */
  entered(hostNs: number): void;
}

export class WatchedCpu implements Cpu {
  readonly #cpu: Cpu;
  readonly #clock: HostClock;
  watcher: CpuWatcher | undefined;
  #leftNs = 0;

  constructor(cpu: Cpu, clock: HostClock) {
    this.#cpu = cpu;
    this.#clock = clock;
  }

  get ram(): Ram {
    return this.#cpu.ram;
  }

  get retired(): number {
    return this.#cpu.retired;
  }

  get trapAddress(): number {
    return this.#cpu.trapAddress;
  }

  get trapAddress64(): bigint {
    return this.#cpu.trapAddress64;
  }

  get trapAccess(): Access {
    return this.#cpu.trapAccess;
  }

  run(budget: number): number {
    const { watcher } = this;
    if (watcher === undefined) return this.#cpu.run(budget);
    let startNs = this.#clock.monotonicNs();
    watcher.entered(startNs - this.#leftNs);
    let left = budget;
    for (;;) {
      const before = this.#cpu.retired;
      const trap = this.#cpu.run(Math.min(left, watcher.untilSample));
      const retired = this.#cpu.retired - before;
      const endNs = this.#clock.monotonicNs();
      left -= retired;
      watcher.ran(retired, endNs - startNs);
      startNs = endNs;
      if (trap === TRAP_PREEMPTED && left > 0) continue;
      if (trap === TRAP_FAULT) watcher.faulted();
      this.#leftNs = endNs;
      return trap;
    }
  }

  step(): number {
    return this.#cpu.step();
  }

  setAddressSpace(root: number, mmId: number): void {
    this.#cpu.setAddressSpace(root, mmId);
  }

  endAddressSpace(mmId: number): void {
    this.#cpu.endAddressSpace(mmId);
  }

  gatherPagesBy(gather: (address: number) => boolean): void {
    this.#cpu.gatherPagesBy(gather);
  }

  flushRange(start: number, end: number): void {
    this.#cpu.flushRange(start, end);
  }

  flushAll(): void {
    this.#cpu.flushAll();
  }

  invalidateFrame(frame: number): void {
    this.#cpu.invalidateFrame(frame);
  }

  statistics(): Record<string, number> {
    return this.#cpu.statistics();
  }
}
