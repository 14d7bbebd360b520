// SPDX-License-Identifier: Apache-2.0
// Memory that is its own storage: the page cache of tmpfs files, memfd and shared anonymous mappings.
//
// A page that was never written is a hole: reading it through read(2) yields zeros and allocates nothing; a
// mapping that touches it allocates. Pages are never reclaimed (there is no swap), so they count against the
// file system's limit through ShmemAccounting. Sources: tmpfs(5), memfd_create(2), lseek(2), fallocate(2).

import type { Inode } from "../include/linux/fs.ts";
import type { Kernel } from "../include/linux/sched.ts";
import { ENXIO } from "../lib/errno.ts";
import { SparseArray } from "../lib/sparse-array.ts";
import { PAGE_SIZE, pageOffset } from "../virt/layout.ts";
import { CachedPages } from "./address_space.ts";

/** The limit that a mount puts on its pages. `charge` throws ENOSPC. */
export interface ShmemAccounting {
  charge(pages: number): void;
  uncharge(pages: number): void;
}

export class ShmemMapping extends CachedPages {
  readonly #accounting: ShmemAccounting | undefined;
  /** Frames by index. */
  readonly #pages = new SparseArray();

  constructor(kernel: Kernel, inode: Inode, accounting?: ShmemAccounting) {
    super(kernel, inode);
    this.#accounting = accounting;
  }

  override get pageCount(): number {
    return this.#pages.size;
  }
  override get dirtyCount(): number {
    return 0;
  }
  override isDirty(): boolean {
    return false;
  }
  override isHole(index: number): boolean {
    return this.#pages.get(index) === 0;
  }

  override find(index: number): number {
    return this.#pages.get(index);
  }

  /** A hole below the end of file becomes a zero page. Throws ENOSPC. */
  override read(index: number): number {
    const frame = this.#pages.get(index);
    if (frame !== 0) return frame;
    return index * PAGE_SIZE < this.inode.size ? this.makeWritable(index) : 0;
  }

  override makeWritable(index: number): number {
    const frame = this.#pages.get(index);
    if (frame !== 0) return frame;
    this.#accounting?.charge(1);
    let fresh: number;
    try {
      fresh = this.kernel.frames.alloc();
    } catch (error) {
      this.#accounting?.uncharge(1);
      throw error;
    }
    this.#pages.set(index, fresh);
    this.#countPages(1);
    return fresh;
  }

  override makeReplaceable(index: number): number {
    return this.makeWritable(index);
  }

  override writeBack(): void {}

  override truncate(size: number): void {
    const keep = Math.ceil(size / PAGE_SIZE);
    this.unmapRange(keep, Infinity, "all");
    for (const index of this.#pages.indexes(keep)) this.#remove(index);
    const tail = pageOffset(size);
    if (tail !== 0) this.zero(keep - 1, tail, PAGE_SIZE);
  }

  override evict(): void {
    for (const index of this.#pages.indexes()) this.#remove(index);
  }

  /** FALLOC_FL_PUNCH_HOLE: [start, end) reads as zeros and holds no pages. */
  punchHole(start: number, end: number): void {
    const first = Math.ceil(start / PAGE_SIZE);
    const last = Math.floor(end / PAGE_SIZE);
    if (first > last) return this.zero(last, pageOffset(start), pageOffset(end));
    if (pageOffset(start) !== 0) this.zero(first - 1, pageOffset(start), PAGE_SIZE);
    if (pageOffset(end) !== 0) this.zero(last, 0, pageOffset(end));
    if (first === last) return;
    this.unmapRange(first, last, "cached");
    if (last - first < this.#pages.size) {
      for (let index = first; index < last; index++) this.#remove(index);
    } else {
      for (const index of this.#pages.indexes(first)) if (index < last) this.#remove(index);
    }
  }

  /** fallocate(2) mode 0: every page of [start, end) exists. Throws ENOSPC and then has allocated none. */
  preallocate(start: number, end: number): void {
    const added: number[] = [];
    try {
      for (let index = Math.floor(start / PAGE_SIZE); index * PAGE_SIZE < end; index++) {
        if (!this.isHole(index)) continue;
        this.makeWritable(index);
        added.push(index);
      }
    } catch (error) {
      for (const index of added) this.#remove(index);
      throw error;
    }
  }

  /** SEEK_DATA: the first offset at or after `offset` that holds a page. Throws ENXIO. */
  seekData(offset: number): number {
    return this.#seek(offset, "data");
  }
  /** SEEK_HOLE: the first offset at or after `offset` in a hole; the end of file is one. Throws ENXIO. */
  seekHole(offset: number): number {
    return this.#seek(offset, "hole");
  }

  #remove(index: number): void {
    const frame = this.#pages.get(index);
    if (frame === 0) return;
    this.#pages.delete(index);
    this.#countPages(-1);
    this.#accounting?.uncharge(1);
    this.kernel.frames.put(frame);
  }

  #countPages(change: number): void {
    this.memory.cachedPages += change;
    this.memory.shmemPages += change;
    this.inode.blocks += change * (PAGE_SIZE / 512);
  }

  #seek(offset: number, what: "data" | "hole"): number {
    const { size } = this.inode;
    if (offset < 0 || offset >= size) throw ENXIO;
    const first = Math.floor(offset / PAGE_SIZE);
    const pages = Math.ceil(size / PAGE_SIZE);
    let index = first;
    while (index < pages && this.isHole(index) === (what === "data")) index++;
    if (index === first) return offset;
    if (index < pages) return index * PAGE_SIZE;
    if (what === "data") throw ENXIO;
    return size;
  }
}
