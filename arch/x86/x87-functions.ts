// SPDX-License-Identifier: Apache-2.0
// The transcendental x87 instructions: F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN.
//
// Results are those of the exact function, correctly rounded but for ties that 180 bits cannot decide; angles
// are first reduced by multiples of the 66-bit pi, as processors do. Hardware is within one unit in the last
// place of that, so these are the only instructions whose results are not compared bit by bit.
// Source: AMD64 Architecture Programmer's Manual, volume 5 (special cases); volume 1, section 6.4.

import {
  bitLength,
  DEFAULT_NAN,
  FINITE,
  FLAG_PRECISION,
  FLAG_UNDERFLOW,
  FLAG_ZERO_DIVIDE,
  type Float,
  type FloatContext,
  INFINITE,
  invalid,
  makeFinite,
  makeInfinity,
  makeZero,
  noteDenormals,
  propagateNan,
  roundScaled,
  ZERO,
} from "./softfloat.ts";
import { deliver } from "./x87-arithmetic.ts";
import {
  arcTangentSeries,
  atanh,
  cosineSeries,
  exponentialMinusOne,
  FRACTION,
  naturalLogOf2,
  ONE,
  pi,
  REDUCTION_PI,
  sineSeries,
} from "./x87-series.ts";
import { C1, C2, type X87 } from "./x87-state.ts";

const F = BigInt(FRACTION);
/** Below this exponent a function is its first term, and what follows is a sticky bit. */
const TINY = -70;

/** Rounds a signed fixed-point value; the low bit is made sticky because the value is never exact. */
function roundFixed(value: bigint, sign: number, context: FloatContext): Float {
  if (value === 0n) return makeZero(sign);
  return value < 0n
    ? roundScaled(sign ^ 1, -value | 1n, -FRACTION, context)
    : roundScaled(sign, value | 1n, -FRACTION, context);
}

/** a * (1 - tiny) or a * (1 + tiny), rounded. */
function roundNear(a: Float, side: "below" | "above", context: FloatContext): Float {
  const wide = a.significand << 4n;
  return roundScaled(a.sign, side === "below" ? wide - 1n : wide + 1n, a.exponent - 67, context);
}

/** The magnitude of a finite value in fixed point. Its exponent is above TINY - 64. */
function toFixed(a: Float): bigint {
  const shift = FRACTION + a.exponent - 63;
  return shift >= 0 ? a.significand << BigInt(shift) : a.significand >> BigInt(-shift);
}

interface Angle {
  sine: bigint;
  cosine: bigint;
}

/** Sine and cosine of a finite magnitude, quadrants resolved. */
function sineAndCosine(magnitude: bigint): Angle {
  const right = REDUCTION_PI >> 1n;
  const quadrants = (magnitude + (right >> 1n)) / right;
  const angle = magnitude - quadrants * right;
  const s = sineSeries(angle);
  const c = cosineSeries(angle);
  switch (Number(quadrants & 3n)) {
    case 0:
      return { sine: s, cosine: c };
    case 1:
      return { sine: c, cosine: -s };
    case 2:
      return { sine: -s, cosine: -c };
    default:
      return { sine: -c, cosine: s };
  }
}

function sineOf(a: Float, context: FloatContext): Float {
  if (a.kind === ZERO) return a;
  if (a.exponent < TINY / 2) return roundNear(a, "below", context);
  return roundFixed(sineAndCosine(toFixed(a)).sine, a.sign, context);
}

function cosineOf(a: Float, context: FloatContext): Float {
  if (a.kind === ZERO) return makeFinite(0, 0, 1n << 63n);
  if (a.exponent < TINY / 2) return roundNear(makeFinite(0, 0, 1n << 63n), "below", context);
  return roundFixed(sineAndCosine(toFixed(a)).cosine, 0, context);
}

function tangentOf(a: Float, context: FloatContext): Float {
  if (a.kind === ZERO) return a;
  if (a.exponent < TINY / 2) return roundNear(a, "above", context);
  const { sine: s, cosine: c } = sineAndCosine(toFixed(a));
  return roundFixed((s << F) / c, a.sign, context);
}

type Trigonometric = (a: Float, context: FloatContext) => Float;

/** Applies functions of an angle: the first replaces ST(0), the second (or 1.0) is pushed. */
function ofAngle(unit: X87, first: Trigonometric, pushed: Trigonometric | undefined): void {
  unit.setConditions(C1 | C2, 0);
  if (unit.isEmpty(0)) {
    if (unit.stackUnderflow()) return;
    unit.write(0, DEFAULT_NAN);
    if (pushed !== undefined) pushNan(unit);
    return;
  }
  if (pushed !== undefined && !unit.isEmpty(7)) {
    if (unit.stackOverflow()) return;
    unit.write(0, DEFAULT_NAN);
    pushNan(unit);
    return;
  }
  const a = unit.read(0);
  const context = unit.wideContext();
  const special = propagateNan(a, a, context) ?? (a.kind === INFINITE ? invalid(context) : undefined);
  if (special === undefined && a.exponent >= 63) {
    unit.setConditions(C2, C2);
    return;
  }
  if (special === undefined) noteDenormals(a, a, context);
  const result = special ?? first(a, context);
  const second = pushed === undefined ? undefined : special ?? pushed(a, context);
  if (!deliver(unit, 0, result, context) || second === undefined) return;
  unit.top -= 1;
  unit.write(0, second);
}

