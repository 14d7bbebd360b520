// SPDX-License-Identifier: Apache-2.0
// Packed integer arithmetic, compares, shifts, shuffles and packs of MMX, SSE2, SSSE3 and SSE4.
// Most are one WebAssembly operation; on mmx operands only the low half of the result counts.
// Source: AMD64 Architecture Programmer's Manual, volumes 4 and 5.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { KIND_IMM } from "../tables/forms.ts";
import type { Lift, Lifter, LifterTable } from "./context.ts";
import { joinHalves, lanesOf, readBoth, readVector, writeVector, zero128 } from "./vector.ts";

/** target = op(target, source). */
const SIMPLE: Readonly<Record<string, number>> = {
  PADDB: Op.i8x16_add,
  PADDW: Op.i16x8_add,
  PADDD: Op.i32x4_add,
  PADDQ: Op.i64x2_add,
  PSUBB: Op.i8x16_sub,
  PSUBW: Op.i16x8_sub,
  PSUBD: Op.i32x4_sub,
  PSUBQ: Op.i64x2_sub,
  PADDSB: Op.i8x16_add_sat_s,
  PADDSW: Op.i16x8_add_sat_s,
  PADDUSB: Op.i8x16_add_sat_u,
  PADDUSW: Op.i16x8_add_sat_u,
  PSUBSB: Op.i8x16_sub_sat_s,
  PSUBSW: Op.i16x8_sub_sat_s,
  PSUBUSB: Op.i8x16_sub_sat_u,
  PSUBUSW: Op.i16x8_sub_sat_u,
  PCMPEQB: Op.i8x16_eq,
  PCMPEQW: Op.i16x8_eq,
  PCMPEQD: Op.i32x4_eq,
  PCMPEQQ: Op.i64x2_eq,
  PCMPGTB: Op.i8x16_gt_s,
  PCMPGTW: Op.i16x8_gt_s,
  PCMPGTD: Op.i32x4_gt_s,
  PCMPGTQ: Op.i64x2_gt_s,
  PMINUB: Op.i8x16_min_u,
  PMINUW: Op.i16x8_min_u,
  PMINUD: Op.i32x4_min_u,
  PMINSB: Op.i8x16_min_s,
  PMINSW: Op.i16x8_min_s,
  PMINSD: Op.i32x4_min_s,
  PMAXUB: Op.i8x16_max_u,
  PMAXUW: Op.i16x8_max_u,
  PMAXUD: Op.i32x4_max_u,
  PMAXSB: Op.i8x16_max_s,
  PMAXSW: Op.i16x8_max_s,
  PMAXSD: Op.i32x4_max_s,
  PAND: Op.v128_and,
  POR: Op.v128_or,
  PAVGB: Op.i8x16_avgr_u,
  PAVGW: Op.i16x8_avgr_u,
  PMULLW: Op.i16x8_mul,
  PMULLD: Op.i32x4_mul,
  PMADDWD: Op.i32x4_dot_i16x8_s,
};

function simple(op: number): Lifter {
  return (l) => {
    const [a, b] = readBoth(l);
    writeVector(l, 0, l.b.emit(op, a, b));
  };
}

function xor(l: Lift): void {
  if (!l.isMmx(0) && !l.isMemory(1) && l.vectorOf(0) === l.vectorOf(1)) return writeVector(l, 0, zero128(l));
  const [a, b] = readBoth(l);
  writeVector(l, 0, l.b.emit(Op.v128_xor, a, b));
}

/** PANDN: source & ~target. */
function andNot(l: Lift): void {
  const [a, b] = readBoth(l);
  writeVector(l, 0, l.b.emit(Op.v128_andnot, b, a));
}

/** PMULHW and PMULHUW: the high halves of the products. */
function multiplyHigh(low: number, high: number): Lifter {
  return (l) => {
    const [a, b] = readBoth(l);
    const even = l.b.emit(low, a, b);
    const odd = l.b.emit(high, a, b);
    writeVector(l, 0, l.b.shuffle(even, odd, lanesOf(2, [1, 3, 5, 7, 9, 11, 13, 15])));
  };
}

