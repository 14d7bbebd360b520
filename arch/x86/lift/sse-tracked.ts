// SPDX-License-Identifier: Apache-2.0
// SSE arithmetic in tracked mode: WebAssembly's operations, and a check that nothing but the precision flag can
// have been raised. That flag is set already and masked (it is what the mode depends on, with rounding to nearest).
//
// Plain operands are zeros and normal numbers, plain results too, but for the least normal number, which may have been a denormal before it was rounded; an
// infinite operand is let through, since it shows in the result. So it makes no difference what else is masked, and whether denormals are taken for zeros or flushed to them. Of what is not plain a second look (Op.raises_*) lets through what sets no flag that is not set. Whatever else leaves by
// STATUS_EXACT before anything has changed.

import { STATUS_EXACT } from "../../../virt/frontend.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import type { FloatKind } from "../../../virt/ir/float.ts";
import { Op } from "../../../virt/ir/ops.ts";
import type { Lift } from "./context.ts";
import type { Format } from "./sse-fp.ts";
import { lanesOf } from "./vector.ts";

/** What a zero among the results means: always exact, exact when an operand was zero, or never looked at. */
export type ZeroRule = "exact" | "product" | "quotient";

function or(l: Lift, a: Temp, b: Temp): Temp {
  return l.b.emit(Op.i32_or, a, b);
}

/** The bits of a float without its sign, moved to the top. */
function magnitude(l: Lift, bytes: 4 | 8, x: Temp): Temp {
  const { b } = l;
  if (bytes === 8) return b.emit(Op.i64_shl, b.emit(Op.i64_reinterpret_f64, x), b.const64(1, 0));
  return b.emit(Op.i32_shl, b.emit(Op.i32_reinterpret_f32, x), b.const32(1));
}

/** i32: the float is a denormal number. */
function isDenormal(l: Lift, bytes: 4 | 8, x: Temp): Temp {
  const { b } = l;
  const m = magnitude(l, bytes, x);
  if (bytes === 8) {
    return b.emit(Op.i64_lt_u, b.emit(Op.i64_add, m, b.const64(-1, -1)), b.const64(-1, 0x001f_ffff));
  }
  return b.emit(Op.i32_lt_u, b.emit(Op.i32_add, m, b.const32(-1)), b.const32(0x00ff_ffff));
}

/** i32: the float is zero, denormal, the least normal number, infinite or a NaN. */
function isNotNormal(l: Lift, bytes: 4 | 8, x: Temp): Temp {
  const { b } = l;
  const m = magnitude(l, bytes, x);
  if (bytes === 8) {
    const moved = b.emit(Op.i64_add, m, b.const64(-1, 0xffdf_ffff));
    return b.emit(Op.i64_ge_u, moved, b.const64(-1, 0xffbf_ffff));
  }
  return b.emit(Op.i32_ge_u, b.emit(Op.i32_add, m, b.const32(0xfeff_ffff)), b.const32(0xfdff_ffff));
}

function isZero(l: Lift, bytes: 4 | 8, x: Temp): Temp {
  return l.b.emit(bytes === 8 ? Op.i64_eqz : Op.i32_eqz, magnitude(l, bytes, x));
}

/** A zero result that raises nothing. */
function isPlainZero(l: Lift, bytes: 4 | 8, result: Temp, operands: readonly Temp[], rule: ZeroRule): Temp {
  const zero = isZero(l, bytes, result);
  if (rule === "exact") return zero;
  const [a, b] = operands;
  const first = isZero(l, bytes, a!);
  const cause = rule === "quotient" ? first : or(l, first, isZero(l, bytes, b!));
  return l.b.emit(Op.i32_and, zero, cause);
}

