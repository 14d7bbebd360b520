// SPDX-License-Identifier: Apache-2.0
// From plans of regions to a module: emits their functions and what is to be known of them.
//
// A region has a function for its first entry, where calls come in, without anything that other entries would need, and
// one for all entries, which serves where code goes on after it was left. With one entry they are the same. The regions of a
// module call each other's functions by name where a call is foreseen to lead there.

import type { StoredRegion } from "../../include/host/translations.ts";
import type { Block } from "../cache.ts";
import { PAGE_SIZE } from "../layout.ts";
import { hasTailCalls, MEMORY_PAGES_MAX, type RuntimeFunctions } from "../runtime/module.ts";
import { Assembler } from "../wasm/assembler.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { type DataLayout, layOut, Links } from "./data.ts";
import type { Graph } from "./graph.ts";
import { importOnUse } from "./imports.ts";
import type { IrBlock } from "./ir-block.ts";
import { firstName, othersName, TRIFLE } from "./names.ts";
import type { RegionPlan } from "./region.ts";
import { emitRegion } from "./shape.ts";
import { takeTables } from "./tables.ts";

/** What is known of a region apart from where it is: what a store keeps of it. */
export type RegionFacts = Omit<StoredRegion, "pages">;

/** A region that is planned. */
export interface Plan {
  readonly name: string;
  readonly plan: RegionPlan;
  readonly hasGroups: boolean;
  readonly takesTables: boolean;
  readonly generation: number;
}

/** A region that is planned and emitted, but not compiled. */
export interface Draft extends Plan {
  readonly code: Assembler;
  /** The function for the first entry, when it is another. */
  readonly first: Assembler | undefined;
  readonly data: number;
  readonly linksAt: number;
  readonly facts: RegionFacts;
}

/** What emitting asks for. */
export interface DraftHost {
  /** Whether the block at a guest address is worth a link. */
  readonly isBusy: (pc: number) => boolean;
  readonly allocate: (layout: DataLayout, links: number) => number;
  /** Whether the regions are to tell where their indirect calls went. */
  readonly watchesCalls: boolean;
}

/**
 * Emits a planned region. `names`: of the regions in the making, by their anchors. `allocate`: room for its data, or -1 when there
 * is none left, and no region then.
 */
export function draftRegion(
  { name, plan, hasGroups, takesTables, generation }: Plan,
  names: ReadonlyMap<number, string>,
  runtime: RuntimeFunctions,
  host: DraftHost,
): Draft | undefined {
  const layout = layOut(plan.graph.entries.map((node) => plan.irs[node - 1]!.basePc - plan.anchorPc));
  const links = new Links();
  const calls = new Map<number, string>();
  const sites = new Map<number, number>();
  const withTables = (graph: Graph): readonly IrBlock[] =>
    hasGroups && takesTables ? takeTables(graph, plan.irs, plan.apart) : plan.irs;
  const shape = {
    anchorPc: plan.anchorPc,
    ways: plan.ways,
    expected: plan.expected,
    layout,
    hasGroups,
    apart: plan.apart,
    names: { others: name, first: plan.firstGraph === undefined ? name : firstName(name) },
    links,
    foresee: (offset: number, link: number): string | undefined => {
      const callee = names.get(plan.anchorPc + offset);
      if (callee !== undefined) calls.set(link, callee);
      return callee === undefined ? undefined : firstName(callee);
    },
    switchTargets: plan.switchTargets.map((pc) => plan.nodeByPc.get(pc)!),
    expectedCall: (pc: number): number | undefined => {
      const target = plan.callTargets.get(pc);
      return target !== undefined && names.has(target) ? target - plan.anchorPc : undefined;
    },
    watchesCalls: host.watchesCalls,
    noteSite: (offset: number, link: number): void => void sites.set(offset, link),
    isBusy: host.isBusy,
  };
  const isFirstOnly = plan.graph.entries.length === 1;
  const blocks = withTables(plan.graph);
  const code = emitRegion({ ...shape, blocks, graph: plan.graph, isFirstOnly }, runtime);
  const { firstGraph } = plan;
  const firstBlocks = firstGraph === undefined ? blocks : withTables(firstGraph);
  const first = firstGraph === undefined
    ? undefined
    : emitRegion({ ...shape, blocks: firstBlocks, graph: firstGraph, isFirstOnly: true }, runtime);
  const hasTables = blocks !== plan.irs || firstBlocks !== plan.irs;
  const own = plan.irs.slice(0, plan.blocks.length);
  const data = host.allocate(layout, links.count);
  if (data < 0) return undefined;
  return {
    name,
    plan,
    hasGroups,
    takesTables,
    generation,
    code,
    first,
    data,
    linksAt: layout.linksAt,
    facts: {
      name,
      anchorOffset: plan.anchorPc % PAGE_SIZE,
      mode: plan.blocks[0]!.mode,
      offsets: own.map((ir) => ir.basePc - plan.anchorPc),
      entries: layout.offsets,
      switches: [...plan.switches].map(([pc, targets]) => [
        pc - plan.anchorPc,
        targets.map((to) => to - plan.anchorPc),
      ]),
      exits: plan.exits.map((pc) => pc - plan.anchorPc),
      apart: [...plan.apart].map((pc) => pc - plan.anchorPc),
      links: links.count,
      calls: [...calls],
      sites: [...sites],
      callees: own.flatMap(({ basePc }) => {
        const target = plan.callTargets.get(basePc);
        return target === undefined ? [] : [[basePc - plan.anchorPc, target - plan.anchorPc] as const];
      }),
      instructions: own.reduce((sum, ir) => sum + ir.instructions, 0),
      generation,
      hasGroups,
      tables: !takesTables ? "never" : hasTables ? "some" : "none",
    },
  };
}

