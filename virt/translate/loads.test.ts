// SPDX-License-Identifier: Apache-2.0
// What is loaded where covers what is read from locals there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { buildGraph, DISPATCHER } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import { type LoadPlan, planLoads, type RegisterFlow } from "./loads.ts";

const RSI = 1 << 6;
const RDI = 1 << 7;
const STACK_POINTER = 1 << 4;

/** `exposed`, `dirtyIn`: by block from 1 on. All that is exposed anywhere is needed everywhere. */
function plan(
  inner: readonly number[][],
  entries: readonly number[],
  exposed: readonly number[],
  dirtyIn: readonly number[] = [],
): { readonly plan: LoadPlan; readonly graph: ReturnType<typeof buildGraph> } {
  const graph = buildGraph([[], ...inner], entries);
  const count = graph.successors.length;
  const byNode = (values: readonly number[]): Int32Array =>
    Int32Array.from({ length: count }, (_, node) => values[node - 1] ?? 0);
  const flow: RegisterFlow = {
    needIn: new Int32Array(count).fill(exposed.reduce((all, one) => all | one, 0)),
    dirtyIn: byNode(dirtyIn),
    exposed: byNode(exposed),
    set: new Int32Array(count),
    storesAll: new Uint8Array(count),
  };
  const irs = inner.map(() => ({ terminator: 0, termKind: 0, fallTarget: -1 })) as unknown as IrBlock[];
  return { plan: planLoads(graph, irs, flow, false), graph };
}

test("a block loads what it reads and no way to it has loaded", () => {
  const { plan: { availableIn, atFirst, supply } } = plan([[2, 3], [4], [4], []], [1], [0, RSI, 0, RSI]);
  assert.equal(atFirst, STACK_POINTER);
  assert.equal(availableIn[2]! & RSI, 0);
  assert.equal(availableIn[4]! & RSI, 0, "one of two ways has it");
  assert.deepEqual([...supply], [0, 0, 0, 0, 0]);
});

test("what may differ from memory is in its local on all ways", () => {
  const { plan: { availableIn, supply } } = plan([[2, 3], [4], [4], []], [1], [0, 0, 0, RSI], [0, 0, 0, RSI]);
  assert.equal(availableIn[4]! & RSI, RSI);
  assert.deepEqual([supply[2], supply[3]], [RSI, RSI]);
});

test("a loop without calls finds in locals what it reads", () => {
  const { plan: { availableIn, supply } } = plan([[2], [2, 3], []], [1], [0, RSI, RDI]);
  assert.equal(availableIn[2]! & (RSI | RDI), RSI);
  assert.equal(supply[1], RSI);
});

test("an entry loads for the selector of the loop that it begins", () => {
  // 1 <-> 2, and 2 is an entry inside the loop of 1: every way into the loop passes the selector.
  const { plan: { availableIn, atFirst, atAny }, graph } = plan([[2], [1, 3], []], [1, 2], [RSI, RDI, 0]);
  const selector = graph.selectorOf.get(1)!;
  assert.equal(availableIn[selector]! & (RSI | RDI), RSI | RDI);
  assert.equal(atFirst & availableIn[selector]!, availableIn[selector]!);
  for (const to of graph.successors[DISPATCHER]!) assert.equal(availableIn[to]! & ~atAny, 0);
});
