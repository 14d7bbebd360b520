// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { SparseArray } from "./sparse-array.ts";

test("numbers near and far agree with a map, whatever is set and deleted", () => {
  const array = new SparseArray();
  const map = new Map<number, number>();
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 20_000; round++) {
    // Runs here and there, so that what was far comes near and the end moves back.
    const index = random(4) === 0 ? random(5000) : (round % 700) + random(3);
    if (random(3) === 0) {
      array.delete(index);
      map.delete(index);
    } else {
      array.set(index, round + 1);
      map.set(index, round + 1);
    }
    assert.equal(array.size, map.size);
    const probe = random(5000);
    assert.equal(array.get(probe), map.get(probe) ?? 0);
    if (round % 500 === 0) {
      const from = random(1000);
      const expected = [...map.keys()].filter((key) => key >= from).sort((a, b) => a - b);
      assert.deepEqual(array.indexes(from).sort((a, b) => a - b), expected);
    }
  }
  for (const index of array.indexes()) array.delete(index);
  assert.equal(array.size, 0);
  assert.equal(array.get(0), 0);
});

test("a number far away takes no room in between", () => {
  const array = new SparseArray();
  array.set(2 ** 40, 7);
  array.set(3, 5);
  assert.deepEqual(array.indexes().sort((a, b) => a - b), [3, 2 ** 40]);
  assert.equal(array.get(2 ** 40), 7);
  assert.equal(array.get(2 ** 40 - 1), 0);
});
