// SPDX-License-Identifier: Apache-2.0
// What regions are planned: blocks that lie in each other end where the others begin when a loop would have no header otherwise, and indirect jumps
// to few places go on in the region without its dispatcher.

import assert from "node:assert/strict";
import { test } from "node:test";

import { INSN_BYTES, ToyCode, type ToyCodeLine } from "../testing/toy-code.ts";
import { planRegion, type RegionPlan } from "./region.ts";
import { aloneAt } from "./wish.ts";

const LIMITS = { blocksMax: 100, instructionsMax: 1000, coldest: 1000, inlines: false };

/** The plan of what begins at instruction 0, and how many instructions its blocks have, by the first. */
function plan(code: readonly ToyCodeLine[]): { plan: RegionPlan; lengths: Record<number, number> } {
  const made = planRegion(new ToyCode(code), aloneAt(0), LIMITS);
  assert.ok(made !== undefined);
  const lengths = Object.fromEntries(made.irs.map((ir) => [ir.basePc / INSN_BYTES, ir.instructions]));
  return { plan: made, lengths };
}

test("a loop entered at its condition, which leads to two places in it, has a header all the same", () => {
  const { plan: { graph }, lengths } = plan([
    ["to", 4],
    ["plain"], // 1: a round goes on here or at 6
    ["if", 9],
    ["plain"], // 3: falls into the condition
    ["plain"], // 4: the condition
    ["if", 1],
    ["if", 1], // 6
    ["plain"],
    ["to", 3],
    ["return"], // 9
  ]);
  assert.equal(graph.hasDispatchEdges, false);
  assert.equal(lengths[3], 1);
  assert.equal(lengths[4], 2);
});

test("where loops have headers, blocks stay as long as they are", () => {
  const { plan: { graph }, lengths } = plan([
    ["to", 2],
    ["plain"], // 1: the loop, with its condition
    ["plain"], // 2: the condition, before the first round
    ["if", 1],
    ["return"],
  ]);
  assert.equal(graph.hasDispatchEdges, false);
  assert.equal(lengths[1], 3);
});

/** A loop around a switch to so many places. */
function switchTo(count: number): ToyCodeLine[] {
  const ways = Array.from({ length: count }, (_, n) => n);
  return [
    ["if", 2 + 2 * count], // 0: the loop
    ["switch", ...ways.map((n) => 2 + 2 * n)],
    ...ways.flatMap((): ToyCodeLine[] => [["plain"], ["to", 0]]),
    ["return"],
  ];
}

test("an indirect jump to few places is a branch, and these no entries of the region", () => {
  const { plan: few } = plan(switchTo(3));
  assert.deepEqual(few.switchTargets, []);
  assert.deepEqual(few.graph.entries, [1]);
  assert.equal(few.graph.hasDispatchEdges, false);
  assert.deepEqual([...few.switches], [[INSN_BYTES, [2, 4, 6].map((n) => n * INSN_BYTES)]]);
});

test("an indirect jump to many places goes through the dispatcher", () => {
  const { plan: many } = plan(switchTo(8));
  assert.equal(many.switchTargets.length, 8);
  assert.equal(many.graph.entries.length, 9);
});

test("where handlers jump to each other, all of that goes through the dispatcher", () => {
  const handlers = [0, 1, 2, 3];
  const jump: ToyCodeLine = ["switch", ...handlers.map((n) => 2 * n)];
  const { plan: threaded } = plan(handlers.flatMap(() => [["plain"], jump]));
  assert.equal(threaded.switchTargets.length, 4);
  assert.deepEqual(threaded.irs.filter(({ cases }) => cases !== undefined), []);
});
