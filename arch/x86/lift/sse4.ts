// SPDX-License-Identifier: Apache-2.0
// SSE4.1 blends, inserts, extracts and rounding; SSE4.2 string compares and CRC32; the SSE approximations.
// Source: AMD64 Architecture Programmer's Manual, volume 4.

import { MODE_EXACT, MODE_TRACKED } from "../../../virt/frontend.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp, FLAG_CF, FLAG_OF, FLAG_SF, FLAG_ZF } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { EXT } from "../ext.ts";
import { COMPARE_EXPLICIT, COMPARE_WIDE } from "../sse4.ts";
import { type Lift, type Lifter, type LifterTable, RAX, RCX, RDX } from "./context.ts";
import { EXACT, exactVector } from "./sse-exact-call.ts";
import { type Format, PD, PS, SD, SS } from "./sse-fp.ts";
import { checkNumbers } from "./sse-tracked.ts";
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
    if (l.mode === MODE_TRACKED) checkNumbers(l, format, source);
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
    const [result] = l.b.ext(EXT.approximate, [l.b.const32(kind | (lanes << 8)), x, y], ["v"]);
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

/** Immediate of string compares: the elements are words, and how they are compared; which of the results are inverted; which index is asked for. */
const STRING_WORDS = 1;
const STRING_COMPARED = 0x0c;
const STRING_ANY = 0;
const STRING_EACH = 0x08;
const STRING_INVERTED = 0x30;
const STRING_ALL_INVERTED = 0x10;
const STRING_INVERTED_WITHIN = 0x30;
const STRING_LAST = 0x40;

function compareStrings(explicit: boolean, result: "index" | "mask"): Lifter {
  return (l) => {
    const { b } = l;
    const compared = l.insn.imm & STRING_COMPARED;
    const isCommon = !explicit && result === "index" && (compared === STRING_EACH || compared === STRING_ANY);
    if (isCommon) return compareByMasks(l);
    const [x, y] = readBoth(l);
    const control = l.insn.imm | (explicit ? COMPARE_EXPLICIT : 0) | (l.insn.rexW ? COMPARE_WIDE : 0);
    const lengths = explicit ? [b.getGpr(RAX), b.getGpr(RDX)] : [];
    const [index, mask, flags] = b.ext(EXT.packedCompareString, [b.const32(control), x, y, ...lengths], [
      "i",
      "v",
      "i",
    ]);
    if (result === "index") b.setGpr(RCX, index!);
    else b.setXmm(0, mask!);
    b.setCc(ccOp(CC_EXPLICIT, 8), flags!);
  };
}

/** PCMPISTRI where elements are compared with those at the same place, as strcmp does, or with any, as strcspn: by masks of a bit for each element. */
function compareByMasks(l: Lift): void {
  const { b } = l;
  const { imm } = l.insn;
  const lanes = (imm & STRING_WORDS) !== 0 ? WORD_LANES : BYTE_LANES;
  const all = b.const32((1 << lanes.count) - 1);
  const one = b.const32(1);
  const [x, y] = readBoth(l);
  const zero = b.const128(0, 0, 0, 0);
  const [endX, endY] = [x, y].map((text) => equalLanes(l, lanes, text, zero)) as [Temp, Temp];
  // Below the lowest bit: those before the string's end.
  const before = (end: Temp): Temp =>
    b.emit(
      Op.i32_and,
      b.emit(Op.i32_sub, b.emit(Op.i32_and, end, b.emit(Op.i32_sub, b.const32(0), end)), one),
      all,
    );
  const [inX, inY] = [before(endX), before(endY)];
  const matching = (imm & STRING_COMPARED) === STRING_EACH
    ? matchEach(l, equalLanes(l, lanes, x, y), [inX, inY, all])
    : b.emit(Op.i32_and, matchAny(l, lanes, x, y, endX), inY);
  const inverted = imm & STRING_INVERTED;
  const found = inverted === STRING_ALL_INVERTED
    ? b.emit(Op.i32_xor, matching, all)
    : inverted === STRING_INVERTED_WITHIN
    ? b.emit(Op.i32_xor, matching, inY)
    : matching;
  b.setGpr(RCX, b.emit(Op.i64_extend_i32_u, placeOf(l, found, lanes.count)));
  const flag = (mask: Temp, value: number): Temp =>
    b.emit(Op.i32_mul, b.emit(Op.i32_ne, mask, b.const32(0)), b.const32(value));
  const flags = [
    flag(endY, FLAG_ZF),
    flag(endX, FLAG_SF),
    flag(b.emit(Op.i32_and, found, one), FLAG_OF),
  ];
  b.setCc(
    ccOp(CC_EXPLICIT, 8),
    flags.reduce((sum, bit) => b.emit(Op.i32_or, sum, bit), flag(found, FLAG_CF)),
  );
}