/** Leaves when `special`, numbers that are not plain, sets a flag; always where no kind is given. */
function leaveIf(
  l: Lift,
  { bytes, scalar }: Format,
  special: Temp,
  operands: readonly Temp[],
  kind: FloatKind | undefined,
): void {
  const { b } = l;
  if (kind === undefined) return b.trapIf(STATUS_EXACT, special);
  const op = scalar
    ? (bytes === 8 ? Op.raises_f64 : Op.raises_f32)
    : (bytes === 8 ? Op.raises_f64x2 : Op.raises_f32x4);
  const [first, second = first] = operands;
  b.trapIf(STATUS_EXACT, b.emitImm(op, kind, special, first, second));
}

/** Leaves unless operands and result are plain, or nothing comes of it. */
export function checkScalar(
  l: Lift,
  format: Format,
  result: Temp,
  operands: readonly Temp[],
  rule: ZeroRule,
  kind: FloatKind,
): void {
  const { b } = l;
  const { bytes } = format;
  const plainZero = isPlainZero(l, bytes, result, operands, rule);
  let special = b.emit(Op.i32_and, isNotNormal(l, bytes, result), b.emit(Op.i32_eqz, plainZero));
  for (const operand of operands) special = or(l, special, isDenormal(l, bytes, operand));
  leaveIf(l, format, special, operands, kind);
}

/** Leaves when an operand is a denormal or a NaN: compares, minimum and maximum, ROUND*. */
export function checkCompared(l: Lift, format: Format, operands: readonly Temp[], kind?: FloatKind): void {
  const { b } = l;
  const ne = format.bytes === 8 ? Op.f64_ne : Op.f32_ne;
  let special = -1;
  for (const operand of operands) {
    const bad = or(l, isDenormal(l, format.bytes, operand), b.emit(ne, operand, operand));
    special = special < 0 ? bad : or(l, special, bad);
  }
  leaveIf(l, format, special, operands, kind);
}

/** CVTSD2SS: leaves when the narrow result is not plain, though the wide operand was. */
export function checkNarrowed(l: Lift, result: Temp, operand: Temp): void {
  const { b } = l;
  const plainZero = isZero(l, 8, operand);
  b.trapIf(STATUS_EXACT, b.emit(Op.i32_and, isNotNormal(l, 4, result), b.emit(Op.i32_eqz, plainZero)));
}

// --- Packed ---

interface PackedOps {
  readonly abs: number;
  readonly le: number;
  readonly lt: number;
  readonly eq: number;
  readonly ne: number;
  readonly allTrue: number;
}
const PACKED_32: PackedOps = {
  abs: Op.f32x4_abs,
  le: Op.f32x4_le,
  lt: Op.f32x4_lt,
  eq: Op.f32x4_eq,
  ne: Op.f32x4_ne,
  allTrue: Op.i32x4_all_true,
};
const PACKED_64: PackedOps = {
  abs: Op.f64x2_abs,
  le: Op.f64x2_le,
  lt: Op.f64x2_lt,
  eq: Op.f64x2_eq,
  ne: Op.f64x2_ne,
  allTrue: Op.i64x2_all_true,
};

function splat(l: Lift, bytes: 4 | 8, bits32: number, high64: number, low64: number): Temp {
  return bytes === 4
    ? l.b.const128(bits32, bits32, bits32, bits32)
    : l.b.const128(low64, high64, low64, high64);
}

function least(l: Lift, bytes: 4 | 8): Temp {
  return splat(l, bytes, 0x0080_0000, 0x0010_0000, 0);
}

function greatest(l: Lift, bytes: 4 | 8): Temp {
  return splat(l, bytes, 0x7f7f_ffff, 0x7fef_ffff, -1);
}

/** Lanes of ones where the operand is not a denormal. */
function notDenormal(l: Lift, bytes: 4 | 8, ops: PackedOps, x: Temp): Temp {
  const { b } = l;
  const small = b.emit(ops.lt, b.emit(ops.abs, x), least(l, bytes));
  const nonzero = b.emit(ops.ne, x, b.const128(0, 0, 0, 0));
  return b.emit(Op.v128_not, b.emit(Op.v128_and, small, nonzero));
}

