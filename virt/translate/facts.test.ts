// SPDX-License-Identifier: Apache-2.0
// Accesses of a block share checks of memory, but in blocks whose checks failed often.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { planMemory } from "./facts.ts";
import { buildGraph } from "./graph.ts";
import { type IrBlock, keepIr } from "./ir-block.ts";

const FIRST = 0x1000;
const SECOND = 0x2000;
const INSN_BYTES = 4;
const [RDX, RSI] = [2, 6];

/** Adds two neighbouring words at rsi. */
function addPair(pc: number): IrBlock {
  const b = new IrBuilder();
  b.begin(pc);
  b.insn(pc, INSN_BYTES);
  const sum = b.emit(Op.i64_add, b.getGpr(RDX), b.load(Op.load64, b.getGpr(RSI), 0));
  b.insn(pc + INSN_BYTES, INSN_BYTES);
  b.setGpr(RDX, b.emit(Op.i64_add, sum, b.load(Op.load64, b.getGpr(RSI), 8)));
  b.jump(FIRST);
  return keepIr(b);
}

test("a block with an instruction whose checks failed has each access checked for itself, and its neighbours do not", () => {
  const graph = buildGraph([[], [2], [1]], [1]);
  const irs = [addPair(FIRST), addPair(SECOND)];
  const plan = (apart: readonly number[]): (string | undefined)[][] => {
    const options = { hasSwitch: false, sharesChecks: true, apart: new Set(apart), anchorPc: FIRST };
    const { blocks } = planMemory(graph, irs, options);
    return blocks.map(({ groups }) => groups.all.map(({ known, members }) => `${known} ${members}`));
  };
  assert.deepEqual(plan([]), [["maybe 2"], ["surely 2"]]);
  assert.deepEqual(plan([SECOND + INSN_BYTES]), [["maybe 2"], []], "what the first knows lasts all the same");
});
