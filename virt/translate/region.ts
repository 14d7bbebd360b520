// SPDX-License-Identifier: Apache-2.0
// Chooses the blocks of a region and makes its graph.
//
// A region grows from a hot block along direct jumps, branches and the places calls return to, over blocks that
// have run before: a function of the guest, or the hot part of one. Calls are not followed, the callee is a region
// of its own; but a stub is taken into the block that calls it, and small functions may be copied (inline.ts). A block belongs to one region; a small region that is reached is taken in. Entries are the first
// block, the places calls return to, where indirect jumps to many places went lately, and loop headers: where code is entered again
// after it was left.

import type { Block } from "../cache.ts";
import { Op } from "../ir/ops.ts";
import { findArrivals } from "./arrivals.ts";
import { takeCodeBase } from "./code-base.ts";
import { buildGraph, DISPATCHER, type Graph } from "./graph.ts";
import { inlineCalls, type Inlined, inlineNothing, OTHERWISE } from "./inline.ts";
import type { IrBlock } from "./ir-block.ts";
import type { Region } from "./live.ts";
import { isStub, joinStub } from "./stubs.ts";
import {
  flowTargets,
  isDirectCall,
  isSwitch,
  JUMP_CASES,
  jumpTargets,
  lastInstruction,
  returnPoints,
} from "./terminators.ts";
import { noteTargets, type RegionWish, switchesAt } from "./wish.ts";

export interface RegionLimits {
  readonly blocksMax: number;
  readonly instructionsMax: number;
  /** Blocks that run this many times less often than the hottest are left out. */
  readonly coldest: number;
  /** Whether small functions are put into those that call them. */
  readonly inlines: boolean;
  /**
   * Where it is given, code comes in at the first block and where bytecode began that was entered so often, by heat(), and the region stays apart from those that
   * there are: half the code, for what runs seldom and for what other regions left to the interpreter.
   */
  readonly arrivalHeat?: number;
}

/** What region formation asks of the CPU. */
export interface BlockSource {
  /** How often the block at a guest address has run; -1 when it is not known or not worth translating. */
  heat(pc: number): number;
  /** The live block at a guest address. */
  known(pc: number): Block | undefined;
  /** That block with its IR. `targets`: where its indirect jump went lately. */
  take(pc: number): TakenBlock | undefined;
  /** IR of the code from `pc` on that ends before `endPc`. */
  cut(pc: number, endPc: number): IrBlock | undefined;
  /** The block that a call leads to, when that may have run. */
  takeCallee(pc: number): TakenBlock | undefined;
}

export interface TakenBlock {
  readonly block: Block;
  readonly ir: IrBlock;
  readonly targets: readonly number[];
}

export interface RegionPlan {
  readonly graph: Graph;
  /** The same as it is entered at the first entry alone, which most calls do; undefined when no function of the guest begins there, or
   *  when the other entries cost that way little. Its entries after the first are `switchTargets`, under the same numbers. */
  readonly firstGraph: Graph | undefined;
  readonly blocks: readonly Block[];
  /** Of the blocks, and then of what was put into the region of others. */
  readonly irs: readonly IrBlock[];
  /** Of others, by guest address: stubs that became part of the blocks which call them, functions that were copied. */
  readonly foreign: ReadonlyMap<number, Block>;
  readonly ways: Inlined["ways"];
  readonly expected: Inlined["expected"];
  readonly callTargets: RegionWish["callTargets"];
  readonly nodeByPc: ReadonlyMap<number, number>;
  readonly anchorPc: number;
  /** Regions whose blocks are all in this one. */
  readonly absorbed: readonly Region[];
  /** Guest addresses that direct control flow leaves for. */
  readonly exits: readonly number[];
  /** Guest addresses of instructions where checks of memory that others share failed often. */
  readonly apart: ReadonlySet<number>;
  /** By guest address of an indirect jump: the blocks of the region that it was seen to go to. */
  readonly switches: ReadonlyMap<number, readonly number[]>;
  /** Of these blocks the entries that the dispatcher leads to. */
  readonly switchTargets: readonly number[];
}

