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
} from "./interp/kept.ts";
import { hotAfter, WARM_SHARE, warmthOf } from "./heat.ts";
import { PAGE_SIZE, pageOffset, pageStart } from "./layout.ts";
import type { EarlierBlocks, MappedCode } from "./mapped-code.ts";
import { neighbourhoods, PlacedCode, type PlacedCodeHost } from "./placed-code.ts";
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
/**
 * So much of what is warm is translated at the end of a run, with about as much beside it: engines take some 80 us of a processor for an instruction. A
 * compiler has 100,000, for which its second run waits seven seconds more where there are two.
 */
const WARM_INSTRUCTIONS_MAX = 120_000;
/** A block that was translated asks for its region after this part of the entries that make another hot. */
const TRANSLATED_SHARE = 32;

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
  }

  /** All code was dropped, and no frame is watched any more. */
  forgetAll(): void {
    this.#regions.forgetAll();
    this.#straddling.clear();
    this.#places.clear();
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
    const { ram, translator, code } = this.#host;
    const frameAt = (distance: number): number => walk(ram, page + distance * PAGE_SIZE, ACCESS_EXEC);
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

  /**
   * Puts regions together that have proved useful a second time, and what is new beside them. What runs lay scattered over as many pages of the engine's
   * memory as there were modules. Those of a program and of the libraries it uses stay apart, since other programs use the libraries too. With them what was not hot but warm:
   * nobody waits for it now, and it costs the later runs little to have regions that lie beside others. The regions that are new.
   */
  gather(): Region[] {
    const { loose, live } = this.#host.translator;
    return [...new Set(loose.map(({ facts }) => facts.mode))].flatMap((mode) => {
      const code = new PlacedCode(this.#host, mode);
      const anchors = new Map<Region, number>();
      for (const region of [...loose, ...live]) {
        if (region.facts.mode === mode && !anchors.has(region)) anchors.set(region, code.place(region));
      }
      const takesWarm = neighbourhoods([...anchors]).some((together) =>
        isFresh(together.map(([region]) => region))
      );
      const warm = takesWarm ? this.#findWarm(code, mode, anchors).map((pc) => [pc, pc] as const) : [];
      return neighbourhoods<Region | number>([...anchors, ...warm]).flatMap((together) =>
        this.#gather(code, together)
      );
    });
  }

  /** Guest addresses in `code` of blocks that ran often and are in none of the regions, in order: of too many, those that ran most. */
  #findWarm(code: PlacedCode, mode: number, anchors: ReadonlyMap<Region, number>): number[] {
    const { ram, cache, hotEntries } = this.#host;
    const covered = new Set<number>();
    for (const [{ offsets }, anchorPc] of anchors) {
      for (const offset of offsets) covered.add(anchorPc + offset);
    }
    const found: { readonly pc: number; readonly block: Block; readonly warmth: number }[] = [];
    for (const [frame, address] of this.#places) {
      const page = code.placePage(frame, address);
      if (page === undefined) continue;
      for (const block of cache.allIn(frame)) {
        const pc = page + block.offset;
        if (block.mode !== mode || block.entry !== 0 || block.isDead || covered.has(pc)) continue;
        const warmth = warmthOf(ram, block, hotEntries);
        if (warmth * WARM_SHARE >= hotEntries) found.push({ pc, block, warmth });
      }
    }
    let room = WARM_INSTRUCTIONS_MAX;
    found.sort((a, b) => b.warmth - a.warmth);
    return found.filter(({ block }) => (room -= block.instructions) >= 0).map(({ pc }) => pc).sort((a, b) =>
      a - b
    );
  }

  /** `together`: regions with the addresses of their anchors in `code`, and addresses of warm blocks there, for one module. */
  #gather(code: PlacedCode, together: readonly (readonly [Region | number, number])[]): Region[] {
    const anchors = new Map<Region, number>();
    const found: number[] = [];
    for (const [what, at] of together) {
      if (typeof what === "number") found.push(at);
      else anchors.set(what, at);
    }
    const warm = isFresh([...anchors.keys()]) ? found : [];
    const regions = [...anchors.keys()].filter(({ module }) => !module.isSettled);
    if (regions.length === 0) return [];
    this.#noteWork(regions, code, warm);
    return this.#host.translator.gather(
      code,
      { regions, anchorOf: (region) => anchors.get(region)!, warm },
      (pc) => code.addressOf(pc),
    );
  }

  #noteWork(regions: Iterable<Region>, code: PlacedCode, warm: readonly number[]): void {
    let instructions = 0;
    for (const region of regions) instructions += region.instructions;
    for (const pc of warm) instructions += code.known(pc)?.instructions ?? 0;
    this.#store.noteWork?.(instructions);
  }

  /** Leaves modules and bytecode to the store; before the end only those modules that it has not seen. */
  save(isEnd: boolean): void {
    const { ram, cache, code, translator, hotEntries } = this.#host;
    this.#store.save(translator.modulesToKeep((frame) => this.#regions.hashOf(frame), isEnd));
    // Each run counts for itself: a block that does not become hot in one is not worth it later, and code that came bit by bit would have all
    // regions made anew run after run. A block that was translated starts lower: its region is likely to be there, and those of its module come with it.
    const entriesLeft = (now: number, codeBytes: number): number => {
      const hot = hotAfter(hotEntries, codeBytes);
      return now > hot ? Math.max(1, Math.floor(hot / TRANSLATED_SHARE)) : hot;
    };
    const few = Math.max(FEW_LIFTED, this.loadedBlocks / FEW_SHARE);
    let more = code.counters.lifted <= few && translator.counters.modules <= FEW_MODULES
      ? MORE_PAGES_MAX
      : 0;
    const pages: KeptPage[] = [];
    for (const frame of cache.frames) {
      const waiting = [...this.#straddling.get(frame)?.values() ?? []];
      const counts = this.#counts(frame, waiting);
      const news = this.#regions.newsOf(frame, counts);
      if (news === "none" || (news === "some" && more-- <= 0)) continue;
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

/** Whether most regions are not settled. Where most were put together before, that was done with what was warm then, and the rest is not worth a module of its own. */
function isFresh(regions: readonly Region[]): boolean {
  const settled = regions.filter(({ module }) => module.isSettled).length;
  return settled * 2 <= regions.length;
}
