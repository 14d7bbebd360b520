// SPDX-License-Identifier: Apache-2.0
// Lowers an IR block to the interpreter's bytecode, in two passes over flat arrays: backwards (analysis.ts), then forwards
// for the records, which are packed when all are there (pack.ts).
//
// wrap and extend_u are aliases, because i32 results are stored zero-extended. Registers 0..15 are the general ones, 16..31 the
// vector ones. A constant is made where it is first needed, and not at all where an immediate will do.

import { CPU_STATE, pageOffset } from "../layout.ts";
import type { IrBuilder, Temp } from "../ir/builder.ts";
import { FLAG_TRAP, HELPERS, Op, OPS } from "../ir/ops.ts";
import { TERM_BRANCH, TERM_INDIRECT, TERM_JUMP, TERM_SYSCALL, TERM_TRAP } from "../ir/terminators.ts";
import type { Ram } from "../../lib/ram.ts";
import { Analysis, CAPACITY, FLAGS } from "./analysis.ts";
import { HEADER_BYTES, INDIRECT_BYTES, LINK_NEVER, LINK_NONE, RECORD_BYTES } from "./bytecode.ts";
import { type Handlers, hasLane, hasPool, SAME_BITS } from "./handlers.ts";
import { Packing } from "./pack.ts";
import { INDEXES, LOW_TEMPS, LOW_TEMPS_END } from "./steps.ts";

const OPERANDS: Uint8Array = Uint8Array.from(OPS, (info) => info.operands.length);
const HAS_RESULT: Uint8Array = Uint8Array.from(OPS, (info) => (info.result === "" ? 0 : 1));
const LANE_SCALE: Uint8Array = Uint8Array.from(
  OPS,
  (info) => (hasLane(info) ? 16 / Number(info.name.split(/[x_]/)[1]) : 0),
);
const POOLED: Uint8Array = Uint8Array.from(OPS, (info) => (hasPool(info) ? 1 : 0));

const STATE_MOVES: ReadonlyMap<number, "mov32" | "mov64" | "mov128"> = new Map([
  [Op.get_state32, "mov32"],
  [Op.get_statef32, "mov32"],
  [Op.get_state64, "mov64"],
  [Op.get_statef64, "mov64"],
  [Op.get_state128, "mov128"],
  [Op.set_state32, "mov32"],
  [Op.set_statef32, "mov32"],
  [Op.set_state64, "mov64"],
  [Op.set_statef64, "mov64"],
  [Op.set_state128, "mov128"],
]);

/** Most bytes that one block can need: what must be free in the arena. */
export const LOWERED_BYTES_MAX: number = HEADER_BYTES + (CAPACITY + 64) * 2 * RECORD_BYTES;

export class Lowering {
  readonly #ram: Ram;
  readonly #handlers: Handlers;
  readonly #analysis: Analysis;
  readonly #lastUse: Int32Array;
  readonly #retarget: Int8Array;
  readonly #dead: Uint8Array;
  readonly #slot = new Int32Array(CAPACITY);
  readonly #clean = new Uint8Array(CAPACITY);
  readonly #holder = new Int32Array(32);
  #fused = -1;
  #nextSlot = 0;
  #nextLow = 0;
  readonly #packing: Packing;
  #terminatorKind = 0;
  #at = 0;
  #insnOffset = 0;
  #insnIndex = 0;
  /** Where the block's records are. */
  readonly #starts = new Int32Array(CAPACITY * 2);
  #records = 0;

