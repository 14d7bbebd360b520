// SPDX-License-Identifier: Apache-2.0
// What a region knows of guest memory from block to block, so that what was checked is not checked again.
//
// A fact is that the bytes of a slot (groups.ts: a register and a range of displacements) may be read, or written, at a host
// address that a local holds. It lasts while the register keeps its value: mappings change only in TypeScript, and every
// visit there ends the function or is an ext or a call, where all facts end. Where ways with and without a fact meet, the local is
// 0 on those without, and the block that needs it tests that ("maybe").
// Facts go forwards to a fixed point; what is wanted of them goes backwards, so that a local is kept only for a block that uses it.

import { Op } from "../ir/ops.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import {
  bytesMax,
  CODE_BASE,
  findGroups,
  findSlots,
  type Group,
  type Groups,
  isApart,
  registerOf,
  type Slot,
  type SlotsByRegister,
} from "./groups.ts";
import type { IrBlock } from "./ir-block.ts";
import { isCall } from "./terminators.ts";
import { type BlockWindows, findWindows } from "./windows.ts";

/** At the end of a block: what the local of `slot` becomes. */
export interface Publication {
  readonly slot: Slot;
  /** Where the host address comes from: a group that was checked, another slot's local; undefined: there is no fact, 0. */
  readonly from: Group | Slot | undefined;
  /** Host address of the slot = that of `from` + distance. */
  readonly distance: number;
  /** Only where it may be written, else 0. */
  readonly isHoped: boolean;
}

export interface RegionMemory {
  /** By number of the block (node - 1). */
  readonly blocks: readonly BlockMemory[];
  /** Slots that need a local. */
  readonly slots: readonly Slot[];
}

export interface BlockMemory {
  readonly groups: Groups;
  readonly publications: readonly Publication[];
  readonly windows?: BlockWindows | undefined;
}

/** Facts about a slot. With `maybe` the local may be 0. */
const NONE = 0;
const MAYBE_READ = 1;
const READ = 2;
const MAYBE_WRITE = 3;
const WRITE = 4;
type Fact = number;

const ROUNDS_MAX = 20;
const STACK_POINTER = 4;

/** `sharesChecks`: without, each access of a block is checked for itself; as it is in blocks that isApart() says so of. */
export function planMemory(
  graph: Graph,
  irs: readonly IrBlock[],
  options: {
    readonly hasSwitch: boolean;
    readonly sharesChecks: boolean;
    readonly apart: ReadonlySet<number>;
    readonly anchorPc: number;
  },
): RegionMemory {
  if (!options.sharesChecks) {
    return { blocks: irs.map((ir) => ({ groups: findGroups(ir, undefined), publications: [] })), slots: [] };
  }
  const { blocks, slots } = new Planner(graph, irs, options).run();
  const windows = findWindows(graph, irs, options.anchorPc);
  return { blocks: blocks.map((block, n) => ({ ...block, windows: windows[n] })), slots };
}

/** A register's value (or CODE_BASE) at the end of a block: a temp of the block plus a constant. */
interface Exit {
  /** The register. */
  readonly of: number;
  readonly root: number;
  /** The register that had the root's value at the start, or -1. */
  readonly register: number;
  readonly delta: number;
}

/** Where the fact of a slot at the end of a block may come from. */
interface Source {
  readonly slot: Slot;
  readonly group: Group | undefined;
  /** The slot at the start of the block whose fact it is as well. */
  readonly origin: Slot | undefined;
  /** From the group's base, or the origin's register, to the slot's register. */
  readonly delta: number;
  /** A later block may write there. */
  isForWriter: boolean;
}

interface BlockFacts {
  readonly groups: Groups;
  readonly bySlot: ReadonlyMap<Slot, Group>;
  /** Of slots whose fact at the end is not simply that of the start. */
  readonly sources: readonly Source[];
  /** Nothing is known at its end. */
  readonly forgets: boolean;
}

class Planner {
  readonly #slots: readonly Slot[];
  /** By node, as all that follows. */
  readonly #blocks: readonly (BlockFacts | undefined)[];
  readonly #successors: readonly (readonly number[])[];
  readonly #predecessors: readonly number[][];
  /** Nodes that code also comes to through the dispatcher, by selectors or at once: facts would have to be carried along
   *  every way there. */
  readonly #startsAnew: ReadonlySet<number>;
  readonly #order: readonly number[];
  readonly #none: Uint8Array;
  /** By slot; undefined while no way to the node has been seen. */
  readonly #factsIn: (Uint8Array | undefined)[];
  readonly #factsOut: (Uint8Array | undefined)[];
  readonly #wantedIn: Uint8Array[];

