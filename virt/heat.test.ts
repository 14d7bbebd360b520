// SPDX-License-Identifier: Apache-2.0
// How soon a block is hot, by its length, and how hot it is by what is left of its count.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../lib/ram.ts";
import type { Block } from "./cache.ts";
import { COUNT_BYTES, countOn, heatOf, HOT_IN_VAIN, hotAfter, startCount, warmthOf } from "./heat.ts";

const HOT = 10_000;

test("a long block is hot after fewer entries, down to a least number", () => {
  assert.equal(hotAfter(HOT, 100), HOT);
  assert.equal(hotAfter(HOT, 512), HOT);
  assert.equal(hotAfter(HOT, 5120), HOT / 10);
  assert.equal(hotAfter(HOT, 1 << 20), 150);
  assert.equal(hotAfter(2, 1 << 20), 2, "never later than any other");
});

test("half of a block's entries are half of a hot one's, however long it is", () => {
  const ram = new Ram(1 << 16, 1 << 16);
  const record = 1024;
  for (const bytes of [96, 5120]) {
    const block = { record, end: record + bytes } as Block; // heatOf() looks at these alone
    const heat = (left: number): number => {
      ram.i32[(record - COUNT_BYTES) >>> 2] = left;
      return heatOf(ram, block, HOT);
    };
    const own = hotAfter(HOT, bytes);
    assert.equal(heat(own), -1, "never entered");
    assert.equal(heat(own / 2), HOT / 2);
    assert.equal(heat(0), HOT);
    assert.equal(heat(HOT_IN_VAIN - 7), HOT + 7, "counted since it was hot");
  }
});

test("warmth is entries in this run, whatever the count began with", () => {
  const ram = new Ram(1 << 16, 1 << 16);
  const record = 1024;
  const warmth = (bytes: number, start: number, left: number): number => {
    startCount(ram, record, start);
    ram.i32[(record - COUNT_BYTES) >>> 2] = left;
    return warmthOf(ram, { record, end: record + bytes } as Block, HOT); // it looks at these alone
  };
  assert.equal(warmth(96, HOT, HOT), 0);
  assert.equal(warmth(96, HOT, HOT - 1250), 1250);
  assert.equal(warmth(96, HOT / 32, 1), 311, "it began with less, and was not entered more often for that");
  assert.equal(warmth(96, HOT, HOT_IN_VAIN), HOT, "it was hot");
  assert.equal(warmth(5120, HOT / 10, HOT / 20), HOT / 2, "a long one counts for as many");
});

test("a block that was warm before counts on until it is hot, one that was hot does not", () => {
  const ram = new Ram(1 << 16, 1 << 16);
  const block = { record: 1024, end: 1120 } as Block; // it looks at these alone
  const asks = (start: number): boolean => {
    startCount(ram, block.record, start);
    ram.i32[(block.record - COUNT_BYTES) >>> 2] = 0;
    return countOn(ram, block, HOT);
  };
  assert.equal(asks(HOT), false);
  assert.equal(asks(HOT / 32), false);
  assert.equal(asks(HOT / 8), true);
  assert.equal(ram.i32[(block.record - COUNT_BYTES) >>> 2], HOT - HOT / 8);
  assert.equal(warmthOf(ram, block, HOT), HOT / 8);
});
