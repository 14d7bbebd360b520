// SPDX-License-Identifier: Apache-2.0
// The page cache of one file: frames by page index, between a file system's storage and everyone who reads,
// writes or maps the file.
//
// Invariants: a cached page holds one reference to its frame; its bytes past the end of file are zero when it
// enters the cache; a page is dirty only when the backing can write. While a page is being read it is in
// `#loading` and not yet in `#pages`, so nobody sees half of it. A dirty page is never dropped but by truncate.
// Generic file operations on top of it are in mm/generic_file.ts.

import type { Inode } from "../include/linux/fs.ts";
import type { Kernel } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps, WAIT_RESCHEDULE } from "../include/linux/wait.ts";
import { EROFS } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset } from "../virt/layout.ts";
import { CachedPages } from "./address_space.ts";
import type { Effort, Shrinkable } from "./vmstat.ts";

/** Storage behind a PageCache. `frame` is a host address of 4096 bytes in kernel.ram. */
export interface PageBacking {
  /** Fills a zeroed frame with page `index` (only the bytes below the end of file matter). Throws EIO. */
  readPage(index: number, frame: number): void | Sleeps<void>;
  /** Fills several zeroed frames, page `index` + i into frames[i]; readahead uses it when it is there. */
  readPages?(index: number, frames: readonly number[]): void | Sleeps<void>;
  /** Widens a miss at `index` to the run that is best read together (a compressed cluster, an extent). */
  extent?(index: number): { start: number; count: number };
  /** Stores page `index`; bytes past the end of file must not reach the file. Absent: the file is read-only. */
  writePage?(index: number, frame: number): void | Sleeps<void>;
  /** Called before a clean page becomes dirty: reserve space, journal. Throws ENOSPC, EDQUOT. */
  prepareDirty?(index: number): void | Sleeps<void>;
}

/** Pages read ahead of a miss, at most. */
export const READAHEAD_PAGES = 32;
/** A miss out of sequence (a page fault, mostly) brings in the aligned run of this size that it lies in. */
const READ_AROUND_PAGES = 16;

/** In the low bit of a frame's address: its page was used since the clock hand passed it last. */
const REFERENCED = 1;

export class PageCache extends CachedPages implements Shrinkable {
  readonly #backing: PageBacking;
  /** By index: the frame, and whether its page is REFERENCED. */
  readonly #pages = new Map<number, number>();
  #dirty: Set<number> | undefined;
  #loading: Set<number> | undefined;
  #nextSequential = 0;
  #readahead = READ_AROUND_PAGES;

  constructor(kernel: Kernel, inode: Inode, backing: PageBacking) {
    super(kernel, inode);
    this.#backing = backing;
  }

  override get pageCount(): number {
    return this.#pages.size;
  }
  override get dirtyCount(): number {
    return this.#dirty?.size ?? 0;
  }
  override isDirty(index: number): boolean {
    return this.#dirty !== undefined && this.#dirty.has(index);
  }
  override isHole(): boolean {
    return false;
  }

  override find(index: number): number {
    const page = this.#pages.get(index);
    return page === undefined ? 0 : frameOf(page);
  }

  override read(index: number): number | Sleeps<number> {
    const page = this.#pages.get(index);
    if (page !== undefined) return this.#refer(index, page);
    if (index * PAGE_SIZE >= this.inode.size) return 0;
    return this.#load(index);
  }

  override makeWritable(index: number): number | Sleeps<number> {
    if (this.isDirty(index)) return this.find(index);
    return this.#makeWritable(index, false);
  }

  override makeReplaceable(index: number): number | Sleeps<number> {
    if (this.isDirty(index)) return this.find(index);
    return this.#makeWritable(index, true);
  }

  /** Puts a filled frame into the cache; the cache takes over the caller's reference. False (and the frame is
   *  freed) when the page is there already. For backings that learn of more pages than they were asked for. */
  insert(index: number, frame: number): boolean {
    if (this.#pages.has(index)) {
      this.kernel.frames.put(frame);
      return false;
    }
    this.#add(index, frame);
    return true;
  }

