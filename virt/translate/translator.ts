// SPDX-License-Identifier: Apache-2.0
// Makes regions: has them planned (plan.ts), compiles them, puts them into the table and takes them out when their code dies.
//
// Invariants: a block's home names a live region or is undefined; a region's functions know no address but by their
// arguments. Regions made together share a module, since each module costs the host time and memory of its own.

import type { StoredModule } from "../../include/host/translations.ts";
import type { Ram } from "../../lib/ram.ts";
import type { Block, CodeCache, Dependant } from "../cache.ts";
import { REGIONS_MAX } from "../runtime/status.ts";
import {
  DATA_ALIGNMENT,
  dataBytes,
  type DataLayout,
  layOut,
  LINK_BYTES,
  LINK_FORESEEN_AT,
  OTHERS_USED_AT,
  writeData,
} from "./data.ts";
import { draftRegion, ModuleInProgress, pagesOf, type Plan, type RegionFacts } from "./draft.ts";
import {
  type HashOf,
  type KeptModule,
  type LoadedModule,
  looseRegions,
  modulesToKeep,
  type Region,
} from "./live.ts";
import { firstName } from "./names.ts";
import { type Gathering, planGathering, planOf } from "./plan.ts";
import { type BlockSource, GENERATIONS_MAX, isLaidOut, type RegionLimits } from "./region.ts";
import type { Match } from "./stored.ts";
import { aloneAt, type RegionWish, wishOf } from "./wish.ts";

/** Slow exits between two looks at whether shared checks pay. */
export const SLOW_EXITS = 2_000;
/** Instructions of a region that fail them, before it has none any more. */
const APART_MAX = 8;

