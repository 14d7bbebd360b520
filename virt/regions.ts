// SPDX-License-Identifier: Apache-2.0
// Which regions there are: made from blocks that became hot, taken from the store, or made again when their shared checks
// did not pay.
//
// Invariants: hot blocks that wait are those of the current address space. After regions have come or gone, no link leads past an entry
// of one, and the jump cache has nothing that is gone.

import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import type { Block, CodeCache } from "./cache.ts";
import { COUNT_BYTES, countOn, HOT_AGAIN, HOT_IN_VAIN } from "./heat.ts";
import type { KeptCode } from "./kept-code.ts";
import { PAGE_SIZE } from "./layout.ts";
import type { MappedCode } from "./mapped-code.ts";
import { LAST_ANCHOR, LAST_DATA, stateAddress } from "./runtime/status.ts";
import type { AddressSpaces } from "./spaces.ts";
import type { Region } from "./translate/live.ts";
import { SLOW_EXITS, type Translator } from "./translate/translator.ts";
import { walk } from "./walk.ts";

/** Slow exits of a region are rare when so many instructions lie between two looks. */
const SLOW_RARE = 20_000_000;
/** Modules after which hot blocks wait twice as long, three times, and so on. */
const PATIENT_MODULES = 16;
/** Instructions that a hot block waits for others at most. */
const WAIT_MAX = 150_000;

const PC: number = stateAddress("pc");

/** Where the anchor of a block's region lies, by far mostly: in pages from its own. */
const ANCHOR_PAGES = [0, -1, 1] as const;

export interface RegionsHost {
  readonly ram: Ram;
  readonly cache: CodeCache;
  readonly spaces: AddressSpaces;
  readonly code: MappedCode;
  readonly translator: Translator;
  readonly kept: KeptCode | undefined;
  /** As CpuOptions has them. */
  readonly hotEntries: number;
  readonly hotBatch: number;
  readonly translateOnDemand: boolean;
}

export class Regions {
  readonly #ram: Ram;
  readonly #cache: CodeCache;
  readonly #spaces: AddressSpaces;
  readonly #code: MappedCode;
  readonly #translator: Translator;
  readonly #kept: KeptCode | undefined;
  readonly #hotEntries: number;
  readonly #hotBatch: number;
  readonly #onDemand: boolean;
  /** Where hot blocks are that translateHot() is to take. */
  readonly #waitingPcs = new Set<number>();
  /** Instructions retired when the first of them came. */
  #waitingSince = 0;

  constructor(host: RegionsHost) {
    this.#ram = host.ram;
    this.#cache = host.cache;
    this.#spaces = host.spaces;
    this.#code = host.code;
    this.#translator = host.translator;
    this.#kept = host.kept;
    this.#hotEntries = host.hotEntries;
    this.#hotBatch = host.hotBatch;
    this.#onDemand = host.translateOnDemand;
  }

