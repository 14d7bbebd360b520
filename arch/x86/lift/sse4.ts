// SPDX-License-Identifier: Apache-2.0
// SSE4.1 blends, inserts, extracts and rounding; CRC32 of SSE4.2, whose string compares are in sse-text.ts; the SSE approximations.
// Source: AMD64 Architecture Programmer's Manual, volume 4.

import { MODE_EXACT, MODE_TRACKED } from "../../../virt/frontend.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { EXT } from "../ext.ts";
import type { Lift, Lifter, LifterTable } from "./context.ts";
import { EXACT, exactVector } from "./sse-exact-call.ts";
import { dotProduct, type Format, PD, PS, SD, SS } from "./sse-fp.ts";
import { compareStrings } from "./sse-text.ts";
import { checkCompared, checkComparedPacked } from "./sse-tracked.ts";
import { lanesOf, readBoth, readVector, writeVector } from "./vector.ts";

/** Lanes of the source where the immediate has a bit. */
function blend(bytes: number): Lifter {
  return (l) => {
    const [a, b] = readBoth(l);
    const count = 16 / bytes;
    const lanes = Array.from({ length: count }, (_, i) => (((l.insn.imm >> i) & 1) !== 0 ? count + i : i));
    writeVector(l, 0, l.b.shuffle(a, b, lanesOf(bytes, lanes)));
  };
}

/** Lanes of the source where xmm0 has its sign bit set. */
function blendVariable(shift: number, bits: number): Lifter {
  return (l) => {
    const { b } = l;
    const [x, y] = readBoth(l);
    const mask = b.emit(shift, b.getXmm(0), b.const32(bits - 1));
    writeVector(l, 0, b.emit(Op.v128_bitselect, y, x, mask));
  };
}

function extract(op: number, mask: number): Lifter {
  return (l) => l.write(0, l.b.extractLane(op, readVector(l, 1), l.insn.imm & mask));
}

/** PEXTRD, and PEXTRQ with REX.W. */
function extractDouble(l: Lift): void {
  if (l.insn.rexW) extract(Op.i64x2_extract_lane, 1)(l);
  else extract(Op.i32x4_extract_lane, 3)(l);
}

function insertByte(l: Lift): void {
  const value = l.read(1, l.isMemory(1) ? 1 : 4);
  writeVector(l, 0, l.b.replaceLane(Op.i8x16_replace_lane, readVector(l, 0), l.insn.imm & 15, value));
}

function insertDouble(l: Lift): void {
  const [op, mask] = l.insn.rexW ? [Op.i64x2_replace_lane, 1] : [Op.i32x4_replace_lane, 3];
  const value = l.read(1);
  writeVector(l, 0, l.b.replaceLane(op, readVector(l, 0), l.insn.imm & mask, value));
}

/** INSERTPS: one float of the source into one place, then zeros where the low bits say. */
function insertFloat(l: Lift): void {
  const { b } = l;
  const { imm } = l.insn;
  const source = readVector(l, 1);
  const from = l.isMemory(1) ? 0 : (imm >> 6) & 3;
  const value = b.extractLane(Op.i32x4_extract_lane, source, from);
  const inserted = b.replaceLane(Op.i32x4_replace_lane, readVector(l, 0), (imm >> 4) & 3, value);
  const keep = [0, 1, 2, 3].map((i) => (((imm >> i) & 1) !== 0 ? 0 : -1));
  writeVector(l, 0, b.emit(Op.v128_and, inserted, b.const128(keep[0]!, keep[1]!, keep[2]!, keep[3]!)));
}

const ROUND_F32: readonly number[] = [Op.f32x4_nearest, Op.f32x4_floor, Op.f32x4_ceil, Op.f32x4_trunc];
const ROUND_F64: readonly number[] = [Op.f64x2_nearest, Op.f64x2_floor, Op.f64x2_ceil, Op.f64x2_trunc];

function round(format: Format): Lifter {
  return (l) => {
    if (l.mode === MODE_EXACT) return exactVector(l, format, EXACT.round);
    const { b } = l;
    const { imm } = l.insn;
    const source = readVector(l, 1);
    if (l.mode === MODE_TRACKED) {
      if (format.scalar) checkCompared(l, format, [b.extractLane(format.extract, source, 0)]);
      else checkComparedPacked(l, format, [source]);
    }
    // MXCSR rounds to nearest, or this would be exact mode.
    const mode = (imm & 4) !== 0 ? 0 : imm & 3;
    const rounded = b.emit((format.bytes === 4 ? ROUND_F32 : ROUND_F64)[mode]!, source);
    const result = b.emit(format.bytes === 4 ? Op.f32x4_nan1 : Op.f64x2_nan1, rounded, source);
    if (!format.scalar) return writeVector(l, 0, result);
    const lanes = format.bytes === 4 ? lanesOf(4, [4, 1, 2, 3]) : lanesOf(8, [2, 1]);
    writeVector(l, 0, b.shuffle(readVector(l, 0), result, lanes));
  };
}

