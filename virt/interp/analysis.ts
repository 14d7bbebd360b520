// SPDX-License-Identifier: Apache-2.0
// What lower.ts has to know of an IR block, found backwards over its records.
//
// Last uses, dead code, which register reads may stay aliases of the register's slot, and which results may be made in
// the register's slot at once ("retargeted"): when no trap, no other set and no reader of the old value lies between.
// Registers 0..15 are the general ones, 16..31 the vector ones.

import type { IrBuilder, Temp } from "../ir/builder.ts";
import { FLAG_TRAP, FLAG_WRITE, Op, OPS } from "../ir/ops.ts";
import { TERM_BRANCH } from "../ir/terminators.ts";
import type { Handlers } from "./handlers.ts";

/** Records of a block at most. */
export const CAPACITY = 3072;
const NEVER = 1 << 30;
/** FLAG_* by operation. */
export const FLAGS: Uint16Array = Uint16Array.from(OPS, (info) => info.flags);

export class Analysis {
  /** The last record that reads a record's result; the block's length when its end does, -1 when nothing does. */
  readonly lastUse: Int32Array = new Int32Array(CAPACITY);
  /** Register in whose slot a result may be made, or -1. For get_gpr and get_xmm: 1 when an alias will do. */
  readonly retarget: Int8Array = new Int8Array(CAPACITY);
  /** 1 for records that need not be. */
  readonly dead: Uint8Array = new Uint8Array(CAPACITY);
  /** The set of a register that takes a result; by set, the next one of the same register. */
  readonly #setBy = new Int32Array(CAPACITY);
  readonly #limit = new Int32Array(CAPACITY);
  /** By register: the next records that set it and that read it. */
  readonly #nextSet = new Int32Array(32);
  readonly #nextGet = new Int32Array(32);
  readonly #handlers: Handlers;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  /** Fills the arrays by record. The comparison that the branch at the end does itself, or -1. */
  analyse(ir: IrBuilder): Temp {
    const length = ir.length;
    this.lastUse.fill(-1, 0, length);
    this.#setBy.fill(-1, 0, length);
    this.retarget.fill(-1, 0, length);
    this.#nextSet.fill(NEVER);
    this.#nextGet.fill(NEVER);
    const fused = this.#findFused(ir);
    if (fused >= 0) {
      this.lastUse[ir.a[fused]!] = length;
      if (ir.b[fused]! >= 0) this.lastUse[ir.b[fused]!] = length;
    } else if (ir.termTemp >= 0) {
      this.lastUse[ir.termTemp] = length;
    }
    let nextTrap = NEVER;
    let ccDead = false;
    for (let i = length - 1; i >= 0; i--) {
      const op = ir.op[i]!;
      this.dead[i] = 0;
      if (op === Op.set_cc || op === Op.set_cc_dynamic) {
        if (ccDead) {
          this.dead[i] = 1;
          continue;
        }
        ccDead = true;
        this.#use(ir, i);
        continue;
      }
      const flags = FLAGS[op]!;
      if (op >= Op.get_cc_op && op <= Op.cc_flags && this.lastUse[i]! >= 0) ccDead = false;
      if (op === Op.set_gpr || op === Op.set_xmm) {
        this.#analyseSet(ir, i, op === Op.set_gpr ? ir.imm[i]! : 16 + ir.imm[i]!);
        continue;
      }
      if (
        (flags & (FLAG_TRAP | FLAG_WRITE)) === 0 && (this.lastUse[i]! < 0 || i === fused)
        && op !== Op.insn
      ) {
        this.dead[i] = 1;
        continue;
      }
      this.#analyseResult(ir, i, op, nextTrap);
      if ((flags & FLAG_TRAP) !== 0) {
        nextTrap = i;
        ccDead = false;
        if (op === Op.ext) this.#nextSet.fill(i);
      }
    }
    return fused;
  }

  /** The comparison that the branch can do itself: nothing else uses it. */
  #findFused(ir: IrBuilder): Temp {
    if (ir.terminator !== TERM_BRANCH) return -1;
    const cond = ir.termTemp;
    const op = ir.op[cond]!;
    const eqz = op === Op.i32_eqz || op === Op.i64_eqz;
    if (!eqz && this.#handlers.branch[op]! < 0) return -1;
    for (let i = cond + 1; i < ir.length; i++) {
      if (ir.a[i] === cond || ir.b[i] === cond || ir.c[i] === cond) return -1;
    }
    return cond;
  }

  #use(ir: IrBuilder, i: number): void {
    const lastUse = this.lastUse;
    const a = ir.a[i]!;
    if (a < 0) return;
    if (lastUse[a]! < i) lastUse[a] = i;
    const b = ir.b[i]!;
    if (b >= 0 && lastUse[b]! < i) lastUse[b] = i;
    const c = ir.c[i]!;
    if (c >= 0 && lastUse[c]! < i) lastUse[c] = i;
  }

  #analyseSet(ir: IrBuilder, i: number, register: number): void {
    this.#limit[i] = this.#nextSet[register]!;
    this.#nextSet[register] = i;
    this.#setBy[ir.a[i]!] = i;
    this.#use(ir, i);
  }

  #analyseResult(ir: IrBuilder, i: number, op: number, nextTrap: number): void {
    if (op === Op.get_gpr || op === Op.get_xmm) {
      const register = op === Op.get_gpr ? ir.imm[i]! : 16 + ir.imm[i]!;
      this.retarget[i] = this.lastUse[i]! <= this.#nextSet[register]! ? 1 : 0;
      this.#nextGet[register] = i;
      return;
    }
    const set = this.#setBy[i]!;
    if (set >= 0) {
      const register = ir.op[set] === Op.set_gpr ? ir.imm[set]! : 16 + ir.imm[set]!;
      // A value shared with an earlier instruction may be made before the register's old value is read.
      const isFree = this.#nextSet[register] === set && this.#nextGet[register]! > set;
      if (isFree && nextTrap > set && this.lastUse[i]! <= this.#limit[set]!) {
        this.retarget[i] = register;
      }
    }
    if (op === Op.i32_wrap_i64 || op === Op.i64_extend_i32_u) {
      const a = ir.a[i]!;
      if (this.lastUse[a]! < this.lastUse[i]!) this.lastUse[a] = this.lastUse[i]!;
      if (op === Op.i64_extend_i32_u && set >= 0) this.#setBy[a] = set;
    } else {
      this.#use(ir, i);
    }
  }
}