  override writeBack(start: number, end: number): void | Sleeps<void> {
    if (this.dirtyCount > 0) return this.#writePages(start, end);
  }

  *#writePages(start: number, end: number): Sleeps<void> {
    const first = Math.floor(start / PAGE_SIZE);
    const last = Math.ceil(end / PAGE_SIZE);
    const indexes = [...this.#dirty ?? []].filter((index) => index >= first && index < last).sort((a, b) =>
      a - b
    );
    for (const index of indexes) {
      const frame = this.find(index);
      if (frame === 0 || !this.isDirty(index)) continue;
      this.#writeProtect(index);
      this.#setDirty(index, false); // Before the write: a store while it is under way dirties the page again.
      try {
        const answer = this.#backing.writePage?.(index, frame);
        if (isSleeping(answer)) yield* answer;
      } catch (error) {
        if (this.find(index) === frame) this.#setDirty(index, true);
        throw error;
      }
    }
  }

  override truncate(size: number): void {
    const keep = Math.ceil(size / PAGE_SIZE);
    this.unmapRange(keep, Infinity, "all");
    for (const index of [...this.#pages.keys()]) {
      if (index >= keep) this.#remove(index);
    }
    const tail = pageOffset(size);
    if (tail !== 0) this.zero(keep - 1, tail, PAGE_SIZE);
  }

  override evict(): void {
    for (const index of [...this.#pages.keys()]) this.#remove(index);
  }

  shrink(pages: number, effort: Effort): number {
    let freed = 0;
    let visits = this.#pages.size;
    for (const [index, page] of this.#pages) {
      if (freed >= pages || visits-- === 0) break;
      if (this.#isReclaimable(index, page, effort)) {
        this.#remove(index);
        freed++;
      } else {
        // To the end of the line: the next look begins where this one stops.
        this.#pages.delete(index);
        this.#pages.set(index, effort === "idle" ? frameOf(page) : page);
      }
    }
    return freed;
  }

  #isReclaimable(index: number, page: number, effort: Effort): boolean {
    const { frames } = this.kernel;
    const frame = frameOf(page);
    if (this.isDirty(index)) return false;
    if (effort === "idle" && page !== frame) return false;
    if (effort === "mapped" && frames.references(frame) > 1) this.unmapRange(index, index + 1, "cached");
    return frames.references(frame) === 1; // Whoever works on a page holds a reference meanwhile.
  }

  /** Removes one page from the cache, dirty or not. */
  #remove(index: number): void {
    const frame = this.find(index);
    if (frame === 0) return;
    this.#setDirty(index, false);
    this.#pages.delete(index);
    this.memory.cachedPages--;
    if (this.#pages.size === 0) this.memory.caches.delete(this);
    this.kernel.frames.put(frame);
  }

  #add(index: number, frame: number): void {
    if (this.#pages.size === 0) this.memory.caches.add(this);
    this.#pages.set(index, frame);
    this.memory.cachedPages++;
  }

  /** The page is used. Its frame. */
  #refer(index: number, page: number): number {
    const frame = frameOf(page);
    if (page === frame) this.#pages.set(index, frame + REFERENCED);
    return frame;
  }

  #setDirty(index: number, isDirty: boolean): void {
    if (this.isDirty(index) === isDirty) return;
    if (isDirty) (this.#dirty ??= new Set()).add(index);
    else this.#dirty?.delete(index);
    this.memory.dirtyPages += isDirty ? 1 : -1;
  }

  #writeProtect(index: number): void {
    for (const vma of this.mappings) {
      const address = vma.start + index * PAGE_SIZE - vma.offset;
      if (address >= vma.start && address < vma.end) vma.mm.clean(address, address + PAGE_SIZE);
    }
  }

  *#makeWritable(index: number, isReplaced: boolean): Sleeps<number> {
    if (this.#backing.writePage === undefined) throw EROFS;
    for (;;) {
      let frame = this.find(index);
      if (frame === 0 && !isReplaced && index * PAGE_SIZE < this.inode.size) frame = yield* this.#load(index);
      const prepared = this.#backing.prepareDirty?.(index);
      if (isSleeping(prepared)) yield* prepared;
      while (this.#isLoading(index)) yield WAIT_RESCHEDULE;
      frame = this.find(index);
      if (frame === 0) {
        frame = this.kernel.frames.alloc();
        this.#add(index, frame);
      }
      this.#setDirty(index, true);
      return this.#refer(index, this.#pages.get(index) ?? frame);
    }
  }

  /** Reads page `index` and what is best read with it. Answers its frame, or 0 beyond the end of file. */
  *#load(index: number): Sleeps<number> {
    while (this.#isLoading(index)) yield WAIT_RESCHEDULE;
    const cached = this.find(index);
    if (cached !== 0) return cached;
    const run = this.#missingRun(index);
    yield* this.#fill(run.start, run.count, this.#backing);
    const page = this.#pages.get(index);
    return page === undefined ? 0 : this.#refer(index, page);
  }

  /** The pages to read for a miss at `index`: the backing's own unit, or a window that doubles while reads are
   *  sequential; cut where pages are cached or being read. */
  #missingRun(index: number): { start: number; count: number } {
    const pagesInFile = Math.ceil(this.inode.size / PAGE_SIZE);
    let start = index;
    let end = index + 1;
    const isSequential = index === this.#nextSequential && index !== 0;
    this.#readahead = isSequential ? Math.min(this.#readahead * 2, READAHEAD_PAGES) : READ_AROUND_PAGES;
    if (this.#backing.readPages !== undefined) {
      if (!isSequential) start = index - index % READ_AROUND_PAGES;
      end = start + this.#readahead;
    }
    const extent = this.#backing.extent?.(index);
    if (extent !== undefined) {
      start = Math.min(index, extent.start);
      end = Math.max(index + 1, extent.start + extent.count);
    }
    end = Math.min(end, Math.max(pagesInFile, index + 1));
    let first = index;
    while (first > start && !this.#isBusy(first - 1)) first--;
    let last = index + 1;
    while (last < end && !this.#isBusy(last)) last++;
    this.#nextSequential = last;
    return { start: first, count: last - first };
  }

  #isBusy(index: number): boolean {
    return this.#pages.has(index) || this.#isLoading(index);
  }

  #isLoading(index: number): boolean {
    return this.#loading !== undefined && this.#loading.has(index);
  }

  *#fill(start: number, count: number, backing: PageBacking): Sleeps<void> {
    const { frames } = this.kernel;
    let pages: readonly number[] = [];
    let added = 0;
    const loading = this.#loading ??= new Set();
    for (let i = 0; i < count; i++) loading.add(start + i);
    try {
      pages = frames.allocRun(count); // one behind the other, for what is checked over two pages
      if (backing.readPages !== undefined) {
        const answer = backing.readPages(start, pages);
        if (isSleeping(answer)) yield* answer;
      } else {
        for (let i = 0; i < count; i++) {
          const answer = backing.readPage(start + i, pages[i]!);
          if (isSleeping(answer)) yield* answer;
        }
      }
      const pagesInFile = Math.ceil(this.inode.size / PAGE_SIZE); // It may have been cut meanwhile.
      for (; added < count && start + added < pagesInFile; added++) {
        this.#zeroTail(start + added, pages[added]!);
        this.insert(start + added, pages[added]!);
      }
    } finally {
      for (; added < pages.length; added++) frames.put(pages[added]!);
      for (let i = 0; i < count; i++) loading.delete(start + i);
    }
  }

  #zeroTail(index: number, frame: number): void {
    const tail = this.inode.size - index * PAGE_SIZE;
    if (tail < PAGE_SIZE) this.kernel.ram.u8.fill(0, frame + tail, frame + PAGE_SIZE);
  }
}

function frameOf(page: number): number {
  return page - (page & REFERENCED);
}
