// SPDX-License-Identifier: Apache-2.0
// x87 instructions that load and store: floats, integers, packed decimals, the environment and the whole state.
//
// Stores give bytes or undefined: undefined means that an unmasked exception suppressed store and pop. A store
// pops only after its bytes are in memory, so the caller calls `commit` between.
// Source: AMD64 Architecture Programmer's Manual, volume 1, sections 6.3 and 6.5; volume 2, section 11.4.

import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import {
  BINARY32,
  BINARY64,
  convert,
  DEFAULT_NAN,
  FINITE,
  FLAG_DENORMAL,
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_PRECISION,
  FLAG_UNDERFLOW,
  type Float,
  type FloatContext,
  type FloatFormat,
  fromInteger,
  INFINITE,
  integerMagnitude,
  propagateNan,
  ROUND_ZERO,
  toInteger,
  ZERO,
} from "./softfloat.ts";
import { pack32, pack64, unpack32, unpack64 } from "./softfloat-pack.ts";
import { push } from "./x87-arithmetic.ts";
import { C1, CONDITIONS, type X87 } from "./x87-state.ts";

/** Loads a 32-bit or 64-bit float: signaling NaNs become quiet, denormals are reported. */
function pushBinary(unit: X87, a: Float): void {
  const context = unit.wideContext();
  const value = propagateNan(a, a, context) ?? a;
  const pushed = push(unit, value.denormal ? { ...value, denormal: false } : value, context);
  // Reported after the push: an unmasked denormal exception does not keep the value from the stack.
  if (pushed && a.denormal) unit.raise(FLAG_DENORMAL);
}

export function loadFloat32(unit: X87, bits: number): void {
  pushBinary(unit, unpack32(bits));
}
export function loadFloat64(unit: X87, low: number, high: number): void {
  pushBinary(unit, unpack64(low, high));
}

/** FLD m80 moves bits: no exception but a full stack. */
export function loadFloat80(unit: X87, significand: bigint, signExponent: number): void {
  if (!unit.isEmpty(7)) {
    push(unit, DEFAULT_NAN, unit.wideContext());
    return;
  }
  unit.setConditions(C1, 0);
  unit.top -= 1;
  unit.writeRaw(0, significand, signExponent);
}

export function loadInteger(unit: X87, value: bigint): void {
  const context = unit.wideContext();
  push(unit, fromInteger(value, context), context);
}

/** FBLD: 18 decimal digits and a sign. */
export function loadDecimal(unit: X87, low: bigint, high: number): void {
  let value = 0n;
  for (let n = 17; n >= 0; n--) {
    const digit = n >= 16 ? BigInt((high >> ((n - 16) * 4)) & 15) : low >> BigInt(n * 4) & 15n;
    value = value * 10n + digit;
  }
  const context = unit.wideContext();
  const magnitude = fromInteger(value, context);
  push(unit, (high & 0x8000) !== 0 ? { ...magnitude, sign: 1 } : magnitude, context);
}

/** The operand of a store, or undefined when an empty register forbids it. */
function storeOperand(unit: X87): Float | undefined {
  if (!unit.isEmpty(0)) return unit.read(0);
  return unit.stackUnderflow() ? undefined : DEFAULT_NAN;
}

function bytesOf(value: bigint, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  const view = new DataView(bytes.buffer);
  if (count === 2) view.setUint16(0, Number(BigInt.asUintN(16, value)), true);
  else if (count === 4) view.setUint32(0, Number(BigInt.asUintN(32, value)), true);
  else view.setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes;
}

/** A result on its way to memory: the bytes, and what to do once they are written. */
export interface Store {
  readonly bytes: Uint8Array;
  /** Exceptions to record, and C1. */
  readonly flags: number;
  readonly roundedUp: boolean;
}

/** Exceptions which, unmasked, keep a result from memory. */
const NO_STORE = FLAG_INVALID | FLAG_DENORMAL | FLAG_OVERFLOW | FLAG_UNDERFLOW;

