// SPDX-License-Identifier: Apache-2.0
// What searches for free addresses have found out, so that the next need not look at every mapping again.
//
// Invariant: whatever free range of at least `length` bytes there is below #high ends at or below `from`, for each range that is kept.
// New mappings cannot break that; what is unmapped is told of (freed).

import { PAGE_SIZE } from "../virt/layout.ts";

interface FullRange {
  readonly length: number;
  from: number;
}

export class FullRanges {
  #high = -1;
  /** By the power of two below the length in pages. */
  readonly #ranges: FullRange[] = [];

  /** Where a search downwards from `high` for `length` free bytes may begin. */
  begin(length: number, high: number): number {
    let from = high;
    if (high !== this.#high) return from;
    for (let n = powerOf(length); n >= 0; n--) {
      const range = this.#ranges[n];
      if (range !== undefined && range.length <= length) from = Math.min(from, range.from);
    }
    return from;
  }

  /** A search has found no `length` free bytes in [from, high). */
  note(length: number, from: number, high: number): void {
    if (high !== this.#high) {
      this.#high = high;
      this.#ranges.length = 0;
    }
    const n = powerOf(length);
    const known = this.#ranges[n];
    if (known === undefined || from < known.from || length < known.length) this.#ranges[n] = { length, from };
  }

  /** Addresses below `end`, which a mapping or nothing begins at, have become free. */
  freed(end: number): void {
    for (const range of this.#ranges) {
      if (range !== undefined && range.from < end) range.from = Math.min(end, this.#high);
    }
  }
}

function powerOf(length: number): number {
  return Math.floor(Math.log2(length / PAGE_SIZE));
}
