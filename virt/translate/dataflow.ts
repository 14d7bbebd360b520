// SPDX-License-Identifier: Apache-2.0
// What the blocks of a region do to the guest's registers and flags, and what of them is read later.
//
// Flags are lazy (ir/ops.ts): three values in locals, or those in memory, which a local tells at run time. Where registers are is known when
// the region is made: locals.ts.

import { FLAG_TRAP, FLAG_WRITE, Op, OPS } from "../ir/ops.ts";
import type { BlockMemory } from "./facts.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import type { Groups } from "./groups.ts";
import type { IrBlock } from "./ir-block.ts";
import { type LocalPlan, planLocals } from "./locals.ts";
import { isCall, isSwitch } from "./terminators.ts";

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
  /** Whether some entry reads the flags of before: only then are they in locals where the dispatcher leads to. */
  readonly ccNeededAtAny: boolean;
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

export interface FlowOptions {
  /** Whether indirect jumps stay in the region. */
  readonly hasSwitch: boolean;
  /** The registers that it has locals for. */
  readonly touched: number;
  /** By number of the block: how its accesses are checked. */
  readonly memory: readonly BlockMemory[];
}

export function analyseFlow(graph: Graph, irs: readonly IrBlock[], options: FlowOptions): Flow {
  return new Analysis(graph, irs, options).run();
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

  constructor(graph: Graph, irs: readonly IrBlock[], { hasSwitch, touched, memory }: FlowOptions) {
    this.#graph = graph;
    this.#irs = irs;
    this.#hasSwitch = hasSwitch;
    this.#touched = touched;
    this.#count = graph.successors.length;
    this.#effects = graph.successors.map((_, node) => {
      const ir = irs[node - 1];
      return ir === undefined ? NO_EFFECT : effectOf(ir, memory[node - 1]!.groups);
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
      ccNeededAtAny: this.#ccNeededAtAny,
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

  get #ccNeededAtAny(): boolean {
    return this.#graph.entries.some((node) => this.#needCcIn[node] === 1);
  }

  /** Where control goes on in the region. */
  *#targets(node: number): Generator<number> {
    yield* this.#graph.successors[node]!;
    const ir = this.#irs[node - 1];
    const mayDispatch = this.#graph.hasDispatchEdges || (this.#hasSwitch && ir !== undefined && isSwitch(ir));
    if (node !== DISPATCHER && mayDispatch) yield* this.#graph.successors[DISPATCHER]!;
  }

  #forwards(): boolean {
    let changed = false;
    const passesDispatcher = this.#ccNeededAtAny;
    for (let node = 1; node < this.#count; node++) {
      const ir = this.#irs[node - 1];
      if (ir !== undefined && isCall(ir)) continue;
      const may = this.#ccMayOut(node);
      for (const to of passesDispatcher ? this.#targets(node) : this.#graph.successors[node]!) {
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

/** By record: whether its result is read. A base is not where an earlier check has left the host address. */
function findReads(ir: IrBlock, { byRecord }: Groups): Uint8Array {
  const isRead = new Uint8Array(ir.length);
  const read = (temp: number): void => {
    if (temp >= 0) isRead[temp] = 1;
  };
  read(ir.termTemp);
  for (let i = ir.length - 1; i >= 0; i--) {
    const acts = (OPS[ir.op[i]!]!.flags & (FLAG_TRAP | FLAG_WRITE)) !== 0;
    if (!acts && isRead[i] === 0) continue;
    if (byRecord[i]?.known !== "surely") read(ir.a[i]!);
    read(ir.b[i]!);
    read(ir.c[i]!);
  }
  return isRead;
}

function effectOf(ir: IrBlock, groups: Groups): Effect {
  let set = 0;
  let exposed = 0;
  let setsCc = false;
  let exposesCc = false;
  let storesAll = false;
  let setLast = 0;
  const isRead = findReads(ir, groups);
  const read = (i: number, register: number): void => {
    if (!storesAll && isRead[i] === 1) exposed |= (1 << register) & ~set;
  };
  const write = (register: number): void => {
    set |= 1 << register;
    setLast |= 1 << register;
  };
  for (let i = 0; i < ir.length; i++) {
    switch (ir.op[i]) {
      case Op.get_gpr:
        read(i, ir.imm[i]!);
        break;
      case Op.get_xmm:
        read(i, 16 + ir.imm[i]!);
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
      case Op.ext_state:
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
