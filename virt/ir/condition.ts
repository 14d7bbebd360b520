// SPDX-License-Identifier: Apache-2.0
// Fuses an x86 condition into the operation that set the flags, when that is known.
//
// Conditions by number: 0 O, 1 NO, 2 B, 3 AE, 4 E, 5 NE, 6 BE, 7 A, 8 S, 9 NS, 10 P, 11 NP, 12 L, 13 GE,
// 14 LE, 15 G. Returns -1 where no short form exists; cc_cond then evaluates the lazy state.

import { CC_ADD, CC_DEC, CC_EXPLICIT, CC_INC, CC_LOGIC, CC_RESULT, CC_SUB } from "./cc.ts";
import type { IrBuilder, Temp } from "./builder.ts";
import { Op } from "./ops.ts";

export function emitCondition(b: IrBuilder, cond: number, op: number, ccA: Temp, ccB: Temp): Temp {
  const before = b.length;
  const positive = emitPositive(b, cond & ~1, op >> 2, op & 3, ccA, ccB);
  if (positive < 0) return -1;
  return (cond & 1) === 0 ? positive : invert(b, positive, before);
}

function invert(b: IrBuilder, temp: Temp, before: number): Temp {
  const opposite = OPPOSITE.get(b.op[temp]!);
  // A comparison that was just made is turned round; anything else is compared with 0.
  if (opposite !== undefined && temp >= before) {
    b.op[temp] = opposite;
    return temp;
  }
  return b.emit(Op.i32_eqz, temp);
}

const OPPOSITE: ReadonlyMap<number, number> = new Map([
  [Op.i32_eq, Op.i32_ne],
  [Op.i32_ne, Op.i32_eq],
  [Op.i64_eq, Op.i64_ne],
  [Op.i64_ne, Op.i64_eq],
  [Op.i32_lt_s, Op.i32_ge_s],
  [Op.i32_lt_u, Op.i32_ge_u],
  [Op.i32_le_s, Op.i32_gt_s],
  [Op.i32_le_u, Op.i32_gt_u],
  [Op.i64_lt_s, Op.i64_ge_s],
  [Op.i64_lt_u, Op.i64_ge_u],
  [Op.i64_le_s, Op.i64_gt_s],
  [Op.i64_le_u, Op.i64_gt_u],
]);

const EQUAL = 4;
/** Conditions that the order of unsigned numbers decides. */
const UNSIGNED: ReadonlySet<number> = new Set([2, EQUAL, 6]);

/**
 * The operand brought to the width in which it is compared: small ones shifted to the top of an i32, or with the rest cleared, which they
 * often have already, where the sign does not matter.
 */
function operand(b: IrBuilder, temp: Temp, size: number, isUnsigned: boolean): Temp {
  if (size === 3) return temp;
  const narrow = b.emit(Op.i32_wrap_i64, temp);
  if (size === 2) return narrow;
  if (isUnsigned) return b.emit(Op.i32_and, narrow, b.const32(size === 1 ? 0xffff : 0xff));
  return b.emit(Op.i32_shl, narrow, b.const32(size === 1 ? 16 : 24));
}

interface Compare {
  readonly eq: number;
  readonly ltU: number;
  readonly leU: number;
  readonly ltS: number;
  readonly leS: number;
  readonly sub: number;
  readonly add: number;
}
const COMPARE_32: Compare = {
  eq: Op.i32_eq,
  ltU: Op.i32_lt_u,
  leU: Op.i32_le_u,
  ltS: Op.i32_lt_s,
  leS: Op.i32_le_s,
  sub: Op.i32_sub,
  add: Op.i32_add,
};
const COMPARE_64: Compare = {
  eq: Op.i64_eq,
  ltU: Op.i64_lt_u,
  leU: Op.i64_le_u,
  ltS: Op.i64_lt_s,
  leS: Op.i64_le_s,
  sub: Op.i64_sub,
  add: Op.i64_add,
};

function emitPositive(b: IrBuilder, cond: number, kind: number, size: number, ccA: Temp, ccB: Temp): Temp {
  switch (kind) {
    case CC_SUB: {
      const isUnsigned = UNSIGNED.has(cond);
      return emitSub(b, cond, size, operand(b, ccA, size, isUnsigned), operand(b, ccB, size, isUnsigned));
    }
    case CC_ADD: // the sum must not have bits above
      return emitAdd(b, cond, size, operand(b, ccA, size, false), operand(b, ccB, size, false));
    case CC_LOGIC:
      return emitLogic(b, cond, size, operand(b, ccA, size, UNSIGNED.has(cond)));
    case CC_INC:
    case CC_DEC:
    case CC_RESULT:
      if (cond === 4 || cond === 8) return emitLogic(b, cond, size, operand(b, ccA, size, cond === EQUAL));
      return cond === 2 ? b.emit(Op.i32_and, b.emit(Op.i32_wrap_i64, ccB), b.const32(1)) : -1;
    case CC_EXPLICIT:
      return emitExplicit(b, cond, ccA);
    default:
      return -1;
  }
}

