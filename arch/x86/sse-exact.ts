// SPDX-License-Identifier: Apache-2.0
// SSE floating point with everything MXCSR asks for: rounding mode, DAZ, FTZ, exception flags and unmasked
// exceptions. Runs for processes in exact mode only (machine.md, "Floating point").
//
// One ext function; the slots are described in lift/sse-exact-call.ts. All lanes are computed before anything
// is written; an unmasked exception sets the flags, leaves the registers and returns TRAP_FPU.
// Source: AMD64 Architecture Programmer's Manual, volume 1, section 4.9 (SIMD floating-point exceptions).

import { TRAP_FPU } from "../../include/linux/cpu.ts";
import { EXT_LEAVE, type GuestAccess, MODE_EXACT } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { MODE_IN_DOUBT } from "../../virt/runtime/status.ts";
import {
  add,
  BINARY32,
  BINARY64,
  compare,
  convert,
  div,
  EQUAL,
  FLAG_DENORMAL,
  FLAG_INVALID,
  FLAG_PRECISION,
  FLAG_ZERO_DIVIDE,
  type Float,
  type FloatContext,
  fromInteger,
  GREATER,
  LESS,
  makeZero,
  mul,
  newFloatContext,
  ROUND_ZERO,
  roundToIntegral,
  sqrt,
  sub,
  toInteger,
  UNORDERED,
  ZERO,
} from "./softfloat.ts";
import { floatingPointMode } from "./mxcsr.ts";
import { sseExactFast } from "./sse-exact-fast.ts";
import { EXACT } from "./sse-exact-operations.ts";
import { pack32, pack64, unpack32, unpack64 } from "./softfloat-pack.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const RESULT = SCRATCH;
const TARGET = SCRATCH + 16;
const SOURCE = SCRATCH + 32;
const MXCSR = CPU_BASE + CPU_STATE.mxcsr;
const BEFORE_ROUNDING = FLAG_INVALID | FLAG_DENORMAL | FLAG_ZERO_DIVIDE;

/** One call: the operands' lanes and the context. */
class Exact {
  readonly view: DataView;
  readonly context: FloatContext;
  readonly daz: boolean;
  readonly masks: number;
  readonly bytes: number;
  readonly scalar: boolean;
  readonly imm: number;
  /** Result bytes; begins as the target operand. */
  readonly result: DataView;
  /** FLAG_* of the steps that have ended. */
  raised = 0;

  constructor(memory: GuestAccess, word: number) {
    const mxcsr = memory.ram.u32[MXCSR >>> 2]!;
    this.view = memory.ram.view;
    this.bytes = (word >> 8) & 0xff;
    this.scalar = ((word >> 16) & 1) !== 0;
    this.imm = word >>> 24;
    this.masks = (mxcsr >> 7) & 0x3f;
    this.daz = (mxcsr & 0x40) !== 0;
    this.context = newFloatContext(this.bytes === 4 ? BINARY32 : BINARY64, "first");
    this.context.mode = (mxcsr >> 13) & 3;
    this.context.masks = this.masks;
    this.context.flushToZero = (mxcsr & 0x8000) !== 0;
    this.result = new DataView(memory.ram.u8.slice(TARGET, TARGET + 16).buffer);
  }

  get lanes(): number {
    return this.scalar ? 1 : 16 / this.bytes;
  }

  /** Ends a step of the instruction and keeps its flags; false when one of them is unmasked, which ends it all. */
  settle(): boolean {
    let { flags } = this.context;
    const unmasked = flags & ~this.masks;
    // An exception found before rounding keeps the operation from going on to round.
    if ((unmasked & BEFORE_ROUNDING) !== 0) flags &= BEFORE_ROUNDING;
    this.raised |= flags;
    this.context.flags = 0;
    return unmasked === 0;
  }

  lane(operand: number, i: number, bytes: number = this.bytes): Float {
    const at = operand + i * bytes;
    const value = bytes === 4
      ? unpack32(this.view.getUint32(at, true))
      : unpack64(this.view.getUint32(at, true), this.view.getUint32(at + 4, true));
    return this.daz && value.denormal ? makeZero(value.sign) : value;
  }

  /** An intermediate result as the operand of a further operation. */
  again(value: Float): Float {
    const packed = this.bytes === 4 ? unpack32(pack32(value)) : repack64(value);
    return this.daz && packed.denormal ? makeZero(packed.sign) : packed;
  }

