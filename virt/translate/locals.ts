// SPDX-License-Identifier: Apache-2.0
// Which guest registers are in locals, block by block, and which of these memory has not.
//
// Both are known when the region is made: where ways with different states meet, each brings about the same state on its way there
// (transit). Code enters, and comes back from a call, with everything in memory; a block loads what it reads and what is not
// in a local. Where ways meet, what all of them have from the same place stays in its local; the rest goes to memory, to be loaded again by
// whoever reads it: an engine has fewer registers than the guest, and would put it away itself and move it about at each such place.
// Loops without calls keep in locals what they use, from before their first round.
// Invariants: what differs from memory is in its local; what is in its local and nobody needs is there no more.

import { DISPATCHER, type Graph } from "./graph.ts";
import type { Effect } from "./dataflow.ts";
import type { IrBlock } from "./ir-block.ts";
import { isCall, isSwitch } from "./terminators.ts";

/** Sets of registers, by bits. */
export interface LocalState {
  /** In their locals. */
  readonly available: number;
  /** Of these, what memory has not. */
  readonly dirty: number;
}

/** What is to be done on the way from one block to another. */
export interface Transit {
  readonly store: number;
  readonly load: number;
}

export interface RegisterFlow {
  readonly effects: readonly Effect[];
  /** By node: read on some way from the node's beginning before they are set. */
  readonly needIn: Int32Array;
  /** Whether indirect jumps stay in the region. */
  readonly hasSwitch: boolean;
  readonly touched: number;
}

export interface LocalPlan {
  /** By node, at the beginning and the end of its block; of a call, when it has come back. */
  readonly in: readonly LocalState[];
  readonly out: readonly LocalState[];
  /** By node: what differs from memory at the end of its block, before its call. */
  readonly dirtyLast: Int32Array;
  /** What is to be loaded where the function is entered: at the first entry, and at any. */
  readonly atFirst: number;
  readonly atAny: number;
}

const ALL = -1;
const STACK_POINTER = 1 << 4;
const REGISTERS = 32;
/** A plan is right after any round; more keep less in locals. */
const ROUNDS_MAX = 50;
const NOWHERE: LocalState = { available: 0, dirty: 0 };

export function planLocals(graph: Graph, irs: readonly IrBlock[], flow: RegisterFlow): LocalPlan {
  return new Planner(graph, irs, flow).run();
}

/** From one node to another: to the dispatcher as well, for any entry. */
export function transit(plan: LocalPlan, from: number, to: number): Transit {
  const out = plan.out[from]!;
  const wanted = to === DISPATCHER ? { available: plan.atAny, dirty: 0 } : plan.in[to]!;
  return { store: out.dirty & ~wanted.dirty, load: wanted.available & ~out.available };
}

/** What a loop without calls keeps in locals, and what of that it sets. */
interface Keep {
  readonly used: number;
  readonly set: number;
}

const NO_KEEP: Keep = { used: 0, set: 0 };

class Planner {
  readonly #graph: Graph;
  readonly #irs: readonly IrBlock[];
  readonly #flow: RegisterFlow;
  readonly #predecessors: readonly number[][];
  readonly #order: readonly number[];
  /** By node: of the outermost loop without calls that it is in. */
  readonly #keep: Keep[];
  /** Undefined while no way to the node has been seen; it only ever becomes less. */
  readonly #in: (LocalState | undefined)[];
  readonly #out: LocalState[];
  /** By node and register: the node that the value in its local, at the end of the block, comes from; -1: not known yet. */
  readonly #origin: Int32Array;
  #changed = false;

