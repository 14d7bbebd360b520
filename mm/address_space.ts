// SPDX-License-Identifier: Apache-2.0
// What the page caches of all files have in common: the inode they belong to and who maps them. mm/filemap.ts has storage behind its pages,
// mm/shmem.ts is its own storage.

import type { AddressSpace, Inode } from "../include/linux/fs.ts";
import type { Vma } from "../include/linux/mm_types.ts";
import type { Kernel } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { type MemoryState, memoryState } from "./vmstat.ts";

const NOBODY: ReadonlySet<Vma> = new Set();

export abstract class CachedPages implements AddressSpace {
  readonly inode: Inode;
  readonly kernel: Kernel;
  protected readonly memory: MemoryState;
  /** Made for the first who maps: most files are never mapped. */
  #mappings: Set<Vma> | undefined;

  constructor(kernel: Kernel, inode: Inode) {
    this.kernel = kernel;
    this.inode = inode;
    this.memory = memoryState(kernel);
  }

  /** Pages that are there. */
  abstract get pageCount(): number;
  /** Pages that the storage does not have yet. */
  abstract get dirtyCount(): number;
  abstract isDirty(index: number): boolean;
  /** True when reading page `index` yields zeros without allocating it. */
  abstract isHole(index: number): boolean;
  abstract find(index: number): number;
  abstract read(index: number): number | Sleeps<number>;
  abstract makeWritable(index: number): number | Sleeps<number>;
  /** As makeWritable for a writer who replaces the whole page: its old bytes are not read. */
  abstract makeReplaceable(index: number): number | Sleeps<number>;
  abstract writeBack(start: number, end: number): void | Sleeps<void>;
  abstract truncate(size: number): void;
  /** Drops every page without writing it: the inode goes away. */
  abstract evict(): void;

  get mappings(): ReadonlySet<Vma> {
    return this.#mappings ?? NOBODY;
  }

  addMapping(vma: Vma): void {
    (this.#mappings ??= new Set()).add(vma);
  }

  removeMapping(vma: Vma): void {
    this.#mappings?.delete(vma);
  }

  /** Takes the pages [first, last) out of every address space that maps them; with "all" also the private copies
   *  that were made of them. */
  unmapRange(first: number, last: number, what: "all" | "cached"): void {
    for (const vma of this.mappings) {
      const base = vma.offset / PAGE_SIZE;
      const from = vma.start + Math.max(0, first - base) * PAGE_SIZE;
      const to = Math.min(vma.end, vma.start + Math.max(0, last - base) * PAGE_SIZE);
      if (from >= to) continue;
      if (what === "all") vma.mm.zap(from, to);
      else vma.mm.zapCached(from, to);
    }
  }

  /** Zeroes the bytes [from, to) of page `index`, if it is there. */
  protected zero(index: number, from: number, to: number): void {
    const frame = this.find(index);
    if (frame === 0) return;
    this.kernel.ram.u8.fill(0, frame + from, frame + to);
    this.kernel.frames.invalidate(frame);
  }
}