  constructor(
    graph: Graph,
    irs: readonly IrBlock[],
    { hasSwitch, apart }: { readonly hasSwitch: boolean; readonly apart: ReadonlySet<number> },
  ) {
    const slots = findSlots(irs);
    this.#slots = slots.flat();
    this.#successors = graph.successors;
    const nodes = Array.from(graph.successors, (_, node) => node);
    this.#blocks = nodes.map((node) => {
      const ir = irs[node - 1];
      return ir === undefined ? undefined : describe(ir, slots, !isApart(ir, apart));
    });
    this.#predecessors = nodes.map(() => []);
    for (const node of nodes) for (const to of graph.successors[node]!) this.#predecessors[to]!.push(node);
    const routers = hasSwitch || graph.hasDispatchEdges ? [DISPATCHER, ...graph.headerOf.keys()] : [];
    this.#startsAnew = new Set(routers.flatMap((node) => graph.successors[node]!));
    this.#order = nodes.toSorted((a, b) => graph.order[a]! - graph.order[b]!);
    this.#none = new Uint8Array(this.#slots.length);
    this.#factsIn = nodes.map(() => undefined);
    this.#factsOut = nodes.map(() => undefined);
    this.#wantedIn = nodes.map(() => new Uint8Array(this.#slots.length));
    this.#hope();
  }

  /** Reads hope where the slot is written later. Backwards, as what is wanted. */
  #hope(): void {
    const before: Uint8Array[] = this.#blocks.map(() => this.#none);
    for (let changed = true; changed;) {
      changed = false;
      for (let n = this.#order.length - 1; n >= 0; n--) {
        const node = this.#order[n]!;
        const block = this.#blocks[node];
        const after = this.#wantedAfter(node, before);
        const wanted = block === undefined ? after : ofOrigins(block, after);
        for (const [slot, group] of block?.bySlot ?? []) {
          if (group.isWrite && group.isSure) wanted[slot.index] = 1;
        }
        if (areSame(wanted, before[node])) continue;
        before[node] = wanted;
        changed = true;
      }
    }
    this.#blocks.forEach((block, node) => {
      if (block === undefined || block.forgets) return;
      const wanted = this.#wantedAfter(node, before);
      for (const source of block.sources) source.isForWriter = wanted[source.slot.index] === 1;
      const first = ofOrigins(block, wanted);
      for (const group of block.groups.all) {
        if (group.isWrite || group.isLate || group.register === STACK_POINTER) continue;
        group.hopes = (group.slot !== undefined && first[group.slot.index] === 1)
          || block.sources.some((source) => source.group === group && source.isForWriter);
      }
    });
  }

  run(): RegionMemory {
    if (!this.#settle()) {
      this.#factsIn.fill(this.#none);
      this.#blocks.forEach((_, node) => (this.#factsOut[node] = this.#pass(node, this.#none)));
    }
    this.#blocks.forEach((block, node) => block === undefined || this.#decide(node, block));
    while (this.#backwards());
    const blocks: BlockMemory[] = [];
    this.#blocks.forEach((block, node) => block === undefined || blocks.push(this.#finish(node, block)));
    return {
      blocks,
      slots: this.#slots.filter(({ index }) => this.#wantedIn.some((wanted) => wanted[index] === 1)),
    };
  }

  /** False when the facts come to no rest: then there are none. */
  #settle(): boolean {
    const isStale = new Uint8Array(this.#blocks.length).fill(1);
    for (let round = 0; round < ROUNDS_MAX; round++) {
      let changed = false;
      for (const node of this.#order) {
        if (isStale[node] === 0) continue;
        isStale[node] = 0;
        const facts = this.#meetAt(node);
        if (facts === undefined || areSame(facts, this.#factsIn[node])) continue;
        this.#factsIn[node] = facts;
        const out = this.#pass(node, facts);
        if (areSame(out, this.#factsOut[node])) continue;
        this.#factsOut[node] = out;
        for (const to of this.#successors[node]!) isStale[to] = 1;
        changed = true;
      }
      if (!changed) return true;
    }
    return false;
  }

  #meetAt(node: number): Uint8Array | undefined {
    if (node === DISPATCHER || this.#startsAnew.has(node)) return this.#none;
    let met: Uint8Array | undefined;
    let isOwn = false;
    for (const from of this.#predecessors[node]!) {
      const out = this.#factsOut[from];
      if (out === undefined || out === met) continue;
      if (met === undefined) {
        met = out;
        continue;
      }
      if (!isOwn) met = met.slice();
      isOwn = true;
      for (let n = 0; n < met.length; n++) met[n] = meet(met[n]!, out[n]!);
    }
    return met;
  }

  #pass(node: number, facts: Uint8Array): Uint8Array {
    const block = this.#blocks[node];
    if (block === undefined) return facts;
    if (block.forgets) return this.#none;
    if (block.sources.length === 0) return facts;
    const out = facts.slice();
    for (const source of block.sources) out[source.slot.index] = factOut(facts, block, source);
    return out;
  }

  #decide(node: number, block: BlockFacts): void {
    const facts = this.#factsIn[node] ?? this.#none;
    for (const group of block.bySlot.values()) {
      const fact = facts[group.slot!.index]!;
      group.known = use(group, fact);
      group.keepsSlot = group.hopes && group.known === "maybe" && fact === MAYBE_WRITE;
    }
  }

  #backwards(): boolean {
    let changed = false;
    for (let n = this.#order.length - 1; n >= 0; n--) {
      const node = this.#order[n]!;
      const wanted = this.#wantedBefore(node, this.#wantedAfter(node));
      if (areSame(wanted, this.#wantedIn[node])) continue;
      this.#wantedIn[node] = wanted;
      changed = true;
    }
    return changed;
  }

  /** By slot: whether any successor has it in `before`. */
  #wantedAfter(node: number, before: readonly Uint8Array[] = this.#wantedIn): Uint8Array {
    const wanted = this.#none.slice();
    for (const to of this.#successors[node]!) {
      const next = before[to]!;
      for (let n = 0; n < wanted.length; n++) wanted[n]! |= next[n]!;
    }
    return wanted;
  }

  #wantedBefore(node: number, after: Uint8Array): Uint8Array {
    const block = this.#blocks[node];
    if (block === undefined) return after;
    const wanted = ofOrigins(block, after);
    for (const [slot, group] of block.bySlot) {
      if (group.known !== "no") wanted[slot.index] = 1;
      else if (group.isSure) wanted[slot.index] = 0;
    }
    return wanted;
  }

  #finish(node: number, block: BlockFacts): BlockMemory {
    const wanted = this.#wantedAfter(node);
    const facts = this.#factsIn[node] ?? this.#none;
    const out = this.#factsOut[node] ?? this.#none;
    const publications: Publication[] = [];
    for (const slot of this.#slots) {
      if (wanted[slot.index] === 0) continue;
      const source = block.sources.find((s) => s.slot === slot);
      if (out[slot.index] === NONE) publications.push({ slot, from: undefined, distance: 0, isHoped: false });
      else if (source !== undefined) publications.push(...publish(facts, block, source));
    }
    return { groups: block.groups, publications };
  }
}

/** By slot at the start of a block, what is said of the slots at its end. */
function ofOrigins({ sources, forgets }: BlockFacts, after: Uint8Array): Uint8Array {
  if (forgets) return new Uint8Array(after.length);
  const before = after.slice();
  for (const { slot } of sources) before[slot.index] = 0;
  for (const { slot, origin } of sources) {
    if (origin !== undefined && after[slot.index] === 1) before[origin.index] = 1;
  }
  return before;
}

function factOut(facts: Uint8Array, block: BlockFacts, source: Source): Fact {
  const { slot, group, origin } = source;
  if (group !== undefined && use(group, factOf(facts, group)) === "no") {
    if (group.isSure) return group.isWrite ? WRITE : isHoped(source) ? MAYBE_WRITE : READ;
    return origin === slot ? facts[slot.index]! : NONE;
  }
  if (origin === undefined) return NONE;
  const fact = after(facts, block, origin);
  return origin === slot || isSurely(fact) ? fact : NONE;
}

/** What is known of a slot's first value once the block has used it. */
function after(facts: Uint8Array, block: BlockFacts, slot: Slot): Fact {
  const fact = facts[slot.index]!;
  const group = block.bySlot.get(slot);
  if (group === undefined) return fact;
  const used = use(group, fact);
  if (used === "surely" || (used === "no" && !group.isSure)) return fact;
  if (group.isWrite) return WRITE;
  return used === "maybe" && group.hopes && fact === MAYBE_WRITE ? MAYBE_WRITE : READ;
}

/** What the group of a source gives is for a later block that may write. */
function isHoped({ group, isForWriter }: Source): boolean {
  return group !== undefined && group.hopes && isForWriter;
}

function factOf(facts: Uint8Array, group: Group): Fact {
  return group.slot === undefined ? NONE : facts[group.slot.index]!;
}

/** There is a fact: none when the local has it already. */
function publish(facts: Uint8Array, block: BlockFacts, source: Source): Publication[] {
  const { slot, group, origin, delta } = source;
  if (group !== undefined && group.isSure && use(group, factOf(facts, group)) === "no") {
    group.min = Math.min(group.min, slot.min + delta);
    group.end = Math.max(group.end, slot.end + delta);
    group.isPublished = true;
    return [{ slot, from: group, distance: slot.min + delta, isHoped: isHoped(source) }];
  }
  if (origin === undefined || origin === slot) return [];
  return [{ slot, from: origin, distance: slot.min + delta - origin.min, isHoped: false }];
}

function areSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.every((fact, n) => fact === b[n]));
}

