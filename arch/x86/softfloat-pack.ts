// SPDX-License-Identifier: Apache-2.0
// Packed encodings of floats to and from the unpacked form of softfloat.ts.
//
// 32-bit and 64-bit patterns travel as numbers (64 bits as two words), the 80-bit one as its 64-bit significand and
// a 16-bit word of sign and exponent. Unpacking never signals. Source: IEEE 754-2019 section 3.4; AMD64
// Architecture Programmer's Manual, volume 1, section 6.3 (80-bit encodings, pseudo-denormals included).

import {
  BINARY32,
  BINARY64,
  bitLength,
  FINITE,
  type Float,
  type FloatFormat,
  INFINITE,
  makeFinite,
  makeInfinity,
  makeZero,
  QUIET_NAN,
  SIGNALING_NAN,
  TOP_BIT,
  UNSUPPORTED,
  ZERO,
} from "./softfloat.ts";

const ALL64 = (1n << 64n) - 1n;

function unpackBinary(sign: number, biased: number, fraction: bigint, format: FloatFormat): Float {
  const shift = BigInt(64 - format.precision);
  const aligned = fraction << shift; // below the integer bit, which is bit 63
  if (biased === format.maxExponent * 2 + 1) {
    if (fraction === 0n) return makeInfinity(sign);
    const kind = (aligned >> 62n & 1n) === 1n ? QUIET_NAN : SIGNALING_NAN;
    return { kind, sign, exponent: 0, significand: TOP_BIT | aligned, denormal: false };
  }
  if (biased !== 0) return makeFinite(sign, biased - format.maxExponent, TOP_BIT | aligned);
  if (fraction === 0n) return makeZero(sign);
  const up = 64 - bitLength(aligned);
  return {
    kind: FINITE,
    sign,
    exponent: format.minExponent - up,
    significand: aligned << BigInt(up),
    denormal: true,
  };
}

export function unpack32(bits: number): Float {
  return unpackBinary(bits >>> 31, (bits >>> 23) & 0xff, BigInt(bits & 0x7f_ffff), BINARY32);
}

export function unpack64(low: number, high: number): Float {
  const fraction = BigInt(high & 0xf_ffff) << 32n | BigInt(low >>> 0);
  return unpackBinary(high >>> 31, (high >>> 20) & 0x7ff, fraction, BINARY64);
}

/** `signExponent` is the upper 16 bits of the 80. */
export function unpack80(significand: bigint, signExponent: number): Float {
  const sign = signExponent >>> 15 & 1;
  const biased = signExponent & 0x7fff;
  if (biased === 0) return unpackLowest80(significand, sign);
  if (significand < TOP_BIT) return { kind: UNSUPPORTED, sign, exponent: 0, significand, denormal: false };
  if (biased !== 0x7fff) return makeFinite(sign, biased - 16383, significand);
  if (significand === TOP_BIT) return makeInfinity(sign);
  const kind = (significand >> 62n & 1n) === 1n ? QUIET_NAN : SIGNALING_NAN;
  return { kind, sign, exponent: 0, significand, denormal: false };
}

/** Exponent field 0: zero, a denormal, or a pseudo-denormal (top bit set, same scale). */
function unpackLowest80(significand: bigint, sign: number): Float {
  if (significand === 0n) return makeZero(sign);
  const up = 64 - bitLength(significand);
  return {
    kind: FINITE,
    sign,
    exponent: -16382 - up,
    significand: significand << BigInt(up),
    denormal: true,
  };
}

/** Sign, exponent and fraction fields of a value that fits the format (a NaN's payload is cut). */
function packFields(a: Float, format: FloatFormat): { biased: number; fraction: bigint } {
  const shift = BigInt(64 - format.precision);
  const top = format.maxExponent * 2 + 1;
  if (a.kind === ZERO) return { biased: 0, fraction: 0n };
  if (a.kind === INFINITE) return { biased: top, fraction: 0n };
  if (a.kind !== FINITE) return { biased: top, fraction: (a.significand & (TOP_BIT - 1n)) >> shift };
  if (a.exponent < format.minExponent) {
    return { biased: 0, fraction: a.significand >> (shift + BigInt(format.minExponent - a.exponent)) };
  }
  return { biased: a.exponent + format.maxExponent, fraction: (a.significand & (TOP_BIT - 1n)) >> shift };
}

export function pack32(a: Float): number {
  const { biased, fraction } = packFields(a, BINARY32);
  return (a.sign << 31 | biased << 23 | Number(fraction)) >>> 0;
}

/** All 64 bits. */
export function pack64(a: Float): bigint {
  const { biased, fraction } = packFields(a, BINARY64);
  return BigInt(a.sign << 11 | biased) << 52n | fraction;
}

export function significand80(a: Float): bigint {
  if (a.kind !== FINITE || a.exponent >= -16382) return a.significand & ALL64;
  return a.significand >> BigInt(-16382 - a.exponent);
}

/** Sign and exponent word of the 80-bit encoding; pairs with significand80. */
export function signExponent80(a: Float): number {
  const sign = a.sign << 15;
  if (a.kind === ZERO) return sign;
  if (a.kind !== FINITE) return sign | 0x7fff;
  return a.exponent < -16382 ? sign : sign | (a.exponent + 16383);
}
