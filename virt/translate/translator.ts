// SPDX-License-Identifier: Apache-2.0
// Makes regions: plans them, compiles them, puts them into the table and takes them out when their code dies.
//
// Invariant: a block's tableIndex names a live region that it is an entry of, or is 0.

import type { Block, CodeCache } from "../cache.ts";
import { PAGE_SIZE } from "../layout.ts";
import { MEMORY_PAGES_MAX, type RuntimeFunctions, runtimeSignatures } from "../runtime/module.ts";
import { REGION_EXITS, REGION_EXITS_BYTES, REGIONS_MAX } from "../runtime/status.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { type BlockSource, planRegion, type RegionLimits, type RegionPlan } from "./region.ts";
import { emitRegion, type EntryMap, entryWord } from "./shape.ts";

/** No block is that far from its anchor. */
const NO_OFFSET = 0x7fff_ffff;
/** Exits before a region is made anew with where it went; four times as many each further time. */
const FIRST_GROWTH_EXITS = 3000;
const GENERATIONS_MAX = 6;
/** Regions that count how often their blocks run, so that the next generation takes the right ones. */
const COUNTED_GENERATIONS = 3;
/** Slow exits between two looks at whether shared checks pay. */
const SLOW_EXITS = 20_000;

export interface Region {
  readonly tableIndex: number;
  /** Pages that its bytes lie in: distance in pages from the page of the anchor, and the frame. */
  readonly pages: readonly { readonly distance: number; readonly frame: number }[];
  readonly entries: readonly Block[];
  /** Entries beyond those that its blocks themselves name, as offsets from the anchor. */
  readonly extras: readonly number[];
  /** Of its blocks from the anchor. */
  readonly offsets: ReadonlySet<number>;
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
  readonly compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

export class Translator {
  readonly #host: TranslatorHost;
  readonly #cache: CodeCache;
  readonly #limits: readonly RegionLimits[];
  readonly #freeIndexes: number[] = [];
  readonly #regions: (Region | undefined)[] = [];
  readonly #deaths = new Map<Region, () => void>();
  #nextIndex = 1;
  /** Takes the regions while several are made together. */
  #shared: SharedModule | undefined;
  readonly counters = {
    regions: 0,
    regionBlocks: 0,
    regionInstructions: 0,
    regionBytes: 0,
    liveRegions: 0,
    refused: 0,
  };

  constructor(host: TranslatorHost, cache: CodeCache, limits: readonly RegionLimits[]) {
    this.#host = host;
    this.#cache = cache;
    this.#limits = limits;
  }

  /** A region that begins at `pc`; undefined when there is nothing to translate. */
  translate(source: BlockSource, pc: number): Region | undefined {
    return this.#make(source, pc, [], undefined, true);
  }

  byIndex(tableIndex: number): Region | undefined {
    return this.#regions[tableIndex];
  }

  /** Makes a region anew with more entries. Undefined when nothing came of it. */
  grow(
    source: BlockSource,
    region: Region,
    anchorPc: number,
    targets: readonly number[],
  ): Region | undefined {
    const extras = new Set(region.extras);
    for (const pc of targets) extras.add(pc - anchorPc);
    return this.#make(source, anchorPc, [...extras], region, region.hasGroups);
  }

  /** Makes a region anew without shared checks. */
  ungroup(source: BlockSource, region: Region, anchorPc: number): Region | undefined {
    return region.hasGroups ? this.#make(source, anchorPc, region.extras, region, false) : undefined;
  }

  /** Counts slow exits from here on. */
  watchSlowExits(region: Region, retired: number): void {
    region.watchedSince = retired;
    this.#host.view().setUint32(REGION_EXITS + region.tableIndex * REGION_EXITS_BYTES + 4, SLOW_EXITS, true);
  }