/** PMULUDQ and PMULDQ: products of the even 32-bit lanes. */
function multiplyEven(op: number): Lifter {
  return (l) => {
    const [a, b] = readBoth(l);
    const lanes = lanesOf(4, [0, 2, 0, 2]);
    writeVector(l, 0, l.b.emit(op, l.b.shuffle(a, a, lanes), l.b.shuffle(b, b, lanes)));
  };
}

function sumOfDifferences(l: Lift): void {
  const { b } = l;
  const [x, y] = readBoth(l);
  const difference = b.emit(Op.i8x16_sub, b.emit(Op.i8x16_max_u, x, y), b.emit(Op.i8x16_min_u, x, y));
  const pairs = b.emit(Op.i16x8_extadd_pairwise_i8x16_u, difference);
  const quads = b.emit(Op.i32x4_extadd_pairwise_i16x8_u, pairs);
  const high = b.emit(Op.i64x2_shr_u, quads, b.const32(32));
  const low = b.emit(Op.v128_and, quads, b.const128(-1, 0, -1, 0));
  writeVector(l, 0, b.emit(Op.i64x2_add, low, high));
}

/** PACK*: the lanes of target and source narrowed with saturation. */
function pack(op: number): Lifter {
  return (l) => {
    const [a, b] = readBoth(l);
    if (!l.isMmx(0)) return writeVector(l, 0, l.b.emit(op, a, b));
    const both = joinHalves(l, a, b);
    writeVector(l, 0, l.b.emit(op, both, both));
  };
}

/** PUNPCKL* and PUNPCKH* for lanes of `bytes`. */
function unpack(bytes: number, half: "low" | "high"): Lifter {
  const count = 16 / bytes;
  const interleave = (first: number): number[] =>
    lanesOf(bytes, Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1) * count));
  const wide = interleave(half === "low" ? 0 : count / 2);
  // For mmx the high half begins at the fourth byte, and there are half as many lanes.
  const narrow = interleave(half === "low" ? 0 : count / 4);
  return (l) => {
    const [a, b] = readBoth(l);
    writeVector(l, 0, l.b.shuffle(a, b, l.isMmx(0) ? narrow : wide));
  };
}

/** Shifts by an immediate or by the low 64 bits of the source; too large a count clears or fills the lanes. */
function shift(op: number, bits: number, kind: "logical" | "arithmetic"): Lifter {
  return (l) => {
    const { b } = l;
    if (l.operand(1).kind === KIND_IMM) {
      const value = readVector(l, 0);
      const count = l.insn.imm;
      if (count >= bits && kind === "logical") return writeVector(l, 0, zero128(l));
      return writeVector(l, 0, b.emit(op, value, b.const32(Math.min(count, bits - 1))));
    }
    const [value, source] = readBoth(l);
    const count = b.extractLane(Op.i64x2_extract_lane, source, 0);
    const excess = b.emit(Op.i64_gt_u, count, b.const64(bits - 1, 0));
    if (kind === "logical") {
      const shifted = b.emit(op, value, l.narrow(count));
      writeVector(l, 0, b.emit(Op.select_v128, zero128(l), shifted, excess));
    } else {
      const clamped = b.emit(Op.select_i32, b.const32(bits - 1), l.narrow(count), excess);
      writeVector(l, 0, b.emit(op, value, clamped));
    }
  };
}

/** PSLLDQ and PSRLDQ. */
function shiftBytes(direction: "left" | "right"): Lifter {
  return (l) => {
    const count = Math.min(l.insn.imm, 16);
    const lanes = Array.from({ length: 16 }, (_, i) => {
      const from = direction === "left" ? i - count : i + count;
      return from >= 0 && from < 16 ? from : 16;
    });
    writeVector(l, 0, l.b.shuffle(readVector(l, 0), zero128(l), lanes));
  };
}

