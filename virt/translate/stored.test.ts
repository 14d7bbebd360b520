// SPDX-License-Identifier: Apache-2.0
// Which modules of a store are read when, and what is offered then.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { StoredRegion } from "../../include/host/translations.ts";
import { Ram } from "../../lib/ram.ts";
import { FRAMES_START, PAGE_SIZE } from "../layout.ts";
import { MemoryStore } from "../testing/memory-store.ts";
import { StoredRegions } from "./stored.ts";

const [ONE, TWO, THREE] = [0, 1, 2].map((n) => FRAMES_START + n * PAGE_SIZE) as [number, number, number];

/** Three pages of content of their own, and a store with one module for the first two. */
function regions(): StoredRegions {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const store = new MemoryStore();
  for (const frame of [ONE, TWO, THREE]) ram.u8[frame] = frame / PAGE_SIZE;
  const anchored = [ONE, TWO].map((frame): StoredRegion => {
    const hash = store.hash(ram.u8.subarray(frame, frame + PAGE_SIZE));
    return { mode: 0, generation: 0, pages: [[0, hash]] } as unknown as StoredRegion; // nothing else of it is read
  });
  const { fixedPages: memoryPages } = ram;
  store.modules.push({ regions: anchored, memoryPages, isSettled: true, compile: () => undefined });
  return new StoredRegions(store, ram, () => {});
}

test("what was not read is not offered, and then to all pages that were looked at before", () => {
  const stored = regions();
  const offered = (frame: number, reads: boolean): number =>
    stored.match(frame, 0, () => frame, reads).length;
  assert.deepEqual([ONE, TWO, THREE].map((frame) => offered(frame, false)), [0, 0, 0]);
  assert.deepEqual(stored.takeOverdue(), []);
  assert.equal(offered(THREE, true), 0);
  assert.deepEqual(stored.takeOverdue(), []);
  assert.equal(offered(ONE, true), 1);
  assert.deepEqual(stored.takeOverdue(), [ONE, TWO]);
  assert.deepEqual([ONE, TWO, THREE].map((frame) => offered(frame, false)), [0, 1, 0]);
  assert.deepEqual(stored.takeOverdue(), []);
});