  constructor(ram: Ram, handlers: Handlers) {
    this.#ram = ram;
    this.#handlers = handlers;
    this.#packing = new Packing(ram, handlers);
    const { lastUse, retarget, dead } = (this.#analysis = new Analysis(handlers));
    this.#lastUse = lastUse;
    this.#retarget = retarget;
    this.#dead = dead;
  }

  /** TERM_* of the records written last: a jump too far for a record is an indirect one. */
  get terminator(): number {
    return this.#terminatorKind;
  }

  /** Writes header and records at `address` (16-byte aligned); returns the address after them. */
  lower(
    ir: IrBuilder,
    address: number,
    entriesUntilHot: number,
    mayLink: boolean,
  ): number {
    this.#fused = this.#analysis.analyse(ir);
    const u32 = this.#ram.u32;
    const word = address >>> 2;
    u32[word] = 0;
    u32[word + 1] = 0;
    u32[word + 2] = entriesUntilHot;
    u32[word + 3] = entriesUntilHot;
    this.#at = address + HEADER_BYTES;
    this.#records = 0;
    this.#nextSlot = CPU_STATE.temps;
    this.#nextLow = LOW_TEMPS;
    this.#insnIndex = -1;
    this.#insnOffset = 0;
    this.#holder.fill(-1);
    const length = ir.length;
    for (let i = 0; i < length; i++) {
      if (this.#dead[i] === 0) this.#record(ir, i);
    }
    this.#terminator(ir, mayLink);
    const starts = this.#starts.subarray(0, this.#records);
    return this.#packing.pack(starts, this.#at, this.#nextSlot);
  }

  #slotOfRegister(register: number): number {
    return register < 16 ? register * 8 : CPU_STATE.xmm + (register - 16) * 16;
  }

  /** A place for the result of record i. */
  #place(ir: IrBuilder, i: number): number {
    this.#clean[i] = 1;
    const register = this.#retarget[i]!;
    if (register >= 0) {
      const holder = this.#holder[register]!;
      if (holder < 0 || this.#lastUse[holder]! <= i) {
        this.#holder[register] = i;
        return (this.#slot[i] = this.#slotOfRegister(register));
      }
    }
    return (this.#slot[i] = this.#freshSlot(OPS[ir.op[i]!]!.result === "v"));
  }

  #freshSlot(wide: boolean): number {
    if (!wide) {
      const low = this.#nextLow;
      this.#nextLow += 8;
      if (this.#nextLow <= LOW_TEMPS_END) return low;
    }
    if (wide) this.#nextSlot = (this.#nextSlot + 15) & ~15;
    const slot = this.#nextSlot;
    this.#nextSlot += wide ? 16 : 8;
    if (this.#nextSlot > 0x8000) throw new RangeError("block needs too many slots");
    return slot;
  }

  /** The slot of an operand; a constant is made now if it was not yet. */
  #operand(ir: IrBuilder, temp: Temp): number {
    const known = this.#slot[temp]!;
    if (known >= 0) return known;
    const slot = this.#freshSlot(false);
    this.#constant(ir, temp, slot);
    this.#clean[temp] = 1;
    return (this.#slot[temp] = slot);
  }

  #constant(ir: IrBuilder, temp: Temp, slot: number): void {
    const special = this.#handlers.special;
    const hi = ir.op[temp] === Op.const32 ? 0 : ir.imm2[temp]!;
    this.#write(
      ir.op[temp] === Op.pc_const ? special.pc_const : special.const64,
      slot,
      0,
      0,
      ir.imm[temp]!,
      hi,
    );
  }

  #isConstant(ir: IrBuilder, temp: Temp): boolean {
    const op = ir.op[temp]!;
    return op === Op.const64 || op === Op.const32 || op === Op.pc_const;
  }