/** MPSADBW: sums of the differences between four bytes of the source and those of the target from eight places on. */
function sumsOfDifferences(l: Lift): void {
  const { b } = l;
  const [x, y] = readBoth(l);
  const { imm } = l.insn;
  const [from, fixed] = [((imm >> 2) & 1) * 4, (imm & 3) * 4];
  const sums = [0, 1, 2, 3].map((k) => {
    const moving = b.shuffle(x, x, Array.from({ length: 16 }, (_, i) => (from + k + i) & 15));
    const one = b.shuffle(y, y, Array.from({ length: 16 }, () => fixed + k));
    const above = b.emit(Op.i8x16_sub_sat_u, moving, one);
    const below = b.emit(Op.i8x16_sub_sat_u, one, moving);
    return b.emit(Op.i16x8_extend_low_i8x16_u, b.emit(Op.v128_or, above, below));
  });
  writeVector(l, 0, sums.reduce((sum, more) => b.emit(Op.i16x8_add, sum, more)));
}

/** PHMINPOSUW: the least word and its place, the first of equal ones; zeros above. */
function leastWord(l: Lift): void {
  const { b } = l;
  const source = readVector(l, 1);
  let least = source;
  for (const distance of [4, 2, 1]) {
    const turned = lanesOf(2, Array.from({ length: 8 }, (_, i) => (i + distance) & 7));
    least = b.emit(Op.i16x8_min_u, least, b.shuffle(least, least, turned));
  }
  const place = b.emit(Op.i32_ctz, b.emit(Op.i16x8_bitmask, b.emit(Op.i16x8_eq, source, least)));
  const value = b.extractLane(Op.i16x8_extract_lane_u, least, 0);
  const both = b.emit(Op.i32_or, value, b.emit(Op.i32_shl, place, b.const32(16)));
  writeVector(l, 0, b.replaceLane(Op.i32x4_replace_lane, b.const128(0, 0, 0, 0), 0, both));
}

/** RCP* (0) and RSQRT* (1). */
function approximate(kind: 0 | 1, lanes: number): Lifter {
  return (l) => {
    const [x, y] = readBoth(l);
    const [result] = l.b.extState(EXT.approximate, [l.b.const32(kind | (lanes << 8)), x, y], ["v"]);
    writeVector(l, 0, result!);
  };
}

function crc32(l: Lift): void {
  const { b } = l;
  const size = l.size(1);
  const value = l.wide(l.read(1), size, "unsigned");
  const accumulator = l.narrow(b.getGpr(l.insn.reg));
  const crc = b.call("crc32c", accumulator, value, b.const32(size));
  b.setGpr(l.insn.reg, b.emit(Op.i64_extend_i32_u, crc));
}

export const SSE4: LifterTable = {
  BLENDPS: blend(4),
  BLENDPD: blend(8),
  PBLENDW: blend(2),
  PBLENDVB: blendVariable(Op.i8x16_shr_s, 8),
  BLENDVPS: blendVariable(Op.i32x4_shr_s, 32),
  BLENDVPD: blendVariable(Op.i64x2_shr_s, 64),
  PEXTRB: extract(Op.i8x16_extract_lane_u, 15),
  PEXTRD: extractDouble,
  EXTRACTPS: extract(Op.i32x4_extract_lane, 3),
  PINSRB: insertByte,
  PINSRD: insertDouble,
  INSERTPS: insertFloat,
  ROUNDPS: round(PS),
  ROUNDPD: round(PD),
  ROUNDSS: round(SS),
  ROUNDSD: round(SD),
  DPPS: dotProduct(PS),
  DPPD: dotProduct(PD),
  MPSADBW: sumsOfDifferences,
  PHMINPOSUW: leastWord,
  RCPPS: approximate(0, 4),
  RCPSS: approximate(0, 1),
  RSQRTPS: approximate(1, 4),
  RSQRTSS: approximate(1, 1),
  CRC32: crc32,
  PCMPESTRI: compareStrings(true, "index"),
  PCMPESTRM: compareStrings(true, "mask"),
  PCMPISTRI: compareStrings(false, "index"),
  PCMPISTRM: compareStrings(false, "mask"),
};
