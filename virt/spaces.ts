// SPDX-License-Identifier: Apache-2.0
// Which code addresses of which address space may be looked up: tags, and the two caches keyed by them.
//
// A key is the guest address xor (tag << 48), so entries of all spaces live side by side; addresses are below
// 2^47, and a lookup checks that first. A tag belongs to one address space and one mode. When the mapping of a
// page with code changes, the space gets new tags and its old entries can never match again.

import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import type { Block, CodeCache } from "./cache.ts";
import type { LiveTags } from "./entered.ts";
import { CPU_BASE, CPU_STATE, JUMP_CACHE, PAGE_SIZE, pageStart } from "./layout.ts";
import { jumpCacheIndex, OTHER_PLACES } from "./runtime/inline.ts";
import { FAR_KEY, LINK_KEY, SLOW_CACHE, SLOW_CACHE_ENTRIES } from "./runtime/status.ts";
import { DATA_ALIGNMENT } from "./translate/data.ts";
import type { Region } from "./translate/live.ts";
import { walk } from "./walk.ts";

/** Neither 0, which empty places have, nor all ones, which a link has that leads nowhere. */
const TAGS_MAX = 0xfffe;
const FAR_KEY_MAX = 0xffff_ffff;
const NO_FAR_KEY = 2;
const PLACES = 1 + OTHER_PLACES.length;
const TAG_WORD = (CPU_BASE + CPU_STATE.addressSpaceTag) >>> 2;

interface Space {
  readonly root: number;
  /** By mode; 0: none yet. */
  readonly tags: [number, number, number];
  /** Virtual pages with entries under these tags. */
  readonly codePages: Set<number>;
  /** Those of which all that is known was entered: times 4, and the mode. */
  readonly knownPages: Set<number>;
}

function newSpace(root: number): Space {
  return { root, tags: [0, 0, 0], codePages: new Set(), knownPages: new Set() };
}

export class AddressSpaces {
  readonly #ram: Ram;
  readonly #cache: CodeCache;
  readonly #spaces = new Map<number, Space>();
  #space: Space = newSpace(0);
  readonly #isLive: LiveTags;
  /** Takes what #bringNear reads, so that an engine does not leave it out. */
  readonly #near = new Int32Array(1);
  #mmId = -1;
  #mode = 0;
  #lastTag = 0;
  /** The low half of LINK_KEY. */
  #linkCount = 0;
  /** By tag: its FAR_KEY, and the count that this stands for; -1 for none. */
  readonly #farKeys = new Uint32Array(TAGS_MAX + 1);
  readonly #farCounts = new Int32Array(TAGS_MAX + 1);
  #lastFarKey = 1;

  constructor(ram: Ram, cache: CodeCache) {
    this.#ram = ram;
    this.#cache = cache;
    this.#isLive = cache.liveTags;
  }

  isCurrent(root: number, mmId: number): boolean {
    return mmId === this.#mmId && root === this.#space.root;
  }

  /** Another root under a known number is another space. */
  switchTo(root: number, mmId: number): void {
    this.#mmId = mmId;
    let space = this.#spaces.get(mmId);
    if (space === undefined || space.root !== root) {
      space = newSpace(root);
      this.#spaces.set(mmId, space);
    }
    this.#space = space;
    this.#ram.u32[(CPU_BASE + CPU_STATE.pageTableRoot) >>> 2] = root;
    this.#setTag();
  }

