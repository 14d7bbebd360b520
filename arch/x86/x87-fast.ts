// SPDX-License-Identifier: Apache-2.0
// The common x87 cases in 32-bit integers: normal operands, all exceptions masked, nearest rounding to 64 bits.
//
// Each function returns false, having changed nothing, when a case is not its own; the caller then takes the
// general way (x87-arithmetic.ts, x87-memory.ts), which defines what must come out. A significand is two words
// (hi, lo) with the top bit of hi set; a third word holds what is below, its lowest bit sticky.

import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";

const ST = (CPU_BASE + CPU_STATE.st) >>> 2;
export const FCW: number = (CPU_BASE + CPU_STATE.fcw) >>> 2;
export const FSW: number = (CPU_BASE + CPU_STATE.fsw) >>> 2;
const FTOP = (CPU_BASE + CPU_STATE.ftop) >>> 2;
const FTAG = (CPU_BASE + CPU_STATE.ftag) >>> 2;
const C1 = 0x200;
const PRECISION = 0x20;
const TOP = 0x8000_0000 | 0;
export const BIAS = 16383;
const TWO_32 = 0x1_0000_0000;

/** All exceptions masked, 64-bit precision, nearest. */
const PLAIN_MASK = 0xf3f;
const PLAIN = 0x33f;

/** Word index of ST(i), or -1 when it is empty. */
export function registerIndex(ram: Ram, i: number): number {
  const physical = (ram.i32[FTOP]! + i) & 7;
  return (ram.i32[FTAG]! >> physical & 1) === 0 ? -1 : ST + 4 * physical;
}

function pushParts(ram: Ram, lo: number, hi: number, signExponent: number): boolean {
  const { i32 } = ram;
  const top = (i32[FTOP]! - 1) & 7;
  const tags = i32[FTAG]!;
  if ((tags >> top & 1) !== 0) return false;
  i32[FTOP] = top;
  i32[FTAG] = tags | 1 << top;
  i32[FSW]! &= ~C1;
  const at = ST + 4 * top;
  i32[at] = lo;
  i32[at + 1] = hi;
  i32[at + 2] = signExponent;
  return true;
}

export function fastPop(ram: Ram): void {
  const { i32 } = ram;
  const top = i32[FTOP]!;
  i32[FTAG]! &= ~(1 << top);
  i32[FTOP] = (top + 1) & 7;
}

/** FLD m64. */
export function fastLoad64(ram: Ram, low: number, high: number): boolean {
  const exponent = high >>> 20 & 0x7ff;
  const sign = high >>> 16 & 0x8000;
  if (exponent === 0) return (high & 0xf_ffff | low) === 0 && pushParts(ram, 0, 0, sign);
  if (exponent === 0x7ff) return false;
  return pushParts(ram, low << 11, TOP | (high & 0xf_ffff) << 11 | low >>> 21, sign | exponent - 1023 + BIAS);
}

/** FLD m32. */
export function fastLoad32(ram: Ram, bits: number): boolean {
  const exponent = bits >>> 23 & 0xff;
  const sign = bits >>> 16 & 0x8000;
  if (exponent === 0) return (bits & 0x7f_ffff) === 0 && pushParts(ram, 0, 0, sign);
  if (exponent === 0xff) return false;
  return pushParts(ram, 0, TOP | (bits & 0x7f_ffff) << 8, sign | exponent - 127 + BIAS);
}

/** FLD m80. */
export function fastLoad80(ram: Ram, low: number, high: number, signExponent: number): boolean {
  return pushParts(ram, low, high, signExponent & 0xffff);
}

/** FILD m64; narrower ones come sign-extended. */
export function fastLoadInteger(ram: Ram, low: number, high: number): boolean {
  const sign = high >>> 31;
  let lo = low | 0;
  let hi = high | 0;
  if (sign === 1) {
    lo = -lo | 0;
    hi = ~hi + (lo === 0 ? 1 : 0) | 0;
  }
  if ((lo | hi) === 0) return pushParts(ram, 0, 0, 0);
  let exponent = BIAS + 63;
  if (hi === 0) {
    hi = lo;
    lo = 0;
    exponent -= 32;
  }
  const up = Math.clz32(hi);
  if (up > 0) {
    hi = hi << up | lo >>> 32 - up;
    lo <<= up;
  }
  return pushParts(ram, lo, hi, sign << 15 | exponent - up);
}