function pushNan(unit: X87): void {
  unit.top -= 1;
  unit.write(0, DEFAULT_NAN);
}

export function sine(unit: X87): void {
  ofAngle(unit, sineOf, undefined);
}
export function cosine(unit: X87): void {
  ofAngle(unit, cosineOf, undefined);
}
export function sineCosine(unit: X87): void {
  ofAngle(unit, sineOf, cosineOf);
}
export function tangent(unit: X87): void {
  ofAngle(unit, tangentOf, () => makeFinite(0, 0, 1n << 63n));
}

/** 2^a - 1 for |a| <= 1. Outside of that manuals leave the result open; processors give the operand. */
function exponentialOf(a: Float, context: FloatContext): Float {
  const nan = propagateNan(a, a, context);
  if (nan !== undefined) return nan;
  if (a.kind === ZERO) return a;
  if (a.kind === INFINITE) return a.sign === 0 ? a : makeFinite(1, 0, 1n << 63n);
  noteDenormals(a, a, context);
  if (a.exponent >= 0) return outsideUnit(a, context);
  if (a.exponent < TINY) {
    const product = a.significand * naturalLogOf2();
    return roundScaled(a.sign, product, a.exponent - 63 - FRACTION, context);
  }
  const magnitude = (toFixed(a) * naturalLogOf2()) >> F;
  return roundFixed(exponentialMinusOne(a.sign === 1 ? -magnitude : magnitude), 0, context);
}

function outsideUnit(a: Float, context: FloatContext): Float {
  if (a.exponent > 0 || a.significand !== 1n << 63n) {
    context.flags |= FLAG_PRECISION;
    return a;
  }
  context.flags |= FLAG_PRECISION; // 1 and -1/2 are exact, but processors say so
  return a.sign === 0 ? a : roundScaled(1, 1n, -1, context);
}

export function exponential(unit: X87): void {
  if (unit.isEmpty(0)) {
    if (!unit.stackUnderflow()) unit.write(0, DEFAULT_NAN);
    return;
  }
  const context = unit.wideContext();
  deliver(unit, 0, exponentialOf(unit.read(0), context), context);
}

/** An operation on ST(1) and ST(0) whose result replaces ST(1), then pops. */
function popping(unit: X87, operation: (y: Float, x: Float, context: FloatContext) => Float): void {
  if (unit.isEmpty(0) || unit.isEmpty(1)) {
    if (unit.stackUnderflow()) return;
    unit.write(1, DEFAULT_NAN);
    unit.pop();
    return;
  }
  const context = unit.wideContext();
  const result = operation(unit.read(1), unit.read(0), context);
  if (deliver(unit, 1, result, context)) unit.pop();
}

/** y * (value of a signed fixed-point logarithm). */
function timesFixed(y: Float, log: bigint, scale: number, context: FloatContext): Float {
  const sign = log < 0n ? y.sign ^ 1 : y.sign;
  const magnitude = log < 0n ? -log : log;
  return roundScaled(sign, (y.significand * magnitude) | 1n, y.exponent - 63 - scale, context);
}

/** y * log2(x) where the logarithm is infinite or y is not finite; undefined for the ordinary case. */
function logarithmSpecial(y: Float, x: Float, context: FloatContext): Float | undefined {
  const nan = propagateNan(y, x, context);
  if (nan !== undefined) return nan;
  if (x.kind === ZERO) {
    if (y.kind === ZERO) return invalid(context);
    if (y.kind === FINITE) context.flags |= FLAG_ZERO_DIVIDE;
    return makeInfinity(y.sign ^ 1);
  }
  if (x.sign === 1) return invalid(context);
  if (x.kind === INFINITE) {
    if (y.kind === ZERO) return invalid(context);
    noteDenormals(x, y, context);
    return makeInfinity(y.sign);
  }
  const belowOne = x.exponent < 0 ? 1 : 0;
  const isOne = x.exponent === 0 && x.significand === 1n << 63n;
  if (y.kind === INFINITE) {
    if (isOne) return invalid(context);
    noteDenormals(x, y, context);
    return makeInfinity(y.sign ^ belowOne);
  }
  noteDenormals(x, y, context);
  if (isOne || y.kind === ZERO) return makeZero(y.sign ^ belowOne);
  return undefined;
}

/** log2 of a positive fixed-point value times 2^scale. */
function logarithmBase2(value: bigint, scale: number): bigint {
  const shift = bitLength(value) - 1 - FRACTION;
  let exponent = scale + shift;
  let m = shift >= 0 ? value >> BigInt(shift) : value << BigInt(-shift);
  if (m > (ONE * 3n) / 2n) {
    m >>= 1n;
    exponent += 1;
  }
  const natural = 2n * atanh(((m - ONE) << F) / (m + ONE));
  return (natural << F) / naturalLogOf2() + (BigInt(exponent) << F);
}