  constructor(graph: Graph, irs: readonly IrBlock[], flow: RegisterFlow) {
    this.#graph = graph;
    this.#irs = irs;
    this.#flow = flow;
    const { successors } = graph;
    this.#order = Array.from(successors, (_, node) => node).sort((a, b) => graph.order[a]! - graph.order[b]!);
    this.#predecessors = successors.map(() => []);
    successors.forEach((targets, from) => targets.forEach((to) => this.#predecessors[to]!.push(from)));
    this.#keep = successors.map(() => NO_KEEP);
    this.#in = successors.map(() => undefined);
    this.#out = successors.map(() => NOWHERE);
    this.#origin = new Int32Array(successors.length * REGISTERS).fill(-1);
  }

  run(): LocalPlan {
    this.#keepInLoops();
    this.#keepForSelectors();
    const { entries, selectorOf, successors } = this.#graph;
    const { touched, hasSwitch } = this.#flow;
    const first = selectorOf.get(entries[0]!) ?? entries[0]!;
    // It comes as a parameter; jumps within the region would have to load it for those who need none.
    const passed = hasSwitch ? 0 : STACK_POINTER;
    const wanted = successors[DISPATCHER]!.reduce((all, to) => all | this.#keep[to]!.used, passed);
    const atAny = wanted & touched;
    const atFirst = (this.#keep[first]!.used | passed) & touched;
    this.#out[DISPATCHER] = { available: atFirst, dirty: 0 };
    this.#originate(DISPATCHER, ALL, DISPATCHER);
    for (let round = 0; round === 0 || (this.#changed && round < ROUNDS_MAX); round++) {
      this.#changed = false;
      for (const node of this.#order) if (node !== DISPATCHER) this.#visit(node);
    }
    const inward = this.#in.map((state) => state ?? NOWHERE);
    const dirtyLast = inward.map((state, node) => this.#dirtyAfter(this.#flow.effects[node]!, state));
    return { in: inward, out: this.#out, dirtyLast: Int32Array.from(dirtyLast), atFirst, atAny };
  }

  #keepInLoops(): void {
    const { isLoopHeader } = this.#graph;
    const isIn = new Set<number>();
    for (const header of this.#order) {
      if (isLoopHeader[header] === 0 || header === DISPATCHER || isIn.has(header)) continue;
      const body = this.#loopOf(header);
      if (body === undefined) continue;
      let [used, set] = [0, 0];
      for (const node of body) {
        const effect = this.#flow.effects[node]!;
        used |= effect.exposed | effect.set;
        set |= effect.set;
      }
      for (const node of body) {
        isIn.add(node);
        this.#keep[node] = { used, set };
      }
    }
  }

  /** The blocks of a loop; undefined when it has calls or switches, which leave everything in memory. */
  #loopOf(header: number): ReadonlySet<number> | undefined {
    const { order } = this.#graph;
    const body = new Set<number>();
    const waiting = [header];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (body.has(node)) continue;
      body.add(node);
      const ir = this.#irs[node - 1];
      const leaves = ir !== undefined && (isCall(ir) || (this.#flow.hasSwitch && isSwitch(ir)));
      if (leaves || this.#flow.effects[node]!.storesAll) return undefined;
      waiting.push(...this.#predecessors[node]!.filter((from) => order[from]! >= order[header]!));
    }
    return body;
  }

  /** A selector has no block that could load anything for those that it leads to. */
  #keepForSelectors(): void {
    const { headerOf, successors } = this.#graph;
    for (let changed = true; changed;) {
      changed = false;
      for (const node of headerOf.keys()) {
        const { used, set } = this.#keep[node]!;
        const wanted = successors[node]!.reduce((all, to) => all | this.#keep[to]!.used, used);
        changed ||= wanted !== used;
        this.#keep[node] = { used: wanted, set };
      }
    }
  }

  #visit(node: number): void {
    const before = this.#in[node];
    const met = this.#meet(node);
    const dirty = met.dirty & (before?.dirty ?? ALL);
    const available = met.available & (before?.available ?? ALL) & (this.#flow.needIn[node]! | dirty);
    const state = { available, dirty };
    this.#in[node] = state;
    const old = this.#out[node]!;
    const out = this.#pass(node, state);
    this.#out[node] = out;
    this.#changed ||= before === undefined || out.available !== old.available || out.dirty !== old.dirty;
  }

  #meet(node: number): LocalState {
    const { used, set } = this.#keep[node]!;
    if (this.#graph.headerOf.has(node)) return { available: used, dirty: set };
    let available = ALL;
    let dirty = ALL;
    const from = this.#predecessors[node]!;
    for (const n of from) {
      if (n !== DISPATCHER && this.#in[n] === undefined) continue;
      available &= this.#out[n]!.available;
      dirty &= this.#out[n]!.dirty;
    }
    if (from.length === 1) return { available, dirty };
    const same = available & this.#flow.needIn[node]! & this.#fromOnePlace(from);
    return { available: same | used, dirty: (dirty & same) | set };
  }

  /** Registers whose values come from the same node whichever way was taken: an engine need not move them. */
  #fromOnePlace(from: readonly number[]): number {
    let found = 0;
    for (let n = 0; n < REGISTERS; n++) if (this.#meetOrigins(from, n, -2) !== -2) found |= 1 << n;
    return found;
  }

  /** `otherwise`: when the origins differ. */
  #meetOrigins(from: readonly number[], register: number, otherwise: number): number {
    let origin = -1;
    for (const n of from) {
      const its = this.#origin[n * REGISTERS + register]!;
      if (its < 0 || its === origin) continue;
      if (origin >= 0) return otherwise;
      origin = its;
    }
    return origin;
  }

  #originate(node: number, registers: number, origin: number): void {
    for (let n = 0; n < REGISTERS; n++) {
      if ((registers & (1 << n)) === 0) continue;
      const at = node * REGISTERS + n;
      this.#changed ||= this.#origin[at] !== origin;
      this.#origin[at] = origin;
    }
  }

  #pass(node: number, state: LocalState): LocalState {
    const ir = this.#irs[node - 1];
    const effect = this.#flow.effects[node]!;
    const isFresh = ir === undefined || isCall(ir) || effect.storesAll;
    const own = isFresh ? ALL : effect.set | (effect.exposed & ~state.available);
    this.#originate(node, own, node);
    const from = this.#predecessors[node]!;
    for (let n = 0; n < REGISTERS; n++) {
      if ((own & (1 << n)) === 0) this.#originate(node, 1 << n, this.#meetOrigins(from, n, node));
    }
    if (ir === undefined) return state;
    if (isCall(ir)) return { available: STACK_POINTER, dirty: 0 };
    return {
      available: effect.storesAll ? this.#flow.touched : state.available | effect.exposed | effect.set,
      dirty: this.#dirtyAfter(effect, state),
    };
  }

  #dirtyAfter(effect: Effect, { dirty }: LocalState): number {
    return effect.storesAll ? effect.setLast : dirty | effect.set;
  }
}
