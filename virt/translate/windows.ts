// SPDX-License-Identifier: Apache-2.0
// Windows: where an access in a loop lies is not looked for in the TLB but in a run of pages that its place used last, so that it does not wait
// for the address. Accesses off the same register share a window, if that register is left as it is by a loop or goes through memory step by
// step; whether the window is right for an access is looked at each time.

import { Op } from "../ir/ops.ts";
import { WINDOW_BYTES, WINDOW_PAIRS, WINDOWS } from "../runtime/status.ts";
import { pageOffset } from "../layout.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import { CODE_BASE, registerOf } from "./groups.ts";
import type { IrBlock } from "./ir-block.ts";

/** Static data so far apart are of different objects. */
const STATIC_SHIFT = 14;

/** The pair of windows that an access off a temp plus a displacement looks into; undefined for the TLB. */
export type BlockWindows = (temp: number, displacement: number) => number | undefined;

interface Loop {
  /** Registers that are set in it to anything but what they were and something more. */
  wild: number;
  /** Where it begins, from the anchor. */
  offset: number;
}

/** By block (node - 1); undefined for those that are in no loop. */
export function findWindows(
  graph: Graph,
  irs: readonly IrBlock[],
  anchorPc: number,
): (BlockWindows | undefined)[] {
  const around: Loop[][] = irs.map(() => []);
  const all = Array.from(irs, (_, n) => n + 1);
  for (const nodes of findLoops(graph, [...all, ...graph.headerOf.keys()])) {
    const blocks = nodes.filter((node) => node <= irs.length);
    const loop: Loop = { wild: 0, offset: Infinity };
    for (const node of blocks) {
      loop.wild |= wildIn(irs[node - 1]!);
      loop.offset = Math.min(loop.offset, irs[node - 1]!.basePc - anchorPc);
      around[node - 1]!.push(loop);
    }
  }
  return irs.map((ir, n) =>
    around[n]!.length === 0
      ? undefined
      : (temp, displacement) => windowOf(ir, temp, displacement, around[n]!, pageOffset(anchorPc))
  );
}

/** By the outermost of the loops in which the address is off a register that is not wild. */
function windowOf(
  ir: IrBlock,
  temp: number,
  displacement: number,
  loops: readonly Loop[],
  anchor: number,
): number | undefined {
  const registers = registersOf(ir, temp);
  for (const { wild, offset } of loops) {
    const register = registers.find((n) => n === CODE_BASE || (wild & (1 << n)) === 0);
    if (register === undefined) continue;
    return pairOf(anchor, offset, register, register === CODE_BASE ? displacement >> STATIC_SHIFT : 0);
  }
  return undefined;
}

/** Address of a pair of windows: the same for the same code, and mostly another for others. */
function pairOf(...key: readonly number[]): number {
  const hash = key.reduce((sum, part) => Math.imul(sum ^ part, 0x9e3779b1) + 1, 0);
  return WINDOWS + ((hash >>> 8) % WINDOW_PAIRS) * 2 * WINDOW_BYTES;
}

/** What an address is the sum of, of registers (and CODE_BASE) as the block begins; scaled indexes are none. */
function registersOf(ir: IrBlock, temp: number): number[] {
  const register = registerOf(ir, temp);
  if (register >= 0) return [register];
  if (ir.op[temp] === Op.scaled_add) return registersOf(ir, ir.a[temp]!);
  if (ir.op[temp] !== Op.i64_add) return [];
  return [...registersOf(ir, ir.a[temp]!), ...registersOf(ir, ir.b[temp]!)];
}

function wildIn(ir: IrBlock): number {
  let wild = 0;
  for (let i = 0; i < ir.length; i++) {
    if (ir.op[i] !== Op.set_gpr) continue;
    if (!registersOf(ir, ir.a[i]!).includes(ir.imm[i]!)) wild |= 1 << ir.imm[i]!;
  }
  return wild;
}

/** The nodes of each loop, outer ones before those within: what is a loop still without the first node. */
function findLoops(graph: Graph, nodes: readonly number[]): number[][] {
  return cyclesOf(graph, nodes).flatMap((loop) => {
    const header = loop.reduce((first, node) => (graph.order[node]! < graph.order[first]! ? node : first));
    return [loop, ...findLoops(graph, loop.filter((node) => node !== header))];
  });
}

/** The strongly connected parts of some nodes (R. Tarjan, "Depth-first search and linear graph algorithms") that have a way round. */
function cyclesOf({ successors }: Graph, nodes: readonly number[]): number[][] {
  const cycles: number[][] = [];
  const isInside = new Uint8Array(successors.length);
  for (const node of nodes) isInside[node] = node === DISPATCHER ? 0 : 1;
  const number = new Int32Array(successors.length);
  const low = new Int32Array(successors.length);
  const isOpen = new Uint8Array(successors.length);
  const open: number[] = [];
  let count = 0;
  const visit = (node: number): void => {
    number[node] = low[node] = ++count;
    isOpen[node] = 1;
    const at = open.push(node) - 1;
    for (const to of successors[node]!) {
      if (isInside[to] === 0) continue;
      if (number[to] === 0) visit(to);
      if (isOpen[to] === 1) low[node] = Math.min(low[node], low[to]!);
    }
    if (low[node] !== number[node]) return;
    const part = open.splice(at);
    for (const member of part) isOpen[member] = 0;
    if (part.length > 1 || successors[node]!.includes(node)) cycles.push(part);
  };
  for (const node of nodes) if (isInside[node] === 1 && number[node] === 0) visit(node);
  return cycles;
}
