// SPDX-License-Identifier: Apache-2.0
// Tables: which accesses are taken for ones, and what a check of them holds for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { buildGraph } from "./graph.ts";
import { planMemory } from "./facts.ts";
import { type IrBlock, keepIr } from "./ir-block.ts";
import { takeTables } from "./tables.ts";

const CODE = 0x40_1000;
const [RAX, RDX, RSI] = [0, 2, 6];
const NONE: ReadonlySet<number> = new Set();

function block(build: (b: IrBuilder) => void): IrBlock {
  const builder = new IrBuilder();
  builder.begin(CODE);
  builder.insn(CODE, 4);
  build(builder);
  builder.jump(CODE);
  return keepIr(builder);
}

/** The blocks of a region, each with where it goes on. */
function take(blocks: readonly IrBlock[], ways: readonly (readonly number[])[]): readonly IrBlock[] {
  return takeTables(buildGraph([[], ...ways], [1]), blocks, NONE);
}

function lowByte(b: IrBuilder): number {
  return b.emit(Op.i64_and, b.getGpr(RAX), b.const64(255, 0));
}

/** rdx = a word of the table at rsi. */
function lookUp(b: IrBuilder, index: number): void {
  b.setGpr(RDX, b.load(Op.load64, b.scaledAdd(b.getGpr(RSI), index, 3), 16));
}

const byByte = block((b) => lookUp(b, lowByte(b)));

test("a loop that looks up by a byte has one check, which holds as long as it goes round", () => {
  const graph = buildGraph([[], [1]], [1]);
  const irs = takeTables(graph, [byByte], NONE);
  assert.deepEqual([...irs[0]!.indexes!.values()], [{ shift: 3, max: 255 * 8 }]);
  const { blocks: [memory], slots } = planMemory(graph, irs, {
    hasSwitch: false,
    sharesChecks: true,
    apart: NONE,
    anchorPc: 0,
  });
  assert.equal(memory!.groups.all[0]!.known, "maybe", "known but in the first round");
  assert.deepEqual(slots.map(({ isTable, min, end }) => [isTable, min, end]), [[true, 16, 16 + 256 * 8]]);
});

test("where code does not come again, or with another base, accesses are checked for themselves", () => {
  const blocks = [byByte];
  assert.equal(take(blocks, [[]]), blocks);
  const moves = [block((b) => {
    lookUp(b, lowByte(b));
    b.setGpr(RSI, b.getGpr(RDX));
  })];
  assert.equal(take(moves, [[1]]), moves);
});

test("an index that may be anything, or leads beyond a page, is none", () => {
  const any = [block((b) => lookUp(b, b.getGpr(RAX)))];
  assert.equal(take(any, [[1]]), any);
  const far = [block((b) => lookUp(b, b.emit(Op.i64_and, b.getGpr(RAX), b.const64(1023, 0))))];
  assert.equal(take(far, [[1]]), far);
});

test("what an earlier block made of an index is known, unless another way brings more", () => {
  const low = block((b) => b.setGpr(RAX, lowByte(b)));
  const use = block((b) => lookUp(b, b.getGpr(RAX)));
  assert.equal(take([low, use], [[2], [1]])[1]!.indexes!.size, 1);
  const plain = block(() => undefined);
  const both = [plain, low, use];
  assert.equal(take(both, [[2, 3], [3], [1]]), both);
});

test("a number that grows in a loop may be anything", () => {
  const zero = block((b) => b.setGpr(RAX, b.const64(0, 0)));
  const grow = block((b) => {
    lookUp(b, b.getGpr(RAX));
    b.setGpr(RAX, b.emit(Op.i64_add, b.getGpr(RAX), b.const64(1, 0)));
  });
  const blocks = [zero, grow];
  assert.equal(take(blocks, [[2], [2]]), blocks);
});