/** Regions are not taken in beyond this generation: every time all of their code is compiled again. */
export const GENERATIONS_MAX = 4;
/** Offsets from the anchor must fit the site word. */
const OFFSET_MAX = 1 << 22;
/** Compilers align functions. */
export const FUNCTION_ALIGNMENT = 16;
/** The entry word has 8 bits for the entry. */
const ENTRIES_MAX = 240;
const ENTRY_NUMBERS = 256;
/** An indirect jump with more of them goes through the dispatcher. */
const CASES_MAX = 7;
/** All of them do where a target has more than so many ways in on average: an interpreter whose handlers jump to each other. */
const THREADED_WAYS = 2;

/** Whether code at `pc` may be in a region with code at `headPc`. */
export function isNear(pc: number, headPc: number): boolean {
  return Math.abs(pc - headPc) < OFFSET_MAX;
}

export function planRegion(
  source: BlockSource,
  wish: RegionWish,
  limits: RegionLimits,
): RegionPlan | undefined {
  return new Planner(source, wish, limits).run();
}

class Planner {
  readonly #source: BlockSource;
  readonly #wish: RegionWish;
  readonly #limits: RegionLimits;
  readonly #blocks: Block[] = [];
  readonly #irs: IrBlock[] = [];
  readonly #nodeByPc = new Map<number, number>();
  readonly #entries: Set<number>;
  readonly #absorbed = new Set<Region>();
  readonly #apart: Set<number>;
  readonly #seen = new Set<number>();
  readonly #waiting: { readonly pc: number; readonly heat: number }[] = [];
  readonly #switches = new Map<number, Set<number>>();
  readonly #stubs = new Map<number, TakenBlock | undefined>();
  #inlined!: Inlined; // set by run()
  #instructions = 0;

