// SPDX-License-Identifier: Apache-2.0
// The shape of a region: control-flow graph, dominators, and which edges go through the dispatcher.
//
// Node 0 is the dispatcher: the function's entry and the target of indirect jumps. Its successors are the
// entries. An edge backwards in reverse postorder is a loop when its target dominates its source; otherwise it
// is irreducible and its target becomes an entry too, reached through the dispatcher.
// Source: K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm"; N. Ramsey, "Beyond Relooper".

export const DISPATCHER = 0;

export interface Graph {
  /** Successors within the region, by node; those of node 0 are the entries. */
  readonly successors: readonly (readonly number[])[];
  readonly entries: readonly number[];
  /** Reverse postorder number of each node. */
  readonly order: Int32Array;
  readonly immediateDominator: Int32Array;
  /** Children in the dominator tree. */
  readonly children: readonly (readonly number[])[];
  readonly isLoopHeader: Uint8Array;
  /** Forward edges from inside, dispatcher included: 2 and more make a merge. */
  readonly forwardPredecessors: Int32Array;
}

/** `successors[n]` for n >= 1; every node must be reachable from `entries`. */
export function buildGraph(
  successors: readonly (readonly number[])[],
  firstEntries: readonly number[],
): Graph {
  const entries = new Set(firstEntries);
  for (;;) {
    const graph = analyse(successors, [...entries]);
    const before = entries.size;
    for (const target of irreducibleTargets(graph)) entries.add(target);
    if (entries.size === before) return graph;
  }
}

export function isBackEdge(graph: Graph, from: number, to: number): boolean {
  return graph.order[to]! <= graph.order[from]!;
}

export function dominates(graph: Graph, a: number, b: number): boolean {
  let node = b;
  while (graph.order[node]! > graph.order[a]!) node = graph.immediateDominator[node]!;
  return node === a;
}

function irreducibleTargets(graph: Graph): number[] {
  const found: number[] = [];
  const entries = new Set(graph.entries);
  graph.successors.forEach((targets, from) => {
    if (from === DISPATCHER) return;
    for (const to of targets) {
      if (isBackEdge(graph, from, to) && !dominates(graph, to, from) && !entries.has(to)) found.push(to);
    }
  });
  return found;
}

function analyse(inner: readonly (readonly number[])[], entries: readonly number[]): Graph {
  const successors = inner.map((targets, n) => (n === DISPATCHER ? entries : targets));
  const count = successors.length;
  const sequence = reversePostorder(successors);
  const order = new Int32Array(count).fill(count);
  sequence.forEach((node, n) => (order[node] = n));
  const predecessors: number[][] = successors.map(() => []);
  successors.forEach((targets, from) => {
    for (const to of targets) predecessors[to]!.push(from);
  });
  const immediateDominator = findDominators(sequence, order, predecessors);
  const children: number[][] = successors.map(() => []);
  for (const node of sequence) {
    if (node !== DISPATCHER) children[immediateDominator[node]!]!.push(node);
  }
  const isLoopHeader = new Uint8Array(count);
  const forwardPredecessors = new Int32Array(count);
  const graph: Graph = {
    successors,
    entries,
    order,
    immediateDominator,
    children,
    isLoopHeader,
    forwardPredecessors,
  };
  successors.forEach((targets, from) => {
    for (const to of targets) {
      if (!isBackEdge(graph, from, to)) forwardPredecessors[to]!++;
      else if (dominates(graph, to, from)) isLoopHeader[to] = 1;
    }
  });
  return graph;
}

function reversePostorder(successors: readonly (readonly number[])[]): number[] {
  const seen = new Uint8Array(successors.length);
  const finished: number[] = [];
  const stack: [node: number, next: number][] = [[DISPATCHER, 0]];
  seen[DISPATCHER] = 1;
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const target = successors[top[0]]![top[1]++];
    if (target === undefined) {
      finished.push(top[0]);
      stack.pop();
    } else if (seen[target] === 0) {
      seen[target] = 1;
      stack.push([target, 0]);
    }
  }
  return finished.reverse();
}

function findDominators(
  sequence: readonly number[],
  order: Int32Array,
  predecessors: readonly (readonly number[])[],
): Int32Array {
  const dominator = new Int32Array(order.length).fill(-1);
  dominator[DISPATCHER] = DISPATCHER;
  const meet = (a: number, b: number): number => {
    let x = a;
    let y = b;
    while (x !== y) {
      while (order[x]! > order[y]!) x = dominator[x]!;
      while (order[y]! > order[x]!) y = dominator[y]!;
    }
    return x;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of sequence) {
      if (node === DISPATCHER) continue;
      let best = -1;
      for (const from of predecessors[node]!) {
        if (dominator[from]! < 0) continue;
        best = best < 0 ? from : meet(from, best);
      }
      if (best !== dominator[node]) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  return dominator;
}