export function logarithm(unit: X87): void {
  popping(unit, (y, x, context) => logarithmSpecial(y, x, context) ?? logarithmOf(y, x, context));
}

function logarithmOf(y: Float, x: Float, context: FloatContext): Float {
  // Powers of two have exact logarithms.
  if (x.significand === 1n << 63n) {
    context.flags |= FLAG_PRECISION; // processors say so even then
    const magnitude = y.significand * BigInt(Math.abs(x.exponent));
    const result = roundScaled(y.sign ^ (x.exponent < 0 ? 1 : 0), magnitude, y.exponent - 63, context);
    if (result.denormal) context.flags |= FLAG_UNDERFLOW;
    return result;
  }
  return timesFixed(y, logarithmBase2(x.significand << (F - 63n), x.exponent), FRACTION, context);
}

/** y * log2(1 + x). */
function logarithmPlusOneOf(y: Float, x: Float, context: FloatContext): Float {
  const nan = propagateNan(y, x, context);
  if (nan !== undefined) return nan;
  if (y.kind === INFINITE) return x.kind === ZERO ? invalid(context) : makeInfinity(y.sign ^ x.sign);
  if (x.kind === INFINITE) return x.sign === 1 || y.kind === ZERO ? invalid(context) : makeInfinity(y.sign);
  noteDenormals(x, y, context);
  if (x.kind === ZERO || y.kind === ZERO) return makeZero(y.sign ^ x.sign);
  if (x.exponent < TINY) {
    const product = x.significand * ((ONE << F) / naturalLogOf2());
    const log = product >> BigInt(bitLength(product) - 200);
    return timesFixed(
      y,
      x.sign === 1 ? -log : log,
      FRACTION + 63 - x.exponent - (bitLength(product) - 200),
      context,
    );
  }
  const fixed = x.sign === 1 ? -toFixed(x) : toFixed(x);
  if (fixed <= -ONE) {
    // Outside of the domain, which manuals leave open; processors give x.
    context.flags |= FLAG_PRECISION;
    return x;
  }
  const log = x.exponent < -1
    ? (2n * atanh((fixed << F) / (2n * ONE + fixed)) << F) / naturalLogOf2()
    : logarithmBase2(ONE + fixed, 0);
  return timesFixed(y, log, FRACTION, context);
}

export function logarithmPlusOne(unit: X87): void {
  popping(unit, logarithmPlusOneOf);
}

/** A multiple of pi/4 with the sign of y. */
function quarterTurns(count: bigint, sign: number, context: FloatContext): Float {
  context.flags |= FLAG_PRECISION;
  return roundFixed((pi() * count) >> 2n, sign, context);
}

function arcTangentSpecial(y: Float, x: Float, context: FloatContext): Float | undefined {
  const nan = propagateNan(y, x, context);
  if (nan !== undefined) return nan;
  noteDenormals(x, y, context);
  if (y.kind === INFINITE) {
    return quarterTurns(x.kind !== INFINITE ? 2n : x.sign === 1 ? 3n : 1n, y.sign, context);
  }
  if (y.kind === ZERO || x.kind === INFINITE) {
    return x.sign === 1 ? quarterTurns(4n, y.sign, context) : makeZero(y.sign);
  }
  return x.kind === ZERO ? quarterTurns(2n, y.sign, context) : undefined;
}

/** The angle of the point (x, y), both finite and not zero. */
function angleOf(y: Float, x: Float, context: FloatContext): Float {
  const distance = y.exponent - x.exponent;
  if (x.sign === 0 && distance < TINY / 2) return smallAngle(y, x, context);
  // Far apart, the ratio only tells on which side of a multiple of pi/2 the angle lies.
  const clamped = Math.max(-200, Math.min(200, distance));
  const top = y.significand << BigInt(200 + clamped);
  const bottom = x.significand << 200n;
  const angle = top <= bottom
    ? arcTangentSeries((top << F) / bottom)
    : (pi() >> 1n) - arcTangentSeries((bottom << F) / top);
  return roundFixed(x.sign === 1 ? pi() - angle : angle, y.sign, context);
}

/** y / x, a hair below. */
function smallAngle(y: Float, x: Float, context: FloatContext): Float {
  const ratio = (y.significand << 130n) / x.significand;
  const rest = distanceBelow(ratio, y.exponent - x.exponent);
  return roundScaled(y.sign, (rest << 1n) | 1n, y.exponent - x.exponent - 131, context);
}

/** z - z^3 / 3 on a ratio scaled by 2^-130. */
function distanceBelow(ratio: bigint, exponent: number): bigint {
  if (exponent < -66) return ratio - 1n;
  const z = ratio >> BigInt(-exponent);
  const cube = (z * z * z) >> 260n;
  return ratio - (cube << BigInt(-exponent)) / 3n;
}

export function arcTangent(unit: X87): void {
  popping(unit, (y, x, context) => arcTangentSpecial(y, x, context) ?? angleOf(y, x, context));
}
