// SPDX-License-Identifier: Apache-2.0
// Operands that must be aligned, whose check is part of the look in the TLB.
//
// The lifter has a trap before such an access: (low half of the address + displacement) & 15. The tag of a TLB entry xor the address is the
// offset in the page where the pages agree, and low bits of that are those of the address: one test looks at both.

import { FLAG_WRITE, Op, OPS } from "../ir/ops.ts";
import { LOADS, STORES } from "../runtime/access.ts";
import type { IrBlock } from "./ir-block.ts";

/** The only width that must be aligned. */
export const ALIGNED_BYTES = 16;

/** The access of 16 bytes right behind a trap_if that is all about its alignment; or -1. */
export function alignedAccess(ir: IrBlock, trap: number): number {
  const low = lowBits(ir, ir.a[trap]!);
  if (low === undefined) return -1;
  for (let i = trap - 1; ir.op[i] !== Op.insn; i--) if (i < 0 || changesState(ir.op[i]!)) return -1;
  for (let i = trap + 1; i < ir.length && ir.op[i] !== Op.insn; i++) {
    const op = ir.op[i]!;
    const access = LOADS.get(op) ?? STORES.get(op);
    if (access !== undefined) {
      const isSame = access.bytes === ALIGNED_BYTES && ir.a[i] === low.base
        && (ir.imm[i]! - low.disp) % ALIGNED_BYTES === 0;
      return isSame ? i : -1;
    }
    if (changesState(op)) return -1;
  }
  return -1;
}

/** What the low four bits are asked of: a temp plus a constant. */
function lowBits(ir: IrBlock, cond: number): { readonly base: number; readonly disp: number } | undefined {
  if (ir.op[cond] !== Op.i32_and || !isConst(ir, ir.b[cond]!, ALIGNED_BYTES - 1)) return undefined;
  const sum = ir.a[cond]!;
  const hasDisp = ir.op[sum] === Op.i32_add && ir.op[ir.b[sum]!] === Op.const32;
  const narrow = hasDisp ? ir.a[sum]! : sum;
  if (ir.op[narrow] !== Op.i32_wrap_i64) return undefined;
  return { base: ir.a[narrow]!, disp: hasDisp ? ir.imm[ir.b[sum]!]! : 0 };
}

function isConst(ir: IrBlock, temp: number, value: number): boolean {
  return ir.op[temp] === Op.const32 && ir.imm[temp] === value;
}

function changesState(op: number): boolean {
  return (OPS[op]!.flags & FLAG_WRITE) !== 0 || STORES.has(op) || op === Op.ext;
}
