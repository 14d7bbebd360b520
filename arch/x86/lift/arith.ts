// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic and logic: ADD to CMP, INC, DEC, NEG, NOT, TEST, MUL, DIV, ADC, XADD, CMPXCHG.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 3.

import { TRAP_DIVIDE } from "../../../include/linux/cpu.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import {
  CC_ADD,
  CC_DEC,
  CC_EXPLICIT,
  CC_INC,
  CC_LOGIC,
  CC_RESULT,
  CC_SUB,
  ccOp,
  FLAG_CF,
  FLAG_OF,
  FLAG_ZF,
} from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import {
  ADD,
  AND,
  EQ,
  type Lift,
  type LifterTable,
  MUL,
  OR,
  type Pair,
  RAX,
  RBX,
  RCX,
  RDX,
  SUB,
  XOR,
} from "./context.ts";

/** Condition code: below, that is CF. */
export const COND_B = 2;

function addSub(l: Lift, pair: Pair, kind: number): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const b = l.read(1, size);
  l.write(0, l.op(pair, size, a, b));
  l.b.setCc(ccOp(kind, size), a, b);
}

function sub(l: Lift): void {
  const size = l.size(0);
  if (l.registerOf(0) === l.registerOf(1) && !l.isMemory(0) && size >= 4) {
    const zero = l.constant(size, 0);
    l.write(0, zero);
    l.b.setCc(ccOp(CC_SUB, size), zero, zero);
    return;
  }
  addSub(l, SUB, CC_SUB);
}

/** ADC and SBB: the kind of the flags depends on the carry. */
function withCarry(l: Lift, pair: Pair, kind: number): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const b = l.read(1, size);
  const carry = l.b.ccCond(COND_B);
  const carryWide = size === 8 ? l.b.emit(Op.i64_extend_i32_u, carry) : carry;
  const partial = isSelf(l, pair, size) ? l.constant(size, 0) : l.op(pair, size, a, b);
  const result = l.op(pair, size, partial, carryWide);
  l.write(0, result);
  const op = l.b.emit(Op.i32_add, l.b.emit(Op.i32_shl, carry, l.b.const32(2)), l.b.const32(ccOp(kind, size)));
  l.b.setCcDynamic(op, a, b);
  if (size < 4) return;
  // The carry out, for chains of these.
  const less = size === 8 ? Op.i64_lt_u : Op.i32_lt_u;
  const first = pair === ADD ? l.b.emit(less, partial, a) : l.b.emit(less, a, b);
  const second = pair === ADD ? l.b.emit(less, result, partial) : l.b.emit(less, partial, carryWide);
  l.b.noteCarry(l.b.emit(Op.i32_or, first, second));
}

/** SBB of a register with itself spreads the carry. */
function isSelf(l: Lift, pair: Pair, size: number): boolean {
  return pair === SUB && size >= 4 && !l.isMemory(0) && !l.isMemory(1) && l.registerOf(0) === l.registerOf(1);
}

function logic(l: Lift, pair: Pair): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const result = l.op(pair, size, a, l.read(1, size));
  l.write(0, result);
  l.b.setCc(ccOp(CC_LOGIC, size), result);
}

function xor(l: Lift): void {
  const size = l.size(0);
  if (l.registerOf(0) === l.registerOf(1) && !l.isMemory(0) && size >= 4) {
    const zero = l.constant(size, 0);
    l.write(0, zero);
    l.b.setCc(ccOp(CC_LOGIC, size), zero);
    return;
  }
  logic(l, XOR);
}

function compare(l: Lift): void {
  const size = l.size(0);
  const a = l.read(0);
  l.b.setCc(ccOp(CC_SUB, size), a, l.read(1, size));
}

function test(l: Lift): void {
  const size = l.size(0);
  const a = l.read(0);
  const same = l.registerOf(0) >= 0 && l.registerOf(0) === l.registerOf(1);
  l.b.setCc(ccOp(CC_LOGIC, size), same ? a : l.op(AND, size, a, l.read(1, size)));
}

function incDec(l: Lift, pair: Pair, kind: number): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const result = l.op(pair, size, a, l.constant(size, 1));
  l.write(0, result);
  l.b.setCc(ccOp(kind, size), result, l.b.ccCond(COND_B));
}

