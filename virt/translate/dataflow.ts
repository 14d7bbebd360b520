// SPDX-License-Identifier: Apache-2.0
// What the blocks of a region do to the guest's registers and flags, and what of them is read later.
//
// Flags are lazy (ir/ops.ts): three values in locals, or those in memory, which a local tells at run time. Where registers are is known when
// the region is made: locals.ts.

import { Op } from "../ir/ops.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import { type LocalPlan, planLocals } from "./locals.ts";
import { isCall, isSwitch } from "./region.ts";

/** Registers by bits (0..15 general, 16..31 vectors), and the flags. */
export interface RegisterSet {
  readonly registers: number;
  readonly cc: boolean;
}

export interface Flow {
  /** By node, at its beginning: what some way from there reads before setting it. */
  readonly needIn: readonly RegisterSet[];
  /** By node: what its block does. */
  readonly effects: readonly Effect[];
  /** By node, at the end of its block: whether the flags may differ from memory. */
  readonly ccMayDiffer: Uint8Array;
  readonly locals: LocalPlan;
}

/** What a block does to the registers. */
export interface Effect {
  readonly set: number;
  readonly setsCc: boolean;
  /** Read before they are set. */
  readonly exposed: number;
  readonly exposesCc: boolean;
  /** It stores everything on the way and loads it again, by a call to TypeScript; what it sets after that. */
  readonly storesAll: boolean;
  readonly setLast: number;
}

const NO_EFFECT: Effect = {
  set: 0,
  setsCc: false,
  exposed: 0,
  exposesCc: false,
  storesAll: false,
  setLast: 0,
};

/** `hasSwitch`: whether indirect jumps stay in the region. `touched`: the registers that it has locals for. */
export function analyseFlow(
  graph: Graph,
  irs: readonly IrBlock[],
  options: { readonly hasSwitch: boolean; readonly touched: number },
): Flow {
  return new Analysis(graph, irs, options.hasSwitch, options.touched).run();
}

class Analysis {
  readonly #graph: Graph;
  readonly #irs: readonly IrBlock[];
  readonly #hasSwitch: boolean;
  readonly #touched: number;
  readonly #effects: readonly Effect[];
  readonly #count: number;
  readonly #ccMayIn: Uint8Array;
  readonly #needIn: Int32Array;
  readonly #needCcIn: Uint8Array;

  constructor(graph: Graph, irs: readonly IrBlock[], hasSwitch: boolean, touched: number) {
    this.#graph = graph;
    this.#irs = irs;
    this.#hasSwitch = hasSwitch;
    this.#touched = touched;
    this.#count = graph.successors.length;
    this.#effects = graph.successors.map((_, node) => {
      const ir = irs[node - 1];
      return ir === undefined ? NO_EFFECT : effectOf(ir);
    });
    this.#ccMayIn = new Uint8Array(this.#count);
    this.#needIn = new Int32Array(this.#count);
    this.#needCcIn = new Uint8Array(this.#count);
  }

  run(): Flow {
    while (this.#backwards());
    while (this.#forwards());
    const effects = this.#effects;
    return {
      needIn: effects.map((_, node) => ({ registers: this.#needIn[node]!, cc: this.#needCcIn[node] === 1 })),
      effects,
      ccMayDiffer: Uint8Array.from(effects, (_, node) => this.#ccMayOut(node)),
      locals: planLocals(this.#graph, this.#irs, {
        effects,
        needIn: this.#needIn,
        hasSwitch: this.#hasSwitch,
        touched: this.#touched,
      }),
    };
  }

  #ccMayOut(node: number): number {
    return this.#ccMayIn[node]! | (this.#effects[node]!.setsCc ? 1 : 0);
  }

  /** Where control goes on with locals as they are. */
  *#targets(node: number): Generator<number> {
    yield* this.#graph.successors[node]!;
    const ir = this.#irs[node - 1];
    const mayDispatch = this.#graph.hasDispatchEdges || (this.#hasSwitch && ir !== undefined && isSwitch(ir));
    if (node !== DISPATCHER && mayDispatch) yield* this.#graph.successors[DISPATCHER]!;
  }

  #forwards(): boolean {
    let changed = false;
    for (let node = 1; node < this.#count; node++) {
      const ir = this.#irs[node - 1];
      if (ir !== undefined && isCall(ir)) continue;
      const may = this.#ccMayOut(node);
      for (const to of this.#targets(node)) {
        changed ||= may > this.#ccMayIn[to]!;
        this.#ccMayIn[to]! |= may;
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
      const effect = this.#effects[node]!;
      need = (need & ~effect.set) | effect.exposed;
      if (effect.exposesCc || effect.setsCc) cc = effect.exposesCc ? 1 : 0;
      changed ||= need !== this.#needIn[node] || cc !== this.#needCcIn[node];
      this.#needIn[node] = need;
      this.#needCcIn[node] = cc;
    }
    return changed;
  }
}

function effectOf(ir: IrBlock): Effect {
  let set = 0;
  let exposed = 0;
  let setsCc = false;
  let exposesCc = false;
  let storesAll = false;
  let setLast = 0;
  const read = (register: number): void => {
    if (!storesAll) exposed |= (1 << register) & ~set;
  };
  const write = (register: number): void => {
    set |= 1 << register;
    setLast |= 1 << register;
  };
  for (let i = 0; i < ir.length; i++) {
    switch (ir.op[i]) {
      case Op.get_gpr:
        read(ir.imm[i]!);
        break;
      case Op.get_xmm:
        read(16 + ir.imm[i]!);
        break;
      case Op.set_gpr:
        write(ir.imm[i]!);
        break;
      case Op.set_xmm:
        write(16 + ir.imm[i]!);
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
