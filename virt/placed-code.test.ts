// SPDX-License-Identifier: Apache-2.0
// Where pages go that regions were made from.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ram } from "../lib/ram.ts";
import { CodeCache, newBlock, setBytecode, setTail } from "./cache.ts";
import { TERM_TRAP } from "./ir/terminators.ts";
import { FRAMES_START, PAGE_SIZE } from "./layout.ts";
import { neighbourhoods, PlacedCode, type PlacedCodeHost } from "./placed-code.ts";
import type { IrBlock } from "./translate/ir-block.ts";
import type { Region } from "./translate/live.ts";

const [ONE, TWO, THREE] = [0, 1, 2].map((n) => FRAMES_START + n * PAGE_SIZE) as [number, number, number];
const ANCHOR = 0x7f12_3456_7890;

function place(code: PlacedCode, anchorPc: number, frames: readonly number[]): number {
  const pages = frames.map((frame, distance) => ({ distance, frame }));
  return code.place({ anchorPc, pages } as unknown as Region); // nothing else of it is read
}

const RAM_BYTES = FRAMES_START + (1 << 20);

function placedCode(): PlacedCode {
  const ram = new Ram(RAM_BYTES, RAM_BYTES);
  const code = { liftFrom: (): undefined => undefined };
  return new PlacedCode({ ram, cache: new CodeCache(ram), hotEntries: 1, code }, 0);
}

/** A cache with the bytecode of an instruction of `bytes` bytes at the end of ONE, which goes on in TWO; and its address when ONE lies at ANCHOR. */
function straddling(
  bytes: number,
): { readonly code: (ram: Ram, cache: CodeCache) => PlacedCode; readonly pc: number } {
  const offset = PAGE_SIZE - 1;
  const liftFrom = (): ReturnType<PlacedCodeHost["code"]["liftFrom"]> => ({
    ir: { terminator: TERM_TRAP } as IrBlock, // nothing else of it is read
    bytes,
  });
  return {
    pc: ANCHOR - (ANCHOR % PAGE_SIZE) + offset,
    code: (ram, cache): PlacedCode => {
      const block = newBlock(ONE, offset, 0);
      setTail(block, bytes, () => TWO);
      setBytecode(block, {
        record: cache.arenaEnd + 16,
        end: cache.arenaEnd + 64,
        terminator: TERM_TRAP,
        instructions: 1,
      });
      cache.add(block, cache.arenaEnd + 64);
      return new PlacedCode({ ram, cache, hotEntries: 1, code: { liftFrom } }, 0);
    },
  };
}

test("code is where it was mapped", () => {
  const code = placedCode();
  assert.equal(place(code, ANCHOR, [ONE, TWO]), ANCHOR);
  assert.equal(code.addressOf(ANCHOR), ONE + 0x890);
  assert.equal(code.addressOf(ANCHOR + PAGE_SIZE), TWO + 0x890);
  assert.equal(code.addressOf(ANCHOR + 2 * PAGE_SIZE), -1);
  assert.equal(code.byte(ANCHOR - PAGE_SIZE), -1);
});

test("what another process had elsewhere comes beside what it shares a page with", () => {
  const code = placedCode();
  place(code, ANCHOR, [ONE, TWO]);
  assert.equal(place(code, 0x5555_0000_0010, [TWO, THREE]), ANCHOR - 0x890 + PAGE_SIZE + 0x10);
  assert.equal(code.addressOf(ANCHOR + 2 * PAGE_SIZE), THREE + 0x890);
});

test("what lay at the same address in another process goes elsewhere", () => {
  const code = placedCode();
  place(code, ANCHOR, [ONE]);
  const other = place(code, ANCHOR, [TWO]);
  assert.notEqual(other, ANCHOR);
  assert.equal(other % PAGE_SIZE, ANCHOR % PAGE_SIZE);
  assert.equal(code.addressOf(ANCHOR), ONE + 0x890);
  assert.equal(code.addressOf(other), TWO + 0x890);
  assert.equal(place(code, ANCHOR, [TWO]), other, "and is found there again");
});

test("an instruction over two pages is taken where it goes on in the second as it did, and nowhere else", () => {
  const { code, pc } = straddling(6);
  for (const [next, isTaken] of [[TWO, true], [THREE, false]] as const) {
    const ram = new Ram(RAM_BYTES, RAM_BYTES);
    const placed = code(ram, new CodeCache(ram));
    place(placed, ANCHOR, [ONE]);
    place(placed, ANCHOR + PAGE_SIZE, [next]); // of another program, or of the same
    assert.equal(placed.take(pc) !== undefined, isTaken);
  }
});

test("places of one file are together, in the order given", () => {
  const [main, strlen, init, cos]: (readonly [string, number])[] = [
    ["main", 0x55_0000_1000],
    ["strlen", 0x7f00_0018_0000],
    ["init", 0x55_0000_0000],
    ["cos", 0x7f00_0018_0000 - (1 << 21)],
  ];
  assert.deepEqual(neighbourhoods([main!, strlen!, init!, cos!]), [[main, init], [cos], [strlen]]);
  assert.deepEqual(neighbourhoods([]), []);
});
