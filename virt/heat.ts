// SPDX-License-Identifier: Apache-2.0
// How often blocks have run: the count in front of their bytecode goes down from that of a hot block, and then from another. Beside it is what it began with
// in this run.

import type { Ram } from "../lib/ram.ts";
import type { Block } from "./cache.ts";

/** The count of a block that is not asked for. */
export const NEVER_HOT = 0x7fff_ffff;
/** That of a block that has a region: it runs in that, and is entered here only where the region is not mapped as a whole. More than any other but the one before. */
export const HOT_IN_VAIN: number = 1 << 16;
/** That of a block that waits for its translation, until it is asked for again: the wait may have been in vain. */
export const HOT_AGAIN = 100;
/** Where the count is, and what it began with, before a block's bytecode. */
export const COUNT_BYTES = 8;
export const START_BYTES = 4;

/** Bytes of bytecode from which on a block is long: thirty records, where most have six. */
const LONG_BYTES = 512;
/** However long a block is, it has to run so often for its region to be worth it. */
const HOT_LEAST = 150;

/** Entries that make a block of so many bytes hot: a long one is interpreted for as long in fewer (a hash's takes 3,000 records an entry). */
export function hotAfter(hotEntries: number, bytes: number): number {
  if (bytes <= LONG_BYTES) return hotEntries;
  return Math.min(hotEntries, Math.max(HOT_LEAST, Math.floor(hotEntries * LONG_BYTES / bytes)));
}

/** Begins to count a block that has its bytecode at `record`. */
export function startCount(ram: Ram, record: number, entries: number): void {
  ram.i32[(record - COUNT_BYTES) >>> 2] = entries;
  ram.i32[(record - START_BYTES) >>> 2] = entries;
}

/** A block that was entered this part of the times that make one hot is worth it to be translated once, when that keeps nobody waiting. */
export const WARM_SHARE = 8;

/**
 * Lets a block count on that asked for its region when it was warm again, where nobody has one: until it is hot. False for one that is, or was in an earlier
 * run.
 */
export function countOn(ram: Ram, { record, end }: Block, hotEntries: number): boolean {
  const own = hotAfter(hotEntries, end - record);
  const start = ram.i32[(record - START_BYTES) >>> 2]!;
  if (start >= own || start < Math.floor(own / WARM_SHARE)) return false;
  ram.i32[(record - START_BYTES) >>> 2] = own;
  ram.i32[(record - COUNT_BYTES) >>> 2] = own - start;
  return true;
}

/** How often a block was entered in this run, in the measure of heatOf(), of which less than that is a fair share. */
export function warmthOf(ram: Ram, { record, end }: Block, hotEntries: number): number {
  if (record === 0) return hotEntries;
  const start = ram.i32[(record - START_BYTES) >>> 2]!;
  const left = ram.i32[(record - COUNT_BYTES) >>> 2]!;
  const entered = left > start ? start : start - left;
  return Math.floor(entered * hotEntries / hotAfter(hotEntries, end - record));
}

/**
 * How often a block was entered when that is a fair share of the entries that make it hot, those of a long block counted
 * for as many; else -1.
 */
export function heatOf(ram: Ram, block: Block, hotEntries: number): number {
  if (block.record === 0) return hotEntries;
  const own = hotAfter(hotEntries, block.end - block.record);
  const left = ram.i32[(block.record - COUNT_BYTES) >>> 2]!;
  // It was hot before and has been counted since.
  if (left > own) return hotEntries + (HOT_IN_VAIN - left);
  const entered = own - left;
  return entered >= own >> 4 ? Math.floor(entered * hotEntries / own) : -1;
}
