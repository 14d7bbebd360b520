// SPDX-License-Identifier: Apache-2.0
// Graphs of regions: entries in the middle of loops are led there by selectors, never around the loop's header.

import assert from "node:assert/strict";
import { test } from "node:test";

import { buildGraph, DISPATCHER, dominates, type Graph, isBackEdge } from "./graph.ts";

/** Where an entry is sent, node by node, from the dispatcher on. */
function way(graph: Graph, node: number): number[] {
  const number = graph.entries.indexOf(node);
  const nodes: number[] = [];
  for (let at = DISPATCHER; at !== node && nodes.length < 10;) {
    const next = graph.routes.get(at)?.[number] ?? -1;
    at = next >= 0 ? next : graph.headerOf.get(at)!;
    nodes.push(at);
  }
  return nodes;
}

function everyBackEdgeIsALoop(graph: Graph): boolean {
  return graph.successors.every((targets, from) =>
    from === DISPATCHER || targets.every((to) => !isBackEdge(graph, from, to) || dominates(graph, to, from))
  );
}

test("an entry outside of loops is reached at once", () => {
  const graph = buildGraph([[], [2], [3], []], [1, 3]);
  assert.deepEqual(way(graph, 3), [3]);
  assert.equal(graph.selectorOf.size, 0);
});

test("an entry inside a loop is reached through the loop's selector, and the loop stays a loop", () => {
  // 1 -> 2 (header) -> 3 -> 2, 3 -> 4; 3 is where a call returns to
  const graph = buildGraph([[], [2], [3], [2, 4], []], [1, 3]);
  const selector = graph.selectorOf.get(2)!;
  assert.deepEqual(way(graph, 3), [selector, 3]);
  assert.equal(graph.isLoopHeader[selector], 1);
  assert.ok(everyBackEdgeIsALoop(graph));
  assert.equal(graph.hasDispatchEdges, false);
});

test("nested loops have a selector each, the outer one first", () => {
  // 2 is the outer header, 3 the inner one, 4 inside both
  const graph = buildGraph([[], [2], [3], [4], [3, 5], [2, 6], []], [1, 4]);
  const [outer, inner] = [graph.selectorOf.get(2)!, graph.selectorOf.get(3)!];
  assert.deepEqual(way(graph, 4), [outer, inner, 4]);
  assert.ok(everyBackEdgeIsALoop(graph));
});

test("a loop with two ways in goes through the dispatcher", () => {
  // 1 -> 2, 1 -> 3, 2 <-> 3: neither dominates the other
  const graph = buildGraph([[], [2, 3], [3], [2]], [1]);
  assert.equal(graph.hasDispatchEdges, true);
  for (const node of graph.entries) assert.ok(way(graph, node).length > 0);
});

test("blocks that only a later entry reaches have that entry as their root", () => {
  const graph = buildGraph([[], [], [3], [2]], [1, 2, 3]);
  assert.equal(way(graph, 2).at(-1), 2);
  assert.equal(way(graph, 3).at(-1), 3);
});
