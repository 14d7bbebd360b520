// SPDX-License-Identifier: Apache-2.0
// FIST, FISTP and FISTTP of zeros and normal numbers that fit, with all exceptions masked: in 32-bit integers, as x87-fast.ts.

import type { Ram } from "../../lib/ram.ts";
import { FLAG_PRECISION, ROUND_DOWN, ROUND_NEAREST, ROUND_UP } from "./softfloat.ts";
import { BIAS, FCW, FSW, isNormal, registerIndex } from "./x87-fast.ts";
import { C1 } from "./x87-state.ts";

const ALL_MASKED = 0x3f;
const ROUNDING_SHIFT = 10;
const TWO_32 = 0x1_0000_0000;

/** The rounding that FCW asks for. */
export function roundingOf({ i32 }: Ram): number {
  return (i32[FCW]! >>> ROUNDING_SHIFT) & 3;
}

/** Whether a magnitude becomes the next greater one. `rest`: what is behind it, its highest bit as `half`, and whether there is more. */
function roundsUp(rounding: number, sign: number, isOdd: boolean, half: boolean, more: boolean): boolean {
  if (rounding === ROUND_NEAREST) return half && (more || isOdd);
  return (half || more) && rounding === (sign === 1 ? ROUND_DOWN : ROUND_UP);
}

/** ST(0) as an integer of 2, 4 or 8 bytes at a host address; the pop is apart. */
export function fastStoreInteger(ram: Ram, host: number, bytes: number, rounding: number): boolean {
  const { i32, view } = ram;
  const at = registerIndex(ram, 0);
  if (at < 0 || (i32[FCW]! & ALL_MASKED) !== ALL_MASKED) return false;
  const [low, high, word] = [i32[at]!, i32[at + 1]!, i32[at + 2]! & 0xffff];
  const exponent = (word & 0x7fff) - BIAS;
  const isZero = (word & 0x7fff | low | high) === 0;
  if (!isZero && (!isNormal(high, word & 0x7fff) || exponent >= bytes * 8 - 1)) return false;
  // The significand is shifted so far to the right; of what is shifted out the first bit counts, and whether there are others.
  const shift = isZero ? 65 : 63 - exponent;
  let [hi, lo, half, more] = [0, 0, false, !isZero];
  if (shift < 32) {
    hi = high >>> shift;
    lo = low >>> shift | high << 32 - shift;
    half = (low >>> shift - 1 & 1) !== 0;
    more = low << 32 - shift << 1 !== 0;
  } else if (shift <= 64) {
    const more32 = shift - 32;
    lo = more32 === 32 ? 0 : high >>> more32;
    half = (more32 === 0 ? low >>> 31 : high >>> more32 - 1 & 1) !== 0;
    more = more32 === 0 ? low << 1 !== 0 : (high << 32 - more32 << 1 | low) !== 0;
  }
  const sign = word >>> 15;
  const up = roundsUp(rounding, sign, (lo & 1) === 1, half, more);
  let magnitude = lo >>> 0;
  if (up) magnitude++;
  if (magnitude === TWO_32) {
    magnitude = 0;
    hi = hi + 1 | 0;
  }
  // 2^15, 2^31 or 2^63 after rounding fits as a negative number alone: the general way knows.
  if (bytes === 8 ? hi < 0 : magnitude >= 2 ** (bytes * 8 - 1)) return false;
  let status = i32[FSW]! & ~C1;
  if (half || more) status |= FLAG_PRECISION;
  if (up) status |= C1;
  i32[FSW] = status;
  lo = magnitude | 0;
  if (sign === 1) {
    lo = -lo | 0;
    hi = ~hi + (lo === 0 ? 1 : 0) | 0;
  }
  if (bytes === 2) view.setInt16(host, lo, true);
  else view.setInt32(host, lo, true);
  if (bytes === 8) view.setInt32(host + 4, hi, true);
  return true;
}
