// SPDX-License-Identifier: Apache-2.0
// The side of the CPU that deals with the host's store: takes bytecode and regions of earlier runs for the code that is now
// mapped, and leaves there what this run has made.

import type { KeptPage, TranslationStore } from "../include/host/translations.ts";
import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import { type Block, blockKey, newBlock, setBytecode } from "./cache.ts";
import { HEADER_BYTES } from "./interp/bytecode.ts";
import { linkBlock } from "./interp/links.ts";
import { arenaBytesOf, decodePage, encodePage, type KeptBlock, NO_TAIL } from "./interp/kept.ts";
import { PAGE_SIZE } from "./layout.ts";
import { PlacedCode, type PlacedCodeHost } from "./placed-code.ts";
import { type KeptCounts, StoredRegions } from "./translate/stored.ts";
import type { Region } from "./translate/live.ts";
import type { Translator } from "./translate/translator.ts";
import { walk } from "./walk.ts";

/** What it works with and asks of the CPU. */
export interface KeptCodeHost extends PlacedCodeHost {
  readonly translator: Translator;
  /** The block at a mapped guest address, made when it is not known. */
  readonly blockAt: (pc: number) => Block;
  /** Host address of the code at a guest address, or -1. */
  readonly frameOf: (pc: number) => number;
  /** A frame was marked as one with code: no write translation of it may stay. */
  readonly flushTlbWrites: () => void;
}

export class KeptCode {
  readonly #store: TranslationStore;
  readonly #host: KeptCodeHost;
  readonly #regions: StoredRegions;
  /** By frame: kept blocks that end in the next page and wait for that to be looked at, by offset and mode as in the cache. */
  readonly #straddling = new Map<number, Map<number, KeptBlock>>();
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
  }

  /** All code was dropped, and no frame is watched any more. */
  forgetAll(): void {
    this.#regions.forgetAll();
    this.#straddling.clear();
  }

  /** The kept block at a guest address in `frame` that ends in the next page, when that page has the bytes it was made from. */
  straddling(pc: number, frame: number, mode: number): KeptBlock | undefined {
    const waiting = this.#straddling.get(frame);
    const key = blockKey(pc % PAGE_SIZE, mode);
    const kept = waiting?.get(key);
    if (waiting === undefined || kept === undefined) return undefined;
    const { ram } = this.#host;
    const next = walk(ram, pc - (pc % PAGE_SIZE) + PAGE_SIZE, ACCESS_EXEC);
    if (next < 0 || !kept.tail.every((byte, n) => ram.u8[next + n] === byte)) return undefined;
    waiting.delete(key);
    return kept;
  }

  /** Takes what the store has for the page of a guest address, which lies in `frame`. The regions that are new. */
  offer(pc: number, frame: number, mode: number): Region[] {
    const { ram, translator, blockAt, frameOf } = this.#host;
    if (!this.#regions.isLoaded(frame)) this.#loadBytecode(frame);
    const page = pc - (pc % PAGE_SIZE);
    const frameAt = (distance: number): number => walk(ram, page + distance * PAGE_SIZE, ACCESS_EXEC);
    const found: Region[] = [];
    for (const match of this.#regions.match(frame, mode, frameAt)) {
      const anchorPc = page + match.stored.anchorOffset;
      const region = translator.adopt(match, anchorPc, (offset) => blockAt(anchorPc + offset), frameOf);
      if (region !== undefined) found.push(region);
    }
    return found;
  }

  #loadBytecode(frame: number): void {
    const { ram, cache, flushTlbWrites } = this.#host;
    const bytes = this.#regions.bytecodeOf(frame);
    this.#regions.noteKept(frame, { blocks: 0, targets: 0 });
    if (bytes === undefined) return;
    const address = cache.allocate(arenaBytesOf(bytes));
    if (address < 0) return;
    const blocks: Block[] = [];
    const straddling = new Map<number, KeptBlock>();
    decodePage(ram, bytes, address, (kept) => {
      if (kept.tail.length > 0) {
        straddling.set(blockKey(kept.offset, kept.mode), kept);
        return;
      }
      // It may be known without bytecode, as an entry of a region.
      const block = cache.find(frame, kept.offset, kept.mode)
        ?? newBlock(cache.nextNumber, frame, kept.offset, kept.mode);
      if (block.record !== 0) return;
      ram.u32[((kept.record - HEADER_BYTES) >>> 2) + 1] = block.number;
      setBytecode(block, kept);
      block.isTarget = kept.isTarget;
      if (cache.add(block, cache.arenaEnd)) flushTlbWrites();
      blocks.push(block);
    });
    for (const block of blocks) linkBlock(ram, cache, block);
    if (straddling.size > 0) this.#straddling.set(frame, straddling);
    const counts = countsOf([...blocks, ...straddling.values()]);
    this.#regions.noteKept(frame, counts);
    this.loadedBlocks += counts.blocks;
  }

  /**
   * Puts regions together that have proved useful a second time, and what is new beside them. What runs lay scattered over as many pages of the engine's
   * memory as there were modules. The regions that are new.
   */
  gather(): Region[] {
    const { translator } = this.#host;
    const { loose } = translator;
    return [...new Set(loose.map(({ facts }) => facts.mode))].flatMap((mode) => {
      const regions = loose.filter(({ facts }) => facts.mode === mode);
      const code = new PlacedCode(this.#host, mode);
      const anchors = new Map(regions.map((region) => [region, code.place(region)]));
      return translator.gather(code, regions, (region) => anchors.get(region)!, (pc) => code.addressOf(pc));
    });
  }

  /** Leaves modules and bytecode to the store. */
  save(): void {
    const { ram, cache, translator, hotEntries } = this.#host;
    this.#store.save(translator.modulesToKeep((frame) => this.#regions.hashOf(frame)));
    // A block that was translated starts lower: its region is likely to be there.
    const entriesLeft = (now: number): number => (now > hotEntries ? hotEntries >> 2 : Math.max(now, 1));
    const pages: KeptPage[] = [];
    for (const [frame, all] of cache.pages()) {
      const known = all.filter(({ record }) => record !== 0);
      const waiting = [...this.#straddling.get(frame)?.values() ?? []];
      if (!this.#regions.hasNews(frame, countsOf([...known, ...waiting]))) continue;
      const blocks = [...known.map((block) => this.#keep(block)), ...waiting];
      pages.push({ hash: this.#regions.hashOf(frame), bytes: encodePage(ram, blocks, entriesLeft) });
    }
    this.#store.saveBytecode(pages);
  }

  #keep(block: Block): KeptBlock {
    const { secondFrame, tailBytes } = block;
    const tail = secondFrame < 0 ? NO_TAIL : this.#host.ram.u8.subarray(secondFrame, secondFrame + tailBytes);
    return { ...block, tail };
  }
}

function countsOf(blocks: readonly Pick<Block, "isTarget">[]): KeptCounts {
  return {
    blocks: blocks.length,
    targets: blocks.reduce((sum, { isTarget }) => sum + (isTarget ? 1 : 0), 0),
  };
}
