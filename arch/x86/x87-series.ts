// SPDX-License-Identifier: Apache-2.0
// Elementary functions in fixed point, for the transcendental x87 instructions.
//
// Arguments and results are integers scaled by 2^-FRACTION; errors stay below 2^-(FRACTION - 10), so that a
// result rounded to 64 bits is almost always the correctly rounded one.

import { integerSqrt } from "./softfloat.ts";

/** Bits behind the point. */
export const FRACTION = 256;
const F = BigInt(FRACTION);
export const ONE: bigint = 1n << F;

const mulFixed = (a: bigint, b: bigint): bigint => (a * b) >> F;

/** The 66-bit approximation of pi with which x87 reduces angles, times 2^64. */
const PI_66 = 0x3243f6a8885a308d3n;
export const REDUCTION_PI: bigint = PI_66 << (F - 64n);

/** pi, ln 2 and log2 e to FRACTION bits, each computed once per caller that needs it. */
export function pi(): bigint {
  // Machin: pi = 16 atan(1/5) - 4 atan(1/239).
  return 16n * inverseArcTangent(5n) - 4n * inverseArcTangent(239n);
}

function inverseArcTangent(n: bigint): bigint {
  const square = n * n;
  let power = ONE / n;
  let sum = power;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = -power / square;
    sum += power / k;
  }
  return sum;
}

/** ln 2 = 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749). */
export function naturalLogOf2(): bigint {
  return 18n * inverseAtanh(26n) - 2n * inverseAtanh(4801n) + 8n * inverseAtanh(8749n);
}

function inverseAtanh(n: bigint): bigint {
  const square = n * n;
  let power = ONE / n;
  let sum = power;
  for (let k = 3n; power !== 0n; k += 2n) {
    power /= square;
    sum += power / k;
  }
  return sum;
}

/** sin and cos of an angle of at most about pi/4. */
export function sineSeries(angle: bigint): bigint {
  return alternating(angle, angle, 2n);
}
export function cosineSeries(angle: bigint): bigint {
  return alternating(ONE, angle, 1n);
}

function alternating(first: bigint, angle: bigint, start: bigint): bigint {
  const square = mulFixed(angle, angle);
  let term = first;
  let sum = first;
  for (let k = start; term !== 0n && term !== -1n; k += 2n) {
    term = -mulFixed(term, square) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}

/** e^x - 1 for |x| < 1. */
export function exponentialMinusOne(x: bigint): bigint {
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = mulFixed(term, x) / k;
    sum += term;
  }
  return sum;
}

/** atanh z for |z| < 1/2. */
export function atanh(z: bigint): bigint {
  const square = mulFixed(z, z);
  let power = z;
  let sum = z;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = mulFixed(power, square);
    sum += power / k;
  }
  return sum;
}

/** atan z for 0 <= z <= 1: halved four times, then the series. */
export function arcTangentSeries(z: bigint): bigint {
  let half = z;
  for (let n = 0; n < 4; n++) {
    const root = integerSqrt((ONE << F) + half * half);
    half = (half << F) / (ONE + root);
  }
  const square = mulFixed(half, half);
  let power = half;
  let sum = half;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = -mulFixed(power, square);
    sum += power / k;
  }
  return sum << 4n;
}
