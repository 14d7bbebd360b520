// SPDX-License-Identifier: Apache-2.0
// The side of the CPU that deals with the host's store: takes bytecode and regions of earlier runs for the code that is now
// mapped, and leaves there what this run has made.

import type { KeptPage, TranslationStore } from "../include/host/translations.ts";
import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import type { Block } from "./cache.ts";
import {
  blockKey,
  encodePage,
  isPage,
  type KeptBlock,
  type KeptCounts,
  PageBytecode,
  type WholeBlock,
} from "./interp/kept.ts";
import { gather } from "./gather.ts";
import { hotAfter, WARM_SHARE, warmthOf } from "./heat.ts";
import { PAGE_SIZE, pageOffset, pageStart } from "./layout.ts";
import type { EarlierBlocks, MappedCode } from "./mapped-code.ts";
import type { PlacedCodeHost } from "./placed-code.ts";
import { StoredRegions } from "./translate/stored.ts";
import type { Region } from "./translate/live.ts";
import type { Translator } from "./translate/translator.ts";
import { walk } from "./walk.ts";

/**
 * A page is written again when there is a good part more of it. After a run that had to lift no more blocks than this, and translated next to nothing, any page with more is, so
 * that a later run lifts none and need not load what lifts: some pages at a time, a millisecond each, for whoever waits for the run to end.
 */
const FEW_LIFTED = 256;
/** Or no more than this part of the blocks that earlier runs left: of a compiler's 170,000 each run comes by 1,400 others. */
const FEW_SHARE = 64;
const FEW_MODULES = 8;
const MORE_PAGES_MAX = 32;
/** A block that was hot asks for its region after this part of the entries that make another hot; one that was translated when it was warm waits until it is that again. */
const TRANSLATED_SHARE = 32;
/** Blocks of each module made at the end of a run that are kept as translated though nothing else is new in their pages. */
const LEADING_BLOCKS = 16;

/** What it works with and asks of the CPU. */
export interface KeptCodeHost extends PlacedCodeHost {
  readonly translator: Translator;
  readonly code: MappedCode;
  /** A frame was marked as one with code: no write translation of it may stay. */
  readonly flushTlbWrites: () => void;
}

export class KeptCode implements EarlierBlocks {
  readonly #store: TranslationStore;
  readonly #host: KeptCodeHost;
  readonly #regions: StoredRegions;
  /** By frame: kept blocks that end in the next page and wait for that to be looked at, by offset and mode as in the cache. */
  readonly #straddling = new Map<number, Map<number, KeptBlock>>();
  /** By frame: where it was mapped when the store was last asked for its page. */
  readonly #places = new Map<number, number>();
  /** Frames whose pages are written again for blocks that lead to new modules. */
  readonly #leading = new Set<number>();
  /** Blocks that came from the store. */
  loadedBlocks = 0;

