// SPDX-License-Identifier: Apache-2.0
// Control transfers: jumps, calls, returns, loops, interrupts, SYSCALL, IRET and the far forms.
//
// Near branches always have 64-bit operands here (a 66 prefix is ignored, as on Intel's processors).
// Far transfers work for the selectors of 64-bit user code; any other selector is #GP.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 3.

import {
  TRAP_BREAKPOINT,
  TRAP_ILLEGAL,
  TRAP_INTERRUPT,
  TRAP_PROTECTION,
  TRAP_STEP,
} from "../../../include/linux/cpu.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { JUMP_CALL, JUMP_PLAIN, JUMP_RETURN } from "../../../virt/ir/terminators.ts";
import { KIND_REL } from "../tables/forms.ts";
import { type Lift, type LifterTable, R11, RCX, RSP } from "./context.ts";
import { push } from "./move.ts";
import { readFlags, writeFlags } from "./system.ts";

/** The selectors that Linux gives 64-bit user code. */
const USER_CS = 0x33;
const USER_DS = 0x2b;

function relative(l: Lift): number {
  return l.nextPc + l.insn.imm;
}

function branch(l: Lift, cond: Temp): void {
  l.b.branch(cond, relative(l), l.nextPc);
  l.ended = true;
}

/** Takes the target of an indirect transfer back. One that is not canonical is #GP at the instruction itself (as on AMD). */
function checkTarget(l: Lift, target: Temp): Temp {
  const { b } = l;
  const top = b.emit(Op.i64_add, b.emit(Op.i64_shr_s, target, b.const64(47, 0)), b.const64(1, 0));
  b.trapIf(TRAP_PROTECTION, b.emit(Op.i64_gt_u, top, b.const64(1, 0)));
  return target;
}

function jump(l: Lift): void {
  l.ended = true;
  if (l.operand(0).kind === KIND_REL) l.b.jump(relative(l));
  else l.b.jumpIndirect(checkTarget(l, l.read(0, 8)), JUMP_PLAIN);
}

function call(l: Lift): void {
  l.ended = true;
  if (l.operand(0).kind === KIND_REL) {
    push(l, 8, l.b.pcConst(l.nextPc));
    l.b.jump(relative(l), JUMP_CALL, l.nextPc);
    return;
  }
  // Both may fault: first the slot for the return address, then the target, which leaves that slot as it was.
  const target = l.read(0, 8);
  l.b.probeWrite(8, l.b.getGpr(RSP), -8);
  checkTarget(l, target);
  push(l, 8, l.b.pcConst(l.nextPc));
  l.b.jumpIndirect(target, JUMP_CALL, l.nextPc);
}

function ret(l: Lift): void {
  const { b } = l;
  const rsp = b.getGpr(RSP);
  const target = checkTarget(l, l.loadAt(rsp, 0, 8));
  const pop = l.insn.form.operands.length === 0 ? 0 : l.insn.imm;
  b.setGpr(RSP, b.emit(Op.i64_add, rsp, b.const64(8 + pop, 0)));
  b.jumpIndirect(target, JUMP_RETURN);
  l.ended = true;
}

/** rCX, or eCX with address size 32, less one; written and returned as a clean i64. */
function decrementCounter(l: Lift): Temp {
  const { b } = l;
  let count = b.emit(Op.i64_add, b.getGpr(RCX), b.const64(-1, -1));
  if (l.insn.addr32) count = b.emit(Op.i64_extend_i32_u, l.narrow(count));
  b.setGpr(RCX, count);
  return count;
}

function loop(l: Lift, zeroFlag: -1 | 0 | 1): void {
  const { b } = l;
  const condition = zeroFlag < 0 ? -1 : b.ccCond(zeroFlag === 1 ? 4 : 5);
  const some = b.emit(Op.i32_eqz, b.emit(Op.i64_eqz, decrementCounter(l)));
  branch(l, condition < 0 ? some : b.emit(Op.i32_and, some, condition));
}

function jumpIfNoCount(l: Lift): void {
  const { b } = l;
  const count = b.getGpr(RCX);
  branch(l, l.insn.addr32 ? b.emit(Op.i32_eqz, l.narrow(count)) : b.emit(Op.i64_eqz, count));
}

function interrupt(l: Lift): void {
  // Vectors 3 and 4 have gates that user code may use: they are traps, reported behind the instruction.
  if (l.insn.imm === 3) l.trap(TRAP_BREAKPOINT, l.nextPc);
  else l.trap(TRAP_INTERRUPT, l.insn.imm === 4 ? l.nextPc : l.insn.pc);
}

