// SPDX-License-Identifier: Apache-2.0
// Lifts x87 instructions: raises a pending exception, loads or probes the memory operand (so that faults are
// precise), and leaves the arithmetic to the functions of x87.ts by `ext`.
//
// Control and status words are moved here without a call. Argument layout: see x87.ts.
// Source: AMD64 Architecture Programmer's Manual, volume 5; volume 1, section 6.8 (waiting instructions).

import { TRAP_FPU } from "../../../include/linux/cpu.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { CPU_STATE } from "../../../virt/layout.ts";
import {
  EXT_X87_BASE,
  X87_AREA,
  X87_COMPARE_FLAGS,
  X87_LOAD,
  X87_MOVE_IF,
  X87_REGISTER,
  X87_STORE,
} from "../ext.ts";
import { type Lift, type Lifter, type LifterTable, RAX } from "./context.ts";

const ERROR_SUMMARY = 0x80;
/** Selector of user code, which FNSTENV stores beside the instruction pointer. */
const USER_CS = 0x33;

/** #MF when an unmasked exception of an earlier instruction is pending. */
function raisePending(l: Lift): void {
  const { b } = l;
  b.trapIf(TRAP_FPU, b.emit(Op.i32_and, b.getState32(CPU_STATE.fsw), b.const32(ERROR_SUMMARY)));
}

/** The 11-bit opcode: low three bits of the opcode byte, then ModRM. */
function opcodeArgument(l: Lift): Temp {
  return l.b.const32(((l.insn.opcode & 7) << 8) | l.insn.modrm);
}

/** What FNSTENV and FXSAVE are to say of the last instruction; it cannot fault any more but in TypeScript, which undoes nothing of this. */
function note(l: Lift): void {
  const { b } = l;
  b.setState32(CPU_STATE.fop, opcodeArgument(l));
  b.setState64(CPU_STATE.fip, b.pcConst(l.insn.pc));
  b.setState32(CPU_STATE.fselectors, b.const32(USER_CS));
}

/** The data pointer too: the offset of the operand in its segment. */
function noteData(l: Lift, address: Temp): void {
  note(l);
  l.b.setState64(CPU_STATE.fdp, l.insn.segment === 0 ? address : l.effectiveAddress());
}

function addressArgument(l: Lift): Temp {
  l.address();
  return l.disp === 0 ? l.addr : l.b.emit(Op.i64_add, l.addr, l.b.const64(l.disp, l.disp >> 31));
}

function registerForm(l: Lift): void {
  raisePending(l);
  note(l);
  controlForm(l);
}

/** FNINIT, FNCLEX: do not wait, and are no instructions for the pointers. */
function controlForm(l: Lift): void {
  l.b.extState(EXT_X87_BASE + X87_REGISTER, [opcodeArgument(l)]);
}

/** FENI, FDISI, FSETPM of older processors do nothing, not even wait. */
function noOperation(l: Lift): void {
  if (l.insn.opcode === 0xd9) registerForm(l);
}

/** Any form that reads memory of up to 10 bytes; the register form of the same mnemonic otherwise. */
function loadOrRegister(l: Lift): void {
  if (l.insn.isReg) {
    registerForm(l);
    return;
  }
  const { b } = l;
  raisePending(l);
  const size = l.size(0);
  const address = addressArgument(l);
  const low = size === 10 ? b.load(Op.load64, l.addr, l.disp) : l.load(size);
  const high = size === 10 ? b.load(Op.load16_u, l.addr, l.disp + 8) : b.const32(0);
  noteData(l, address);
  b.extState(EXT_X87_BASE + X87_LOAD, [opcodeArgument(l), address, low, high]);
}

/** FLDCW leaves the pointers alone. */
function loadControl(l: Lift): void {
  raisePending(l);
  l.address();
  l.b.extState(EXT_X87_BASE + X87_LOAD, [opcodeArgument(l), l.b.const32(0), l.load(2)]);
}

