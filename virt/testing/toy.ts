// SPDX-License-Identifier: Apache-2.0
// A toy instruction set for tests of the machine: 8-byte instructions {op, d, a, b, imm32}.
// It has just enough to reach every path: arithmetic, flags, memory, branches, calls, ext, traps, system calls.

import { TRAP_DIVIDE, TRAP_ILLEGAL } from "../../include/linux/cpu.ts";
import type { Ram } from "../../lib/ram.ts";
import type { ExtFunction, Fetch, FrontEnd, Lifted, LiftLimits } from "../frontend.ts";
import type { IrBuilder } from "../ir/builder.ts";
import { CC_SUB, ccOp } from "../ir/cc.ts";
import { Op } from "../ir/ops.ts";
import { JUMP_CALL, JUMP_PLAIN, JUMP_RETURN } from "../ir/terminators.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, PT_SHIFTS, PTE_PRESENT } from "../layout.ts";

export const TOY = {
  illegal: 0,
  li: 1,
  add: 2,
  addi: 3,
  sub: 4,
  mul: 5,
  load64: 6,
  store64: 7,
  load8: 8,
  store8: 9,
  cmp: 10,
  jcc: 11,
  jump: 12,
  call: 13,
  ret: 14,
  syscall: 15,
  ext: 16,
  divu: 17,
  add32: 18,
  xor: 19,
  shli: 20,
  jumpr: 21,
  rmw: 22,
  vload: 23,
  vadd: 24,
  vstore: 25,
  cmpi: 26,
  fadd: 27,
  mulhi: 28,
  push: 29,
  pop: 30,
  setcc: 31,
  callr: 32,
  /** Jumps to the address in memory that its own plus imm is the place of. */
  jumpm: 33,
  /** d = a & imm. */
  low: 34,
  /** Words of a table at a + b * 8 + imm. */
  loadx: 35,
  storex: 36,
  rmwx: 37,
} as const;

/** Register 4 is the stack pointer. */
const SP = 4;

export type ToyInstruction = readonly [op: number, d?: number, a?: number, b?: number, imm?: number];

export function assembleToy(program: readonly ToyInstruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([op, d = 0, a = 0, b = 0, imm = 0], n) => {
    bytes.set([op, d, a, b], n * 8);
    view.setInt32(n * 8 + 4, imm, true);
  });
  return bytes;
}

export class ToyFrontEnd implements FrontEnd {
  readonly exts: readonly ExtFunction[];

  constructor(exts: readonly ExtFunction[] = []) {
    this.exts = exts;
  }

  mode(): number {
    return 0;
  }

  lift(b: IrBuilder, fetch: Fetch, pc: number, limits: LiftLimits, _mode: number, out: Lifted): void {
    let at = pc;
    for (let n = 0; n < limits.instructionsMax && (n === 0 || at < limits.endPc); n++) {
      const bytes: number[] = [];
      for (let k = 0; k < 8; k++) {
        const byte = fetch.byte(at + k);
        if (byte < 0) {
          out.bytes = at - pc;
          out.faultPc = at + k;
          b.jump(at);
          return;
        }
        bytes.push(byte);
      }
      b.insn(at, 8);
      at += 8;
      out.bytes = at - pc;
      if (liftOne(b, bytes, at)) return;
    }
    b.jump(at);
  }
}

