// SPDX-License-Identifier: Apache-2.0
// Regions that an earlier run has left in the host's store, offered to the code that is now mapped.
//
// A page of code is hashed once while it holds code. Regions anchored in it wait until all their pages are mapped with
// the content that they were made from. Invariant: what waits for a frame was found by its present content.
//
// A module is read when a block that it may have a region for has become hot, and no sooner: that of a compiler is 20 MB, and has regions of the
// C library, which everything else uses. What was read is offered at the first touch of a page.

import type { StoredModule, StoredRegion, TranslationStore } from "../../include/host/translations.ts";
import type { Ram } from "../../lib/ram.ts";
import type { KeptCounts } from "../interp/kept.ts";
import { PAGE_SIZE } from "../layout.ts";

/** It is much more when a page has a sixteenth more blocks, or as many more of them are targets of jumps. */
const NEWS_SHIFT = 4;

/** A region that the mapped code matches. */
export interface Match {
  readonly stored: StoredRegion;
  readonly module: StoredModule;
  /** Frame by distance from the page of the anchor. */
  readonly frames: ReadonlyMap<number, number>;
}

interface Page {
  readonly hash: string;
  /** What the store has of it; undefined while it was not asked. */
  kept: KeptCounts | undefined;
  /** Modules that were asked about it, and how many had been read by then: Infinity when all that there are for it had. */
  readonly asked: Set<StoredModule>;
  askedAt: number;
  waiting: { readonly stored: StoredRegion; readonly module: StoredModule }[];
}

export class StoredRegions {
  readonly #store: TranslationStore;
  readonly #ram: Ram;
  readonly #protect: (frame: number) => void;
  readonly #pages = new Map<number, Page>();
  /** Modules that page after page has not been offered yet. */
  #fresh: StoredModule[] = [];
  /** By module that was read: its regions by the hash of the page of their anchor. */
  readonly #anchored = new Map<StoredModule, ReadonlyMap<string, readonly StoredRegion[]>>();

  /** `protect`: from now on forget() is called before the frame's content changes. */
  constructor(store: TranslationStore, ram: Ram, protect: (frame: number) => void) {
    this.#store = store;
    this.#ram = ram;
    this.#protect = protect;
  }

  /** The content of a frame has changed. */
  forget(frame: number): void {
    this.#pages.delete(frame);
  }

  forgetAll(): void {
    this.#pages.clear();
  }

  hashOf(frame: number): string {
    return this.#page(frame).hash;
  }

  /** Whether the store was asked for the bytecode of a frame. */
  isLoaded(frame: number): boolean {
    return this.#pages.get(frame)?.kept !== undefined;
  }

  /** Whether it had any. */
  hasBlocks(frame: number): boolean {
    return (this.#pages.get(frame)?.kept?.blocks ?? 0) > 0;
  }

  noteKept(frame: number, kept: KeptCounts): void {
    this.#page(frame).kept = kept;
  }

  /** How much more is known of a frame than the store has. Nothing of one that it was not asked for. */
  newsOf(frame: number, now: KeptCounts): "none" | "some" | "much" {
    const kept = this.#pages.get(frame)?.kept;
    if (kept === undefined) return "none";
    const isMuch = (a: number, b: number): boolean => a > b + (b >> NEWS_SHIFT);
    if (isMuch(now.blocks, kept.blocks) || isMuch(now.targets, kept.targets)) return "much";
    return now.blocks > kept.blocks || now.targets > kept.targets ? "some" : "none";
  }

  /** Regions anchored in a frame that match, each once. `frameAt`: the frame at a distance in pages, or -1. `reads`: also of modules that were not read so far. */
  match(frame: number, mode: number, frameAt: (distance: number) => number, reads: boolean): Match[] {
    const page = this.#page(frame);
    if (page.askedAt < (reads ? Infinity : this.#anchored.size)) this.#ask(page, reads);
    if (page.waiting.length === 0) return [];
    const found: Match[] = [];
    page.waiting = page.waiting.filter((candidate) => {
      if (candidate.stored.mode !== mode) return true;
      const frames = this.#framesOf(candidate.stored, frameAt);
      if (frames === undefined) return true;
      found.push({ ...candidate, frames });
      return false;
    });
    return found.sort((a, b) => b.stored.generation - a.stored.generation);
  }

  /** Frames that were looked at before a module was read that has regions anchored in them. */
  takeOverdue(): number[] {
    const modules = this.#fresh.map((module) => this.#anchoredIn(module));
    this.#fresh = [];
    if (modules.length === 0) return [];
    const isAnchor = ({ hash }: Page): boolean => modules.some((pages) => pages.has(hash));
    return [...this.#pages].filter(([, page]) => isAnchor(page)).map(([frame]) => frame);
  }

  #framesOf(
    stored: StoredRegion,
    frameAt: (distance: number) => number,
  ): ReadonlyMap<number, number> | undefined {
    const frames = new Map<number, number>();
    for (const [distance, hash] of stored.pages) {
      const frame = frameAt(distance);
      if (frame < 0 || this.hashOf(frame) !== hash) return undefined;
      frames.set(distance, frame);
    }
    return frames;
  }

  #page(frame: number): Page {
    let page = this.#pages.get(frame);
    if (page === undefined) {
      this.#protect(frame);
      const hash = this.#store.hash(this.#ram.u8.subarray(frame, frame + PAGE_SIZE));
      page = { hash, kept: undefined, asked: new Set(), askedAt: 0, waiting: [] };
      this.#pages.set(frame, page);
    }
    return page;
  }

  #ask(page: Page, reads: boolean): void {
    for (const module of this.#store.modulesFor(page.hash, this.#ram.fixedPages, reads)) {
      if (page.asked.has(module)) continue;
      page.asked.add(module);
      for (const stored of this.#anchoredIn(module).get(page.hash) ?? []) {
        page.waiting.push({ stored, module });
      }
    }
    page.askedAt = reads ? Infinity : this.#anchored.size;
  }

  #anchoredIn(module: StoredModule): ReadonlyMap<string, readonly StoredRegion[]> {
    let found = this.#anchored.get(module);
    if (found === undefined) {
      found = byAnchorPage(module.regions);
      this.#anchored.set(module, found);
      this.#fresh.push(module);
    }
    return found;
  }
}

function byAnchorPage(regions: readonly StoredRegion[]): Map<string, StoredRegion[]> {
  const found = new Map<string, StoredRegion[]>();
  for (const region of regions) {
    const hash = region.pages.find(([distance]) => distance === 0)?.[1];
    if (hash === undefined) continue;
    const known = found.get(hash);
    if (known === undefined) found.set(hash, [region]);
    else known.push(region);
  }
  return found;
}
