// SPDX-License-Identifier: Apache-2.0
// Shifts, rotates and bit operations.
//
// A count of 0 (after masking to 5 or 6 bits) changes no flags. Undefined flags: OF after a shift by more
// than 1 is what the formula for 1 gives; AF is 0.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 3.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, CC_LOGIC, CC_RESULT, ccOp, FLAG_CF, FLAG_OF, FLAG_ZF } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { KIND_CL, KIND_E, KIND_G, KIND_ONE } from "../tables/forms.ts";
import { replaceFlags } from "./arith.ts";
import { AND, type Lift, type LifterTable, OR, ROTL, ROTR, SAR, SHL, SHR, SUB, XOR } from "./context.ts";

/** A count known at lift time, or a temp of the size's type. */
interface Count {
  readonly known: number;
  readonly temp: Temp;
}

function countOf(l: Lift, n: number, size: number): Count {
  const mask = size === 8 ? 63 : 31;
  const { kind } = l.operand(n);
  if (kind !== KIND_CL) {
    const known = (kind === KIND_ONE ? 1 : l.insn.imm) & mask;
    return { known, temp: l.constant(size, known) };
  }
  return { known: -1, temp: l.op(AND, size, l.readRegister(1, size), l.constant(size, mask)) };
}

/** i32: bits of CF and OF in place from two i32 0/1 temps. */
function carryOverflow(l: Lift, carry: Temp, overflow: Temp): Temp {
  return l.b.emit(Op.i32_or, carry, l.b.emit(Op.i32_shl, overflow, l.b.const32(11)));
}

function bit(l: Lift, value: Temp, size: number): Temp {
  const low = size === 8 ? l.narrow(value) : value;
  return l.b.emit(Op.i32_and, low, l.b.const32(1));
}

/** Flags after a shift: SF ZF PF from the result, CF and OF packed; kept when a run-time count is 0. */
function setShiftFlags(l: Lift, size: number, count: Count, result: Temp, packed: Temp): void {
  const { b } = l;
  const op = ccOp(CC_RESULT, size);
  if (count.known >= 0) {
    b.setCc(op, result, packed);
    return;
  }
  const some = l.b.emit(Op.i32_eqz, l.isZero(count.temp, size));
  const newOp = b.emit(Op.select_i32, b.const32(op), b.emit(Op.get_cc_op), some);
  const newA = b.emit(Op.select_i64, l.wide(result, size, "unsigned"), b.emit(Op.get_cc_a), some);
  const newB = b.emit(Op.select_i64, b.emit(Op.i64_extend_i32_u, packed), b.emit(Op.get_cc_b), some);
  b.setCcDynamic(newOp, newA, newB);
}

function shiftLeft(l: Lift): void {
  const size = l.size(0);
  const bits = size * 8;
  const a = l.zeroExtend(l.readModify(0), size);
  const count = countOf(l, 1, size);
  const result = l.op(SHL, size, a, count.temp);
  l.write(0, result);
  if (count.known === 0) return;
  const carry = size < 4
    ? bit(l, l.op(SHR, 4, result, l.b.const32(bits)), 4)
    : bit(l, l.op(SHR, size, a, l.op(SUB, size, l.constant(size, bits), count.temp)), size);
  const overflow = l.b.emit(Op.i32_xor, l.signBit(result, size), carry);
  setShiftFlags(l, size, count, result, carryOverflow(l, carry, overflow));
}

function shiftRight(l: Lift, sign: "signed" | "unsigned"): void {
  const size = l.size(0);
  const raw = l.readModify(0);
  const a = sign === "signed" ? l.signExtend(raw, size) : l.zeroExtend(raw, size);
  const count = countOf(l, 1, size);
  const pair = sign === "signed" ? SAR : SHR;
  const result = l.op(pair, size, a, count.temp);
  l.write(0, result);
  if (count.known === 0) return;
  const carry = bit(l, l.op(pair, size, a, l.op(SUB, size, count.temp, l.constant(size, 1))), size);
  const overflow = sign === "signed" ? l.b.const32(0) : topTwoDiffer(l, result, size);
  setShiftFlags(l, size, count, result, carryOverflow(l, carry, overflow));
}

/** Bit 7 xor bit 6 (for bytes) of a value. */
function topTwoDiffer(l: Lift, value: Temp, size: number): Temp {
  const below = l.op(SHL, size, value, l.constant(size, 1));
  return l.signBit(l.op(XOR, size, value, below), size);
}

