// SPDX-License-Identifier: Apache-2.0
// Guest code as it is mapped now: its blocks, found in the code cache, taken from the store, or lifted and lowered here.
//
// Invariants: blocks are those of the current mode. Lifting may empty the arena where blocks are asked for by blockAt(), and
// nowhere else; what is being planned (take()) lies in it.

import { ACCESS_EXEC } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import { type Block, type CodeCache, newBlock, setBytecode, setTail, STEP_AREA } from "./cache.ts";
import type { Fetch, FrontEnd, Lifted } from "./frontend.ts";
import { heatOf, hotAfter, NEVER_HOT, startCount } from "./heat.ts";
import { HEADER_BYTES } from "./interp/bytecode.ts";
import type { KeptBlock } from "./interp/kept.ts";
import { linkBlock, notedTargets } from "./interp/links.ts";
import type { IrBuilder } from "./ir/builder.ts";
import { TERM_INDIRECT, TERM_TRAP } from "./ir/terminators.ts";
import { PAGE_SIZE, pageOffset, pageStart } from "./layout.ts";
import { keepIr, Lifting, LOWERED_BYTES_MAX } from "./lifting.ts";
import type { AddressSpaces } from "./spaces.ts";
import type { IrBlock } from "./translate/ir-block.ts";
import type { BlockSource, TakenBlock } from "./translate/region.ts";
import { CodeFetch, nextPage, recordFault, walk } from "./walk.ts";

/** What it works with and asks of the CPU. */
export interface MappedCodeHost {
  readonly ram: Ram;
  readonly frontEnd: FrontEnd;
  readonly cache: CodeCache;
  readonly spaces: AddressSpaces;
  /** A frame was marked as one with code: no write translation of it may stay. */
  readonly flushTlbWrites: () => void;
  readonly blockInstructionsMax: number;
  /** As CpuOptions has it. */
  readonly hotEntries: number;
}

/** Blocks lifted because one before them was: after that one, and in all. */
const AHEAD_MAX = 32;
const AHEAD_OF_RUN_MAX = 512;
const STEPS_MAX = 1024;
/** More than there are MODE_*. */
const MODES = 4;
/** In the builder: there is no such place to go on at. */
const NOWHERE = -1;

/** Blocks of earlier runs that go into what is mapped one by one. */
export interface EarlierBlocks {
  /** Whether earlier runs have left blocks of a frame's content. */
  hasBlocks(frame: number): boolean;
  /**
   * The kept block at a guest address in `frame` that ends in the next page, when that page has the bytes it was made from; or that it is one instruction whose
   * rest is in a page that is not mapped.
   */
  straddling(pc: number, frame: number, mode: number): KeptBlock | "not mapped" | undefined;
  /** All code was dropped. */
  forgetAll(): void;
}

/** An instruction and its bytecode, which is good for it at one address. */
interface Step {
  readonly code: Uint8Array;
  readonly bytecode: Uint8Array;
}

export class MappedCode implements BlockSource {
  readonly #ram: Ram;
  readonly #frontEnd: FrontEnd;
  readonly #cache: CodeCache;
  readonly #spaces: AddressSpaces;
  readonly #flushTlbWrites: () => void;
  readonly #blockInstructionsMax: number;
  readonly #hotEntries: number;
  /** Made when something is lifted for the first time. */
  #madeLifting: Lifting | undefined;
  readonly #fetch: CodeFetch;
  readonly #lifted: Lifted = { bytes: 0, faultPc: 0 };
  /** Single instructions by guest address and mode: numbers that are not normal are met again and again by the same ones. */
  readonly #steps = new Map<number, Step>();
  /** MODE_* of what is found and made. */
  mode = 0;
  /** Where there is a store. */
  earlier: EarlierBlocks | undefined;
  readonly counters = { lifted: 0, liftedInstructions: 0, liftedAhead: 0, emptied: 0 };

  constructor(host: MappedCodeHost) {
    this.#ram = host.ram;
    this.#frontEnd = host.frontEnd;
    this.#cache = host.cache;
    this.#spaces = host.spaces;
    this.#flushTlbWrites = host.flushTlbWrites;
    this.#blockInstructionsMax = host.blockInstructionsMax;
    this.#hotEntries = host.hotEntries;
    this.#fetch = new CodeFetch(host.ram);
  }

  get #lifting(): Lifting {
    return (this.#madeLifting ??= new Lifting(this.#ram));
  }

