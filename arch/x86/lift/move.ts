// SPDX-License-Identifier: Apache-2.0
// Moves between general registers, memory and the stack.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 3.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { REP_F3 } from "../decode.ts";
import { EXT } from "../ext.ts";
import { type Lift, type LifterTable, RAX, RBP, RBX, RDX, RSP } from "./context.ts";

function move(l: Lift): void {
  const size = l.size(0);
  l.write(0, l.read(1, size));
}

function loadAddress(l: Lift): void {
  const address = l.effectiveAddress();
  const size = l.insn.opSize;
  l.writeRegister(l.insn.reg, size, size === 8 ? address : l.narrow(address));
}

function moveExtend(l: Lift, sign: "signed" | "unsigned"): void {
  const to = l.size(0);
  const from = l.size(1);
  const raw = l.read(1);
  if (to === from) return l.write(0, raw);
  if (to === 8) return l.write(0, l.wide(raw, from, sign));
  l.write(0, sign === "signed" ? l.signExtend(raw, from) : l.zeroExtend(raw, from));
}

function moveConditional(l: Lift): void {
  const size = l.size(0);
  const source = l.read(1);
  const old = l.read(0);
  l.write(0, l.select(size, l.b.ccCond(l.insn.opcode & 15), source, old));
}

function setConditional(l: Lift): void {
  // The condition is computed first only when no fault can come between.
  l.write(0, l.b.ccCond(l.insn.opcode & 15));
}

/** CBW, CWDE, CDQE: rAX from its low half. */
function convertAccumulator(l: Lift): void {
  const size = l.insn.opSize;
  const half = size >> 1;
  const value = l.readRegister(RAX, half);
  l.writeRegister(RAX, size, size === 8 ? l.wide(value, 4, "signed") : l.signExtend(value, half));
}

/** CWD, CDQ, CQO: rDX is the sign of rAX. */
function convertToPair(l: Lift): void {
  const size = l.insn.opSize;
  const value = l.readRegister(RAX, size);
  const shift = l.constant(size, size === 8 ? 63 : 31);
  l.writeRegister(
    RDX,
    size,
    l.b.emit(size === 8 ? Op.i64_shr_s : Op.i32_shr_s, l.signExtend(value, size), shift),
  );
}

export function push(l: Lift, size: number, value: Temp): void {
  const { b } = l;
  const rsp = b.getGpr(RSP);
  l.storeAt(rsp, -size, size, value);
  b.setGpr(RSP, b.emit(Op.i64_add, rsp, b.const64(-size, -1)));
}

function pushOperand(l: Lift): void {
  const size = l.insn.opSize;
  push(l, size, l.read(0, size));
}

function popOperand(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const rsp = b.getGpr(RSP);
  const value = l.loadAt(rsp, 0, size);
  const after = b.emit(Op.i64_add, rsp, b.const64(size, 0));
  if (!l.isMemory(0)) {
    b.setGpr(RSP, after);
    l.write(0, value);
    return;
  }
  // The address is computed with rsp already moved.
  if (l.insn.base === RSP) l.insn.disp += size;
  l.write(0, value, size);
  b.setGpr(RSP, after);
}

function enter(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const level = l.insn.imm2 & 31;
  const rsp = b.getGpr(RSP);
  const rbp = b.getGpr(RBP);
  // Link by link, as a store may be what the next load reads; a fault leaves rsp and rbp as they were.
  l.storeAt(rsp, -size, size, l.readRegister(RBP, size));
  for (let n = 1; n < level; n++) l.storeAt(rsp, -size * (n + 1), size, l.loadAt(rbp, -n * size, size));
  const frame = b.emit(Op.i64_add, rsp, b.const64(-size, -1));
  if (level > 0) l.storeAt(rsp, -size * (level + 1), size, size === 8 ? frame : l.narrow(frame));
  const total = -size * (level > 0 ? level + 1 : 1) - l.insn.imm;
  b.probeWrite(size, rsp, total);
  l.writeRegister(RBP, size, size === 8 ? frame : l.narrow(frame));
  b.setGpr(RSP, b.emit(Op.i64_add, rsp, b.const64(total, -1)));
}

