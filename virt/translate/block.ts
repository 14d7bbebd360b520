// SPDX-License-Identifier: Apache-2.0
// Emits the straight-line part of one block of a region.
//
// Temps are lazy where that is safe: a pure operation with one use is emitted where it is used, a get_gpr is the
// register's local itself. Before a register is set, what still depends on its old value is put into locals.
// Whatever may leave the block branches to the region's shared side exit with `site` set; the interpreter then
// does that instruction again from its start, so nothing before it in the instruction may have been stored.

import { CPU_BASE } from "../layout.ts";
import { FLAG_LANE, FLAG_POOL, FLAG_TRAP, FLAG_WRITE, HELPERS, Op, OPS } from "../ir/ops.ts";
import { emitKey } from "../interp/slots.ts";
import { LOADS, STORES, WASM_TYPES } from "../runtime/access.ts";
import { emitIsHigh } from "../runtime/inline.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { type Label, UNLIKELY } from "../wasm/assembler.ts";
import { VOID, W } from "../wasm/opcodes.ts";
import { alignedAccess } from "./alignment.ts";
import type { BlockMemory } from "./facts.ts";
import type { RegionFrame } from "./frame.ts";
import type { IrBlock } from "./ir-block.ts";
import { MemoryEmitter } from "./memory.ts";
import { emitExtCall, emitStateCall } from "./ext-call.ts";
import {
  ALL_FLAGS,
  forgetFlagsAside,
  joinFlagsAside,
  type PartialFlags,
  partialFlags,
  putFlagsAside,
} from "./partial-flags.ts";

const CAPACITY = 3072;
/** A site is an offset from the anchor above what is unpaid there. */
export const SITE_SHIFT = 8;
/** Most that a block may leave unpaid. */
export const UNPAID_MAX: number = (1 << SITE_SHIFT) - 1;
const CANONICAL_SHIFT = 47;
const NONE = 0;
const LAZY = 1;
const LOCAL = 2;

export interface RegionLabels {
  /** The instruction at `site` is left to the interpreter. */
  readonly side: Label;
  /** pc, status and budget are set; registers go to memory. */
  readonly exit: Label;
}

const STATE_ACCESS: ReadonlyMap<number, number> = new Map([
  [Op.get_state32, W.i32_load],
  [Op.get_state64, W.i64_load],
  [Op.get_statef32, W.f32_load],
  [Op.get_statef64, W.f64_load],
  [Op.get_state128, W.v128_load],
  [Op.set_state32, W.i32_store],
  [Op.set_state64, W.i64_store],
  [Op.set_statef32, W.f32_store],
  [Op.set_statef64, W.f64_store],
  [Op.set_state128, W.v128_store],
]);

const LEAVES_FOR_NAN = Uint8Array.from(OPS, ({ key }) => (key.includes("_nan") ? 1 : 0));

/** Whether the flags of before are wanted where the result is: it reads them, or leaves to the interpreter. */
function seesFlags(op: number): boolean {
  return (op >= Op.get_cc_op && op <= Op.cc_flags) || LEAVES_FOR_NAN[op] === 1;
}

export class BlockEmitter {
  readonly frame: RegionFrame;
  readonly runtime: RuntimeFunctions;
  labels: RegionLabels = { side: 0, exit: 0 };
  ir!: IrBlock; // set by emit()
  /** Offset of the block from the anchor. */
  offset = 0;
  /** Instructions of blocks before that the budget still has to pay for. */
  #owed = 0;
  /** True when an ext may have asked to leave: the terminator must look at the budget. */
  hasExt = false;
  readonly #memory: MemoryEmitter;
  readonly #uses = new Uint16Array(CAPACITY);
  readonly #left = new Uint16Array(CAPACITY);
  readonly #state = new Uint8Array(CAPACITY);
  readonly #local = new Int32Array(CAPACITY);
  readonly #mask = new Int32Array(CAPACITY);
  readonly #pinned = new Uint8Array(CAPACITY);
  readonly #dead = new Uint8Array(CAPACITY);
  /** Accesses whose check is that of their alignment too. */
  readonly #aligned = new Set<number>();
  /** Records that put the flags which they set aside. */
  readonly #aside = new Map<number, PartialFlags>();
  #pending: number[] = [];
  #insnOffset = 0;
  #insnIndex = -1;
  #siteIsSet = false;
  /** Registers that differ from memory. */
  dirty = 0;
  /** The instruction in progress has changed state: it cannot be done again. */
  #isDirty = false;
  /** Whether flags are aside where the block has come to, and whether there are any in the block. */
  #hasAside = false;
  hasFlagsAside = false;