function neg(l: Lift): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const zero = l.constant(size, 0);
  l.write(0, l.op(SUB, size, zero, a));
  l.b.setCc(ccOp(CC_SUB, size), zero, a);
}

function not(l: Lift): void {
  const size = l.size(0);
  l.write(0, l.op(XOR, size, l.readModify(0), l.constant(size, -1)));
}

/** CF = OF = `overflow` (i32 0 or 1); SF ZF PF follow `result`. */
function setOverflow(l: Lift, size: number, result: Temp, overflow: Temp): void {
  const { b } = l;
  b.setCc(ccOp(CC_RESULT, size), result, b.emit(Op.i32_mul, overflow, b.const32(FLAG_CF | FLAG_OF)));
}

/** MUL and one-operand IMUL: rDX:rAX (AX for bytes) = rAX * operand. */
function multiplyWide(l: Lift, sign: "signed" | "unsigned"): void {
  const { b } = l;
  const size = l.size(0);
  const source = l.read(0);
  if (size === 8) return multiply128(l, source, sign);
  const product = b.emit(
    Op.i64_mul,
    l.wide(l.readRegister(RAX, size), size, sign),
    l.wide(source, size, sign),
  );
  const low = l.narrow(product);
  if (size === 1) {
    l.writeRegister(RAX, 2, low);
  } else {
    const high = l.narrow(b.emit(Op.i64_shr_u, product, b.const64(size * 8, 0)));
    l.writeRegister(RAX, size, low);
    l.writeRegister(RDX, size, high);
  }
  const back = l.wide(low, size, sign);
  setOverflow(l, size, low, b.emit(Op.i64_ne, back, product));
}

function multiply128(l: Lift, source: Temp, sign: "signed" | "unsigned"): void {
  const { b } = l;
  const a = b.getGpr(RAX);
  const low = b.emit(Op.i64_mul, a, source);
  const high = b.emit(sign === "signed" ? Op.mul_hi_s64 : Op.mul_hi_u64, a, source);
  b.setGpr(RAX, low);
  b.setGpr(RDX, high);
  const expected = sign === "signed" ? b.emit(Op.i64_shr_s, low, b.const64(63, 0)) : b.const64(0, 0);
  setOverflow(l, 8, low, b.emit(Op.i64_ne, high, expected));
}

/** IMUL with two or three operands. */
function multiply(l: Lift): void {
  const { b } = l;
  const size = l.size(0);
  const three = l.insn.form.operands.length === 3;
  const x = three ? l.read(1) : l.read(0);
  const y = three ? l.read(2, size) : l.read(1);
  if (size === 8) {
    const low = b.emit(Op.i64_mul, x, y);
    const high = b.emit(Op.mul_hi_s64, x, y);
    l.write(0, low);
    setOverflow(l, 8, low, b.emit(Op.i64_ne, high, b.emit(Op.i64_shr_s, low, b.const64(63, 0))));
    return;
  }
  if (size === 4) {
    const product = b.emit(Op.i64_mul, l.wide(x, 4, "signed"), l.wide(y, 4, "signed"));
    const low = b.emit(Op.i32_mul, x, y);
    l.write(0, low);
    setOverflow(l, 4, low, b.emit(Op.i64_ne, product, l.wide(low, 4, "signed")));
    return;
  }
  const product = b.emit(MUL.i, l.signExtend(x, 2), l.signExtend(y, 2));
  l.write(0, product);
  setOverflow(l, 2, product, b.emit(Op.i32_ne, product, l.signExtend(product, 2)));
}

function divide(l: Lift): void {
  const { b } = l;
  const size = l.size(0);
  const divisor = l.read(0);
  if (size === 8) {
    const [high, low] = [b.getGpr(RDX), b.getGpr(RAX)];
    b.trapIf(TRAP_DIVIDE, b.emit(Op.i64_ge_u, high, divisor));
    storeQuotient128(l, low, divisor, b.call("udiv128_quotient", high, low, divisor));
    return;
  }
  const d = l.zeroExtend(divisor, size);
  // The quotient fits exactly when the high half is below the divisor; that also rules out 0.
  b.trapIf(TRAP_DIVIDE, b.emit(Op.i32_ge_u, highHalf(l, size), d));
  const dividend = wideDividend(l, size, "unsigned");
  const wide = b.emit(Op.i64_extend_i32_u, d);
  storeQuotient(l, size, b.emit(Op.i64_div_u, dividend, wide), b.emit(Op.i64_rem_u, dividend, wide));
}

