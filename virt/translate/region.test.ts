// SPDX-License-Identifier: Apache-2.0
// What regions are planned: blocks that lie in each other end where the others begin when a loop would have no header otherwise, and indirect jumps
// to few places go on in the region without its dispatcher.

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Block, newBlock } from "../cache.ts";
import { IrBuilder } from "../ir/builder.ts";
import { Op } from "../ir/ops.ts";
import { JUMP_PLAIN, JUMP_RETURN } from "../ir/terminators.ts";
import { type IrBlock, keepIr } from "./ir-block.ts";
import { type BlockSource, planRegion, type RegionPlan } from "./region.ts";
import { lastInstruction } from "./terminators.ts";

/** Instructions of 4 bytes: plain ones, conditional jumps, jumps (by where they lead), an indirect jump (by where it was seen to lead), a return. */
type Code = readonly (["plain"] | ["if" | "to", number] | ["switch", ...number[]] | ["return"])[];

const INSN_BYTES = 4;
const LIMITS = { blocksMax: 100, instructionsMax: 1000, coldest: 1000, inlines: false };

/** Code at address 0, all of it known. */
class ToyCode implements BlockSource {
  readonly #code: Code;
  readonly #blocks = new Map<number, Block>();

  constructor(code: Code) {
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

/** The plan of what begins at instruction 0, and how many instructions its blocks have, by the first. */
function plan(code: Code): { plan: RegionPlan; lengths: Record<number, number> } {
  const wish = {
    headPc: 0,
    members: [],
    entries: [],
    switches: new Map<number, number[]>(),
    callTargets: new Map<number, number>(),
  };
  const made = planRegion(new ToyCode(code), wish, LIMITS);
  assert.ok(made !== undefined);
  const lengths = Object.fromEntries(made.irs.map((ir) => [ir.basePc / INSN_BYTES, ir.instructions]));
  return { plan: made, lengths };
}

test("a loop entered at its condition, which leads to two places in it, has a header all the same", () => {
  const { plan: { graph }, lengths } = plan([
    ["to", 4],
    ["plain"], // 1: a round goes on here or at 6
    ["if", 9],
    ["plain"], // 3: falls into the condition
    ["plain"], // 4: the condition
    ["if", 1],
    ["if", 1], // 6
    ["plain"],
    ["to", 3],
    ["return"], // 9
  ]);
  assert.equal(graph.hasDispatchEdges, false);
  assert.equal(lengths[3], 1);
  assert.equal(lengths[4], 2);
});

test("where loops have headers, blocks stay as long as they are", () => {
  const { plan: { graph }, lengths } = plan([
    ["to", 2],
    ["plain"], // 1: the loop, with its condition
    ["plain"], // 2: the condition, before the first round
    ["if", 1],
    ["return"],
  ]);
  assert.equal(graph.hasDispatchEdges, false);
  assert.equal(lengths[1], 3);
});

/** A loop around a switch to so many places. */
function switchTo(count: number): Code {
  const ways = Array.from({ length: count }, (_, n) => n);
  return [
    ["if", 2 + 2 * count], // 0: the loop
    ["switch", ...ways.map((n) => 2 + 2 * n)],
    ...ways.flatMap((): Code => [["plain"], ["to", 0]]),
    ["return"],
  ];
}

test("an indirect jump to few places is a branch, and these no entries of the region", () => {
  const { plan: few } = plan(switchTo(3));
  assert.deepEqual(few.switchTargets, []);
  assert.deepEqual(few.graph.entries, [1]);
  assert.equal(few.graph.hasDispatchEdges, false);
  assert.deepEqual([...few.switches], [[INSN_BYTES, [2, 4, 6].map((n) => n * INSN_BYTES)]]);
});

test("an indirect jump to many places goes through the dispatcher", () => {
  const { plan: many } = plan(switchTo(8));
  assert.equal(many.switchTargets.length, 8);
  assert.equal(many.graph.entries.length, 9);
});
