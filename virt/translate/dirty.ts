// SPDX-License-Identifier: Apache-2.0
// Which registers differ from memory where a region is left: those set on some way since it was entered.
//
// A call stores them and loads everything again, so at the place it returns to nothing differs. Edges through the
// dispatcher carry everything that differs at any of their sources.

import { DISPATCHER, type Graph } from "./graph.ts";
import { addRegisterUse, type IrBlock, type RegisterUse } from "./ir-block.ts";
import { isCall, isSwitch } from "./region.ts";

export interface Dirty {
  /** Bits 0..15: general registers, 16..31: vector registers. */
  readonly registers: number;
  readonly cc: boolean;
}

/** By block node: what differs at the end of the block. */
export function findDirty(graph: Graph, irs: readonly IrBlock[], hasSwitch: boolean): readonly Dirty[] {
  const count = graph.successors.length;
  const uses = irs.map((ir) => {
    const use: RegisterUse = { used: 0, set: 0, setsCc: false, usesCc: false, hasExt: false };
    addRegisterUse(ir, use);
    return use;
  });
  const registersIn = new Int32Array(count);
  const ccIn = new Uint8Array(count);
  let circulating = 0;
  let circulatingCc = 0;
  const outOf = (node: number): Dirty => {
    const use = uses[node - 1]; // selectors and the dispatcher set nothing
    return {
      registers: registersIn[node]! | (use?.set ?? 0),
      cc: ccIn[node] === 1 || use?.setsCc === true,
    };
  };
  for (let changed = true; changed;) {
    changed = false;
    const flow = (to: number, registers: number, cc: number): void => {
      const more = registersIn[to]! | registers;
      if (more === registersIn[to] && (ccIn[to]! | cc) === ccIn[to]) return;
      registersIn[to] = more;
      ccIn[to]! |= cc;
      changed = true;
    };
    for (let node = 1; node < count; node++) {
      const ir = irs[node - 1];
      const { registers, cc } = outOf(node);
      if (ir !== undefined && isCall(ir)) continue;
      if (ir !== undefined && ((hasSwitch && isSwitch(ir)) || graph.hasDispatchEdges)) {
        if ((circulating | registers) !== circulating || (cc && circulatingCc === 0)) changed = true;
        circulating |= registers;
        circulatingCc |= cc ? 1 : 0;
      }
      for (const to of graph.successors[node]!) flow(to, registers, cc ? 1 : 0);
    }
    for (const to of graph.successors[DISPATCHER]!) flow(to, circulating, circulatingCc);
  }
  return Array.from({ length: count }, (_, node) => outOf(node));
}
