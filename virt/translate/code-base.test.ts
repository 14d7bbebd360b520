// SPDX-License-Identifier: Apache-2.0
// Accesses to static data: the same addresses off one value, with checks by pages.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { takeCodeBase } from "./code-base.ts";
import { accessBytes, CODE_BASE, findGroups, findSlots, registerOf } from "./groups.ts";
import { type IrBlock, keepIr } from "./ir-block.ts";
import { pcOffset } from "./terminators.ts";

const ANCHOR = 0x40_1230;
const CODE = 0x40_1500;
const DATA = 0x40_4ff0;

function block(build: (b: IrBuilder) => void): IrBlock {
  const builder = new IrBuilder();
  builder.begin(CODE);
  builder.insn(CODE, 4);
  build(builder);
  builder.jump(CODE + 4);
  return keepIr(builder);
}

/** Guest addresses of the accesses off places in relation to the code. */
function addresses(ir: IrBlock): number[] {
  const found: number[] = [];
  for (let i = 0; i < ir.length; i++) {
    const base = ir.a[i]!;
    if (accessBytes(ir, i) === 0 || ir.op[base] !== Op.pc_const) continue;
    found.push(ir.basePc + pcOffset(ir, base) + ir.imm[i]!);
  }
  return found;
}

/** Two words of one page, and one behind it. */
function threeWords(b: IrBuilder): void {
  b.setGpr(1, b.load(Op.load64, b.pcConst(DATA), 0));
  b.setGpr(2, b.load(Op.load64, b.pcConst(DATA + 8), 0));
  b.store(Op.store64, b.pcConst(DATA), 16, b.getGpr(3));
}

test("accesses are off one value, at the same addresses", () => {
  const plain = block(threeWords);
  const based = takeCodeBase(plain, ANCHOR);
  assert.deepEqual(addresses(plain), [DATA, DATA + 8, DATA + 16]);
  assert.deepEqual(addresses(based), addresses(plain));
  const bases = new Set([...based.a.keys()].filter((i) => accessBytes(based, i) > 0).map((i) => based.a[i]));
  assert.equal(bases.size, 1);
  assert.equal(registerOf(based, [...bases][0]!), CODE_BASE);
});

test("those to one page have a check together, also with one of another block", () => {
  const based = takeCodeBase(block(threeWords), ANCHOR);
  const other = takeCodeBase(
    block((b) => b.setGpr(1, b.load(Op.load64, b.pcConst(DATA - 0xf00), 0))),
    ANCHOR,
  );
  const slots = findSlots([based, other]);
  assert.equal(slots[CODE_BASE]!.length, 2);
  const { all } = findGroups(based, slots);
  assert.deepEqual(all.map(({ members }) => members), [2, 1]);
  assert.equal(findGroups(other, slots).all[0]!.slot, all[0]!.slot);
});

test("a place that is more than a base stays one by itself", () => {
  const plain = block((b) => {
    const place = b.pcConst(DATA);
    b.setGpr(1, place);
    b.setGpr(2, b.load(Op.load64, place, 0));
  });
  assert.equal(takeCodeBase(plain, ANCHOR), plain);
});
