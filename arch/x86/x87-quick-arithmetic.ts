// SPDX-License-Identifier: Apache-2.0
// Arithmetic of the x87 on zeros and normal numbers in WebAssembly, with all exceptions masked, rounded to nearest with 64 bits: functions that x87-quick.ts
// calls. Each returns 0, having changed nothing, where a case is not its own; x87-arithmetic.ts, which is asked then, defines what must come out.
//
// A number is a significand of 64 bits, the highest of which is set unless it is zero, and a word with its sign and exponent. What lies below a
// significand, before it is rounded, is another 64 bits, the lowest of them sticky.
// Source: AMD64 Architecture Programmer's Manual, volume 1, sections 6.3 and 6.4.

import type { QuickContext } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { Code, type Operand, type Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { FLAG_PRECISION } from "./softfloat.ts";
import { C1 } from "./x87-state.ts";

export const FCW: number = CPU_BASE + CPU_STATE.fcw;
export const FSW: number = CPU_BASE + CPU_STATE.fsw;
export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
export const BIAS = 16383;
/** Of a register, its sign and exponent. */
export const WORD_AT = 8;
const BITS = 64;
/** Masks, precision and rounding of the control word, and what they are here. */
const PLAIN_MASK = 0xf3f;
const PLAIN = 0x33f;

/** What comparisons give: ZF and CF where EFLAGS have them. */
export const LESS = 0x01;
export const EQUAL = 0x40;
export const GREATER = 0;
/** A comparison that is not done here. */
export const UNKNOWN = -1;

/** Indexes of the functions. */
export interface QuickArithmetic {
  /** (operation by reg field, target, significand, word, significand, word) -> 1: the register at a host address is now what comes out. */
  readonly operate: number;
  /** (target, significand, word) -> 1: the square root of a number. */
  readonly root: number;
  /** (significand, word, significand, word) -> LESS, EQUAL, GREATER or UNKNOWN. */
  readonly compare: number;
}

const OPERANDS = [I32, I64, I32, I64, I32];
const [TO, A, A_WORD, B, B_WORD] = [0, 1, 2, 3, 4];

export function addQuickArithmetic(context: QuickContext): QuickArithmetic {
  const deliver = context.add(emitDeliver().f);
  const add = context.add(emitAdd(deliver).f);
  const multiply = context.add(emitMultiply(deliver, context.mulHigh).f);
  const divide = context.add(emitDivide(deliver, context.divide).f);
  return {
    operate: context.add(emitOperate(add, multiply, divide).f),
    root: context.add(emitRoot(deliver, context).f),
    compare: context.add(emitCompare().f),
  };
}

export function exponentOf(c: Code, word: Operand): Value {
  return c.op(W.i32_and, word, c.i32(EXPONENT));
}

export function signOf(c: Code, word: Operand): Value {
  return c.op(W.i32_and, word, c.i32(SIGN));
}

export function isNormal(c: Code, significand: Operand, word: Operand): Value {
  const exponent = c.op(W.i32_sub, exponentOf(c, word), c.i32(1));
  const inRange = c.op(W.i32_lt_u, exponent, c.i32(EXPONENT - 1));
  return c.op(W.i32_and, c.op(W.i64_lt_s, significand, c.i64(0)), inRange);
}

export function isZero(c: Code, significand: Operand, word: Operand): Value {
  return c.op(W.i32_and, c.op(W.i64_eqz, significand), c.op(W.i32_eqz, exponentOf(c, word)));
}

/** Nothing was rounded: C1 is 0. */
export function clearC1(c: Code): void {
  c.store(W.i32_store, FSW, c.op(W.i32_and, c.load(W.i32_load, FSW), c.i32(~C1)));
}

export function write(c: Code, to: Operand, significand: Operand, word: Operand): void {
  c.store(W.i64_store, 0, significand, to);
  c.store(W.i32_store, WORD_AT, word, to);
}

/** A result that is exact. */
function finish(c: Code, significand: Operand, word: Operand): void {
  clearC1(c);
  write(c, TO, significand, word);
  c.return(c.i32(1));
}

/** (target, sign, exponent with bias, significand, below) -> 1: rounded and written. */
function emitDeliver(): Code {
  const c = new Code([I32, I32, I32, I64, I64], [I32]);
  const [sign, exponent, significand, below] = [1, 2, 3, 4];
  const status = c.local(I32);
  c.set(status, c.op(W.i32_and, c.load(W.i32_load, FSW), c.i32(~C1)));
  c.when(c.op(W.i64_ne, below, c.i64(0)), () => {
    c.set(status, c.op(W.i32_or, status, c.i32(FLAG_PRECISION)));
    // More than a half, or a half of an odd one.
    const isOdd = c.op(W.i64_and, significand, c.i64(1));
    c.when(c.op(W.i64_gt_u, below, c.op(W.i64_sub, c.topBit(), isOdd)), () => {
      c.set(status, c.op(W.i32_or, status, c.i32(C1)));
      c.set(significand, c.op(W.i64_add, significand, c.i64(1)));
      c.when(c.op(W.i64_eqz, significand), () => {
        c.set(significand, c.topBit());
        c.set(exponent, c.op(W.i32_add, exponent, c.i32(1)));
      });
    });
  });
  c.when(
    c.op(W.i32_ge_u, c.op(W.i32_sub, exponent, c.i32(1)), c.i32(EXPONENT - 1)),
    () => c.return(c.i32(0)),
  );
  c.store(W.i32_store, FSW, status);
  write(c, TO, significand, c.op(W.i32_or, sign, exponent));
  c.return(c.i32(1));
  c.f.i32(0);
  return c;
}

/** Does what `act` does where both operands are normal, `zero` where one is a zero and the other a number; else the function returns 0. */
function byKind(c: Code, act: () => void, zero: () => void): void {
  const isNumber = (significand: number, word: number): Value =>
    c.op(W.i32_or, isNormal(c, significand, word), isZero(c, significand, word));
  c.when(c.op(W.i32_and, isNormal(c, A, A_WORD), isNormal(c, B, B_WORD)), act, () => {
    c.when(c.op(W.i32_and, isNumber(A, A_WORD), isNumber(B, B_WORD)), zero);
  });
  c.f.i32(0);
}

/** A + B; for a difference the caller has changed a sign. */
function emitAdd(deliver: number): Code {
  const c = new Code(OPERANDS, [I32]);
  const [exponent, below, distance] = [c.local(I32), c.local(I64), c.local(I32)];
  byKind(c, () => {
    orderByMagnitude(c);
    c.set(exponent, exponentOf(c, A_WORD));
    c.set(distance, c.op(W.i32_sub, exponent, exponentOf(c, B_WORD)));
    c.when(distance, () => shiftDown(c, distance, below));
    const differ = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
    c.when(differ, () => subtract(c, exponent, below), () => sum(c, exponent, below));
    c.return(c.call(deliver, TO, signOf(c, A_WORD), exponent, A, below));
  }, () => addZero(c));
  return c;
}

/** The greater one first. */
function orderByMagnitude(c: Code): void {
  const [held, heldWord] = [c.local(I64), c.local(I32)];
  const [a, b] = [exponentOf(c, A_WORD), exponentOf(c, B_WORD)];
  const less = c.op(
    W.i32_or,
    c.op(W.i32_lt_u, a, b),
    c.op(W.i32_and, c.op(W.i32_eq, a, b), c.op(W.i64_lt_u, A, B)),
  );
  c.when(less, () => {
    c.set(held, A);
    c.set(A, B);
    c.set(B, held);
    c.set(heldWord, A_WORD);
    c.set(A_WORD, B_WORD);
    c.set(B_WORD, heldWord);
  });
}

/** B and what is below it, as far down as the exponents are apart, which is not 0. */
function shiftDown(c: Code, distance: number, below: number): void {
  const by = c.op(W.i64_extend_i32_u, distance);
  const rest = c.op(W.i64_sub, c.i64(BITS), by);
  c.when(c.op(W.i32_lt_u, distance, c.i32(BITS)), () => {
    c.set(below, c.op(W.i64_shl, B, rest));
    c.set(B, c.op(W.i64_shr_u, B, by));
  }, () => {
    // Shifts go by their number modulo 64.
    const lost = c.op(W.i64_extend_i32_u, c.op(W.i64_ne, c.op(W.i64_shl, B, rest), c.i64(0)));
    c.set(below, c.i64(1));
    c.when(
      c.op(W.i32_lt_u, distance, c.i32(2 * BITS)),
      () => c.set(below, c.op(W.i64_or, c.op(W.i64_shr_u, B, by), lost)),
    );
    c.when(c.op(W.i32_eq, distance, c.i32(BITS)), () => c.set(below, B));
    c.set(B, c.i64(0));
  });
}

/** A and `below` = A + B. */
function sum(c: Code, exponent: number, below: number): void {
  c.set(A, c.op(W.i64_add, A, B));
  c.when(c.op(W.i64_lt_u, A, B), () => {
    const lost = c.op(W.i64_and, below, c.i64(1));
    const half = c.op(W.i64_or, c.op(W.i64_shr_u, below, c.i64(1)), lost);
    c.set(below, c.op(W.i64_or, half, c.op(W.i64_shl, A, c.i64(BITS - 1))));
    c.set(A, c.op(W.i64_or, c.op(W.i64_shr_u, A, c.i64(1)), c.topBit()));
    c.set(exponent, c.op(W.i32_add, exponent, c.i32(1)));
  });
}

/** A and `below` = A - B, its highest bit set again; returns for a difference of 0, which is positive. */
function subtract(c: Code, exponent: number, below: number): void {
  const up = c.local(I64);
  const borrow = c.op(W.i64_extend_i32_u, c.op(W.i64_ne, below, c.i64(0)));
  c.set(A, c.op(W.i64_sub, c.op(W.i64_sub, A, B), borrow));
  c.set(below, c.op(W.i64_sub, c.i64(0), below));
  c.when(c.op(W.i64_eqz, c.op(W.i64_or, A, below)), () => finish(c, c.i64(0), c.i32(0)));
  c.when(c.op(W.i64_eqz, A), () => {
    c.set(A, below);
    c.set(below, c.i64(0));
    c.set(exponent, c.op(W.i32_sub, exponent, c.i32(BITS)));
  });
  c.set(up, c.op(W.i64_clz, A));
  c.when(c.op(W.i64_ne, up, c.i64(0)), () => {
    const into = c.op(W.i64_shr_u, below, c.op(W.i64_sub, c.i64(BITS), up));
    c.set(A, c.op(W.i64_or, c.op(W.i64_shl, A, up), into));
    c.set(below, c.op(W.i64_shl, below, up));
    c.set(exponent, c.op(W.i32_sub, exponent, c.op(W.i32_wrap_i64, up)));
  });
}

/** One is a zero: the other is the sum. Of two zeros with different signs that is the positive one. */
function addZero(c: Code): void {
  const both = c.op(W.i64_eqz, c.op(W.i64_or, A, B));
  c.when(both, () => finish(c, c.i64(0), signOf(c, c.op(W.i32_and, A_WORD, B_WORD))));
  c.when(c.op(W.i64_eqz, A), () => finish(c, B, B_WORD));
  finish(c, A, A_WORD);
}

function emitMultiply(deliver: number, mulHigh: number): Code {
  const c = new Code(OPERANDS, [I32]);
  const [high, low, exponent] = [c.local(I64), c.local(I64), c.local(I32)];
  const sign = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
  byKind(c, () => {
    c.set(high, c.call(mulHigh, A, B));
    c.set(low, c.op(W.i64_mul, A, B));
    c.set(exponent, c.op(W.i32_add, exponentOf(c, A_WORD), exponentOf(c, B_WORD)));
    c.when(c.op(W.i64_lt_s, high, c.i64(0)), () => {
      c.return(c.call(deliver, TO, sign, c.op(W.i32_sub, exponent, c.i32(BIAS - 1)), high, low));
    });
    const up = c.op(W.i64_or, c.op(W.i64_shl, high, c.i64(1)), c.op(W.i64_shr_u, low, c.i64(BITS - 1)));
    const below = c.op(W.i64_shl, low, c.i64(1));
    c.return(c.call(deliver, TO, sign, c.op(W.i32_sub, exponent, c.i32(BIAS)), up, below));
  }, () => finish(c, c.i64(0), sign));
  return c;
}

/** What is below a whole number when a rest is left: a fourth, a half or three fourths stand for all. */
function belowOf(c: Code, rest: Operand, isMore: Operand, isHalf: Operand): Value {
  const quarter = c.i64(2 ** 62);
  const most = c.op(W.i64_or, c.topBit(), quarter);
  const some = c.select(isMore, most, c.select(isHalf, c.topBit(), quarter));
  return c.select(c.op(W.i64_eqz, rest), c.i64(0), some);
}

/** A / B. */
function emitDivide(deliver: number, divide: number): Code {
  const c = new Code(OPERANDS, [I32]);
  const [high, low, quotient, exponent] = [c.local(I64), c.local(I64), c.local(I64), c.local(I32)];
  const sign = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
  byKind(c, () => {
    // Shifted so that the quotient has 64 bits.
    c.set(
      exponent,
      c.op(W.i32_add, c.op(W.i32_sub, exponentOf(c, A_WORD), exponentOf(c, B_WORD)), c.i32(BIAS)),
    );
    c.when(c.op(W.i64_ge_u, A, B), () => {
      c.set(high, c.op(W.i64_shr_u, A, c.i64(1)));
      c.set(low, c.op(W.i64_shl, A, c.i64(BITS - 1)));
    }, () => {
      c.set(high, A);
      c.set(low, c.i64(0));
      c.set(exponent, c.op(W.i32_sub, exponent, c.i32(1)));
    });
    c.set(quotient, c.call(divide, high, low, B));
    c.set(low, c.op(W.i64_sub, low, c.op(W.i64_mul, quotient, B)));
    const other = c.op(W.i64_sub, B, low);
    const below = belowOf(c, low, c.op(W.i64_gt_u, low, other), c.op(W.i64_eq, low, other));
    c.return(c.call(deliver, TO, sign, exponent, quotient, below));
  }, () => {
    c.when(c.op(W.i64_ne, B, c.i64(0)), () => finish(c, c.i64(0), sign));
  });
  return c;
}

/**
 * By a double's root and one step of Newton's, which gives the root or one more: (x + n / x) / 2 is never below it, and x is within 2^-48 of it.
 */
function emitRoot(deliver: number, { mulHigh, divide }: QuickContext): Code {
  const c = new Code([I32, I64, I32], [I32]);
  const [high, low, root, other, exponent] = [
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I32),
  ];
  c.when(isZero(c, A, A_WORD), () => finish(c, A, A_WORD));
  const isFit = c.op(W.i32_and, isNormal(c, A, A_WORD), c.op(W.i32_eqz, signOf(c, A_WORD)));
  const isPlain = c.op(W.i32_eq, c.op(W.i32_and, c.load(W.i32_load, FCW), c.i32(PLAIN_MASK)), c.i32(PLAIN));
  // The greatest ones' would be more than 64 bits on the way.
  const isLower = c.op(W.i64_lt_u, A, c.i64(-(2 ** 20)));
  c.when(
    c.op(W.i32_eqz, c.op(W.i32_and, c.op(W.i32_and, isFit, isPlain), isLower)),
    () => c.return(c.i32(0)),
  );
  // n = (high, low): the significand times 2^64 for odd exponents, of which the bias is one, or 2^63.
  c.set(exponent, c.op(W.i32_sub, A_WORD, c.i32(BIAS)));
  c.when(c.op(W.i32_and, exponent, c.i32(1)), () => {
    c.set(high, A);
    c.set(low, c.i64(0));
  }, () => {
    c.set(high, c.op(W.i64_shr_u, A, c.i64(1)));
    c.set(low, c.op(W.i64_shl, A, c.i64(BITS - 1)));
  });
  const double = c.op(W.f64_sqrt, c.op(W.f64_convert_i64_u, high));
  c.set(root, c.op(W.i64_trunc_sat_f64_u, c.op(W.f64_mul, double, () => f64Of(c, 2 ** 32))));
  // Above `high`, so that the quotient has 64 bits.
  c.set(root, c.op(W.i64_or, root, c.i64(2 ** 14 - 1)));
  c.set(other, c.call(divide, high, low, root));
  c.set(
    root,
    c.op(W.i64_add, c.op(W.i64_and, root, other), c.op(W.i64_shr_u, c.op(W.i64_xor, root, other), c.i64(1))),
  );
  // The rest, which has 65 bits: `high` is 0 or 1 then, or -1 for a root that is one too great.
  subtractSquare(c, root, high, low, mulHigh);
  c.when(c.op(W.i64_lt_s, high, c.i64(0)), () => {
    // n - (r - 1)^2 = n - r^2 + 2r - 1
    c.set(root, c.op(W.i64_sub, root, c.i64(1)));
    c.set(other, c.op(W.i64_add, c.op(W.i64_shl, root, c.i64(1)), c.i64(1)));
    c.set(low, c.op(W.i64_add, low, other));
    const carry = c.op(W.i64_extend_i32_u, c.op(W.i64_lt_u, low, other));
    c.set(high, c.op(W.i64_add, c.op(W.i64_add, high, c.op(W.i64_shr_u, root, c.i64(BITS - 1))), carry));
  });
  const isMore = c.op(W.i32_or, c.op(W.i64_ne, high, c.i64(0)), c.op(W.i64_gt_u, low, root));
  const below = belowOf(c, c.op(W.i64_or, high, low), isMore, c.i32(0));
  const half = c.op(W.i32_add, c.op(W.i32_shr_s, exponent, c.i32(1)), c.i32(BIAS));
  c.return(c.call(deliver, TO, c.i32(0), half, root, below));
  c.f.i32(0);
  return c;
}

