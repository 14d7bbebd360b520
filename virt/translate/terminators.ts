// SPDX-License-Identifier: Apache-2.0
// What the end of a block says of where control goes.

import { Op } from "../ir/ops.ts";
import {
  JUMP_CALL,
  JUMP_PLAIN,
  JUMP_RETURN,
  TERM_BRANCH,
  TERM_INDIRECT,
  TERM_JUMP,
} from "../ir/terminators.ts";
import type { IrBlock } from "./ir-block.ts";

// Kinds of indirect jumps that the planning of a region makes of those of ir/terminators.ts.
/** How the call that a guard stands before ends: it goes on in the region one way or the other (inline.ts). */
export const JUMP_GUARD = 3;
/** Compared with where it went before: `cases` of its block. */
export const JUMP_CASES = 4;

const TWO_32 = 0x1_0000_0000;

/** Where a block's own jump or branch goes, as far as that is known; a call goes elsewhere. */
export function jumpTargets(ir: IrBlock): number[] {
  if (ir.terminator === TERM_JUMP) return ir.termKind === JUMP_CALL ? [] : [ir.basePc + ir.target];
  if (ir.terminator === TERM_BRANCH) return [ir.basePc + ir.target, ir.basePc + ir.fallTarget];
  return ir.terminator === TERM_INDIRECT && ir.termKind === JUMP_CASES ? [...ir.cases!] : [];
}

/** Guest address of the instruction that a block ends with. */
export function lastInstruction(ir: IrBlock): number {
  return ir.basePc + ir.imm[ir.op.lastIndexOf(Op.insn)]!;
}

export function returnPoints(ir: IrBlock): number[] {
  return isCall(ir) ? [ir.basePc + ir.fallTarget] : [];
}

/** Where control goes on in the guest's function. */
export function flowTargets(ir: IrBlock): number[] {
  return [...jumpTargets(ir), ...returnPoints(ir)];
}

export function isCall(ir: IrBlock): boolean {
  return isDirectCall(ir)
    || (ir.terminator === TERM_INDIRECT && ir.termKind === JUMP_CALL && ir.fallTarget >= 0);
}

/** A call whose target is in the code. */
export function isDirectCall(ir: IrBlock): boolean {
  return ir.terminator === TERM_JUMP && ir.termKind === JUMP_CALL && ir.fallTarget >= 0;
}

export function isReturn(ir: IrBlock): boolean {
  return ir.terminator === TERM_INDIRECT && ir.termKind === JUMP_RETURN;
}

/** An indirect jump that may stay in its region. */
export function isSwitch(ir: IrBlock): boolean {
  return ir.terminator === TERM_INDIRECT && ir.termKind === JUMP_PLAIN && steadyPlace(ir) === undefined;
}

/** The guest address of the place in memory that an indirect jump or call takes its target from, when the code names it. */
export function steadyPlace(ir: IrBlock): number | undefined {
  if (ir.place !== undefined) return ir.place;
  if (ir.terminator !== TERM_INDIRECT || ir.op[ir.termTemp] !== Op.load64) return undefined;
  const base = ir.a[ir.termTemp]!;
  return ir.op[base] === Op.pc_const ? ir.basePc + pcOffset(ir, base) + ir.imm[ir.termTemp]! : undefined;
}

/** What a pc_const is away from the block's start. */
export function pcOffset(ir: IrBlock, temp: number): number {
  return ir.imm2[temp]! * TWO_32 + (ir.imm[temp]! >>> 0);
}
