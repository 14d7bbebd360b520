// SPDX-License-Identifier: Apache-2.0
// The frame allocator: a binary buddy system over guest RAM, with a reference count for each frame.
//
// Frames are named by host address. Memory that no one has used yet is known to be zero (WebAssembly
// memory starts so), hence a fresh frame costs no clearing. A block is split from below, so that frames
// taken one after the other are neighbours: the machine's TLB path likes runs.
// Largest blocks can be reserved for an address space, which takes the frames of them that it wants, so that pages in a row
// lie in a row in RAM. What is not taken of them counts as free, and is given to others when nothing else is left.
//
// Invariants: `#freeOrder[i]` is 1 + the order of the free block that starts at frame i, else 0; a frame with
// a reference is in no free block, nor is any of a reserved block; a block of order k is aligned to 2^k frames counted from
// FRAMES_START.

import type { Cpu } from "../include/linux/cpu.ts";
import type { PageAllocator } from "../include/linux/mm_types.ts";
import { ENOMEM } from "../lib/errno.ts";
import type { Ram } from "../lib/ram.ts";
import { FRAME_CODE, FRAME_FLAGS, FRAMES_START, PAGE_SHIFT, PAGE_SIZE } from "../virt/layout.ts";

/** The largest block: 2^10 frames, 4 MiB. */
export const MAX_ORDER = 10;
/** Bytes of a block that can be reserved. */
export const RESERVED_BYTES: number = PAGE_SIZE << MAX_ORDER;
/** How many pages a shrinker is asked for at a time. */
const RECLAIM_BATCH = 64;

/** Gives pages back under pressure; returns how many frames it freed. Must not sleep. */
export type Shrinker = (pages: number) => number;

export class BuddyAllocator implements PageAllocator {
  readonly #ram: Ram;
  readonly #cpu: Pick<Cpu, "invalidateFrame">;
  readonly #references: Int32Array;
  readonly #freeOrder: Int8Array;
  readonly #isZero: Uint8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** First block of each order's free list, or -1. */
  readonly #heads = new Int32Array(MAX_ORDER + 1).fill(-1);
  /** Blocks that are reserved, by number, and how many of their frames have references. */
  readonly #reserved = new Map<number, number>();
  readonly #shrinkers = new Set<Shrinker>();
  #total: number;
  #used = 0;
  /** Frames below this have been handed to the free lists; above it lies memory never used. */
  #fresh = 0;
  #isReclaiming = false;

  constructor(ram: Ram, cpu: Pick<Cpu, "invalidateFrame">) {
    this.#ram = ram;
    this.#cpu = cpu;
    this.#total = Math.max(0, Math.floor((ram.limitBytes - FRAMES_START) / PAGE_SIZE));
    this.#references = new Int32Array(this.#total);
    this.#freeOrder = new Int8Array(this.#total);
    this.#isZero = new Uint8Array(this.#total);
    this.#next = new Int32Array(this.#total);
    this.#previous = new Int32Array(this.#total);
  }

  get totalPages(): number {
    return this.#total;
  }
  get freePages(): number {
    return this.#total - this.#used;
  }

  /** Shrinkers are asked in the order in which they were added. */
  addShrinker(shrinker: Shrinker): void {
    this.#shrinkers.add(shrinker);
  }

