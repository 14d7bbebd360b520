// SPDX-License-Identifier: Apache-2.0
// What every lifting function works with: the instruction, the IR builder, and access to operands.
//
// Values of 1, 2 and 4 bytes are i32 temps, of 8 bytes i64 temps. The bits of an i32 temp above a size of 1
// or 2 are undefined until zeroExtend or signExtend makes them so. An instruction has at most one ModRM
// memory operand; its address is computed once (address()) and kept in addr and disp.
// Order in each lifting function: whatever may fault, then the first change of guest state.

import { TRAP_PROTECTION } from "../../../include/linux/cpu.ts";
import type { IrBuilder, Temp } from "../../../virt/ir/builder.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { CPU_STATE } from "../../../virt/layout.ts";
import { BASE_NONE, BASE_RIP, type Insn, SEGMENT_FS, SEGMENT_GS } from "../decode.ts";
import {
  KIND_A,
  KIND_AX,
  KIND_CL,
  KIND_E,
  KIND_G,
  KIND_IMM,
  KIND_M,
  KIND_N,
  KIND_OFFSET,
  KIND_ONE,
  KIND_P,
  KIND_Q,
  KIND_U,
  KIND_V,
  KIND_W,
  KIND_Z,
  SIZE_V,
  SIZE_Y,
  SIZE_Z,
  type X86Operand,
} from "../tables/forms.ts";

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const R11 = 11;

/** A pair of operations, for i32 and for i64. */
export interface Pair {
  readonly i: number;
  readonly l: number;
}
export const ADD: Pair = { i: Op.i32_add, l: Op.i64_add };
export const SUB: Pair = { i: Op.i32_sub, l: Op.i64_sub };
export const AND: Pair = { i: Op.i32_and, l: Op.i64_and };
export const OR: Pair = { i: Op.i32_or, l: Op.i64_or };
export const XOR: Pair = { i: Op.i32_xor, l: Op.i64_xor };
export const MUL: Pair = { i: Op.i32_mul, l: Op.i64_mul };
export const SHL: Pair = { i: Op.i32_shl, l: Op.i64_shl };
export const SHR: Pair = { i: Op.i32_shr_u, l: Op.i64_shr_u };
export const SAR: Pair = { i: Op.i32_shr_s, l: Op.i64_shr_s };
export const ROTL: Pair = { i: Op.i32_rotl, l: Op.i64_rotl };
export const ROTR: Pair = { i: Op.i32_rotr, l: Op.i64_rotr };
export const EQ: Pair = { i: Op.i32_eq, l: Op.i64_eq };
export const NE: Pair = { i: Op.i32_ne, l: Op.i64_ne };

export class Lift {
  readonly b: IrBuilder;
  readonly insn: Insn;
  /** MODE_RELAXED, MODE_TRACKED or MODE_EXACT. */
  readonly mode: number;
  nextPc = 0;
  /** True once a terminator has been set. */
  ended = false;
  addr: Temp = -1;
  disp = 0;

  constructor(builder: IrBuilder, insn: Insn, mode: number) {
    this.b = builder;
    this.insn = insn;
    this.mode = mode;
  }

  begin(): void {
    this.nextPc = this.insn.pc + this.insn.length;
    this.addr = -1;
    this.disp = 0;
  }

  // --- Values ---

  op(pair: Pair, size: number, a: Temp, b: Temp): Temp {
    return this.b.emit(size === 8 ? pair.l : pair.i, a, b);
  }

  /** A constant of the temp type for `size`, sign-extended. */
  constant(size: number, value: number): Temp {
    return size === 8 ? this.b.const64(value | 0, value >> 31) : this.b.const32(value);
  }

  zeroExtend(value: Temp, size: number): Temp {
    if (size >= 4) return value;
    return this.b.emit(Op.i32_and, value, this.b.const32(size === 1 ? 0xff : 0xffff));
  }

  signExtend(value: Temp, size: number): Temp {
    if (size >= 4) return value;
    return this.b.emit(size === 1 ? Op.i32_extend8_s : Op.i32_extend16_s, value);
  }

  /** The value as a clean i64. */
  wide(value: Temp, size: number, sign: "signed" | "unsigned"): Temp {
    if (size === 8) return value;
    if (sign === "signed") return this.b.emit(Op.i64_extend_i32_s, this.signExtend(value, size));
    return this.b.emit(Op.i64_extend_i32_u, this.zeroExtend(value, size));
  }

