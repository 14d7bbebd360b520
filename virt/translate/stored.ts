// SPDX-License-Identifier: Apache-2.0
// Regions that an earlier run has left in the host's store, offered to the code that is now mapped.
//
// A page of code is hashed once while it holds code. Regions anchored in it wait until all their pages are mapped with
// the content that they were made from. Invariant: what waits for a frame was found by its present content.

import type { StoredModule, StoredRegion, TranslationStore } from "../../include/host/translations.ts";
import type { Ram } from "../../lib/ram.ts";
import type { KeptCounts } from "../interp/kept.ts";
import { PAGE_SIZE } from "../layout.ts";

/** A page is written again when it has a sixteenth more blocks, or as many more of them are targets of jumps. */
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
  waiting: { readonly stored: StoredRegion; readonly module: StoredModule }[];
}

export class StoredRegions {
  readonly #store: TranslationStore;
  readonly #ram: Ram;
  readonly #protect: (frame: number) => void;
  readonly #pages = new Map<number, Page>();
  /** By module: its regions by the hash of the page of their anchor. */
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

  noteKept(frame: number, kept: KeptCounts): void {
    this.#page(frame).kept = kept;
  }

  /** Whether so much more is known of a frame than the store has that it is worth writing. */
  hasNews(frame: number, now: KeptCounts): boolean {
    const kept = this.#pages.get(frame)?.kept;
    const isMore = (a: number, b: number): boolean => a > b + (b >> NEWS_SHIFT);
    return kept !== undefined && (isMore(now.blocks, kept.blocks) || isMore(now.targets, kept.targets));
  }

  /** Regions anchored in a frame that match, each once. `frameAt`: the frame at a distance in pages, or -1. */
  match(frame: number, mode: number, frameAt: (distance: number) => number): Match[] {
    const page = this.#page(frame);
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
      const waiting = this.#store.modulesFor(hash).flatMap((module) =>
        (this.#anchoredIn(module).get(hash) ?? []).map((stored) => ({ stored, module }))
      );
      page = { hash, kept: undefined, waiting };
      this.#pages.set(frame, page);
    }
    return page;
  }

  #anchoredIn(module: StoredModule): ReadonlyMap<string, readonly StoredRegion[]> {
    let found = this.#anchored.get(module);
    if (found === undefined) {
      found = byAnchorPage(module.regions);
      this.#anchored.set(module, found);
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