  put(i: number, value: Float): void {
    if (this.bytes === 4) this.result.setUint32(i * 4, pack32(value), true);
    else this.result.setBigUint64(i * 8, pack64(value), true);
  }

  /** Copies a lane of an operand as it is. */
  copy(i: number, operand: number, value: Float): void {
    // With DAZ a denormal has become a zero; the bits of everything else are those of the operand.
    if (value.kind === ZERO) return this.put(i, value);
    for (let k = 0; k < this.bytes; k++) {
      this.result.setUint8(i * this.bytes + k, this.view.getUint8(operand + i * this.bytes + k));
    }
  }

  clear(): void {
    this.result.setBigUint64(0, 0n);
    this.result.setBigUint64(8, 0n);
  }
}

function repack64(value: Float): Float {
  const bits = pack64(value);
  return unpack64(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
}

type Binary = (a: Float, b: Float, context: FloatContext) => Float;

function lanewise(e: Exact, operation: Binary): void {
  for (let i = 0; i < e.lanes; i++) e.put(i, operation(e.lane(TARGET, i), e.lane(SOURCE, i), e.context));
}

/** The second operand when either is a NaN or both are zero. */
function minMax(e: Exact, wanted: number): void {
  for (let i = 0; i < e.lanes; i++) {
    const a = e.lane(TARGET, i);
    const b = e.lane(SOURCE, i);
    const order = compare(a, b, "signal", e.context);
    if (order === wanted) e.copy(i, TARGET, a);
    else e.copy(i, SOURCE, b);
  }
}

function comparePredicate(e: Exact): void {
  const predicate = e.imm & 7;
  const signals = (predicate & 3) === 1 || (predicate & 3) === 2;
  for (let i = 0; i < e.lanes; i++) {
    const order = compare(e.lane(TARGET, i), e.lane(SOURCE, i), signals ? "signal" : "pass", e.context);
    let holds: boolean;
    switch (predicate & 3) {
      case 0:
        holds = order === EQUAL;
        break;
      case 1:
        holds = order === LESS;
        break;
      case 2:
        holds = order === LESS || order === EQUAL;
        break;
      default:
        holds = order === UNORDERED;
    }
    const word = holds !== predicate >= 4 ? 0xffff_ffff : 0;
    for (let k = 0; k < e.bytes; k += 4) e.result.setUint32(i * e.bytes + k, word, true);
  }
}

function fromIntegers(e: Exact): void {
  for (let i = 0; i < e.lanes; i++) {
    e.put(i, fromInteger(BigInt(e.view.getInt32(SOURCE + 4 * i, true)), e.context));
  }
}

function toIntegers(e: Exact): void {
  const count = e.imm !== 0 ? e.imm : e.lanes;
  e.clear();
  for (let i = 0; i < count; i++) {
    const value = toInteger(e.lane(SOURCE, i), 32, e.context);
    e.result.setInt32(4 * i, value === undefined ? -0x8000_0000 : Number(value), true);
  }
}

function convertLanes(e: Exact): void {
  const from = 12 - e.bytes;
  const count = e.scalar ? 1 : 2;
  const values: Float[] = [];
  for (let i = 0; i < count; i++) values.push(convert(e.lane(SOURCE, i, from), e.context));
  if (!e.scalar) e.clear();
  values.forEach((value, i) => e.put(i, value));
}

function horizontal(e: Exact, operation: Binary): void {
  const half = e.lanes / 2;
  for (let i = 0; i < e.lanes; i++) {
    const operand = i < half ? TARGET : SOURCE;
    const from = 2 * (i % half);
    e.put(i, operation(e.lane(operand, from), e.lane(operand, from + 1), e.context));
  }
}

function addSubtract(e: Exact): void {
  for (let i = 0; i < e.lanes; i++) {
    const operation = (i & 1) === 0 ? sub : add;
    e.put(i, operation(e.lane(TARGET, i), e.lane(SOURCE, i), e.context));
  }
}

function flagsOf(e: Exact, quietNans: "signal" | "pass"): void {
  const order = compare(e.lane(TARGET, 0), e.lane(SOURCE, 0), quietNans, e.context);
  const flags = order === UNORDERED ? 0x45 : order === EQUAL ? 0x40 : order === LESS ? 0x01 : 0;
  e.result.setUint32(0, flags, true);
}

function toRegister(e: Exact): void {
  const value = toInteger(e.lane(SOURCE, 0), e.imm * 8, e.context);
  const bits = value ?? -(1n << BigInt(e.imm * 8 - 1));
  e.result.setBigInt64(0, bits, true);
}

/** ROUND*: the immediate holds its own rounding mode, and bit 3 silences the precision exception. */
function roundLanes(e: Exact): void {
  if ((e.imm & 4) === 0) e.context.mode = e.imm & 3;
  for (let i = 0; i < e.lanes; i++) e.put(i, roundToIntegral(e.lane(SOURCE, i), e.context));
  e.context.flags &= (e.imm & 8) !== 0 ? ~(FLAG_PRECISION | FLAG_DENORMAL) : ~FLAG_DENORMAL;
}

/**
 * DPPS and DPPD: products of the chosen lanes, summed pairwise, stored where the mask says. Each of the steps
 * raises its flags before the next one begins, so an unmasked denormal sum leaves the underflow of a product set.
 */
function dotProduct(e: Exact): void {
  const { context, imm } = e;
  const products = Array.from(
    { length: e.lanes },
    (_, i) =>
      ((imm >> (4 + i)) & 1) !== 0
        ? e.again(mul(e.lane(TARGET, i), e.lane(SOURCE, i), context))
        : makeZero(0),
  );
  if (!e.settle()) return;
  const low = add(products[0]!, products[1]!, context);
  let sum = low;
  if (e.lanes === 4) {
    const high = add(products[2]!, products[3]!, context);
    if (!e.settle()) return;
    sum = add(e.again(low), e.again(high), context);
  }
  for (let i = 0; i < e.lanes; i++) e.put(i, ((imm >> i) & 1) !== 0 ? sum : makeZero(0));
}

function perform(e: Exact, operation: number): void {
  switch (operation) {
    case EXACT.add:
      return lanewise(e, add);
    case EXACT.sub:
      return lanewise(e, sub);
    case EXACT.mul:
      return lanewise(e, mul);
    case EXACT.div:
      return lanewise(e, div);
    case EXACT.min:
      return minMax(e, LESS);
    case EXACT.max:
      return minMax(e, GREATER);
    case EXACT.sqrt:
      return lanewise(e, (_, b, context) => sqrt(b, context));
    case EXACT.compare:
      return comparePredicate(e);
    case EXACT.fromInteger:
      return e.put(0, fromInteger(e.view.getBigInt64(SOURCE, true), e.context));
    case EXACT.convert:
      return convertLanes(e);
    case EXACT.fromIntegers:
      return fromIntegers(e);
    case EXACT.toIntegersTruncate:
      e.context.mode = ROUND_ZERO;
      return toIntegers(e);
    case EXACT.toIntegers:
      return toIntegers(e);
    case EXACT.pairFromIntegers:
      for (let i = 0; i < 2; i++) {
        e.put(i, fromInteger(BigInt(e.view.getInt32(SOURCE + 4 * i, true)), e.context));
      }
      return;
    case EXACT.horizontalAdd:
      return horizontal(e, add);
    case EXACT.horizontalSubtract:
      return horizontal(e, sub);
    case EXACT.addSubtract:
      return addSubtract(e);
    case EXACT.compareOrdered:
      return flagsOf(e, "signal");
    case EXACT.compareUnordered:
      return flagsOf(e, "pass");
    case EXACT.toRegisterTruncate:
      e.context.mode = ROUND_ZERO;
      return toRegister(e);
    case EXACT.toRegister:
      return toRegister(e);
    case EXACT.round:
      return roundLanes(e);
    default:
      return dotProduct(e);
  }
}

export function sseExact(memory: GuestAccess): number {
  const { u32 } = memory.ram;
  if (u32[MODE_IN_DOUBT >>> 2] !== 0) {
    u32[MODE_IN_DOUBT >>> 2] = 0;
    return floatingPointMode(memory.ram) === MODE_EXACT ? 0 : EXT_LEAVE;
  }
  const word = memory.ram.u32[SCRATCH >>> 2]!;
  if (sseExactFast(memory, word)) return 0;
  const before = floatingPointMode(memory.ram);
  const e = new Exact(memory, word);
  perform(e, word & 0xff);
  e.settle();
  memory.ram.u32[MXCSR >>> 2] = memory.ram.u32[MXCSR >>> 2]! | e.raised;
  if ((e.raised & ~e.masks) !== 0) return TRAP_FPU;
  memory.ram.u8.set(new Uint8Array(e.result.buffer), RESULT);
  // The precision flag may have been the last thing that tracked mode waited for.
  return floatingPointMode(memory.ram) === before ? 0 : EXT_LEAVE;
}
