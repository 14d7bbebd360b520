// SPDX-License-Identifier: Apache-2.0
// The shape of a region: control-flow graph, dominators, loops, and how each entry is reached.
//
// Node 0 is the dispatcher: the function's start. Node n of the region's blocks is 1 <= n <= blockCount. An entry in
// the middle of a loop would make the loop irreducible, so such a loop gets a *selector*: a node of its own before
// the header, which every way into the loop passes and which sends on an entry from outside (a number in a local)
// and lets everything else go to the header. What is irreducible all the same is reached through the dispatcher.
// Source: K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm"; N. Ramsey, "Beyond Relooper".

export const DISPATCHER = 0;

export interface Graph {
  /** Successors by node, after redirection to selectors; those of node 0 are where entries are first sent. */
  readonly successors: readonly (readonly number[])[];
  /** Blocks that may be entered from outside; the index here is the number of the entry. */
  readonly entries: readonly number[];
  /** By node: for the dispatcher and selectors, where each entry (by number) is sent next; -1: not through here. */
  readonly routes: ReadonlyMap<number, Int32Array>;
  /** By loop header that has one: its selector; and back. */
  readonly selectorOf: ReadonlyMap<number, number>;
  readonly headerOf: ReadonlyMap<number, number>;
  /** Whether edges of blocks go through the dispatcher. */
  readonly hasDispatchEdges: boolean;
  /** Reverse postorder number of each node. */
  readonly order: Int32Array;
  readonly immediateDominator: Int32Array;
  /** Children in the dominator tree. */
  readonly children: readonly (readonly number[])[];
  readonly isLoopHeader: Uint8Array;
  /** Forward edges from inside, dispatcher included: 2 and more make a merge. */
  readonly forwardPredecessors: Int32Array;
}

/** What dominance tells of a graph. */
interface Analysis {
  readonly order: Int32Array;
  readonly immediateDominator: Int32Array;
  readonly children: readonly number[][];
  readonly isLoopHeader: Uint8Array;
  readonly forwardPredecessors: Int32Array;
  readonly predecessors: readonly number[][];
}

/** `inner[n]` for n >= 1: successors of block n. Every node must be reachable from `wanted`, the entries. */
export function buildGraph(inner: readonly (readonly number[])[], wanted: readonly number[]): Graph {
  const entries = [...new Set(wanted)];
  const roots = chooseRoots(inner, entries);
  let usesDispatch = false;
  for (;;) {
    const graph = routeEntries(inner, entries, roots);
    const strays = irreducibleTargets(graph);
    if (strays.length > 0) usesDispatch = true;
    const fresh = strays.filter((node) => !roots.has(node));
    if (fresh.length === 0) return { ...graph, hasDispatchEdges: usesDispatch };
    for (const node of fresh) {
      roots.add(node);
      if (!entries.includes(node)) entries.push(node);
    }
  }
}

export function isBackEdge(graph: Pick<Graph, "order">, from: number, to: number): boolean {
  return graph.order[to]! <= graph.order[from]!;
}

export function dominates(
  graph: Pick<Graph, "order" | "immediateDominator">,
  a: number,
  b: number,
): boolean {
  let node = b;
  while (graph.order[node]! > graph.order[a]!) node = graph.immediateDominator[node]!;
  return node === a;
}

/** The first entry and those that no earlier root reaches: the dispatcher leads to them whatever the loops are. */
function chooseRoots(inner: readonly (readonly number[])[], entries: readonly number[]): Set<number> {
  const roots = new Set<number>();
  const seen = new Uint8Array(inner.length);
  for (const entry of entries) {
    if (seen[entry] === 1) continue;
    roots.add(entry);
    const waiting = [entry];
    seen[entry] = 1;
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      for (const to of inner[node]!) {
        if (seen[to] === 1) continue;
        seen[to] = 1;
        waiting.push(to);
      }
    }
  }
  return roots;
}

