// SPDX-License-Identifier: Apache-2.0
// SSE floating point: arithmetic, compares, conversions.
//
// Relaxed mode maps to WebAssembly's operations (round to nearest, exceptions masked, flags not tracked);
// NaN results go through the *_nan helpers. In exact mode (machine.md) every operation is a call to
// sse-exact.ts, which computes with integers and keeps MXCSR; in tracked mode the frequent ones are WebAssembly's
// with a check (sse-tracked.ts), and the others are calls.
// Source: AMD64 Architecture Programmer's Manual, volume 4; Intel SDM volume 1, section 4.8.3.5 (NaNs).

import { MODE_EXACT, MODE_RELAXED, MODE_TRACKED, STATUS_EXACT } from "../../../virt/frontend.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { FLOAT } from "../../../virt/ir/float.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { EXACT, exactFlags, exactInteger, exactVector } from "./sse-exact-call.ts";
import type { Lift, Lifter, LifterTable } from "./context.ts";
import {
  checkBelow,
  checkCompared,
  checkComparedPacked,
  checkNarrowed,
  checkNarrowedPacked,
  checkPacked,
  checkScalar,
  checkWidened,
} from "./sse-tracked.ts";
import { lanesOf, readBoth, readVector, writeVector } from "./vector.ts";

/** What differs between the four widths. */
export interface Format {
  readonly bytes: 4 | 8;
  readonly scalar: boolean;
  readonly extract: number;
  readonly replace: number;
  readonly load: number;
}
export const PS: Format = {
  bytes: 4,
  scalar: false,
  extract: Op.f32x4_extract_lane,
  replace: Op.f32x4_replace_lane,
  load: Op.loadf32,
};
export const PD: Format = {
  bytes: 8,
  scalar: false,
  extract: Op.f64x2_extract_lane,
  replace: Op.f64x2_replace_lane,
  load: Op.loadf64,
};
export const SS: Format = { ...PS, scalar: true };
export const SD: Format = { ...PD, scalar: true };

/** Scalar source operand 1 as f32 or f64. */
function readScalar(l: Lift, format: Format): Temp {
  if (!l.isMemory(1)) return l.b.extractLane(format.extract, readVector(l, 1), 0);
  l.address();
  return l.b.load(format.load, l.addr, l.disp);
}

function writeScalar(l: Lift, format: Format, value: Temp): void {
  writeVector(l, 0, l.b.replaceLane(format.replace, readVector(l, 0), 0, value));
}

/** Both operands of a scalar instruction: [target, source]. */
function readScalars(l: Lift, format: Format): [Temp, Temp] {
  const source = readScalar(l, format);
  return [l.b.extractLane(format.extract, readVector(l, 0), 0), source];
}

type ArithmeticNumber = typeof EXACT.add | typeof EXACT.sub | typeof EXACT.mul | typeof EXACT.div;
const ARITHMETIC_KINDS = {
  [EXACT.add]: FLOAT.add,
  [EXACT.sub]: FLOAT.sub,
  [EXACT.mul]: FLOAT.mul,
  [EXACT.div]: FLOAT.div,
};

/** ADD SUB MUL DIV. */
function arithmetic(format: Format, op: number, nan: number, exact: ArithmeticNumber): Lifter {
  const zeroRule = exact === EXACT.mul ? "product" : exact === EXACT.div ? "quotient" : "exact";
  const kind = ARITHMETIC_KINDS[exact];
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, exact);
    const [a, b] = format.scalar ? readScalars(l, format) : readBoth(l);
    let result = l.b.emit(op, a, b);
    if (l.mode === MODE_RELAXED) result = l.b.emit(nan, result, a, b);
    else if (format.scalar) checkScalar(l, format, result, [a, b], zeroRule, kind);
    else checkPacked(l, format, result, [a, b], zeroRule, kind);
    if (format.scalar) writeScalar(l, format, result);
    else writeVector(l, 0, result);
  };
}

