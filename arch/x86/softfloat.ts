// SPDX-License-Identifier: Apache-2.0
// Binary floating point in software, generic over the format: the rounding core of x87 and of exact SSE.
//
// A Float is unpacked: kind, sign, exponent and a 64-bit significand whose top bit is set, so that a finite
// value is significand * 2^(exponent - 63) in every format. Packing and unpacking is in softfloat-pack.ts.
// Operations compute exactly (or with a sticky bit far below), then round once, adding to context.flags.
//
// Invariants: a finite significand is normalised (denormals of the format carry `denormal`); NaN payloads
// stand left-aligned as in the 80-bit format, the quiet bit at bit 62. Flags have the positions they have in
// MXCSR and in the x87 status word. Tininess is detected after rounding, as x86 does.
// Source: IEEE 754-2019; AMD64 Architecture Programmer's Manual, volume 1, sections 4.9, 6.4 and 6.8.

export const FLAG_INVALID = 0x01;
export const FLAG_DENORMAL = 0x02;
export const FLAG_ZERO_DIVIDE = 0x04;
export const FLAG_OVERFLOW = 0x08;
export const FLAG_UNDERFLOW = 0x10;
export const FLAG_PRECISION = 0x20;

/** Rounding modes as encoded in RC of MXCSR and of the x87 control word. */
export const ROUND_NEAREST = 0;
export const ROUND_DOWN = 1;
export const ROUND_UP = 2;
export const ROUND_ZERO = 3;

export const ZERO = 0;
export const FINITE = 1;
export const INFINITE = 2;
export const QUIET_NAN = 3;
export const SIGNALING_NAN = 4;
/** An 80-bit encoding without meaning: unnormal, pseudo-NaN or pseudo-infinity. */
export const UNSUPPORTED = 5;

export interface Float {
  readonly kind: number;
  readonly sign: number; // 0 or 1
  readonly exponent: number; // unbiased; 0 unless finite
  readonly significand: bigint;
  readonly denormal: boolean;
}

export interface FloatFormat {
  readonly precision: number; // bits of the significand, the integer bit included
  readonly minExponent: number;
  readonly maxExponent: number;
}
export const BINARY32: FloatFormat = { precision: 24, minExponent: -126, maxExponent: 127 };
export const BINARY64: FloatFormat = { precision: 53, minExponent: -1022, maxExponent: 1023 };
export const EXTENDED80: FloatFormat = { precision: 64, minExponent: -16382, maxExponent: 16383 };

/** How to round, and what happened. One object may serve many operations; reset `flags` in between. */
export interface FloatContext {
  format: FloatFormat;
  /** Bits to round to, at most format.precision (x87 precision control). */
  precision: number;
  mode: number; // ROUND_*
  /** FLAG_* bits of the exceptions that are masked. */
  masks: number;
  flushToZero: boolean;
  /** Adjustment of the exponent of results with an unmasked overflow or underflow (x87: 24576), or 0. */
  wrapExponent: number;
  /** Which NaN survives when both operands are: SSE takes the first, x87 the larger significand. */
  nanRule: "first" | "larger";
  flags: number;
  /** The last rounding increased the magnitude (C1 of x87). */
  roundedUp: boolean;
}

export function newFloatContext(format: FloatFormat, nanRule: "first" | "larger"): FloatContext {
  return {
    format,
    precision: format.precision,
    mode: ROUND_NEAREST,
    masks: 0x3f,
    flushToZero: false,
    wrapExponent: 0,
    nanRule,
    flags: 0,
    roundedUp: false,
  };
}

export const TOP_BIT: bigint = 1n << 63n;
const QUIET_BIT = 1n << 62n;

export function makeZero(sign: number): Float {
  return { kind: ZERO, sign, exponent: 0, significand: 0n, denormal: false };
}
export function makeInfinity(sign: number): Float {
  return { kind: INFINITE, sign, exponent: 0, significand: TOP_BIT, denormal: false };
}
export function makeFinite(sign: number, exponent: number, significand: bigint): Float {
  return { kind: FINITE, sign, exponent, significand, denormal: false };
}
/** The NaN x86 makes: negative, quiet, no payload. */
export const DEFAULT_NAN: Float = {
  kind: QUIET_NAN,
  sign: 1,
  exponent: 0,
  significand: TOP_BIT | QUIET_BIT,
  denormal: false,
};

export function isNan(a: Float): boolean {
  return a.kind === QUIET_NAN || a.kind === SIGNALING_NAN;
}
export function negate(a: Float): Float {
  return { ...a, sign: a.sign ^ 1 };
}
function withSign(a: Float, sign: number): Float {
  return a.sign === sign ? a : { ...a, sign };
}
export function quiet(a: Float): Float {
  return { ...a, kind: QUIET_NAN, significand: a.significand | QUIET_BIT };
}