/** Targets of backward edges from blocks that do not dominate their source; redirected ones are given as headers. */
function irreducibleTargets(graph: Graph): number[] {
  const found = new Set<number>();
  graph.successors.forEach((targets, from) => {
    if (from === DISPATCHER) return;
    for (const to of targets) {
      if (isBackEdge(graph, from, to) && !dominates(graph, to, from)) found.add(graph.headerOf.get(to) ?? to);
    }
  });
  return [...found];
}

/** Gives loops with entries inside a selector, and each entry its way. */
function routeEntries(
  inner: readonly (readonly number[])[],
  entries: readonly number[],
  roots: ReadonlySet<number>,
): Graph {
  const plain = inner.map((targets, n) => (n === DISPATCHER ? [...roots] : targets));
  const first = analyse(plain);
  const loopsAround = findLoops(plain, first);
  const selectorOf = new Map<number, number>();
  const headerOf = new Map<number, number>();
  const routes = new Map<number, Int32Array>();
  let nodes = inner.length;
  const route = (node: number, entry: number, to: number): void => {
    const table = routes.get(node) ?? new Int32Array(entries.length).fill(-1);
    routes.set(node, table);
    table[entry] = to;
  };
  const selector = (header: number): number => {
    let node = selectorOf.get(header);
    if (node === undefined) {
      node = nodes++;
      selectorOf.set(header, node);
      headerOf.set(node, header);
      routes.set(node, new Int32Array(entries.length).fill(-1));
    }
    return node;
  };
  const inside = entries.filter((node) => !roots.has(node));
  for (const node of inside) for (const header of loopsAround(node)) selector(header);
  entries.forEach((node, number) => {
    let at = DISPATCHER;
    const around = roots.has(node) ? [] : loopsAround(node);
    for (const header of around) {
      route(at, number, selector(header));
      at = selector(header);
    }
    route(at, number, selectorOf.get(node) ?? node);
  });
  const successors: number[][] = plain.map((targets, n) =>
    n === DISPATCHER ? [] : targets.map((to) => selectorOf.get(to) ?? to)
  );
  for (const [header, node] of selectorOf) successors[node] = [header];
  for (const [node, table] of routes) {
    const targets = new Set(successors[node]);
    for (const to of table) if (to >= 0) targets.add(to);
    successors[node] = [...targets];
  }
  return {
    ...analyse(successors),
    successors,
    entries,
    routes,
    selectorOf,
    headerOf,
    hasDispatchEdges: false,
  };
}

/** The headers of the loops that a node is in without being their header, the outermost first. */
function findLoops(
  successors: readonly (readonly number[])[],
  analysis: Analysis,
): (node: number) => readonly number[] {
  const around: number[][] = successors.map(() => []);
  const headers = successors.map((_, n) => n).filter((n) => analysis.isLoopHeader[n] === 1);
  headers.sort((a, b) => analysis.order[a]! - analysis.order[b]!);
  for (const header of headers) {
    const body = new Set([header]);
    const waiting = analysis.predecessors[header]!.filter((from) =>
      isBackEdge(analysis, from, header) && dominates(analysis, header, from)
    );
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (body.has(node) || node === DISPATCHER) continue;
      body.add(node);
      waiting.push(...analysis.predecessors[node]!);
    }
    for (const node of body) if (node !== header) around[node]!.push(header);
  }
  return (node) => around[node]!;
}

function analyse(successors: readonly (readonly number[])[]): Analysis {
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
  const analysis: Analysis = {
    order,
    immediateDominator,
    children,
    isLoopHeader,
    forwardPredecessors,
    predecessors,
  };
  successors.forEach((targets, from) => {
    for (const to of targets) {
      if (!isBackEdge(analysis, from, to)) forwardPredecessors[to]!++;
      else if (dominates(analysis, to, from)) isLoopHeader[to] = 1;
    }
  });
  return analysis;
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
