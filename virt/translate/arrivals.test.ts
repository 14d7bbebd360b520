// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { findArrivals } from "./arrivals.ts";

const NOWHERE: readonly number[] = [];

function arrivals(
  successors: Readonly<Record<number, readonly number[]>>,
  heats: readonly number[],
  landings: readonly number[] = [],
): number[] {
  return findArrivals({
    successors: heats.map((_, node) => successors[node] ?? NOWHERE),
    heat: (node) => heats[node]!,
    isLandedAt: (node) => landings.includes(node),
  }, 10);
}

test("what a block led to is no arrival, but for where calls return to", () => {
  assert.deepEqual(arrivals({ 1: [2], 2: [3] }, [0, 20, 20, 20]), [1]);
  assert.deepEqual(arrivals({ 1: [2], 2: [3] }, [0, 20, 20, 20], [3]), [1, 3]);
});

test("a block that ran much more often than those before it was come to from elsewhere", () => {
  assert.deepEqual(arrivals({ 1: [2] }, [0, 20, 80]), [1]);
  assert.deepEqual(arrivals({ 1: [2] }, [0, 20, 81]), [1, 2]);
  assert.deepEqual(arrivals({ 1: [2] }, [0, 9, 20]), [2], "and one that did not run itself led nowhere");
});

test("a loop that nothing leads to has one", () => {
  assert.deepEqual(arrivals({ 1: [2], 2: [3], 3: [2] }, [0, 1, 20, 20]), [2]);
  assert.deepEqual(arrivals({ 1: [1] }, [0, 20]), [1], "also of one block");
});
