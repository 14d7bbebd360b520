// SPDX-License-Identifier: Apache-2.0
// Arithmetic on zeros and normal numbers in WebAssembly, exact until it is rounded: what the quick functions of the x87 and of exact SSE call. Each function
// returns 0, having changed nothing, where a case is not its own; softfloat.ts, which is asked then, defines what must come out.
//
// A number is a significand of 64 bits, the highest of which is set unless it is zero, and a word with its sign and exponent, as the x87 has them. What
// lies below a significand, before it is rounded, is another 64 bits, the lowest of them sticky.
// Source: IEEE 754-2019; D. Knuth, "The Art of Computer Programming", volume 2, section 4.2.1.

import type { QuickContext } from "../../virt/frontend.ts";
import { Code, type Operand, type Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";

export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
export const BIAS = 16383;
export const BITS = 64;

/** What comparisons give: ZF and CF where EFLAGS have them. */
export const LESS = 0x01;
export const EQUAL = 0x40;
export const GREATER = 0;
/** A comparison that is not done here. */
export const UNKNOWN = -1;

/** Where results go, which says how they are rounded. */
export interface Sink {
  /** Index of (target, sign, exponent with bias, significand, below) -> 1: rounded and written. */
  readonly deliver: number;
  /** Returns with what is exact, of a function whose first parameter is the target. */
  readonly finish: (c: Code, significand: Operand, word: Operand) => void;
  /** The word of a zero that is the difference of two equal numbers. */
  readonly nothing: (c: Code) => Value;
}

/** Indexes of (target, significand, word, significand, word) -> 1, and of (target, significand, word) -> 1 for the root. */
export interface Operations {
  readonly add: number;
  readonly multiply: number;
  readonly divide: number;
  readonly root: number;
}

const OPERANDS = [I32, I64, I32, I64, I32];
/** Of all of them; the root has no B. */
export const TO = 0;
const [A, A_WORD, B, B_WORD] = [1, 2, 3, 4];

export function addOperations(context: QuickContext, sink: Sink): Operations {
  return {
    add: context.add(emitAdd(sink).f),
    multiply: context.add(emitMultiply(sink, context.mulHigh).f),
    divide: context.add(emitDivide(sink, context.divide).f),
    root: context.add(emitRoot(sink, context).f),
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
function emitAdd(sink: Sink): Code {
  const c = new Code(OPERANDS, [I32]);
  const [exponent, below, distance] = [c.local(I32), c.local(I64), c.local(I32)];
  byKind(c, () => {
    orderByMagnitude(c);
    c.set(exponent, exponentOf(c, A_WORD));
    c.set(distance, c.op(W.i32_sub, exponent, exponentOf(c, B_WORD)));
    c.when(distance, () => shiftDown(c, distance, below));
    const differ = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
    c.when(differ, () => subtract(c, sink, exponent, below), () => sum(c, exponent, below));
    c.return(c.call(sink.deliver, TO, signOf(c, A_WORD), exponent, A, below));
  }, () => addZero(c, sink));
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

/** A and `below` = A - B, its highest bit set again; returns for a difference of 0. */
function subtract(c: Code, sink: Sink, exponent: number, below: number): void {
  const up = c.local(I64);
  const borrow = c.op(W.i64_extend_i32_u, c.op(W.i64_ne, below, c.i64(0)));
  c.set(A, c.op(W.i64_sub, c.op(W.i64_sub, A, B), borrow));
  c.set(below, c.op(W.i64_sub, c.i64(0), below));
  c.when(c.op(W.i64_eqz, c.op(W.i64_or, A, below)), () => sink.finish(c, c.i64(0), sink.nothing(c)));
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

/** One is a zero: the other is the sum. Two zeros with different signs are a difference. */
function addZero(c: Code, sink: Sink): void {
  c.when(c.op(W.i64_eqz, c.op(W.i64_or, A, B)), () => {
    const differ = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
    sink.finish(c, c.i64(0), c.select(differ, sink.nothing(c), A_WORD));
  });
  c.when(c.op(W.i64_eqz, A), () => sink.finish(c, B, B_WORD));
  sink.finish(c, A, A_WORD);
}

function emitMultiply(sink: Sink, mulHigh: number): Code {
  const c = new Code(OPERANDS, [I32]);
  const [high, low, exponent] = [c.local(I64), c.local(I64), c.local(I32)];
  const sign = signOf(c, c.op(W.i32_xor, A_WORD, B_WORD));
  byKind(c, () => {
    c.set(high, c.call(mulHigh, A, B));
    c.set(low, c.op(W.i64_mul, A, B));
    c.set(exponent, c.op(W.i32_add, exponentOf(c, A_WORD), exponentOf(c, B_WORD)));
    c.when(c.op(W.i64_lt_s, high, c.i64(0)), () => {
      c.return(c.call(sink.deliver, TO, sign, c.op(W.i32_sub, exponent, c.i32(BIAS - 1)), high, low));
    });
    const up = c.op(W.i64_or, c.op(W.i64_shl, high, c.i64(1)), c.op(W.i64_shr_u, low, c.i64(BITS - 1)));
    const below = c.op(W.i64_shl, low, c.i64(1));
    c.return(c.call(sink.deliver, TO, sign, c.op(W.i32_sub, exponent, c.i32(BIAS)), up, below));
  }, () => sink.finish(c, c.i64(0), sign));
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
function emitDivide(sink: Sink, divide: number): Code {
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
    c.return(c.call(sink.deliver, TO, sign, exponent, quotient, below));
  }, () => {
    c.when(c.op(W.i64_ne, B, c.i64(0)), () => sink.finish(c, c.i64(0), sign));
  });
  return c;
}

/**
 * By a double's root and one step of Newton's, which gives the root or one more: (x + n / x) / 2 is never below it, and x is within 2^-48 of it.
 */
function emitRoot(sink: Sink, { mulHigh, divide }: QuickContext): Code {
  const c = new Code([I32, I64, I32], [I32]);
  const [high, low, root, other, exponent] = [
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I32),
  ];
  c.when(isZero(c, A, A_WORD), () => sink.finish(c, A, A_WORD));
  const isFit = c.op(W.i32_and, isNormal(c, A, A_WORD), c.op(W.i32_eqz, signOf(c, A_WORD)));
  // The greatest ones' would be more than 64 bits on the way.
  const isLower = c.op(W.i64_lt_u, A, c.i64(-(2 ** 20)));
  c.when(
    c.op(W.i32_eqz, c.op(W.i32_and, isFit, isLower)),
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
  c.return(c.call(sink.deliver, TO, c.i32(0), half, root, below));
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

/** (significand, word, significand, word) -> LESS, EQUAL, GREATER or UNKNOWN. */
export function emitCompare(): Code {
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

/** Takes zeros and normal numbers of a narrower format apart; what else there is, `leaveUnless` is told. */
export function widen(
  c: Code,
  value: number,
  { significand, word }: { readonly significand: number; readonly word: number },
  fractionBits: number,
  exponentBits: number,
  leaveUnless: (condition: Value) => void,
): void {
  const exponentMask = 2 ** exponentBits - 1;
  const field = c.op(W.i32_wrap_i64, c.op(W.i64_shr_u, value, c.i64(fractionBits)));
  const exponent = c.op(W.i32_and, field, c.i32(exponentMask));
  const sign = c.op(W.i32_shl, c.op(W.i32_shr_u, field, c.i32(exponentBits)), c.i32(15));
  const withoutSign = c.op(W.i64_shl, value, c.i64(BITS - fractionBits - exponentBits));
  c.when(c.op(W.i64_eqz, withoutSign), () => {
    c.set(significand, c.i64(0));
    c.set(word, sign);
  }, () => {
    leaveUnless(c.op(W.i32_lt_u, c.op(W.i32_sub, exponent, c.i32(1)), c.i32(exponentMask - 1)));
    const fraction = c.op(W.i64_shl, value, c.i64(BITS - 1 - fractionBits));
    c.set(significand, c.op(W.i64_or, fraction, c.topBit()));
    c.set(word, c.op(W.i32_or, sign, c.op(W.i32_add, exponent, c.i32(BIAS - (exponentMask >> 1)))));
  });
}

/** Takes an integer apart. */
export function widenInteger(
  c: Code,
  value: number,
  { significand, word }: { readonly significand: number; readonly word: number },
): void {
  c.set(significand, c.i64(0));
  c.set(word, c.i32(0));
  c.when(c.op(W.i64_ne, value, c.i64(0)), () => {
    c.when(c.op(W.i64_lt_s, value, c.i64(0)), () => {
      c.set(word, c.i32(SIGN));
      c.set(value, c.op(W.i64_sub, c.i64(0), value));
    });
    normalise(c, value, significand, word);
  });
}

/** A magnitude that is not 0 as a significand, and its exponent in a word that has none. */
export function normalise(c: Code, magnitude: number, significand: number, word: number): void {
  const up = c.op(W.i64_clz, magnitude);
  c.set(significand, c.op(W.i64_shl, magnitude, up));
  const exponent = c.op(W.i32_sub, c.i32(BIAS + BITS - 1), c.op(W.i32_wrap_i64, up));
  c.set(word, c.op(W.i32_or, word, exponent));
}