  narrow(value: Temp): Temp {
    return this.b.emit(Op.i32_wrap_i64, value);
  }

  /** i32 0 or 1: the top bit of a value of `size`. */
  signBit(value: Temp, size: number): Temp {
    const b = this.b;
    if (size === 8) return this.narrow(b.emit(Op.i64_shr_u, value, b.const64(63, 0)));
    const top = b.emit(Op.i32_shr_u, value, b.const32(size * 8 - 1));
    return size === 4 ? top : b.emit(Op.i32_and, top, b.const32(1));
  }

  isZero(value: Temp, size: number): Temp {
    return this.b.emit(size === 8 ? Op.i64_eqz : Op.i32_eqz, this.zeroExtend(value, size));
  }

  /** a when cond, else b. */
  select(size: number, cond: Temp, a: Temp, b: Temp): Temp {
    return this.b.emit(size === 8 ? Op.select_i64 : Op.select_i32, a, b, cond);
  }

  // --- General registers ---

  /** Register by its number in the encoding: 4..7 without REX are AH CH DH BH for bytes. */
  readRegister(n: number, size: number): Temp {
    if (size === 1 && n >= 4 && n < 8 && !this.insn.hasRex) {
      return this.b.emit(Op.i32_shr_u, this.narrow(this.b.getGpr(n - 4)), this.b.const32(8));
    }
    const value = this.b.getGpr(n);
    return size === 8 ? value : this.narrow(value);
  }

  writeRegister(n: number, size: number, value: Temp): void {
    const b = this.b;
    if (size >= 4) {
      b.setGpr(n, value);
    } else if (size === 2) {
      b.setGpr(n, b.emit(Op.insert16, b.getGpr(n), value));
    } else if (n >= 4 && n < 8 && !this.insn.hasRex) {
      b.setGpr(n - 4, b.emit(Op.insert8h, b.getGpr(n - 4), value));
    } else {
      b.setGpr(n, b.emit(Op.insert8, b.getGpr(n), value));
    }
  }

  // --- Memory ---

  segmentBase(segment: number): Temp {
    return this.b.getState64(segment === SEGMENT_FS ? CPU_STATE.fsBase : CPU_STATE.gsBase);
  }

  withSegment(address: Temp): Temp {
    const { segment } = this.insn;
    if (segment !== SEGMENT_FS && segment !== SEGMENT_GS) return address;
    return this.b.emit(Op.i64_add, this.segmentBase(segment), address);
  }

  /** Computes the address of the memory operand into addr and disp. */
  address(): void {
    if (this.addr >= 0) return;
    const { b, insn } = this;
    if (insn.segment === 0 && !insn.addr32 && insn.base >= 0) {
      this.addr = insn.index < 0
        ? b.getGpr(insn.base)
        : b.scaledAdd(b.getGpr(insn.base), b.getGpr(insn.index), insn.scale);
      this.disp = insn.disp;
      return;
    }
    this.addr = this.withSegment(this.effectiveAddress());
    this.disp = 0;
  }

  /** The offset within the segment as one i64 temp, for LEA and segment-relative operands. */
  effectiveAddress(): Temp {
    const { b, insn } = this;
    let sum: Temp;
    if (insn.base === BASE_RIP) sum = b.pcConst(this.nextPc + insn.disp);
    else if (insn.base === BASE_NONE) sum = b.const64(insn.disp, insn.disp >> 31);
    else sum = b.getGpr(insn.base);
    if (insn.index >= 0) {
      const index = b.getGpr(insn.index);
      sum = insn.base === BASE_NONE && insn.disp === 0
        ? b.emit(Op.i64_shl, index, b.const64(insn.scale, 0))
        : b.scaledAdd(sum, index, insn.scale);
    }
    if (insn.base >= 0) sum = b.emit(Op.i64_add, sum, b.const64(insn.disp, insn.disp >> 31));
    return insn.addr32 ? b.emit(Op.i64_extend_i32_u, this.narrow(sum)) : sum;
  }

  loadAt(addr: Temp, disp: number, size: number): Temp {
    return this.b.load(
      size === 8 ? Op.load64 : size === 4 ? Op.load32 : size === 2 ? Op.load16_u : Op.load8_u,
      addr,
      disp,
    );
  }

  storeAt(addr: Temp, disp: number, size: number, value: Temp): void {
    this.b.store(
      size === 8 ? Op.store64 : size === 4 ? Op.store32 : size === 2 ? Op.store16 : Op.store8,
      addr,
      disp,
      value,
    );
  }