export interface TranslatorHost {
  readonly ram: Ram;
  readonly table: WebAssembly.Table;
  /** Exports of the runtime instance and `ext`. */
  readonly imports: Readonly<Record<string, unknown>>;
  readonly compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
  /** The same for a module that stays as it is. */
  readonly compileSettled: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

export class Translator {
  readonly #host: TranslatorHost;
  readonly #cache: CodeCache;
  readonly #limits: RegionLimits;
  readonly #freeIndexes: number[] = [];
  readonly #byData = new Map<number, Region>();
  readonly #dependants = new Map<Region, Dependant>();
  /** By host address of code: the region that leaves for it, and its distance from that region's anchor. */
  readonly #leavers = new Map<number, { readonly region: Region; readonly offset: number }>();
  /** Data of regions that have died lately. */
  #died = new Set<number>();
  readonly #modules = new Set<LoadedModule>();
  readonly #stored = new Map<StoredModule, LoadedModule>();
  #nextIndex = 1;
  readonly counters = {
    modules: 0,
    storedModules: 0,
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

  /** Where the data of the regions was that have died since the last call. */
  takeDeaths(): ReadonlySet<number> {
    const died = this.#died;
    this.#died = new Set();
    return died;
  }

  byData(data: number): Region | undefined {
    return this.#byData.get(data);
  }

  /**
   * Regions for blocks that have become hot, as one module. A block that a live region leaves for joins that region when
   * it is not too large; otherwise it begins one. `frameOf`: host address of the code at a guest address, or -1.
   */
  translate(source: BlockSource, pcs: readonly number[], frameOf: (pc: number) => number): Region[] {
    const plans: Plan[] = [];
    const planned = new Set<number>();
    for (const pc of pcs) {
      if (planned.has(pc) || source.known(pc)?.entry !== 0) continue;
      const wish = this.#wishFor(source, pc, frameOf(pc));
      if (wish.replaces.some(({ isClaimed }) => isClaimed)) continue; // it becomes hot again, and joins what is there then
      const plan = planOf(source, wish, plans.length, { hasGroups: true, takesTables: true }, this.#limits);
      if (plan === undefined) continue;
      plans.push(plan);
      for (const ir of plan.plan.irs) planned.add(ir.basePc);
    }
    return this.#make(source, plans, frameOf);
  }

  /** All regions, settled or not. */
  get live(): Region[] {
    return [...this.#modules].flatMap(({ regions }) => regions).filter(({ isDead }) => !isDead);
  }

  /** Regions that are not settled, the most used first; none while they are all of this run. */
  get loose(): Region[] {
    return looseRegions(this.#modules);
  }

  /** Makes regions anew as one module, which settles them. */
  gather(source: BlockSource, gathering: Gathering, frameOf: (pc: number) => number): Region[] {
    const { view } = this.#host.ram;
    const plans = planGathering(source, gathering, this.#limits, view);
    const made = this.#make(source, [...plans.values()], frameOf, true);
    for (const { data, facts } of made) {
      const { absorbed } = plans.get(facts.name)!.plan;
      // Of what is new, nobody knows which of its functions will be used.
      const isUsed = (old: Region): boolean => view.getUint32(old.data + OTHERS_USED_AT, true) !== 0;
      if (absorbed.length === 0 || absorbed.some(isUsed)) {
        view.setUint32(data + OTHERS_USED_AT, 1, true);
      }
    }
    return made;
  }

  /**
   * Makes a region anew that often fails checks which accesses share, lately at the instruction at `pc`: without tables; when it has none, with checks of their own in
   * the blocks that have the instruction; and when those are too many or were no use, in all.
   */
  ungroup(
    source: BlockSource,
    region: Region,
    { anchorPc, pc }: { readonly anchorPc: number; readonly pc: number },
    frameOf: (pc: number) => number,
  ): Region[] {
    const { hasGroups, tables, offsets, facts } = region;
    if (!hasGroups) return [];
    const hasTables = tables === "some";
    const hasFailed = facts.apart.length >= APART_MAX || facts.apart.includes(pc - anchorPc);
    const isLost = !hasTables && hasFailed;
    const wish = wishOf(region, anchorPc, []);
    const limits = { ...this.#limits, blocksMax: offsets.size, instructionsMax: Infinity };
    const apart = hasTables ? wish.apart : [...wish.apart, pc];
    const what = { hasGroups: !isLost, takesTables: false };
    const plan = planOf(source, { ...wish, apart }, 0, what, limits);
    return plan === undefined ? [] : this.#make(source, [plan], frameOf);
  }

  /** Counts slow exits from here on. */
  watchSlowExits(region: Region, retired: number): void {
    region.watchedSince = retired;
    this.#host.ram.view.setUint32(region.data, SLOW_EXITS, true);
  }

  #wishFor(source: BlockSource, pc: number, address: number): RegionWish {
    const leaver = this.#leavers.get(address);
    const alone = aloneAt(pc);
    if (leaver === undefined || leaver.region.isDead) return alone;
    const { region, offset } = leaver;
    const { blocksMax, instructionsMax } = this.#limits;
    const joins = region.generation < GENERATIONS_MAX && region.offsets.size < blocksMax / 2
      && region.instructions < instructionsMax / 2
      && isLaidOut(source, region, pc - offset);
    return joins ? wishOf(region, pc - offset, [pc]) : alone;
  }

  /** The regions of some plans, which know each other. */
  #make(
    source: BlockSource,
    plans: readonly Plan[],
    frameOf: (pc: number) => number,
    isSettled: boolean = false,
  ): Region[] {
    const module = new ModuleInProgress(this.#host.ram.fixedPages, isSettled);
    const names = new Map(plans.map(({ name, plan }) => [plan.anchorPc, name]));
    for (const plan of plans) {
      const draft = draftRegion(plan, names, module.runtime, {
        // What is in a region is not counted any more.
        isBusy: (pc) => (source.known(pc)?.entry ?? 0) !== 0 || source.heat(pc) >= 0,
        allocate: (layout, links) => this.#allocate(layout, links),
        watchesCalls: !isSettled,
      });
      if (draft === undefined) { // There is no room for any more.
        for (const { plan: { absorbed } } of plans) for (const region of absorbed) region.isClaimed = false;
        return [];
      }
      module.add(draft);
    }
    return this.#finish(module, frameOf, isSettled);
  }

  /** Room for a region's data; -1 when the arena is full. */
  #allocate(layout: DataLayout, links: number): number {
    const address = this.#cache.allocate(dataBytes(layout, links) + DATA_ALIGNMENT);
    if (address < 0) return -1;
    const data = (address + DATA_ALIGNMENT - 1) & -DATA_ALIGNMENT;
    writeData(this.#host.ram.view, data, layout, links);
    return data;
  }

  /** Compiles the regions of a module and installs them. */
  #finish(module: ModuleInProgress, frameOf: (pc: number) => number, isSettled: boolean): Region[] {
    const { drafts } = module;
    if (drafts.length === 0) return [];
    const bytes = module.finish();
    const compile = isSettled ? this.#host.compileSettled : this.#host.compile;
    const loaded = this.#load(bytes, () => compile(bytes), { from: undefined, isSettled });
    if (loaded === undefined) return [];
    this.counters.modules++;
    this.counters.regionBytes += bytes.length;
    const regions: Region[] = [];
    for (const draft of drafts) {
      const { plan, facts } = draft;
      const { anchorPc } = plan;
      const region = this.#install(loaded, facts, { ...draft, anchorPc }, plan.blocks, pagesOf(plan));
      if (region === undefined) continue;
      region.entries.push(...plan.graph.entries.map((node) => plan.blocks[node - 1]!));
      this.#takeOver(region, plan.absorbed);
      this.#noteExits(region, anchorPc, frameOf);
      regions.push(region);
    }
    return regions;
  }

  /**
   * Installs a region of a store. `blockAt` makes known blocks of its entries; undefined when nothing came of it, or when
   * all of its entries have code already.
   */
  adopt(
    match: Match,
    anchorPc: number,
    blockAt: (offset: number) => Block,
    frameOf: (pc: number) => number,
  ): Region | undefined {
    const { stored, module, frames } = match;
    let loaded = this.#stored.get(module);
    if (loaded === undefined) {
      const { isSettled } = module;
      loaded = this.#load(new Uint8Array(), () => module.compile(), { from: module, isSettled });
      if (loaded === undefined) return undefined;
      this.#stored.set(module, loaded);
      this.counters.storedModules++;
    }
    const entries = stored.entries.map(blockAt);
    if (entries.every((block) => block.entry !== 0)) return undefined;
    const layout = layOut(stored.entries);
    const data = this.#allocate(layout, stored.links);
    if (data < 0) return undefined;
    const pages = [...frames].map(([distance, frame]) => ({ distance, frame }));
    const place = { data, linksAt: layout.linksAt, anchorPc };
    const region = this.#install(loaded, stored, place, entries, pages);
    if (region === undefined) return undefined;
    region.entries.push(...entries);
    this.#takeOver(region, []);
    this.#noteExits(region, anchorPc, frameOf);
    return region;
  }

  /** As `modulesToKeep` says. */
  modulesToKeep(hashOf: HashOf, isEnd: boolean): KeptModule[] {
    return modulesToKeep(this.#modules, this.#host.ram, hashOf, isEnd);
  }

  /** Undefined when the host has no room for it: the interpreter goes on then. */
  #load(
    bytes: Uint8Array<ArrayBuffer>,
    compile: () => WebAssembly.Module | undefined,
    origin: Pick<LoadedModule, "from" | "isSettled">,
  ): LoadedModule | undefined {
    try {
      const module = compile();
      if (module === undefined) return undefined;
      const { ram, table, imports } = this.#host;
      const instance = new WebAssembly.Instance(module, { m: { memory: ram.memory, table, ...imports } });
      const loaded: LoadedModule = {
        bytes,
        module,
        exports: instance.exports,
        ...origin,
        regions: [],
        keptRegions: 0,
        byName: new Map(),
        callers: new Map(),
      };
      this.#modules.add(loaded);
      return loaded;
    } catch (error) {
      if (error instanceof WebAssembly.CompileError) throw error; // what we emitted is wrong
      this.counters.refused++;
      return undefined;
    }
  }

  #install(
    module: LoadedModule,
    facts: RegionFacts,
    { data, linksAt, anchorPc }: Pick<Region, "data" | "linksAt" | "anchorPc">,
    blocks: readonly Block[],
    pages: Region["pages"],
  ): Region | undefined {
    const tableIndex = this.#takeIndex();
    if (tableIndex < 0) return undefined;
    this.#host.table.set(tableIndex, module.exports[facts.name]);
    const first = module.exports[firstName(facts.name)];
    const firstIndex = first === undefined ? tableIndex : this.#takeIndex();
    if (firstIndex < 0) {
      this.#giveIndex(tableIndex);
      return undefined;
    }
    if (first !== undefined) this.#host.table.set(firstIndex, first);
    const region: Region = {
      facts,
      firstIndex,
      tableIndex,
      data,
      linksAt,
      pages,
      blocks,
      entries: [],
      offsets: new Set(facts.offsets),
      instructions: facts.instructions,
      generation: facts.generation,
      hasGroups: facts.hasGroups,
      tables: facts.tables,
      module,
      exitFrames: [],
      isDead: false,
      isClaimed: false,
      isReplaced: false,
      anchorPc,
      samples: 0,
      watchedSince: 0,
    };
    module.regions.push(region);
    module.byName.set(facts.name, region);
    this.#connect(module, region);
    this.#byData.set(data, region);
    this.#depend(region);
    this.watchSlowExits(region, 0);
    this.#count(region);
    return region;
  }

  /** Links between a region and the others of its module that lead where it was foreseen. */
  #connect({ byName, callers }: LoadedModule, region: Region): void {
    const view = this.#host.ram.view;
    const { name, calls } = region.facts;
    const foresee = (from: Region, link: number, to: Region): void =>
      view.setInt32(from.data + from.linksAt + link * LINK_BYTES + LINK_FORESEEN_AT, to.data, true);
    for (const [link, callee] of calls) {
      const known = callers.get(callee);
      if (known === undefined) callers.set(callee, [{ region, link }]);
      else known.push({ region, link });
      const to = byName.get(callee);
      if (to !== undefined) foresee(region, link, to);
    }
    for (const { region: from, link } of callers.get(name) ?? []) {
      if (!from.isDead) foresee(from, link, region);
    }
  }

  /** Blocks without a home find it in the region. */
  #takeOver(region: Region, replaced: readonly Region[]): void {
    for (const old of replaced) {
      old.isReplaced = true;
      this.#kill(old);
    }
    const { data, facts, entries, blocks } = region;
    entries.forEach((block, number) => {
      block.home = { region, offset: facts.entries[number]! };
      block.entry = data | number;
    });
    // Of a region out of the store the entries alone are known, and have a home now.
    blocks.forEach((block, n) => (block.home ??= { region, offset: facts.offsets[n]! }));
  }

  #noteExits(region: Region, anchorPc: number, frameOf: (pc: number) => number): void {
    for (const offset of region.facts.exits) {
      const address = frameOf(anchorPc + offset);
      if (address < 0) continue;
      this.#leavers.set(address, { region, offset });
      region.exitFrames.push(address);
    }
  }