  constructor(frame: RegionFrame, runtime: RuntimeFunctions) {
    this.frame = frame;
    this.runtime = runtime;
    this.#memory = new MemoryEmitter(this);
  }

  /** `dirty`: registers that differ from memory already. `owed`: what the budget has to pay for already, in instructions. */
  emit(ir: IrBlock, offset: number, dirty: number, memory: BlockMemory, owed: number): void {
    this.dirty = dirty;
    this.#owed = owed;
    this.ir = ir;
    this.offset = offset;
    this.hasExt = false;
    this.#hasAside = false;
    this.hasFlagsAside = false;
    this.#insnIndex = -1;
    this.#siteIsSet = false;
    this.#isDirty = false;
    this.#pending = [];
    this.#memory.begin(memory);
    this.#analyse();
    for (let i = 0; i < ir.length; i++) if (this.#dead[i] === 0) this.#record(i);
    this.#memory.publish();
  }

  /** Ends the block: locals are free again. */
  release(): void {
    for (let i = 0; i < this.ir.length; i++) {
      if (this.#state[i] === LOCAL && this.#local[i]! >= 0) this.#free(i);
    }
    this.#memory.release();
  }

  get insnOffset(): number {
    return this.#insnOffset;
  }

  /** Instructions before this one that the budget has not paid for. */
  get unpaid(): number {
    return this.#owed + this.#insnIndex;
  }

  /** Pushes a temp; each operand of each record is pushed once, address bases as often as needed. */
  push(temp: number): void {
    const f = this.frame.f;
    if (this.#state[temp] === LOCAL) {
      f.get(this.#local[temp]!);
    } else {
      this.#emitValue(temp);
    }
    this.#consume(temp);
  }

  /** Makes pushing `temp` cheap and repeatable: a local, a register or a constant. */
  ensureLocal(temp: number): void {
    const op = this.ir.op[temp]!;
    this.#pinned[temp] = 1;
    if (this.#state[temp] === LOCAL || isConstant(op) || op === Op.get_gpr || op === Op.get_xmm) return;
    this.#toLocal(temp);
  }

  /** Whether the trap for an access that is not aligned was left out, because its check is to look at that. */
  asksAlignment(i: number): boolean {
    return this.#aligned.has(i);
  }

  /** True when the instruction has changed state, so that a side exit would do it twice. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** Leaves with `status` set and the pc and count of before this instruction. */
  exitAtInstruction(): void {
    const { frame } = this;
    if (this.#hasAside) joinFlagsAside(frame, this.runtime.flagsOf);
    frame.setDirty(this.dirty);
    frame.setPc(this.offset + this.#insnOffset);
    frame.f.get(frame.budget);
    frame.f.i32(this.unpaid);
    frame.f.op(W.i32_sub);
    frame.f.set(frame.budget);
    frame.f.br(this.labels.exit);
  }

  /** Must precede anything that may leave. */
  setSite(): void {
    if (this.#siteIsSet) return;
    this.#siteIsSet = true;
    const { f, site } = this.frame;
    f.i32(((this.offset + this.#insnOffset) << SITE_SHIFT) | this.unpaid);
    f.set(site);
    this.frame.setDirty(this.dirty);
  }

  #analyse(): void {
    const ir = this.ir;
    const length = ir.length;
    this.#uses.fill(0, 0, length);
    this.#state.fill(NONE, 0, length);
    this.#pinned.fill(0, 0, length);
    this.#local.fill(-1, 0, length);
    if (ir.termTemp >= 0) this.#uses[ir.termTemp] = 1;
    this.#aside.clear();
    this.#aligned.clear();
    let ccDead = false;
    // Of the flags before here, those that nobody looks at but who leaves.
    let shadow = 0;
    for (let i = length - 1; i >= 0; i--) {
      const op = ir.op[i]!;
      this.#dead[i] = 0;
      const flags = OPS[op]!.flags;
      const aligned = op === Op.trap_if ? alignedAccess(ir, i) : -1;
      if (aligned >= 0 && this.#memory.checksAlone(aligned)) {
        this.#aligned.add(aligned);
        this.#dead[i] = 1;
        continue;
      }
      if (op === Op.set_cc || op === Op.set_cc_dynamic) {
        if (ccDead) {
          this.#dead[i] = 1;
          continue;
        }
        const partial = this.#asidePart(i, shadow);
        if (partial !== undefined) {
          this.#aside.set(i, partial);
          this.#uses[partial.value]!++;
          shadow = partial.mask;
          continue;
        }
        ccDead = true;
        shadow = ALL_FLAGS;
      } else if (seesFlags(op) && this.#uses[i] !== 0) {
        ccDead = false;
        shadow = 0;
      } else if ((flags & FLAG_TRAP) !== 0) {
        ccDead = false;
        if (op === Op.ext) shadow = 0;
      }
      if ((flags & (FLAG_TRAP | FLAG_WRITE)) === 0 && this.#uses[i] === 0 && op !== Op.insn) {
        this.#dead[i] = 1;
        continue;
      }
      const a = ir.a[i]!;
      if (a >= 0) this.#uses[a]!++;
      const b = ir.b[i]!;
      if (b >= 0) this.#uses[b]!++;
      const c = ir.c[i]!;
      if (c >= 0) this.#uses[c]!++;
    }
    this.#left.set(this.#uses.subarray(0, length));
  }

  /** The part of the flags that a record sets, when it can put it aside. */
  #asidePart(i: number, shadow: number): PartialFlags | undefined {
    const partial = shadow === 0 ? undefined : partialFlags(this.ir, i);
    if (partial === undefined || (partial.mask & ~shadow) !== 0) return undefined;
    return partial.between.some((temp) => this.#uses[temp] !== 0) ? undefined : partial;
  }

  #consume(temp: number): void {
    const left = --this.#left[temp]!;
    if (left === 0 && this.#state[temp] === LOCAL && this.#pinned[temp] === 0) this.#free(temp);
  }

  #free(temp: number): void {
    this.frame.give(this.#type(temp), this.#local[temp]!);
    this.#local[temp] = -1;
  }

  #type(temp: number): number {
    return WASM_TYPES[OPS[this.ir.op[temp]!]!.result]!;
  }

  /** Emits the value now and keeps it. */
  #toLocal(temp: number): void {
    this.#emitValue(temp);
    this.#keep(temp);
  }

  /** Moves the value on the stack into a local of `temp`. */
  #keep(temp: number): void {
    const local = this.frame.take(this.#type(temp));
    this.frame.f.set(local);
    this.#state[temp] = LOCAL;
    this.#local[temp] = local;
  }

  /** The result of a record that was just emitted: dropped when nobody wants it. */
  keepResult(temp: number): void {
    if (this.#uses[temp] === 0) this.frame.f.op(W.drop);
    else this.#keep(temp);
  }

  #makeLazy(temp: number, mask: number): void {
    this.#state[temp] = LAZY;
    this.#mask[temp] = mask;
    if (mask !== 0) this.#pending.push(temp);
  }

  #maskOf(temp: number): number {
    return temp >= 0 && this.#state[temp] === LAZY ? this.#mask[temp]! : 0;
  }

  /** What depends on these registers and is still wanted goes into locals. */
  #settle(mask: number): void {
    if (this.#pending.length === 0) return;
    const rest: number[] = [];
    for (const temp of this.#pending) {
      if (this.#state[temp] !== LAZY) continue;
      if (this.#left[temp] === 0 && this.#pinned[temp] === 0) continue;
      if ((this.#mask[temp]! & mask) === 0) rest.push(temp);
      else this.#toLocal(temp);
    }
    this.#pending = rest;
  }

  #record(i: number): void {
    const ir = this.ir;
    const op = ir.op[i]!;
    switch (op) {
      case Op.insn:
        this.#insnOffset = ir.imm[i]!;
        this.#insnIndex++;
        this.#siteIsSet = false;
        this.#isDirty = false;
        return;
      case Op.const32:
      case Op.const64:
      case Op.const128:
      case Op.pc_const:
        this.#makeLazy(i, 0);
        return;
      case Op.get_gpr:
        this.#makeLazy(i, 1 << ir.imm[i]!);
        return;
      case Op.get_xmm:
        this.#makeLazy(i, 1 << (16 + ir.imm[i]!));
        return;
      case Op.set_gpr:
        this.#setRegister(ir.a[i]!, ir.imm[i]!);
        return;
      case Op.set_xmm:
        this.#setRegister(ir.a[i]!, 16 + ir.imm[i]!);
        return;
      case Op.set_cc:
      case Op.set_cc_dynamic:
        this.#setCc(i, op);
        return;
      case Op.trap_if:
        this.#trapIf(i);
        return;
      case Op.ext:
        this.hasExt = true;
        this.#settle(-1);
        this.#isDirty = true;
        emitExtCall(this, ir.imm[i]!);
        this.dirty = 0;
        return;
      case Op.ext_state:
        this.hasExt = true;
        this.#settle(-1);
        this.#isDirty = true;
        emitStateCall(this, ir.imm[i]!);
        return;
      default:
        this.#other(i, op);
    }
  }

  #other(i: number, op: number): void {
    const f = this.frame.f;
    const state = STATE_ACCESS.get(op);
    if (state !== undefined) {
      f.i32(CPU_BASE);
      const isStore = OPS[op]!.result === "";
      if (isStore) this.push(this.ir.a[i]!);
      f.memory(state, this.ir.imm[i]!);
      if (isStore) this.#isDirty = true;
      else this.#keep(i);
      return;
    }
    if (LOADS.has(op)) {
      this.#memory.load(i);
      return;
    }
    if (STORES.has(op)) {
      this.#memory.store(i);
      this.#isDirty = true;
      return;
    }
    if (op === Op.probe_write) {
      this.#memory.probe(i);
      return;
    }
    this.#pure(i, op);
  }

  #trapIf(i: number): void {
    const { frame, ir } = this;
    const f = frame.f;
    if (!this.#isDirty) {
      this.setSite();
      if (!this.#trapUnlessLow(ir.a[i]!)) this.push(ir.a[i]!);
      f.brIf(this.labels.side, UNLIKELY);
      return;
    }
    this.push(ir.a[i]!);
    f.if_(VOID, UNLIKELY);
    f.i32(ir.imm[i]!);
    f.set(frame.status);
    this.exitAtInstruction();
    f.end();
  }

  /**
   * Whether a condition asks that an address be canonical, as (x >> 47) + 1 > 1 unsigned. What is not in the lower half is
   * left to the interpreter, which looks again: a shorter condition is pushed.
   */
  #trapUnlessLow(cond: number): boolean {
    const { ir } = this;
    if (ir.op[cond] !== Op.i64_gt_u || this.#left[cond] !== 1 || this.#state[cond] !== LAZY) return false;
    const sum = ir.a[cond]!;
    if (ir.op[sum] !== Op.i64_add || this.#left[sum] !== 1 || this.#state[sum] !== LAZY) return false;
    const shift = ir.a[sum]!;
    if (ir.op[shift] !== Op.i64_shr_s || this.#left[shift] !== 1 || this.#state[shift] !== LAZY) return false;
    if (ir.op[ir.b[shift]!] !== Op.const64 || ir.imm[ir.b[shift]!] !== CANONICAL_SHIFT) return false;
    for (const temp of [cond, sum, shift]) {
      this.#discard(temp);
      this.#discard(ir.b[temp]!);
    }
    const f = this.frame.f;
    this.push(ir.a[shift]!);
    emitIsHigh(f);
    return true;
  }

  #setRegister(temp: number, register: number): void {
    const isLast = this.#left[temp] === 1 && this.#pinned[temp] === 0;
    if (isLast) this.#left[temp] = 0; // it is not kept for its own sake
    this.#settle(1 << register);
    if (isLast) this.#left[temp] = 1;
    this.push(temp);
    this.frame.f.set(this.frame.registers[register]!);
    this.dirty |= 1 << register;
    this.#isDirty = true;
  }

  #setCc(i: number, op: number): void {
    const { frame, ir } = this;
    const f = frame.f;
    const isStatic = op === Op.set_cc;
    this.#isDirty = true;
    const partial = this.#aside.get(i);
    if (partial !== undefined) {
      this.push(partial.value);
      putFlagsAside(frame, partial.mask);
      this.#hasAside = this.hasFlagsAside = true;
      return;
    }
    if (this.#hasAside) forgetFlagsAside(frame);
    this.#hasAside = false;
    if (isStatic) {
      f.i32(ir.imm[i]!);
      f.set(frame.ccOp);
      this.push(ir.a[i]!);
      f.set(frame.ccA);
      this.push(ir.b[i]!);
      f.set(frame.ccB);
      return;
    }
    this.push(ir.a[i]!);
    f.set(frame.ccOp);
    this.push(ir.b[i]!);
    f.set(frame.ccA);
    this.push(ir.c[i]!);
    f.set(frame.ccB);
  }

  /** Operations that only compute. */
  #pure(i: number, op: number): void {
    const ir = this.ir;
    if (LEAVES_FOR_NAN[op] === 1) {
      this.#nan(i);
      return;
    }
    const isFlagRead = op >= Op.get_cc_op && op <= Op.cc_flags;
    const isCall = op >= Op.call_i32 && op <= Op.call_v128;
    if (this.#uses[i] === 1 && !isFlagRead && !isCall) {
      this.#makeLazy(i, this.#maskOf(ir.a[i]!) | this.#maskOf(ir.b[i]!) | this.#maskOf(ir.c[i]!));
      return;
    }
    this.#toLocal(i);
  }

  /** A NaN leaves to the interpreter, which knows x86's choice; unless the instruction has already acted. */
  #nan(i: number): void {
    const { frame, ir } = this;
    const f = frame.f;
    const info = OPS[ir.op[i]!]!;
    if (this.#isDirty) {
      for (let n = 0; n < info.operands.length; n++) {
        this.push(n === 0 ? ir.a[i]! : n === 1 ? ir.b[i]! : ir.c[i]!);
      }
      f.call(this.runtime.floats.get(info.key)!);
      this.#keep(i);
      return;
    }
    this.setSite();
    this.push(ir.a[i]!);
    this.#keep(i);
    this.#discard(ir.b[i]!);
    if (ir.c[i]! >= 0) this.#discard(ir.c[i]!);
    const local = this.#local[i]!;
    f.get(local);
    f.get(local);
    if (info.result === "f" || info.result === "d") {
      f.op(info.result === "f" ? W.f32_ne : W.f64_ne);
    } else {
      const wide = info.name.startsWith("f64");
      f.op(wide ? W.f64x2_ne : W.f32x4_ne);
      // Rather than any_true: an instruction of its own on x86, where that is a test and a set.
      f.op(wide ? W.i64x2_bitmask : W.i32x4_bitmask);
    }
    f.brIf(this.labels.side, UNLIKELY);
  }

  /** A use that turned out not to be needed. */
  #discard(temp: number): void {
    this.#consume(temp);
  }

  /** Leaves the value of a temp that is not in a local on the stack. */
  #emitValue(temp: number): void {
    const { frame, ir } = this;
    const f = frame.f;
    const op = ir.op[temp]!;
    const info = OPS[op]!;
    const push = (n: number): void => this.push(n === 0 ? ir.a[temp]! : n === 1 ? ir.b[temp]! : ir.c[temp]!);
    switch (op) {
      case Op.const32:
        f.i32(ir.imm[temp]!);
        return;
      case Op.const64:
        f.i64Halves(ir.imm[temp]!, ir.imm2[temp]!);
        return;
      case Op.const128:
        f.v128(this.#poolWords(ir.imm[temp]!));
        return;
      case Op.pc_const:
        frame.pushAddress(this.offset + ir.imm2[temp]! * 0x1_0000_0000 + (ir.imm[temp]! >>> 0));
        return;
      case Op.get_gpr:
        f.get(frame.registers[ir.imm[temp]!]!);
        return;
      case Op.get_xmm:
        f.get(frame.registers[16 + ir.imm[temp]!]!);
        return;
      case Op.get_cc_op:
        f.get(frame.ccOp);
        return;
      case Op.get_cc_a:
        f.get(frame.ccA);
        return;
      case Op.get_cc_b:
        f.get(frame.ccB);
        return;
      case Op.cc_flags:
        this.#pushFlags();
        return;
      case Op.cc_cond:
        f.i32(ir.imm[temp]!);
        this.#pushFlags();
        f.call(this.runtime.condOf);
        return;
    }
    if (op >= Op.call_i32 && op <= Op.call_v128) {
      const helper = HELPERS[ir.imm[temp]!]!;
      for (let n = 0; n < helper.operands.length; n++) push(n);
      f.call(this.runtime.helpers.get(helper.name)!);
      return;
    }
    if (info.opcode < 0) {
      emitKey(this.runtime, f, info, push, () => f.i64(ir.imm[temp]!));
      return;
    }
    for (let n = 0; n < info.operands.length; n++) push(n);
    if ((info.flags & FLAG_LANE) !== 0) {
      f.lane(info.opcode, ir.imm[temp]!);
    } else {
      f.op(info.opcode);
      if ((info.flags & FLAG_POOL) !== 0) {
        for (const word of this.#poolWords(ir.imm[temp]!)) f.body.u32le(word);
      }
    }
  }

  #pushFlags(): void {
    const { frame } = this;
    frame.f.get(frame.ccOp);
    frame.f.get(frame.ccA);
    frame.f.get(frame.ccB);
    frame.f.call(this.runtime.flagsOf);
  }

  #poolWords(index: number): readonly number[] {
    return [...this.ir.pool.subarray(index * 4, index * 4 + 4)];
  }
}

function isConstant(op: number): boolean {
  return op === Op.const32 || op === Op.const64 || op === Op.pc_const || op === Op.const128;
}
