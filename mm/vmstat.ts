// SPDX-License-Identifier: Apache-2.0
// What mm counts and keeps per kernel: totals for /proc/meminfo and /proc/vmstat, the caches that can shrink.

import { type Kernel, StateKey, type ThreadGroup } from "../include/linux/sched.ts";

/** Which clean pages go: those not used since the last look, all that no process maps, or mapped ones too. */
export type Effort = "idle" | "unmapped" | "mapped";
const EFFORTS: readonly Effort[] = ["idle", "unmapped", "mapped"];

/** A page cache that reclaim may ask for clean pages. */
export interface Shrinkable {
  /** Frees up to `pages` clean pages. Returns how many. */
  shrink(pages: number, effort: Effort): number;
}

/** What an address space tells the totals. */
export interface AddressSpaceCounts {
  readonly anonymousPages: number;
  readonly filePages: number;
  readonly tablePages: number;
}

/** Counters, in pages unless the name says otherwise. */
export class MemoryState {
  cachedPages = 0;
  shmemPages = 0;
  dirtyPages = 0;
  lockedPages = 0;
  /** Pages promised to private writable and shared anonymous mappings (Committed_AS). */
  committedPages = 0;
  minorFaults = 0;
  majorFaults = 0;
  oomKills = 0;
  /** oom_score_adj by process, where it is not 0. */
  readonly oomAdjust: WeakMap<ThreadGroup, number> = new WeakMap();
  /** kernel.randomize_va_space: 0 gives every program the same layout. */
  randomizeVaSpace = 2;
  overcommitMode = 0;
  overcommitRatio = 50;
  nextMmId = 1;
  readonly addressSpaces: Set<AddressSpaceCounts> = new Set();
  /** A page of zeros that read faults of anonymous memory share; it has a reference of its own for ever. */
  readonly zeroFrame: number;
  /** Non-empty caches of files with a backing store, least recently filled first. */
  readonly caches: Set<Shrinkable> = new Set();

  constructor(kernel: Kernel) {
    this.zeroFrame = kernel.frames.alloc();
    kernel.frames.addShrinker((pages) => this.#shrink(pages));
  }

  /** Drops every clean page that nobody uses. */
  shrinkAll(): void {
    this.#shrink(Infinity, ["unmapped"]);
  }

  /** Tries harder only while nothing at all is found. */
  #shrink(pages: number, efforts: readonly Effort[] = EFFORTS): number {
    let freed = 0;
    for (const effort of efforts) {
      for (const cache of [...this.caches]) {
        freed += cache.shrink(pages - freed, effort);
        if (freed >= pages) return freed;
      }
      if (freed > 0) return freed;
    }
    return freed;
  }
}

const MEMORY = new StateKey<MemoryState>("memory");

export function memoryState(kernel: Kernel): MemoryState {
  return kernel.state(MEMORY, () => new MemoryState(kernel));
}
