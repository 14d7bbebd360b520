// SPDX-License-Identifier: Apache-2.0
// How soon a block is hot, by its length, and how hot it is by what is left of its count.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../lib/ram.ts";
import type { Block } from "./cache.ts";
import { COUNT_BYTES, heatOf, hotAfter, isWarm, NEVER_HOT, startCount } from "./heat.ts";

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
    assert.equal(heat(NEVER_HOT - 7), HOT + 7, "counted since it was hot");
  }
});

test("a block is warm by its entries in this run, whatever its count began with", () => {
  const ram = new Ram(1 << 16, 1 << 16);
  const record = 1024;
  const block = { record, end: record + 96 } as Block; // isWarm() looks at these alone
  const warmAfter = (start: number, left: number): boolean => {
    startCount(ram, record, start);
    ram.i32[(record - COUNT_BYTES) >>> 2] = left;
    return isWarm(ram, block, HOT);
  };
  assert.equal(warmAfter(HOT, HOT), false);
  assert.equal(warmAfter(HOT, HOT - HOT / 8), true);
  assert.equal(warmAfter(HOT, HOT - HOT / 8 + 1), false);
  assert.equal(warmAfter(HOT / 32, 1), false, "it began with less, and was not entered more often for that");
  assert.equal(warmAfter(HOT, NEVER_HOT), true, "it was hot");
});
