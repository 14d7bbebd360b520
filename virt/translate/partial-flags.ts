// SPDX-License-Identifier: Apache-2.0
// Instructions that set some of the flags and keep the others: rotates, BT, CMPXCHG16B. To keep the others they must be known, which takes a
// call where they are lazy. Where nobody looks before all of them are set again but who leaves the region in between, the new ones are
// put aside in a local, and the call is made on the way out.
//
// The local is 0, or the new flags in their positions with the mask of them 16 bits further up.

import { CC_EXPLICIT, ccOp } from "../ir/cc.ts";
import { Op } from "../ir/ops.ts";
import { VOID, W } from "../wasm/opcodes.ts";
import type { RegionFrame } from "./frame.ts";
import type { IrBlock } from "./ir-block.ts";

export const ALL_FLAGS = 0x8d5;
const MASK_SHIFT = 16;

/** Flags that a set_cc sets to `value` (i32, the bits of the mask alone), keeping the others as they were. */
export interface PartialFlags {
  readonly mask: number;
  readonly value: number;
  /** The temps that bring them together with the others. */
  readonly between: readonly number[];
}

/** Undefined when the record at `i`, a set_cc, sets them all. */
export function partialFlags(ir: IrBlock, i: number): PartialFlags | undefined {
  const { op, a, b, imm } = ir;
  const wide = a[i]!;
  if (op[i] !== Op.set_cc || imm[i] !== ccOp(CC_EXPLICIT, 8) || op[wide] !== Op.i64_extend_i32_u) {
    return undefined;
  }
  const both = a[wide]!;
  if (op[both] !== Op.i32_or) return undefined;
  const kept = a[both]!;
  if (op[kept] !== Op.i32_and || op[a[kept]!] !== Op.cc_flags || op[b[kept]!] !== Op.const32) {
    return undefined;
  }
  return { mask: ALL_FLAGS & ~imm[b[kept]!]!, value: b[both]!, between: [wide, both, kept, a[kept]!] };
}

/** Puts flags aside whose value is on the stack. */
export function putFlagsAside({ f, partialCc }: RegionFrame, mask: number): void {
  f.i32(mask << MASK_SHIFT);
  f.op(W.i32_or);
  f.set(partialCc);
}

/** None are aside any more. */
export function forgetFlagsAside({ f, partialCc }: RegionFrame): void {
  f.i32(0);
  f.set(partialCc);
}

/** On a way out: flags that may be aside become part of those in the locals. */
export function joinFlagsAside({ f, partialCc, ccOp: kind, ccA, ccB }: RegionFrame, flagsOf: number): void {
  f.get(partialCc);
  f.if_(VOID);
  f.get(kind);
  f.get(ccA);
  f.get(ccB);
  f.call(flagsOf);
  f.get(partialCc);
  f.i32(MASK_SHIFT);
  f.op(W.i32_shr_u);
  f.i32(-1);
  f.op(W.i32_xor);
  f.op(W.i32_and);
  f.get(partialCc);
  f.i32(ALL_FLAGS);
  f.op(W.i32_and);
  f.op(W.i32_or);
  f.op(W.i64_extend_i32_u);
  f.set(ccA);
  f.i32(ccOp(CC_EXPLICIT, 8));
  f.set(kind);
  f.end();
}