/** How a group is checked when `fact` is known of its slot. */
function use(group: Group, fact: Fact): Group["known"] {
  if (group.isLate || fact === NONE || (group.isWrite && fact < MAYBE_WRITE)) return "no";
  if (isSurely(fact)) return "surely";
  return group.isSure ? "maybe" : "no";
}

function isSurely(fact: Fact): boolean {
  return fact === READ || fact === WRITE;
}

function meet(a: Fact, b: Fact): Fact {
  if (a === b) return a;
  const level = a === NONE ? b : b === NONE ? a : Math.min(a, b);
  const isWrite = level >= MAYBE_WRITE;
  if (isSurely(a) && isSurely(b)) return isWrite ? WRITE : READ;
  return isWrite ? MAYBE_WRITE : MAYBE_READ;
}

function describe(ir: IrBlock, slots: SlotsByRegister, sharesChecks: boolean): BlockFacts {
  const groups = findGroups(ir, sharesChecks ? slots : undefined);
  const shared = sharesChecks ? groups.all : [];
  const bySlot = new Map<Slot, Group>();
  for (const group of groups.all) if (group.slot !== undefined) bySlot.set(group.slot, group);
  const sources: Source[] = [];
  const forgets = isCall(ir) || ir.op.includes(Op.ext);
  if (!forgets) {
    const widths = new Map<Group, { min: number; end: number }>();
    for (const exit of exitsOf(ir)) {
      if (exit === undefined) continue;
      for (const slot of slots[exit.of]!) sources.push(findSource(slot, exit, shared, slots, widths));
    }
  }
  return { groups, bySlot, sources, forgets };
}

