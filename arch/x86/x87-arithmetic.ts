// SPDX-License-Identifier: Apache-2.0
// x87 instructions that compute: arithmetic, comparison, rounding, remainder, scaling, and moves on the stack.
//
// Each function follows one order: empty registers (stack fault), then the computation with its flags, then
// `raise`, and only if that allows it the result, the pop and C1.
// Source: AMD64 Architecture Programmer's Manual, volume 5; volume 1, section 6.8.

import {
  add,
  compare,
  DEFAULT_NAN,
  div,
  EQUAL,
  FINITE,
  FLAG_ZERO_DIVIDE,
  type Float,
  type FloatContext,
  fromInteger,
  GREATER,
  INFINITE,
  invalid,
  isNan,
  LESS,
  makeFinite,
  makeInfinity,
  makeZero,
  mul,
  noteDenormals,
  propagateNan,
  QUIET_NAN,
  round,
  roundScaled,
  roundToIntegral,
  sqrt,
  sub,
  UNORDERED,
  UNSUPPORTED,
  ZERO,
} from "./softfloat.ts";
import { C0, C1, C2, C3, CONDITIONS, type X87 } from "./x87-state.ts";

/** Operations by the reg field of D8: ADD MUL COM COMP SUB SUBR DIV DIVR. */
export const ADD = 0;
export const MUL = 1;
export const COM = 2;
export const COMP = 3;
export const SUB = 4;
export const SUBR = 5;
export const DIV = 6;
export const DIVR = 7;

function calculate(operation: number, a: Float, b: Float, context: FloatContext): Float {
  switch (operation) {
    case ADD:
      return add(a, b, context);
    case MUL:
      return mul(a, b, context);
    case SUB:
      return sub(a, b, context);
    case SUBR:
      return sub(b, a, context);
    case DIV:
      return div(a, b, context);
    default:
      return div(b, a, context);
  }
}

/** Stores a computed value in ST(i) unless an exception forbids it; C1 tells whether it was rounded up. */
export function deliver(unit: X87, i: number, result: Float, context: FloatContext): boolean {
  unit.setConditions(C1, 0);
  if (unit.raise(context.flags)) return false;
  unit.write(i, result);
  if (context.roundedUp) unit.setConditions(C1, C1);
  return true;
}

/** ST(target) = ST(target) op b. The reversed operations take b first. */
export function arithmetic(unit: X87, operation: number, target: number, b: Float): boolean {
  const context = unit.context();
  return deliver(unit, target, calculate(operation, unit.read(target), b, context), context);
}

export function arithmeticRegisters(
  unit: X87,
  operation: number,
  target: number,
  source: number,
  pops: number,
): void {
  if (unit.isEmpty(target) || unit.isEmpty(source)) {
    if (unit.stackUnderflow()) return;
    unit.write(target, DEFAULT_NAN);
  } else if (!arithmetic(unit, operation, target, unit.read(source))) {
    return;
  }
  if (pops > 0) unit.pop();
}

const ORDER_BITS = new Map<number, number>([
  [LESS, C0],
  [EQUAL, C3],
  [GREATER, 0],
  [UNORDERED, C0 | C2 | C3],
]);

/** FCOM and its kin. `b` is undefined when its register is empty. */
export function compareTop(
  unit: X87,
  b: Float | undefined,
  quietNans: "signal" | "pass",
  pops: number,
): void {
  let bits = C0 | C2 | C3;
  if (unit.isEmpty(0) || b === undefined) {
    unit.setConditions(CONDITIONS, bits);
    if (unit.stackUnderflow()) return;
  } else {
    const context = unit.context();
    bits = ORDER_BITS.get(compare(unit.read(0), b, quietNans, context))!;
    unit.setConditions(C1, 0);
    const suppressed = unit.raise(context.flags);
    unit.setConditions(CONDITIONS, bits);
    if (suppressed) return;
  }
  for (let n = 0; n < pops; n++) unit.pop();
}

/**
 * FCOMI and its kin: ZF, PF, CF in EFLAGS positions. Flags are written even when an unmasked exception
 * forbids the pop, and C1 stays unless the stack faults.
 */