/** Decides whether the store happens; when it does not, the exceptions are recorded here. */
function decide(unit: X87, bytes: Uint8Array, context: FloatContext): Store | undefined {
  const unmasked = context.flags & ~unit.control;
  if ((unmasked & NO_STORE) !== 0) {
    // Nothing was stored, so nothing was rounded.
    unit.setConditions(C1, 0);
    unit.raise(context.flags & ~FLAG_PRECISION);
    return undefined;
  }
  return { bytes, flags: context.flags, roundedUp: context.roundedUp };
}

/** To be called when the bytes are in memory. */
export function commit(unit: X87, store: Store, pops: number): void {
  unit.setConditions(C1, store.roundedUp ? C1 : 0);
  unit.raise(store.flags);
  if (pops > 0) unit.pop();
}

function storeContext(unit: X87, format: FloatFormat): FloatContext {
  const context = unit.wideContext();
  context.format = format;
  context.precision = format.precision;
  context.wrapExponent = 0;
  return context;
}

export function storeFloat(unit: X87, size: number): Store | undefined {
  unit.setConditions(C1, 0);
  const a = storeOperand(unit);
  if (a === undefined) return undefined;
  const context = storeContext(unit, size === 4 ? BINARY32 : BINARY64);
  const rounded = convert(a, context);
  context.flags &= ~FLAG_DENORMAL;
  const fits = (context.flags & ~context.masks & (FLAG_OVERFLOW | FLAG_UNDERFLOW)) === 0;
  const bits = !fits ? 0n : size === 4 ? BigInt(pack32(rounded)) : pack64(rounded);
  return decide(unit, bytesOf(bits, size), context);
}

export function storeFloat80(unit: X87): Store | undefined {
  unit.setConditions(C1, 0);
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  if (unit.isEmpty(0)) {
    if (unit.stackUnderflow()) return undefined;
    view.setBigUint64(0, DEFAULT_NAN.significand, true);
    view.setUint16(8, 0xffff, true);
  } else {
    view.setBigUint64(0, unit.significand(0), true);
    view.setUint16(8, unit.signExponent(0), true);
  }
  return { bytes, flags: 0, roundedUp: false };
}

/** FIST(P) and, truncating, FISTTP. */
export function storeInteger(unit: X87, size: number, rounding: "control" | "truncate"): Store | undefined {
  unit.setConditions(C1, 0);
  const a = storeOperand(unit);
  if (a === undefined) return undefined;
  const context = unit.wideContext();
  if (rounding === "truncate") context.mode = ROUND_ZERO;
  const value = toInteger(a, size * 8, context) ?? -(1n << BigInt(size * 8 - 1));
  return decide(unit, bytesOf(value, size), context);
}

const DECIMAL_LIMIT = 10n ** 18n;

/** FBSTP. */
export function storeDecimal(unit: X87): Store | undefined {
  unit.setConditions(C1, 0);
  const a = storeOperand(unit);
  if (a === undefined) return undefined;
  const context = unit.wideContext();
  const bytes = new Uint8Array(10);
  let magnitude = a.kind < INFINITE && a.exponent < 64 ? integerMagnitude(a, context) : DECIMAL_LIMIT;
  if (magnitude >= DECIMAL_LIMIT) {
    context.flags = FLAG_INVALID;
    context.roundedUp = false;
    bytes.set([0xc0, 0xff, 0xff], 7);
    return decide(unit, bytes, context);
  }
  for (let n = 0; n < 9; n++) {
    const pair = Number(magnitude % 100n);
    magnitude /= 100n;
    bytes[n] = Math.floor(pair / 10) << 4 | pair % 10;
  }
  bytes[9] = a.sign << 7;
  return decide(unit, bytes, context);
}

/** The two-bit tag of a physical register, as FNSTENV gives it: 0 valid, 1 zero, 2 special, 3 empty. */
function fullTag(unit: X87, physical: number): number {
  const i = (physical - unit.top) & 7;
  if (unit.isEmpty(i)) return 3;
  const a = unit.read(i);
  if (a.kind === ZERO) return 1;
  return a.kind === FINITE && (unit.signExponent(i) & 0x7fff) !== 0 ? 0 : 2;
}