/** `widths`: how far the checks of groups reach with what was found before. */
function findSource(
  slot: Slot,
  exit: Exit,
  groups: readonly Group[],
  slots: SlotsByRegister,
  widths: Map<Group, { min: number; end: number }>,
): Source {
  const { root, register, delta } = exit;
  const [min, end] = [slot.min + delta, slot.end + delta];
  const origin = delta === 0 && register === slot.register
    ? slot
    : register < 0
    ? undefined
    : slots[register]!.find((s) => s.min <= min && end <= s.end);
  // A pointer that walks on is not checked ahead of itself: that would be at the end of a page too often.
  const mayReach = register !== CODE_BASE && (delta === 0 || register === STACK_POINTER);
  // The group of the origin before all others: where that has checked, the origin's local says nothing.
  const own = groups.find((g) => g.base === root && !g.isLate && g.slot !== undefined && g.slot === origin);
  const group = own ?? groups.find((g) => {
    if (g.base !== root || g.isLate) return false;
    const width = widths.get(g) ?? { min: g.slot?.min ?? g.min, end: g.slot?.end ?? g.end };
    const wide = { min: Math.min(width.min, min), end: Math.max(width.end, end) };
    const isInside = wide.min === width.min && wide.end === width.end;
    const mayGrow = mayReach && !slot.isTable && g.slot?.isTable !== true;
    if (!isInside && (!mayGrow || wide.end - wide.min > bytesMax(register))) return false;
    widths.set(g, wide);
    return true;
  });
  return { slot, group, origin, delta, isForWriter: false };
}

/** What registers hold at the end of a block, of those that it reads or sets. */
function exitsOf(ir: IrBlock): (Exit | undefined)[] {
  const temps = new Int32Array(CODE_BASE + 1).fill(-1);
  temps[CODE_BASE] = ir.codeBase ?? -1;
  for (let i = 0; i < ir.length; i++) {
    if (ir.op[i] === Op.get_gpr && temps[ir.imm[i]!] === -1) temps[ir.imm[i]!] = i;
    else if (ir.op[i] === Op.set_gpr) temps[ir.imm[i]!] = ir.a[i]!;
  }
  return Array.from(temps, (temp, of) => (temp < 0 ? undefined : { of, ...resolve(ir, temp) }));
}

/** A temp as another plus a small constant. */
function resolve(ir: IrBlock, temp: number): Omit<Exit, "of"> {
  let root = temp;
  let delta = 0;
  while (ir.op[root] === Op.i64_add) {
    const b = ir.b[root]!;
    if (ir.op[b] !== Op.const64 || ir.imm2[b] !== ir.imm[b]! >> 31) break;
    delta += ir.imm[b]!;
    root = ir.a[root]!;
  }
  return { root, register: registerOf(ir, root), delta };
}