  /** A space is gone. */
  end(mmId: number): void {
    const space = this.#spaces.get(mmId);
    if (space === undefined) return;
    for (const tag of space.tags) this.#isLive[tag] = 0;
    this.#spaces.delete(mmId);
    if (space === this.#space) this.renew(); // until there is another
  }

  setMode(mode: number): void {
    this.#mode = mode;
    this.#setTag();
  }

  /** Entries of the current space are void. */
  renew(): void {
    for (const tag of this.#space.tags) this.#isLive[tag] = 0;
    this.#space.tags.fill(0);
    this.#space.codePages.clear();
    this.#space.knownPages.clear();
    this.#setTag();
  }

  /** The mapping of pages [first, last) changed. */
  flushPages(first: number, last: number): void {
    const pages = this.#space.codePages;
    if (last - first < pages.size) {
      for (let page = first; page < last; page++) {
        if (pages.has(page)) return this.renew();
      }
      return;
    }
    for (const page of pages) {
      if (page >= first && page < last) return this.renew();
    }
  }

  /** Jumps to `pc` find the region that the block is an entry of. False when it is none, or not all mapped. */
  enterRegion(pc: number, block: Block): boolean {
    const { home, entry } = block;
    if (entry === 0 || home === undefined || !this.#isMapped(home.region, pc - home.offset)) return false;
    this.#enter(pc, block, indexOf(home.region, entry), entry);
    return true;
  }

  /** Whether jumps to `pc` find bytecode. */
  findsBytecode(pc: number): boolean {
    const place = this.#find(this.#firstPlace(pc), pc);
    return place >= 0 && this.#ram.i32[place + 2] === 0;
  }

  /** Jumps to `pc` find the block's bytecode. */
  enterBlock(pc: number, block: Block): void {
    block.isEntered = true;
    this.#enter(pc, block, 0, block.record);
  }

  /**
   * The other known code of the page of `pc`, which lies in `frame`, as far as there is room for it: what ran there before is likely to run
   * again. Once for each page that a space comes to.
   */
  enterAround(pc: number, frame: number): void {
    const { knownPages } = this.#space;
    const page = pageStart(pc);
    const key = (page / PAGE_SIZE) * 4 + this.#mode;
    if (knownPages.has(key)) return;
    knownPages.add(key);
    const lo = page | 0;
    const hi = Math.floor(page / 0x1_0000_0000) ^ this.#ram.i32[TAG_WORD + 1]!;
    const targets = this.#cache.targetsIn(frame, this.#mode);
    if (targets === undefined) return;
    this.#noteEntered(frame, page / PAGE_SIZE);
    for (const { region, distance, entries } of targets.regions) {
      if (region.isDead || !this.#isMapped(region, page - distance)) continue;
      for (let n = 0; n < entries.length; n += 2) {
        const entry = entries[n + 1]!;
        this.#enterIfFree(lo + entries[n]!, hi, indexOf(region, entry), entry);
      }
    }
    const { records } = targets;
    this.#bringNear(lo, records);
    for (let n = 0; n < records.length; n += 2) this.#enterIfFree(lo + records[n]!, hi, 0, records[n + 1]!);
  }

  /** Reads the places that are looked at next. They lie all over the jump cache, and loads that nothing depends on are waited for together. */
  #bringNear(lo: number, records: readonly number[]): void {
    const i32 = this.#ram.i32;
    const tag = i32[TAG_WORD + 1]!;
    let all = 0;
    for (let n = 0; n < records.length; n += 2) {
      all |= i32[(JUMP_CACHE >>> 2) + jumpCacheIndex(lo + records[n]!, tag) * 4]!;
    }
    this.#near[0] = all;
  }

  /** Enters what is not there and finds a free place. `lo` and `hi`: the key, as it lies in the jump cache; many are entered at a time. */
  #enterIfFree(lo: number, hi: number, tableIndex: number, entry: number): void {
    const i32 = this.#ram.i32;
    const first = (JUMP_CACHE >>> 2) + jumpCacheIndex(lo, i32[TAG_WORD + 1]!) * 4;
    let free = -1;
    for (let n = 0; n < PLACES * 4; n += 4) {
      const place = first ^ n;
      const other = i32[place + 1]!;
      if (other === hi && i32[place] === lo) return;
      if (free < 0 && this.#isLive[other >>> 16] === 0) free = place;
    }
    if (free < 0) return;
    i32[free] = lo;
    i32[free + 1] = hi;
    i32[free + 2] = tableIndex;
    i32[free + 3] = entry;
  }

  #enter(pc: number, block: Block, tableIndex: number, entry: number): void {
    this.#noteCodePages(pc, block);
    this.#noteEntered(block.frame, Math.floor(pc / PAGE_SIZE));
    const first = this.#firstPlace(pc);
    const known = this.#find(first, pc);
    if (known < 0) this.#makeRoom(first);
    this.#write(known < 0 ? first : known, pc, tableIndex, entry);
  }

  /** Index in i32 of the first place of a pc in the jump cache, as all that follow. */
  #firstPlace(pc: number): number {
    return (JUMP_CACHE >>> 2) + jumpCacheIndex(pc | 0, this.#ram.i32[TAG_WORD + 1]!) * 4;
  }

  /** The place where a pc is, or -1. */
  #find(first: number, pc: number): number {
    const i32 = this.#ram.i32;
    const lo = pc | 0;
    const hi = Math.floor(pc / 0x1_0000_0000) ^ i32[TAG_WORD + 1]!;
    for (let n = 0; n < PLACES; n++) {
      const place = first ^ (n * 4);
      if (i32[place] === lo && i32[place + 1] === hi) return place;
    }
    return -1;
  }

  /** A place with nothing that could be looked for, or -1. */
  #findFree(first: number): number {
    const i32 = this.#ram.i32;
    for (let n = 0; n < PLACES; n++) {
      const place = first ^ (n * 4);
      if (this.#isLive[i32[place + 1]! >>> 16] === 0) return place;
    }
    return -1;
  }

  /** What is in a first place moves to another that is free, or else to any of them. */
  #makeRoom(first: number): void {
    const i32 = this.#ram.i32;
    const free = this.#findFree(first);
    if (free === first) return;
    const other = free >= 0 ? free : first ^ ((1 + ((i32[first]! >>> 0) % (PLACES - 1))) * 4);
    i32.copyWithin(other, first, first + 4);
  }