export function compareFlags(unit: X87, i: number, quietNans: "signal" | "pass", pops: number): number {
  let flags = 0x45;
  if (unit.isEmpty(0) || unit.isEmpty(i)) {
    if (unit.stackUnderflow()) return flags;
  } else {
    const context = unit.context();
    const order = compare(unit.read(0), unit.read(i), quietNans, context);
    flags = order === UNORDERED ? 0x45 : order === LESS ? 0x01 : order === EQUAL ? 0x40 : 0;
    if (unit.raise(context.flags)) return flags;
  }
  for (let n = 0; n < pops; n++) unit.pop();
  return flags;
}

/** Applies an operation of one operand to ST(0). */
export function unary(
  unit: X87,
  operation: (a: Float, context: FloatContext) => Float,
  context: FloatContext,
): void {
  if (unit.isEmpty(0)) {
    if (!unit.stackUnderflow()) unit.write(0, DEFAULT_NAN);
    return;
  }
  deliver(unit, 0, operation(unit.read(0), context), context);
}

export function squareRoot(unit: X87): void {
  unary(unit, sqrt, unit.context());
}

export function roundTop(unit: X87): void {
  unary(unit, roundToIntegral, unit.wideContext());
}

/** FCHS, FABS: the sign bit only, no exception but an empty register. */
export function changeSign(unit: X87, how: "negate" | "clear"): void {
  if (unit.isEmpty(0)) {
    if (!unit.stackUnderflow()) unit.write(0, DEFAULT_NAN);
    return;
  }
  const word = unit.signExponent(0);
  unit.setConditions(C1, 0);
  unit.writeRaw(0, unit.significand(0), how === "negate" ? word ^ 0x8000 : word & 0x7fff);
}

/** FXAM: the class of ST(0) in C3 C2 C0, its sign in C1. */
export function examine(unit: X87): void {
  const sign = unit.signExponent(0) >> 15 === 1 ? C1 : 0;
  unit.setConditions(CONDITIONS, sign | (unit.isEmpty(0) ? C3 | C0 : classBits(unit.read(0))));
}

function classBits(a: Float): number {
  if (a.kind === UNSUPPORTED) return 0;
  if (isNan(a)) return C0;
  if (a.kind === INFINITE) return C2 | C0;
  if (a.kind === ZERO) return C3;
  return a.denormal ? C3 | C2 : C2;
}

/** ST(0) * 2^trunc(ST(1)). */
function scaleBy(a: Float, b: Float, context: FloatContext): Float {
  const nan = propagateNan(a, b, context);
  if (nan !== undefined) return nan;
  if (b.kind === INFINITE) {
    if (b.sign === 0 ? a.kind === ZERO : a.kind === INFINITE) return invalid(context);
    noteDenormals(a, b, context);
    if (a.kind !== FINITE) return a;
    return b.sign === 0 ? makeInfinity(a.sign) : makeZero(a.sign);
  }
  noteDenormals(a, b, context);
  if (a.kind !== FINITE) return a;
  const magnitude = b.kind === ZERO || b.exponent < 0 ? 0 : b.exponent > 20
    ? 1 << 20
    : Number(b.significand >> BigInt(63 - b.exponent));
  const scale = b.sign === 1 ? -magnitude : magnitude;
  if (scale === 0) return a.denormal ? roundScaled(a.sign, a.significand, a.exponent - 63, context) : a;
  return round(a.sign, a.exponent + scale, a.significand, 64, context);
}

/** An operation on ST(0) and ST(1) whose result replaces ST(0). */
function binaryTop(
  unit: X87,
  operation: (a: Float, b: Float, context: FloatContext) => Float,
  context: FloatContext,
): boolean {
  if (unit.isEmpty(0) || unit.isEmpty(1)) {
    if (!unit.stackUnderflow()) unit.write(0, DEFAULT_NAN);
    return false;
  }
  return deliver(unit, 0, operation(unit.read(0), unit.read(1), context), context);
}

export function scale(unit: X87): void {
  binaryTop(unit, scaleBy, unit.wideContext());
}