/** FLD ST(i). */
export function fastLoadRegister(ram: Ram, i: number): boolean {
  const at = registerIndex(ram, i);
  return at >= 0 && pushParts(ram, ram.i32[at]!, ram.i32[at + 1]!, ram.i32[at + 2]!);
}

/** Rounds (hi, lo, below) and writes it to the register at `to`. */
function deliver(
  ram: Ram,
  to: number,
  sign: number,
  exponent: number,
  hi: number,
  lo: number,
  below: number,
): boolean {
  const { i32 } = ram;
  let status = i32[FSW]! & ~C1;
  if (below !== 0) {
    status |= PRECISION;
    const half = below === TOP;
    if (half ? (lo & 1) === 1 : below < 0) {
      status |= C1;
      lo = lo + 1 | 0;
      if (lo === 0) hi = hi + 1 | 0;
      if ((hi | lo) === 0) {
        hi = TOP;
        exponent++;
      }
    }
  }
  if (exponent <= 0 || exponent >= 0x7fff) return false;
  i32[FSW] = status;
  i32[to] = lo;
  i32[to + 1] = hi;
  i32[to + 2] = sign << 15 | exponent;
  return true;
}

export function isNormal(hi: number, exponent: number): boolean {
  return hi < 0 && exponent !== 0 && exponent !== 0x7fff;
}

/** The register at `to` = (lo, hi, word) + the other operand, whose magnitude is the smaller or equal one. */
function addOrdered(
  ram: Ram,
  to: number,
  aLo: number,
  aHi: number,
  aWord: number,
  bLo: number,
  bHi: number,
  bWord: number,
): boolean {
  const exponent = aWord & 0x7fff;
  const distance = exponent - (bWord & 0x7fff);
  let lo = bLo;
  let hi = bHi;
  let below = 0;
  let sticky = 0;
  if (distance >= 96) {
    lo = hi = 0;
    sticky = 1;
  } else {
    for (let words = distance >> 5; words > 0; words--) {
      sticky |= below;
      below = lo;
      lo = hi;
      hi = 0;
    }
    const k = distance & 31;
    if (k !== 0) {
      sticky |= below << 32 - k;
      below = below >>> k | lo << 32 - k;
      lo = lo >>> k | hi << 32 - k;
      hi >>>= k;
    }
  }
  if (sticky !== 0) below |= 1;
  const sign = aWord >>> 15 & 1;
  return ((aWord ^ bWord) & 0x8000) === 0
    ? addMagnitudes(ram, to, sign, exponent, aLo, aHi, lo, hi, below)
    : subtractMagnitudes(ram, to, sign, exponent, aLo, aHi, lo, hi, below);
}

function addMagnitudes(
  ram: Ram,
  to: number,
  sign: number,
  exponent: number,
  aLo: number,
  aHi: number,
  lo: number,
  hi: number,
  below: number,
): boolean {
  const low = (aLo >>> 0) + (lo >>> 0);
  const high = (aHi >>> 0) + (hi >>> 0) + (low >= TWO_32 ? 1 : 0);
  if (high < TWO_32) return deliver(ram, to, sign, exponent, high | 0, low | 0, below);
  const tail = below >>> 1 | below & 1 | low << 31;
  return deliver(ram, to, sign, exponent + 1, high >>> 1 | TOP, low >>> 1 | high << 31, tail);
}

function subtractMagnitudes(
  ram: Ram,
  to: number,
  sign: number,
  exponent: number,
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  bBelow: number,
): boolean {
  let below = -bBelow | 0;
  const low = (aLo >>> 0) - (bLo >>> 0) - (bBelow !== 0 ? 1 : 0);
  let lo = low | 0;
  let hi = (aHi >>> 0) - (bHi >>> 0) - (low < 0 ? 1 : 0) | 0;
  if ((hi | lo | below) === 0) {
    const { i32 } = ram;
    i32[FSW]! &= ~C1;
    i32[to] = i32[to + 1] = i32[to + 2] = 0;
    return true;
  }
  while (hi >= 0) {
    const up = hi === 0 ? 32 : Math.clz32(hi);
    if (up === 32) {
      hi = lo;
      lo = below;
      below = 0;
    } else {
      hi = hi << up | lo >>> 32 - up;
      lo = lo << up | below >>> 32 - up;
      below <<= up;
    }
    exponent -= up;
  }
  return deliver(ram, to, sign, exponent, hi, lo, below);
}