function zero(b: IrBuilder, size: number): Temp {
  return size === 3 ? b.const64(0, 0) : b.const32(0);
}

function emitSub(b: IrBuilder, cond: number, size: number, x: Temp, y: Temp): Temp {
  const ops = size === 3 ? COMPARE_64 : COMPARE_32;
  switch (cond) {
    case 2:
      return b.emit(ops.ltU, x, y);
    case 4:
      return b.emit(ops.eq, x, y);
    case 6:
      return b.emit(ops.leU, x, y);
    case 8: {
      const difference = b.emit(ops.sub, x, y);
      return b.emit(ops.ltS, difference, zero(b, size));
    }
    case 12:
      return b.emit(ops.ltS, x, y);
    case 14:
      return b.emit(ops.leS, x, y);
    default:
      return -1;
  }
}

function emitAdd(b: IrBuilder, cond: number, size: number, x: Temp, y: Temp): Temp {
  const ops = size === 3 ? COMPARE_64 : COMPARE_32;
  if (cond !== 2 && cond !== 4 && cond !== 8) return -1;
  const sum = b.emit(ops.add, x, y);
  if (cond === 2) return b.emit(ops.ltU, sum, x);
  return b.emit(cond === 4 ? ops.eq : ops.ltS, sum, zero(b, size));
}

function emitLogic(b: IrBuilder, cond: number, size: number, x: Temp): Temp {
  const ops = size === 3 ? COMPARE_64 : COMPARE_32;
  switch (cond) {
    case 0:
    case 2:
      return b.const32(0);
    case 4:
    case 6:
      return b.emit(ops.eq, x, zero(b, size));
    case 8:
    case 12:
      return b.emit(ops.ltS, x, zero(b, size));
    case 14:
      return b.emit(ops.leS, x, zero(b, size));
    default:
      return -1;
  }
}

function emitExplicit(b: IrBuilder, cond: number, ccA: Temp): Temp {
  const bits = b.emit(Op.i32_wrap_i64, ccA);
  const test = (mask: number): Temp =>
    b.emit(Op.i32_ne, b.emit(Op.i32_and, bits, b.const32(mask)), b.const32(0));
  switch (cond) {
    case 0:
      return test(0x800);
    case 2:
      return test(0x001);
    case 4:
      return test(0x040);
    case 6:
      return test(0x041);
    case 8:
      return test(0x080);
    case 10:
      return test(0x004);
    default:
      return -1;
  }
}

/** A condition on the flags of COMIS: CF less or unordered, ZF equal or unordered, PF unordered, SF = OF = 0. */
export function emitFloatCondition(b: IrBuilder, cond: number, x: Temp, y: Temp): Temp {
  const wide = b.typeOf(x) === "d";
  const not = (temp: Temp): Temp => b.emit(Op.i32_eqz, temp);
  const differ = (): Temp =>
    b.emit(Op.i32_or, b.emit(wide ? Op.f64_lt : Op.f32_lt, x, y), b.emit(wide ? Op.f64_gt : Op.f32_gt, x, y));
  const unordered = (): Temp => {
    const ne = wide ? Op.f64_ne : Op.f32_ne;
    return b.emit(Op.i32_or, b.emit(ne, x, x), b.emit(ne, y, y));
  };
  switch (cond) {
    case 2:
      return not(b.emit(wide ? Op.f64_ge : Op.f32_ge, x, y));
    case 3:
      return b.emit(wide ? Op.f64_ge : Op.f32_ge, x, y);
    case 6:
      return not(b.emit(wide ? Op.f64_gt : Op.f32_gt, x, y));
    case 7:
      return b.emit(wide ? Op.f64_gt : Op.f32_gt, x, y);
    case 4:
    case 14:
      return not(differ());
    case 5:
    case 15:
      return differ();
    case 10:
      return unordered();
    case 11:
      return not(unordered());
    default:
      // O, S and L never hold.
      return b.const32(cond & 1);
  }
}