  constructor(store: TranslationStore, host: KeptCodeHost) {
    this.#store = store;
    this.#host = host;
    this.#regions = new StoredRegions(store, host.ram, (frame) => {
      if (host.cache.protect(frame)) host.flushTlbWrites();
    });
  }

  /** The content of a frame has changed. */
  forget(frame: number): void {
    this.#regions.forget(frame);
    this.#straddling.delete(frame);
    this.#places.delete(frame);
    this.#leading.delete(frame);
  }

  /** All code was dropped, and no frame is watched any more. */
  forgetAll(): void {
    this.#regions.forgetAll();
    this.#straddling.clear();
    this.#places.clear();
    this.#leading.clear();
  }

  hasBlocks(frame: number): boolean {
    return this.#regions.hasBlocks(frame);
  }

  straddling(pc: number, frame: number, mode: number): KeptBlock | "not mapped" | undefined {
    const waiting = this.#straddling.get(frame);
    const key = blockKey(pageOffset(pc), mode);
    const kept = waiting?.get(key);
    if (waiting === undefined || kept === undefined) return undefined;
    const { ram } = this.#host;
    const next = walk(ram, pageStart(pc) + PAGE_SIZE, ACCESS_EXEC);
    if (next < 0 && kept.instructions === 1) return "not mapped";
    if (next < 0 || !kept.tail.every((byte, n) => ram.u8[next + n] === byte)) return undefined;
    waiting.delete(key);
    return kept;
  }

  /**
   * Takes what the store has for the page of a guest address, which lies in `frame`. `isHot`: regions are worth reading for it. Those that are new;
   * undefined when nothing at all is.
   */
  offer(pc: number, frame: number, mode: number, isHot: boolean): Region[] | undefined {
    const isFirst = !this.#regions.isLoaded(frame);
    if (isFirst) this.#loadBytecode(frame);
    const page = pageStart(pc);
    this.#places.set(frame, page);
    const found = this.#adopt(page, frame, mode, isHot);
    if (isHot) found.push(...this.#adoptOverdue(mode));
    return isFirst || found.length > 0 ? found : undefined;
  }

  /** Where a module was read for one page, others that have been looked at get their regions. */
  #adoptOverdue(mode: number): Region[] {
    return this.#regions.takeOverdue().flatMap((frame) => {
      const page = this.#places.get(frame);
      const isMapped = page !== undefined && walk(this.#host.ram, page, ACCESS_EXEC) === frame;
      return isMapped ? this.#adopt(page, frame, mode, false) : [];
    });
  }

  /** `page`: where `frame` is mapped. */
  #adopt(page: number, frame: number, mode: number, reads: boolean): Region[] {
    const { ram, cache, translator, code } = this.#host;
    const frameAt = (distance: number): number => {
      const there = walk(ram, page + distance * PAGE_SIZE, ACCESS_EXEC);
      return cache.written.isWatched(there) ? -1 : there;
    };
    const found: Region[] = [];
    for (const match of this.#regions.match(frame, mode, frameAt, reads)) {
      const anchorPc = page + match.stored.anchorOffset;
      const region = translator.adopt(
        match,
        anchorPc,
        (offset) => code.knownOrBare(anchorPc + offset),
        code.addressOf,
      );
      if (region !== undefined) found.push(region);
    }
    return found;
  }

  #loadBytecode(frame: number): void {
    const { ram, cache, flushTlbWrites } = this.#host;
    const hash = this.#regions.hashOf(frame);
    this.#regions.noteKept(frame, { blocks: 0, targets: 0 });
    const length = this.#store.bytecodeLength(hash);
    const address = length === 0 ? -1 : cache.allocate(length);
    if (address < 0 || !this.#store.readBytecode(hash, ram.u8.subarray(address, address + length))) return;
    if (!isPage(ram, address, length)) return;
    const page = new PageBytecode(ram, address);
    if (cache.addKept(frame, page)) flushTlbWrites();
    const { straddling } = page;
    if (straddling.length > 0) {
      const byKey = straddling.map((kept) => [blockKey(kept.offset, kept.mode), kept] as const);
      this.#straddling.set(frame, new Map(byKey));
    }
    this.#regions.noteKept(frame, this.#counts(frame, straddling));
    this.loadedBlocks += page.size + straddling.length;
  }

  /** Puts together what runs have made (gather.ts). The regions that are new. */
  gather(): Region[] {
    const made = gather(this.#host, {
      places: this.#places,
      isAtRest: this.loadedBlocks > 0 && this.#isAtRest(),
      noteWork: (instructions) => this.#store.noteWork?.(instructions),
    });
    const modules = new Set(made.map(({ module }) => module));
    for (const { regions } of modules) this.#leadTo(regions);
    return made;
  }

  /** Of the blocks that regions begin with, those that run most ask for them in a later run when they are warm again: until one does, nobody reads the module. */
  #leadTo(regions: readonly Region[]): void {
    const { ram, hotEntries } = this.#host;
    const heads = regions.flatMap(({ entries }) => entries).map((block) => ({
      block,
      warmth: warmthOf(ram, block, hotEntries),
    }));
    heads.sort((a, b) => b.warmth - a.warmth);
    for (const { block } of heads.slice(0, LEADING_BLOCKS)) this.#leading.add(block.frame);
  }

  /** Whether next to nothing was lifted and translated in this run. */
  #isAtRest(): boolean {
    const { code, translator } = this.#host;
    const few = Math.max(FEW_LIFTED, this.loadedBlocks / FEW_SHARE);
    return code.counters.lifted <= few && translator.counters.modules <= FEW_MODULES;
  }

  /** Leaves modules and bytecode to the store; before the end only those modules that it has not seen. */
  save(isEnd: boolean): void {
    const { ram, cache, translator, hotEntries } = this.#host;
    let more = this.#isAtRest() ? MORE_PAGES_MAX : 0;
    const hashOf = (frame: number): string | undefined =>
      cache.written.isWatched(frame) ? undefined : this.#regions.hashOf(frame);
    this.#store.save(translator.modulesToKeep(hashOf, isEnd));
    // Each run counts for itself: a block that does not become hot in one is not worth it later, and code that came bit by bit would have all
    // regions made anew run after run. A block that has a region starts lower: its region is likely to be there, and those of its module come with it.
    const entriesLeft = ({ entry = 0 }: WholeBlock, now: number, codeBytes: number): number => {
      const hot = hotAfter(hotEntries, codeBytes);
      const share = now > hot ? TRANSLATED_SHARE : entry === 0 ? 1 : WARM_SHARE;
      return Math.max(1, Math.floor(hot / share));
    };
    const pages: KeptPage[] = [];
    for (const frame of cache.frames) {
      const waiting = [...this.#straddling.get(frame)?.values() ?? []];
      const counts = this.#counts(frame, waiting);
      const news = this.#regions.newsOf(frame, counts);
      const isLeading = this.#leading.has(frame);
      if (!isLeading && (news === "none" || (news === "some" && more-- <= 0))) continue;
      const blocks = cache.allIn(frame);
      const whole = blocks.filter(({ secondFrame }) => secondFrame < 0);
      const straddling = blocks.filter(({ secondFrame }) => secondFrame >= 0).map((block) =>
        this.#keep(block)
      );
      const bytes = encodePage(ram, whole, [...straddling, ...waiting], entriesLeft);
      pages.push({ hash: this.#regions.hashOf(frame), bytes });
      this.#regions.noteKept(frame, counts);
    }
    this.#store.saveBytecode(pages);
  }

  /** One that ends in the next page. */
  #keep(block: Block): KeptBlock {
    const { secondFrame, tailBytes } = block;
    return { ...block, tail: this.#host.ram.u8.subarray(secondFrame, secondFrame + tailBytes) };
  }

  /** `waiting`: blocks of the frame that no content of the next page has been found for. */
  #counts(frame: number, waiting: readonly KeptBlock[]): KeptCounts {
    const { cache } = this.#host;
    const kept = cache.keptIn(frame);
    let blocks = waiting.length;
    let targets = waiting.reduce((sum, { isTarget }) => sum + (isTarget ? 1 : 0), 0);
    if (kept !== undefined) {
      blocks += kept.size;
      targets += kept.targets;
    }
    for (const block of cache.blocksIn(frame)) {
      if (block.record === 0) continue;
      const wasTarget = kept?.isTarget(blockKey(block.offset, block.mode));
      if (wasTarget === undefined) blocks++;
      if (block.isTarget && wasTarget !== true) targets++;
    }
    return { blocks, targets };
  }
}
