// SPDX-License-Identifier: Apache-2.0
// The common case of exact SSE arithmetic, with the engine's own floats: to nearest, the precision flag masked and
// already set (it is sticky, so an inexact result changes nothing), and operands and results that are zero or
// above the least normal number, so that no other flag can be raised either, and it makes no difference what becomes of denormals. Everything else is left to
// sse-exact.ts.
//
// Floats of 32 bits are computed in 64 and rounded once more, which gives the same result for + - * / and the
// square root, because 53 bits are more than twice 24 plus one.

import type { GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { EXACT } from "./sse-exact-operations.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const RESULT = SCRATCH;
const TARGET = SCRATCH + 16;
const SOURCE = SCRATCH + 32;
const MXCSR = CPU_BASE + CPU_STATE.mxcsr;
/** To nearest, and the precision flag and its mask; the others as they like. */
const ROUNDING_AND_PRECISION = 0x7020;
const FAST = 0x1020;

const LEAST_NORMAL_64 = 2 ** -1022;
const GREATEST_64 = Number.MAX_VALUE;
const LEAST_NORMAL_32 = 2 ** -126;
const GREATEST_32 = (2 - 2 ** -23) * 2 ** 127;
const TWO_31 = 2 ** 31;
const TWO_53 = 2 ** 53;

function isPlain(x: number, bytes: number): boolean {
  if (x === 0) return true;
  const magnitude = Math.abs(x);
  return bytes === 8
    ? magnitude > LEAST_NORMAL_64 && magnitude <= GREATEST_64
    : magnitude > LEAST_NORMAL_32 && magnitude <= GREATEST_32;
}

function lane(view: DataView, at: number, i: number, bytes: number): number {
  return bytes === 8 ? view.getFloat64(at + 8 * i, true) : view.getFloat32(at + 4 * i, true);
}

function put(view: DataView, i: number, bytes: number, value: number): void {
  if (bytes === 8) view.setFloat64(RESULT + 8 * i, value, true);
  else view.setFloat32(RESULT + 4 * i, value, true);
}

/** The rounded result, or NaN where the exact way must be gone. */
function compute(operation: number, a: number, b: number, bytes: number): number {
  let result: number;
  switch (operation) {
    case EXACT.add:
      result = a + b;
      break;
    case EXACT.sub:
      result = a - b;
      break;
    case EXACT.mul:
      result = a * b;
      if (result === 0 && a !== 0 && b !== 0) return Number.NaN;
      break;
    case EXACT.div:
      result = a / b;
      if (result === 0 && a !== 0) return Number.NaN;
      break;
    case EXACT.sqrt:
      result = Math.sqrt(b);
      break;
    case EXACT.min:
      return a < b ? a : b;
    default:
      return a > b ? a : b;
  }
  if (bytes === 4) {
    const rounded = Math.fround(result);
    // A double that is not zero may round to a float that is: that is an underflow.
    if (rounded === 0 && result !== 0) return Number.NaN;
    result = rounded;
  }
  return isPlain(result, bytes) ? result : Number.NaN;
}

function arithmetic(view: DataView, operation: number, bytes: number, scalar: boolean): boolean {
  const lanes = scalar ? 1 : 16 / bytes;
  for (let i = 0; i < lanes; i++) {
    const a = operation === EXACT.sqrt ? 0 : lane(view, TARGET, i, bytes);
    const b = lane(view, SOURCE, i, bytes);
    if (!isPlain(a, bytes) || !isPlain(b, bytes)) return false;
    const result = compute(operation, a, b, bytes);
    if (result !== result) return false;
    // Slot 0 held the operation, which has been read: results may go there at once.
    put(view, i, bytes, result);
  }
  if (scalar) copyUpper(view, bytes);
  return true;
}

/** The lanes of the target above the first. */
function copyUpper(view: DataView, bytes: number): void {
  for (let at = bytes; at < 16; at += 4) view.setUint32(RESULT + at, view.getUint32(TARGET + at, true), true);
}

function flags(view: DataView, bytes: number): boolean {
  const a = lane(view, TARGET, 0, bytes);
  const b = lane(view, SOURCE, 0, bytes);
  if (!isPlain(a, bytes) || !isPlain(b, bytes)) return false;
  view.setUint32(RESULT, a === b ? 0x40 : a < b ? 0x01 : 0, true);
  return true;
}

function convert(view: DataView, bytes: number): boolean {
  const from = 12 - bytes;
  const value = lane(view, SOURCE, 0, from);
  if (!isPlain(value, from)) return false;
  const result = bytes === 4 ? Math.fround(value) : value;
  if (!isPlain(result, bytes) || (result === 0 && value !== 0)) return false;
  put(view, 0, bytes, result);
  copyUpper(view, bytes);
  return true;
}

function fromInteger(memory: GuestAccess, bytes: number): boolean {
  const { view, u32, i32 } = memory.ram;
  const at = SOURCE >>> 2;
  const value = u32[at]! + i32[at + 1]! * 0x1_0000_0000;
  if (Math.abs(value) >= TWO_53) return false;
  put(view, 0, bytes, value);
  copyUpper(view, bytes);
  return true;
}

/** To nearest, ties to even; for magnitudes below 2^52. */
function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function toRegister(memory: GuestAccess, bytes: number, size: number, truncate: boolean): boolean {
  const value = lane(memory.ram.view, SOURCE, 0, bytes);
  if (!isPlain(value, bytes)) return false;
  const rounded = truncate ? Math.trunc(value) : roundToEven(value);
  if (!(Math.abs(rounded) < (size === 4 ? TWO_31 : TWO_53 / 2))) return false;
  memory.ram.writeU64(RESULT, rounded);
  return true;
}

/** Performs the operation of `word` if it is of the common kind; false: nothing but slot 0 has changed. */
export function sseExactFast(memory: GuestAccess, word: number): boolean {
  if ((memory.ram.u32[MXCSR >>> 2]! & ROUNDING_AND_PRECISION) !== FAST) return false;
  const operation = word & 0xff;
  const bytes = (word >> 8) & 0xff;
  const scalar = ((word >> 16) & 1) !== 0;
  const { view } = memory.ram;
  switch (operation) {
    case EXACT.add:
    case EXACT.sub:
    case EXACT.mul:
    case EXACT.div:
    case EXACT.sqrt:
    case EXACT.min:
    case EXACT.max:
      return arithmetic(view, operation, bytes, scalar);
    case EXACT.compareOrdered:
    case EXACT.compareUnordered:
      return flags(view, bytes);
    case EXACT.convert:
      return scalar && convert(view, bytes);
    case EXACT.fromInteger:
      return fromInteger(memory, bytes);
    case EXACT.toRegister:
    case EXACT.toRegisterTruncate:
      return toRegister(memory, bytes, word >>> 24, operation === EXACT.toRegisterTruncate);
    default:
      return false;
  }
}