/** Adds (bLo, bHi, bWord) to the register at `to`; for a subtraction the caller has changed a sign. */
function add(
  ram: Ram,
  to: number,
  aLo: number,
  aHi: number,
  aWord: number,
  bLo: number,
  bHi: number,
  bWord: number,
): boolean {
  const a = aWord & 0x7fff;
  const b = bWord & 0x7fff;
  if (!isNormal(aHi, a) || !isNormal(bHi, b)) return false;
  const ordered = a !== b ? a > b : aHi !== bHi ? aHi >>> 0 > bHi >>> 0 : aLo >>> 0 >= bLo >>> 0;
  return ordered
    ? addOrdered(ram, to, aLo, aHi, aWord, bLo, bHi, bWord)
    : addOrdered(ram, to, bLo, bHi, bWord, aLo, aHi, aWord);
}

function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + (a0 * b0 >>> 16);
  const other = a0 * b1 + (middle % 65536);
  return a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

function multiply(
  ram: Ram,
  to: number,
  aLo: number,
  aHi: number,
  aWord: number,
  bLo: number,
  bHi: number,
  bWord: number,
): boolean {
  const a = aWord & 0x7fff;
  const b = bWord & 0x7fff;
  if (!isNormal(aHi, a) || !isNormal(bHi, b)) return false;
  const w0 = Math.imul(aLo, bLo);
  const sum1 = mulHigh(aLo, bLo) + (Math.imul(aLo, bHi) >>> 0) + (Math.imul(aHi, bLo) >>> 0);
  const sum2 = Math.floor(sum1 / TWO_32) + mulHigh(aLo, bHi) + mulHigh(aHi, bLo)
    + (Math.imul(aHi, bHi) >>> 0);
  const w1 = sum1 | 0;
  const w2 = sum2 | 0;
  const w3 = Math.floor(sum2 / TWO_32) + mulHigh(aHi, bHi) | 0;
  const sign = (aWord ^ bWord) >>> 15 & 1;
  const exponent = a + b - BIAS;
  const sticky = w0 === 0 ? 0 : 1;
  if (w3 < 0) return deliver(ram, to, sign, exponent + 1, w3, w2, w1 | sticky);
  return deliver(ram, to, sign, exponent, w3 << 1 | w2 >>> 31, w2 << 1 | w1 >>> 31, w1 << 1 | sticky);
}

/** FADD, FMUL, FSUB, FSUBR (by reg field) of the register at `to` and another operand. */
function operate(ram: Ram, operation: number, to: number, lo: number, hi: number, word: number): boolean {
  const { i32 } = ram;
  if ((i32[FCW]! & PLAIN_MASK) !== PLAIN) return false;
  const a0 = i32[to]!;
  const a1 = i32[to + 1]!;
  const a2 = i32[to + 2]! & 0xffff;
  switch (operation) {
    case 0:
      return add(ram, to, a0, a1, a2, lo, hi, word);
    case 1:
      return multiply(ram, to, a0, a1, a2, lo, hi, word);
    case 4:
      return add(ram, to, a0, a1, a2, lo, hi, word ^ 0x8000);
    case 5:
      return add(ram, to, a0, a1, a2 ^ 0x8000, lo, hi, word);
    default:
      return false;
  }
}

/** ST(target) = ST(target) op ST(source). */
export function fastRegisters(ram: Ram, operation: number, target: number, source: number): boolean {
  const to = registerIndex(ram, target);
  const from = registerIndex(ram, source);
  if (to < 0 || from < 0) return false;
  return operate(ram, operation, to, ram.i32[from]!, ram.i32[from + 1]!, ram.i32[from + 2]! & 0xffff);
}

/** ST(0) = ST(0) op a 64-bit float. */
export function fastMemory64(ram: Ram, operation: number, low: number, high: number): boolean {
  const exponent = high >>> 20 & 0x7ff;
  const to = registerIndex(ram, 0);
  if (to < 0 || exponent === 0 || exponent === 0x7ff) return false;
  const hi = TOP | (high & 0xf_ffff) << 11 | low >>> 21;
  return operate(ram, operation, to, low << 11, hi, high >>> 16 & 0x8000 | exponent - 1023 + BIAS);
}

