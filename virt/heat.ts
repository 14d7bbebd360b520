// SPDX-License-Identifier: Apache-2.0
// How often blocks have run: the count in front of their bytecode goes down from that of a hot block, and then from another.

import type { Ram } from "../lib/ram.ts";
import type { Block } from "./cache.ts";

/** The count of a block that is not asked for any more. */
export const NEVER_HOT = 0x7fff_ffff;
/** That of a block that waits for its translation, until it is asked for again: the wait may have been in vain. */
export const HOT_AGAIN = 100;
/** Before its bytecode. */
export const COUNT_BYTES = 8;

/** Bytes of bytecode from which on a block is long: thirty records, where most have six. */
const LONG_BYTES = 512;
/** However long a block is, it has to run so often for its region to be worth it. */
const HOT_LEAST = 150;

/** Entries that make a block of so many bytes hot: a long one is interpreted for as long in fewer (a hash's takes 3,000 records an entry). */
export function hotAfter(hotEntries: number, bytes: number): number {
  if (bytes <= LONG_BYTES) return hotEntries;
  return Math.min(hotEntries, Math.max(HOT_LEAST, Math.floor(hotEntries * LONG_BYTES / bytes)));
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
  if (left > own) return hotEntries + (NEVER_HOT - left);
  const entered = own - left;
  return entered >= own >> 4 ? Math.floor(entered * hotEntries / own) : -1;
}
