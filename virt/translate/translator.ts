// SPDX-License-Identifier: Apache-2.0
// Makes regions: plans them, compiles them, puts them into the table and takes them out when their code dies.
//
// Invariants: a block's home names a live region or is undefined; a region's functions know no address but by their
// arguments. Regions made together share a module, since each module costs the host time and memory of its own.

import type { Block, CodeCache } from "../cache.ts";
import { PAGE_SIZE } from "../layout.ts";
import { MEMORY_PAGES_MAX, type RuntimeFunctions } from "../runtime/module.ts";
import { REGIONS_MAX } from "../runtime/status.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { DATA_ALIGNMENT, dataBytes, type DataLayout, layOut, writeData } from "./data.ts";
import { importOnUse } from "./imports.ts";
import {
  type BlockSource,
  GENERATIONS_MAX,
  planRegion,
  type RegionLimits,
  type RegionPlan,
  type RegionWish,
} from "./region.ts";
import { emitRegion } from "./shape.ts";

/** Slow exits between two looks at whether shared checks pay. */
const SLOW_EXITS = 2_000;

export interface Region {
  readonly tableIndex: number;
  /** Address of its data. */
  readonly data: number;
  /** Pages that its bytes lie in: distance in pages from the page of the anchor, and the frame. */
  readonly pages: readonly { readonly distance: number; readonly frame: number }[];
  readonly blocks: readonly Block[];
  readonly entries: readonly Block[];
  /** Of its blocks from the anchor. */
  readonly offsets: ReadonlySet<number>;
  readonly entryOffsets: readonly number[];
  readonly instructions: number;
  /** How often it was made anew. */
  readonly generation: number;
  /** Whether accesses of a block share checks. */
  readonly hasGroups: boolean;
  isDead: boolean;
  /** Instructions retired when its slow exits were last counted from. */
  watchedSince: number;
}

export interface TranslatorHost {
  readonly memory: WebAssembly.Memory;
  /** RAM as it is now. */
  readonly view: () => DataView;
  readonly table: WebAssembly.Table;
  /** Exports of the runtime instance and `ext`. */
  readonly imports: Readonly<Record<string, unknown>>;
  readonly hasTailCalls: boolean;
  readonly compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

/** A region that is planned and emitted, but not compiled. */
interface Draft {
  readonly plan: RegionPlan;
  readonly layout: DataLayout;
  readonly data: number;
  readonly generation: number;
  readonly hasGroups: boolean;
}

export class Translator {
  readonly #host: TranslatorHost;
  readonly #cache: CodeCache;
  readonly #limits: RegionLimits;
  readonly #freeIndexes: number[] = [];
  readonly #byData = new Map<number, Region>();
  readonly #deaths = new Map<Region, () => void>();
  /** By host address of code: the region that leaves for it, and its distance from that region's anchor. */
  readonly #leavers = new Map<number, { readonly region: Region; readonly offset: number }>();
  #nextIndex = 1;
  readonly counters = {
    modules: 0,
    regions: 0,
    regionBlocks: 0,
    regionInstructions: 0,
    regionBytes: 0,
    liveRegions: 0,
    refused: 0,
  };

  constructor(host: TranslatorHost, cache: CodeCache, limits: RegionLimits) {
    this.#host = host;
    this.#cache = cache;
    this.#limits = limits;
  }

  byData(data: number): Region | undefined {
    return this.#byData.get(data);
  }