/** With the remainder, of which the lower half of the dividend is enough. */
function storeQuotient128({ b }: Lift, low: Temp, divisor: Temp, quotient: Temp): void {
  b.setGpr(RAX, quotient);
  b.setGpr(RDX, b.emit(Op.i64_sub, low, b.emit(Op.i64_mul, quotient, divisor)));
}

function highHalf(l: Lift, size: number): Temp {
  if (size > 1) return l.zeroExtend(l.readRegister(RDX, size), size);
  const ax = l.zeroExtend(l.readRegister(RAX, 2), 2);
  return l.b.emit(Op.i32_shr_u, ax, l.b.const32(8));
}

/** rDX:rAX, or AX for bytes, as i64. */
function wideDividend(l: Lift, size: number, sign: "signed" | "unsigned"): Temp {
  const { b } = l;
  if (size === 1) return l.wide(l.readRegister(RAX, 2), 2, sign);
  const high = l.wide(l.readRegister(RDX, size), size, sign);
  return b.emit(
    Op.i64_or,
    b.emit(Op.i64_shl, high, b.const64(size * 8, 0)),
    l.wide(l.readRegister(RAX, size), size, "unsigned"),
  );
}

function storeQuotient(l: Lift, size: number, quotient: Temp, remainder: Temp): void {
  const q = l.narrow(quotient);
  const r = l.narrow(remainder);
  if (size === 1) {
    const both = l.b.emit(Op.i32_or, l.zeroExtend(q, 1), l.b.emit(Op.i32_shl, r, l.b.const32(8)));
    l.writeRegister(RAX, 2, both);
    return;
  }
  l.writeRegister(RAX, size, q);
  l.writeRegister(RDX, size, r);
}

function divideSigned(l: Lift): void {
  const { b } = l;
  const size = l.size(0);
  const divisor = l.read(0);
  b.trapIf(TRAP_DIVIDE, l.isZero(divisor, size));
  if (size === 8) {
    const [high, low] = [b.getGpr(RDX), b.getGpr(RAX)];
    b.trapIf(TRAP_DIVIDE, b.call("sdiv128_overflows", high, low, divisor));
    storeQuotient128(l, low, divisor, b.call("sdiv128_quotient", high, low, divisor));
    return;
  }
  const dividend = wideDividend(l, size, "signed");
  const d = l.wide(divisor, size, "signed");
  if (size === 4) {
    // The one quotient that even 64 bits cannot hold.
    const smallest = b.emit(Op.i64_eq, dividend, b.const64(0, 0x8000_0000));
    const minusOne = b.emit(Op.i64_eq, d, b.const64(-1, -1));
    b.trapIf(TRAP_DIVIDE, b.emit(Op.i32_and, smallest, minusOne));
  }
  const quotient = b.emit(Op.i64_div_s, dividend, d);
  const remainder = b.emit(Op.i64_rem_s, dividend, d);
  b.trapIf(TRAP_DIVIDE, b.emit(Op.i64_ne, quotient, l.wide(l.narrow(quotient), size, "signed")));
  storeQuotient(l, size, quotient, remainder);
}

function exchange(l: Lift): void {
  const a = l.readModify(0);
  const size = l.size(0);
  const b = l.read(1, size);
  l.write(0, b);
  l.write(1, a, size);
}

function exchangeAdd(l: Lift): void {
  const size = l.size(0);
  const a = l.readModify(0);
  const b = l.read(1);
  const sum = l.op(ADD, size, a, b);
  if (l.isMemory(0)) {
    l.write(0, sum);
    l.write(1, a);
  } else {
    l.write(1, a);
    l.write(0, sum);
  }
  l.b.setCc(ccOp(CC_ADD, size), a, b);
}

