// SPDX-License-Identifier: Apache-2.0
// Code that is nothing but its control flow, for tests of how regions are planned.

import { type Block, newBlock } from "../cache.ts";
import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { JUMP_PLAIN, JUMP_RETURN } from "../ir/terminators.ts";
import { type IrBlock, keepIr } from "../translate/ir-block.ts";
import type { BlockSource } from "../translate/region.ts";
import { lastInstruction } from "../translate/terminators.ts";

/** Instructions of 4 bytes: plain ones, conditional jumps, jumps (by where they lead), an indirect jump (by where it was seen to lead), a return. */
export type ToyCodeLine =
  | readonly ["plain"]
  | readonly ["if" | "to", number]
  | readonly ["switch", ...number[]]
  | readonly ["return"];

export const INSN_BYTES = 4;

/** Code at address 0, all of it known. */
export class ToyCode implements BlockSource {
  readonly #code: readonly ToyCodeLine[];
  readonly #blocks = new Map<number, Block>();

  constructor(code: readonly ToyCodeLine[]) {
    this.#code = code;
  }

  heat(): number {
    return 1;
  }

  known(pc: number): Block {
    const block = this.#blocks.get(pc) ?? newBlock(0, pc, 0);
    this.#blocks.set(pc, block);
    return block;
  }

  take(pc: number): { block: Block; ir: IrBlock; targets: number[] } {
    const ir = this.cut(pc, Infinity);
    const [kind, ...targets] = this.#code[lastInstruction(ir) / INSN_BYTES]!;
    return {
      block: this.known(pc),
      ir,
      targets: kind === "switch" ? targets.map((n) => n * INSN_BYTES) : [],
    };
  }

  takeCallee(): undefined {
    return undefined;
  }

  cut(pc: number, endPc: number): IrBlock {
    const builder = new IrBuilder();
    builder.begin(pc);
    let at = pc;
    for (; at < endPc; at += INSN_BYTES) {
      const next = at + INSN_BYTES;
      builder.insn(at, INSN_BYTES);
      const [kind, target = 0] = this.#code[at / INSN_BYTES]!;
      if (kind === "plain") continue;
      if (kind === "to") builder.jump(target * INSN_BYTES);
      else if (kind === "if") {
        builder.branch(builder.emit(Op.i64_eqz, builder.getGpr(0)), target * INSN_BYTES, next);
      } else builder.jumpIndirect(builder.getGpr(0), kind === "switch" ? JUMP_PLAIN : JUMP_RETURN);
      return keepIr(builder);
    }
    builder.jump(at);
    return keepIr(builder);
  }
}
