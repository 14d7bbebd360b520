// SPDX-License-Identifier: Apache-2.0
// IR as text, one operation a line: for expect tests, tools and eyes.

import type { IrBlock } from "../translate/ir-block.ts";
import { FLAG_IMM, FLAG_IMM2, FLAG_LANE, FLAG_POOL, HELPERS, Op, OPS } from "./ops.ts";
import { TERM_BRANCH, TERM_INDIRECT, TERM_JUMP, TERM_SYSCALL, TERM_TRAP } from "./terminators.ts";

/** Constants are shown where they are used; code addresses as +offset from the block's start. */
export function printIr(ir: IrBlock): string {
  const lines: string[] = [];
  for (let i = 0; i < ir.length; i++) {
    const op = ir.op[i]!;
    if (op === Op.const32 || op === Op.const64 || op === Op.pc_const) continue;
    if (op === Op.insn) lines.push(`+${ir.imm[i]!.toString(16)}:`);
    else lines.push(`  ${printRecord(ir, i)}`);
  }
  lines.push(`  ${printTerminator(ir)}`);
  return lines.join("\n") + "\n";
}

function printRecord(ir: IrBlock, i: number): string {
  const info = OPS[ir.op[i]!]!;
  const parts: string[] = [];
  for (const operand of [ir.a[i]!, ir.b[i]!, ir.c[i]!]) {
    if (operand >= 0) parts.push(printOperand(ir, operand));
  }
  if (info.key === "call") parts.unshift(HELPERS[ir.imm[i]!]!.name);
  else if ((info.flags & FLAG_POOL) !== 0) parts.push(printPool(ir, ir.imm[i]!));
  else if ((info.flags & (FLAG_IMM | FLAG_LANE)) !== 0) parts.push(String(ir.imm[i]!));
  if ((info.flags & FLAG_IMM2) !== 0) parts.push(String(ir.imm2[i]!));
  const text = `${info.name} ${parts.join(", ")}`.trimEnd();
  return info.result === "" ? text : `t${i} = ${text}`;
}

function printOperand(ir: IrBlock, temp: number): string {
  switch (ir.op[temp]) {
    case Op.const32:
      return `#${ir.imm[temp]!}`;
    case Op.const64:
      return `#${printInt64(ir.imm[temp]!, ir.imm2[temp]!)}`;
    case Op.pc_const:
      return `pc+${printInt64(ir.imm[temp]!, ir.imm2[temp]!)}`;
    default:
      return `t${temp}`;
  }
}

function printInt64(lo: number, hi: number): string {
  return ((BigInt(hi) << 32n) | BigInt(lo >>> 0)).toString();
}

function printPool(ir: IrBlock, index: number): string {
  const words = [...ir.pool.subarray(index * 4, index * 4 + 4)];
  return `[${words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join(" ")}]`;
}

function printTerminator(ir: IrBlock): string {
  const at = (
    offset: number,
  ): string => (offset < 0 ? `-${(-offset).toString(16)}` : `+${offset.toString(16)}`);
  const kind = ["", " call", " return"][ir.termKind] ?? "";
  switch (ir.terminator) {
    case TERM_JUMP:
      return `jump ${at(ir.target)}${kind}`;
    case TERM_BRANCH:
      return `branch ${printOperand(ir, ir.termTemp)}, ${at(ir.target)}, ${at(ir.fallTarget)}`;
    case TERM_INDIRECT:
      return `jump_indirect ${printOperand(ir, ir.termTemp)}${kind}`;
    case TERM_SYSCALL:
      return `syscall ${at(ir.target)}`;
    case TERM_TRAP:
      return `trap ${ir.termKind} ${at(ir.target)}`;
    default:
      return "no terminator";
  }
}
