// SPDX-License-Identifier: Apache-2.0
// Chooses the blocks of a region and makes its graph.
//
// A region grows from a hot block along direct jumps, branches and calls, over blocks that have run before.
// Its entries are the first block, the places calls return to, where its indirect jumps went lately, and loop
// headers: where code is entered again after it was left.

import type { Block } from "../cache.ts";
import { JUMP_CALL, TERM_BRANCH, TERM_INDIRECT, TERM_JUMP } from "../ir/ops.ts";
import { buildGraph, DISPATCHER, type Graph } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";

export interface RegionLimits {
  readonly blocksMax: number;
  readonly instructionsMax: number;
}

/** What region formation asks of the CPU. */
export interface BlockSource {
  /** `targets`: where its indirect jump went lately. The block known at a guest address, worth translating, with its IR; undefined when there is none. */
  take(pc: number): { block: Block; ir: IrBlock; targets: readonly number[] } | undefined;
}

export interface RegionPlan {
  readonly graph: Graph;
  readonly blocks: readonly Block[];
  readonly irs: readonly IrBlock[];
  readonly nodeByPc: ReadonlyMap<number, number>;
  readonly anchorPc: number;
}

/** Offsets from the anchor must fit the site word. */
const OFFSET_MAX = 1 << 22;
/** The entry word has 8 bits for the entry. */
const ENTRIES_MAX = 200;

export function planRegion(source: BlockSource, headPc: number, limits: RegionLimits): RegionPlan | undefined {
  const blocks: Block[] = [];
  const irs: IrBlock[] = [];
  const nodeByPc = new Map<number, number>();
  const seen = new Set([headPc]);
  const queue = [headPc];
  const indirect = new Set<number>();
  let instructions = 0;
  for (let pc = queue.shift(); pc !== undefined; pc = queue.shift()) {
    if (blocks.length >= limits.blocksMax || instructions >= limits.instructionsMax) break;
    if (Math.abs(pc - headPc) >= OFFSET_MAX) continue;
    const found = source.take(pc);
    if (found === undefined) continue;
    blocks.push(found.block);
    irs.push(found.ir);
    nodeByPc.set(pc, blocks.length);
    instructions += found.ir.instructions;
    for (const target of found.targets) indirect.add(target);
    for (const next of [...jumpTargets(found.ir), ...returnPoints(found.ir), ...found.targets]) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  if (blocks.length === 0 || nodeByPc.get(headPc) !== 1) return undefined;
  return { graph: makeGraph(irs, nodeByPc, [...indirect]), blocks, irs, nodeByPc, anchorPc: headPc };
}

function jumpTargets(ir: IrBlock): number[] {
  if (ir.terminator === TERM_JUMP) return [ir.basePc + ir.target];
  return ir.terminator === TERM_BRANCH ? [ir.basePc + ir.target, ir.basePc + ir.fallTarget] : [];
}

function returnPoints(ir: IrBlock): number[] {
  const isCall = (ir.terminator === TERM_JUMP || ir.terminator === TERM_INDIRECT) && ir.termKind === JUMP_CALL;
  return isCall && ir.fallTarget >= 0 ? [ir.basePc + ir.fallTarget] : [];
}

function makeGraph(irs: readonly IrBlock[], nodeByPc: ReadonlyMap<number, number>, indirect: readonly number[]): Graph {
  const known = (targets: readonly number[]): number[] => {
    const nodes: number[] = [];
    for (const pc of targets) {
      const node = nodeByPc.get(pc);
      if (node !== undefined) nodes.push(node);
    }
    return nodes;
  };
  const successors = [[], ...irs.map((ir) => known(jumpTargets(ir)))];
  const entries = new Set([1, ...known(indirect), ...irs.flatMap((ir) => known(returnPoints(ir)))]);
  const first = buildGraph(successors, [...entries]);
  for (const entry of first.entries) entries.add(entry);
  first.isLoopHeader.forEach((is, node) => {
    if (is === 1 && node !== DISPATCHER && entries.size < ENTRIES_MAX) entries.add(node);
  });
  return buildGraph(successors, [...entries]);
}
