// SPDX-License-Identifier: Apache-2.0
// The jump cache keeps what it has room for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ram } from "../lib/ram.ts";
import { type Block, CodeCache, newBlock } from "./cache.ts";
import { CPU_BASE, CPU_STATE, FRAMES_START, JUMP_CACHE } from "./layout.ts";
import { jumpCacheIndex } from "./runtime/inline.ts";
import { AddressSpaces } from "./spaces.ts";

const PLACES = 4;

/** Guest addresses whose places are all in one line. */
function* sharing(line: number, tag: number): Generator<number> {
  for (let pc = 0x40_0000;; pc++) {
    if (Math.floor(jumpCacheIndex(pc, tag) / PLACES) === line) yield pc;
  }
}

test("four addresses of one line are all found, and a fifth takes the place of one", () => {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const spaces = new AddressSpaces(ram, new CodeCache(ram));
  spaces.switchTo(FRAMES_START, 1);
  const tag = ram.i32[(CPU_BASE + CPU_STATE.addressSpaceTag + 4) >>> 2]!;
  const line = 77;
  const found = (pc: number): boolean =>
    [0, 1, 2, 3].some((n) => {
      const at = (JUMP_CACHE >>> 2) + (line * PLACES + n) * 4;
      return ram.i32[at] === pc && ram.i32[at + 1] === tag;
    });
  const pcs: number[] = [];
  for (const pc of sharing(line, tag)) {
    pcs.push(pc);
    spaces.enterBlock(pc, newBlock(FRAMES_START, pc % 4096, 0));
    assert.ok(found(pc));
    assert.equal(pcs.filter(found).length, Math.min(pcs.length, PLACES));
    if (pcs.length > PLACES) break;
  }
});

test("a space that comes to a page knows what ran there, once, and again when the page was mapped anew", () => {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cache = new CodeCache(ram);
  const spaces = new AddressSpaces(ram, cache);
  spaces.switchTo(FRAMES_START, 1);
  const page = 0x40_0000;
  const frame = FRAMES_START + 0x3000;
  const isEntered = (offset: number): boolean => {
    const tag = ram.i32[(CPU_BASE + CPU_STATE.addressSpaceTag + 4) >>> 2]!;
    const first = (JUMP_CACHE >>> 2) + jumpCacheIndex(page + offset, tag) * PLACES;
    return [0, 1, 2, 3].some((n) => {
      const at = first ^ (n * PLACES);
      return ram.i32[at] === page + offset && ram.i32[at + 1] === tag;
    });
  };
  const add = (offset: number, isTarget: boolean): Block => {
    const block = { ...newBlock(frame, offset, 0), isTarget, record: cache.arenaEnd + 16 };
    cache.add(block, cache.arenaEnd + 64);
    return block;
  };
  const first = add(0, true);
  add(16, true);
  add(32, false);
  spaces.enterBlock(page, first);
  spaces.enterAround(page, frame);
  assert.deepEqual([0, 16, 32].map(isEntered), [true, true, false]);

  add(48, true);
  spaces.enterAround(page, frame);
  assert.equal(isEntered(48), false);

  spaces.flushPages(page / 4096, page / 4096 + 1);
  assert.equal(isEntered(16), false);
  spaces.enterBlock(page, first);
  spaces.enterAround(page, frame);
  assert.deepEqual([0, 16, 48].map(isEntered), [true, true, true]);
});
