// SPDX-License-Identifier: Apache-2.0
// Where the jump cache has places that lead to the code of a frame, so that they are taken out without a look at all 131,072 of them.
//
// Invariant: a place of the jump cache that leads to code which begins in a frame lies in a group that its EnteredPages name.

import type { Ram } from "../lib/ram.ts";
import { JUMP_CACHE, JUMP_CACHE_ENTRIES, PAGE_SIZE } from "./layout.ts";
import { GROUP_ENTRIES, jumpCacheIndex } from "./runtime/inline.ts";

const TAGS = 0x1_0000;
/** More groups than that are not looked at one by one: a look at the whole jump cache costs no more. */
const GROUPS_MAX = 128;

/** Tags that can be looked for: 1 by number. */
export type LiveTags = Uint8Array;

/** The pages that a frame was mapped at when the jump cache was told of its code, each with the tag of its space. */
export class EnteredPages {
  /** Page number times TAGS, and the tag; undefined when there were too many. */
  #pages: Set<number> | undefined = new Set();

  note(page: number, tag: number, liveTags: LiveTags): void {
    const pages = this.#pages?.add(page * TAGS + tag);
    if (pages === undefined || pages.size <= GROUPS_MAX) return;
    for (const key of pages) if (liveTags[key % TAGS] === 0) pages.delete(key);
    if (pages.size > GROUPS_MAX / 2) this.#pages = undefined;
  }

  /** Those whose tag can be looked for; undefined: they may be any. */
  live(liveTags: LiveTags): number[] | undefined {
    return this.#pages === undefined
      ? undefined
      : [...this.#pages].filter((key) => liveTags[key % TAGS] !== 0);
  }
}

/** Takes out of the jump cache what `isStale` says of (table index, entry or record), where code of some frames may be. */
export function forgetEntered(
  { i32 }: Ram,
  entered: readonly EnteredPages[],
  liveTags: LiveTags,
  isStale: (tableIndex: number, entry: number) => boolean,
): void {
  const keys = liveKeys(entered, liveTags);
  if (keys === undefined) return forget(i32, 0, JUMP_CACHE_ENTRIES, isStale);
  for (const key of keys) {
    const lo = (Math.floor(key / TAGS) * PAGE_SIZE) | 0;
    const group = jumpCacheIndex(lo, (key % TAGS) << 16) & -GROUP_ENTRIES;
    forget(i32, group, group + GROUP_ENTRIES, isStale);
  }
}

/** What to look at; undefined: everything. */
function liveKeys(entered: readonly EnteredPages[], liveTags: LiveTags): Set<number> | undefined {
  const keys = new Set<number>();
  for (const pages of entered) {
    const live = pages.live(liveTags);
    if (live === undefined) return undefined;
    for (const key of live) keys.add(key);
  }
  return keys.size > GROUPS_MAX ? undefined : keys;
}

/** The same of places [from, to). What another page has there is no loss. */
function forget(
  i32: Int32Array,
  from: number,
  to: number,
  isStale: (tableIndex: number, entry: number) => boolean,
): void {
  const start = JUMP_CACHE >>> 2;
  for (let at = start + from * 4; at < start + to * 4; at += 4) {
    // 0 is no tag, and that of an empty place.
    if (i32[at + 1] !== 0 && isStale(i32[at + 2]!, i32[at + 3]!)) i32[at] = i32[at + 1] = 0;
  }
}
