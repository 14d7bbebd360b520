// SPDX-License-Identifier: Apache-2.0
// Access to xmm and mmx operands.
//
// Every vector value is a v128 temp. An mmx register lies in the significand of the x87 register of the same
// number; as a v128 it has a zero high half, and only its low half is written back.

import { TRAP_FPU } from "../../../include/linux/cpu.ts";
import type { Temp } from "../../../virt/ir/builder.ts";
import { Op } from "../../../virt/ir/ops.ts";
import { CPU_STATE } from "../../../virt/layout.ts";
import type { Lift, Lifter } from "./context.ts";

export function zero128(l: Lift): Temp {
  return l.b.const128(0, 0, 0, 0);
}

/** A v128 with `value` (i64) in the low half and 0 in the high one. */
export function low64(l: Lift, value: Temp): Temp {
  return l.b.replaceLane(Op.i64x2_replace_lane, zero128(l), 0, value);
}

function readMmx(l: Lift, n: number): Temp {
  return low64(l, l.b.getState64(CPU_STATE.st + 16 * n));
}

/** Registers written as MMX get all ones as sign and exponent. */
function writeMmx(l: Lift, n: number, value: Temp): void {
  const { b } = l;
  b.setState64(CPU_STATE.st + 16 * n, b.extractLane(Op.i64x2_extract_lane, value, 0));
  b.setState64(CPU_STATE.st + 16 * n + 8, b.const64(0xffff, 0));
}

/** Vector operand n: a register, or memory of the operand's size with zeros above. */
export function readVector(l: Lift, n: number): Temp {
  const { b } = l;
  if (!l.isMemory(n)) {
    const register = l.vectorOf(n);
    return l.isMmx(n) ? readMmx(l, register) : b.getXmm(register);
  }
  const size = l.size(n);
  if (size === 16) {
    if (l.insn.form.aligned) l.checkAlignment(16);
    l.address();
    return b.load(Op.load128, l.addr, l.disp);
  }
  const value = l.load(size);
  if (size === 8) return low64(l, value);
  return b.replaceLane(Op.i32x4_replace_lane, zero128(l), 0, value);
}

export function writeVector(l: Lift, n: number, value: Temp): void {
  const { b } = l;
  if (!l.isMemory(n)) {
    const register = l.vectorOf(n);
    if (l.isMmx(n)) writeMmx(l, register, value);
    else b.setXmm(register, value);
    return;
  }
  const size = l.size(n);
  if (size === 16) {
    if (l.insn.form.aligned) l.checkAlignment(16);
    l.address();
    b.store(Op.store128, l.addr, l.disp, value);
  } else if (size === 8) {
    l.store(8, b.extractLane(Op.i64x2_extract_lane, value, 0));
  } else {
    l.store(size, b.extractLane(Op.i32x4_extract_lane, value, 0));
  }
}

/** Both operands of a two-operand vector instruction: [target, source]. The source may fault, so it is first. */
export function readBoth(l: Lift): [Temp, Temp] {
  const source = readVector(l, 1);
  return [readVector(l, 0), source];
}

/** The low halves of two mmx values side by side. */
export function joinHalves(l: Lift, a: Temp, b: Temp): Temp {
  return l.b.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
}

/** Byte lanes for a shuffle from indexes of lanes of `bytes`: 16 and up mean the second operand. */
export function lanesOf(bytes: number, indexes: readonly number[]): number[] {
  return indexes.flatMap((index) => Array.from({ length: bytes }, (_, i) => index * bytes + i));
}

const ERROR_SUMMARY = 0x80;

/** The x87 stack as MMX instructions leave it: full, its top 0. */
export function enterMmx(l: Lift): void {
  l.b.setState32(CPU_STATE.ftop, l.b.const32(0));
  l.b.setState32(CPU_STATE.ftag, l.b.const32(l.insn.form.mnemonic === "EMMS" ? 0 : 0xff));
}

/** The conversions from two integers touch the x87 state only when they come from a register. */
const FROM_PAIR: ReadonlySet<string> = new Set(["CVTPI2PS", "CVTPI2PD"]);

/** An MMX instruction: a pending x87 exception first; afterwards the x87 stack is taken. */
export function withMmx(lifter: Lifter): Lifter {
  return (l) => {
    const { b } = l;
    if (FROM_PAIR.has(l.insn.form.mnemonic) && !l.insn.isReg) return lifter(l);
    b.trapIf(TRAP_FPU, b.emit(Op.i32_and, b.getState32(CPU_STATE.fsw), b.const32(ERROR_SUMMARY)));
    lifter(l);
    enterMmx(l);
  };
}
