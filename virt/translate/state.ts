// SPDX-License-Identifier: Apache-2.0
// Where the guest's registers and flags are between the blocks of a region: in locals, in memory, or in both.
//
// Invariants: what is in a local alone is in the mask of what is dirty, and is stored before anybody outside may look; a local
// that holds what nobody reads is dropped, so that it need not be moved (locals.ts and dataflow.ts say which).

import type { Flow } from "./dataflow.ts";
import type { RegionFrame } from "./frame.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import { transit } from "./locals.ts";
import type { Store } from "./transfer.ts";

export class StateEmitter {
  readonly #frame: RegionFrame;
  readonly #flow: Flow;
  readonly #graph: Graph;

  constructor(frame: RegionFrame, flow: Flow, graph: Graph) {
    this.#frame = frame;
    this.#flow = flow;
    this.#graph = graph;
  }

  /** What the first entry needs. */
  enterFirst(): void {
    const { needIn, locals } = this.#flow;
    this.#frame.setAnchor("first entry");
    const first = this.#graph.entries[0]!;
    this.#frame.loadParameters({ registers: locals.atFirst, cc: needIn[first]!.cc });
  }

  /** What any entry needs. */
  enterAnywhere(): void {
    const { ccNeededAtAny, locals } = this.#flow;
    this.#frame.setAnchor("any entry");
    this.#frame.loadParameters({ registers: locals.atAny, cc: ccNeededAtAny });
  }

  /** What differs from memory at the end of a block: of a call, when it has come back. */
  after(node: number): Exclude<Store, "by mask"> {
    return { ...this.at(node), registers: this.#flow.locals.out[node]!.dirty };
  }

  /** What is stored at the end of a block. */
  at(node: number): Exclude<Store, "by mask"> {
    const { effects, ccMayDiffer, locals: { dirtyLast } } = this.#flow;
    const cc = effects[node]!.setsCc ? "surely" : ccMayDiffer[node] === 1 ? "maybe" : "no";
    return { registers: dirtyLast[node]!, cc };
  }

  /** What the block reads gets into locals; what these hold to no purpose is dropped. */
  load(node: number): void {
    const { needIn, effects, locals } = this.#flow;
    const { touched } = this.#frame;
    const { available, dirty } = locals.in[node]!;
    this.#frame.drop(touched & ~dirty & ~(available & needIn[node]!.registers));
    this.#frame.load(effects[node]!.exposed & ~available);
  }

  /** On the way from one node to another: what is to be in memory there, and what in locals. */
  pass(from: number, to: number): void {
    const { store, load } = transit(this.#flow.locals, from, to);
    this.#frame.store(store);
    this.#frame.load(load);
    if (to === DISPATCHER) this.#forgetForDispatcher(from);
  }

  /** Locals that differ by where the dispatcher was jumped to from would have to be moved each time. */
  #forgetForDispatcher(from: number): void {
    const frame = this.#frame;
    frame.drop(frame.touched & ~this.#flow.locals.atAny);
    if (!frame.hasCc) return;
    // After a call they are in memory already, whatever its block set.
    frame.storeCc(this.at(from).cc === "no" ? "no" : "maybe");
    if (!this.#flow.ccNeededAtAny) frame.dropCc();
  }
}
