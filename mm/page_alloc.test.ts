// SPDX-License-Identifier: Apache-2.0
// Blocks that are reserved for an address space: who takes frames of them, and what becomes of the rest.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ENOMEM } from "../lib/errno.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { RESERVED_BYTES } from "./page_alloc.ts";
import { testKernel } from "./testing.ts";

const PAGES = RESERVED_BYTES / PAGE_SIZE;

test("frames of a reserved block are its holder's, one by one", () => {
  const { kernel: { frames, ram } } = testKernel(4 * PAGES);
  const block = frames.reserve(1, -1);
  assert.equal(frames.freePages, 4 * PAGES, "what is not taken is free");
  assert.equal(frames.takeReserved(block + 5 * PAGE_SIZE, "zero"), block + 5 * PAGE_SIZE);
  assert.equal(frames.takeReserved(block + 5 * PAGE_SIZE, "zero"), -1, "it has a reference");
  for (let n = 0; n < PAGES; n++) {
    const frame = frames.alloc();
    assert.ok(frame < block || frame >= block + RESERVED_BYTES, "others take theirs elsewhere");
  }
  ram.u8[block + 5 * PAGE_SIZE] = 1;
  frames.put(block + 5 * PAGE_SIZE);
  assert.equal(
    frames.takeReserved(block + 5 * PAGE_SIZE, "zero"),
    block + 5 * PAGE_SIZE,
    "given back, it can be had",
  );
  assert.equal(ram.u8[block + 5 * PAGE_SIZE], 0);
});

test("a block behind another is the next one, while that is free", () => {
  const { kernel: { frames } } = testKernel(4 * PAGES);
  const first = frames.reserve(1, -1);
  frames.unreserve(frames.reserve(1, first + RESERVED_BYTES));
  assert.equal(frames.reserve(1, first + RESERVED_BYTES), first + RESERVED_BYTES);
  assert.notEqual(frames.reserve(1, first + RESERVED_BYTES), first + RESERVED_BYTES);
});

test("blocks in a row are found where they are free, and are none when there are not as many", () => {
  const { kernel: { frames } } = testKernel(8 * PAGES);
  const blocks = Array.from({ length: 6 }, () => frames.reserve(1, -1)).toSorted((a, b) => a - b);
  for (const n of [0, 2, 3, 5]) frames.unreserve(blocks[n]!);
  assert.equal(frames.reserve(2, -1), blocks[2]);
  assert.equal(frames.reserve(3, -1), blocks[5]);
  assert.equal(frames.reserve(2, -1), -1);
  assert.equal(frames.freePages, 8 * PAGES);
  assert.equal(frames.reserve(1, blocks[5]!), blocks[0], "what is wanted is taken");
  assert.equal(frames.reserve(1, -1), -1);
});

test("a block is unused until something is taken of it", () => {
  const { kernel: { frames } } = testKernel(2 * PAGES);
  const block = frames.reserve(1, -1);
  assert.equal(frames.isUnused(block), true);
  const frame = frames.takeReserved(block, "any");
  assert.equal(frames.isUnused(block), false);
  frames.put(frame);
  assert.equal(frames.isUnused(block), true);
  frames.unreserve(block);
  assert.equal(frames.isUnused(block), false);
});

test("in need, the frames of reserved blocks that nobody has taken go to everybody", () => {
  const { kernel: { frames } } = testKernel(2 * PAGES);
  const blocks = [frames.reserve(1, -1), frames.reserve(1, -1)];
  assert.equal(frames.reserve(1, -1), -1);
  frames.takeReserved(blocks[0]!, "any");
  for (let n = 0; n < 2 * PAGES - 1; n++) frames.alloc();
  assert.throws(() => frames.alloc(), (error) => error === ENOMEM);
  assert.equal(frames.takeReserved(blocks[1]!, "any"), -1);
  for (const block of blocks) frames.unreserve(block);
  assert.equal(frames.freePages, 0);
});

test("a block given up while some of it is in use comes together again", () => {
  const { kernel: { frames } } = testKernel(PAGES);
  const block = frames.reserve(1, -1);
  const taken = [3, 2, 7].map((n) => frames.takeReserved(block + n * PAGE_SIZE, "any"));
  frames.unreserve(block);
  for (const frame of taken) frames.put(frame);
  assert.equal(frames.allocOrder(10), block, "all of it is one free block again");
});

test("a run lies in a row while there are blocks of its size, and its frames are put one by one", () => {
  const { kernel: { frames } } = testKernel(PAGES);
  const run = frames.allocRun(13);
  assert.deepEqual(run, Array.from(run, (_, n) => run[0]! + n * PAGE_SIZE));
  assert.equal(frames.freePages, PAGES - 13);
  for (const frame of run) frames.put(frame);
  assert.equal(frames.freePages, PAGES);
  assert.ok(frames.allocOrder(10) >= 0, "all of it is one free block again");
});

test("a run of what is left takes frames wherever they are, and none when there are too few", () => {
  const { kernel: { frames } } = testKernel(PAGES);
  const all = frames.allocRun(PAGES);
  for (let n = 0; n < PAGES; n += 2) frames.put(all[n]!);
  assert.throws(() => frames.allocRun(PAGES / 2 + 1), (error) => error === ENOMEM);
  assert.equal(frames.freePages, PAGES / 2);
  assert.equal(new Set(frames.allocRun(PAGES / 2)).size, PAGES / 2);
});
