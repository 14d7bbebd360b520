// SPDX-License-Identifier: Apache-2.0
// The jump cache keeps what it has room for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ram } from "../lib/ram.ts";
import { CodeCache, newBlock } from "./cache.ts";
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
