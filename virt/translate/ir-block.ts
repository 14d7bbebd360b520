// SPDX-License-Identifier: Apache-2.0
// A block's IR kept beyond the builder's next begin(), and what a region wants to know of it.

import type { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";

/** The fields of IrBuilder that back ends read. */
export interface IrBlock {
  readonly op: Uint16Array;
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly c: Int32Array;
  readonly imm: Int32Array;
  readonly imm2: Int32Array;
  readonly pool: Int32Array;
  readonly length: number;
  readonly basePc: number;
  readonly instructions: number;
  readonly terminator: number;
  readonly target: number;
  readonly fallTarget: number;
  readonly termTemp: number;
  readonly termKind: number;
  /** Of a call whose target was looked at before: the guest address of the place that it came from (terminators.ts). */
  readonly place?: number | undefined;
  /** Of an indirect jump that goes on in its region by comparisons: the guest addresses that it is compared with (switch.ts). */
  readonly cases?: readonly number[] | undefined;
  /** The temp that accesses to static data are off (code-base.ts). */
  readonly codeBase?: number | undefined;
  /** Of accesses to tables, whose index is in `c` (tables.ts). */
  readonly indexes?: ReadonlyMap<number, TableIndex> | undefined;
}

/** What is added to the base of an access and its displacement: the temp in `c` << shift, `max` at most. */
export interface TableIndex {
  readonly shift: number;
  readonly max: number;
}

export function keepIr(ir: IrBuilder): IrBlock {
  const n = ir.length;
  return {
    op: ir.op.slice(0, n),
    a: ir.a.slice(0, n),
    b: ir.b.slice(0, n),
    c: ir.c.slice(0, n),
    imm: ir.imm.slice(0, n),
    imm2: ir.imm2.slice(0, n),
    pool: ir.pool.slice(0, ir.poolLength),
    length: n,
    basePc: ir.basePc,
    instructions: ir.instructions,
    terminator: ir.terminator,
    target: ir.target,
    fallTarget: ir.fallTarget,
    termTemp: ir.termTemp,
    termKind: ir.termKind,
  };
}

/** Bits 0..15: general registers, 16..31: vector registers. */
export interface RegisterUse {
  used: number;
  set: number;
  setsCc: boolean;
  usesCc: boolean;
}

export function addRegisterUse(ir: IrBlock, use: RegisterUse): void {
  for (let i = 0; i < ir.length; i++) {
    switch (ir.op[i]) {
      case Op.get_gpr:
        use.used |= 1 << ir.imm[i]!;
        break;
      case Op.get_xmm:
        use.used |= 1 << (16 + ir.imm[i]!);
        break;
      case Op.set_gpr:
        use.set |= 1 << ir.imm[i]!;
        break;
      case Op.set_xmm:
        use.set |= 1 << (16 + ir.imm[i]!);
        break;
      case Op.set_cc:
      case Op.set_cc_dynamic:
        use.setsCc = true;
        break;
      case Op.cc_cond:
      case Op.cc_flags:
      case Op.get_cc_op:
      case Op.get_cc_a:
      case Op.get_cc_b:
        use.usesCc = true;
        break;
      default:
        break;
    }
  }
}