/** MIN: target < source ? target : source; MAX with >. The source when unordered or both zero. */
function minMax(format: Format, compare: number, packed: number, select: number, exact: number): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, exact);
    const tracked = l.mode === MODE_TRACKED;
    if (!format.scalar) {
      const [a, b] = readBoth(l);
      if (tracked) checkComparedPacked(l, format, [a, b], FLOAT.compareOrdered);
      return writeVector(l, 0, l.b.emit(packed, b, a));
    }
    const [a, b] = readScalars(l, format);
    if (tracked) checkCompared(l, format, [a, b], FLOAT.compareOrdered);
    writeScalar(l, format, l.b.emit(select, a, b, l.b.emit(compare, a, b)));
  };
}

function squareRoot(format: Format, op: number, nan: number): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.sqrt);
    const source = format.scalar ? readScalar(l, format) : readVector(l, 1);
    let result = l.b.emit(op, source);
    if (l.mode === MODE_RELAXED) result = l.b.emit(nan, result, source);
    else if (format.scalar) checkScalar(l, format, result, [source], "exact", FLOAT.sqrt);
    else checkPacked(l, format, result, [source], "exact", FLOAT.sqrt);
    if (format.scalar) writeScalar(l, format, result);
    else writeVector(l, 0, result);
  };
}

// --- Compares ---

interface Compares {
  readonly eq: number;
  readonly ne: number;
  readonly lt: number;
  readonly le: number;
}
const COMPARES_32: Compares = { eq: Op.f32x4_eq, ne: Op.f32x4_ne, lt: Op.f32x4_lt, le: Op.f32x4_le };
const COMPARES_64: Compares = { eq: Op.f64x2_eq, ne: Op.f64x2_ne, lt: Op.f64x2_lt, le: Op.f64x2_le };

/** CMPPS and its kin: predicate 0..7 by the immediate. */
function compareMask(format: Format): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.compare);
    const { b } = l;
    const [x, y] = readBoth(l);
    if (l.mode === MODE_TRACKED) {
      const isOrdered = (l.insn.imm & 3) === 1 || (l.insn.imm & 3) === 2;
      const kind = isOrdered ? FLOAT.compareOrdered : FLOAT.compare;
      const scalars = (): Temp[] => [x, y].map((v) => b.extractLane(format.extract, v, 0));
      if (format.scalar) checkCompared(l, format, scalars(), kind);
      else checkComparedPacked(l, format, [x, y], kind);
    }
    const mask = predicate(l, format.bytes === 4 ? COMPARES_32 : COMPARES_64, l.insn.imm & 7, x, y);
    if (!format.scalar) return writeVector(l, 0, mask);
    const lanes = format.bytes === 4 ? lanesOf(4, [4, 1, 2, 3]) : lanesOf(8, [2, 1]);
    writeVector(l, 0, b.shuffle(x, mask, lanes));
  };
}

function predicate(l: Lift, ops: Compares, n: number, x: Temp, y: Temp): Temp {
  const { b } = l;
  const base = (): Temp => {
    switch (n & 3) {
      case 0:
        return b.emit(ops.eq, x, y);
      case 1:
        return b.emit(ops.lt, x, y);
      case 2:
        return b.emit(ops.le, x, y);
      default:
        return b.emit(Op.v128_or, b.emit(ops.ne, x, x), b.emit(ops.ne, y, y));
    }
  };
  return n < 4 ? base() : b.emit(Op.v128_not, base());
}

/** COMIS and UCOMIS: ZF PF CF are 111 unordered, 000 greater, 001 less, 100 equal. */
function compareFlags(format: Format, kind: "ordered" | "unordered"): Lifter {
  const [eq, ne, lt] = format.bytes === 4
    ? [Op.f32_eq, Op.f32_ne, Op.f32_lt]
    : [Op.f64_eq, Op.f64_ne, Op.f64_lt];
  return (l) => {
    if (l.mode === MODE_EXACT) return exactFlags(l, format, kind);
    const { b } = l;
    const [x, y] = readScalars(l, format);
    if (l.mode === MODE_TRACKED) {
      checkCompared(l, format, [x, y], kind === "ordered" ? FLOAT.compareOrdered : FLOAT.compare);
    }
    const unordered = b.emit(Op.i32_or, b.emit(ne, x, x), b.emit(ne, y, y));
    const carry = b.emit(Op.i32_or, b.emit(lt, x, y), unordered);
    const zero = b.emit(Op.i32_or, b.emit(eq, x, y), unordered);
    const flags = b.emit(Op.i32_or, carry, b.emit(Op.i32_shl, unordered, b.const32(2)));
    b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_or, flags, b.emit(Op.i32_shl, zero, b.const32(6))));
    b.noteFloatCompare(x, y);
  };
}

