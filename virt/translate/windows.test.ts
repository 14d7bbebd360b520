// SPDX-License-Identifier: Apache-2.0
// Windows: which accesses look into one, and which of them into the same.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { buildGraph } from "./graph.ts";
import { type IrBlock, keepIr } from "./ir-block.ts";
import { findWindows } from "./windows.ts";

const CODE = 0x40_1000;
const [RAX, RDX, RSI] = [0, 2, 6];

/** A block whose last load is off what `build` returns. */
function block(build: (b: IrBuilder) => number, then: (b: IrBuilder) => void = () => undefined): IrBlock {
  const builder = new IrBuilder();
  builder.begin(CODE);
  builder.insn(CODE, 4);
  const base = build(builder);
  builder.setGpr(RAX, builder.load(Op.load64, base, 8));
  then(builder);
  builder.jump(CODE);
  return keepIr(builder);
}

/** By block: the window of its load. */
function windowsOf(blocks: readonly IrBlock[], ways: readonly (readonly number[])[]): (number | undefined)[] {
  const found = findWindows(buildGraph([[], ...ways], [1]), blocks, CODE);
  return blocks.map((ir, n) => found[n]?.(ir.a[ir.op.indexOf(Op.load64)]!, 8));
}

const off = (register: number) => (b: IrBuilder): number => b.getGpr(register);
const step = (register: number) => (b: IrBuilder): void => {
  b.setGpr(register, b.emit(Op.i64_add, b.getGpr(register), b.const64(8, 0)));
};

test("off a register that a loop leaves as it is or steps on with", () => {
  const [still] = windowsOf([block(off(RSI))], [[1]]);
  assert.notEqual(still, undefined);
  assert.deepEqual(windowsOf([block(off(RSI), step(RSI))], [[1]]), [still]);
  assert.deepEqual(windowsOf([block(off(RSI), step(RSI)), block(off(RSI))], [[2], [1]]), [still, still]);
});

test("not off what was just loaded, nor where code does not come again", () => {
  assert.deepEqual(windowsOf([block(off(RAX))], [[1]]), [undefined]);
  assert.deepEqual(windowsOf([block(off(RSI))], [[]]), [undefined]);
});

test("an index says nothing of where an access is", () => {
  const scaled = block((b) => b.scaledAdd(b.getGpr(RSI), b.getGpr(RAX), 3));
  const indexOnly = block((b) => b.scaledAdd(b.getGpr(RAX), b.getGpr(RSI), 3));
  const sum = block((b) => b.emit(Op.i64_add, b.getGpr(RAX), b.getGpr(RSI)));
  const [still] = windowsOf([block(off(RSI))], [[1]]);
  assert.deepEqual([scaled, indexOnly, sum].flatMap((ir) => windowsOf([ir], [[1]])), [
    still,
    undefined,
    still,
  ]);
});

test("a register that an outer loop sets has a window in the inner one", () => {
  const outer = block(off(RDX), (b) => b.setGpr(RSI, b.getGpr(RAX)));
  const inner = block(off(RSI));
  const [a, b] = windowsOf([outer, inner], [[2], [2, 1]]);
  assert.notEqual(a, undefined);
  assert.notEqual(b, undefined);
  assert.deepEqual(windowsOf([outer, inner], [[2], [1]]), [a, undefined]);
});
