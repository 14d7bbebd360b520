// SPDX-License-Identifier: Apache-2.0
// The side of the CPU that deals with the host's store: takes bytecode and regions of earlier runs for the code that is now
// mapped, and leaves there what this run has made.

import type { KeptPage, TranslationStore } from "../include/host/translations.ts";
import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import { type Block, type CodeCache, newBlock } from "./cache.ts";
import { HEADER_BYTES } from "./interp/bytecode.ts";
import { linkBlock } from "./interp/links.ts";
import { arenaBytesOf, decodePage, encodePage } from "./interp/kept.ts";
import { PAGE_SIZE } from "./layout.ts";
import { StoredRegions } from "./translate/stored.ts";
import type { Region, Translator } from "./translate/translator.ts";
import { walk } from "./walk.ts";

/** What it works with and asks of the CPU. */
export interface KeptCodeHost {
  readonly ram: Ram;
  readonly cache: CodeCache;
  readonly translator: Translator;
  readonly hotEntries: number;
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
  }

  /** All code was dropped, and no frame is watched any more. */
  forgetAll(): void {
    this.#regions.forgetAll();
  }

  /** Takes what the store has for the page of a guest address, which lies in `frame`. The regions that are new. */
  offer(pc: number, frame: number, mode: number): Region[] {
    const { ram, translator, blockAt, frameOf } = this.#host;
    if (!this.#regions.isKnown(frame)) this.#loadBytecode(frame);
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
    if (bytes === undefined) return;
    const address = cache.allocate(arenaBytesOf(bytes));
    if (address < 0) return;
    const blocks: Block[] = [];
    decodePage(ram, bytes, address, (kept) => {
      const number = cache.nextNumber;
      ram.u32[((kept.record - HEADER_BYTES) >>> 2) + 1] = number;
      const block = newBlock(number, frame, kept.offset, kept.mode);
      block.record = kept.record;
      block.end = kept.end;
      block.terminator = kept.terminator;
      block.instructions = kept.instructions;
      if (cache.add(block, cache.arenaEnd)) flushTlbWrites();
      blocks.push(block);
    });
    for (const block of blocks) linkBlock(ram, cache, block);
    this.#regions.noteBlocks(frame, blocks.length);
    this.loadedBlocks += blocks.length;
  }

  /** Leaves modules and bytecode to the store. */
  save(): void {
    const { ram, cache, translator, hotEntries } = this.#host;
    this.#store.save(translator.modulesToKeep((frame) => this.#regions.hashOf(frame)));
    // A block that was translated starts lower: its region is likely to be there.
    const entriesLeft = (now: number): number => (now > hotEntries ? hotEntries >> 2 : Math.max(now, 1));
    const pages: KeptPage[] = [];
    for (const [frame, all] of cache.pages()) {
      const blocks = all.filter((block) => block.record !== 0 && block.secondFrame < 0);
      if (!this.#regions.hasNews(frame, blocks.length)) continue;
      pages.push({ hash: this.#regions.hashOf(frame), bytes: encodePage(ram, blocks, entriesLeft) });
    }
    this.#store.saveBytecode(pages);
  }
}
