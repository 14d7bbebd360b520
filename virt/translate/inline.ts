// SPDX-License-Identifier: Apache-2.0
// Puts small guest functions into the regions that call them.
//
// A call of one becomes a jump to a copy of its blocks, and the return at a copy's end a comparison: where the address that it takes off
// the guest's stack is the one that the call pushed, the region goes on there, with registers in their locals. Anything else, as all that leaves
// a copy for code outside, goes on as it would out of the function itself. Where the target of a call is not in the code, it is compared
// with what it was before (guards). Copies are no entries of the region, and have no loops, so that nothing but their call leads into them.

import type { Block } from "../cache.ts";
import { Op } from "../ir/ops.ts";
import { JUMP_CALL, JUMP_PLAIN, TERM_BRANCH, TERM_JUMP } from "../ir/terminators.ts";
import type { IrBlock } from "./ir-block.ts";
import type { BlockSource, TakenBlock } from "./region.ts";
import { flowTargets, isCall, isDirectCall, isReturn, JUMP_GUARD, steadyPlace } from "./terminators.ts";

/** Of a function that is put into others. */
const BODY_BLOCKS_MAX = 12;
const BODY_INSTRUCTIONS_MAX = 60;
/** Calls in copies are replaced as well, so deep. */
const DEPTH_MAX = 2;
/** A region grows by so many instructions at most. */
const GROWTH_MAX = 200;
/** And to no more than so many: larger regions lose more by it than they gain. */
const INSTRUCTIONS_MAX = 500;
/** In `ways` of a guard: where it leads when the target is another. */
export const OTHERWISE = -1;

/** The blocks of a region with the copies in it. Node n is irs[n - 1], as in the region's graph. */
export interface Inlined {
  readonly irs: readonly IrBlock[];
  /** By node: the nodes that its block's jumps, branches and return lead to, by guest address. */
  readonly ways: readonly ReadonlyMap<number, number>[];
  /** Of copies that end in a return, and of guards: the guest address that their target is compared with. */
  readonly expected: ReadonlyMap<number, number>;
  /** The blocks that were copied, by guest address. */
  readonly copied: ReadonlyMap<number, Block>;
}

/** What it works on: a region's own blocks. */
export interface InlineJob {
  readonly source: BlockSource;
  readonly irs: readonly IrBlock[];
  readonly nodeByPc: ReadonlyMap<number, number>;
  /** By guest address of a block: where its indirect call went. */
  readonly callTargets: ReadonlyMap<number, number>;
  /** Whether code at a guest address is near enough to be part of the region. */
  readonly isNear: (pc: number) => boolean;
  /** A block as it is in the region: with the stub that it calls. */
  readonly finish: (ir: IrBlock) => IrBlock;
}

/** A region without copies. */
export function inlineNothing({ irs, nodeByPc }: Pick<InlineJob, "irs" | "nodeByPc">): Inlined {
  const ways = Array.from({ length: irs.length + 1 }, () => nodeByPc);
  return { irs, ways, expected: new Map(), copied: new Map() };
}

export function inlineCalls(job: InlineJob): Inlined {
  return new Inliner(job).run();
}

/** The blocks of a function that can be copied, the first one first. */
interface Body {
  readonly pc: number;
  readonly taken: readonly TakenBlock[];
  readonly instructions: number;
}

class Inliner {
  readonly #job: InlineJob;
  readonly #irs: IrBlock[];
  readonly #ways: ReadonlyMap<number, number>[];
  readonly #expected = new Map<number, number>();
  readonly #copied = new Map<number, Block>();
  readonly #bodies = new Map<number, Body | undefined>();
  #room: number;

  constructor(job: InlineJob) {
    this.#job = job;
    this.#irs = [...job.irs];
    this.#ways = Array.from({ length: job.irs.length + 1 }, () => job.nodeByPc);
    const instructions = job.irs.reduce((sum, ir) => sum + ir.instructions, 0);
    this.#room = Math.min(GROWTH_MAX, INSTRUCTIONS_MAX - instructions);
  }

  run(): Inlined {
    let first = 0;
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const end = this.#irs.length;
      for (let n = first; n < end; n++) this.#replaceCall(n);
      first = end;
    }
    return { irs: this.#irs, ways: this.#ways, expected: this.#expected, copied: this.#copied };
  }