/** FXTRACT: exponent replaces ST(0), then the significand is pushed. */
export function extract(unit: X87): void {
  if (unit.isEmpty(0)) {
    if (unit.stackUnderflow()) return;
    unit.write(0, DEFAULT_NAN);
    unit.top -= 1;
    unit.write(0, DEFAULT_NAN);
    return;
  }
  if (!unit.isEmpty(7)) {
    if (unit.stackOverflow()) return;
    unit.write(0, DEFAULT_NAN);
    unit.top -= 1;
    unit.write(0, DEFAULT_NAN);
    return;
  }
  const a = unit.read(0);
  const context = unit.wideContext();
  const [exponent, significand] = extractParts(a, context);
  unit.setConditions(C1, 0);
  if (unit.raise(context.flags)) return;
  unit.write(0, exponent);
  unit.top -= 1;
  unit.write(0, significand);
}

function extractParts(a: Float, context: FloatContext): [Float, Float] {
  const nan = propagateNan(a, a, context);
  if (nan !== undefined) return [nan, nan];
  if (a.kind === INFINITE) return [makeInfinity(0), a];
  if (a.kind === ZERO) {
    context.flags |= FLAG_ZERO_DIVIDE;
    return [makeInfinity(1), a];
  }
  noteDenormals(a, a, context);
  return [fromInteger(BigInt(a.exponent), context), makeFinite(a.sign, 0, a.significand)];
}

/** Bits of the quotient that a partial remainder delivers: C0 = bit 2, C3 = bit 1, C1 = bit 0. */
function quotientBits(quotient: bigint): number {
  return ((quotient & 4n) !== 0n ? C0 : 0) | ((quotient & 2n) !== 0n ? C3 : 0)
    | ((quotient & 1n) !== 0n ? C1 : 0);
}

interface Remainder {
  value: Float;
  /** Conditions, or undefined when there is no quotient: C0 and C3 stay. */
  bits: number | undefined;
}

function remainderSpecial(a: Float, b: Float, context: FloatContext): Float | undefined {
  const nan = propagateNan(a, b, context);
  if (nan !== undefined) return nan;
  if (a.kind === INFINITE || b.kind === ZERO) return invalid(context);
  noteDenormals(a, b, context);
  return a.kind === ZERO || b.kind === INFINITE ? a : undefined;
}

/**
 * FPREM (truncating) and FPREM1 (to nearest). When the exponents are 64 or more apart, the dividend is only
 * reduced by as many bits as leave a distance below 64 in whole steps, and C2 says so.
 */
function remainder(a: Float, b: Float, rounding: "truncate" | "nearest", context: FloatContext): Remainder {
  const special = remainderSpecial(a, b, context);
  if (special !== undefined) {
    return { value: finishRemainder(special, context), bits: special.kind >= QUIET_NAN ? undefined : 0 };
  }
  const distance = a.exponent - b.exponent;
  if (distance >= 64) return partialRemainder(a, b, distance, context);
  if (distance < (rounding === "nearest" ? -1 : 0)) return { value: finishRemainder(a, context), bits: 0 };
  const scale = Math.min(a.exponent, b.exponent);
  const dividend = a.significand << BigInt(a.exponent - scale);
  const divisor = b.significand << BigInt(b.exponent - scale);
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let sign = a.sign;
  const twice = rest << 1n;
  if (rounding === "nearest" && (twice > divisor || (twice === divisor && (quotient & 1n) === 1n))) {
    quotient++;
    rest = divisor - rest;
    sign ^= 1;
  }
  const value = rest === 0n ? makeZero(a.sign) : roundScaled(sign, rest, scale - 63, context);
  return { value, bits: quotientBits(quotient) };
}

/** A denormal that passes through is still a tiny result. */
function finishRemainder(a: Float, context: FloatContext): Float {
  return a.kind === FINITE && a.denormal ? round(a.sign, a.exponent, a.significand, 64, context) : a;
}

function partialRemainder(a: Float, b: Float, distance: number, context: FloatContext): Remainder {
  const step = 32 + (distance & 31);
  const lower = distance - step; // the dividend is reduced modulo b * 2^lower
  const dividend = a.significand << BigInt(step);
  const rest = dividend % b.significand;
  const value = rest === 0n ? makeZero(a.sign) : roundScaled(a.sign, rest, b.exponent + lower - 63, context);
  return { value, bits: C2 };
}

