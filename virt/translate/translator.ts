// SPDX-License-Identifier: Apache-2.0
// Makes regions: plans them, compiles them, puts them into the table and takes them out when their code dies.
//
// Invariant: a block's tableIndex names a live region that it is an entry of, or is 0.

import type { Block, CodeCache } from "../cache.ts";
import { PAGE_SIZE } from "../layout.ts";
import { MEMORY_PAGES_MAX, type RuntimeFunctions, runtimeSignatures } from "../runtime/module.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { type BlockSource, planRegion, type RegionLimits, type RegionPlan } from "./region.ts";
import { emitRegion, type EntryMap, entryWord, NO_ENTRY } from "./shape.ts";

/** Entries farther apart than this are found through the jump cache. */
const MAP_BYTES_MAX = 1 << 16;

export interface Region {
  readonly tableIndex: number;
  /** Pages that its bytes lie in: distance in pages from the page of the anchor, and the frame. */
  readonly pages: readonly { readonly distance: number; readonly frame: number }[];
  readonly entries: readonly Block[];
  readonly anchorOffset: number;
  isDead: boolean;
}

export interface TranslatorHost {
  readonly memory: WebAssembly.Memory;
  /** The bytes of RAM as they are now. */
  readonly bytes: () => Uint8Array;
  readonly table: WebAssembly.Table;
  /** Exports of the runtime instance and `ext`. */
  readonly imports: Readonly<Record<string, unknown>>;
  readonly compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

export class Translator {
  readonly #host: TranslatorHost;
  readonly #cache: CodeCache;
  readonly #limits: RegionLimits;
  readonly #freeIndexes: number[] = [];
  #nextIndex = 1;
  readonly counters = { regions: 0, regionBlocks: 0, regionInstructions: 0, regionBytes: 0, liveRegions: 0, refused: 0 };

  constructor(host: TranslatorHost, cache: CodeCache, limits: RegionLimits) {
    this.#host = host;
    this.#cache = cache;
    this.#limits = limits;
  }

  /** A region that begins at `pc`; undefined when there is nothing to translate. */
  translate(source: BlockSource, pc: number): Region | undefined {
    const plan = planRegion(source, pc, this.#limits);
    if (plan === undefined) return undefined;
    const tableIndex = this.#takeIndex();
    const module = new WasmModule();
    module.importMemory("memory", 1, MEMORY_PAGES_MAX);
    const { graph, irs, anchorPc, nodeByPc } = plan;
    const map = this.#makeMap(plan);
    const body = emitRegion({ graph, blocks: irs, anchorPc, nodeByPc, tableIndex, map }, importOnUse(module));
    module.exportFunction("region", module.add(body));
    const bytes = module.finish();
    const code = this.#compile(bytes);
    if (code === undefined) {
      this.#freeIndexes.push(tableIndex);
      return undefined;
    }
    this.#host.table.set(tableIndex, code);
    this.#count(plan, bytes.length);
    return this.#install(plan, tableIndex);
  }

  /** The region's function; undefined when the host has no room for it: the interpreter goes on then. */
  #compile(bytes: Uint8Array<ArrayBuffer>): unknown {
    try {
      const instance = new WebAssembly.Instance(this.#host.compile(bytes), {
        m: { memory: this.#host.memory, ...this.#host.imports },
      });
      return instance.exports["region"];
    } catch (error) {
      if (error instanceof WebAssembly.CompileError) throw error; // what we emitted is wrong
      this.counters.refused++;
      return undefined;
    }
  }

  /** Where the entries are, as bytes in RAM; empty when they lie too far apart. */
  #makeMap(plan: RegionPlan): EntryMap {
    const offsets = plan.graph.entries.map((node) => plan.irs[node - 1]!.basePc - plan.anchorPc);
    const first = Math.min(...offsets);
    const bytes = Math.max(...offsets) - first + 1;
    const address = bytes > MAP_BYTES_MAX ? -1 : this.#cache.allocate(bytes);
    if (address < 0) return { address: 0, first: 0, bytes: 0 };
    const u8 = this.#host.bytes();
    u8.fill(NO_ENTRY, address, address + bytes);
    offsets.forEach((offset, index) => (u8[address + offset - first] = index));
    return { address, first, bytes };
  }

  #count(plan: RegionPlan, bytes: number): void {
    const counters = this.counters;
    counters.regions++;
    counters.liveRegions++;
    counters.regionBlocks += plan.blocks.length;
    for (const ir of plan.irs) counters.regionInstructions += ir.instructions;
    counters.regionBytes += bytes;
  }

  #install(plan: RegionPlan, tableIndex: number): Region {
    const entries = plan.graph.entries.map((node) => plan.blocks[node - 1]!);
    const anchorOffset = plan.anchorPc % PAGE_SIZE;
    const region: Region = { tableIndex, pages: pagesOf(plan), entries, anchorOffset, isDead: false };
    plan.graph.entries.forEach((node, index) => {
      const block = plan.blocks[node - 1]!;
      block.tableIndex = tableIndex;
      block.region = region;
      block.entry = entryWord(index, plan.irs[node - 1]!.basePc - plan.anchorPc);
    });
    const onDeath = (): void => this.#kill(region, onDeath);
    for (const { frame } of region.pages) this.#cache.depend(frame, onDeath);
    return region;
  }

  #kill(region: Region, onDeath: () => void): void {
    if (region.isDead) return;
    region.isDead = true;
    this.counters.liveRegions--;
    for (const { frame } of region.pages) this.#cache.undepend(frame, onDeath);
    for (const block of region.entries) {
      if (block.region !== region) continue;
      block.region = undefined;
      block.tableIndex = 0;
    }
    this.#host.table.set(region.tableIndex, null);
    this.#freeIndexes.push(region.tableIndex);
  }

  #takeIndex(): number {
    const free = this.#freeIndexes.pop();
    if (free !== undefined) return free;
    const { table } = this.#host;
    if (this.#nextIndex >= table.length) table.grow(table.length);
    return this.#nextIndex++;
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
  const named = (prefix: string): ReadonlyMap<string, number> => new ImportMap((name) => index(prefix + name));
  return {
    get ext(): number { return index("ext"); },
    get fill(): number { return index("fill"); },
    get loadSlow(): number { return index("loadSlow"); },
    get storeSlow(): number { return index("storeSlow"); },
    get storeSlow128(): number { return index("storeSlow128"); },
    get probeSlow(): number { return index("probeSlow"); },
    get flagsOf(): number { return index("flagsOf"); },
    get flags(): number { return index("flags"); },
    get condOf(): number { return index("condOf"); },
    get mulHiU(): number { return index("mulHiU"); },
    get mulHiS(): number { return index("mulHiS"); },
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