/** CF and OF from a rotate, the others kept; nothing changes when a run-time count is 0. */
function setRotateFlags(l: Lift, size: number, count: Count, carry: Temp, overflow: Temp): void {
  const packed = carryOverflow(l, carry, overflow);
  const { b } = l;
  if (count.known >= 0) {
    replaceFlags(l, FLAG_CF | FLAG_OF, packed);
    b.noteCarry(carry);
    return;
  }
  const flags = b.ccFlags();
  const kept = b.emit(Op.i32_and, flags, b.const32(0x0d4));
  const some = b.emit(Op.i32_eqz, l.isZero(count.temp, size));
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.select_i32, b.emit(Op.i32_or, kept, packed), flags, some));
}

function rotate(l: Lift, direction: "left" | "right"): void {
  const { b } = l;
  const size = l.size(0);
  const a = l.readModify(0);
  const count = countOf(l, 1, size);
  let result: Temp;
  if (size >= 4) {
    result = l.op(direction === "left" ? ROTL : ROTR, size, a, count.temp);
  } else {
    // The value repeated fills an i32, so that a 32-bit rotate does it.
    const clean = l.zeroExtend(a, size);
    const repeated = b.emit(Op.i32_mul, clean, b.const32(size === 1 ? 0x0101_0101 : 0x0001_0001));
    result = l.op(direction === "left" ? ROTL : ROTR, 4, repeated, count.temp);
  }
  l.write(0, result);
  if (count.known === 0) return;
  if (direction === "left") {
    const carry = bit(l, result, size);
    setRotateFlags(l, size, count, carry, b.emit(Op.i32_xor, l.signBit(result, size), carry));
  } else {
    setRotateFlags(l, size, count, l.signBit(result, size), topTwoDiffer(l, result, size));
  }
}

/** RCL and RCR of 1, 2 and 4 bytes: the value with CF on top as one i64 of bits + 1. */
function rotateCarryNarrow(l: Lift, direction: "left" | "right", size: number): void {
  const { b } = l;
  const bits = size * 8;
  const width = bits + 1;
  const a = l.wide(l.readModify(0), size, "unsigned");
  const count = countOf(l, 1, size);
  const carryIn = b.emit(Op.i64_extend_i32_u, b.ccCond(2));
  const value = b.emit(Op.i64_or, a, b.emit(Op.i64_shl, carryIn, b.const64(bits, 0)));
  const raw = b.emit(Op.i64_extend_i32_u, count.temp);
  const turn = size === 4 ? raw : b.emit(Op.i64_rem_u, raw, b.const64(width, 0));
  const back = b.emit(Op.i64_sub, b.const64(width, 0), turn);
  const [up, down] = direction === "left" ? [turn, back] : [back, turn];
  const rotated = b.emit(Op.i64_or, b.emit(Op.i64_shl, value, up), b.emit(Op.i64_shr_u, value, down));
  const result = l.narrow(rotated);
  l.write(0, result);
  if (count.known === 0) return;
  const carry = bit(l, b.emit(Op.i64_shr_u, rotated, b.const64(bits, 0)), 8);
  const overflow = direction === "left"
    ? b.emit(Op.i32_xor, l.signBit(result, size), carry)
    : topTwoDiffer(l, result, size);
  setRotateFlags(l, size, count, carry, overflow);
}

/** RCL and RCR of 8 bytes. Shifts by 64 are made of two shifts, as a count of 0 asks for them. */
function rotateCarry64(l: Lift, direction: "left" | "right"): void {
  const { b } = l;
  const a = l.readModify(0);
  const count = countOf(l, 1, 8);
  const carryIn = b.ccCond(2);
  const wideCarry = b.emit(Op.i64_extend_i32_u, carryIn);
  const one = b.const64(1, 0);
  const back = b.emit(Op.i64_sub, b.const64(64, 0), count.temp);
  const before = b.emit(Op.i64_sub, count.temp, one);
  const isZero = l.isZero(count.temp, 8);
  let turned: Temp;
  let carry: Temp;
  if (direction === "left") {
    const low = b.emit(Op.i64_shr_u, b.emit(Op.i64_shr_u, a, one), back);
    turned = b.emit(Op.i64_or, b.emit(Op.i64_shl, a, count.temp), low);
    turned = b.emit(Op.i64_or, turned, b.emit(Op.i64_shl, wideCarry, before));
    carry = bit(l, b.emit(Op.i64_shr_u, a, back), 8);
  } else {
    const high = b.emit(Op.i64_shl, b.emit(Op.i64_shl, a, one), back);
    turned = b.emit(Op.i64_or, b.emit(Op.i64_shr_u, a, count.temp), high);
    turned = b.emit(Op.i64_or, turned, b.emit(Op.i64_shl, wideCarry, back));
    carry = bit(l, b.emit(Op.i64_shr_u, a, before), 8);
  }
  const result = b.emit(Op.select_i64, a, turned, isZero);
  l.write(0, result);
  if (count.known === 0) return;
  const overflow = direction === "left"
    ? b.emit(Op.i32_xor, l.signBit(result, 8), carry)
    : topTwoDiffer(l, result, 8);
  setRotateFlags(l, 8, count, carry, overflow);
}

