// SPDX-License-Identifier: Apache-2.0
// Checks a block: operand types, operands made before their use, immediates in range, one terminator.
// For tests and debugging: the builder itself only computes.

import type { IrBlock } from "../translate/ir-block.ts";
import { FLAG_LANE, FLAG_POOL, HELPERS, Op, OPS } from "./ops.ts";
import { TERM_BRANCH, TERM_INDIRECT, TERM_NONE } from "./terminators.ts";

/** Throws with the number of the first bad record. */
export function validateIr(ir: IrBlock): void {
  for (let i = 0; i < ir.length; i++) validateRecord(ir, i);
  if (ir.terminator === TERM_NONE) throw new Error("ir: no terminator");
  if (ir.terminator === TERM_BRANCH) expectType(ir, ir.length, ir.termTemp, "i");
  if (ir.terminator === TERM_INDIRECT) expectType(ir, ir.length, ir.termTemp, "l");
  if (ir.instructions < 1) throw new Error("ir: a block without an instruction");
}

function validateRecord(ir: IrBlock, i: number): void {
  const info = OPS[ir.op[i]!];
  if (info === undefined) throw new Error(`ir: record ${i}: no operation ${ir.op[i]!}`);
  const helper = info.key === "call" ? HELPERS[ir.imm[i]!] : undefined;
  if (info.key === "call" && helper?.result !== info.result) throw new Error(`ir: record ${i}: bad helper`);
  const operands = helper?.operands ?? info.operands;
  [ir.a[i]!, ir.b[i]!, ir.c[i]!].forEach((temp, n) => {
    const wanted = operands.charAt(n);
    if (wanted === "") {
      if (temp >= 0) throw new Error(`ir: record ${i} (${info.name}): operand ${n} too many`);
    } else {
      expectType(ir, i, temp, wanted);
    }
  });
  if ((info.flags & FLAG_POOL) !== 0 && ir.pool.length < (ir.imm[i]! + 1) * 4) {
    throw new Error(`ir: record ${i} (${info.name}): no such constant`);
  }
  if ((info.flags & FLAG_LANE) !== 0) {
    const lanes = Number(info.name.split(/[x_]/)[1]);
    if (!(ir.imm[i]! >= 0 && ir.imm[i]! < lanes)) {
      throw new Error(`ir: record ${i} (${info.name}): no such lane`);
    }
  }
  if (isRegister(ir.op[i]!) && !(ir.imm[i]! >= 0 && ir.imm[i]! < 16)) {
    throw new Error(`ir: record ${i} (${info.name}): no such register`);
  }
}

function isRegister(op: number): boolean {
  return op === Op.get_gpr || op === Op.set_gpr || op === Op.get_xmm || op === Op.set_xmm;
}

function expectType(ir: IrBlock, at: number, temp: number, wanted: string): void {
  if (temp < 0 || temp >= at) throw new Error(`ir: record ${at}: operand t${temp} is not made before`);
  const type = OPS[ir.op[temp]!]!.result;
  if (wanted !== "*" && type !== wanted) {
    throw new Error(`ir: record ${at}: t${temp} is ${type === "" ? "no value" : type}, wanted ${wanted}`);
  }
}
