// SPDX-License-Identifier: Apache-2.0
// Constant folding, and where a lane of a vector comes from. 64-bit values are pairs of int32 halves: exact without
// bigint for what lifters produce; what is missing here is simply not folded.

import type { IrBlock } from "../translate/ir-block.ts";
import { Op } from "./ops.ts";

export interface Pair {
  lo: number;
  hi: number;
}

/** Operations for which a zero on the right gives the left operand. */
export const evaluate64: { readonly neutralZero: ReadonlySet<number> } = {
  neutralZero: new Set([
    Op.i64_add,
    Op.i64_sub,
    Op.i64_or,
    Op.i64_xor,
    Op.i64_shl,
    Op.i64_shr_s,
    Op.i64_shr_u,
    Op.i64_rotl,
    Op.i64_rotr,
    Op.i32_add,
    Op.i32_sub,
    Op.i32_or,
    Op.i32_xor,
    Op.i32_shl,
    Op.i32_shr_s,
    Op.i32_shr_u,
    Op.i32_rotl,
    Op.i32_rotr,
  ]),
};

/** Type of the result left in `out`, or "" when the operation is not folded. */
export function foldUnary(op: number, lo: number, hi: number, out: Pair): "i" | "l" | "" {
  switch (op) {
    case Op.i32_wrap_i64:
      out.lo = lo;
      return "i";
    case Op.i64_extend_i32_u:
      out.lo = lo;
      out.hi = 0;
      return "l";
    case Op.i64_extend_i32_s:
    case Op.i64_extend32_s:
      out.lo = lo;
      out.hi = lo >> 31;
      return "l";
    case Op.i32_extend8_s:
      out.lo = (lo << 24) >> 24;
      return "i";
    case Op.i32_extend16_s:
      out.lo = (lo << 16) >> 16;
      return "i";
    case Op.i32_eqz:
      out.lo = lo === 0 ? 1 : 0;
      return "i";
    case Op.i64_eqz:
      out.lo = lo === 0 && hi === 0 ? 1 : 0;
      return "i";
    default:
      return "";
  }
}

export function foldBinary32(op: number, a: number, b: number): number | undefined {
  switch (op) {
    case Op.i32_add:
      return (a + b) | 0;
    case Op.i32_sub:
      return (a - b) | 0;
    case Op.i32_mul:
      return Math.imul(a, b);
    case Op.i32_and:
      return a & b;
    case Op.i32_or:
      return a | b;
    case Op.i32_xor:
      return a ^ b;
    case Op.i32_shl:
      return a << b;
    case Op.i32_shr_s:
      return a >> b;
    case Op.i32_shr_u:
      return (a >>> b) | 0;
    case Op.i32_eq:
      return a === b ? 1 : 0;
    case Op.i32_ne:
      return a === b ? 0 : 1;
    case Op.i32_lt_s:
      return a < b ? 1 : 0;
    case Op.i32_lt_u:
      return a >>> 0 < b >>> 0 ? 1 : 0;
    default:
      return undefined;
  }
}

export function foldBinary64(
  op: number,
  aLo: number,
  aHi: number,
  bLo: number,
  bHi: number,
  out: Pair,
): "i" | "l" | "" {
  switch (op) {
    case Op.i64_add: {
      const low = (aLo >>> 0) + (bLo >>> 0);
      out.lo = low | 0;
      out.hi = (aHi + bHi + (low > 0xffff_ffff ? 1 : 0)) | 0;
      return "l";
    }
    case Op.i64_sub: {
      const borrow = aLo >>> 0 < bLo >>> 0 ? 1 : 0;
      out.lo = (aLo - bLo) | 0;
      out.hi = (aHi - bHi - borrow) | 0;
      return "l";
    }
    case Op.i64_and:
      out.lo = aLo & bLo;
      out.hi = aHi & bHi;
      return "l";
    case Op.i64_or:
      out.lo = aLo | bLo;
      out.hi = aHi | bHi;
      return "l";
    case Op.i64_xor:
      out.lo = aLo ^ bLo;
      out.hi = aHi ^ bHi;
      return "l";
    case Op.i64_shl:
      shiftLeft(aLo, aHi, bLo & 63, out);
      return "l";
    case Op.i64_eq:
      out.lo = aLo === bLo && aHi === bHi ? 1 : 0;
      return "i";
    case Op.i64_ne:
      out.lo = aLo === bLo && aHi === bHi ? 0 : 1;
      return "i";
    default:
      return "";
  }
}

function shiftLeft(lo: number, hi: number, count: number, out: Pair): void {
  if (count === 0) {
    out.lo = lo;
    out.hi = hi;
  } else if (count < 32) {
    out.lo = lo << count;
    out.hi = (hi << count) | (lo >>> (32 - count));
  } else {
    out.lo = 0;
    out.hi = lo << (count - 32);
  }
}

/** Records as the builder and back ends have them. */
type Records = Pick<IrBlock, "op" | "a" | "b" | "imm">;

/** The bits of an i32 temp that may be other than 0, as far as its operation tells. */
function bitsOf({ op, b, imm }: Records, temp: number): number {
  switch (op[temp]) {
    case Op.load8_u:
      return 0xff;
    case Op.load16_u:
      return 0xffff;
    case Op.const32:
      return imm[temp]!;
    case Op.i32_and:
      return op[b[temp]!] === Op.const32 ? imm[b[temp]!]! : -1;
    case Op.i32_shr_u:
      return op[b[temp]!] === Op.const32 ? -1 >>> imm[b[temp]!]! : -1;
    default:
      return -1;
  }
}

/** Whether a mask leaves an i32 temp as it is. */
export function isWithin(records: Records, temp: number, mask: number): boolean {
  return (bitsOf(records, temp) & ~mask) === 0;
}

/** A lane of 32 bits: of a v128 temp, and the i32 temp that was put there, where that is known. */
export interface Lane {
  readonly vector: number;
  readonly lane: number;
  readonly scalar?: number;
}

/** Follows a lane back through inserts and shuffles to where it comes from. */
export function traceLane32(block: Records & Pick<IrBlock, "pool">, vector: number, lane: number): Lane {
  const { op, a, b, imm, pool } = block;
  for (;;) {
    switch (op[vector]) {
      case Op.i32x4_splat:
        return { vector, lane, scalar: a[vector]! };
      case Op.i32x4_replace_lane:
        if (imm[vector] === lane) return { vector, lane, scalar: b[vector]! };
        vector = a[vector]!;
        break;
      case Op.i8x16_shuffle: {
        const bytes = pool[4 * imm[vector]! + lane]!;
        const from = bytes & 0xff;
        // Four bytes in a row that are one lane, of either operand.
        if ((from & 3) !== 0 || bytes !== from * 0x0101_0101 + 0x0302_0100) return { vector, lane };
        vector = from < 16 ? a[vector]! : b[vector]!;
        lane = (from & 15) >> 2;
        break;
      }
      default:
        return { vector, lane };
    }
  }
}
