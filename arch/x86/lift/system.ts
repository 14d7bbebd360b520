// SPDX-License-Identifier: Apache-2.0
// Flags as a whole, segment registers, CPUID and time stamp, MXCSR and FXSAVE, hints and fences.
// Source: AMD64 Architecture Programmer's Manual, volumes 2 and 3.

import { TRAP_ILLEGAL, TRAP_PROTECTION } from "../../../include/linux/cpu.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { MODE_RELAXED } from "../../../virt/frontend.ts";
import { CPU_STATE } from "../../../virt/layout.ts";
import { EXT } from "../ext.ts";
import { type Lift, type LifterTable, RAX, RBX, RCX, RDX, RSP } from "./context.ts";
import { push } from "./move.ts";

/** TF NT AC ID: what POPF in user mode may change besides the arithmetic flags and DF. */
const FLAGS_OTHER = 0x24_4100;
const FLAGS_ARITHMETIC = 0x8d5;
/** IF and the bit that is always 1. */
const FLAGS_FIXED = 0x202;

/** RFLAGS as i64. */
export function readFlags(l: Lift): Temp {
  const { b } = l;
  const df = b.emit(Op.i32_shl, b.getState32(CPU_STATE.df), b.const32(10));
  const other = b.getState32(CPU_STATE.eflagsOther);
  const both = b.emit(Op.i32_or, b.emit(Op.i32_or, b.ccFlags(), df), other);
  return b.emit(Op.i64_extend_i32_u, b.emit(Op.i32_or, both, b.const32(FLAGS_FIXED)));
}

/** RFLAGS from an i32 as POPF does in user mode; with size 2 the upper half stays. */
export function writeFlags(l: Lift, flags: Temp, size: number): void {
  const { b } = l;
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_and, flags, b.const32(FLAGS_ARITHMETIC)));
  const df = b.emit(Op.i32_and, b.emit(Op.i32_shr_u, flags, b.const32(10)), b.const32(1));
  b.setState64(CPU_STATE.df, df);
  const mask = size === 2 ? FLAGS_OTHER & 0xffff : FLAGS_OTHER;
  const changed = b.emit(Op.i32_and, flags, b.const32(mask));
  const kept = b.emit(Op.i32_and, b.getState32(CPU_STATE.eflagsOther), b.const32(~mask));
  b.setState64(CPU_STATE.eflagsOther, b.emit(Op.i32_or, changed, kept));
}

function pushFlags(l: Lift): void {
  const size = l.insn.opSize;
  const flags = readFlags(l);
  push(l, size, size === 8 ? flags : l.narrow(flags));
}

/** Ends the block, since TF may have been set. */
function popFlags(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const rsp = b.getGpr(RSP);
  const value = l.loadAt(rsp, 0, size);
  b.setGpr(RSP, b.emit(Op.i64_add, rsp, b.const64(size, 0)));
  writeFlags(l, size === 8 ? l.narrow(value) : value, size);
  l.jump(l.nextPc);
}

function setDirection(l: Lift, value: 0 | 1): void {
  l.b.setState64(CPU_STATE.df, l.b.const64(value, 0));
}

// --- Segment registers ---

function readSelector(l: Lift, segment: number): Temp {
  const { b } = l;
  const offset = CPU_STATE.segments + segment * 2;
  const word = b.getState32(offset & ~3);
  return b.emit(
    Op.i32_and,
    (offset & 2) === 0 ? word : b.emit(Op.i32_shr_u, word, b.const32(16)),
    b.const32(0xffff),
  );
}

function moveFromSegment(l: Lift): void {
  const segment = l.insn.reg & 7;
  if (segment > 5) return l.trap(TRAP_ILLEGAL);
  const selector = readSelector(l, segment);
  const size = l.size(0);
  l.write(0, size === 8 ? b64(l, selector) : selector);
}

function b64(l: Lift, value: Temp): Temp {
  return l.b.emit(Op.i64_extend_i32_u, value);
}

function moveToSegment(l: Lift): void {
  const segment = l.insn.reg & 7;
  if (segment === 1 || segment > 5) return l.trap(TRAP_ILLEGAL);
  const selector = l.read(1, 2);
  l.b.ext(EXT.loadSegment, [l.b.const32(segment), selector]);
}

function pushSegment(l: Lift): void {
  const size = l.insn.opSize;
  const selector = readSelector(l, l.operand(0).size);
  push(l, size, size === 8 ? b64(l, selector) : selector);
}

function popSegment(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const rsp = b.getGpr(RSP);
  const slot = l.loadAt(rsp, 0, size);
  const selector = size === 8 ? l.narrow(slot) : slot;
  b.ext(EXT.loadSegment, [b.const32(l.operand(0).size), selector]);
  const after = b.getGpr(RSP);
  b.setGpr(RSP, b.emit(Op.i64_add, after, b.const64(size, 0)));
}

/** LSS LFS LGS: an offset and a selector from memory. */
function loadFar(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  l.address();
  // As on AMD's processors the pointer is m16:32 even with REX.W.
  const offsetBytes = Math.min(size, 4);
  const offset = l.wide(l.loadAt(l.addr, l.disp, offsetBytes), offsetBytes, "unsigned");
  const selector = l.loadAt(l.addr, l.disp + offsetBytes, 2);
  // The temps of before an ext stay valid; only registers are read afresh.
  b.ext(EXT.loadSegment, [b.const32(l.operand(0).size), selector]);
  l.writeRegister(l.insn.reg, size, size === 8 ? offset : l.narrow(offset));
}