  /**
   * Regions for blocks that have become hot, as one module. A block that a live region leaves for joins that region when
   * it is not too large; otherwise it begins one. `frameOf`: host address of the code at a guest address, or -1.
   */
  translate(source: BlockSource, pcs: readonly number[], frameOf: (pc: number) => number): Region[] {
    const module = new ModuleInProgress(this.#host.hasTailCalls);
    const planned = new Set<number>();
    for (const pc of pcs) {
      if (planned.has(pc) || source.known(pc)?.entry !== 0) continue;
      const draft = this.#draft(source, this.#wishFor(source, pc, frameOf(pc)), module, true);
      if (draft === undefined) continue;
      for (const ir of draft.plan.irs) planned.add(ir.basePc);
    }
    return this.#finish(module, frameOf);
  }

  /** Makes a region anew without shared checks. */
  ungroup(
    source: BlockSource,
    region: Region,
    anchorPc: number,
    frameOf: (pc: number) => number,
  ): Region[] {
    if (!region.hasGroups) return [];
    const module = new ModuleInProgress(this.#host.hasTailCalls);
    this.#draft(source, wishOf(region, anchorPc, []), module, false);
    return this.#finish(module, frameOf);
  }

  /** Counts slow exits from here on. */
  watchSlowExits(region: Region, retired: number): void {
    region.watchedSince = retired;
    this.#host.view().setUint32(region.data, SLOW_EXITS, true);
  }

  #wishFor(source: BlockSource, pc: number, address: number): RegionWish {
    const leaver = this.#leavers.get(address);
    const alone: RegionWish = { headPc: pc, members: [], entries: [] };
    if (leaver === undefined || leaver.region.isDead) return alone;
    const { region, offset } = leaver;
    const { blocksMax, instructionsMax } = this.#limits;
    const joins = region.generation < GENERATIONS_MAX && region.offsets.size < blocksMax / 2
      && region.instructions < instructionsMax / 2
      && source.known(pc - offset)?.home?.region === region;
    return joins ? wishOf(region, pc - offset, [pc]) : alone;
  }

  #draft(
    source: BlockSource,
    wish: RegionWish,
    module: ModuleInProgress,
    hasGroups: boolean,
  ): Draft | undefined {
    const plan = planRegion(source, wish, this.#limits);
    if (plan === undefined) return undefined;
    const layout = layOut(
      plan.graph.entries.map((node) => plan.irs[node - 1]!.basePc - plan.anchorPc),
      plan.switchTargets.map((pc) => pc - plan.anchorPc),
    );
    const generation = Math.max(-1, ...plan.absorbed.map((region) => region.generation)) + 1;
    const { code, links } = emitRegion({
      graph: plan.graph,
      blocks: plan.irs,
      anchorPc: plan.anchorPc,
      nodeByPc: plan.nodeByPc,
      layout,
      hasGroups: hasGroups && plan.absorbed.every((region) => region.hasGroups),
      hasSwitch: plan.switchTargets.length > 0,
      isBusy: (pc) => source.heat(pc) >= 0,
    }, module.runtime);
    const data = this.#allocate(layout, links);
    if (data < 0) return undefined;
    const draft: Draft = { plan, layout, data, generation, hasGroups };
    module.add(draft, code);
    return draft;
  }

  /** Room for a region's data; -1 when the arena is full. */
  #allocate(layout: DataLayout, links: number): number {
    const address = this.#cache.allocate(dataBytes(layout, links) + DATA_ALIGNMENT);
    if (address < 0) return -1;
    const data = (address + DATA_ALIGNMENT - 1) & -DATA_ALIGNMENT;
    writeData(this.#host.view(), data, layout, links);
    return data;
  }

  /** Compiles the regions of a module and installs them. */
  #finish(module: ModuleInProgress, frameOf: (pc: number) => number): Region[] {
    const { drafts } = module;
    if (drafts.length === 0) return [];
    const bytes = module.finish();
    const code = this.#compile(bytes);
    if (code === undefined) return [];
    this.counters.modules++;
    this.counters.regionBytes += bytes.length;
    const regions: Region[] = [];
    drafts.forEach((draft, n) => {
      const tableIndex = this.#takeIndex();
      if (tableIndex < 0) return;
      this.#host.table.set(tableIndex, code[`region${n}`]);
      regions.push(this.#install(draft, tableIndex, frameOf));
    });
    return regions;
  }

  /** The regions' functions; undefined when the host has no room for them: the interpreter goes on then. */
  #compile(bytes: Uint8Array<ArrayBuffer>): Record<string, unknown> | undefined {
    try {
      const { memory, table, imports } = this.#host;
      const instance = new WebAssembly.Instance(this.#host.compile(bytes), {
        m: { memory, table, ...imports },
      });
      return instance.exports;
    } catch (error) {
      if (error instanceof WebAssembly.CompileError) throw error; // what we emitted is wrong
      this.counters.refused++;
      return undefined;
    }
  }

