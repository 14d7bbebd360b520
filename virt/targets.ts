// SPDX-License-Identifier: Apache-2.0
// What may be jumped to in a frame, by way of the jump cache.

import type { Block } from "./cache.ts";
import type { PageBytecode } from "./interp/kept.ts";
import type { Region } from "./translate/live.ts";

/** The targets in a frame, as address spaces that come to it are told of them. */
export interface FrameTargets {
  readonly mode: number;
  /** The count of changes to regions that it was made at. */
  readonly age: number;
  /** Of bytecode: offset in the frame and record, by turns. */
  readonly records: readonly number[];
  readonly regions: readonly RegionTargets[];
}

/** Entries of a region, which may have died since. */
export interface RegionTargets {
  readonly region: Region;
  /** Distance of the frame's start from the region's anchor. */
  readonly distance: number;
  /** Offset in the frame and entry word, by turns. */
  readonly entries: readonly number[];
}

/** Blocks of a frame by key, and bytecode of an earlier run. */
interface Code {
  readonly blocks: ReadonlyMap<number, Block>;
  readonly kept: PageBytecode | undefined;
}

/** `age`: the count of changes to regions. */
export function findTargets({ blocks, kept }: Code, mode: number, age: number): FrameTargets {
  const records: number[] = [];
  const regions = new Map<Region, { readonly distance: number; readonly entries: number[] }>();
  for (const block of blocks.values()) {
    const { home, entry, record, offset } = block;
    if (block.mode !== mode || block.isDead || block.secondFrame >= 0) continue;
    if (entry !== 0 && home !== undefined) {
      const known = regions.get(home.region);
      if (known !== undefined) known.entries.push(offset, entry);
      else regions.set(home.region, { distance: home.offset - offset, entries: [offset, entry] });
    } else if (block.isTarget && record !== 0) {
      block.isEntered = true;
      records.push(offset, record);
    }
  }
  kept?.enterTargets(mode, (key) => blocks.has(key), (offset, record) => records.push(offset, record));
  return { mode, age, records, regions: [...regions].map(([region, found]) => ({ region, ...found })) };
}