  get #builder(): IrBuilder {
    return this.#lifting.builder;
  }

  /** The block at a guest address, or the trap that its fetch makes. */
  blockAt(pc: number): Block | number {
    const frame = walk(this.#ram, pc, ACCESS_EXEC);
    if (frame < 0) return recordFault(this.#ram, pc, ACCESS_EXEC);
    const known = this.#cache.find(frame, pageOffset(pc), this.mode);
    if (known !== undefined && !known.isDead && known.record !== 0) {
      if (known.secondFrame < 0 || walk(this.#ram, nextPage(pc), ACCESS_EXEC) === known.secondFrame) {
        return known;
      }
    }
    return this.#make(pc, frame, known?.record === 0 && !known.isDead ? known : undefined);
  }

  /** The live block at a guest address as it is mapped now. */
  known(pc: number): Block | undefined {
    const frame = walk(this.#ram, pc, ACCESS_EXEC);
    return frame < 0 ? undefined : this.knownIn(frame, pc);
  }

  /** `frame`: that of `pc`. */
  knownIn(frame: number, pc: number): Block | undefined {
    const block = this.#cache.find(frame, pageOffset(pc), this.mode);
    if (block === undefined || block.isDead) return undefined;
    if (block.secondFrame >= 0 && walk(this.#ram, nextPage(pc), ACCESS_EXEC) !== block.secondFrame) {
      return undefined;
    }
    return block;
  }

  /** The block at a mapped guest address, without bytecode when it is new. */
  knownOrBare(pc: number): Block {
    const known = this.known(pc);
    if (known !== undefined) return known;
    const block = newBlock(walk(this.#ram, pc, ACCESS_EXEC), pageOffset(pc), this.mode);
    this.#add(block, this.#cache.arenaEnd);
    return block;
  }

  /** Host address of the code at a guest address, or -1. */
  readonly addressOf = (pc: number): number => {
    const frame = walk(this.#ram, pc, ACCESS_EXEC);
    return frame < 0 ? -1 : frame + pageOffset(pc);
  };

  /** Bytecode of the one instruction at `pc`, in the area for steps. 0, or the trap of a failed fetch. */
  lowerStep(pc: number): number {
    const key = pc * MODES + this.mode; // below 2^53
    const known = this.#steps.get(key);
    if (known !== undefined && this.#isAt(pc, known.code)) {
      this.#ram.u8.set(known.bytecode, STEP_AREA);
      return 0;
    }
    const trap = this.#lift(pc, 1);
    if (trap !== 0) return trap;
    const end = this.#lifting.lowering.lower(this.#builder, STEP_AREA, NEVER_HOT, false);
    if (this.#steps.size >= STEPS_MAX) this.#steps.clear();
    const code = Uint8Array.from({ length: this.#lifted.bytes }, (_, n) => this.#fetch.byte(pc + n));
    this.#steps.set(key, { code, bytecode: this.#ram.u8.slice(STEP_AREA, end) });
    return 0;
  }

  /** Whether the code at `pc`, all of it in one page, is these bytes. */
  #isAt(pc: number, code: Uint8Array): boolean {
    const offset = pageOffset(pc);
    const frame = offset + code.length > PAGE_SIZE ? -1 : walk(this.#ram, pc, ACCESS_EXEC);
    if (frame < 0) return false;
    const { u8 } = this.#ram;
    for (let n = 0; n < code.length; n++) if (u8[frame + offset + n] !== code[n]) return false;
    return true;
  }

  /** IR of a block read by `fetch`, which ends before `endPc`, and how many bytes of code it is. */
  liftFrom(
    fetch: Fetch,
    pc: number,
    mode: number,
    endPc?: number,
  ): { readonly ir: IrBlock; readonly bytes: number } | undefined {
    return this.#lift(pc, this.#blockInstructionsMax, fetch, mode, endPc) === 0
      ? { ir: keepIr(this.#builder), bytes: this.#lifted.bytes }
      : undefined;
  }

  /** BlockSource: known blocks that have run a fair share of the times that make one hot. */
  heat(pc: number): number {
    const block = this.known(pc);
    return block === undefined ? -1 : heatOf(this.#ram, block, this.#hotEntries);
  }

  take(pc: number): TakenBlock | undefined {
    // Lifting must not empty the arena here: what is being planned lies in it.
    const block = this.known(pc) ?? (this.#cache.hasRoom(LOWERED_BYTES_MAX) ? this.blockAt(pc) : 0);
    if (typeof block === "number" || this.#lift(pc, this.#blockInstructionsMax) !== 0) return undefined;
    if (block.record === 0) {
      this.#setTail(pc, block);
      this.#add(block, this.#cache.arenaEnd);
    }
    const ir = keepIr(this.#builder);
    return { block, ir, targets: notedTargets(this.#ram, block, ir) };
  }

  cut(pc: number, endPc: number): IrBlock | undefined {
    return this.liftFrom(this.#fetch, pc, this.mode, endPc)?.ir;
  }

  takeCallee(pc: number): TakenBlock | undefined {
    return this.known(pc) === undefined ? undefined : this.take(pc);
  }

  /** `bare`: the block when it is known without bytecode. */
  #make(pc: number, frame: number, bare: Block | undefined): Block | number {
    const kept = this.earlier?.straddling(pc, frame, this.mode);
    if (kept === "not mapped") return recordFault(this.#ram, nextPage(pc), ACCESS_EXEC);
    if (kept !== undefined) return this.#takeStraddling(pc, bare ?? this.knownOrBare(pc), kept);
    const trap = this.#lift(pc, this.#blockInstructionsMax);
    if (trap !== 0) return trap;
    if (!this.#cache.hasRoom(LOWERED_BYTES_MAX)) this.#empty();
    const block = this.#lower(pc, bare);
    const { instructions } = block;
    this.counters.lifted++;
    this.counters.liftedInstructions += instructions;
    if (this.earlier?.hasBlocks(frame) === true) this.#liftAhead(pc, frame);
    return block;
  }

  /** Bytecode of what was lifted last, which is at `pc`. The arena has room for it. */
  #lower(pc: number, bare: Block | undefined): Block {
    const cache = this.#cache;
    const start = cache.arenaEnd;
    const end = this.#lifting.lowering.lower(this.#builder, start, NEVER_HOT, true);
    const block: Block = bare ?? this.knownOrBare(pc);
    this.#setTail(pc, block);
    const { terminator } = this.#lifting.lowering;
    const { instructions } = this.#builder;
    const record = start + HEADER_BYTES;
    setBytecode(block, { record, end, terminator, instructions });
    if (this.#hotEntries !== 0) {
      startCount(this.#ram, record, hotAfter(this.#hotEntries, end - record));
    }
    this.#add(block, end);
    linkBlock(this.#ram, cache, block);
    return block;
  }

  /**
   * What a block leads to in its page, and on from there. Of code that earlier runs have come by, this one has taken another way, as programs do that hash by
   * a number of chance: whoever comes next takes a third one, and would have to load all that lifts for a handful of blocks.
   */
  #liftAhead(pc: number, frame: number): void {
    const page = pageStart(pc);
    const offsets = this.#onward(pc);
    for (let n = 0; n < offsets.length && n < AHEAD_MAX; n++) {
      const offset = offsets[n]!;
      if (this.#cache.find(frame, offset, this.mode) !== undefined) continue;
      if (this.counters.liftedAhead >= AHEAD_OF_RUN_MAX || !this.#cache.hasRoom(LOWERED_BYTES_MAX)) return;
      const trap = this.#lift(page + offset, this.#blockInstructionsMax);
      if (trap !== 0 || offset + this.#lifted.bytes > PAGE_SIZE) continue;
      this.#lower(page + offset, undefined);
      offsets.push(...this.#onward(page + offset));
      this.counters.liftedAhead++;
    }
  }

  /** Offsets in its page where the block that was lifted last, at `pc`, goes on: where its call returns to with them. */
  #onward(pc: number): number[] {
    const { terminator, target, fallTarget } = this.#builder;
    if (terminator === TERM_TRAP) return [];
    const next = terminator === TERM_INDIRECT ? [fallTarget] : [target, fallTarget];
    return next.filter((delta) => delta !== NOWHERE).map((delta) => pageOffset(pc) + delta)
      .filter((offset) => offset >= 0 && offset < PAGE_SIZE);
  }

  /** The arena is full: all code goes. */
  #empty(): void {
    this.#cache.dropAll();
    this.earlier?.forgetAll();
    this.counters.emptied++;
    this.#spaces.breakLinks();
  }

  #add(block: Block, arenaEnd: number): void {
    if (this.#cache.add(block, arenaEnd)) this.#flushTlbWrites();
  }

  /** Of the block that was lifted last. */
  #setTail(pc: number, block: Block): void {
    setTail(block, this.#lifted.bytes, () => walk(this.#ram, nextPage(pc), ACCESS_EXEC));
  }

  /** Bytecode that lies in the arena already becomes that of a block. */
  #takeStraddling(pc: number, block: Block, kept: KeptBlock): Block {
    block.secondFrame = walk(this.#ram, nextPage(pc), ACCESS_EXEC);
    block.tailBytes = kept.tail.length;
    setBytecode(block, kept);
    this.#add(block, this.#cache.arenaEnd);
    linkBlock(this.#ram, this.#cache, block);
    return block;
  }

  /** Lifts into the builder. 0, or the trap of a failed fetch. */
  #lift(
    pc: number,
    instructionsMax: number,
    fetch: Fetch = this.#fetch,
    mode: number = this.mode,
    endPc: number = nextPage(pc),
  ): number {
    const builder = this.#builder;
    builder.begin(pc);
    this.#fetch.reset();
    const lifted = this.#lifted;
    lifted.bytes = 0;
    const limits = { instructionsMax, endPc };
    this.#frontEnd.lift(builder, fetch, pc, limits, mode, lifted);
    return lifted.bytes > 0 ? 0 : recordFault(this.#ram, lifted.faultPc, ACCESS_EXEC);
  }
}