  #install(draft: Draft, tableIndex: number, frameOf: (pc: number) => number): Region {
    const { plan, layout, data } = draft;
    const offsetOf = (n: number): number => plan.irs[n]!.basePc - plan.anchorPc;
    const region: Region = {
      tableIndex,
      data,
      pages: pagesOf(plan),
      blocks: plan.blocks,
      entries: plan.graph.entries.map((node) => plan.blocks[node - 1]!),
      offsets: new Set(plan.blocks.map((_, n) => offsetOf(n))),
      entryOffsets: layout.offsets,
      instructions: plan.irs.reduce((sum, ir) => sum + ir.instructions, 0),
      generation: draft.generation,
      hasGroups: draft.hasGroups,
      isDead: false,
      watchedSince: 0,
    };
    for (const old of plan.absorbed) this.#kill(old);
    plan.blocks.forEach((block, n) => (block.home ??= { region, offset: offsetOf(n) }));
    plan.graph.entries.forEach((node, number) => {
      const block = plan.blocks[node - 1]!;
      block.home = { region, offset: offsetOf(node - 1) };
      block.entry = data | number;
    });
    this.#byData.set(data, region);
    for (const pc of plan.exits) {
      const address = frameOf(pc);
      if (address >= 0) this.#leavers.set(address, { region, offset: pc - plan.anchorPc });
    }
    for (const { frame } of region.pages) this.#cache.depend(frame, this.#onDeath(region));
    this.watchSlowExits(region, 0);
    this.#count(region);
    return region;
  }

  #count(region: Region): void {
    const { counters } = this;
    counters.regions++;
    counters.liveRegions++;
    counters.regionBlocks += region.blocks.length;
    counters.regionInstructions += region.instructions;
  }

  #onDeath(region: Region): () => void {
    const known = this.#deaths.get(region);
    if (known !== undefined) return known;
    const onDeath = (): void => this.#kill(region);
    this.#deaths.set(region, onDeath);
    return onDeath;
  }

  #kill(region: Region): void {
    if (region.isDead) return;
    region.isDead = true;
    this.counters.liveRegions--;
    for (const { frame } of region.pages) this.#cache.undepend(frame, this.#onDeath(region));
    this.#deaths.delete(region);
    this.#byData.delete(region.data);
    for (const block of region.blocks) {
      if (block.home?.region !== region) continue;
      block.home = undefined;
      block.entry = 0;
    }
    this.#host.table.set(region.tableIndex, null);
    this.#freeIndexes.push(region.tableIndex);
  }

  #takeIndex(): number {
    const free = this.#freeIndexes.pop();
    if (free !== undefined) return free;
    const { table } = this.#host;
    if (this.#nextIndex >= REGIONS_MAX) return -1;
    if (this.#nextIndex >= table.length) table.grow(table.length);
    return this.#nextIndex++;
  }
}

/** A module that regions are put into. Functions are added when all are emitted, since imports come before them. */
class ModuleInProgress {
  readonly #module = new WasmModule();
  readonly #bodies: ReturnType<typeof emitRegion>["code"][] = [];
  readonly runtime: RuntimeFunctions;
  readonly drafts: Draft[] = [];

  constructor(hasTailCalls: boolean) {
    this.#module.importMemory("memory", 1, MEMORY_PAGES_MAX);
    this.#module.importTable("table");
    this.runtime = importOnUse(this.#module, hasTailCalls);
  }

  add(draft: Draft, code: ReturnType<typeof emitRegion>["code"]): void {
    this.drafts.push(draft);
    this.#bodies.push(code);
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.#bodies.forEach((body, n) => {
      const index = this.#module.add(body);
      this.#module.exportFunction(`region${n}`, index);
      this.#module.nameFunction(index, `guest_${this.drafts[n]!.plan.anchorPc.toString(16)}`);
    });
    return this.#module.finish();
  }
}

function wishOf(region: Region, anchorPc: number, more: readonly number[]): RegionWish {
  return {
    headPc: anchorPc,
    members: [...[...region.offsets].map((offset) => anchorPc + offset), ...more],
    entries: region.entryOffsets.map((offset) => anchorPc + offset),
    replaces: region,
  };
}

function pagesOf(plan: RegionPlan): { distance: number; frame: number }[] {
  const anchorPage = Math.floor(plan.anchorPc / PAGE_SIZE);
  const pages = new Map<number, number>();
  plan.blocks.forEach((block, n) => {
    const distance = Math.floor(plan.irs[n]!.basePc / PAGE_SIZE) - anchorPage;
    pages.set(distance, block.frame);
    if (block.secondFrame >= 0) pages.set(distance + 1, block.secondFrame);
  });
  return [...pages].map(([distance, frame]) => ({ distance, frame }));
}