/** Lanes of ones where a number is normal, and not the least. */
function normalLanes(l: Lift, bytes: 4 | 8, ops: PackedOps, x: Temp): Temp {
  const { b } = l;
  const magnitudes = b.emit(ops.abs, x);
  const isLarge = b.emit(ops.lt, least(l, bytes), magnitudes);
  return b.emit(Op.v128_and, isLarge, b.emit(ops.le, magnitudes, greatest(l, bytes)));
}

export function checkPacked(
  l: Lift,
  format: Format,
  result: Temp,
  operands: readonly Temp[],
  rule: ZeroRule,
  kind?: FloatKind,
): void {
  const { b } = l;
  const { bytes } = format;
  const ops = bytes === 4 ? PACKED_32 : PACKED_64;
  const zero = b.const128(0, 0, 0, 0);
  let plainZero = b.emit(ops.eq, result, zero);
  if (rule !== "exact") {
    const first = b.emit(ops.eq, operands[0], zero);
    const cause = rule === "quotient" ? first : b.emit(Op.v128_or, first, b.emit(ops.eq, operands[1], zero));
    plainZero = b.emit(Op.v128_and, plainZero, cause);
  }
  let plain = b.emit(Op.v128_or, normalLanes(l, bytes, ops, result), plainZero);
  for (const operand of operands) plain = b.emit(Op.v128_and, plain, notDenormal(l, bytes, ops, operand));
  leaveIf(l, format, b.emit(Op.i32_eqz, b.emit(ops.allTrue, plain)), operands, kind);
}

export function checkComparedPacked(
  l: Lift,
  format: Format,
  operands: readonly Temp[],
  kind?: FloatKind,
): void {
  const { b } = l;
  const ops = format.bytes === 4 ? PACKED_32 : PACKED_64;
  let plain = -1;
  for (const operand of operands) {
    const good = b.emit(
      Op.v128_and,
      notDenormal(l, format.bytes, ops, operand),
      b.emit(ops.eq, operand, operand),
    );
    plain = plain < 0 ? good : b.emit(Op.v128_and, plain, good);
  }
  leaveIf(l, format, b.emit(Op.i32_eqz, b.emit(ops.allTrue, plain)), operands, kind);
}

/** CVTPS2PD: as compares, of the low two. */
export function checkWidened(l: Lift, from: Format, source: Temp): void {
  const { b } = l;
  checkComparedPacked(l, from, [b.shuffle(source, source, lanesOf(8, [0, 0]))]);
}

/** CVTPD2PS: leaves when an operand is a denormal or a NaN, or a result is not plain. */
export function checkNarrowedPacked(l: Lift, from: Format, result: Temp, source: Temp): void {
  const { b } = l;
  checkComparedPacked(l, from, [source]);
  const wasZero = b.emit(Op.f64x2_eq, source, b.const128(0, 0, 0, 0));
  const isNormal = normalLanes(l, 4, PACKED_32, b.shuffle(result, result, lanesOf(8, [0, 0])));
  const plain = b.emit(Op.v128_or, isNormal, b.shuffle(wasZero, wasZero, lanesOf(4, [0, 2, 0, 2])));
  b.trapIf(STATUS_EXACT, b.emit(Op.i32_eqz, b.emit(Op.i32x4_all_true, plain)));
}

/** Packed conversions to integers: leaves when some number is not smaller than a limit in magnitude, or is none. */
export function checkBelow(l: Lift, format: Format, source: Temp, limit: Temp): void {
  const { b } = l;
  const ops = format.bytes === 4 ? PACKED_32 : PACKED_64;
  const below = b.emit(ops.lt, b.emit(ops.abs, source), limit);
  b.trapIf(STATUS_EXACT, b.emit(Op.i32_eqz, b.emit(ops.allTrue, below)));
}