  #make(
    source: BlockSource,
    pc: number,
    extras: readonly number[],
    old: Region | undefined,
    hasGroups: boolean,
  ): Region | undefined {
    const generation = old === undefined ? 0 : old.generation + 1;
    const limits = this.#limits[Math.min(generation, this.#limits.length - 1)]!;
    const plan = planRegion(source, pc, extras.map((offset) => pc + offset), limits);
    if (plan === undefined) return undefined;
    const offsets = new Set(plan.irs.map((ir) => ir.basePc - pc));
    if (
      old?.hasGroups === hasGroups
      && !extras.some((offset) => offsets.has(offset) && !old.offsets.has(offset))
    ) {
      return undefined; // nothing that it was left for has come in
    }
    const tableIndex = this.#takeIndex();
    if (tableIndex < 0) return undefined;
    const { graph, irs, anchorPc, nodeByPc } = plan;
    const map = this.#makeMap(plan);
    if (map === undefined) {
      this.#freeIndexes.push(tableIndex);
      return undefined;
    }
    const counters = generation < COUNTED_GENERATIONS
      ? plan.blocks.map((block) => block.record - 8)
      : undefined;
    const shared = this.#shared ?? new SharedModule();
    const body = emitRegion(
      { graph, blocks: irs, anchorPc, nodeByPc, tableIndex, map, hasGroups, counters },
      shared.runtime,
    );
    shared.waiting.push({ plan, body, details: { tableIndex, extras, generation, hasGroups, offsets } });
    return this.#shared === undefined ? this.#finish(shared)[0] : undefined;
  }

  /** Compiles the regions that wait in a module and installs them. */
  #finish(shared: SharedModule): Region[] {
    const { module, waiting } = shared;
    waiting.forEach(({ body }, n) => module.exportFunction(`region${n}`, module.add(body)));
    const bytes = module.finish();
    const code = this.#compile(bytes);
    const regions: Region[] = [];
    waiting.forEach(({ plan, details }, n) => {
      if (code === undefined) {
        this.#freeIndexes.push(details.tableIndex);
        return;
      }
      this.#host.table.set(details.tableIndex, code[`region${n}`]);
      this.#count(plan, n === 0 ? bytes.length : 0);
      regions.push(this.#install(plan, details));
    });
    return regions;
  }

  /** Regions that begin at these addresses, compiled as one module: for tests, which translate much and run it little. */
  translateTogether(source: BlockSource, pcs: readonly number[]): Region[] {
    const shared = new SharedModule();
    this.#shared = shared;
    try {
      for (const pc of pcs) this.translate(source, pc);
    } finally {
      this.#shared = undefined;
    }
    return shared.waiting.length === 0 ? [] : this.#finish(shared);
  }

  /** The regions' functions; undefined when the host has no room for them: the interpreter goes on then. */
  #compile(bytes: Uint8Array<ArrayBuffer>): Record<string, unknown> | undefined {
    try {
      const instance = new WebAssembly.Instance(this.#host.compile(bytes), {
        m: { memory: this.#host.memory, ...this.#host.imports },
      });
      return instance.exports;
    } catch (error) {
      if (error instanceof WebAssembly.CompileError) throw error; // what we emitted is wrong
      this.counters.refused++;
      return undefined;
    }
  }

  /** Where the entries are; undefined when the arena is full. */
  #makeMap(plan: RegionPlan): EntryMap | undefined {
    const offsets = plan.graph.entries.map((node) => plan.irs[node - 1]!.basePc - plan.anchorPc);
    const { mask, shift } = perfectHash(offsets);
    const address = this.#cache.allocate((mask + 1) * 8);
    if (address < 0) return undefined;
    const view = this.#host.view();
    for (let n = 0; n <= mask; n++) view.setInt32(address + n * 8, NO_OFFSET, true);
    offsets.forEach((offset, index) => {
      const at = address + ((offset ^ (offset >>> shift)) & mask) * 8;
      view.setInt32(at, offset, true);
      view.setInt32(at + 4, index, true);
    });
    return { address, mask, shift };
  }

  #count(plan: RegionPlan, bytes: number): void {
    const counters = this.counters;
    counters.regions++;
    counters.liveRegions++;
    counters.regionBlocks += plan.blocks.length;
    for (const ir of plan.irs) counters.regionInstructions += ir.instructions;
    counters.regionBytes += bytes;
  }

  #install(plan: RegionPlan, made: RegionDetails): Region {
    const entries = plan.graph.entries.map((node) => plan.blocks[node - 1]!);
    const region: Region = { ...made, pages: pagesOf(plan), entries, isDead: false, watchedSince: 0 };
    this.#regions[made.tableIndex] = region;
    const replaced = new Set<Region>();
    plan.graph.entries.forEach((node, index) => {
      const block = plan.blocks[node - 1]!;
      if (block.region !== undefined) replaced.add(block.region);
      block.tableIndex = made.tableIndex;
      block.region = region;
      block.entry = entryWord(index, plan.irs[node - 1]!.basePc - plan.anchorPc);
    });
    for (const other of replaced) {
      if (!other.entries.some((block) => block.region === other)) this.#kill(other);
    }
    for (const { frame } of region.pages) this.#cache.depend(frame, this.#onDeath(region));
    this.#watchExits(region);
    return region;
  }

  /** The dispatcher counts how often the region is left for other code. */
  #watchExits(region: Region): void {
    const at = REGION_EXITS + region.tableIndex * REGION_EXITS_BYTES;
    const view = this.#host.view();
    for (let n = 0; n < REGION_EXITS_BYTES; n += 4) view.setUint32(at + n, 0, true);
    const exits = region.generation >= GENERATIONS_MAX ? 0 : FIRST_GROWTH_EXITS << (2 * region.generation);
    view.setUint32(at, exits, true);
    view.setUint32(at + 4, SLOW_EXITS, true);
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
    for (const block of region.entries) {
      if (block.region !== region) continue;
      block.region = undefined;
      block.tableIndex = 0;
    }
    this.#host.table.set(region.tableIndex, null);
    this.#regions[region.tableIndex] = undefined;
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