// --- Conversions ---

const TWO_31_F32 = 0x4f00_0000;
const TWO_63_F32 = 0x5f00_0000;
const TWO_31_F64 = 0x41e0_0000;
const TWO_63_F64 = 0x43e0_0000;

function limit(l: Lift, format: Format, bytes: number): Temp {
  const { b } = l;
  if (format.bytes === 4) {
    return b.emit(Op.f32_reinterpret_i32, b.const32(bytes === 8 ? TWO_63_F32 : TWO_31_F32));
  }
  return b.emit(Op.f64_reinterpret_i64, b.const64(0, bytes === 8 ? TWO_63_F64 : TWO_31_F64));
}

const TRUNCATE: Readonly<Record<string, number>> = {
  "4-4": Op.i32_trunc_sat_f32_s,
  "4-8": Op.i64_trunc_sat_f32_s,
  "8-4": Op.i32_trunc_sat_f64_s,
  "8-8": Op.i64_trunc_sat_f64_s,
};

/** CVT(T)SS2SI and CVT(T)SD2SI: what does not fit becomes the smallest integer. */
function toInteger(format: Format, rounding: "nearest" | "truncate"): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactInteger(l, format, rounding);
    const { b } = l;
    const size = l.size(0);
    let x = readScalar(l, format);
    const [nearest, lt] = format.bytes === 4 ? [Op.f32_nearest, Op.f32_lt] : [Op.f64_nearest, Op.f64_lt];
    if (l.mode === MODE_TRACKED) {
      const inside = b.emit(
        lt,
        b.emit(format.bytes === 4 ? Op.f32_abs : Op.f64_abs, x),
        limit(l, format, size),
      );
      b.trapIf(STATUS_EXACT, b.emit(Op.i32_eqz, inside));
    }
    if (rounding === "nearest") x = b.emit(nearest, x);
    const fits = b.emit(lt, x, limit(l, format, size));
    const result = b.emit(TRUNCATE[`${format.bytes}-${size}`]!, x);
    const indefinite = size === 8 ? b.const64(0, 0x8000_0000) : b.const32(0x8000_0000);
    l.write(0, l.select(size, fits, result, indefinite));
  };
}

function fromInteger(format: Format): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.fromInteger);
    const size = l.size(1);
    const value = l.read(1);
    let op: number;
    if (format.bytes === 4) op = size === 8 ? Op.f32_convert_i64_s : Op.f32_convert_i32_s;
    else op = size === 8 ? Op.f64_convert_i64_s : Op.f64_convert_i32_s;
    writeScalar(l, format, l.b.emit(op, value));
  };
}

/** CVTSS2SD and CVTSD2SS. */
function scalarToScalar(from: Format, to: Format, op: number): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, to, EXACT.convert);
    const source = readScalar(l, from);
    const result = l.b.emit(op, source);
    if (l.mode === MODE_TRACKED) {
      checkCompared(l, from, [source]);
      if (to.bytes === 4) checkNarrowed(l, result, source);
    }
    writeScalar(l, to, result);
  };
}

/** CVTDQ2PS, CVTDQ2PD, CVTPI2PD: nothing but the precision flag can be raised. */
function packedFromIntegers(to: Format, op: number): Lifter {
  return (l) => {
    if (isExact(l)) return exactVector(l, to, EXACT.fromIntegers);
    writeVector(l, 0, l.b.emit(op, readVector(l, 1)));
  };
}

/** CVTPS2PD. */
function widen(l: Lift): void {
  if (l.mode === MODE_EXACT) return exactVector(l, PD, EXACT.convert);
  const source = readVector(l, 1);
  if (l.mode === MODE_TRACKED) checkWidened(l, PS, source);
  writeVector(l, 0, l.b.emit(Op.f64x2_promote_low_f32x4, source));
}

