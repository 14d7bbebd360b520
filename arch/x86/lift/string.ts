// SPDX-License-Identifier: Apache-2.0
// String instructions. Without REP each is inline; with REP one call handles a run (ext-string.ts) and the
// block ends in a branch back to the instruction while elements are left.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 3.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_SUB, ccOp } from "../../../virt/ir/cc.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { CPU_STATE } from "../../../virt/layout.ts";
import { REP_F2, REP_F3 } from "../decode.ts";
import { EXT } from "../ext.ts";
import { STRING_CMPS, STRING_LODS, STRING_MOVS, STRING_SCAS, STRING_STOS } from "../ext-string.ts";
import { type Lift, type LifterTable, RAX, RCX, RDI, RSI } from "./context.ts";

function elementSize(l: Lift): number {
  return l.insn.opcode & 1 ? l.insn.opSize : 1;
}

/** +size or -size as i64. */
function stepOf(l: Lift, size: number): Temp {
  const { b } = l;
  const df = b.getState64(CPU_STATE.df);
  return b.emit(Op.i64_sub, b.const64(size, 0), b.emit(Op.i64_mul, df, b.const64(2 * size, 0)));
}

function pointer(l: Lift, register: number): Temp {
  const value = l.b.getGpr(register);
  return l.insn.addr32 ? l.b.emit(Op.i64_extend_i32_u, l.narrow(value)) : value;
}

function advance(l: Lift, register: number, step: Temp): void {
  const moved = l.b.emit(Op.i64_add, l.b.getGpr(register), step);
  l.b.setGpr(register, l.insn.addr32 ? l.b.emit(Op.i64_extend_i32_u, l.narrow(moved)) : moved);
}

function repeated(l: Lift, kind: number, compares: boolean): void {
  const { b, insn } = l;
  const word = kind | (elementSize(l) << 8) | (insn.rep << 16) | (insn.addr32 ? 1 << 24 : 0);
  const base = insn.segment === 0 ? b.const64(0, 0) : l.segmentBase(insn.segment);
  b.ext(EXT.repString, [b.const32(word), base]);
  const count = b.getGpr(RCX);
  let more = insn.addr32
    ? b.emit(Op.i32_ne, l.narrow(count), b.const32(0))
    : b.emit(Op.i64_ne, count, b.const64(0, 0));
  if (compares) more = b.emit(Op.i32_and, more, b.ccCond(insn.rep === REP_F3 ? 4 : 5));
  b.branch(more, insn.pc, l.nextPc);
  l.ended = true;
}

function isRepeated(l: Lift): boolean {
  return l.insn.rep === REP_F3 || l.insn.rep === REP_F2;
}

function move(l: Lift): void {
  if (isRepeated(l)) return repeated(l, STRING_MOVS, false);
  const size = elementSize(l);
  const value = l.loadAt(l.withSegment(pointer(l, RSI)), 0, size);
  l.storeAt(pointer(l, RDI), 0, size, value);
  const step = stepOf(l, size);
  advance(l, RSI, step);
  advance(l, RDI, step);
}

function store(l: Lift): void {
  if (isRepeated(l)) return repeated(l, STRING_STOS, false);
  const size = elementSize(l);
  l.storeAt(pointer(l, RDI), 0, size, size === 8 ? l.b.getGpr(RAX) : l.narrow(l.b.getGpr(RAX)));
  advance(l, RDI, stepOf(l, size));
}

function load(l: Lift): void {
  if (isRepeated(l)) return repeated(l, STRING_LODS, false);
  const size = elementSize(l);
  const value = l.loadAt(l.withSegment(pointer(l, RSI)), 0, size);
  advance(l, RSI, stepOf(l, size));
  l.writeRegister(RAX, size, value);
}

function compare(l: Lift): void {
  if (isRepeated(l)) return repeated(l, STRING_CMPS, true);
  const size = elementSize(l);
  const b = l.loadAt(pointer(l, RDI), 0, size);
  const a = l.loadAt(l.withSegment(pointer(l, RSI)), 0, size);
  const step = stepOf(l, size);
  advance(l, RSI, step);
  advance(l, RDI, step);
  l.b.setCc(ccOp(CC_SUB, size), a, b);
}

function scan(l: Lift): void {
  if (isRepeated(l)) return repeated(l, STRING_SCAS, true);
  const size = elementSize(l);
  const b = l.loadAt(pointer(l, RDI), 0, size);
  const a = l.readRegister(RAX, size);
  advance(l, RDI, stepOf(l, size));
  l.b.setCc(ccOp(CC_SUB, size), a, b);
}

export const STRINGS: LifterTable = {
  MOVS: move,
  STOS: store,
  LODS: load,
  CMPS: compare,
  SCAS: scan,
};
