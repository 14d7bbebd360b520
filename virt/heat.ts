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

/** How often a block was entered when that is a fair share of the `hotEntries` that make one hot; else -1. */
export function heatOf(ram: Ram, block: Block, hotEntries: number): number {
  if (block.record === 0) return hotEntries;
  const left = ram.i32[(block.record - COUNT_BYTES) >>> 2]!;
  // It was hot before and has been counted since.
  if (left > hotEntries) return hotEntries + (NEVER_HOT - left);
  const entered = hotEntries - left;
  return entered >= hotEntries >> 4 ? entered : -1;
}