  /** A constant that fits the sign-extended immediate. */
  #isSmall(ir: IrBuilder, temp: Temp): boolean {
    const op = ir.op[temp]!;
    return op === Op.const32 || (op === Op.const64 && ir.imm2[temp] === ir.imm[temp]! >> 31);
  }

  #write(handler: number, dst: number, a: number, b: number, imm: number, imm2: number): void {
    const ram = this.#ram;
    this.#starts[this.#records++] = this.#at;
    const half = this.#at >>> 1;
    const u16 = ram.u16;
    u16[half] = handler;
    u16[half + 1] = dst;
    u16[half + 2] = a;
    u16[half + 3] = b;
    const word = this.#at >>> 2;
    ram.i32[word + 2] = imm;
    ram.i32[word + 3] = imm2;
    this.#at += RECORD_BYTES;
  }

  get #trapWord(): number {
    return this.#insnOffset | (this.#insnIndex << 16);
  }

  #record(ir: IrBuilder, i: number): void {
    const op = ir.op[i]!;
    const special = this.#handlers.special;
    switch (op) {
      case Op.insn:
        this.#insnOffset = ir.imm[i]!;
        if (++this.#insnIndex === INDEXES) {
          throw new RangeError(`a block has ${INDEXES} instructions at most`);
        }
        return;
      case Op.const32:
      case Op.const64:
      case Op.pc_const:
        this.#slot[i] = -1;
        return;
      case Op.get_gpr:
      case Op.get_xmm:
        this.#get(i, op === Op.get_gpr ? ir.imm[i]! : 16 + ir.imm[i]!);
        return;
      case Op.set_gpr:
      case Op.set_xmm:
        this.#set(ir, ir.a[i]!, op === Op.set_gpr ? ir.imm[i]! : 16 + ir.imm[i]!);
        return;
      case Op.i32_wrap_i64:
        this.#slot[i] = this.#operand(ir, ir.a[i]!);
        this.#clean[i] = 0;
        return;
      case Op.i64_extend_i32_u:
        this.#extend(ir, i);
        return;
      case Op.set_cc:
        this.#setCc(ir, i);
        return;
      case Op.get_cc_op:
        this.#write(special.mov32, this.#place(ir, i), CPU_STATE.ccOp, 0, 0, 0);
        return;
      case Op.get_cc_a:
        this.#write(special.mov64, this.#place(ir, i), CPU_STATE.ccA, 0, 0, 0);
        return;
      case Op.get_cc_b:
        this.#write(special.mov64, this.#place(ir, i), CPU_STATE.ccB, 0, 0, 0);
        return;
      default:
        this.#ordinary(ir, i, op);
    }
  }

  #get(i: number, register: number): void {
    const home = this.#slotOfRegister(register);
    this.#clean[i] = 0;
    if (this.#retarget[i] === 1) {
      this.#holder[register] = i;
      this.#slot[i] = home;
      return;
    }
    const slot = this.#freshSlot(register >= 16);
    this.#slot[i] = slot;
    this.#write(
      register >= 16 ? this.#handlers.special.mov128 : this.#handlers.special.mov64,
      slot,
      home,
      0,
      0,
      0,
    );
  }

  #set(ir: IrBuilder, temp: Temp, register: number): void {
    const home = this.#slotOfRegister(register);
    const special = this.#handlers.special;
    if (this.#isConstant(ir, temp)) {
      this.#constant(ir, temp, home);
      return;
    }
    const slot = this.#slot[temp]!;
    if (slot === home) return;
    this.#write(register >= 16 ? special.mov128 : special.mov64, home, slot, 0, 0, 0);
  }

  #extend(ir: IrBuilder, i: number): void {
    const a = ir.a[i]!;
    const slot = this.#operand(ir, a);
    if (this.#clean[a] === 1) {
      this.#slot[i] = slot;
      this.#clean[i] = 1;
      return;
    }
    this.#write(this.#handlers.special.mov32, this.#place(ir, i), slot, 0, 0, 0);
  }

  #setCc(ir: IrBuilder, i: number): void {
    const a = this.#operand(ir, ir.a[i]!);
    const b = ir.b[i]!;
    if (this.#isSmall(ir, b)) {
      this.#write(this.#handlers.special.set_cc_imm, 0, a, 0, ir.imm[i]!, ir.imm[b]!);
    } else {
      this.#write(this.#handlers.plain[Op.set_cc]!, 0, a, this.#operand(ir, b), ir.imm[i]!, 0);
    }
  }

  #ordinary(ir: IrBuilder, i: number, op: number): void {
    const handlers = this.#handlers;
    const move = STATE_MOVES.get(op);
    if (move !== undefined) {
      const offset = ir.imm[i]!;
      if (HAS_RESULT[op] === 1) this.#write(handlers.special[move], this.#place(ir, i), offset, 0, 0, 0);
      else this.#setState(ir, i, move, offset);
      return;
    }
    if (op === Op.probe_write) {
      const a = this.#operand(ir, ir.a[i]!);
      this.#write(handlers.plain[op]!, ir.imm2[i]!, a, 0, ir.imm[i]!, this.#trapWord);
      return;
    }
    if (op >= Op.call_i32 && op <= Op.call_v128) {
      this.#call(ir, i);
      return;
    }
    const flags = FLAGS[op]!;
    const a = ir.a[i]! >= 0 ? this.#operand(ir, ir.a[i]!) : 0;
    const right = ir.b[i]!;
    if (OPERANDS[op] === 2 && handlers.immediate[op]! >= 0 && this.#isSmall(ir, right)) {
      this.#write(handlers.immediate[op]!, this.#place(ir, i), a, 0, ir.imm[right]!, 0);
      return;
    }
    const b = right >= 0 ? this.#operand(ir, right) : 0;
    const third = ir.c[i]!;
    let imm = third >= 0 ? this.#operand(ir, third) : ir.imm[i]!;
    if (LANE_SCALE[op]! > 0) imm *= LANE_SCALE[op]!;
    const dst = HAS_RESULT[op] === 1 ? this.#place(ir, i) : 0;
    const handler = handlers.plain[SAME_BITS.get(op) ?? op]!;
    // A third operand has the place of the immediate, which goes behind it.
    const last = (flags & FLAG_TRAP) !== 0 ? this.#trapWord : third >= 0 ? ir.imm[i]! : 0;
    this.#write(handler, dst, a, b, imm, last);
    if (POOLED[op] === 1) this.#writePool(ir, ir.imm[i]!);
  }

  /** i32 state fields are 4 bytes wide: what follows them must stay. */
  #setState(ir: IrBuilder, i: number, move: "mov32" | "mov64" | "mov128", offset: number): void {
    const handlers = this.#handlers;
    const slot = this.#operand(ir, ir.a[i]!);
    this.#write(
      move === "mov32" ? handlers.special.mov32_narrow : handlers.special[move],
      offset,
      slot,
      0,
      0,
      0,
    );
  }

  #call(ir: IrBuilder, i: number): void {
    const id = ir.imm[i]!;
    const count = HELPERS[id]!.operands.length;
    const a = this.#operand(ir, ir.a[i]!);
    const b = count > 1 ? this.#operand(ir, ir.b[i]!) : 0;
    const c = count > 2 ? this.#operand(ir, ir.c[i]!) : 0;
    this.#write(this.#handlers.helper[id]!, this.#place(ir, i), a, b, c, 0);
  }

  #writePool(ir: IrBuilder, index: number): void {
    const word = this.#at >>> 2;
    for (let n = 0; n < 4; n++) this.#ram.i32[word + n] = ir.pool[index * 4 + n]!;
    this.#at += RECORD_BYTES;
  }

  #terminator(ir: IrBuilder, mayLink: boolean): void {
    this.#terminatorKind = ir.terminator;
    const special = this.#handlers.special;
    const count = ir.instructions;
    switch (ir.terminator) {
      case TERM_JUMP:
        if (!fitsInt32(ir.target)) this.#farJump(ir);
        else this.#write(special.jump, count, 0, 0, ir.target, this.#link(ir, ir.target, mayLink));
        return;
      case TERM_BRANCH:
        this.#branch(ir, mayLink);
        return;
      case TERM_INDIRECT:
        this.#indirect(ir, this.#operand(ir, ir.termTemp));
        return;
      case TERM_SYSCALL:
        this.#write(special.syscall, count, 0, 0, ir.target, 0);
        return;
      case TERM_TRAP:
        this.#write(special.trap, count - 1, ir.termKind, 0, ir.target, 0);
        return;
      default:
        throw new Error("block without terminator");
    }
  }

  #indirect(ir: IrBuilder, slot: number): void {
    this.#terminatorKind = TERM_INDIRECT;
    this.#write(this.#handlers.special.indirect, ir.instructions, slot, 0, 0, 0);
    this.#ram.u8.fill(0, this.#at, this.#at + INDIRECT_BYTES);
    this.#at += INDIRECT_BYTES;
  }

  /** Only jumps within the page are ever linked: another page may be mapped elsewhere next time. */
  #link(ir: IrBuilder, delta: number, mayLink: boolean): number {
    const offset = pageOffset(ir.basePc) + delta;
    return mayLink && offset >= 0 && offset < 4096 ? LINK_NONE : LINK_NEVER;
  }

  #branch(ir: IrBuilder, mayLink: boolean): void {
    const handlers = this.#handlers;
    if (!fitsInt32(ir.target) || !fitsInt32(ir.fallTarget)) {
      this.#farBranch(ir);
      return;
    }
    const fused = this.#fused;
    const count = ir.instructions;
    if (fused < 0) {
      this.#write(handlers.special.branch, count, this.#operand(ir, ir.termTemp), 0, 0, 0);
    } else {
      const op = ir.op[fused]!;
      const a = this.#operand(ir, ir.a[fused]!);
      const b = ir.b[fused]!;
      if (op === Op.i32_eqz || op === Op.i64_eqz) {
        const equal = op === Op.i32_eqz ? Op.i32_eq : Op.i64_eq;
        this.#write(handlers.branchImmediate[equal]!, count, a, 0, 0, 0);
      } else if (this.#isSmall(ir, b)) {
        this.#write(handlers.branchImmediate[op]!, count, a, 0, ir.imm[b]!, 0);
      } else {
        this.#write(handlers.branch[op]!, count, a, this.#operand(ir, b), 0, 0);
      }
    }
    // Sides by the value of the condition: 0 first.
    const word = this.#at >>> 2;
    const i32 = this.#ram.i32;
    i32[word] = ir.fallTarget;
    i32[word + 1] = this.#link(ir, ir.fallTarget, mayLink);
    i32[word + 2] = ir.target;
    i32[word + 3] = this.#link(ir, ir.target, mayLink);
    this.#at += RECORD_BYTES;
  }

  #farConst(delta: number): number {
    const slot = this.#freshSlot(false);
    this.#write(
      this.#handlers.special.pc_const,
      slot,
      0,
      0,
      delta | 0,
      Math.floor(delta / 0x1_0000_0000) | 0,
    );
    return slot;
  }

  #farJump(ir: IrBuilder): void {
    this.#indirect(ir, this.#farConst(ir.target));
  }

  #farBranch(ir: IrBuilder): void {
    const condition = this.#fused >= 0 ? this.#unfuse(ir) : this.#operand(ir, ir.termTemp);
    const taken = this.#farConst(ir.target);
    const fall = this.#farConst(ir.fallTarget);
    this.#write(this.#handlers.plain[Op.select_i64]!, taken, taken, fall, condition, 0);
    this.#indirect(ir, taken);
  }

  #unfuse(ir: IrBuilder): number {
    const fused = this.#fused;
    this.#fused = -1;
    this.#ordinary(ir, fused, ir.op[fused]!);
    return this.#slot[fused]!;
  }
}

function fitsInt32(value: number): boolean {
  return value === (value | 0);
}
