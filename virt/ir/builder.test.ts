// SPDX-License-Identifier: Apache-2.0
// What the builder folds, shares and fuses, seen through the printer; and what the validator refuses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keepIr } from "../translate/ir-block.ts";
import { IrBuilder } from "./builder.ts";
import { CC_LOGIC, CC_SUB, ccOp } from "./cc.ts";
import { Op } from "./ops.ts";
import { printIr } from "./print.ts";
import { validateIr } from "./validate.ts";

function build(body: (b: IrBuilder) => void): string {
  const b = new IrBuilder();
  b.begin(0x1000);
  b.insn(0x1000, 4);
  body(b);
  b.jump(0x1004);
  const ir = keepIr(b);
  validateIr(ir);
  return printIr(ir);
}

test("constants are folded", () => {
  const text = build((b) => b.setGpr(1, b.emit(Op.i64_add, b.const64(-1, 0), b.const64(1, 0))));
  assert.match(text, /set_gpr #4294967296, 1/);
});

test("additions of constants go into displacements", () => {
  const text = build((b) => {
    const sp = b.emit(Op.i64_add, b.emit(Op.i64_add, b.getGpr(4), b.constNumber(-8)), b.constNumber(-8));
    b.setGpr(0, b.load(Op.load64, sp, 4));
  });
  assert.match(text, /load64 t\d+, -12\n/);
  assert.equal(text.match(/get_gpr/g)?.length, 1);
});

test("a value is computed once", () => {
  const text = build((b) => {
    b.setGpr(1, b.emit(Op.i64_mul, b.getGpr(2), b.getGpr(3)));
    b.setGpr(5, b.emit(Op.i64_mul, b.getGpr(2), b.getGpr(3)));
  });
  assert.equal(text.match(/i64_mul/g)?.length, 1);
});

test("a lane is the scalar that was put there, or a lane of where it comes from", () => {
  const bytesOf = (lanes: readonly number[]): number[] =>
    lanes.flatMap((lane) => [0, 1, 2, 3].map((n) => lane * 4 + n));
  const b = new IrBuilder();
  b.begin(0);
  const [one, two] = [b.const32(1), b.const32(2)];
  const other = b.getXmm(1);
  const put = b.replaceLane(Op.i32x4_replace_lane, b.emit(Op.i32x4_splat, one), 2, two);
  const mixed = b.shuffle(other, put, bytesOf([6, 3, 4, 1]));
  const lane = (vector: number, n: number): number => b.extractLane(Op.i32x4_extract_lane, vector, n);
  assert.deepEqual([0, 1, 2, 3].map((n) => lane(put, n)), [one, one, two, one]);
  assert.deepEqual([lane(mixed, 0), lane(mixed, 2)], [two, one]);
  assert.deepEqual([lane(mixed, 1), lane(mixed, 3)], [lane(other, 3), lane(other, 1)]);
  assert.equal(b.a[lane(mixed, 1)], other);
  const bytes = b.shuffle(other, put, [1, 0, 2, 3, ...bytesOf([1, 2, 3])]);
  assert.equal(b.a[lane(bytes, 0)], bytes, "bytes that are not in a row");
});

test("a condition is fused with the comparison that set the flags", () => {
  const text = build((b) => {
    b.setCc(ccOp(CC_SUB, 4), b.getGpr(1), b.getGpr(2));
    b.setGpr(3, b.ccCond(12));
    b.setGpr(5, b.ccCond(13));
  });
  assert.match(text, /i32_lt_s/);
  assert.match(text, /i32_ge_s|i32_eqz/);
  assert.doesNotMatch(text, /cc_cond/);
});

test("both senses of one condition keep their meaning", () => {
  const b = new IrBuilder();
  b.begin(0);
  b.insn(0, 1);
  b.setCc(ccOp(CC_LOGIC, 8), b.getGpr(1));
  const equal = b.ccCond(4);
  const different = b.ccCond(5);
  assert.notEqual(equal, different);
  assert.equal(b.op[equal], Op.i64_eq);
});

test("the validator refuses wrong types", () => {
  const b = new IrBuilder();
  b.begin(0);
  b.insn(0, 1);
  b.raw(Op.i64_add, b.const32(1), b.const64(1, 0), -1, 0, 0);
  b.jump(1);
  assert.throws(() => validateIr(keepIr(b)), /record \d+: t\d+ is i, wanted l/);
});