/** Number of bits of a positive integer. */
export function bitLength(value: bigint): number {
  let bits = 0;
  while (value >= 1n << 64n) {
    value >>= 64n;
    bits += 64;
  }
  const high = Number(value >> 32n);
  return bits + (high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(Number(value)));
}

/** Result of an operation that is invalid. */
export function invalid(context: FloatContext): Float {
  context.flags |= FLAG_INVALID;
  return DEFAULT_NAN;
}

/** Result when an operand is a NaN or an unsupported encoding; undefined when none is. */
export function propagateNan(a: Float, b: Float, context: FloatContext): Float | undefined {
  if (a.kind < QUIET_NAN && b.kind < QUIET_NAN) return undefined;
  if (a.kind === UNSUPPORTED || b.kind === UNSUPPORTED) return invalid(context);
  if (a.kind === SIGNALING_NAN || b.kind === SIGNALING_NAN) context.flags |= FLAG_INVALID;
  if (!isNan(a)) return quiet(b);
  if (!isNan(b) || context.nanRule === "first") return quiet(a);
  if (a.kind !== b.kind) return a.kind === QUIET_NAN ? a : b;
  if (a.significand !== b.significand) return quiet(a.significand > b.significand ? a : b);
  return quiet(a.sign <= b.sign ? a : b);
}

export function noteDenormals(a: Float, b: Float, context: FloatContext): void {
  if (a.denormal || b.denormal) context.flags |= FLAG_DENORMAL;
}

function roundsAway(sign: number, odd: boolean, remainder: bigint, half: bigint, mode: number): boolean {
  if (remainder === 0n) return false;
  if (mode === ROUND_NEAREST) return remainder > half || (remainder === half && odd);
  return mode === ROUND_DOWN ? sign === 1 : mode === ROUND_UP ? sign === 0 : false;
}

/** Drops `bits` low bits of an integer, rounding. Sets context.roundedUp and FLAG_PRECISION. */
function roundShift(sign: number, value: bigint, bits: number, context: FloatContext): bigint {
  context.roundedUp = false;
  if (bits <= 0) return value << BigInt(-bits);
  const shift = BigInt(bits);
  const kept = value >> shift;
  const remainder = value - (kept << shift);
  if (remainder === 0n) return kept;
  context.flags |= FLAG_PRECISION;
  const up = roundsAway(sign, (kept & 1n) === 1n, remainder, 1n << (shift - 1n), context.mode);
  context.roundedUp = up;
  return up ? kept + 1n : kept;
}

function overflowResult(sign: number, context: FloatContext): Float {
  context.flags |= FLAG_OVERFLOW | FLAG_PRECISION;
  const { mode, precision, format } = context;
  const toInfinity = mode === ROUND_NEAREST || mode === (sign === 1 ? ROUND_DOWN : ROUND_UP);
  context.roundedUp = toInfinity;
  if (toInfinity) return makeInfinity(sign);
  const ones = ((1n << BigInt(precision)) - 1n) << BigInt(64 - precision);
  return makeFinite(sign, format.maxExponent, ones);
}

/** Rounds below the smallest normal number, masked: to a denormal, zero, or back up to the smallest normal. */
function roundTiny(
  sign: number,
  exponent: number,
  value: bigint,
  width: number,
  context: FloatContext,
): Float {
  const { format, precision } = context;
  if (context.flushToZero) {
    context.flags |= FLAG_UNDERFLOW | FLAG_PRECISION;
    context.roundedUp = false;
    return makeZero(sign);
  }
  const before = context.flags;
  context.flags &= ~FLAG_PRECISION;
  const drop = width - precision + format.minExponent - exponent;
  // Shifts beyond the width leave only the sticky information.
  const kept = drop > width + 2
    ? roundShift(sign, 1n, 3, context)
    : roundShift(sign, value, drop, context);
  if ((context.flags & FLAG_PRECISION) !== 0) context.flags |= FLAG_UNDERFLOW;
  context.flags |= before;
  if (kept === 0n) return makeZero(sign);
  const bits = bitLength(kept);
  return {
    kind: FINITE,
    sign,
    exponent: format.minExponent - (precision - bits),
    significand: kept << BigInt(64 - bits),
    denormal: bits < precision,
  };
}

/** An unmasked overflow or underflow so far out that moving the exponent does not help (FSCALE only). */
function beyondWrap(result: Float, context: FloatContext): Float {
  context.flags |= FLAG_PRECISION;
  context.roundedUp = result.kind === INFINITE;
  return result;
}

/**
 * Rounds value * 2^(exponent - (width - 1)), where `value` has exactly `width` bits, into the context's format.
 * A lost tail below must be present as a nonzero lowest bit, at least two bits below the rounding position.
 */