  load(size: number): Temp {
    this.address();
    return this.loadAt(this.addr, this.disp, size);
  }

  store(size: number, value: Temp): void {
    this.address();
    this.storeAt(this.addr, this.disp, size, value);
  }

  /** #GP unless the memory operand is aligned to `bytes`. */
  checkAlignment(bytes: number): void {
    this.address();
    const { b } = this;
    let low = this.narrow(this.addr);
    if ((this.disp & (bytes - 1)) !== 0) low = b.emit(Op.i32_add, low, b.const32(this.disp));
    b.trapIf(TRAP_PROTECTION, b.emit(Op.i32_and, low, b.const32(bytes - 1)));
  }

  // --- Operands ---

  operand(n: number): X86Operand {
    return this.insn.form.operands[n]!;
  }

  /** Bytes of operand n. */
  size(n: number): number {
    const { size } = this.operand(n);
    if (size > 0) return size;
    if (size === SIZE_V) return this.insn.opSize;
    if (size === SIZE_Y) return this.insn.rexW ? 8 : 4;
    if (size === SIZE_Z) return this.insn.opSize === 2 ? 2 : 4;
    return 0;
  }

  isMemory(n: number): boolean {
    const { kind } = this.operand(n);
    if (kind === KIND_M || kind === KIND_OFFSET) return true;
    return (kind === KIND_E || kind === KIND_W || kind === KIND_Q) && !this.insn.isReg;
  }

  /** The number of the general register that operand n names, or -1. */
  registerOf(n: number): number {
    const { insn } = this;
    switch (this.operand(n).kind) {
      case KIND_E:
        return insn.isReg ? insn.rm : -1;
      case KIND_G:
        return insn.reg;
      case KIND_Z:
        return (insn.opcode & 7) | insn.rexB;
      case KIND_A:
      case KIND_AX:
        return RAX;
      case KIND_CL:
        return RCX;
      default:
        return -1;
    }
  }

  /** Integer operand n as a temp for `size` bytes. */
  read(n: number, size: number = this.size(n)): Temp {
    const { insn } = this;
    const { kind } = this.operand(n);
    if (kind === KIND_IMM) {
      return size === 8 && insn.opSize === 8 && this.operand(n).size === SIZE_V
        ? this.b.const64(insn.imm, insn.immHi)
        : this.constant(size, insn.imm);
    }
    if (kind === KIND_ONE) return this.constant(size, 1);
    if (kind === KIND_OFFSET) this.offsetAddress();
    if (this.isMemory(n)) return this.load(size);
    return this.readRegister(this.registerOf(n), size);
  }

  /** Reads operand n, which is going to be written: faults as a write. */
  readModify(n: number, size: number = this.size(n)): Temp {
    if (this.isMemory(n)) {
      this.address();
      this.b.probeWrite(size, this.addr, this.disp);
    }
    return this.read(n, size);
  }

  write(n: number, value: Temp, size: number = this.size(n)): void {
    if (this.operand(n).kind === KIND_OFFSET) this.offsetAddress();
    if (this.isMemory(n)) this.store(size, value);
    else this.writeRegister(this.registerOf(n), size, value);
  }

  offsetAddress(): void {
    if (this.addr >= 0) return;
    this.addr = this.withSegment(this.b.const64(this.insn.imm, this.insn.immHi));
    this.disp = 0;
  }

  /** The number of the xmm or mmx register that operand n names. */
  vectorOf(n: number): number {
    const { insn } = this;
    switch (this.operand(n).kind) {
      case KIND_V:
        return insn.reg;
      case KIND_W:
      case KIND_U:
        return insn.rm;
      case KIND_P:
        return insn.reg & 7;
      case KIND_Q:
      case KIND_N:
        return insn.rm & 7;
      default:
        return -1;
    }
  }

  isMmx(n: number): boolean {
    const { kind } = this.operand(n);
    return kind === KIND_P || kind === KIND_Q || kind === KIND_N;
  }

  // --- Ends ---

  jump(pc: number): void {
    this.b.jump(pc);
    this.ended = true;
  }

  trap(kind: number, pc: number = this.insn.pc): void {
    this.b.trap(kind, pc);
    this.ended = true;
  }
}

/** A lifting function: emits the instruction in `l`. */
export type Lifter = (l: Lift) => void;
export type LifterTable = Readonly<Record<string, Lifter>>;
