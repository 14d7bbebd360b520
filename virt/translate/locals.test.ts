// SPDX-License-Identifier: Apache-2.0
// Whichever way a block is reached, the same registers are in locals and the same of them differ from memory.

import assert from "node:assert/strict";
import { test } from "node:test";

import { JUMP_CALL, TERM_JUMP } from "../ir/terminators.ts";
import type { Effect } from "./dataflow.ts";
import { buildGraph, DISPATCHER } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import { type LocalPlan, planLocals, transit } from "./locals.ts";

const RAX = 1 << 0;
const RSI = 1 << 6;
const RDI = 1 << 7;
const STACK_POINTER = 1 << 4;
const TOUCHED = RAX | RSI | RDI | STACK_POINTER;

interface Blocks {
  readonly to: readonly number[][];
  readonly entries?: readonly number[];
  /** By block from 1 on. */
  readonly reads?: readonly number[];
  readonly sets?: readonly number[];
  readonly calls?: readonly number[];
  /** Without: of what is read anywhere all is needed everywhere. */
  readonly needs?: readonly number[];
}

function plan({ to, entries = [1], reads = [], sets = [], calls = [], needs }: Blocks): {
  readonly plan: LocalPlan;
  readonly graph: ReturnType<typeof buildGraph>;
} {
  const graph = buildGraph([[], ...to], entries);
  const effects = graph.successors.map((_, node): Effect => {
    const set = sets[node - 1] ?? 0;
    const exposed = reads[node - 1] ?? 0;
    return { set, exposed, setLast: set, storesAll: false, setsCc: false, exposesCc: false };
  });
  const irs = to.map((_, n) => {
    const isCall = calls.includes(n + 1);
    return { terminator: isCall ? TERM_JUMP : 0, termKind: isCall ? JUMP_CALL : 0, fallTarget: 0 };
  }) as unknown as IrBlock[];
  const needed = reads.reduce((all, one) => all | one, STACK_POINTER);
  const needIn = Int32Array.from(effects, (_, node) => (needs === undefined ? needed : needs[node - 1] ?? 0));
  return { plan: planLocals(graph, irs, { effects, needIn, hasSwitch: false, touched: TOUCHED }), graph };
}

test("what one of two ways has in a local is loaded by who reads it", () => {
  const { plan: { atFirst, in: at } } = plan({ to: [[2, 3], [4], [4], []], reads: [0, RSI, 0, RSI] });
  assert.equal(atFirst, STACK_POINTER);
  assert.equal(at[4]!.available & RSI, 0);
});

test("what both ways have from before they part stays", () => {
  const { plan: both } = plan({ to: [[2, 3], [4], [4], []], reads: [RSI, 0, 0, RSI] });
  assert.equal(both.in[4]!.available & RSI, RSI);
  const { plan: own } = plan({ to: [[2, 3], [4], [4], []], reads: [0, RSI, RSI, RSI] });
  assert.equal(own.in[4]!.available & RSI, 0, "each has loaded it for itself");
});

test("what one way alone has set goes to memory on that way", () => {
  const { plan: flow } = plan({ to: [[2, 3], [4], [4], []], reads: [0, 0, 0, RSI], sets: [0, RSI, 0, 0] });
  assert.deepEqual(transit(flow, 2, 4), { store: RSI, load: 0 });
  assert.deepEqual(transit(flow, 3, 4), { store: 0, load: 0 });
  assert.equal(flow.in[4]!.dirty, 0);
});

test("what was set before the ways part differs from memory where they meet", () => {
  const { plan: flow } = plan({ to: [[2, 3], [4], [4], []], reads: [0, 0, 0, RSI], sets: [RSI, 0, 0, 0] });
  assert.equal(flow.in[4]!.dirty, RSI);
  assert.equal(flow.dirtyLast[4], RSI);
});

test("a loop without calls has what it uses in locals, and stores what it sets when it is left for a place where ways meet", () => {
  const { plan: flow } = plan({
    to: [[2, 3], [2, 3], []],
    reads: [0, RSI, RDI],
    sets: [0, RAX, 0],
  });
  assert.equal(flow.in[2]!.available & TOUCHED, RSI | RAX | (flow.in[2]!.available & STACK_POINTER));
  assert.equal(flow.in[2]!.dirty, RAX);
  assert.equal(transit(flow, 1, 2).load, RSI | RAX);
  assert.deepEqual(transit(flow, 2, 2), { store: 0, load: 0 });
  assert.equal(transit(flow, 2, 3).store, RAX);
});

test("what nobody needs for a while is loaded again for a loop that sets it on some ways only", () => {
  const { plan: flow } = plan({
    to: [[2], [3], [4, 5], [5], [3, 6], []],
    reads: [RSI, 0, 0, 0, 0, 0],
    sets: [0, 0, 0, RSI, 0, 0],
    needs: [RSI, 0, 0, 0, 0, 0],
  });
  assert.equal(flow.in[2]!.available & RSI, 0);
  assert.deepEqual(flow.in[3], { available: RSI, dirty: RSI });
  assert.deepEqual(transit(flow, 2, 3), { store: 0, load: RSI });
});

test("a call leaves everything in memory", () => {
  const { plan: flow } = plan({ to: [[2], [1]], reads: [RSI, RDI], sets: [RSI, 0], calls: [2] });
  assert.equal(flow.dirtyLast[2], RSI);
  assert.deepEqual(flow.out[2], { available: STACK_POINTER, dirty: 0 });
  assert.equal(flow.in[1]!.available & ~STACK_POINTER, 0);
});

test("an entry loads for the selector of the loop that it begins", () => {
  // 1 <-> 2, and 2 is an entry inside the loop of 1: every way into the loop passes the selector.
  const { plan: flow, graph } = plan({ to: [[2], [1, 3], []], entries: [1, 2], reads: [RSI, RDI, 0] });
  const selector = graph.selectorOf.get(1)!;
  assert.equal(flow.in[selector]!.available, RSI | RDI);
  assert.equal(flow.atFirst & (RSI | RDI), RSI | RDI);
  for (const to of graph.successors[DISPATCHER]!) assert.equal(flow.in[to]!.available & ~flow.atAny, 0);
  for (const to of graph.successors[selector]!) {
    assert.deepEqual(transit(flow, selector, to), { store: 0, load: 0 });
  }
});