  #replaceCall(n: number): void {
    const ir = this.#irs[n]!;
    if (!isCall(ir) || isCallAlone(ir) || hasExt(ir)) return;
    const target = isDirectCall(ir) ? ir.basePc + ir.target : this.#job.callTargets.get(ir.basePc);
    const back = this.#ways[n + 1]!.get(ir.basePc + ir.fallTarget);
    const body = target === undefined || back === undefined ? undefined : this.#bodyAt(target);
    if (body === undefined || body.instructions > this.#room) return;
    this.#room -= body.instructions;
    const start = this.#copy(body, ir.basePc + ir.fallTarget, back!);
    if (isDirectCall(ir)) {
      this.#irs[n] = { ...ir, termKind: JUMP_PLAIN, fallTarget: -1 };
      this.#ways[n + 1] = new Map([[body.pc, start]]);
    } else {
      this.#guard(n, ir, body.pc, start);
    }
  }

  /** The node of the copy's first block. */
  #copy({ pc, taken }: Body, returnPc: number, back: number): number {
    const nodes = new Map(taken.map(({ ir }, k) => [ir.basePc, this.#irs.length + 1 + k]));
    for (const { block, ir } of taken) {
      this.#irs.push(ir);
      this.#ways.push(isReturn(ir) ? new Map([[returnPc, back]]) : nodes);
      if (isReturn(ir)) this.#expected.set(this.#irs.length, returnPc);
      this.#copied.set(ir.basePc, block);
    }
    return nodes.get(pc)!;
  }

  /** A block with an indirect call becomes one that goes to the copy, or on to the call in a node of its own. */
  #guard(n: number, call: IrBlock, target: number, start: number): void {
    this.#irs[n] = { ...call, termKind: JUMP_GUARD, fallTarget: -1 };
    this.#irs.push(callAlone(call));
    this.#ways.push(this.#ways[n + 1]!);
    this.#ways[n + 1] = new Map([[target, start], [OTHERWISE, this.#irs.length]]);
    this.#expected.set(n + 1, target);
  }

  #bodyAt(pc: number): Body | undefined {
    if (!this.#bodies.has(pc)) this.#bodies.set(pc, this.#findBody(pc));
    return this.#bodies.get(pc);
  }

  /** The function that begins at an address, as the region that was made of it has it. */
  #findBody(pc: number): Body | undefined {
    const { source, isNear, finish } = this.#job;
    const home = source.known(pc)?.home;
    if (home === undefined || home.offset !== 0 || home.region.facts.switches.length > 0) {
      return undefined;
    }
    const { offsets } = home.region;
    const found = new Map<number, TakenBlock>();
    const waiting = [pc];
    let instructions = 0;
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (found.has(at)) continue;
      const taken = isNear(at) && found.size < BODY_BLOCKS_MAX ? source.take(at) : undefined;
      if (taken === undefined || !mayBeCopied(taken.ir)) return undefined;
      const ir = finish(taken.ir);
      found.set(at, { ...taken, ir });
      instructions += ir.instructions;
      if (instructions > BODY_INSTRUCTIONS_MAX) return undefined;
      for (const to of flowTargets(ir)) {
        if (offsets.has(to - pc)) waiting.push(to);
        else if (isCall(ir) || source.heat(to) >= 0) return undefined; // it would be left often
      }
    }
    return hasLoop(pc, found) ? undefined : { pc, taken: [...found.values()], instructions };
  }
}

/** The block of a guard's call: nothing is left to be done but the call. */
function callAlone(call: IrBlock): IrBlock {
  const none = new Int32Array();
  return {
    ...call,
    op: new Uint16Array(),
    a: none,
    b: none,
    c: none,
    imm: none,
    imm2: none,
    pool: none,
    length: 0,
    instructions: 0,
    termTemp: -1,
    place: steadyPlace(call),
  };
}

/** Whether a block is what a guard leads to when the target is not what it was before. */
export function isCallAlone(ir: IrBlock): boolean {
  return ir.length === 0;
}

function mayBeCopied(ir: IrBlock): boolean {
  const ends = ir.terminator === TERM_JUMP || ir.terminator === TERM_BRANCH || isCall(ir) || isReturn(ir);
  const isLostCall = ir.termKind === JUMP_CALL && ir.terminator !== TERM_BRANCH && !isCall(ir);
  return ends && !isLostCall && !hasExt(ir);
}

function hasExt({ op }: IrBlock): boolean {
  return op.includes(Op.ext) || op.includes(Op.ext_state);
}

function hasLoop(pc: number, found: ReadonlyMap<number, TakenBlock>): boolean {
  const done = new Set<number>();
  const open = new Set<number>();
  const visit = (at: number): boolean => {
    const ir = found.get(at)?.ir;
    if (ir === undefined || done.has(at)) return false;
    if (open.has(at)) return true;
    open.add(at);
    const has = flowTargets(ir).some(visit);
    open.delete(at);
    done.add(at);
    return has;
  };
  return visit(pc);
}