function systemCall(l: Lift): void {
  const { b } = l;
  const flags = readFlags(l);
  b.setGpr(RCX, b.pcConst(l.nextPc));
  b.setGpr(R11, flags);
  b.syscall(l.nextPc);
  l.ended = true;
}

function checkSelector(l: Lift, selector: Temp, wanted: number): void {
  const { b } = l;
  const low = b.emit(Op.i32_and, selector, b.const32(0xffff));
  b.trapIf(TRAP_PROTECTION, b.emit(Op.i32_ne, low, b.const32(wanted)));
}

/** A stack slot of the operand size as i64. */
function slot(l: Lift, size: number, n: number): Temp {
  return l.wide(l.loadAt(l.b.getGpr(RSP), size * n, size), size, "unsigned");
}

/** The slots are read in the order in which hardware was seen to fault. */
function interruptReturn(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const flags = slot(l, size, 2);
  const code = slot(l, size, 1);
  const target = slot(l, size, 0);
  const data = slot(l, size, 4);
  const stack = slot(l, size, 3);
  checkSelector(l, l.narrow(code), USER_CS);
  checkSelector(l, l.narrow(data), USER_DS);
  b.setGpr(RSP, stack);
  writeFlags(l, l.narrow(flags), size);
  b.jumpIndirect(target, JUMP_PLAIN);
  l.ended = true;
}

/** The selector is read first. With another privilege than the user's, hardware looks at the outer stack first. */
function farReturn(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const selector = l.narrow(slot(l, size, 1));
  const target = slot(l, size, 0);
  const pop = l.insn.form.operands.length === 0 ? 0 : l.insn.imm;
  const rsp = b.getGpr(RSP);
  const after = b.emit(Op.i64_add, rsp, b.const64(2 * size + pop, 0));
  const isUser = b.emit(Op.i32_eq, b.emit(Op.i32_and, selector, b.const32(3)), b.const32(3));
  l.loadAt(b.emit(Op.select_i64, rsp, after, isUser), size, size);
  checkSelector(l, selector, USER_CS);
  b.setGpr(RSP, after);
  b.jumpIndirect(target, JUMP_PLAIN);
  l.ended = true;
}

function farThroughMemory(l: Lift, isCall: boolean): void {
  const { b } = l;
  const size = l.insn.opSize;
  // As on AMD's processors the pointer is m16:32 even with REX.W.
  const offsetBytes = Math.min(size, 4);
  l.address();
  const target = l.wide(l.loadAt(l.addr, l.disp, offsetBytes), offsetBytes, "unsigned");
  checkSelector(l, l.loadAt(l.addr, l.disp + offsetBytes, 2), USER_CS);
  if (isCall) {
    const rsp = b.getGpr(RSP);
    const next = b.pcConst(l.nextPc);
    // Push by push: the first stays in memory when the second faults, as on hardware.
    l.storeAt(rsp, -size, size, l.constant(size, USER_CS));
    l.storeAt(rsp, -2 * size, size, size === 8 ? next : l.narrow(next));
    b.setGpr(RSP, b.emit(Op.i64_add, rsp, b.const64(-2 * size, -1)));
  }
  b.jumpIndirect(target, JUMP_PLAIN);
  l.ended = true;
}

export const CONTROL: LifterTable = {
  Jcc: (l) => branch(l, l.b.ccCond(l.insn.opcode & 15)),
  JMP: jump,
  CALL: call,
  RET: ret,
  LOOP: (l) => loop(l, -1),
  LOOPE: (l) => loop(l, 1),
  LOOPNE: (l) => loop(l, 0),
  JRCXZ: jumpIfNoCount,
  INT3: (l) => l.trap(TRAP_BREAKPOINT, l.nextPc),
  INT1: (l) => l.trap(TRAP_STEP, l.nextPc),
  INT: interrupt,
  SYSCALL: systemCall,
  UD0: (l) => l.trap(TRAP_ILLEGAL),
  UD1: (l) => l.trap(TRAP_ILLEGAL),
  UD2: (l) => l.trap(TRAP_ILLEGAL),
  IRET: interruptReturn,
  RETF: farReturn,
  CALLF: (l) => farThroughMemory(l, true),
  JMPF: (l) => farThroughMemory(l, false),
};