/** CVTPD2PS. */
function narrow(l: Lift): void {
  if (l.mode === MODE_EXACT) return exactVector(l, PS, EXACT.convert);
  const source = readVector(l, 1);
  const result = l.b.emit(Op.f32x4_demote_f64x2_zero, source);
  if (l.mode === MODE_TRACKED) checkNarrowedPacked(l, PD, result, source);
  writeVector(l, 0, result);
}

/** Whether a conversion is left to the exact arithmetic: those of mmx registers are where modes are told apart. */
function isExact(l: Lift): boolean {
  return l.mode === MODE_EXACT || (l.mode === MODE_TRACKED && (l.isMmx(0) || l.isMmx(1)));
}

/** 2^31 in each lane. */
function packedLimit({ b }: Lift, { bytes }: Format): Temp {
  return bytes === 4
    ? b.const128(TWO_31_F32, TWO_31_F32, TWO_31_F32, TWO_31_F32)
    : b.const128(0, TWO_31_F64, 0, TWO_31_F64);
}

/** CVT(T)PS2DQ. */
function floatsToIntegers(l: Lift, source: Temp, rounding: "nearest" | "truncate"): Temp {
  const { b } = l;
  const x = rounding === "nearest" ? b.emit(Op.f32x4_nearest, source) : source;
  const bound = packedLimit(l, PS);
  const least = b.const128(0x8000_0000, 0x8000_0000, 0x8000_0000, 0x8000_0000);
  return b.emit(
    Op.v128_bitselect,
    b.emit(Op.i32x4_trunc_sat_f32x4_s, x),
    least,
    b.emit(Op.f32x4_lt, x, bound),
  );
}

/** CVT(T)PD2DQ: two integers, zeros above. */
function doublesToIntegers(l: Lift, source: Temp, rounding: "nearest" | "truncate"): Temp {
  const { b } = l;
  const x = rounding === "nearest" ? b.emit(Op.f64x2_nearest, source) : source;
  const fits = b.emit(Op.f64x2_lt, x, packedLimit(l, PD));
  const mask = b.shuffle(fits, fits, lanesOf(4, [0, 2, 0, 2]));
  const least = b.const128(0x8000_0000, 0x8000_0000, 0, 0);
  return b.emit(Op.v128_bitselect, b.emit(Op.i32x4_trunc_sat_f64x2_s_zero, x), least, mask);
}

function packedToIntegers(from: Format, rounding: "nearest" | "truncate"): Lifter {
  const convert = from.bytes === 4 ? floatsToIntegers : doublesToIntegers;
  return (l) => {
    if (isExact(l)) {
      return exactVector(l, from, rounding === "nearest" ? EXACT.toIntegers : EXACT.toIntegersTruncate);
    }
    const source = readVector(l, 1);
    if (l.mode === MODE_TRACKED) checkBelow(l, from, source, packedLimit(l, from));
    writeVector(l, 0, convert(l, source, rounding));
  };
}

/** CVTPI2PS: the low two floats from an mmx register. */
function pairToFloats(l: Lift): void {
  if (l.mode !== MODE_RELAXED) return exactVector(l, PS, EXACT.pairFromIntegers);
  const source = readVector(l, 1);
  const converted = l.b.emit(Op.f32x4_convert_i32x4_s, source);
  writeVector(l, 0, l.b.shuffle(converted, readVector(l, 0), lanesOf(8, [0, 3])));
}

// --- SSE3 ---

/** HADD* and HSUB*. */
function horizontal(format: Format, op: number, nan: number, exact: number): Lifter {
  const even = format.bytes === 4 ? lanesOf(4, [0, 2, 4, 6]) : lanesOf(8, [0, 2]);
  const odd = format.bytes === 4 ? lanesOf(4, [1, 3, 5, 7]) : lanesOf(8, [1, 3]);
  const kind = exact === EXACT.horizontalAdd ? FLOAT.add : FLOAT.sub;
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, exact);
    const { b } = l;
    const [x, y] = readBoth(l);
    const first = b.shuffle(x, y, even);
    const second = b.shuffle(x, y, odd);
    const result = b.emit(op, first, second);
    if (l.mode === MODE_RELAXED) return writeVector(l, 0, b.emit(nan, result, first, second));
    checkPacked(l, format, result, [first, second], "exact", kind);
    writeVector(l, 0, result);
  };
}