function rotateCarry(l: Lift, direction: "left" | "right"): void {
  const size = l.size(0);
  if (size === 8) rotateCarry64(l, direction);
  else rotateCarryNarrow(l, direction, size);
}

/** SHLD and SHRD. For 16 bits the two operands are concatenated in an i64, so counts to 31 have a meaning. */
function doubleShift(l: Lift, direction: "left" | "right"): void {
  const { b } = l;
  const size = l.size(0);
  const bits = size * 8;
  const a = l.zeroExtend(l.readModify(0), size);
  const source = l.zeroExtend(l.read(1), size);
  const count = countOf(l, 2, size);
  const back = l.op(SUB, size, l.constant(size, bits), count.temp);
  let result: Temp;
  let carry: Temp;
  if (size === 2) {
    [result, carry] = doubleShift16(l, direction, a, source, count.temp);
  } else {
    const [main, other] = direction === "left" ? [SHL, SHR] : [SHR, SHL];
    // The second shift is split so that a count of 0 shifts everything out.
    const rest = l.op(
      other,
      size,
      l.op(other, size, source, l.constant(size, 1)),
      l.op(SUB, size, back, l.constant(size, 1)),
    );
    result = l.op(OR, size, l.op(main, size, a, count.temp), rest);
    result = count.known >= 0 ? result : l.select(size, l.isZero(count.temp, size), a, result);
    const outShift = direction === "left" ? back : l.op(SUB, size, count.temp, l.constant(size, 1));
    carry = bit(l, l.op(SHR, size, a, outShift), size);
  }
  if (count.known === 0) {
    l.write(0, a);
    return;
  }
  l.write(0, result);
  const overflow = b.emit(Op.i32_xor, l.signBit(result, size), l.signBit(a, size));
  setShiftFlags(l, size, count, result, carryOverflow(l, carry, overflow));
}

function doubleShift16(
  l: Lift,
  direction: "left" | "right",
  a: Temp,
  source: Temp,
  count: Temp,
): [Temp, Temp] {
  const { b } = l;
  const wa = b.emit(Op.i64_extend_i32_u, a);
  const ws = b.emit(Op.i64_extend_i32_u, source);
  const n = b.emit(Op.i64_extend_i32_u, count);
  const at = (value: Temp, shift: number): Temp => b.emit(Op.i64_shl, value, b.const64(shift, 0));
  if (direction === "left") {
    // a : source : a, shifted left: bits 32..47 are the result and bit 48 the carry.
    const all = b.emit(Op.i64_or, b.emit(Op.i64_or, at(wa, 32), at(ws, 16)), wa);
    const shifted = b.emit(Op.i64_shl, all, n);
    return [
      l.narrow(b.emit(Op.i64_shr_u, shifted, b.const64(32, 0))),
      bit(l, b.emit(Op.i64_shr_u, shifted, b.const64(48, 0)), 8),
    ];
  }
  const all = b.emit(Op.i64_or, b.emit(Op.i64_or, at(wa, 32), at(ws, 16)), wa);
  const before = b.emit(Op.i64_shr_u, all, b.emit(Op.i64_sub, n, b.const64(1, 0)));
  return [l.narrow(b.emit(Op.i64_shr_u, all, n)), bit(l, before, 8)];
}

// --- Bit tests ---

/** Points addr and disp at the unit that holds the bit, and returns the bit's index within it. */
function bitAddress(l: Lift, size: number): Temp {
  const { b } = l;
  const bits = size * 8;
  const { kind } = l.operand(1);
  if (kind !== KIND_G) return l.constant(size, l.insn.imm & (bits - 1));
  const index = l.read(1, size);
  if (l.operand(0).kind === KIND_E && l.isMemory(0)) {
    const signed = l.wide(index, size, "signed");
    const log = 31 - Math.clz32(bits);
    const unit = b.emit(Op.i64_shr_s, signed, b.const64(log, 0));
    // With a 32-bit address size the offset wraps before the segment's base is added.
    const offset = b.scaledAdd(l.effectiveAddress(), unit, log - 3);
    l.addr = l.withSegment(l.insn.addr32 ? b.emit(Op.i64_extend_i32_u, l.narrow(offset)) : offset);
    l.disp = 0;
  }
  return l.op(AND, size, index, l.constant(size, bits - 1));
}

