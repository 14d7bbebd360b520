// SPDX-License-Identifier: Apache-2.0
// The large and rare instructions of SSE4 (and the approximations of SSE) as ext functions.
// Operands and results: CPU_STATE.scratch, slots of 16 bytes (lift/sse4.ts).
// Source: AMD64 Architecture Programmer's Manual, volume 4; Intel SDM volume 2, section 4.1 (string compares).

import type { GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { reciprocal, reciprocalRoot, tablesInShort } from "./sse-approximate.ts";
import { TABLES } from "./sse-approximate-layout.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
/** The slots, as words of 32 bits. */
const RESULT = SCRATCH >>> 2;
const [TARGET, SOURCE] = [RESULT + 4, RESULT + 8];

/** Slot 0: 0 reciprocal, 1 of the root | lanes << 8; slot 1 target, slot 2 source. Result in slot 0. */
export function approximateExt(memory: GuestAccess): number {
  const { u16, u32 } = memory.ram;
  if (u16[TABLES >>> 1] === 0) u16.set(tablesInShort(), TABLES >>> 1); // for sse-approximate-quick.ts
  const word = u32[RESULT]!;
  const lanes = word >> 8;
  const approximate = (word & 1) === 0 ? reciprocal : reciprocalRoot;
  // No arrays: this runs in loops.
  for (let i = 0; i < 4; i++) u32[RESULT + i] = i < lanes ? approximate(u32[SOURCE + i]!) : u32[TARGET + i]!;
  return 0;
}

// --- PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM ---

const FORMAT_WORDS = 1;
const FORMAT_SIGNED = 2;
/** Bits of the control word above the immediate. */
export const COMPARE_EXPLICIT = 0x100;
export const COMPARE_WIDE = 0x200;

/** Where an operand lies, how its elements are read, and how many count. No arrays: this runs in string loops. */
class Text {
  readonly view: DataView;
  readonly at: number;
  readonly isWords: boolean;
  readonly isSigned: boolean;
  /** Elements that fit. */
  readonly count: number;
  /** Elements before the end. */
  readonly length: number;

  constructor(view: DataView, at: number, imm: number, explicitLength: number) {
    this.view = view;
    this.at = at;
    this.isWords = (imm & FORMAT_WORDS) !== 0;
    this.isSigned = (imm & FORMAT_SIGNED) !== 0;
    this.count = this.isWords ? 8 : 16;
    this.length = explicitLength < 0 ? this.#implicitLength() : Math.min(explicitLength, this.count);
  }

  value(i: number): number {
    const { view, at } = this;
    if (this.isWords) {
      return this.isSigned
        ? view.getInt16(at + 2 * i, true)
        : view.getUint16(at + 2 * i, true);
    }
    return this.isSigned ? view.getInt8(at + i) : view.getUint8(at + i);
  }

  includes(value: number): boolean {
    for (let i = 0; i < this.length; i++) {
      if (this.value(i) === value) return true;
    }
    return false;
  }

  #implicitLength(): number {
    for (let i = 0; i < this.count; i++) {
      if (this.value(i) === 0) return i;
    }
    return this.count;
  }
}

/** The magnitude of a length register, at most 16. */
function lengthOf(view: DataView, at: number, control: number): number {
  const value = (control & COMPARE_WIDE) !== 0 ? view.getBigInt64(at, true) : BigInt(view.getInt32(at, true));
  const magnitude = value < 0n ? -value : value;
  return magnitude > 16n ? 16 : Number(magnitude);
}

function inRanges(a: Text, value: number): boolean {
  for (let i = 0; i + 1 < a.length; i += 2) {
    if (a.value(i) <= value && value <= a.value(i + 1)) return true;
  }
  return false;
}

/** a, as far as it reaches, stands in b from element j on. */
function standsAt(a: Text, b: Text, j: number): boolean {
  for (let i = 0; i + j < a.count && i < a.length; i++) {
    if (i + j >= b.length || a.value(i) !== b.value(i + j)) return false;
  }
  return true;
}

/** Whether element j of b matches, by the aggregation of the immediate. */
function matches(imm: number, a: Text, b: Text, j: number): boolean {
  switch ((imm >> 2) & 3) {
    case 0:
      return j < b.length && a.includes(b.value(j));
    case 1:
      return j < b.length && inRanges(a, b.value(j));
    case 2:
      if (j < a.length && j < b.length) return a.value(j) === b.value(j);
      return j >= a.length && j >= b.length;
    default:
      return standsAt(a, b, j);
  }
}

function result2(imm: number, a: Text, b: Text): number {
  let bits = 0;
  for (let j = 0; j < a.count; j++) {
    let bit = matches(imm, a, b, j);
    if ((imm & 0x10) !== 0 && ((imm & 0x20) === 0 || j < b.length)) bit = !bit;
    if (bit) bits |= 1 << j;
  }
  return bits;
}

/** Slot 0 immediate and COMPARE_*, 1 first, 2 second operand, 3 rAX, 4 rDX. Results: 0 index, 1 mask, 2 flags. */
export function packedCompareStringExt(memory: GuestAccess): number {
  const { view } = memory.ram;
  const imm = view.getUint32(SCRATCH, true);
  const explicit = (imm & COMPARE_EXPLICIT) !== 0;
  const a = new Text(view, SCRATCH + 16, imm, explicit ? lengthOf(view, SCRATCH + 48, imm) : -1);
  const b = new Text(view, SCRATCH + 32, imm, explicit ? lengthOf(view, SCRATCH + 64, imm) : -1);
  const { count } = a;
  const bits = result2(imm, a, b);
  const isHigh = (imm & 0x40) !== 0;
  const index = bits === 0 ? count : isHigh ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
  const flags = (bits !== 0 ? 0x001 : 0) | (b.length < count ? 0x040 : 0) | (a.length < count ? 0x080 : 0)
    | ((bits & 1) << 11);
  writeMask(view, bits, isHigh, count);
  view.setUint32(SCRATCH, index, true);
  view.setUint32(SCRATCH + 32, flags, true);
  return 0;
}

function writeMask(view: DataView, bits: number, expanded: boolean, count: number): void {
  view.setBigUint64(SCRATCH + 16, 0n);
  view.setBigUint64(SCRATCH + 24, 0n);
  if (!expanded) return view.setUint16(SCRATCH + 16, bits, true);
  const bytes = 16 / count;
  for (let i = 0; i < 16; i++) {
    if (((bits >> Math.floor(i / bytes)) & 1) !== 0) view.setUint8(SCRATCH + 16 + i, 0xff);
  }
}