function f64Of(c: Code, value: number): void {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  c.f.i64Halves(bits.getInt32(4), bits.getInt32(0));
  c.f.op(W.f64_reinterpret_i64);
}

/** (high, low) -= root^2 */
function subtractSquare(c: Code, root: number, high: number, low: number, mulHigh: number): void {
  const square = c.local(I64);
  c.set(square, c.op(W.i64_mul, root, root));
  const borrow = c.op(W.i64_extend_i32_u, c.op(W.i64_lt_u, low, square));
  c.set(high, c.op(W.i64_sub, c.op(W.i64_sub, high, c.call(mulHigh, root, root)), borrow));
  c.set(low, c.op(W.i64_sub, low, square));
}

/** FADD, FMUL, FSUB, FSUBR, FDIV and FDIVR, by reg field, of the register at the target and another operand. */
function emitOperate(add: number, multiply: number, divide: number): Code {
  const c = new Code([I32, I32, I64, I32], [I32]);
  const [operation, to, other, otherWord] = [0, 1, 2, 3];
  const [own, ownWord] = [c.local(I64), c.local(I32)];
  const isPlain = c.op(W.i32_eq, c.op(W.i32_and, c.load(W.i32_load, FCW), c.i32(PLAIN_MASK)), c.i32(PLAIN));
  c.when(c.op(W.i32_eqz, isPlain), () => c.return(c.i32(0)));
  c.set(own, c.load(W.i64_load, 0, to));
  c.set(ownWord, c.load(W.i32_load16_u, WORD_AT, to));
  const negated = (word: number): Value => c.op(W.i32_xor, word, c.i32(SIGN));
  c.choose(operation, [
    () => c.return(c.call(add, to, own, ownWord, other, otherWord)),
    () => c.return(c.call(multiply, to, own, ownWord, other, otherWord)),
    undefined,
    undefined,
    () => c.return(c.call(add, to, own, ownWord, other, negated(otherWord))),
    () => c.return(c.call(add, to, other, otherWord, own, negated(ownWord))),
    () => c.return(c.call(divide, to, own, ownWord, other, otherWord)),
    () => c.return(c.call(divide, to, other, otherWord, own, ownWord)),
  ]);
  c.f.i32(0);
  return c;
}

