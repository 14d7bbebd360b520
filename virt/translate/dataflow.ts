// SPDX-License-Identifier: Apache-2.0
// What a region's locals hold, block by block: which registers may differ from memory, and which must be loaded.
//
// Code enters a region, and comes back to it from a call, with everything in memory; what is needed of it is loaded where loads.ts
// says. A transfer to other code stores what surely differs, and what may
// differ by a mask that is kept at run time (frame.ts); other ways out store all by that mask. So a register that only
// some ways use costs the others nothing.

import { Op } from "../ir/ops.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import { type LoadPlan, planLoads } from "./loads.ts";
import { isCall, isSwitch } from "./region.ts";

/** Registers by bits (0..15 general, 16..31 vectors), and the flags. */
export interface RegisterSet {
  readonly registers: number;
  readonly cc: boolean;
}

export interface Flow {
  /** By node, at the end of the block: what may differ from memory, and which registers surely do. */
  readonly dirtyOut: readonly RegisterSet[];
  readonly surelyDirtyOut: Int32Array;
  /** By node, at its beginning: what differs whichever way it was reached. */
  readonly surelyDirtyIn: Int32Array;
  /** By node, at its beginning: what may differ from memory. */
  readonly dirtyIn: Int32Array;
  /** By node, at its beginning: what some way from there reads before setting it. */
  readonly needIn: readonly RegisterSet[];
  /** By node: what its block itself reads first. */
  readonly exposed: Int32Array;
  readonly loads: LoadPlan;
  /** By node: whether the block itself sets the flags. */
  readonly setsCc: Uint8Array;
  /** Registers that no target of a switch reads: on the way there they go to memory and are forgotten. */
  readonly deadAtSwitch: number;
}

/** What a block does to the registers. */
interface Effect {
  readonly set: number;
  readonly setsCc: boolean;
  /** Read before they are set. */
  readonly exposed: number;
  readonly exposesCc: boolean;
  /** It stores everything on the way, by a call to TypeScript; what it sets after that. */
  readonly storesAll: boolean;
  readonly setLast: number;
}

/** How the flow of a region's blocks goes beyond the graph's edges. */
export interface Leaving {
  /** Nodes that indirect jumps in the region go to. */
  readonly switchTargets: readonly number[];
  /** Everything that the region touches: a call to TypeScript stores and loads that. */
  readonly touched: number;
}

export function analyseFlow(graph: Graph, irs: readonly IrBlock[], leaving: Leaving): Flow {
  return new Analysis(graph, irs, leaving).run();
}

const ALL = -1;

class Analysis {
  readonly #graph: Graph;
  readonly #irs: readonly IrBlock[];
  readonly #leaving: Leaving;
  readonly #effects: readonly (Effect | undefined)[];
  readonly #count: number;
  readonly #mayIn: Int32Array;
  readonly #mayCcIn: Uint8Array;
  readonly #surelyIn: Int32Array;
  readonly #needIn: Int32Array;
  readonly #needCcIn: Uint8Array;
  #deadAtSwitch = 0;

  constructor(graph: Graph, irs: readonly IrBlock[], leaving: Leaving) {
    this.#graph = graph;
    this.#irs = irs;
    this.#leaving = leaving;
    this.#count = graph.successors.length;
    this.#effects = [undefined, ...irs.map((ir) => effectOf(ir, leaving.touched))];
    this.#mayIn = new Int32Array(this.#count);
    this.#mayCcIn = new Uint8Array(this.#count);
    this.#surelyIn = new Int32Array(this.#count).fill(ALL);
    this.#needIn = new Int32Array(this.#count);
    this.#needCcIn = new Uint8Array(this.#count);
  }