/** ST(0) = ST(0) op a 32-bit float. */
export function fastMemory32(ram: Ram, operation: number, bits: number): boolean {
  const exponent = bits >>> 23 & 0xff;
  const to = registerIndex(ram, 0);
  if (to < 0 || exponent === 0 || exponent === 0xff) return false;
  return operate(
    ram,
    operation,
    to,
    0,
    TOP | (bits & 0x7f_ffff) << 8,
    bits >>> 16 & 0x8000 | exponent - 127 + BIAS,
  );
}

/** FCOMI and its kin on normal values: EFLAGS bits, or -1. */
export function fastCompare(ram: Ram, i: number): number {
  const a = registerIndex(ram, 0);
  const b = registerIndex(ram, i);
  if (a < 0 || b < 0) return -1;
  const { i32 } = ram;
  const aWord = i32[a + 2]! & 0xffff;
  const bWord = i32[b + 2]! & 0xffff;
  if (!isNormal(i32[a + 1]!, aWord & 0x7fff) || !isNormal(i32[b + 1]!, bWord & 0x7fff)) return -1;
  if (((aWord ^ bWord) & 0x8000) !== 0) return (aWord & 0x8000) !== 0 ? 1 : 0;
  const order = (aWord & 0x7fff) - (bWord & 0x7fff) || (i32[a + 1]! >>> 0) - (i32[b + 1]! >>> 0)
    || (i32[a]! >>> 0) - (i32[b]! >>> 0);
  if (order === 0) return 0x40;
  return order < 0 === ((aWord & 0x8000) === 0) ? 1 : 0;
}

/** FST m64 of a value within range: writes 8 bytes at a host address. */
export function fastStore64(ram: Ram, host: number): boolean {
  const { i32 } = ram;
  const at = registerIndex(ram, 0);
  if (at < 0 || (i32[FCW]! & 0xc3f) !== 0x03f) return false;
  const word = i32[at + 2]! & 0xffff;
  const hi = i32[at + 1]!;
  const lo = i32[at]!;
  let status = i32[FSW]! & ~C1;
  let low = 0;
  let high = (word & 0x8000) << 16;
  if ((word & 0x7fff | hi | lo) !== 0) {
    const exponent = (word & 0x7fff) - BIAS + 1023;
    if (hi >= 0 || exponent < 1 || exponent > 2045) return false;
    low = lo >>> 11 | hi << 21;
    // Exponent and fraction are added, so that a carry out of the fraction raises the exponent.
    high |= (exponent << 20) + (hi >>> 11 & 0xf_ffff);
    const rest = lo & 0x7ff;
    if (rest !== 0) {
      status |= PRECISION;
      if (rest > 0x400 || (rest === 0x400 && (low & 1) === 1)) {
        status |= C1;
        low = low + 1 | 0;
        if (low === 0) high++;
      }
    }
  }
  i32[FSW] = status;
  ram.view.setInt32(host, low, true);
  ram.view.setInt32(host + 4, high, true);
  return true;
}

/** FST m80. */
export function fastStore80(ram: Ram, host: number): boolean {
  const { i32, view } = ram;
  const at = registerIndex(ram, 0);
  if (at < 0) return false;
  i32[FSW]! &= ~C1;
  view.setInt32(host, i32[at]!, true);
  view.setInt32(host + 4, i32[at + 1]!, true);
  view.setUint16(host + 8, i32[at + 2]! & 0xffff, true);
  return true;
}

/** FXCH. */
export function fastExchange(ram: Ram, i: number): boolean {
  const a = registerIndex(ram, 0);
  const b = registerIndex(ram, i);
  if (a < 0 || b < 0) return false;
  const { i32 } = ram;
  i32[FSW]! &= ~C1;
  for (let n = 0; n < 3; n++) {
    const kept = i32[a + n]!;
    i32[a + n] = i32[b + n]!;
    i32[b + n] = kept;
  }
  return true;
}

/** FST ST(i), pop apart. */
export function fastStoreRegister(ram: Ram, i: number): boolean {
  const from = registerIndex(ram, 0);
  if (from < 0) return false;
  const { i32 } = ram;
  const physical = (i32[FTOP]! + i) & 7;
  const to = ST + 4 * physical;
  i32[FSW]! &= ~C1;
  i32[FTAG]! |= 1 << physical;
  for (let n = 0; n < 3; n++) i32[to + n] = i32[from + n]!;
  return true;
}