export function partialRemainderTop(unit: X87, rounding: "truncate" | "nearest"): void {
  let bits: number | undefined;
  unit.setConditions(C2, 0);
  const done = binaryTop(unit, (a, b, context) => {
    const result = remainder(a, b, rounding, context);
    bits = result.bits;
    return result.value;
  }, unit.wideContext());
  if (done && bits !== undefined) unit.setConditions(CONDITIONS, bits);
}

export function exchange(unit: X87, i: number): void {
  const empty = unit.isEmpty(0) || unit.isEmpty(i);
  if (empty) {
    if (unit.stackUnderflow()) return;
    if (unit.isEmpty(0)) unit.write(0, DEFAULT_NAN);
    if (unit.isEmpty(i)) unit.write(i, DEFAULT_NAN);
  } else {
    unit.setConditions(C1, 0);
  }
  const significand = unit.significand(0);
  const word = unit.signExponent(0);
  unit.writeRaw(0, unit.significand(i), unit.signExponent(i));
  unit.writeRaw(i, significand, word);
}

/** FCMOVcc with the condition evaluated. */
export function moveIf(unit: X87, i: number, holds: boolean): void {
  if (unit.isEmpty(0) || unit.isEmpty(i)) {
    if (!unit.stackUnderflow()) unit.write(0, DEFAULT_NAN);
    return;
  }
  if (holds) unit.writeRaw(0, unit.significand(i), unit.signExponent(i));
}

/** FLD ST(i). */
export function pushRegister(unit: X87, i: number): void {
  if (unit.isEmpty(i)) {
    if (unit.stackUnderflow()) return;
    unit.top -= 1;
    unit.write(0, DEFAULT_NAN);
    return;
  }
  if (!unit.isEmpty(7)) {
    pushOverflow(unit);
    return;
  }
  unit.setConditions(C1, 0);
  const significand = unit.significand(i);
  const word = unit.signExponent(i);
  unit.top -= 1;
  unit.writeRaw(0, significand, word);
}

function pushOverflow(unit: X87): void {
  if (unit.stackOverflow()) return;
  unit.top -= 1;
  unit.write(0, DEFAULT_NAN);
}

/** Pushes a value whose flags are in `context`. False when the stack was full. */
export function push(unit: X87, value: Float, context: FloatContext): boolean {
  if (!unit.isEmpty(7)) {
    pushOverflow(unit);
    return false;
  }
  unit.setConditions(C1, 0);
  if (unit.raise(context.flags)) return true;
  unit.top -= 1;
  unit.write(0, value);
  return true;
}

/** FST(P) ST(i). */
export function storeRegister(unit: X87, i: number, pops: number): void {
  if (unit.isEmpty(0)) {
    if (unit.stackUnderflow()) return;
    unit.write(i, DEFAULT_NAN);
  } else {
    unit.setConditions(C1, 0);
    unit.writeRaw(i, unit.significand(0), unit.signExponent(0));
  }
  if (pops > 0) unit.pop();
}

/** D9 /3: FSTP ST(i), but an empty ST(0) is only popped. */
export function storeRegisterQuietly(unit: X87, i: number): void {
  if (unit.isEmpty(0)) {
    unit.setConditions(C1, 0);
    unit.pop();
  } else {
    storeRegister(unit, i, 1);
  }
}

/** FTST. */
export function test(unit: X87): void {
  compareTop(unit, makeZero(0), "signal", 0);
}

/** Constants of D9 E8 to EE with 72 bits: rounded by RC when pushed. */
const CONSTANTS: readonly (readonly [bigint, number] | undefined)[] = [
  [1n, 0], // 1
  [0xd49a784bcd1b8afe49n, -70], // log2(10)
  [0xb8aa3b295c17f0bbben, -71], // log2(e)
  [0xc90fdaa22168c234c4n, -70], // pi
  [0x9a209a84fbcff7988fn, -73], // log10(2)
  [0xb17217f7d1cf79abc9n, -72], // ln(2)
  undefined, // 0
];

export function pushConstant(unit: X87, n: number): void {
  const context = unit.wideContext();
  const entry = CONSTANTS[n];
  const value = entry === undefined ? makeZero(0) : roundScaled(0, entry[0], entry[1], context);
  // Constants are inexact, but do not say so.
  context.flags = 0;
  push(unit, value, context);
}