export function round(
  sign: number,
  exponent: number,
  value: bigint,
  width: number,
  context: FloatContext,
): Float {
  const { format, precision, masks } = context;
  const before = context.flags;
  let kept = roundShift(sign, value, width - precision, context);
  let top = exponent;
  if (kept >> BigInt(precision) !== 0n) {
    kept >>= 1n;
    top++;
  }
  if (top < format.minExponent) {
    if ((masks & FLAG_UNDERFLOW) !== 0) {
      context.flags = before;
      return roundTiny(sign, exponent, value, width, context);
    }
    context.flags |= FLAG_UNDERFLOW;
    top += context.wrapExponent;
    if (context.wrapExponent !== 0 && top < format.minExponent) return beyondWrap(makeZero(sign), context);
  } else if (top > format.maxExponent) {
    if ((masks & FLAG_OVERFLOW) !== 0) return overflowResult(sign, context);
    context.flags |= FLAG_OVERFLOW;
    top -= context.wrapExponent;
    if (context.wrapExponent !== 0 && top > format.maxExponent) {
      return beyondWrap(makeInfinity(sign), context);
    }
  }
  return makeFinite(sign, top, kept << BigInt(64 - precision));
}

/** Rounds value * 2^scale for any positive value. */
export function roundScaled(sign: number, value: bigint, scale: number, context: FloatContext): Float {
  const width = bitLength(value);
  return round(sign, scale + width - 1, value, width, context);
}

const GUARD = 66;

function addFinite(a: Float, b: Float, context: FloatContext): Float {
  const [large, small] = a.exponent >= b.exponent ? [a, b] : [b, a];
  const distance = large.exponent - small.exponent;
  const wide = large.significand << BigInt(GUARD);
  let other: bigint;
  if (distance <= GUARD) other = small.significand << BigInt(GUARD - distance);
  else if (distance > GUARD + 64) other = 1n;
  else other = small.significand >> BigInt(distance - GUARD) | 1n;
  let sum = large.sign === small.sign ? wide + other : wide - other;
  let sign = large.sign;
  if (sum === 0n) return makeZero(context.mode === ROUND_DOWN ? 1 : 0);
  if (sum < 0n) {
    sum = -sum;
    sign = small.sign;
  }
  return roundScaled(sign, sum, large.exponent - 63 - GUARD, context);
}

/** Rounds a finite operand that passes through unchanged but for precision. */
function roundFloat(a: Float, context: FloatContext): Float {
  return a.kind === FINITE ? round(a.sign, a.exponent, a.significand, 64, context) : a;
}

export function add(a: Float, b: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, b, context);
  if (nan !== undefined) return nan;
  if (a.kind === INFINITE && b.kind === INFINITE && a.sign !== b.sign) return invalid(context);
  noteDenormals(a, b, context);
  if (a.kind === INFINITE) return a;
  if (b.kind === INFINITE) return b;
  if (a.kind === ZERO && b.kind === ZERO) {
    return a.sign === b.sign ? a : makeZero(context.mode === ROUND_DOWN ? 1 : 0);
  }
  if (a.kind === ZERO) return roundFloat(b, context);
  if (b.kind === ZERO) return roundFloat(a, context);
  return addFinite(a, b, context);
}

export function sub(a: Float, b: Float, context: FloatContext): Float {
  return add(a, isNan(b) ? b : negate(b), context);
}

export function mul(a: Float, b: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, b, context);
  if (nan !== undefined) return nan;
  const sign = a.sign ^ b.sign;
  if (a.kind === INFINITE || b.kind === INFINITE) {
    if (a.kind === ZERO || b.kind === ZERO) return invalid(context);
    noteDenormals(a, b, context);
    return makeInfinity(sign);
  }
  noteDenormals(a, b, context);
  if (a.kind === ZERO || b.kind === ZERO) return makeZero(sign);
  return roundScaled(sign, a.significand * b.significand, a.exponent + b.exponent - 126, context);
}

export function div(a: Float, b: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, b, context);
  if (nan !== undefined) return nan;
  const sign = a.sign ^ b.sign;
  if (a.kind === INFINITE) {
    if (b.kind === INFINITE) return invalid(context);
    noteDenormals(a, b, context);
    return makeInfinity(sign);
  }
  if (b.kind === ZERO) {
    if (a.kind === ZERO) return invalid(context);
    context.flags |= FLAG_ZERO_DIVIDE;
    return makeInfinity(sign);
  }
  noteDenormals(a, b, context);
  if (a.kind === ZERO || b.kind === INFINITE) return makeZero(sign);
  const numerator = a.significand << 68n;
  const quotient = numerator / b.significand;
  const sticky = quotient * b.significand === numerator ? 0n : 1n;
  return roundScaled(sign, quotient << 1n | sticky, a.exponent - b.exponent - 69, context);
}