function compareExchange(l: Lift): void {
  const { b } = l;
  const size = l.size(0);
  const old = l.readModify(0);
  const source = l.read(1);
  const accumulator = l.readRegister(RAX, size);
  const equal = l.op(EQ, size, l.zeroExtend(accumulator, size), l.zeroExtend(old, size));
  if (!l.isMemory(0) && size === 4) {
    // A 32-bit register target that is not replaced keeps its high half.
    const register = l.registerOf(0);
    const wide = b.emit(Op.i64_extend_i32_u, source);
    b.setGpr(register, b.emit(Op.select_i64, wide, b.getGpr(register), equal));
  } else {
    l.write(0, l.select(size, equal, source, old));
  }
  const rax = b.getGpr(RAX);
  // The accumulator is written only when the comparison fails: a 32-bit one then loses its high half.
  let failed: Temp;
  if (size === 8) failed = old;
  else if (size === 4) failed = b.emit(Op.i64_extend_i32_u, old);
  else failed = b.emit(size === 1 ? Op.insert8 : Op.insert16, rax, old);
  const isAccumulator = !l.isMemory(0) && l.registerOf(0) === RAX && (size > 1 || l.insn.rm < 4);
  if (!isAccumulator) b.setGpr(RAX, b.emit(Op.select_i64, rax, failed, equal));
  b.setCc(ccOp(CC_SUB, size), accumulator, old);
}

/** CMPXCHG8B and CMPXCHG16B: only ZF changes. */
function compareExchangePair(l: Lift): void {
  const { b } = l;
  const half = l.insn.rexW ? 8 : 4;
  if (half === 8) l.checkAlignment(16);
  l.address();
  b.probeWrite(half * 2, l.addr, l.disp);
  const oldLow = l.loadAt(l.addr, l.disp, half);
  const oldHigh = l.loadAt(l.addr, l.disp + half, half);
  const low = l.readRegister(RAX, half);
  const high = l.readRegister(RDX, half);
  const equal = b.emit(Op.i32_and, l.op(EQ, half, low, oldLow), l.op(EQ, half, high, oldHigh));
  l.storeAt(l.addr, l.disp, half, l.select(half, equal, l.readRegister(RBX, half), oldLow));
  l.storeAt(l.addr, l.disp + half, half, l.select(half, equal, l.readRegister(RCX, half), oldHigh));
  const rax = b.getGpr(RAX);
  const rdx = b.getGpr(RDX);
  b.setGpr(RAX, b.emit(Op.select_i64, rax, l.wide(oldLow, half, "unsigned"), equal));
  b.setGpr(RDX, b.emit(Op.select_i64, rdx, l.wide(oldHigh, half, "unsigned"), equal));
  replaceFlags(l, FLAG_ZF, b.emit(Op.i32_shl, equal, b.const32(6)));
}

/** Sets the flags in `mask` to the bits of `value` (i32), keeping the others. */
export function replaceFlags(l: Lift, mask: number, value: Temp): void {
  const { b } = l;
  const kept = b.emit(Op.i32_and, b.ccFlags(), b.const32(~mask & 0x8d5));
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_or, kept, value));
}

export const ARITHMETIC: LifterTable = {
  ADD: (l) => addSub(l, ADD, CC_ADD),
  ADC: (l) => withCarry(l, ADD, CC_ADD),
  SUB: sub,
  SBB: (l) => withCarry(l, SUB, CC_SUB),
  AND: (l) => logic(l, AND),
  OR: (l) => logic(l, OR),
  XOR: xor,
  CMP: compare,
  TEST: test,
  INC: (l) => incDec(l, ADD, CC_INC),
  DEC: (l) => incDec(l, SUB, CC_DEC),
  NEG: neg,
  NOT: not,
  MUL: (l) => multiplyWide(l, "unsigned"),
  IMUL1: (l) => multiplyWide(l, "signed"),
  IMUL: multiply,
  DIV: divide,
  IDIV: divideSigned,
  XCHG: exchange,
  XADD: exchangeAdd,
  CMPXCHG: compareExchange,
  CMPXCHG8B: compareExchangePair,
};