/** True when the instruction ends the block. */
function liftOne(b: IrBuilder, bytes: readonly number[], next: number): boolean {
  const [op = 0, d = 0, s = 0, t = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0] = bytes;
  const imm = b0 | (b1 << 8) | (b2 << 16) | (b3 << 24);
  const two = (o: number): void => b.setGpr(d, b.emit(o, b.getGpr(s), b.getGpr(t)));
  switch (op) {
    case TOY.li:
      b.setGpr(d, b.constNumber(imm));
      return false;
    case TOY.add:
      two(Op.i64_add);
      return false;
    case TOY.addi:
      b.setGpr(d, b.emit(Op.i64_add, b.getGpr(s), b.constNumber(imm)));
      return false;
    case TOY.sub:
      two(Op.i64_sub);
      return false;
    case TOY.mul:
      two(Op.i64_mul);
      return false;
    case TOY.xor:
      two(Op.i64_xor);
      return false;
    case TOY.mulhi:
      two(Op.mul_hi_u64);
      return false;
    case TOY.shli:
      b.setGpr(d, b.emit(Op.i64_shl, b.getGpr(s), b.constNumber(imm)));
      return false;
    case TOY.add32: {
      const sum = b.emit(
        Op.i32_add,
        b.emit(Op.i32_wrap_i64, b.getGpr(s)),
        b.emit(Op.i32_wrap_i64, b.getGpr(t)),
      );
      b.setGpr(d, sum);
      return false;
    }
    case TOY.divu: {
      const divisor = b.getGpr(t);
      b.trapIf(TRAP_DIVIDE, b.emit(Op.i64_eqz, divisor));
      b.setGpr(d, b.emit(Op.i64_div_u, b.getGpr(s), divisor));
      return false;
    }
    case TOY.load64:
      b.setGpr(d, b.load(Op.load64, b.getGpr(s), imm));
      return false;
    case TOY.load8:
      b.setGpr(d, b.load(Op.load8_u_64, b.getGpr(s), imm));
      return false;
    case TOY.store64:
      b.store(Op.store64, b.getGpr(s), imm, b.getGpr(d));
      return false;
    case TOY.store8:
      b.store(Op.store8, b.getGpr(s), imm, b.getGpr(d));
      return false;
    case TOY.low:
      b.setGpr(d, b.emit(Op.i64_and, b.getGpr(s), b.constNumber(imm)));
      return false;
    case TOY.loadx:
      b.setGpr(d, b.load(Op.load64, b.scaledAdd(b.getGpr(s), b.getGpr(t), 3), imm));
      return false;
    case TOY.storex:
      b.store(Op.store64, b.scaledAdd(b.getGpr(s), b.getGpr(t), 3), imm, b.getGpr(d));
      return false;
    case TOY.rmw:
    case TOY.rmwx: {
      const address = op === TOY.rmw ? b.getGpr(s) : b.scaledAdd(b.getGpr(s), b.getGpr(t), 3);
      b.probeWrite(8, address, imm);
      const sum = b.emit(Op.i64_add, b.load(Op.load64, address, imm), b.getGpr(d));
      b.store(Op.store64, address, imm, sum);
      b.setCc(ccOp(CC_SUB, 8), sum, b.constNumber(0));
      return false;
    }
    case TOY.push: {
      const sp = b.emit(Op.i64_add, b.getGpr(SP), b.constNumber(-8));
      b.store(Op.store64, sp, 0, b.getGpr(d));
      b.setGpr(SP, sp);
      return false;
    }
    case TOY.pop: {
      const value = b.load(Op.load64, b.getGpr(SP));
      b.setGpr(SP, b.emit(Op.i64_add, b.getGpr(SP), b.constNumber(8)));
      b.setGpr(d, value);
      return false;
    }
    case TOY.cmp:
      b.setCc(ccOp(CC_SUB, 8), b.getGpr(s), b.getGpr(t));
      return false;
    case TOY.cmpi:
      b.setCc(ccOp(CC_SUB, 4), b.emit(Op.i32_wrap_i64, b.getGpr(s)), b.const32(imm));
      return false;
    case TOY.setcc:
      b.setGpr(d, b.ccCond(imm));
      return false;
    case TOY.vload:
      b.setXmm(d, b.load(Op.load128, b.getGpr(s), imm));
      return false;
    case TOY.vadd:
      b.setXmm(d, b.emit(Op.i32x4_add, b.getXmm(s), b.getXmm(t)));
      return false;
    case TOY.vstore:
      b.store(Op.store128, b.getGpr(s), imm, b.getXmm(d));
      return false;
    case TOY.fadd: {
      const x = b.extractLane(Op.f64x2_extract_lane, b.getXmm(s), 0);
      const y = b.extractLane(Op.f64x2_extract_lane, b.getXmm(t), 0);
      const sum = b.emit(Op.f64_nan2, b.emit(Op.f64_add, x, y), x, y);
      b.setXmm(d, b.replaceLane(Op.f64x2_replace_lane, b.getXmm(s), 0, sum));
      return false;
    }
    case TOY.ext: {
      const [result = 0] = b.ext(imm, [b.getGpr(s)], ["l"]);
      b.setGpr(d, result);
      return false;
    }
    default:
      return liftEnd(b, op, d, s, imm, next);
  }
}

