// SPDX-License-Identifier: Apache-2.0
// Regions and their modules as they are in the table, ready to run, and what a store is to keep of them.

import type { StoredModule, StoredRegion, UsedModule } from "../../include/host/translations.ts";
import type { Ram } from "../../lib/ram.ts";
import type { Block } from "../cache.ts";
import { LINK_BYTES, LINK_CHANGES_AT, LINK_PC_AT, OTHERS_USED_AT } from "./data.ts";
import type { RegionFacts } from "./draft.ts";
import { firstName, TRIFLE } from "./names.ts";
import { calleesAt } from "./wish.ts";

/** A module of regions, and where it came from when that was a store. */
export interface LoadedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly module: WebAssembly.Module;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly from: StoredModule | undefined;
  /** Whether it is kept as it is: optimised, and not to be put together with others any more. */
  readonly isSettled: boolean;
  readonly regions: Region[];
  /** How many of them a store was given. */
  keptRegions: number;
  /** By name: what was installed last. */
  readonly byName: Map<string, Region>;
  /** By name of a region: the links that are foreseen to lead to it. */
  readonly callers: Map<string, { readonly region: Region; readonly link: number }[]>;
}

export interface Region {
  readonly facts: RegionFacts;
  /** Where in the table its functions are: the one for the first entry, and the one for the others (the same, perhaps). */
  readonly firstIndex: number;
  readonly tableIndex: number;
  /** Address of its data, and where in that its links begin. */
  readonly data: number;
  readonly linksAt: number;
  /** Pages that its bytes lie in: distance in pages from the page of the anchor, and the frame. */
  readonly pages: readonly { readonly distance: number; readonly frame: number }[];
  /** Those that are known; of a region out of a store the entries alone. */
  readonly blocks: readonly Block[];
  /** By number. */
  readonly entries: Block[];
  /** Of its blocks from the anchor. */
  readonly offsets: ReadonlySet<number>;
  readonly instructions: number;
  /** How often it was made anew. */
  readonly generation: number;
  /** Whether accesses of a block share checks. */
  readonly hasGroups: boolean;
  readonly tables: StoredRegion["tables"];
  readonly module: LoadedModule;
  /** Host addresses of the code that it leaves for, where that is known. */
  readonly exitFrames: number[];
  isDead: boolean;
  /** Another region that is being made is to take its place; no second one may. */
  isClaimed: boolean;
  /** Another region has taken its place: it is not worth keeping. */
  isReplaced: boolean;
  /** Where its anchor was in the address space that it was made in or first found in. */
  readonly anchorPc: number;
  /** How often it was the one that ran when TypeScript looked. */
  samples: number;
  /** Instructions retired when its slow exits were last counted from. */
  watchedSince: number;
}

/** A module for a store, and where it came from when that was the store. */
export interface KeptModule {
  readonly used: UsedModule;
  readonly from: StoredModule | undefined;
}

/** Names the content of a frame; undefined when that does not last. */
export type HashOf = (frame: number) => string | undefined;

/** Modules for a store, but for those of which it has seen all there is. `isEnd`: also those that came from it. */
export function modulesToKeep(
  modules: Iterable<LoadedModule>,
  ram: Ram,
  hashOf: HashOf,
  isEnd: boolean,
): KeptModule[] {
  const found: KeptModule[] = [];
  for (const module of modules) {
    if (module.from !== undefined && !isEnd) continue;
    const kept = keepModule(module, ram, hashOf);
    const { length } = kept.used.regions;
    if (module.from === undefined && length === module.keptRegions) continue;
    module.keptRegions = length;
    found.push(kept);
  }
  return found;
}

/** The pages of a region for a store; undefined when one of them does not last. */
function keepPages({ pages }: Region, hashOf: HashOf): (readonly [number, string])[] | undefined {
  const kept: (readonly [number, string])[] = [];
  for (const { distance, frame } of pages) {
    const hash = hashOf(frame);
    if (hash === undefined) return undefined;
    kept.push([distance, hash]);
  }
  return kept;
}

/** What of a module is worth keeping. */
function keepModule(
  { bytes, module, exports, from, isSettled, regions }: LoadedModule,
  ram: Ram,
  hashOf: HashOf,
): KeptModule {
  const pagesOf = new Map<Region, (readonly [number, string])[]>();
  for (const region of regions) {
    const pages = region.isDead ? undefined : keepPages(region, hashOf);
    if (pages !== undefined) pagesOf.set(region, pages);
  }
  const kept = [...pagesOf.keys()];
  // Of a module of the store, what was not used this time stays as it is.
  const seen = regions.filter(({ isReplaced, isDead }) => isReplaced || !isDead);
  const names = new Set(seen.map(({ facts }) => facts.name));
  const unused = from?.regions.filter(({ name }) => !names.has(name)) ?? [];
  const live = [...pagesOf].map(([{ facts }, pages]): StoredRegion => ({ ...facts, pages }));
  const functions = kept.flatMap(({ facts: { name }, data }) => {
    const first = exports[firstName(name)];
    if (first === undefined) return [exports[name]];
    return ram.view.getUint32(data + OTHERS_USED_AT, true) === 0 ? [first] : [first, exports[name]];
  });
  const used = {
    bytes,
    module,
    functions,
    trifle: exports[TRIFLE],
    memoryPages: ram.fixedPages,
    isSettled,
    regions: [...live, ...unused],
  };
  return { used, from };
}

/** Live regions of modules that are not settled, the most used first; none while no store has given any of them. */
export function looseRegions(modules: Iterable<LoadedModule>): Region[] {
  const loose = [...modules].filter(({ isSettled }) => !isSettled);
  const found = loose.flatMap(({ regions }) => regions).filter(({ isDead, isClaimed }) =>
    !isDead && !isClaimed
  );
  if (found.every(({ module }) => module.from === undefined)) return [];
  return found.sort((a, b) => b.samples - a.samples);
}

/** A call that has led elsewhere more often than that in one run may do so again. */
const CHANGES_MAX = 64;

/**
 * By guest address of a block in one of the regions: where its indirect call went, when that was hardly ever anywhere else. `anchorOf`: where
 * the anchors are now.
 */
export function findCallTargets(
  regions: readonly Region[],
  view: DataView,
  anchorOf: (region: Region) => number,
): Map<number, number> {
  const found = new Map<number, number>();
  for (const region of regions) {
    const { data, linksAt, facts, anchorPc } = region;
    for (const [pc, target] of calleesAt(region, anchorOf(region))) found.set(pc, target);
    for (const [offset, number] of facts.sites) {
      const link = data + linksAt + number * LINK_BYTES;
      const changes = view.getUint32(link + LINK_CHANGES_AT, true);
      const target = Number(view.getBigInt64(link + LINK_PC_AT, true));
      if (changes > CHANGES_MAX) found.delete(anchorOf(region) + offset);
      if (target < 0 || changes > CHANGES_MAX) continue;
      found.set(anchorOf(region) + offset, anchorOf(region) + target - anchorPc);
    }
  }
  return found;
}