type RegionDetails = Pick<Region, "tableIndex" | "extras" | "generation" | "hasGroups" | "offsets">;

/** A module that regions are put into. Functions are added when all are emitted, since imports come before them. */
class SharedModule {
  readonly module = new WasmModule();
  readonly runtime: RuntimeFunctions;
  readonly waiting: { plan: RegionPlan; body: ReturnType<typeof emitRegion>; details: RegionDetails }[] = [];

  constructor() {
    this.module.importMemory("memory", 1, MEMORY_PAGES_MAX);
    this.runtime = importOnUse(this.module);
  }
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

/** A mask and a shift under which no two offsets share a place: found by trying. */
function perfectHash(offsets: readonly number[]): { mask: number; shift: number } {
  for (let size = 2 << (32 - Math.clz32(offsets.length));; size *= 2) {
    for (let shift = 1; shift < 22; shift++) {
      const places = new Set(offsets.map((offset) => (offset ^ (offset >>> shift)) & (size - 1)));
      // The offsets differ and are below 2^22 in size, so some size is large enough.
      if (places.size === offsets.length) return { mask: size - 1, shift };
    }
  }
}

/** Runtime functions that a module imports when its code first names them. */
function importOnUse(module: WasmModule): RuntimeFunctions {
  const known = new Map<string, number>();
  const index = (name: string): number => {
    let at = known.get(name);
    if (at === undefined) {
      const signature = runtimeSignatures.get(name);
      if (signature === undefined) throw new Error(`runtime has no ${name}`);
      at = module.importFunction(name, signature.params, signature.results);
      known.set(name, at);
    }
    return at;
  };
  const named = (prefix: string): ReadonlyMap<string, number> =>
    new ImportMap((name) => index(prefix + name));
  return {
    get ext(): number {
      return index("ext");
    },
    get fill(): number {
      return index("fill");
    },
    get loadSlow(): number {
      return index("loadSlow");
    },
    get storeSlow(): number {
      return index("storeSlow");
    },
    get storeSlow128(): number {
      return index("storeSlow128");
    },
    get probeSlow(): number {
      return index("probeSlow");
    },
    get flagsOf(): number {
      return index("flagsOf");
    },
    get flags(): number {
      return index("flags");
    },
    get condOf(): number {
      return index("condOf");
    },
    get mulHiU(): number {
      return index("mulHiU");
    },
    get mulHiS(): number {
      return index("mulHiS");
    },
    flush: -1,
    flushWrites: -1,
    helpers: named("helper_"),
    nans: named(""),
  };
}

class ImportMap extends Map<string, number> {
  readonly #index: (name: string) => number;

  constructor(index: (name: string) => number) {
    super();
    this.#index = index;
  }

  override get(name: string): number {
    return this.#index(name);
  }
}