function liftEnd(b: IrBuilder, op: number, d: number, s: number, imm: number, next: number): boolean {
  switch (op) {
    case TOY.jcc:
      b.branch(b.ccCond(d), next + imm, next);
      return true;
    case TOY.jump:
      b.jump(next + imm);
      return true;
    case TOY.jumpr:
      b.jumpIndirect(b.getGpr(s), JUMP_PLAIN);
      return true;
    case TOY.jumpm:
      b.jumpIndirect(b.load(Op.load64, b.pcConst(next + imm)), JUMP_PLAIN);
      return true;
    case TOY.call:
    case TOY.callr: {
      const target = op === TOY.callr ? b.getGpr(s) : undefined;
      const sp = b.emit(Op.i64_add, b.getGpr(SP), b.constNumber(-8));
      b.store(Op.store64, sp, 0, b.pcConst(next));
      b.setGpr(SP, sp);
      if (target === undefined) b.jump(next + imm, JUMP_CALL, next);
      else b.jumpIndirect(target, JUMP_CALL, next);
      return true;
    }
    case TOY.ret: {
      const target = b.load(Op.load64, b.getGpr(SP));
      b.setGpr(SP, b.emit(Op.i64_add, b.getGpr(SP), b.constNumber(8)));
      b.jumpIndirect(target, JUMP_RETURN);
      return true;
    }
    case TOY.syscall:
      b.syscall(next);
      return true;
    default:
      b.trap(TRAP_ILLEGAL, next - 8);
      return true;
  }
}

/** A page table in RAM, built entry by entry. Frames are handed out upwards from `nextFrame`. */
export class ToySpace {
  readonly ram: Ram;
  readonly root: number;
  nextFrame: number;

  constructor(ram: Ram, firstFrame: number) {
    this.ram = ram;
    this.nextFrame = firstFrame;
    this.root = this.frame();
  }

  frame(): number {
    const frame = this.nextFrame;
    this.nextFrame += PAGE_SIZE;
    this.ram.u8.fill(0, frame, frame + PAGE_SIZE);
    return frame;
  }

  /** Index in u32 of the leaf entry of `address`. */
  leaf(address: number): number {
    let table = this.root;
    for (const shift of PT_SHIFTS.slice(0, 3)) {
      const at = (table >>> 2) + (Math.floor(address / 2 ** shift) % 1024);
      let entry = this.ram.u32[at]!;
      if ((entry & PTE_PRESENT) === 0) {
        entry = this.frame() | PTE_PRESENT;
        this.ram.u32[at] = entry;
      }
      table = (entry & ~4095) >>> 0;
    }
    return (table >>> 2) + (Math.floor(address / 4096) % 1024);
  }

  map(address: number, frame: number, bits: number): void {
    this.ram.u32[this.leaf(address)] = (frame | bits | PTE_PRESENT) >>> 0;
  }
}

export function readGpr(ram: Ram, n: number): bigint {
  return ram.view.getBigInt64(CPU_BASE + CPU_STATE.gpr + n * 8, true);
}

export function writeGpr(ram: Ram, n: number, value: bigint): void {
  ram.view.setBigInt64(CPU_BASE + CPU_STATE.gpr + n * 8, value, true);
}

export function setPc(ram: Ram, pc: number): void {
  ram.writeU64(CPU_BASE + CPU_STATE.pc, pc);
}

export function getPc(ram: Ram): number {
  return ram.readU64(CPU_BASE + CPU_STATE.pc);
}