/** PSHUFD, PSHUFLW, PSHUFHW, PSHUFW: the source permuted by the immediate. */
function permute(bytes: number, first: number): Lifter {
  return (l) => {
    const source = readVector(l, 1);
    const indexes = Array.from({ length: 16 / bytes }, (_, i) => i);
    for (let i = 0; i < 4; i++) indexes[first + i] = first + ((l.insn.imm >> (2 * i)) & 3);
    writeVector(l, 0, l.b.shuffle(source, source, lanesOf(bytes, indexes)));
  };
}

function shuffleFloats(l: Lift): void {
  const { imm } = l.insn;
  const [a, b] = readBoth(l);
  const lanes = [imm & 3, (imm >> 2) & 3, 4 + ((imm >> 4) & 3), 4 + ((imm >> 6) & 3)];
  writeVector(l, 0, l.b.shuffle(a, b, lanesOf(4, lanes)));
}

function shuffleDoubles(l: Lift): void {
  const { imm } = l.insn;
  const [a, b] = readBoth(l);
  writeVector(l, 0, l.b.shuffle(a, b, lanesOf(8, [imm & 1, 2 + ((imm >> 1) & 1)])));
}

function insertWord(l: Lift): void {
  const value = l.read(1, l.isMemory(1) ? 2 : 4);
  const lane = l.insn.imm & (l.isMmx(0) ? 3 : 7);
  writeVector(l, 0, l.b.replaceLane(Op.i16x8_replace_lane, readVector(l, 0), lane, value));
}

function extractWord(l: Lift): void {
  const lane = l.insn.imm & (l.isMmx(1) ? 3 : 7);
  l.write(0, l.b.extractLane(Op.i16x8_extract_lane_u, readVector(l, 1), lane));
}

// --- SSSE3 ---

function shuffleBytes(l: Lift): void {
  const { b } = l;
  const [a, control] = readBoth(l);
  const keep = l.isMmx(0) ? 0x8787_8787 : 0x8f8f_8f8f;
  const index = b.emit(Op.v128_and, control, b.const128(keep, keep, keep, keep));
  writeVector(l, 0, b.emit(Op.i8x16_swizzle, a, index));
}

/** PHADD* and PHSUB*: op on the even and the odd lanes of target and source. */
function horizontal(op: number, bytes: number): Lifter {
  const count = 16 / bytes;
  const pick = (odd: number): number[] =>
    lanesOf(bytes, Array.from({ length: count }, (_, i) => 2 * i + odd));
  const even = pick(0);
  const odd = pick(1);
  return (l) => {
    const { b } = l;
    let [x, y] = readBoth(l);
    if (l.isMmx(0)) x = y = joinHalves(l, x, y);
    writeVector(l, 0, b.emit(op, b.shuffle(x, y, even), b.shuffle(x, y, odd)));
  };
}

/** PMADDUBSW: unsigned bytes of the target times signed ones of the source, pairs added with saturation. */
function multiplyAddBytes(l: Lift): void {
  const { b } = l;
  const [x, y] = readBoth(l);
  const low = b.emit(
    Op.i16x8_mul,
    b.emit(Op.i16x8_extend_low_i8x16_u, x),
    b.emit(Op.i16x8_extend_low_i8x16_s, y),
  );
  const high = b.emit(
    Op.i16x8_mul,
    b.emit(Op.i16x8_extend_high_i8x16_u, x),
    b.emit(Op.i16x8_extend_high_i8x16_s, y),
  );
  const even = b.shuffle(low, high, lanesOf(2, [0, 2, 4, 6, 8, 10, 12, 14]));
  const odd = b.shuffle(low, high, lanesOf(2, [1, 3, 5, 7, 9, 11, 13, 15]));
  writeVector(l, 0, b.emit(Op.i16x8_add_sat_s, even, odd));
}

/** PSIGN*: the target negated, cleared or kept by the sign of the source. */
function sign(eq: number, lt: number, sub: number): Lifter {
  return (l) => {
    const { b } = l;
    const [x, y] = readBoth(l);
    const zero = zero128(l);
    const negative = b.emit(lt, y, zero);
    const flipped = b.emit(sub, b.emit(Op.v128_xor, x, negative), negative);
    writeVector(l, 0, b.emit(Op.v128_andnot, flipped, b.emit(eq, y, zero)));
  };
}