  #count(region: Region): void {
    const { counters } = this;
    counters.regions++;
    counters.liveRegions++;
    counters.regionBlocks += region.blocks.length;
    counters.regionInstructions += region.instructions;
  }

  #depend(region: Region): void {
    const frames = region.pages.map(({ frame }) => frame);
    const dependant = { frames, die: (): void => this.#kill(region) };
    this.#dependants.set(region, dependant);
    this.#cache.depend(dependant);
  }

  #kill(region: Region): void {
    if (region.isDead) return;
    region.isDead = true;
    this.#died.add(region.data);
    this.counters.liveRegions--;
    const dependant = this.#dependants.get(region);
    if (dependant !== undefined) this.#cache.undepend(dependant);
    this.#dependants.delete(region);
    this.#byData.delete(region.data);
    for (const block of region.blocks) {
      if (block.home?.region !== region) continue;
      block.home = undefined;
      block.entry = 0;
    }
    this.#giveIndex(region.tableIndex);
    if (region.firstIndex !== region.tableIndex) this.#giveIndex(region.firstIndex);
    for (const address of region.exitFrames) {
      if (this.#leavers.get(address)?.region === region) this.#leavers.delete(address);
    }
    this.#dropModule(region.module);
  }

  /** A module of which nothing is left alive; one out of the store is told at the end what became of it. */
  #dropModule(module: LoadedModule): void {
    if (module.from === undefined && module.regions.every(({ isDead }) => isDead)) {
      this.#modules.delete(module);
    }
  }

  #giveIndex(index: number): void {
    this.#host.table.set(index, null);
    this.#freeIndexes.push(index);
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