  #write(place: number, pc: number, tableIndex: number, entry: number): void {
    const i32 = this.#ram.i32;
    i32[place] = pc | 0;
    i32[place + 1] = Math.floor(pc / 0x1_0000_0000) ^ i32[TAG_WORD + 1]!;
    i32[place + 2] = tableIndex;
    i32[place + 3] = entry;
  }

  /** What a region leaves to the interpreter at `pc` finds the block. */
  enterSlow(pc: number, block: Block): void {
    this.#noteCodePages(pc, block);
    const i32 = this.#ram.i32;
    const place = jumpCacheIndex(pc | 0, i32[TAG_WORD + 1]!) & (SLOW_CACHE_ENTRIES - 1);
    const at = (SLOW_CACHE >>> 2) + place * 4;
    i32[at] = pc | 0;
    i32[at + 1] = Math.floor(pc / 0x1_0000_0000) ^ i32[TAG_WORD + 1]!;
    i32[at + 2] = block.record;
  }

  #noteEntered(frame: number, page: number): void {
    this.#cache.noteEntered(frame, page, this.#ram.u32[TAG_WORD + 1]! >>> 16);
  }

  #noteCodePages(pc: number, block: Block): void {
    const page = Math.floor(pc / PAGE_SIZE);
    this.#space.codePages.add(page);
    if (block.secondFrame >= 0) this.#space.codePages.add(page + 1);
  }

  /** True when all pages of the region are mapped as they were when it was made. Notes them as code. */
  #isMapped(region: Region, anchorPc: number): boolean {
    const anchorPage = Math.floor(anchorPc / PAGE_SIZE);
    for (const { distance, frame } of region.pages) {
      const page = anchorPage + distance;
      if (walk(this.#ram, page * PAGE_SIZE, ACCESS_EXEC) !== frame) return false;
      this.#space.codePages.add(page);
    }
    return true;
  }

  /** Links between regions are void: some region is new or gone. */
  breakLinks(): void {
    this.#linkCount = (this.#linkCount + 1) & 0x7fff_ffff;
    this.#setTag();
  }

  /** Makes the tag of the current space and mode current. */
  #setTag(): void {
    const { tags } = this.#space;
    if (tags[this.#mode] === 0) {
      if (this.#lastTag === TAGS_MAX) this.#forgetTags();
      tags[this.#mode] = ++this.#lastTag;
      this.#isLive[this.#lastTag] = 1;
      this.#farCounts[this.#lastTag] = -1;
    }
    this.#ram.i32[TAG_WORD] = 0;
    const number = tags[this.#mode] ?? 0;
    const tag = number << 16;
    this.#ram.i32[TAG_WORD + 1] = tag;
    this.#ram.i32[LINK_KEY >>> 2] = this.#linkCount;
    this.#ram.i32[(LINK_KEY >>> 2) + 1] = tag;
    this.#ram.u32[FAR_KEY >>> 2] = this.#farKeyOf(number);
  }

  /** Of a tag, while nothing changes. */
  #farKeyOf(tag: number): number {
    if (this.#farCounts[tag] !== this.#linkCount) {
      this.#farCounts[tag] = this.#linkCount;
      this.#farKeys[tag] = this.#lastFarKey < FAR_KEY_MAX ? this.#lastFarKey += 2 : NO_FAR_KEY;
    }
    return this.#farKeys[tag]!;
  }

  #forgetTags(): void {
    this.#lastTag = 0;
    this.#isLive.fill(0);
    this.#cache.clearJumpCache();
    this.#spaces.clear();
    this.#spaces.set(this.#mmId, this.#space);
    this.#space.tags.fill(0);
  }
}

/** The function of a region for an entry. */
function indexOf({ firstIndex, tableIndex }: Region, entry: number): number {
  return entry % DATA_ALIGNMENT === 0 ? firstIndex : tableIndex;
}