function multiplyRound(l: Lift): void {
  const { b } = l;
  const [x, y] = readBoth(l);
  const least = b.const128(0x8000_8000, 0x8000_8000, 0x8000_8000, 0x8000_8000);
  const both = b.emit(Op.v128_and, b.emit(Op.i16x8_eq, x, least), b.emit(Op.i16x8_eq, y, least));
  // -1 times -1 wraps to -1 here and saturates in WebAssembly.
  writeVector(l, 0, b.emit(Op.v128_xor, b.emit(Op.i16x8_q15mulr_sat_s, x, y), both));
}

function unary(op: number): Lifter {
  return (l) => writeVector(l, 0, l.b.emit(op, readVector(l, 1)));
}

/** PALIGNR: target above source, shifted right by whole bytes. */
function align(l: Lift): void {
  const { b } = l;
  const { imm } = l.insn;
  const [x, y] = readBoth(l);
  const zero = zero128(l);
  const bytes = Array.from({ length: 16 }, (_, i) => i + imm);
  if (l.isMmx(0)) {
    const both = joinHalves(l, y, x);
    return writeVector(l, 0, b.shuffle(both, zero, bytes.map((from) => Math.min(from, 16))));
  }
  if (imm <= 16) return writeVector(l, 0, b.shuffle(y, x, bytes));
  writeVector(l, 0, b.shuffle(x, zero, bytes.map((from) => Math.min(from - 16, 16))));
}

// --- SSE4.1 ---

function packTest(l: Lift): void {
  const { b } = l;
  const [x, y] = readBoth(l);
  const zf = b.emit(Op.i32_eqz, b.emit(Op.v128_any_true, b.emit(Op.v128_and, x, y)));
  const cf = b.emit(Op.i32_eqz, b.emit(Op.v128_any_true, b.emit(Op.v128_andnot, y, x)));
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_or, cf, b.emit(Op.i32_shl, zf, b.const32(6))));
}

/** PMOVSX* and PMOVZX*: a chain of widenings of the low lanes. */
function widen(...ops: readonly number[]): Lifter {
  return (l) => {
    let value = widenSource(l);
    for (const op of ops) value = l.b.emit(op, value);
    writeVector(l, 0, value);
  };
}

function widenSource(l: Lift): Temp {
  if (!l.isMemory(1) || l.size(1) !== 2) return readVector(l, 1);
  return l.b.replaceLane(Op.i16x8_replace_lane, zero128(l), 0, l.load(2));
}