/** All ones in the lanes whose bit is set. */
function laneMask(l: Lift, { bytes }: Format, bits: number): Temp {
  const word = (n: number): number => (((bits >> (bytes === 4 ? n : n >> 1)) & 1) !== 0 ? -1 : 0);
  return l.b.const128(word(0), word(1), word(2), word(3));
}

/** DPPS and DPPD: products where the immediate has a high bit, added in pairs; the sum where it has a low one, and zeros. */
export function dotProduct(format: Format): Lifter {
  const isFloat = format.bytes === 4;
  const [mul, add, nan] = isFloat
    ? [Op.f32x4_mul, Op.f32x4_add, Op.f32x4_nan2]
    : [Op.f64x2_mul, Op.f64x2_add, Op.f64x2_nan2];
  const pairs = isFloat ? [[[0, 2, 0, 2], [1, 3, 1, 3]], [[0, 0, 0, 0], [1, 1, 1, 1]]] : [[[0, 0], [1, 1]]];
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.dotProduct);
    const { b } = l;
    const compute = (op: number, x: Temp, y: Temp): Temp => {
      const result = b.emit(op, x, y);
      if (l.mode === MODE_RELAXED) return b.emit(nan, result, x, y);
      if (op === mul) checkPacked(l, format, result, [x, y], "product", FLOAT.mul);
      else checkPacked(l, format, result, [x, y], "exact", FLOAT.add);
      return result;
    };
    const factors = laneMask(l, format, l.insn.imm >> 4);
    const [x, y] = readBoth(l);
    let sum = compute(mul, b.emit(Op.v128_and, x, factors), b.emit(Op.v128_and, y, factors));
    for (const [first, second] of pairs) {
      const pick = (lanes: readonly number[]): Temp => b.shuffle(sum, sum, lanesOf(format.bytes, lanes));
      sum = compute(add, pick(first!), pick(second!));
    }
    writeVector(l, 0, b.emit(Op.v128_and, sum, laneMask(l, format, l.insn.imm)));
  };
}

/** ADDSUB*: the even lanes subtracted, the odd ones added. */
function addSubtract(format: Format, add: number, sub: number, nan: number): Lifter {
  const lanes = format.bytes === 4 ? lanesOf(4, [0, 5, 2, 7]) : lanesOf(8, [0, 3]);
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.addSubtract);
    const { b } = l;
    const [x, y] = readBoth(l);
    const result = b.shuffle(b.emit(sub, x, y), b.emit(add, x, y), lanes);
    if (l.mode === MODE_RELAXED) return writeVector(l, 0, b.emit(nan, result, x, y));
    checkPacked(l, format, result, [x, y], "exact");
    writeVector(l, 0, result);
  };
}

function fourForms(
  name: string,
  ops: readonly [number, number, number, number],
  exact: ArithmeticNumber,
): LifterTable {
  const [ps, pd, ss, sd] = ops;
  return {
    [`${name}PS`]: arithmetic(PS, ps, Op.f32x4_nan2, exact),
    [`${name}PD`]: arithmetic(PD, pd, Op.f64x2_nan2, exact),
    [`${name}SS`]: arithmetic(SS, ss, Op.f32_nan2, exact),
    [`${name}SD`]: arithmetic(SD, sd, Op.f64_nan2, exact),
  };
}

