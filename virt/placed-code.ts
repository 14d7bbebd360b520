// SPDX-License-Identifier: Apache-2.0
// Guest code without a process: the pages that regions were made from, side by side as they were mapped, for making
// regions anew when nothing runs any more.
//
// Invariants: a page has one frame. Regions that share a frame lie in it at the same address, so that what one of them
// calls is found in another whichever process each was met in. Side by side may lie pages of programs that ran one after the other at the same
// addresses: an instruction that goes on in the next page is taken only where that is the one it went on in.

import type { Ram } from "../lib/ram.ts";
import { type Block, type CodeCache, newBlock, setTail } from "./cache.ts";
import type { Fetch } from "./frontend.ts";
import { warmthOf } from "./heat.ts";
import { notedTargets } from "./interp/links.ts";
import { PAGE_SIZE, pageOffset } from "./layout.ts";
import type { MappedCode } from "./mapped-code.ts";
import type { IrBlock } from "./translate/ir-block.ts";
import type { Region } from "./translate/live.ts";
import type { BlockSource, TakenBlock } from "./translate/region.ts";

/** Where pages go that lie where other code does: the number of the first, and how far apart regions are put. */
const APART = 2 ** 36;
const APART_STEP = 2 ** 16;

/** A block of this part of the entries of a hot one belongs to what is around it: nobody waits for its translation. */
const FAIR_SHARE = 128;

export interface PlacedCodeHost {
  readonly ram: Ram;
  readonly cache: CodeCache;
  readonly hotEntries: number;
  readonly code: Pick<MappedCode, "liftFrom">;
}

type Pages = Region["pages"];

/** What lies further apart is likely to be of different files: of the code of one that is worth translating, parts lie less far from each other. */
const FILE_APART = 2 ** 20;

/** Places that belong together by their addresses, each group in the order given. */
export function neighbourhoods<T>(places: readonly (readonly [T, number])[]): (readonly [T, number])[][] {
  const starts: number[] = [];
  let last = -Infinity;
  for (const address of places.map(([, at]) => at).sort((a, b) => a - b)) {
    if (address - last > FILE_APART) starts.push(address);
    last = address;
  }
  const groups = starts.map((): (readonly [T, number])[] => []);
  for (const place of places) groups[starts.findLastIndex((start) => start <= place[1])]!.push(place);
  return groups;
}

export class PlacedCode implements BlockSource, Fetch {
  readonly #host: PlacedCodeHost;
  readonly #mode: number;
  /** By number of the page, and back. */
  readonly #frames = new Map<number, number>();
  readonly #places = new Map<number, number>();
  #apart = APART;

  constructor(host: PlacedCodeHost, mode: number) {
    this.#host = host;
    this.#mode = mode;
  }

  /** Maps the pages of a region. The address of its anchor. */
  place({ anchorPc, pages }: Region): number {
    const offset = pageOffset(anchorPc);
    const page = this.#findPlace((anchorPc - offset) / PAGE_SIZE, pages);
    for (const { distance, frame } of pages) {
      this.#frames.set(page + distance, frame);
      if (!this.#places.has(frame)) this.#places.set(frame, page + distance);
    }
    return page * PAGE_SIZE + offset;
  }

  /** Maps a page at an address that it had; where it is then, or undefined when other code is there. */
  placePage(frame: number, address: number): number | undefined {
    const page = this.#places.get(frame) ?? address / PAGE_SIZE;
    if ((this.#frames.get(page) ?? frame) !== frame) return undefined;
    this.#frames.set(page, frame);
    this.#places.set(frame, page);
    return page * PAGE_SIZE;
  }

  /** For the page of the anchor: beside what is there of the same code, else where it was, else apart from everything. */
  #findPlace(was: number, pages: Pages): number {
    const known = pages.map(({ distance, frame }) => (this.#places.get(frame) ?? NaN) - distance);
    const place = [...known, was].find((page) => !Number.isNaN(page) && this.#isFree(page, pages));
    if (place !== undefined) return place;
    this.#apart += APART_STEP;
    return this.#apart;
  }

  #isFree(page: number, pages: Pages): boolean {
    return pages.every(({ distance, frame }) => (this.#frames.get(page + distance) ?? frame) === frame);
  }

  byte(pc: number): number {
    const address = this.addressOf(pc);
    return address < 0 ? -1 : this.#host.ram.u8[address]!;
  }

  /** Host address of the code at an address, or -1. */
  addressOf(pc: number): number {
    const frame = this.#frames.get(Math.floor(pc / PAGE_SIZE));
    return frame === undefined ? -1 : frame + pageOffset(pc);
  }

  known(pc: number): Block | undefined {
    const address = this.addressOf(pc);
    if (address < 0) return undefined;
    const offset = pageOffset(address);
    const block = this.#host.cache.find(address - offset, offset, this.#mode);
    return block?.isDead === false ? block : undefined;
  }

  heat(pc: number): number {
    const block = this.known(pc);
    const { ram, hotEntries } = this.#host;
    const warmth = block === undefined ? -1 : warmthOf(ram, block, hotEntries);
    return warmth * FAIR_SHARE >= hotEntries ? warmth : -1;
  }

  cut(pc: number, endPc: number): IrBlock | undefined {
    return this.#host.code.liftFrom(this, pc, this.#mode, endPc)?.ir;
  }

  /** That it has run can no longer be told. */
  takeCallee(pc: number): TakenBlock | undefined {
    return this.take(pc);
  }

  take(pc: number): TakenBlock | undefined {
    const { cache, code } = this.#host;
    const address = this.addressOf(pc);
    const lifted = address < 0 ? undefined : code.liftFrom(this, pc, this.#mode);
    if (lifted === undefined) return undefined;
    const offset = pageOffset(address);
    const nextFrame = (): number => this.addressOf(pc - offset + PAGE_SIZE);
    let block = this.known(pc);
    if (block === undefined || block.record === 0) {
      block ??= newBlock(address - offset, offset, this.#mode);
      setTail(block, lifted.bytes, nextFrame);
      cache.add(block, cache.arenaEnd);
    } else if (offset + lifted.bytes > PAGE_SIZE && block.secondFrame !== nextFrame()) {
      return undefined;
    }
    return { block, ir: lifted.ir, targets: notedTargets(this.#host.ram, block, lifted.ir) };
  }
}
