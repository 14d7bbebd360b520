// SPDX-License-Identifier: Apache-2.0
// Where a region loads guest registers from memory into locals: as late as it can be.
//
// After an entry or a call everything is in memory. A block loads what it reads and what is not in a local on every way to it; a
// register that only some ways read costs the others nothing, and what is loaded early would only be put away by the engine,
// which has fewer registers than the guest.
// Earlier than that, before a node, must be loaded: what may differ from memory there on some way, since then the local counts; and
// what a loop without calls reads, so that its rounds need not.
// Invariant: a register that may differ from memory, and that is read before it is set, is in its local.

import { DISPATCHER, type Graph } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import { isCall, isSwitch } from "./region.ts";

/** What is known of a region's registers, by node; sets by bits. */
export interface RegisterFlow {
  /** Read on some way from the node's beginning before they are set. */
  readonly needIn: Int32Array;
  /** May differ from memory at the node's beginning. */
  readonly dirtyIn: Int32Array;
  /** The block reads them before it sets them; it sets them. */
  readonly exposed: Int32Array;
  readonly set: Int32Array;
  /** Nodes in which TypeScript is called. */
  readonly storesAll: Uint8Array;
}

export interface LoadPlan {
  /** By node: in their locals whichever way it was reached. */
  readonly availableIn: Int32Array;
  /** By node: what is to be loaded at the end of its block for those that follow; of a call, when it has come back. */
  readonly supply: Int32Array;
  /** What is to be loaded where the function is entered: at the first entry, and at any. */
  readonly atFirst: number;
  readonly atAny: number;
}

const ALL = -1;
const STACK_POINTER = 1 << 4;

/** `hasSwitch`: whether indirect jumps stay in the region. */
export function planLoads(
  graph: Graph,
  irs: readonly IrBlock[],
  flow: RegisterFlow,
  hasSwitch: boolean,
): LoadPlan {
  return new Planner(graph, irs, flow, hasSwitch).run();
}

class Planner {
  readonly #graph: Graph;
  readonly #irs: readonly IrBlock[];
  readonly #flow: RegisterFlow;
  readonly #targets: readonly (readonly number[])[];
  readonly #predecessors: readonly number[][];
  readonly #order: readonly number[];
  /** By node: what must be in locals there, so that ways to it load it before. */
  readonly #wanted: Int32Array;
  readonly #supply: Int32Array;

  constructor(graph: Graph, irs: readonly IrBlock[], flow: RegisterFlow, hasSwitch: boolean) {
    this.#graph = graph;
    this.#irs = irs;
    this.#flow = flow;
    const { successors } = graph;
    this.#targets = successors.map((targets, node) => {
      const ir = irs[node - 1];
      return hasSwitch && ir !== undefined && isSwitch(ir)
        ? [...targets, ...successors[DISPATCHER]!]
        : targets;
    });
    this.#order = Array.from(successors, (_, node) => node).sort((a, b) => graph.order[a]! - graph.order[b]!);
    this.#predecessors = successors.map(() => []);
    successors.forEach((targets, from) => targets.forEach((to) => this.#predecessors[to]!.push(from)));
    this.#wanted = new Int32Array(successors.length);
    this.#supply = new Int32Array(successors.length);
  }

  run(): LoadPlan {
    this.#findWanted();
    const availableIn = this.#findAvailable();
    const { entries, selectorOf, successors } = this.#graph;
    const first = selectorOf.get(entries[0]!) ?? entries[0]!;
    return {
      availableIn,
      supply: this.#supply,
      atFirst: this.#wanted[first]! | STACK_POINTER,
      atAny: [...successors[DISPATCHER]!, ...entries].reduce(
        (all, to) => all | this.#wanted[to]!,
        STACK_POINTER,
      ),
    };
  }

  #findWanted(): void {
    const { needIn, dirtyIn } = this.#flow;
    // Through the dispatcher any block may lead anywhere: all is loaded where it is known to be needed.
    const isEarly = this.#graph.hasDispatchEdges;
    this.#wanted.forEach((
      _,
      node,
    ) => (this.#wanted[node] = needIn[node]! & (isEarly ? ALL : dirtyIn[node]!)));
    this.#graph.isLoopHeader.forEach((is, header) => {
      if (is === 1 && header !== DISPATCHER) {
        this.#wanted[header]! |= needIn[header]! & this.#readInLoop(header);
      }
    });
    // A selector has no block that could load anything.
    for (let changed = true; changed;) {
      changed = false;
      for (const node of this.#graph.headerOf.keys()) {
        const wanted = this.#wantedAfter(node) | this.#wanted[node]!;
        changed ||= wanted !== this.#wanted[node];
        this.#wanted[node] = wanted;
      }
    }
  }

  /** What the blocks of a loop read; nothing when it has calls, which leave everything in memory. */
  #readInLoop(header: number): number {
    const { exposed, storesAll } = this.#flow;
    const { order } = this.#graph;
    const body = new Set([header]);
    const waiting: number[] = [];
    const predecessors = (node: number): number[] =>
      this.#predecessors[node]!.filter((from) => order[from]! >= order[header]!);
    waiting.push(...predecessors(header));
    let read = 0;
    for (let node: number | undefined = header; node !== undefined; node = waiting.pop()) {
      if (node !== header && body.has(node)) continue;
      const ir = this.#irs[node - 1];
      if (ir !== undefined && (isCall(ir) || storesAll[node] === 1)) return 0;
      read |= exposed[node]!;
      body.add(node);
      if (node !== header) waiting.push(...predecessors(node));
    }
    return read;
  }

  #wantedAfter(node: number): number {
    return this.#targets[node]!.reduce((all, to) => all | this.#wanted[to]!, 0);
  }

  #findAvailable(): Int32Array {
    const count = this.#targets.length;
    const availableIn = new Int32Array(count).fill(ALL);
    for (let changed = true; changed;) {
      changed = false;
      const meeting = new Int32Array(count).fill(ALL);
      for (const from of this.#order) {
        for (const to of this.#targets[from]!) {
          meeting[to]! &= this.#availableOn(from, to, availableIn[from]!);
        }
      }
      for (const node of this.#order) {
        const available = meeting[node]! | this.#wanted[node]!;
        changed ||= available !== availableIn[node];
        availableIn[node] = available;
      }
    }
    return availableIn;
  }

  /** What is in locals on the way from one node to another; notes what has to be loaded for that. */
  #availableOn(from: number, to: number, availableIn: number): number {
    if (from === DISPATCHER) return this.#wanted[to]! | STACK_POINTER;
    const { exposed, set } = this.#flow;
    const ir = this.#irs[from - 1];
    const have = ir !== undefined && isCall(ir)
      ? STACK_POINTER
      : availableIn | exposed[from]! | set[from]!;
    this.#supply[from] = this.#wantedAfter(from) & ~have;
    return have | this.#supply[from];
  }
}