function tagWord(unit: X87): number {
  let word = 0;
  for (let n = 0; n < 8; n++) word |= fullTag(unit, n) << (2 * n);
  return word;
}

function field(unit: X87, offset: number): number {
  return unit.ram.u32[(CPU_BASE + offset) >>> 2]!;
}
function setField(unit: X87, offset: number, value: number): void {
  unit.ram.u32[(CPU_BASE + offset) >>> 2] = value;
}

/** The environment of 28 bytes, or 14 with operand size 16. */
export function environment(unit: X87, operandSize: number): Uint8Array {
  const wide = operandSize !== 2;
  const bytes = new Uint8Array(wide ? 28 : 14);
  const view = new DataView(bytes.buffer);
  const fop = field(unit, CPU_STATE.fop);
  const fip = field(unit, CPU_STATE.fip);
  const fdp = field(unit, CPU_STATE.fdp);
  const selectors = field(unit, CPU_STATE.fselectors);
  const code = selectors & 0xffff;
  const data = selectors >>> 16;
  if (wide) {
    const words = [
      unit.control | 0xffff_0000,
      unit.statusWord | 0xffff_0000,
      tagWord(unit) | 0xffff_0000,
      fip,
      code | fop << 16,
      fdp,
      data | 0xffff_0000,
    ];
    words.forEach((word, n) => view.setUint32(4 * n, word, true));
  } else {
    const words = [unit.control, unit.statusWord, tagWord(unit), fip, code, fdp, data];
    words.forEach((word, n) => view.setUint16(2 * n, word, true));
  }
  return bytes;
}

export function environmentBytes(operandSize: number): number {
  return operandSize === 2 ? 14 : 28;
}

export function loadEnvironment(unit: X87, bytes: Uint8Array, operandSize: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wide = operandSize !== 2;
  const word = (n: number): number => view.getUint16(n * (wide ? 4 : 2), true);
  const tags = word(2);
  let inUse = 0;
  for (let n = 0; n < 8; n++) if (((tags >> (2 * n)) & 3) !== 3) inUse |= 1 << n;
  unit.tags = inUse;
  unit.setStatusWord(word(1));
  unit.setControl(word(0));
  setField(unit, CPU_STATE.fip, wide ? view.getUint32(12, true) : word(3));
  setField(unit, CPU_STATE.fip + 4, 0);
  setField(unit, CPU_STATE.fop, wide ? view.getUint16(18, true) & 0x7ff : 0);
  setField(unit, CPU_STATE.fselectors, word(4) | word(6) << 16);
  setField(unit, CPU_STATE.fdp, wide ? view.getUint32(20, true) : word(5));
  setField(unit, CPU_STATE.fdp + 4, 0);
}

/** After FNSTENV: all exceptions masked. */
export function maskAll(unit: X87): void {
  unit.setControl(unit.control | 0x3f);
}

/** FNINIT. Register contents stay. */
export function initialize(unit: X87): void {
  unit.top = 0;
  unit.tags = 0;
  unit.status = 0;
  unit.setControl(0x37f);
  for (
    const offset of [
      CPU_STATE.fop,
      CPU_STATE.fselectors,
      CPU_STATE.fip,
      CPU_STATE.fip + 4,
      CPU_STATE.fdp,
      CPU_STATE.fdp + 4,
    ]
  ) {
    setField(unit, offset, 0);
  }
}

/** FNCLEX. */
export function clearExceptions(unit: X87): void {
  unit.status &= CONDITIONS;
}

/** The eight stack registers in order of the stack, 10 bytes each. */
export function stackImage(unit: X87): Uint8Array {
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(10 * i, unit.significand(i), true);
    view.setUint16(10 * i + 8, unit.signExponent(i), true);
  }
  return bytes;
}

/** Loads the stack registers, leaving the tags alone. `stride` is 10 (FRSTOR) or 16 (FXRSTOR). */
export function loadStack(unit: X87, bytes: Uint8Array, start: number, stride: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const tags = unit.tags;
  for (let i = 0; i < 8; i++) {
    const at = start + stride * i;
    unit.writeRaw(i, view.getBigUint64(at, true), view.getUint16(at + 8, true));
  }
  unit.tags = tags;
}