function storeOrRegister(l: Lift): void {
  if (l.insn.isReg) {
    registerForm(l);
    return;
  }
  raisePending(l);
  const address = addressArgument(l);
  // Ten bytes are written as eight and two, which shows at the edge of the canonical addresses.
  const size = l.size(0);
  l.b.probeWrite(Math.min(size, 8), l.addr, l.disp);
  if (size === 10) l.b.probeWrite(2, l.addr, l.disp + 8);
  noteData(l, address);
  l.b.extState(EXT_X87_BASE + X87_STORE, [opcodeArgument(l), address]);
}

function area(l: Lift): void {
  const address = addressArgument(l);
  l.b.extState(EXT_X87_BASE + X87_AREA, [opcodeArgument(l), address, l.b.const32(l.insn.opSize)]);
}

function waitingArea(l: Lift): void {
  raisePending(l);
  area(l);
}

/** FCOMI and its kin write ZF, PF and CF and clear the others. */
function compareFlags(l: Lift): void {
  const { b } = l;
  raisePending(l);
  note(l);
  const [flags] = b.extState(EXT_X87_BASE + X87_COMPARE_FLAGS, [opcodeArgument(l)], ["i"]);
  b.setCc(ccOp(CC_EXPLICIT, 8), flags!);
}

/** `condition`: the x86 condition under which ST(i) moves. */
function moveIf(condition: number): Lifter {
  return (l) => {
    const { b } = l;
    raisePending(l);
    note(l);
    b.extState(EXT_X87_BASE + X87_MOVE_IF, [opcodeArgument(l), b.ccCond(condition)]);
  };
}

function statusWord(l: Lift): Temp {
  const { b } = l;
  const top = b.emit(Op.i32_shl, b.getState32(CPU_STATE.ftop), b.const32(11));
  return b.emit(Op.i32_or, b.getState32(CPU_STATE.fsw), top);
}

function storeStatus(l: Lift): void {
  if (l.insn.isReg) l.writeRegister(RAX, 2, statusWord(l));
  else l.store(2, statusWord(l));
}

function emptyAll(l: Lift): void {
  raisePending(l);
  l.b.setState32(CPU_STATE.ftag, l.b.const32(0));
}

function table(names: string, lifter: Lifter): Record<string, Lifter> {
  return Object.fromEntries(names.split(" ").map((name) => [name, lifter]));
}

export const X87_LIFTERS: LifterTable = {
  ...table(
    "FADD FMUL FCOM FCOMP FSUB FSUBR FDIV FDIVR FIADD FIMUL FICOM FICOMP FISUB FISUBR FIDIV FIDIVR",
    loadOrRegister,
  ),
  ...table("FLD FILD FBLD", loadOrRegister),
  FLDCW: loadControl,
  ...table("FST FSTP FIST FISTP FISTTP FBSTP", storeOrRegister),
  ...table(
    "FADDP FMULP FSUBP FSUBRP FDIVP FDIVRP FCOMPP FUCOM FUCOMP FUCOMPP FXCH FFREE FFREEP",
    registerForm,
  ),
  ...table("FCHS FABS FTST FXAM FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ FDECSTP FINCSTP", registerForm),
  ...table(
    "F2XM1 FYL2X FPTAN FPATAN FXTRACT FPREM1 FPREM FYL2XP1 FSQRT FSINCOS FRNDINT FSCALE FSIN FCOS",
    registerForm,
  ),
  ...table("FCOMI FCOMIP FUCOMI FUCOMIP", compareFlags),
  ...table("FNINIT FNCLEX", controlForm),
  ...table("FLDENV FRSTOR", waitingArea),
  ...table("FNSTENV FNSAVE", area),
  FCMOVB: moveIf(2),
  FCMOVE: moveIf(4),
  FCMOVBE: moveIf(6),
  FCMOVU: moveIf(10),
  FCMOVNB: moveIf(3),
  FCMOVNE: moveIf(5),
  FCMOVNBE: moveIf(7),
  FCMOVNU: moveIf(11),
  FNSTCW: (l) => l.store(2, l.b.getState32(CPU_STATE.fcw)),
  FNSTSW: storeStatus,
  FNOP: noOperation,
  FWAIT: raisePending,
  EMMS: emptyAll,
};
