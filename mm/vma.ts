// SPDX-License-Identifier: Apache-2.0
// The areas of an address space: an ordered list without overlaps, found by binary search.
//
// Invariants: areas are sorted, page-aligned, non-empty and disjoint; an area with a mapping is in
// mapping.mappings; an area with a file holds one reference to it. Neighbours that could be one area are
// merged when they are inserted, as /proc/PID/maps of Linux shows.

import type { AddressSpace, File } from "../include/linux/fs.ts";
import type { Mm, Vma, VmaOperations } from "../include/linux/mm_types.ts";
import { MAP_GROWSDOWN, MAP_SHARED } from "../include/uapi/mman.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { FullRanges } from "./full_ranges.ts";

/** madvise(2) states kept by area. */
export const ADVICE_DONTFORK = 1;
export const ADVICE_WIPEONFORK = 2;
export const ADVICE_DONTDUMP = 4;
export const ADVICE_SEQUENTIAL = 8;
export const ADVICE_RANDOM = 16;

/** Linux keeps this much unmapped below a growing stack. */
export const STACK_GUARD_GAP: number = 256 * PAGE_SIZE;

export class VmaArea implements Vma {
  readonly mm: Mm;
  start: number;
  end: number;
  prot: number;
  maxProt: number;
  flags: number;
  file: File | undefined = undefined;
  offset = 0;
  mapping: AddressSpace | undefined = undefined;
  name: string | undefined = undefined;
  operations: VmaOperations | undefined = undefined;
  advice = 0;
  /** Counts against overcommit (private and writable, or shared anonymous). */
  isAccounted = false;
  /** Where a sequential toucher of anonymous memory would fault next, and how many pages to give it then. */
  nextFault = -1;
  batch = 1;

  constructor(mm: Mm, start: number, end: number, prot: number, maxProt: number, flags: number) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.prot = prot;
    this.maxProt = maxProt;
    this.flags = flags;
  }

  get isShared(): boolean {
    return (this.flags & MAP_SHARED) !== 0;
  }
  get isStack(): boolean {
    return (this.flags & MAP_GROWSDOWN) !== 0;
  }
  get pages(): number {
    return (this.end - this.start) / PAGE_SIZE;
  }

  /** The same backing and rights for another range; takes its own references. Not inserted anywhere. */
  copy(mm: Mm, start: number, end: number): VmaArea {
    const copy = new VmaArea(mm, start, end, this.prot, this.maxProt, this.flags);
    copy.file = this.file?.get();
    copy.offset = this.offset + (start - this.start);
    copy.mapping = this.mapping;
    copy.name = this.name;
    copy.operations = this.operations;
    copy.advice = this.advice;
    copy.isAccounted = this.isAccounted;
    return copy;
  }

  canMerge(next: VmaArea): boolean {
    return this.end === next.start && this.prot === next.prot && this.maxProt === next.maxProt
      && this.flags === next.flags && this.mapping === next.mapping && this.name === next.name
      && this.operations === next.operations && this.advice === next.advice && this.file === next.file
      && this.isAccounted === next.isAccounted && !this.isStack
      && (this.mapping === undefined && this.operations === undefined
        || this.offset + (this.end - this.start) === next.offset);
  }
}

export class VmaList {
  readonly #areas: VmaArea[] = [];
  readonly #full = new FullRanges();
  #last: VmaArea | undefined;

  get count(): number {
    return this.#areas.length;
  }
  [Symbol.iterator](): Iterator<VmaArea> {
    return this.#areas[Symbol.iterator]();
  }
  /** A copy that stays put while the list changes. */
  snapshot(): VmaArea[] {
    return [...this.#areas];
  }

  /** The area that holds `address`. */
  find(address: number): VmaArea | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.start && address < last.end) return last;
    const area = this.#areas[this.#firstEndingAfter(address)];
    if (area === undefined || address < area.start) return undefined;
    this.#last = area;
    return area;
  }

  /** The area that holds `address`, or else the first one above it. */
  findAtOrAbove(address: number): VmaArea | undefined {
    return this.#areas[this.#firstEndingAfter(address)];
  }
  /** The area just below `area`. */
  below(area: VmaArea): VmaArea | undefined {
    return this.#areas[this.#firstEndingAfter(area.start) - 1];
  }

  /** The areas that meet [start, end), in order; a copy. */
  intersecting(start: number, end: number): VmaArea[] {
    const found: VmaArea[] = [];
    for (let i = this.#firstEndingAfter(start); i < this.#areas.length; i++) {
      const area = this.#areas[i]!;
      if (area.start >= end) break;
      found.push(area);
    }
    return found;
  }
  intersects(start: number, end: number): boolean {
    const area = this.findAtOrAbove(start);
    return area !== undefined && area.start < end;
  }

  /** Puts an area in. Precondition: nothing overlaps it. */
  insert(area: VmaArea): void {
    this.#areas.splice(this.#firstEndingAfter(area.start), 0, area);
    area.mapping?.addMapping(area);
  }

  /** Takes an area out and drops its references. */
  remove(area: VmaArea): void {
    const i = this.#areas.indexOf(area, this.#firstEndingAfter(area.start));
    this.#areas.splice(i, 1);
    const next = this.#areas[i];
    this.#full.freed(next === undefined ? Infinity : gapStart(next));
    this.#forget(area);
  }

  /** Cuts the area that spans `address` in two there. */
  splitAt(address: number): void {
    const area = this.find(address);
    if (area === undefined || area.start === address) return;
    const upper = area.copy(area.mm, address, area.end);
    upper.flags &= ~MAP_GROWSDOWN; // Only the lowest part of a stack grows.
    area.end = address;
    this.insert(upper);
  }

  /** Joins neighbours within and next to [start, end) that can be one. */
  mergeAround(start: number, end: number): void {
    let i = Math.max(0, this.#firstEndingAfter(start) - 1);
    while (i + 1 < this.#areas.length) {
      const area = this.#areas[i]!;
      const next = this.#areas[i + 1]!;
      if (area.start > end) break;
      if (area.canMerge(next)) {
        area.end = next.end;
        this.#areas.splice(i + 1, 1);
        this.#forget(next);
      } else {
        i++;
      }
    }
  }

  /** The highest free range of `length` bytes in [low, high), or -1. Keeps the guard gap below stacks. */
  findGapBelow(length: number, low: number, high: number): number {
    let top = this.#full.begin(length, high);
    for (let i = this.#firstEndingAfter(top); i >= 0; i--) {
      const area = this.#areas[i];
      if (area === undefined) continue;
      if (top - area.end >= length) break;
      top = Math.min(top, gapStart(area));
    }
    this.#full.note(length, top, high);
    return top - length >= low ? top - length : -1;
  }

  /** The lowest free range of `length` bytes in [low, high), or -1. */
  findGapAbove(length: number, low: number, high: number): number {
    let bottom = low;
    for (let i = this.#firstEndingAfter(low); i < this.#areas.length; i++) {
      const area = this.#areas[i]!;
      if (gapStart(area) - bottom >= length) break;
      bottom = Math.max(bottom, area.end);
    }
    return bottom + length <= high ? bottom : -1;
  }

  #firstEndingAfter(address: number): number {
    let low = 0;
    let high = this.#areas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#areas[middle]!.end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forget(area: VmaArea): void {
    if (this.#last === area) this.#last = undefined;
    area.mapping?.removeMapping(area);
    area.file?.put();
  }
}

function gapStart(area: VmaArea): number {
  return area.isStack ? area.start - STACK_GUARD_GAP : area.start;
}