  run(): Flow {
    while (this.#backwards());
    const { switchTargets, touched } = this.#leaving;
    this.#deadAtSwitch = touched & ~switchTargets.reduce((all, to) => all | this.#needIn[to]!, 0);
    while (this.#forwards());
    const nodes = Array.from({ length: this.#count }, (_, node) => node);
    const exposed = Int32Array.from(nodes, (node) => this.#effects[node]?.exposed ?? 0);
    return {
      dirtyIn: this.#mayIn,
      exposed,
      loads: planLoads(this.#graph, this.#irs, {
        needIn: this.#needIn,
        dirtyIn: this.#mayIn,
        exposed,
        set: Int32Array.from(nodes, (node) => this.#effects[node]?.set ?? 0),
        storesAll: Uint8Array.from(nodes, (node) => (this.#effects[node]?.storesAll === true ? 1 : 0)),
      }, switchTargets.length > 0),
      dirtyOut: nodes.map((node) => ({ registers: this.#mayOut(node), cc: this.#mayCcOut(node) })),
      surelyDirtyOut: Int32Array.from(nodes, (node) => this.#surelyOut(node)),
      surelyDirtyIn: this.#surelyIn,
      needIn: nodes.map((node) => ({ registers: this.#needIn[node]!, cc: this.#needCcIn[node] === 1 })),
      deadAtSwitch: this.#deadAtSwitch,
      setsCc: Uint8Array.from(nodes, (node) => (this.#effects[node]?.setsCc === true ? 1 : 0)),
    };
  }

  #mayOut(node: number): number {
    return this.#mayIn[node]! | (this.#effects[node]?.set ?? 0);
  }

  #surelyOut(node: number): number {
    const effect = this.#effects[node];
    if (effect?.storesAll === true) return effect.setLast;
    return this.#surelyIn[node]! | (effect?.set ?? 0);
  }

  #mayCcOut(node: number): boolean {
    return this.#mayCcIn[node] === 1 || this.#effects[node]?.setsCc === true;
  }

  #isSwitch(node: number): boolean {
    const ir = this.#irs[node - 1];
    return ir !== undefined && this.#leaving.switchTargets.length > 0 && isSwitch(ir);
  }

  /** Where control goes on with locals as they are. */
  *#targets(node: number): Generator<number> {
    yield* this.#graph.successors[node]!;
    if (this.#isSwitch(node) || this.#graph.hasDispatchEdges) yield* this.#graph.successors[DISPATCHER]!;
  }

  #forwards(): boolean {
    let changed = false;
    for (let node = 0; node < this.#count; node++) {
      const ir = this.#irs[node - 1];
      const comesFresh = node === DISPATCHER || (ir !== undefined && isCall(ir));
      const forgotten = this.#isSwitch(node) ? this.#deadAtSwitch : 0;
      const may = comesFresh ? 0 : this.#mayOut(node) & ~forgotten;
      const cc = comesFresh ? 0 : this.#mayCcOut(node) ? 1 : 0;
      const surely = comesFresh ? 0 : this.#surelyOut(node) & ~forgotten;
      const targets = node === DISPATCHER ? this.#graph.successors[node]! : this.#targets(node);
      for (const to of targets) {
        const [mayIn, ccIn, surelyIn] = [this.#mayIn[to]!, this.#mayCcIn[to]!, this.#surelyIn[to]!];
        this.#mayIn[to] = mayIn | may;
        this.#mayCcIn[to] = ccIn | cc;
        this.#surelyIn[to] = surelyIn & surely;
        changed ||= this.#mayIn[to] !== mayIn || this.#mayCcIn[to] !== ccIn
          || this.#surelyIn[to] !== surelyIn;
      }
    }
    return changed;
  }

  #backwards(): boolean {
    let changed = false;
    for (let node = this.#count - 1; node > 0; node--) {
      const ir = this.#irs[node - 1];
      let need = 0;
      let cc = 0;
      if (ir === undefined || !isCall(ir)) {
        for (const to of this.#targets(node)) {
          need |= this.#needIn[to]!;
          cc |= this.#needCcIn[to]!;
        }
      }
      const effect = this.#effects[node];
      if (effect !== undefined) {
        need = (need & ~effect.set) | effect.exposed;
        cc = effect.exposesCc ? 1 : effect.setsCc ? 0 : cc;
      }
      changed ||= need !== this.#needIn[node] || cc !== this.#needCcIn[node];
      this.#needIn[node] = need;
      this.#needCcIn[node] = cc;
    }
    return changed;
  }
}

function effectOf(ir: IrBlock, touched: number): Effect {
  let set = 0;
  let exposed = 0;
  let setsCc = false;
  let exposesCc = false;
  let storesAll = false;
  let setLast = 0;
  for (let i = 0; i < ir.length; i++) {
    switch (ir.op[i]) {
      case Op.get_gpr:
        exposed |= (1 << ir.imm[i]!) & ~set;
        break;
      case Op.get_xmm:
        exposed |= (1 << (16 + ir.imm[i]!)) & ~set;
        break;
      case Op.set_gpr:
        set |= 1 << ir.imm[i]!;
        setLast |= 1 << ir.imm[i]!;
        break;
      case Op.set_xmm:
        set |= 1 << (16 + ir.imm[i]!);
        setLast |= 1 << (16 + ir.imm[i]!);
        break;
      case Op.set_cc:
      case Op.set_cc_dynamic:
        setsCc = true;
        break;
      case Op.cc_cond:
      case Op.cc_flags:
      case Op.get_cc_op:
      case Op.get_cc_a:
      case Op.get_cc_b:
        exposesCc ||= !setsCc;
        break;
      case Op.ext:
        // Everything is stored there and loaded again.
        exposed |= touched & ~set;
        exposesCc ||= !setsCc;
        storesAll = true;
        setLast = 0;
        break;
      default:
        break;
    }
  }
  return { set, setsCc, exposed, exposesCc, storesAll, setLast };
}