function emitCompare(): Code {
  const c = new Code([I64, I32, I64, I32], [I32]);
  const [a, aWord, b, bWord] = [0, 1, 2, 3];
  const less = c.local(I32);
  const isNumber = (significand: number, word: number): Value =>
    c.op(W.i32_or, isNormal(c, significand, word), isZero(c, significand, word));
  c.when(
    c.op(W.i32_eqz, c.op(W.i32_and, isNumber(a, aWord), isNumber(b, bWord))),
    () => c.return(c.i32(UNKNOWN)),
  );
  c.when(c.op(W.i64_eqz, c.op(W.i64_or, a, b)), () => c.return(c.i32(EQUAL)));
  // A negative one is the less of two with different signs, whichever of them is a zero.
  c.when(signOf(c, c.op(W.i32_xor, aWord, bWord)), () => {
    const isNegative = c.op(W.i32_ne, signOf(c, aWord), c.i32(0));
    c.return(c.select(isNegative, c.i32(LESS), c.i32(GREATER)));
  });
  const [aExponent, bExponent] = [exponentOf(c, aWord), exponentOf(c, bWord)];
  const isAsFar = c.op(W.i32_eq, aExponent, bExponent);
  c.when(c.op(W.i32_and, isAsFar, c.op(W.i64_eq, a, b)), () => c.return(c.i32(EQUAL)));
  c.set(
    less,
    c.op(W.i32_or, c.op(W.i32_lt_u, aExponent, bExponent), c.op(W.i32_and, isAsFar, c.op(W.i64_lt_u, a, b))),
  );
  c.return(c.op(W.i32_ne, less, c.op(W.i32_ne, signOf(c, aWord), c.i32(0))));
  c.f.i32(0);
  return c;
}