/** Largest integer whose square is at most `value`. */
export function integerSqrt(value: bigint): bigint {
  if (value < 2n) return value;
  const bits = bitLength(value);
  const shift = BigInt(Math.max(0, bits - 64) + (Math.max(0, bits - 64) & 1));
  let guess = BigInt(Math.floor(Math.sqrt(Number(value >> shift)))) << (shift >> 1n);
  if (guess === 0n) guess = 1n;
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    const distance = next - guess;
    guess = next;
    if (distance >= -1n && distance <= 1n) break;
  }
  while (guess * guess > value) guess--;
  while ((guess + 1n) * (guess + 1n) <= value) guess++;
  return guess;
}

export function sqrt(a: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, a, context);
  if (nan !== undefined) return nan;
  if (a.kind === ZERO) return a;
  if (a.sign === 1) return invalid(context);
  noteDenormals(a, a, context);
  if (a.kind === INFINITE) return a;
  // value = s * 2^(e - 63); make the power of two even, then widen so that the root has 67 bits.
  const odd = (a.exponent - 63) & 1;
  const wide = a.significand << BigInt(70 + odd);
  const root = integerSqrt(wide);
  const sticky = root * root === wide ? 0n : 1n;
  return roundScaled(0, root << 1n | sticky, (a.exponent - 63 - 70 - odd) / 2 - 1, context);
}

/** Changes the format (NaN payloads are cut when packed). Signals as an arithmetic operation. */
export function convert(a: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, a, context);
  if (nan !== undefined) return nan;
  if (a.denormal) context.flags |= FLAG_DENORMAL;
  return roundFloat(a, context);
}

export const LESS = -1;
export const EQUAL = 0;
export const GREATER = 1;
export const UNORDERED = 2;

function magnitudeOrder(a: Float, b: Float): number {
  if (a.kind === b.kind && a.kind !== FINITE) return EQUAL;
  if (a.kind !== b.kind) return a.kind < b.kind ? LESS : GREATER; // ZERO < FINITE < INFINITE
  if (a.exponent !== b.exponent) return a.exponent < b.exponent ? LESS : GREATER;
  return a.significand === b.significand ? EQUAL : a.significand < b.significand ? LESS : GREATER;
}

/** Order of two values. Invalid is signalled for signaling NaNs, or for every NaN when `quietNans` is "signal". */
export function compare(a: Float, b: Float, quietNans: "signal" | "pass", context: FloatContext): number {
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) {
    if (quietNans === "signal" || a.kind > QUIET_NAN || b.kind > QUIET_NAN) context.flags |= FLAG_INVALID;
    return UNORDERED;
  }
  noteDenormals(a, b, context);
  if (a.kind === ZERO && b.kind === ZERO) return EQUAL;
  if (a.sign !== b.sign) return a.sign === 1 ? LESS : GREATER;
  const order = magnitudeOrder(a, b);
  return a.sign === 1 ? -order : order;
}

/** Rounds a finite value to an integer of any size, sign apart. */
export function integerMagnitude(a: Float, context: FloatContext): bigint {
  context.roundedUp = false;
  if (a.kind === ZERO) return 0n;
  const drop = 63 - a.exponent;
  return drop > 66 ? roundShift(a.sign, 1n, 3, context) : roundShift(a.sign, a.significand, drop, context);
}

/** Converts to a signed integer of `bits`; undefined (with only FLAG_INVALID) when it does not fit. */
export function toInteger(a: Float, bits: number, context: FloatContext): bigint | undefined {
  const before = context.flags;
  context.roundedUp = false;
  if (a.kind < INFINITE && a.exponent < 65) {
    const magnitude = integerMagnitude(a, context);
    const value = a.sign === 1 ? -magnitude : magnitude;
    if (BigInt.asIntN(bits, value) === value) return value;
  }
  context.roundedUp = false;
  context.flags = before | FLAG_INVALID;
  return undefined;
}

export function fromInteger(value: bigint, context: FloatContext): Float {
  context.roundedUp = false;
  if (value === 0n) return makeZero(0);
  return value < 0n ? roundScaled(1, -value, 0, context) : roundScaled(0, value, 0, context);
}

/** Rounds to an integral value in the same format. */
export function roundToIntegral(a: Float, context: FloatContext): Float {
  context.roundedUp = false;
  const nan = propagateNan(a, a, context);
  if (nan !== undefined) return nan;
  noteDenormals(a, a, context);
  if (a.kind !== FINITE || a.exponent >= 63) return a;
  const magnitude = integerMagnitude(a, context);
  if (magnitude === 0n) return makeZero(a.sign);
  const bits = bitLength(magnitude);
  return makeFinite(a.sign, bits - 1, magnitude << BigInt(64 - bits));
}

export function absolute(a: Float): Float {
  return withSign(a, 0);
}