  constructor(source: BlockSource, wish: RegionWish, limits: RegionLimits) {
    this.#source = source;
    this.#wish = wish;
    this.#limits = limits;
    this.#entries = new Set(wish.entries);
    for (const [pc, targets] of wish.switches) noteTargets(this.#switches, pc, targets);
    for (const region of wish.replaces) this.#absorbed.add(region);
    this.#apart = new Set(wish.apart);
  }

  run(): RegionPlan | undefined {
    const { headPc, members } = this.#wish;
    this.#add(headPc, Infinity);
    for (const pc of members) this.#add(pc, Infinity);
    this.#grow();
    if (this.#nodeByPc.get(headPc) !== 1) return undefined;
    this.#beginAt(this.#functionStart());
    this.#takeCases();
    let reachable = this.#makePlainGraph();
    if (reachable.hasDispatchEdges) {
      this.#endAtOthers();
      this.#takeCases();
      reachable = this.#makePlainGraph();
    }
    if (this.#limits.inlines) {
      this.#inlined = this.#inline();
      reachable = this.#makeGraph();
      if (reachable.entries.some((node) => node > this.#irs.length)) reachable = this.#makePlainGraph();
    }
    if (reachable.entries.length > ENTRY_NUMBERS) return undefined;
    const switchTargets = this.#dispatched().filter((pc) => this.#isEntry(reachable, pc));
    const anchorPc = this.#irs[0]!.basePc;
    const isCalled = anchorPc % FUNCTION_ALIGNMENT === 0;
    const isRouted = reachable.hasDispatchEdges || reachable.selectorOf.size > 0;
    return {
      graph: reachable,
      firstGraph: isCalled && isRouted ? this.#makeFirstGraph(switchTargets) : undefined,
      blocks: this.#blocks,
      irs: this.#inlined.irs.map((ir) => takeCodeBase(ir, anchorPc)),
      foreign: this.#foreign(),
      ways: this.#inlined.ways,
      expected: this.#inlined.expected,
      callTargets: this.#wish.callTargets,
      nodeByPc: this.#nodeByPc,
      anchorPc,
      absorbed: [...this.#absorbed],
      exits: this.#exits(),
      apart: this.#apart,
      switches: this.#switchesWithin(),
      switchTargets,
    };
  }

  #grow(): void {
    const { blocksMax, instructionsMax, coldest } = this.#limits;
    let hottest = 0;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { pc, heat } = next;
      if (heat !== Infinity) hottest = Math.max(hottest, heat);
      if (heat < hottest / coldest) break; // and all that wait are colder
      const found = this.#source.take(pc);
      if (found === undefined) continue;
      this.#blocks.push(found.block);
      this.#irs.push(this.#withStub(found.ir));
      this.#nodeByPc.set(pc, this.#blocks.length);
      this.#instructions += found.ir.instructions;
      if (this.#blocks.length >= blocksMax || this.#instructions >= instructionsMax) break;
      if (isSwitch(found.ir)) noteTargets(this.#switches, lastInstruction(found.ir), found.targets);
      for (const to of [...jumpTargets(found.ir), ...returnPoints(found.ir), ...this.#allTargets()]) {
        this.#add(to, undefined);
      }
    }
  }

  #allTargets(): number[] {
    return [...this.#switches.values()].flatMap((targets) => [...targets]);
  }

  /** By guest address of an indirect jump of the region: where it goes in it. */
  #switchesWithin(): Map<number, number[]> {
    const found = new Map<number, number[]>();
    for (const ir of this.#irs) {
      const targets = isSwitch(ir) ? this.#targetsOf(ir) : ir.cases;
      if (targets !== undefined && targets.length > 0) found.set(lastInstruction(ir), [...targets]);
    }
    return found;
  }

  /** Where an indirect jump of the region goes in it. */
  #targetsOf(ir: IrBlock): number[] {
    return [...this.#switches.get(lastInstruction(ir)) ?? []].filter((pc) => this.#nodeByPc.has(pc));
  }

  /** Where those go that are not compared with cases. */
  #dispatched(): number[] {
    return [...new Set(this.#irs.filter(isSwitch).flatMap((ir) => this.#targetsOf(ir)))];
  }

  /** Indirect jumps that go to few places are compared with these. */
  #takeCases(): void {
    if (this.#isThreaded()) return;
    this.#irs.forEach((ir, n) => {
      const cases = isSwitch(ir) ? this.#targetsOf(ir) : [];
      if (cases.length > 0 && cases.length <= CASES_MAX) {
        this.#irs[n] = { ...ir, termKind: JUMP_CASES, cases };
      }
    });
  }

  #isThreaded(): boolean {
    const ways = this.#irs.filter(isSwitch).flatMap((ir) => this.#targetsOf(ir));
    return ways.length > THREADED_WAYS * new Set(ways).size;
  }

  /**
   * Blocks end where others of the region begin. One that goes on into another as part of itself has that code twice, and a loop that both
   * are in has no header when that code leads to two places in it.
   */
  #endAtOthers(): void {
    this.#irs.forEach((ir, n) => {
      const within = this.#firstWithin(ir);
      const cut = within === undefined ? undefined : this.#source.cut(ir.basePc, within);
      if (cut !== undefined) this.#irs[n] = cut;
    });
  }

  /** Where the first of the region's blocks begins that is not a block's beginning but one of its instructions. */
  #firstWithin({ op, imm, length, basePc }: IrBlock): number | undefined {
    for (let i = 0; i < length; i++) {
      const pc = basePc + imm[i]!;
      if (op[i] === Op.insn && pc !== basePc && this.#nodeByPc.has(pc)) return pc;
    }
    return undefined;
  }