export const SSE_FLOAT: LifterTable = {
  ...fourForms("ADD", [Op.f32x4_add, Op.f64x2_add, Op.f32_add, Op.f64_add], EXACT.add),
  ...fourForms("SUB", [Op.f32x4_sub, Op.f64x2_sub, Op.f32_sub, Op.f64_sub], EXACT.sub),
  ...fourForms("MUL", [Op.f32x4_mul, Op.f64x2_mul, Op.f32_mul, Op.f64_mul], EXACT.mul),
  ...fourForms("DIV", [Op.f32x4_div, Op.f64x2_div, Op.f32_div, Op.f64_div], EXACT.div),
  MINPS: minMax(PS, Op.f32_lt, Op.f32x4_pmin, Op.select_f32, EXACT.min),
  MINPD: minMax(PD, Op.f64_lt, Op.f64x2_pmin, Op.select_f64, EXACT.min),
  MINSS: minMax(SS, Op.f32_lt, Op.f32x4_pmin, Op.select_f32, EXACT.min),
  MINSD: minMax(SD, Op.f64_lt, Op.f64x2_pmin, Op.select_f64, EXACT.min),
  MAXPS: minMax(PS, Op.f32_gt, Op.f32x4_pmax, Op.select_f32, EXACT.max),
  MAXPD: minMax(PD, Op.f64_gt, Op.f64x2_pmax, Op.select_f64, EXACT.max),
  MAXSS: minMax(SS, Op.f32_gt, Op.f32x4_pmax, Op.select_f32, EXACT.max),
  MAXSD: minMax(SD, Op.f64_gt, Op.f64x2_pmax, Op.select_f64, EXACT.max),
  SQRTPS: squareRoot(PS, Op.f32x4_sqrt, Op.f32x4_nan1),
  SQRTPD: squareRoot(PD, Op.f64x2_sqrt, Op.f64x2_nan1),
  SQRTSS: squareRoot(SS, Op.f32_sqrt, Op.f32_nan1),
  SQRTSD: squareRoot(SD, Op.f64_sqrt, Op.f64_nan1),
  CMPPS: compareMask(PS),
  CMPPD: compareMask(PD),
  CMPSS: compareMask(SS),
  CMPSD: compareMask(SD),
  COMISS: compareFlags(SS, "ordered"),
  COMISD: compareFlags(SD, "ordered"),
  UCOMISS: compareFlags(SS, "unordered"),
  UCOMISD: compareFlags(SD, "unordered"),
  CVTSS2SI: toInteger(SS, "nearest"),
  CVTSD2SI: toInteger(SD, "nearest"),
  CVTTSS2SI: toInteger(SS, "truncate"),
  CVTTSD2SI: toInteger(SD, "truncate"),
  CVTSI2SS: fromInteger(SS),
  CVTSI2SD: fromInteger(SD),
  CVTSS2SD: scalarToScalar(SS, SD, Op.f64_promote_f32),
  CVTSD2SS: scalarToScalar(SD, SS, Op.f32_demote_f64),
  CVTPS2PD: widen,
  CVTPD2PS: narrow,
  CVTDQ2PS: packedFromIntegers(PS, Op.f32x4_convert_i32x4_s),
  CVTDQ2PD: packedFromIntegers(PD, Op.f64x2_convert_low_i32x4_s),
  CVTPI2PD: packedFromIntegers(PD, Op.f64x2_convert_low_i32x4_s),
  CVTPI2PS: pairToFloats,
  CVTPS2DQ: packedToIntegers(PS, "nearest"),
  CVTTPS2DQ: packedToIntegers(PS, "truncate"),
  CVTPD2DQ: packedToIntegers(PD, "nearest"),
  CVTTPD2DQ: packedToIntegers(PD, "truncate"),
  CVTPS2PI: packedToIntegers(PS, "nearest"),
  CVTTPS2PI: packedToIntegers(PS, "truncate"),
  CVTPD2PI: packedToIntegers(PD, "nearest"),
  CVTTPD2PI: packedToIntegers(PD, "truncate"),
  HADDPS: horizontal(PS, Op.f32x4_add, Op.f32x4_nan2, EXACT.horizontalAdd),
  HADDPD: horizontal(PD, Op.f64x2_add, Op.f64x2_nan2, EXACT.horizontalAdd),
  HSUBPS: horizontal(PS, Op.f32x4_sub, Op.f32x4_nan2, EXACT.horizontalSubtract),
  HSUBPD: horizontal(PD, Op.f64x2_sub, Op.f64x2_nan2, EXACT.horizontalSubtract),
  ADDSUBPS: addSubtract(PS, Op.f32x4_add, Op.f32x4_sub, Op.f32x4_nan2),
  ADDSUBPD: addSubtract(PD, Op.f64x2_add, Op.f64x2_sub, Op.f64x2_nan2),
};