// --- Identification, time, state ---

function cpuId(l: Lift): void {
  const { b } = l;
  const leaf = l.narrow(b.getGpr(RAX));
  const subleaf = l.narrow(b.getGpr(RCX));
  const [eax, ebx, ecx, edx] = b.ext(EXT.cpuid, [leaf, subleaf], ["i", "i", "i", "i"]);
  b.setGpr(RAX, eax!);
  b.setGpr(RBX, ebx!);
  b.setGpr(RCX, ecx!);
  b.setGpr(RDX, edx!);
}

function timeStamp(l: Lift, withProcessor: boolean): void {
  const { b } = l;
  const [low, high, processor] = b.ext(EXT.rdtsc, [], ["i", "i", "i"]);
  b.setGpr(RAX, low!);
  b.setGpr(RDX, high!);
  if (withProcessor) b.setGpr(RCX, processor!);
}

/** A process is relaxed until then: the store comes before the call, which leaves translated code because the mode has changed. */
function storeMxcsr(l: Lift): void {
  const { b } = l;
  l.store(4, b.getState32(CPU_STATE.mxcsr));
  if (l.mode !== MODE_RELAXED) return;
  b.ext(EXT.stmxcsr);
  l.jump(l.nextPc);
}

function loadMxcsr(l: Lift): void {
  l.b.ext(EXT.ldmxcsr, [l.load(4)]);
  l.jump(l.nextPc);
}

function stateArea(l: Lift, id: number): void {
  const { b } = l;
  l.checkAlignment(16);
  const address = b.emit(Op.i64_add, l.addr, b.const64(l.disp, l.disp >> 31));
  b.ext(id, [address, b.const32(l.insn.rexW ? 1 : 0)]);
  l.jump(l.nextPc);
}

function nothing(): void {}

/** CLFLUSH faults as a read of the byte does. */
function flushLine(l: Lift): void {
  l.load(1);
}

/** VERR VERW LAR LSL: only ZF (and the register) change. */
function selectorQuery(l: Lift, query: number): void {
  const { b } = l;
  const reads = l.insn.form.operands.length === 1 ? 0 : 1;
  const selector = l.read(reads, 2);
  const [ok, value] = b.ext(EXT.selectorQuery, [b.const32(query), selector], ["i", "i"]);
  const kept = b.emit(Op.i32_and, b.ccFlags(), b.const32(FLAGS_ARITHMETIC & ~0x40));
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_or, kept, b.emit(Op.i32_shl, ok, b.const32(6))));
  if (reads === 0) return;
  const size = l.size(0);
  const old = l.read(0);
  const wide = size === 8 ? b64(l, value!) : value!;
  // A 32-bit target whose query fails keeps its upper half too.
  if (size === 4) b.setGpr(l.insn.reg, b.emit(Op.select_i64, b64(l, value!), b.getGpr(l.insn.reg), ok));
  else l.write(0, l.select(size, ok!, wide, old));
}

/** Moves to and from control and debug registers: #UD for those that do not exist, else #GP. */
function privilegedRegister(l: Lift, valid: number): void {
  if (l.insn.lock && l.insn.reg !== 0) return l.trap(TRAP_ILLEGAL);
  l.trap(((valid >> l.insn.reg) & 1) !== 0 ? TRAP_PROTECTION : TRAP_ILLEGAL);
}
/** CR0 CR2 CR3 CR4 CR8. */
const CONTROL_REGISTERS = 0x11d;
const DEBUG_REGISTERS = 0xff;

export const SYSTEM: LifterTable = {
  MOV_CR: (l) => privilegedRegister(l, CONTROL_REGISTERS),
  MOV_DR: (l) => privilegedRegister(l, DEBUG_REGISTERS),
  PUSHF: pushFlags,
  POPF: popFlags,
  CLD: (l) => setDirection(l, 0),
  STD: (l) => setDirection(l, 1),
  MOV_FROM_SEGMENT: moveFromSegment,
  MOV_TO_SEGMENT: moveToSegment,
  PUSH_SEGMENT: pushSegment,
  POP_SEGMENT: popSegment,
  LOAD_FAR: loadFar,
  CPUID: cpuId,
  RDTSC: (l) => timeStamp(l, false),
  RDTSCP: (l) => timeStamp(l, true),
  STMXCSR: storeMxcsr,
  LDMXCSR: loadMxcsr,
  FXSAVE: (l) => stateArea(l, EXT.fxsave),
  FXRSTOR: (l) => stateArea(l, EXT.fxrstor),
  NOP: nothing,
  PREFETCH: nothing,
  LFENCE: nothing,
  MFENCE: nothing,
  SFENCE: nothing,
  CLFLUSH: flushLine,
  VERR: (l) => selectorQuery(l, 0),
  VERW: (l) => selectorQuery(l, 1),
  LAR: (l) => selectorQuery(l, 2),
  LSL: (l) => selectorQuery(l, 3),
};