function leave(l: Lift): void {
  const { b } = l;
  const size = l.insn.opSize;
  const rbp = b.getGpr(RBP);
  const value = l.loadAt(rbp, 0, size);
  b.setGpr(RSP, b.emit(Op.i64_add, rbp, b.const64(size, 0)));
  l.writeRegister(RBP, size, value);
}

/** 90 is NOP without REX.B, and PAUSE with F3; else XCHG with r8. */
function nopOrExchange(l: Lift): void {
  if (l.insn.rexB === 0) {
    if (l.insn.rep === REP_F3) l.b.extState(EXT.pause, []);
    return;
  }
  const size = l.insn.opSize;
  const a = l.readRegister(8, size);
  const b = l.readRegister(RAX, size);
  l.writeRegister(8, size, b);
  l.writeRegister(RAX, size, a);
}

function translate(l: Lift): void {
  const { b } = l;
  const index = b.emit(Op.i64_extend_i32_u, l.zeroExtend(l.narrow(b.getGpr(RAX)), 1));
  let address = b.emit(Op.i64_add, b.getGpr(RBX), index);
  if (l.insn.addr32) address = b.emit(Op.i64_extend_i32_u, l.narrow(address));
  l.writeRegister(RAX, 1, l.loadAt(l.withSegment(address), 0, 1));
}

const FLAGS_ARITHMETIC = 0x8d5;

function loadAh(l: Lift): void {
  const { b } = l;
  const flags = b.emit(Op.i32_and, b.ccFlags(), b.const32(0xd5));
  b.setGpr(RAX, b.emit(Op.insert8h, b.getGpr(RAX), b.emit(Op.i32_or, flags, b.const32(2))));
}

function storeAh(l: Lift): void {
  const { b } = l;
  const ah = b.emit(Op.i32_shr_u, l.narrow(b.getGpr(RAX)), b.const32(8));
  const kept = b.emit(Op.i32_and, b.ccFlags(), b.const32(FLAGS_ARITHMETIC & ~0xd5));
  b.setCc(ccOp(CC_EXPLICIT, 8), b.emit(Op.i32_or, kept, b.emit(Op.i32_and, ah, b.const32(0xd5))));
}

function carry(l: Lift, change: "clear" | "set" | "complement"): void {
  const { b } = l;
  const flags = b.ccFlags();
  const one = b.const32(1);
  let changed: Temp;
  if (change === "complement") changed = b.emit(Op.i32_xor, flags, one);
  else if (change === "set") changed = b.emit(Op.i32_or, flags, one);
  else changed = b.emit(Op.i32_and, flags, b.const32(~1));
  b.setCc(ccOp(CC_EXPLICIT, 8), changed);
  if (change !== "complement") b.noteCarry(b.const32(change === "set" ? 1 : 0));
}

export const MOVES: LifterTable = {
  MOV: move,
  MOVNTI: move,
  MOVSXD: (l) => moveExtend(l, "signed"),
  MOVSX: (l) => moveExtend(l, "signed"),
  MOVZX: (l) => moveExtend(l, "unsigned"),
  LEA: loadAddress,
  CMOVcc: moveConditional,
  SETcc: setConditional,
  CBW: convertAccumulator,
  CWD: convertToPair,
  PUSH: pushOperand,
  POP: popOperand,
  ENTER: enter,
  LEAVE: leave,
  NOP_OR_XCHG: nopOrExchange,
  XLAT: translate,
  LAHF: loadAh,
  SAHF: storeAh,
  CLC: (l) => carry(l, "clear"),
  STC: (l) => carry(l, "set"),
  CMC: (l) => carry(l, "complement"),
};