  #inline(): Inlined {
    const { headPc } = this.#wish;
    return inlineCalls({
      source: this.#source,
      irs: this.#irs,
      nodeByPc: this.#nodeByPc,
      callTargets: this.#wish.callTargets,
      isNear: (pc) => isNear(pc, headPc),
      finish: (ir) => this.#withStub(ir),
    });
  }

  #foreign(): Map<number, Block> {
    const found = new Map(this.#inlined.copied);
    for (const [pc, stub] of this.#stubs) if (stub !== undefined) found.set(pc, stub.block);
    return found;
  }

  /** A block that calls a stub takes it in. */
  #withStub(ir: IrBlock): IrBlock {
    const target = ir.basePc + ir.target;
    if (!isDirectCall(ir) || !isNear(target, this.#wish.headPc)) return ir;
    if (!this.#stubs.has(target)) {
      const found = this.#source.takeCallee(target);
      this.#stubs.set(target, found !== undefined && isStub(found.ir) ? found : undefined);
    }
    const stub = this.#stubs.get(target);
    return stub === undefined ? ir : joinStub(ir, stub.ir);
  }

  /**
   * `heat`: undefined to ask. A block of another region brings that whole region; where it does not fit, an entry of it
   * stays there and is left for, and other blocks are taken once more.
   */
  #add(pc: number, heat: number | undefined): void {
    if (this.#seen.has(pc) || !isNear(pc, this.#wish.headPc)) return;
    this.#seen.add(pc);
    const block = this.#source.known(pc);
    const home = block?.home;
    if (heat === undefined && home !== undefined && !this.#absorbed.has(home.region)) {
      if (this.#absorb(home.region, pc - home.offset) || block?.entry !== 0) return;
    }
    const own = heat ?? (home !== undefined ? Infinity : this.#source.heat(pc));
    if (own >= 0) this.#waiting.push({ pc, heat: own });
  }

  #absorb(region: Region, anchorPc: number): boolean {
    const { blocksMax, instructionsMax, arrivalHeat } = this.#limits;
    const fits = arrivalHeat === undefined && !region.isClaimed && region.generation < GENERATIONS_MAX
      && this.#blocks.length + this.#waiting.length + region.offsets.size < blocksMax
      && this.#instructions + region.instructions < instructionsMax;
    if (!fits || !isLaidOut(this.#source, region, anchorPc)) return false;
    if (![...region.offsets].every((offset) => isNear(anchorPc + offset, this.#wish.headPc))) return false;
    this.#absorbed.add(region);
    this.#entries.add(anchorPc);
    for (const [pc, targets] of switchesAt(region, anchorPc)) noteTargets(this.#switches, pc, targets);
    for (const offset of region.facts.apart) this.#apart.add(anchorPc + offset);
    for (const offset of region.offsets) {
      this.#seen.add(anchorPc + offset);
      if (!this.#nodeByPc.has(anchorPc + offset)) {
        this.#waiting.push({ pc: anchorPc + offset, heat: Infinity });
      }
    }
    return true;
  }

  /** The hottest that waits. */
  #next(): { readonly pc: number; readonly heat: number } | undefined {
    let best = 0;
    for (let n = 1; n < this.#waiting.length; n++) {
      if (this.#waiting[n]!.heat > this.#waiting[best]!.heat) best = n;
    }
    return this.#waiting.splice(best, 1)[0];
  }

  /**
   * The node where the guest's function begins: what was hot first may be in the middle. No jump of the function leads there,
   * and compilers align it.
   */
  #functionStart(): number {
    const targets = [...this.#irs.flatMap(flowTargets), ...this.#allTargets()];
    const hasPredecessor = new Set(this.#nodes(targets));
    let start = 1;
    let lowest = Infinity;
    for (const [pc, node] of this.#nodeByPc) {
      if (hasPredecessor.has(node) || pc % FUNCTION_ALIGNMENT !== 0 || pc >= lowest) continue;
      start = node;
      lowest = pc;
    }
    return start;
  }

  /** Makes a node the first. */
  #beginAt(node: number): void {
    const pc = this.#irs[node - 1]!.basePc;
    if ([...this.#nodeByPc.keys()].some((other) => !isNear(other, pc))) return;
    for (const list of [this.#blocks, this.#irs]) [list[0], list[node - 1]] = [list[node - 1]!, list[0]!];
    this.#entries.add(this.#irs[node - 1]!.basePc);
    this.#nodeByPc.set(this.#irs[node - 1]!.basePc, node);
    this.#nodeByPc.set(pc, 1);
  }

  #successors(): number[][] {
    const { irs, ways, expected } = this.#inlined;
    return [
      [],
      ...irs.map((ir, n) => {
        const target = expected.get(n + 1);
        return this.#nodes(target === undefined ? flowTargets(ir) : [target, OTHERWISE], ways[n + 1]);
      }),
    ];
  }

  #makeFirstGraph(switchTargets: readonly number[]): Graph {
    const entries = [1, ...this.#nodes(switchTargets)];
    const successors = this.#successors();
    const reached = reachedFrom(successors, entries);
    return buildGraph(successors.map((targets, node) => (reached[node] === 1 ? targets : [])), entries);
  }

  /** Without copies of others. */
  #makePlainGraph(): Graph {
    this.#inlined = inlineNothing({ irs: this.#irs, nodeByPc: this.#nodeByPc });
    return this.#makeGraph();
  }

  #makeGraph(): Graph {
    const successors = this.#successors();
    const { arrivalHeat } = this.#limits;
    const isUsual = arrivalHeat === undefined;
    const entered = isUsual ? this.#enteredNodes() : this.#arrivals(successors, arrivalHeat);
    const wanted = new Set([1, ...this.#nodes(this.#dispatched()), ...entered]);
    const limited = [...wanted].slice(0, ENTRIES_MAX);
    for (const node of unreached(successors, limited)) limited.push(node);
    const first = buildGraph(successors, limited);
    if (!isUsual) return first;
    const entries = new Set(first.entries);
    first.isLoopHeader.forEach((is, node) => {
      const block = first.headerOf.get(node) ?? node;
      if (is === 1 && block !== DISPATCHER && entries.size < ENTRIES_MAX) entries.add(block);
    });
    return buildGraph(successors, [...entries]);
  }

  #arrivals(successors: readonly (readonly number[])[], least: number): number[] {
    const returns = new Set(this.#nodes(this.#irs.flatMap(returnPoints)));
    // Copies of others come after the blocks, and nobody can come to them.
    const own = successors.slice(0, this.#blocks.length + 1);
    const heats = this.#irs.map(({ basePc }) => this.#source.heat(basePc));
    return findArrivals({
      successors: own,
      heat: (node) => heats[node - 1] ?? -1,
      isLandedAt: (node) => returns.has(node) || this.#blocks[node - 1]!.isTarget,
    }, least);
  }

  /** Where code is likely to come back to after it has left the region. */
  #enteredNodes(): number[] {
    const cases = new Set(this.#irs.flatMap((ir) => ir.cases ?? []));
    const entered = [...this.#entries].filter((pc) => !cases.has(pc));
    return this.#nodes([...entered, ...this.#irs.flatMap(returnPoints)]);
  }

  #nodes(pcs: readonly number[], ways: ReadonlyMap<number, number> = this.#nodeByPc): number[] {
    const nodes: number[] = [];
    for (const pc of pcs) {
      const node = ways.get(pc);
      if (node !== undefined) nodes.push(node);
    }
    return nodes;
  }

  #isEntry(graph: Graph, pc: number): boolean {
    const node = this.#nodeByPc.get(pc);
    return node !== undefined && graph.entries.includes(node);
  }

  #exits(): number[] {
    const found = new Set<number>();
    for (const ir of this.#irs) {
      for (const pc of [...jumpTargets(ir), ...returnPoints(ir)]) {
        if (!this.#nodeByPc.has(pc)) found.add(pc);
      }
    }
    return [...found];
  }
}

/** Whether a region's blocks lie in this address space as they did where it was made: libraries may be further apart. */
export function isLaidOut(source: BlockSource, region: Region, anchorPc: number): boolean {
  return region.entries.every((block, number) =>
    source.known(anchorPc + region.facts.entries[number]!) === block
  );
}

/** Blocks that came in with an absorbed region and that nothing leads to: each becomes an entry. */
function unreached(successors: readonly (readonly number[])[], entries: readonly number[]): number[] {
  const seen = reachedFrom(successors, entries);
  const found: number[] = [];
  for (let node = 1; node < successors.length; node++) {
    if (seen[node] === 1) continue;
    found.push(node);
    reachedFrom(successors, [node], seen);
  }
  return found;
}

/** By node, 1 for those that some way from `starts` leads to, and what `seen` had already. */
function reachedFrom(
  successors: readonly (readonly number[])[],
  starts: readonly number[],
  seen: Uint8Array = new Uint8Array(successors.length),
): Uint8Array {
  const waiting = [...starts];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (seen[node] === 1) continue;
    seen[node] = 1;
    waiting.push(...successors[node]!);
  }
  return seen;
}