  /** The entry of a region at a guest address, perhaps one that the store has just given; or else the known block. `isHot`: the store may read for it. */
  entryAt(pc: number, isHot: boolean = false): Block | undefined {
    const frame = walk(this.#ram, pc, ACCESS_EXEC);
    if (frame < 0) return undefined;
    const known = this.#code.knownIn(frame, pc);
    if (this.#kept === undefined || (known !== undefined && known.entry !== 0)) return known;
    if (this.#cache.written.isWatched(frame)) return known;
    const regions = this.#kept.offer(pc, frame, this.#code.mode, isHot);
    if (regions === undefined) return known;
    this.#entriesChanged(regions);
    return this.#code.knownIn(frame, pc);
  }

  /** The block at `pc` is worth translating: not at once, because regions made together cost less. True when it is time. */
  noteHot(pc: number, retired: number): boolean {
    this.#enterLate(pc);
    const block = this.#storedAt(pc) ?? this.#code.blockAt(pc);
    if (typeof block === "number") return false;
    const isTranslated = block.entry !== 0;
    if (!isTranslated && countOn(this.#ram, block, this.#hotEntries)) return false;
    this.#ram.i32[(block.record - COUNT_BYTES) >>> 2] = isTranslated ? HOT_IN_VAIN : HOT_AGAIN;
    if (isTranslated) return false;
    if (this.#waitingPcs.size === 0) this.#waitingSince = retired;
    this.#waitingPcs.add(pc);
    return this.#waitingPcs.size >= this.#hotBatch * this.#patience() && !this.#onDemand;
  }

  /**
   * The block at `pc` is interpreted though it is an entry of a region: not all of that was mapped when `pc` was first jumped to. When it is
   * now, jumps to any of its entries look again.
   */
  #enterLate(pc: number): void {
    const block = this.#code.known(pc);
    const region = block?.home?.region;
    if (block === undefined || region === undefined || !this.#spaces.findsBytecode(pc)) return;
    if (this.#spaces.enterRegion(pc, block)) this.#entriesChanged([region]);
  }

  /** The known block at a guest address, when the store has been asked for regions with it. */
  #storedAt(pc: number): Block | undefined {
    for (const distance of ANCHOR_PAGES) {
      this.entryAt(pc + distance * PAGE_SIZE, true);
      const block = this.#code.known(pc);
      if (block !== undefined && block.entry !== 0) return block;
    }
    return this.#code.known(pc);
  }

  /** Whether hot blocks have waited for long enough. */
  isOverdue(retired: number): boolean {
    return this.#waitingPcs.size > 0 && retired - this.#waitingSince > WAIT_MAX * this.#patience()
      && !this.#onDemand;
  }

  /** What waits was hot in another address space. */
  forgetHot(): void {
    this.#waitingPcs.clear();
  }

  /** Translates what has become hot since, as one module. */
  translateHot(): void {
    // The lowest first: where functions begin.
    const pcs = [...this.#waitingPcs].sort((a, b) => a - b);
    this.#waitingPcs.clear();
    this.#entriesChanged(this.#translator.translate(this.#code, pcs, this.#code.addressOf));
  }

  /** Grows with the number of modules: each new one costs the engine time for every one that shares the table. */
  #patience(): number {
    return 1 + this.#translator.counters.modules / PATIENT_MODULES;
  }

  /** The budget ran out at `pc`: it does in what runs most. */
  sample(pc: number): void {
    const region = this.#code.known(pc)?.home?.region;
    if (region !== undefined) region.samples++;
  }

  /**
   * Checks of the region that was left last fail often, `apart` of them by now since accesses lay over two pages. Where that is why, accesses that share
   * a check cost more than they save. For pages that are not there the region would be left all the same.
   */
  slowOften(retired: number, apart: number): void {
    const region = this.#translator.byData(this.#ram.u32[LAST_DATA >>> 2]!);
    if (region === undefined) return;
    const since = retired - region.watchedSince;
    this.#translator.watchSlowExits(region, retired);
    if (apart * 2 < SLOW_EXITS || since > SLOW_RARE) return;
    const where = { anchorPc: this.#ram.readU64(LAST_ANCHOR), pc: this.#ram.readU64(PC) };
    this.#entriesChanged(this.#translator.ungroup(this.#code, region, where, this.#code.addressOf));
  }

  /** Leaves what was translated to the store, and at the end puts it together first. */
  save(isEnd: boolean): void {
    if (isEnd) this.#entriesChanged(this.#kept?.gather() ?? []);
    this.#kept?.save(isEnd);
  }

  /** Links past the regions' entries are undone; the jump cache forgets those entries, and regions that are gone. */
  #entriesChanged(regions: readonly Region[]): void {
    this.#cache.regionsChanged();
    if (regions.length === 0) return;
    const records = new Set<number>();
    for (const region of regions) {
      for (const entry of region.entries) {
        if (entry.isEntered) records.add(entry.record);
        this.#cache.unlink(entry);
      }
    }
    const died = this.#translator.takeDeaths();
    if (died.size > 0 || records.size > 0) this.#cache.forgetEntries(records, died);
    this.#spaces.breakLinks();
  }
}
