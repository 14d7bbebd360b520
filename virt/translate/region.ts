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
  /** Blocks that run this many times less often than the hottest are left out. */
  readonly coldest: number;
}

/** What region formation asks of the CPU. */
export interface BlockSource {
  /** How often the block at a guest address has run; -1 when it is not known or not worth translating. */
  heat(pc: number): number;
  /** That block with its IR. `targets`: where its indirect jump went lately. */
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

/** `extras`: further entries, for a region that is left for them often. */
export function planRegion(
  source: BlockSource,
  headPc: number,
  extras: readonly number[],
  limits: RegionLimits,
): RegionPlan | undefined {
  const blocks: Block[] = [];
  const irs: IrBlock[] = [];
  const nodeByPc = new Map<number, number>();
  const candidates = new Candidates(source, headPc);
  let hottest = 0;
  const indirect = new Set<number>(extras);
  let instructions = 0;
  candidates.add(headPc);
  for (let next = candidates.next(); next !== undefined; next = candidates.next()) {
    const { pc, heat } = next;
    if (heat !== Infinity) hottest = Math.max(hottest, heat);
    if (heat < hottest / limits.coldest) break; // and all that wait are colder
    const found = source.take(pc);
    if (found === undefined) continue;
    blocks.push(found.block);
    irs.push(found.ir);
    nodeByPc.set(pc, blocks.length);
    instructions += found.ir.instructions;
    if (blocks.length >= limits.blocksMax || instructions >= limits.instructionsMax) break;
    // What the region is left for is hot whatever its count says: not all regions count.
    if (blocks.length === 1) extras.forEach((extra) => candidates.add(extra, Infinity));
    for (const target of found.targets) indirect.add(target);
    for (const to of [...jumpTargets(found.ir), ...returnPoints(found.ir), ...found.targets]) {
      candidates.add(to);
    }
  }
  if (nodeByPc.get(headPc) !== 1) return undefined;
  return { graph: makeGraph(irs, nodeByPc, [...indirect]), blocks, irs, nodeByPc, anchorPc: headPc };
}

/** Addresses to look at, the hottest first. */
class Candidates {
  readonly #source: BlockSource;
  readonly #headPc: number;
  readonly #seen = new Set<number>();
  readonly #waiting: { readonly pc: number; readonly heat: number }[] = [];

  constructor(source: BlockSource, headPc: number) {
    this.#source = source;
    this.#headPc = headPc;
  }

  add(pc: number, known?: number): void {
    if (this.#seen.has(pc) || Math.abs(pc - this.#headPc) >= OFFSET_MAX) return;
    this.#seen.add(pc);
    const heat = this.#source.heat(pc);
    if (heat >= 0) this.#waiting.push({ pc, heat: known ?? heat });
  }

  next(): { readonly pc: number; readonly heat: number } | undefined {
    let best = 0;
    for (let n = 1; n < this.#waiting.length; n++) {
      if (this.#waiting[n]!.heat > this.#waiting[best]!.heat) best = n;
    }
    return this.#waiting.splice(best, 1)[0];
  }
}

function jumpTargets(ir: IrBlock): number[] {
  if (ir.terminator === TERM_JUMP) return [ir.basePc + ir.target];
  return ir.terminator === TERM_BRANCH ? [ir.basePc + ir.target, ir.basePc + ir.fallTarget] : [];
}

function returnPoints(ir: IrBlock): number[] {
  const isCall = (ir.terminator === TERM_JUMP || ir.terminator === TERM_INDIRECT)
    && ir.termKind === JUMP_CALL;
  return isCall && ir.fallTarget >= 0 ? [ir.basePc + ir.fallTarget] : [];
}

function makeGraph(
  irs: readonly IrBlock[],
  nodeByPc: ReadonlyMap<number, number>,
  indirect: readonly number[],
): Graph {
  const known = (targets: readonly number[]): number[] => {
    const nodes: number[] = [];
    for (const pc of targets) {
      const node = nodeByPc.get(pc);
      if (node !== undefined) nodes.push(node);
    }
    return nodes;
  };
  const successors = [[], ...irs.map((ir) => known(jumpTargets(ir)))];
  const entries = new Set(
    [1, ...irs.flatMap((ir) => known(returnPoints(ir))), ...known(indirect)].slice(0, ENTRIES_MAX),
  );
  const first = buildGraph(successors, [...entries]);
  for (const entry of first.entries) entries.add(entry);
  first.isLoopHeader.forEach((is, node) => {
    if (is === 1 && node !== DISPATCHER && entries.size < ENTRIES_MAX) entries.add(node);
  });
  return buildGraph(successors, [...entries]);
}