  alloc(): number {
    const index = this.#take(0);
    const frame = FRAMES_START + index * PAGE_SIZE;
    if (this.#isZero[index] === 0) this.#ram.u8.fill(0, frame, frame + PAGE_SIZE);
    this.#isZero[index] = 0;
    return frame;
  }

  allocDirty(): number {
    const index = this.#take(0);
    this.#isZero[index] = 0;
    return FRAMES_START + index * PAGE_SIZE;
  }

  allocOrder(order: number): number {
    if (order > MAX_ORDER) throw ENOMEM;
    return this.#clear(this.#take(order), order);
  }

  allocRun(count: number): number[] {
    const frames: number[] = [];
    try {
      while (frames.length < count) frames.push(...this.#takeRun(count - frames.length));
    } catch (error) {
      for (const frame of frames) this.put(frame);
      throw error;
    }
    return frames;
  }

  /** As many of `count` frames as lie in one block, at least one. */
  #takeRun(count: number): number[] {
    const order = Math.min(32 - Math.clz32(count - 1), MAX_ORDER);
    const block = this.#takeFree(order);
    if (block < 0) return [this.alloc()];
    const end = block + (1 << order);
    const taken = Math.min(count, 1 << order);
    for (let index = block + taken; index < end; index++) this.#release(index, 0);
    return Array.from({ length: taken }, (_, n) => this.#clear(this.#claim(block + n, 0), 0));
  }

  reserve(count: number, wanted: number): number {
    const isFree = wanted >= FRAMES_START && this.#freeFrom(this.#blockOf(wanted), count) === count;
    const first = isFree ? this.#blockOf(wanted) : this.#findFree(count);
    if (first < 0) return -1;
    for (let block = first; block < first + count; block++) {
      this.#unlink(block << MAX_ORDER, MAX_ORDER);
      this.#reserved.set(block, 0);
    }
    return FRAMES_START + first * RESERVED_BYTES;
  }

  /** How many of `count` largest blocks from one on are free; none when there are not as many. */
  #freeFrom(block: number, count: number): number {
    if ((block + count) << MAX_ORDER > this.#total) return 0;
    for (let n = 0; n < count; n++) {
      const index = (block + n) << MAX_ORDER;
      if (index >= this.#fresh && (index > this.#fresh || !this.#extend())) return n;
      if (this.#freeOrder[index] !== 1 + MAX_ORDER) return n;
    }
    return count;
  }

  /** The first of `count` largest blocks in a row, or -1. */
  #findFree(count: number): number {
    if (count === 1) {
      while (this.#heads[MAX_ORDER]! < 0) if (!this.#extend()) return -1;
      return this.#heads[MAX_ORDER]! >>> MAX_ORDER;
    }
    for (let block = 0; block << MAX_ORDER <= this.#fresh;) {
      const free = this.#freeFrom(block, count);
      if (free === count) return block;
      block += free + 1;
    }
    return -1;
  }

  takeReserved(frame: number, contents: "zero" | "any"): number {
    const taken = this.#reserved.get(this.#blockOf(frame));
    const index = (frame - FRAMES_START) >>> PAGE_SHIFT;
    if (taken === undefined || this.#references[index] !== 0) return -1;
    this.#reserved.set(this.#blockOf(frame), taken + 1);
    this.#claim(index, 0);
    if (contents === "zero") this.#clear(index, 0);
    else this.#isZero[index] = 0;
    return frame;
  }

  isUnused(block: number): boolean {
    return this.#reserved.get(this.#blockOf(block)) === 0;
  }

  unreserve(block: number): void {
    const n = this.#blockOf(block);
    const taken = this.#reserved.get(n);
    if (taken === undefined) return; // Others were in need of it.
    this.#reserved.delete(n);
    if (taken === 0) return this.#release(n << MAX_ORDER, MAX_ORDER);
    for (let index = n << MAX_ORDER, end = index + (1 << MAX_ORDER); index < end; index++) {
      if (this.#references[index] === 0) this.#release(index, 0);
    }
  }

  #blockOf(frame: number): number {
    return Math.floor((frame - FRAMES_START) / RESERVED_BYTES);
  }

  #clear(index: number, order: number): number {
    for (let i = index; i < index + (1 << order); i++) {
      const frame = FRAMES_START + i * PAGE_SIZE;
      if (this.#isZero[i] === 0) this.#ram.u8.fill(0, frame, frame + PAGE_SIZE);
      this.#isZero[i] = 0;
    }
    return FRAMES_START + index * PAGE_SIZE;
  }

  get(frame: number): void {
    const index = (frame - FRAMES_START) >>> PAGE_SHIFT;
    this.#references[index] = this.#references[index]! + 1;
  }

  put(frame: number): void {
    const index = (frame - FRAMES_START) >>> PAGE_SHIFT;
    const left = this.#references[index]! - 1;
    if (left < 0) throw new Error(`frame ${frame.toString(16)} freed twice`);
    this.#references[index] = left;
    if (left !== 0) return;
    this.invalidate(frame);
    this.#used--;
    const taken = this.#reserved.get(index >>> MAX_ORDER);
    if (taken === undefined) this.#release(index, 0);
    else this.#reserved.set(index >>> MAX_ORDER, taken - 1);
  }

  references(frame: number): number {
    return this.#references[(frame - FRAMES_START) >>> PAGE_SHIFT]!;
  }

  /** The kernel changed bytes of the frame: code made from it must go. */
  invalidate(frame: number): void {
    if (this.hasCode(frame)) this.#cpu.invalidateFrame(frame);
  }

  /** Whether code was made from the frame. */
  hasCode(frame: number): boolean {
    return (this.#ram.u8[FRAME_FLAGS + (frame >>> PAGE_SHIFT)]! & FRAME_CODE) !== 0;
  }

  /** Index of the first of 2^order frames, each with one reference. Throws ENOMEM. */
  #take(order: number): number {
    let index = this.#takeFree(order);
    while (index < 0) {
      if (!this.#breakReservation() && !this.#reclaim(1 << order)) throw ENOMEM;
      index = this.#takeFree(order);
    }
    return this.#claim(index, order);
  }

  #claim(index: number, order: number): number {
    this.#references.fill(1, index, index + (1 << order));
    this.#used += 1 << order;
    return index;
  }

  /** Gives up the oldest reservation that has frames to spare. */
  #breakReservation(): boolean {
    for (const [block, taken] of this.#reserved) {
      this.unreserve(FRAMES_START + block * RESERVED_BYTES);
      if (taken < 1 << MAX_ORDER) return true;
    }
    return false;
  }

  /** The first frame of a free block. */
  #takeFree(order: number): number {
    for (;;) {
      for (let k = order; k <= MAX_ORDER; k++) {
        const index = this.#heads[k]!;
        if (index < 0) continue;
        this.#unlink(index, k);
        for (let j = k - 1; j >= order; j--) this.#link(index + (1 << j), j);
        return index;
      }
      if (!this.#extend()) return -1;
    }
  }

  /** Moves the next never-used block to the free lists, growing RAM when it must. False at the limit. */
  #extend(): boolean {
    const left = this.#total - this.#fresh;
    if (left <= 0) return false;
    let order = MAX_ORDER;
    while (1 << order > left) order--;
    const count = 1 << order;
    if (!this.#ram.ensure(FRAMES_START + (this.#fresh + count) * PAGE_SIZE)) {
      this.#total = this.#fresh; // The host has no more to give: that is the size of this machine now.
      return false;
    }
    this.#isZero.fill(1, this.#fresh, this.#fresh + count);
    this.#link(this.#fresh, order);
    this.#fresh += count;
    return true;
  }

  #reclaim(pages: number): boolean {
    if (this.#isReclaiming) return false;
    this.#isReclaiming = true;
    try {
      let freed = 0;
      for (const shrinker of this.#shrinkers) {
        freed += shrinker(Math.max(pages, RECLAIM_BATCH));
        if (freed >= pages) break;
      }
      return freed > 0;
    } finally {
      this.#isReclaiming = false;
    }
  }

  #release(start: number, startOrder: number): void {
    let index = start;
    let order = startOrder;
    while (order < MAX_ORDER) {
      const buddy = index ^ (1 << order);
      if (buddy >= this.#fresh || this.#freeOrder[buddy] !== 1 + order) break;
      this.#unlink(buddy, order);
      index &= ~(1 << order);
      order++;
    }
    this.#link(index, order);
  }

  #link(index: number, order: number): void {
    const head = this.#heads[order]!;
    this.#freeOrder[index] = 1 + order;
    this.#next[index] = head;
    this.#previous[index] = -1;
    if (head >= 0) this.#previous[head] = index;
    this.#heads[order] = index;
  }

  #unlink(index: number, order: number): void {
    const next = this.#next[index]!;
    const previous = this.#previous[index]!;
    this.#freeOrder[index] = 0;
    if (previous >= 0) this.#next[previous] = next;
    else this.#heads[order] = next;
    if (next >= 0) this.#previous[next] = previous;
  }
}