interface Lanes {
  readonly count: number;
  readonly eq: number;
  readonly bitmask: number;
  readonly splat: number;
  readonly less: number;
  /** The number of each lane, as words of a constant. */
  readonly numbers: readonly [number, number, number, number];
}

const BYTE_LANES: Lanes = {
  count: 16,
  eq: Op.i8x16_eq,
  bitmask: Op.i8x16_bitmask,
  splat: Op.i8x16_splat,
  less: Op.i8x16_lt_s,
  numbers: [0x0302_0100, 0x0706_0504, 0x0b0a_0908, 0x0f0e_0d0c],
};
const WORD_LANES: Lanes = {
  count: 8,
  eq: Op.i16x8_eq,
  bitmask: Op.i16x8_bitmask,
  splat: Op.i16x8_splat,
  less: Op.i16x8_lt_s,
  numbers: [0x0001_0000, 0x0003_0002, 0x0005_0004, 0x0007_0006],
};

function equalLanes({ b }: Lift, { eq, bitmask }: Lanes, x: Temp, y: Temp): Temp {
  return b.emit(bitmask, b.emit(eq, x, y));
}

/** Where both have elements that are equal, or neither has one. */
function matchEach({ b }: Lift, equal: Temp, [inX, inY, all]: readonly [Temp, Temp, Temp]): Temp {
  const within = b.emit(Op.i32_and, inX, inY);
  const beyond = b.emit(Op.i32_xor, b.emit(Op.i32_or, inX, inY), all);
  return b.emit(Op.i32_or, b.emit(Op.i32_and, equal, within), beyond);
}

/** Where an element of y is one of those of x before its end; what is beyond that counts as zero, and so matches none before the end of y. */
function matchAny(
  l: Lift,
  { count, eq, bitmask, splat, less, numbers }: Lanes,
  x: Temp,
  y: Temp,
  endX: Temp,
): Temp {
  const { b } = l;
  const length = b.emit(Op.i32_ctz, b.emit(Op.i32_or, endX, b.const32(1 << count)));
  const set = b.emit(Op.v128_and, x, b.emit(less, b.const128(...numbers), b.emit(splat, length)));
  const found = Array.from({ length: count }, (_, n) => {
    const member = lanesOf(16 / count, Array.from({ length: count }, () => n));
    return b.emit(eq, y, b.shuffle(set, set, member));
  });
  return b.emit(bitmask, found.reduce((some, more) => b.emit(Op.v128_or, some, more)));
}

/** The index of the first element in a mask, or of the last; how many there are, when it has none. */
function placeOf({ b, insn }: Lift, found: Temp, count: number): Temp {
  if ((insn.imm & STRING_LAST) === 0) {
    return b.emit(Op.i32_ctz, b.emit(Op.i32_or, found, b.const32(1 << count)));
  }
  const last = b.emit(Op.i32_sub, b.const32(31), b.emit(Op.i32_clz, found));
  return b.emit(Op.select_i32, last, b.const32(count), found);
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
  DPPS: (l) => exactVector(l, PS, EXACT.dotProduct),
  DPPD: (l) => exactVector(l, PD, EXACT.dotProduct),
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
