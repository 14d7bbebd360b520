// SPDX-License-Identifier: Apache-2.0
// String compares of SSE4.2. What the C library makes of them is done by masks of a bit for each element: PCMPISTRI of elements at the same place, as in
// strcmp, or of any of a set, as in strcspn. The rest are calls of sse4.ts.
// Source: Intel SDM volume 2, section 4.1.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp, FLAG_CF, FLAG_OF, FLAG_SF, FLAG_ZF } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { EXT } from "../ext.ts";
import { COMPARE_EXPLICIT, COMPARE_WIDE } from "../sse4.ts";
import { type Lift, type Lifter, RAX, RCX, RDX } from "./context.ts";
import { lanesOf, readBoth } from "./vector.ts";

/** Immediate of string compares: the elements are words, and how they are compared; which of the results are inverted; which index is asked for. */
const STRING_WORDS = 1;
const STRING_COMPARED = 0x0c;
const STRING_ANY = 0;
const STRING_EACH = 0x08;
const STRING_INVERTED = 0x30;
const STRING_ALL_INVERTED = 0x10;
const STRING_INVERTED_WITHIN = 0x30;
const STRING_LAST = 0x40;

export function compareStrings(explicit: boolean, result: "index" | "mask"): Lifter {
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
