// SPDX-License-Identifier: Apache-2.0
// What blocks become when they are packed, by the names of their records. That they still do the same is for engines.test.ts and the oracle.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../../lib/ram.ts";
import { TRAP_PROTECTION } from "../../include/linux/cpu.ts";
import { IrBuilder, type Temp } from "../ir/builder.ts";
import { CC_ADD, CC_LOGIC, CC_SUB, ccOp } from "../ir/cc.ts";
import { Op } from "../ir/ops.ts";
import { JUMP_RETURN } from "../ir/terminators.ts";
import { BYTECODE_ARENA, CPU_STATE } from "../layout.ts";
import { HEADER_BYTES, RECORD_BYTES } from "./bytecode.ts";
import { makeHandlers } from "./handlers.ts";
import { Lowering } from "./lower.ts";

const PC = 0x1000;
const RSP = 4;
const ENDS = /^(jump|compare_|return|indirect)/;
const handlers = makeHandlers();

/** Names of the records of a block; it ends in a jump unless `body` says otherwise. */
function packed(body: (b: IrBuilder) => boolean | void): string {
  const ram = new Ram(BYTECODE_ARENA + (1 << 20), BYTECODE_ARENA + (1 << 20));
  const b = new IrBuilder();
  b.begin(PC);
  b.insn(PC, 4);
  if (body(b) !== true) b.jump(PC + 4);
  new Lowering(ram, handlers).lower(b, BYTECODE_ARENA, 100, true);
  const names: string[] = [];
  for (let at = BYTECODE_ARENA + HEADER_BYTES;; at += RECORD_BYTES) {
    const row = handlers.rows[ram.u16[at >>> 1]!]!;
    const own = row.variant === "sequence" ? handlers.rows[handlers.parts[row.id]![0]!]! : row;
    names.push(own.name);
    if (ENDS.test(own.name)) return names.join(" ");
  }
}

/** The stack pointer grows by eight after what it points to has been read. */
function pop(b: IrBuilder): Temp {
  const sp = b.getGpr(RSP);
  const value = b.load(Op.load64, sp, 0);
  b.setGpr(RSP, b.emit(Op.i64_add, sp, b.const64(8, 0)));
  return value;
}

test("a comparison sets the flags that it is made of", () => {
  const names = packed((b) => {
    const [x, y] = [b.getGpr(0), b.getGpr(1)];
    b.setCc(ccOp(CC_SUB, 8), x, y);
    b.branch(b.ccCond(4), PC + 0x20, PC + 4);
    return true;
  });
  assert.equal(names, "compare_64");
});

test("a test of some bits is two records", () => {
  const names = packed((b) => {
    const bits = b.emit(Op.i32_and, b.emit(Op.i32_wrap_i64, b.getGpr(0)), b.const32(0x40));
    b.setCc(ccOp(CC_LOGIC, 4), bits);
    b.branch(b.ccCond(5), PC + 0x20, PC + 4);
    return true;
  });
  assert.equal(names, "logic compare_32");
});

test("flags of a sum are set before its operand is lost", () => {
  const names = packed((b) => {
    const [x, y] = [b.getGpr(0), b.const64(8, 0)];
    b.setGpr(0, b.emit(Op.i64_add, x, y));
    b.setCc(ccOp(CC_ADD, 8), x, y);
  });
  assert.equal(names, "flags add jump");
});

test("what is lost before it is read has been copied", () => {
  const names = packed((b) => {
    const x = b.getGpr(0);
    b.setGpr(0, b.emit(Op.i64_mul, b.getGpr(1), b.getGpr(2)));
    b.store(Op.store64, b.getGpr(3), 0, x);
  });
  assert.equal(names, "add i64_mul store_64 jump");
});

test("pops and a return read the stack pointer where it has come to", () => {
  const names = packed((b) => {
    b.setGpr(5, pop(b));
    const target = pop(b);
    const top = b.emit(Op.i64_add, b.emit(Op.i64_shr_s, target, b.const64(47, 0)), b.const64(1, 0));
    b.trapIf(TRAP_PROTECTION, b.emit(Op.i64_gt_u, top, b.const64(1, 0)));
    b.jumpIndirect(target, JUMP_RETURN);
    return true;
  });
  assert.match(names, /^load_64 add load_64 (add canonical indirect|return)$/);
});

test("addresses from where the block begins and constants are part of accesses", () => {
  const names = packed((b) => {
    b.setGpr(0, b.load(Op.load32_u_64, b.pcConst(PC + 0x2000), 0));
    b.store(Op.store8, b.getGpr(1), 4, b.const32(7));
  });
  assert.equal(names, "load_32 store_8 jump");
});

test("a field of the state in the middle of a slot is read as it is", () => {
  const names = packed((b) => b.setGpr(0, b.emit(Op.i64_extend_i32_u, b.getState32(CPU_STATE.fsw))));
  assert.match(names, /^mov32 /);
});