function bitTest(l: Lift, change: "none" | "set" | "reset" | "complement"): void {
  const size = l.size(0);
  const index = bitAddress(l, size);
  const value = change === "none" ? l.read(0) : l.readModify(0);
  const carry = bit(l, l.op(SHR, size, value, index), size);
  if (change !== "none") {
    const mask = l.op(SHL, size, l.constant(size, 1), index);
    l.write(0, changeBit(l, size, value, mask, change));
  }
  replaceFlags(l, FLAG_CF, carry);
  l.b.noteCarry(carry);
}

function changeBit(
  l: Lift,
  size: number,
  value: Temp,
  mask: Temp,
  change: "set" | "reset" | "complement",
): Temp {
  if (change === "set") return l.op(OR, size, value, mask);
  if (change === "complement") return l.op(XOR, size, value, mask);
  return l.op(AND, size, value, l.op(XOR, size, mask, l.constant(size, -1)));
}

/** BSF and BSR: a source of 0 leaves the target as it is. */
function bitScan(l: Lift, direction: "forward" | "reverse"): void {
  const { b } = l;
  const size = l.size(0);
  const source = l.zeroExtend(l.read(1), size);
  let found: Temp;
  if (direction === "forward") {
    found = b.emit(size === 8 ? Op.i64_ctz : Op.i32_ctz, source);
  } else {
    const zeros = b.emit(size === 8 ? Op.i64_clz : Op.i32_clz, source);
    found = l.op(XOR, size, zeros, l.constant(size, size === 8 ? 63 : 31));
  }
  const register = l.registerOf(0);
  const old = b.getGpr(register);
  let written: Temp;
  if (size === 8) written = found;
  else if (size === 4) written = b.emit(Op.i64_extend_i32_u, found);
  else written = b.emit(Op.insert16, old, found);
  b.setGpr(register, b.emit(Op.select_i64, old, written, l.isZero(source, size)));
  b.setCc(ccOp(CC_LOGIC, size), source);
}

function populationCount(l: Lift): void {
  const { b } = l;
  const size = l.size(0);
  const source = l.zeroExtend(l.read(1), size);
  l.write(0, b.emit(size === 8 ? Op.i64_popcnt : Op.i32_popcnt, source));
  const zero = l.isZero(source, size);
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_mul, zero, b.const32(FLAG_ZF)));
}

function byteSwap(l: Lift): void {
  const { b } = l;
  const register = l.registerOf(0);
  const value = b.getGpr(register);
  if (l.insn.opSize === 2) {
    b.setGpr(register, b.emit(Op.insert16, value, b.const32(0)));
    return;
  }
  const low = swapBytes(l, b.emit(Op.i32_wrap_i64, value));
  if (l.insn.opSize === 4) {
    b.setGpr(register, low);
    return;
  }
  const upper = b.emit(Op.i32_wrap_i64, b.emit(Op.i64_shr_u, value, b.const64(32, 0)));
  b.setGpr(register, b.emit(Op.i64_or, b.emit(Op.i64_shl, low, b.const64(32, 0)), swapBytes(l, upper)));
}

/** The four bytes of a word in reverse order, zero-extended: every second one comes by a rotation to the left, the others by one to the right. */
function swapBytes({ b }: Lift, word: Temp): Temp {
  const odd = b.emit(Op.i32_and, b.emit(Op.i32_rotl, word, b.const32(8)), b.const32(0x00ff_00ff));
  const even = b.emit(Op.i32_and, b.emit(Op.i32_rotr, word, b.const32(8)), b.const32(0xff00_ff00 | 0));
  return b.emit(Op.i64_extend_i32_u, b.emit(Op.i32_or, odd, even));
}

export const SHIFTS: LifterTable = {
  SHL: shiftLeft,
  SHR: (l) => shiftRight(l, "unsigned"),
  SAR: (l) => shiftRight(l, "signed"),
  ROL: (l) => rotate(l, "left"),
  ROR: (l) => rotate(l, "right"),
  RCL: (l) => rotateCarry(l, "left"),
  RCR: (l) => rotateCarry(l, "right"),
  SHLD: (l) => doubleShift(l, "left"),
  SHRD: (l) => doubleShift(l, "right"),
  BT: (l) => bitTest(l, "none"),
  BTS: (l) => bitTest(l, "set"),
  BTR: (l) => bitTest(l, "reset"),
  BTC: (l) => bitTest(l, "complement"),
  BSF: (l) => bitScan(l, "forward"),
  BSR: (l) => bitScan(l, "reverse"),
  POPCNT: populationCount,
  BSWAP: byteSwap,
};