/** A module that regions are put into. Functions are added when all are emitted, since imports come before them. */
export class ModuleInProgress {
  readonly #module = new WasmModule();
  readonly #bodies: { readonly name: string; readonly code: Assembler; readonly anchorPc: number }[] = [];
  readonly runtime: RuntimeFunctions;
  readonly drafts: Draft[] = [];

  /**
   * `memoryPages`: of a memory that does not grow, which an engine need not look for again after each call; otherwise 0.
   *
   * `isSettled`: it is large and stays, so that its calls are worth a table. An engine keeps a copy of a table for each instance
   * that imports it, for as long as the table lives, and writes an entry to all of them: with a thousand small modules a store took 0.2 ms,
   * to double 32,768 entries 9 s.
   */
  constructor(memoryPages: number, isSettled: boolean) {
    this.#module.importMemory("memory", memoryPages || 1, memoryPages || MEMORY_PAGES_MAX);
    if (isSettled) this.#module.importTable("table");
    this.runtime = importOnUse(this.#module, hasTailCalls(), isSettled);
  }

  add(draft: Draft): void {
    this.drafts.push(draft);
    const { name, code, first, plan: { anchorPc } } = draft;
    this.#bodies.push({ name, code, anchorPc });
    if (first !== undefined) this.#bodies.push({ name: firstName(name), code: first, anchorPc });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const indexes = new Map<string, number>();
    for (const { name, code } of this.#bodies) {
      indexes.set(name, this.#module.declare(code.params, code.results));
    }
    for (const { name, code, anchorPc } of this.#bodies) {
      const index = indexes.get(name)!;
      code.resolve((callee) => indexes.get(callee) ?? indexes.get(othersName(callee))!);
      this.#module.define(index, code);
      this.#module.exportFunction(name, index);
      this.#module.nameFunction(index, `guest_${anchorPc.toString(16)}`);
    }
    this.#module.exportFunction(TRIFLE, this.#module.add(new Assembler([], [])));
    return this.#module.finish();
  }
}

/** Pages that the bytes of a region lie in: distance in pages from that of the anchor, and the frame. */
export function pagesOf(plan: RegionPlan): { distance: number; frame: number }[] {
  const anchorPage = Math.floor(plan.anchorPc / PAGE_SIZE);
  const pages = new Map<number, number>();
  const add = (pc: number, block: Block): void => {
    const distance = Math.floor(pc / PAGE_SIZE) - anchorPage;
    pages.set(distance, block.frame);
    if (block.secondFrame >= 0) pages.set(distance + 1, block.secondFrame);
  };
  plan.foreign.forEach((block, pc) => add(pc, block));
  plan.blocks.forEach((block, n) => add(plan.irs[n]!.basePc, block));
  return [...pages].map(([distance, frame]) => ({ distance, frame }));
}