export const SSE_INTEGER: LifterTable = {
  ...Object.fromEntries(Object.entries(SIMPLE).map(([name, op]) => [name, simple(op)])),
  PXOR: xor,
  PANDN: andNot,
  PMULHW: multiplyHigh(Op.i32x4_extmul_low_i16x8_s, Op.i32x4_extmul_high_i16x8_s),
  PMULHUW: multiplyHigh(Op.i32x4_extmul_low_i16x8_u, Op.i32x4_extmul_high_i16x8_u),
  PMULUDQ: multiplyEven(Op.i64x2_extmul_low_i32x4_u),
  PMULDQ: multiplyEven(Op.i64x2_extmul_low_i32x4_s),
  PSADBW: sumOfDifferences,
  PACKSSWB: pack(Op.i8x16_narrow_i16x8_s),
  PACKUSWB: pack(Op.i8x16_narrow_i16x8_u),
  PACKSSDW: pack(Op.i16x8_narrow_i32x4_s),
  PACKUSDW: pack(Op.i16x8_narrow_i32x4_u),
  PUNPCKLBW: unpack(1, "low"),
  PUNPCKLWD: unpack(2, "low"),
  PUNPCKLDQ: unpack(4, "low"),
  PUNPCKLQDQ: unpack(8, "low"),
  PUNPCKHBW: unpack(1, "high"),
  PUNPCKHWD: unpack(2, "high"),
  PUNPCKHDQ: unpack(4, "high"),
  PUNPCKHQDQ: unpack(8, "high"),
  UNPCKLPS: unpack(4, "low"),
  UNPCKHPS: unpack(4, "high"),
  PSLLW: shift(Op.i16x8_shl, 16, "logical"),
  PSLLD: shift(Op.i32x4_shl, 32, "logical"),
  PSLLQ: shift(Op.i64x2_shl, 64, "logical"),
  PSRLW: shift(Op.i16x8_shr_u, 16, "logical"),
  PSRLD: shift(Op.i32x4_shr_u, 32, "logical"),
  PSRLQ: shift(Op.i64x2_shr_u, 64, "logical"),
  PSRAW: shift(Op.i16x8_shr_s, 16, "arithmetic"),
  PSRAD: shift(Op.i32x4_shr_s, 32, "arithmetic"),
  PSLLDQ: shiftBytes("left"),
  PSRLDQ: shiftBytes("right"),
  PSHUFD: permute(4, 0),
  PSHUFW: permute(2, 0),
  PSHUFLW: permute(2, 0),
  PSHUFHW: permute(2, 4),
  SHUFPS: shuffleFloats,
  SHUFPD: shuffleDoubles,
  PINSRW: insertWord,
  PEXTRW: extractWord,
  PSHUFB: shuffleBytes,
  PHADDW: horizontal(Op.i16x8_add, 2),
  PHADDD: horizontal(Op.i32x4_add, 4),
  PHADDSW: horizontal(Op.i16x8_add_sat_s, 2),
  PHSUBW: horizontal(Op.i16x8_sub, 2),
  PHSUBD: horizontal(Op.i32x4_sub, 4),
  PHSUBSW: horizontal(Op.i16x8_sub_sat_s, 2),
  PMADDUBSW: multiplyAddBytes,
  PSIGNB: sign(Op.i8x16_eq, Op.i8x16_lt_s, Op.i8x16_sub),
  PSIGNW: sign(Op.i16x8_eq, Op.i16x8_lt_s, Op.i16x8_sub),
  PSIGND: sign(Op.i32x4_eq, Op.i32x4_lt_s, Op.i32x4_sub),
  PMULHRSW: multiplyRound,
  PABSB: unary(Op.i8x16_abs),
  PABSW: unary(Op.i16x8_abs),
  PABSD: unary(Op.i32x4_abs),
  PALIGNR: align,
  PTEST: packTest,
  PMOVSXBW: widen(Op.i16x8_extend_low_i8x16_s),
  PMOVSXBD: widen(Op.i16x8_extend_low_i8x16_s, Op.i32x4_extend_low_i16x8_s),
  PMOVSXBQ: widen(Op.i16x8_extend_low_i8x16_s, Op.i32x4_extend_low_i16x8_s, Op.i64x2_extend_low_i32x4_s),
  PMOVSXWD: widen(Op.i32x4_extend_low_i16x8_s),
  PMOVSXWQ: widen(Op.i32x4_extend_low_i16x8_s, Op.i64x2_extend_low_i32x4_s),
  PMOVSXDQ: widen(Op.i64x2_extend_low_i32x4_s),
  PMOVZXBW: widen(Op.i16x8_extend_low_i8x16_u),
  PMOVZXBD: widen(Op.i16x8_extend_low_i8x16_u, Op.i32x4_extend_low_i16x8_u),
  PMOVZXBQ: widen(Op.i16x8_extend_low_i8x16_u, Op.i32x4_extend_low_i16x8_u, Op.i64x2_extend_low_i32x4_u),
  PMOVZXWD: widen(Op.i32x4_extend_low_i16x8_u),
  PMOVZXWQ: widen(Op.i32x4_extend_low_i16x8_u, Op.i64x2_extend_low_i32x4_u),
  PMOVZXDQ: widen(Op.i64x2_extend_low_i32x4_u),
};
