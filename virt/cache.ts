// SPDX-License-Identifier: Apache-2.0
// Where translated blocks are found: by frame, offset and mode. Also the bytecode arena.
//
// Invariants: a frame that a live block was made from has FRAME_CODE set; a dead block is in no table and in
// no jump-cache entry (they are taken out when blocks die). Bytecode of dead blocks stays where it is until the arena is
// full and everything is dropped.

import { DATA_ALIGNMENT } from "./translate/data.ts";
import type { Ram } from "../lib/ram.ts";
import {
  BYTECODE_ARENA,
  FRAME_CODE,
  FRAME_FLAGS,
  FRAME_WRITTEN,
  FRAMES_START,
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  NEAR_CACHE,
  NEAR_CACHE_ENTRIES,
  PAGE_SIZE,
} from "./layout.ts";
import { EnteredPages, forgetEntered, type LiveTags } from "./entered.ts";
import { blockKey, type PageBytecode } from "./interp/kept.ts";
import { unlinkBlock } from "./interp/links.ts";
import { TERM_NONE } from "./ir/terminators.ts";
import { SLOW_CACHE, SLOW_CACHE_ENTRIES } from "./runtime/status.ts";
import type { Region } from "./translate/live.ts";
import { findTargets, type FrameTargets } from "./targets.ts";
import { WrittenCode } from "./written-code.ts";

/** The upper end of the arena is for single steps. */
export const STEP_AREA: number = FRAMES_START - 0x4_0000;

export interface Block {
  /** Host address of the frame of its first byte, and of its last when that is another one, else -1. */
  readonly frame: number;
  secondFrame: number;
  /** How many bytes of it lie in the second frame. */
  tailBytes: number;
  /** How many bytes of guest code it was made from; 0 while nothing was, or where a store had it: not in a watched frame. */
  bytes: number;
  readonly offset: number;
  readonly mode: number;
  /** Address of the first bytecode record; 0 while there is no bytecode, for an entry of a region out of a store. */
  record: number;
  /** Where its bytecode ends: the targets of an indirect jump are noted right before. */
  end: number;
  /** TERM_* of its bytecode. */
  terminator: number;
  instructions: number;
  isDead: boolean;
  /** Whether the jump cache may lead to its bytecode. */
  isEntered: boolean;
  /** Whether the jump cache was asked for it: what only links lead to need not be there. */
  isTarget: boolean;
  /** The region that it is part of, and its distance from that region's anchor. */
  home: { readonly region: Region; readonly offset: number } | undefined;
  /** Entry word when it is an entry of that region, else 0. */
  entry: number;
}

/** Whether a word in the jump cache may be one that is to go, by some of its bits: above those that tell the entries of a region apart. */
const MAY_BE_SHIFT = 8;
const MAY_BE_ENTRIES = 1 << 14;

/** A block without bytecode. */
export function newBlock(frame: number, offset: number, mode: number): Block {
  return {
    frame,
    secondFrame: -1,
    tailBytes: 0,
    bytes: 0,
    offset,
    mode,
    record: 0,
    end: 0,
    terminator: TERM_NONE,
    instructions: 0,
    isDead: false,
    isEntered: false,
    isTarget: false,
    home: undefined,
    entry: 0,
  };
}

/** Where the bytecode of a block lies, and what it is. */
export type Bytecode = Pick<Block, "record" | "end" | "terminator" | "instructions">;

export function setBytecode(block: Block, { record, end, terminator, instructions }: Bytecode): void {
  block.record = record;
  block.end = end;
  block.terminator = terminator;
  block.instructions = instructions;
}

/** Notes where the guest code of a block ends, of `bytes` bytes. `nextFrame`: the frame of the next page, if it ends there. */
export function setTail(block: Block, bytes: number, nextFrame: () => number): void {
  const tail = block.offset + bytes - PAGE_SIZE;
  block.bytes = bytes;
  block.secondFrame = tail > 0 ? nextFrame() : -1;
  block.tailBytes = Math.max(tail, 0);
}

/** What dies with code in a frame. */
export interface Dependant {
  /** All frames that it was made from. */
  readonly frames: readonly number[];
  readonly die: () => void;
}

interface FrameCode {
  /** Those that were made so far, by key. */
  readonly blocks: Map<number, Block>;
  /** Bytecode of an earlier run, of which blocks are made when they are asked for. */
  kept: PageBytecode | undefined;
  /** Kept from one address space to the next; undefined when blocks have come since. */
  targets: FrameTargets | undefined;
  /** Blocks of other frames whose last instruction ends here. */
  readonly guests: Set<Block>;
  /** They die with the frame's code. */
  readonly dependants: Set<Dependant>;
  /** Where the jump cache may have places of this frame's code. */
  readonly entered: EnteredPages;
}

export class CodeCache {
  readonly #ram: Ram;
  readonly #frames = new Map<number, FrameCode>();
  #arenaEnd: number = BYTECODE_ARENA;
  #liveBlocks = 0;
  /** Changes to regions: what FrameTargets say is out of date then, though never wrong. */
  #regionsAge = 0;
  /** Of address spaces (spaces.ts). */
  readonly liveTags: LiveTags = new Uint8Array(0x1_0000);
  /** Frames with code that the guest writes to. */
  readonly written: WrittenCode;

  /** The jump cache is empty in memory that nobody has written to. */
  constructor(ram: Ram) {
    this.#ram = ram;
    this.written = new WrittenCode(ram);
  }

  get liveBlocks(): number {
    return this.#liveBlocks;
  }

  get arenaBytes(): number {
    return this.#arenaEnd - BYTECODE_ARENA;
  }

  find(frame: number, offset: number, mode: number): Block | undefined {
    const code = this.#frames.get(frame);
    if (code === undefined) return undefined;
    const key = blockKey(offset, mode);
    return code.blocks.get(key) ?? this.#makeKept(code, frame, key);
  }

  /** True when `bytes` more fit the arena. */
  hasRoom(bytes: number): boolean {
    return this.#arenaEnd + bytes <= STEP_AREA;
  }

  get arenaEnd(): number {
    return this.#arenaEnd;
  }

  /** Room in the arena for something that lives as long as blocks do; -1 when it is full. */
  allocate(bytes: number): number {
    if (!this.hasRoom(bytes)) return -1;
    const address = this.#arenaEnd;
    this.#arenaEnd = (address + bytes + 15) & ~15;
    return address;
  }

  /** Registers a block whose bytecode ends at `arenaEnd`. True when write translations of a frame may be
   *  cached that is one with code from now on. */
  add(block: Block, arenaEnd: number): boolean {
    this.#arenaEnd = (arenaEnd + 15) & ~15;
    const frame = this.#frameCode(block.frame);
    const old = frame.blocks.get(blockKey(block.offset, block.mode));
    if (old !== block) this.#liveBlocks++;
    if (old !== undefined && old !== block) this.#kill(old);
    frame.blocks.set(blockKey(block.offset, block.mode), block);
    frame.targets = undefined;
    this.written.addCode(block.frame, block.offset, endIn(block));
    let isNew = this.#mark(block.frame);
    if (block.secondFrame >= 0) {
      this.written.addCode(block.secondFrame, 0, block.tailBytes);
      this.#frameCode(block.secondFrame).guests.add(block);
      if (this.#mark(block.secondFrame)) isNew = true;
    }
    return isNew;
  }

  /** Registers the bytecode of an earlier run for all of a frame. True as add(). */
  addKept(frame: number, kept: PageBytecode): boolean {
    const code = this.#frameCode(frame);
    code.kept = kept;
    code.targets = undefined;
    this.#liveBlocks += kept.size;
    // Some may be known without bytecode, as entries of regions.
    for (const [key, block] of code.blocks) {
      const found = kept.find(key);
      if (found === undefined) continue;
      this.#liveBlocks--;
      if (block.record !== 0) continue;
      setBytecode(block, found);
      block.isTarget = found.isTarget;
      if (block.entry !== 0) kept.unlink(block.record);
    }
    return this.#mark(frame);
  }

  #makeKept(code: FrameCode, frame: number, key: number): Block | undefined {
    const found = code.kept?.find(key);
    if (found === undefined) return undefined;
    code.targets = undefined;
    const block = newBlock(frame, found.offset, found.mode);
    setBytecode(block, found);
    block.isTarget = found.isTarget;
    block.isEntered = found.isEntered;
    code.blocks.set(key, block);
    return block;
  }

  /** Blocks that begin in a frame, but for those of an earlier run that nobody has asked for. */
  blocksIn(frame: number): Iterable<Block> {
    return this.#frames.get(frame)?.blocks.values() ?? [];
  }

  /** The bytecode of an earlier run in a frame. */
  keptIn(frame: number): PageBytecode | undefined {
    return this.#frames.get(frame)?.kept;
  }

  /** What may be jumped to in a frame and ends there: the jump cache may lead there from now on. */
  targetsIn(frame: number, mode: number): FrameTargets | undefined {
    const code = this.#frames.get(frame);
    if (code === undefined) return undefined;
    if (code.targets?.mode !== mode || code.targets.age !== this.#regionsAge) {
      code.targets = findTargets(code, mode, this.#regionsAge);
    }
    return code.targets;
  }

  /** The block was asked for by the jump cache. */
  noteTarget(block: Block): void {
    if (block.isTarget) return;
    block.isTarget = true;
    const code = this.#frames.get(block.frame);
    if (code !== undefined) code.targets = undefined;
  }

  /** Blocks are entries of other regions than they were. */
  regionsChanged(): void {
    this.#regionsAge++;
  }

  /** All blocks with bytecode that begin in a frame. */
  allIn(frame: number): Block[] {
    const code = this.#frames.get(frame);
    if (code === undefined) return [];
    for (const key of code.kept?.keys() ?? []) if (!code.blocks.has(key)) this.#makeKept(code, frame, key);
    return [...code.blocks.values()].filter(({ record }) => record !== 0);
  }

  /** Frames in which blocks begin or end. */
  get frames(): Iterable<number> {
    return this.#frames.keys();
  }

  /** Undoes the links that lead to a block. */
  unlink(block: Block): void {
    if (block.record === 0) return;
    unlinkBlock(this.#ram, block, this.blocksIn(block.frame));
    this.keptIn(block.frame)?.unlink(block.record);
  }

  /** Marks a frame as one with code. True as add(). */
  protect(frame: number): boolean {
    this.#frameCode(frame);
    return this.#mark(frame);
  }

  /** It dies when code in one of its frames does. */
  depend(dependant: Dependant): void {
    for (const frame of dependant.frames) this.#frameCode(frame).dependants.add(dependant);
  }

  undepend(dependant: Dependant): void {
    for (const frame of dependant.frames) this.#frames.get(frame)?.dependants.delete(dependant);
  }

  /** The jump cache has a place of code in a frame, for its page as a space with some tag has it. */
  noteEntered(frame: number, page: number, tag: number): void {
    this.#frames.get(frame)?.entered.note(page, tag, this.liveTags);
  }

  dropFrame(frame: number): void {
    const code = this.#takeOut(frame);
    if (code === undefined) return;
    const frames = framesOf(code);
    for (const { die } of [...code.dependants]) die();
    const dead = [...code.blocks.values(), ...code.guests];
    for (const block of dead) this.#kill(block);
    for (const block of code.guests) this.#remove(block);
    const records = new Set(dead.map(({ record }) => record));
    const { kept } = code;
    this.#forgetPlaces(
      [code.entered, ...this.#enteredIn(frames)],
      (record) => records.has(record) || kept?.owns(record) === true,
    );
  }

  /**
   * Drops what was made from some bytes of a watched frame, and all regions with code in that frame if there is any. False when there was nothing.
   */
  dropBytes(frame: number, from: number, to: number): boolean {
    const code = this.#frames.get(frame);
    if (code === undefined) return false;
    const dead = [...code.blocks.values()].filter((block) => block.offset < to && endIn(block) > from);
    dead.push(...[...code.guests].filter(({ tailBytes }) => tailBytes > from));
    if (dead.length === 0) return false;
    const frames = framesOf(code);
    for (const { die } of [...code.dependants]) die();
    for (const block of dead) {
      this.unlink(block);
      this.#kill(block);
      this.#remove(block);
      code.guests.delete(block);
    }
    code.targets = undefined;
    const records = new Set(dead.map(({ record }) => record));
    this.#forgetPlaces(this.#enteredIn([frame, ...frames]), (record) => records.has(record));
    this.written.setCode(frame, (add) => {
      for (const block of code.blocks.values()) add(block.offset, endIn(block));
      for (const { tailBytes } of code.guests) add(0, tailBytes);
    });
    return true;
  }

  /** Takes a block out of the table of the frame that it begins in. */
  #remove(block: Block): void {
    const blocks = this.#frames.get(block.frame)?.blocks;
    const key = blockKey(block.offset, block.mode);
    if (blocks?.get(key) === block) blocks.delete(key);
  }

  /** A frame is none with code any more, and none that a write entry could not be had for. */
  #takeOut(frame: number): FrameCode | undefined {
    const flagsAt = FRAME_FLAGS + (frame >>> 12);
    if ((this.#ram.u8[flagsAt]! & FRAME_CODE) !== 0) this.#ram.u8[flagsAt] = 0;
    const code = this.#frames.get(frame);
    if (code === undefined) return undefined;
    this.written.forget(frame);
    this.#frames.delete(frame);
    for (const key of code.kept?.keys() ?? []) if (!code.blocks.has(key)) this.#liveBlocks--;
    return code;
  }

  #enteredIn(frames: Iterable<number>): EnteredPages[] {
    const found = [...frames].map((frame) => this.#frames.get(frame)?.entered);
    return found.filter((entered) => entered !== undefined);
  }

  /** Some records are gone, and regions with them: what the caches know of regions is little, and filled anew. */
  #forgetPlaces(entered: readonly EnteredPages[], isGone: (record: number) => boolean): void {
    forgetEntered(
      this.#ram,
      entered,
      this.liveTags,
      (tableIndex, entry) => tableIndex !== 0 || isGone(entry),
    );
    this.#clearNearCache();
    this.#clearSlowCache();
  }

  /** Forgets everything and empties the arena. */
  dropAll(): void {
    for (const frame of [...this.#frames.keys()]) {
      const code = this.#takeOut(frame);
      if (code === undefined) continue;
      for (const { die } of [...code.dependants]) die();
      for (const block of [...code.blocks.values(), ...code.guests]) this.#kill(block);
    }
    this.#arenaEnd = BYTECODE_ARENA;
    this.clearJumpCache();
  }

  /** Empties the slow cache with it. */
  clearJumpCache(): void {
    this.#ram.u8.fill(0, JUMP_CACHE, JUMP_CACHE + JUMP_CACHE_ENTRIES * 16);
    this.#clearNearCache();
    this.#clearSlowCache();
  }

  /** Takes out of the jump cache what leads to some records, and to regions with their data in some places. */
  forgetEntries(records: ReadonlySet<number>, regions: ReadonlySet<number>): void {
    this.#clearNearCache();
    // Most of what is there is none of them, which a small table tells sooner than a set.
    const mayBe = new Uint8Array(MAY_BE_ENTRIES);
    for (const word of [...records, ...regions]) mayBe[(word >>> MAY_BE_SHIFT) & (MAY_BE_ENTRIES - 1)] = 1;
    const i32 = this.#ram.i32;
    const end = (JUMP_CACHE >>> 2) + JUMP_CACHE_ENTRIES * 4;
    for (let at = JUMP_CACHE >>> 2; at < end; at += 4) {
      const word = i32[at + 3]!;
      if (mayBe[(word >>> MAY_BE_SHIFT) & (MAY_BE_ENTRIES - 1)] === 0) continue;
      const isStale = i32[at + 2] === 0 ? records.has(word) : regions.has(word & -DATA_ALIGNMENT);
      if (isStale) i32[at] = i32[at + 1] = 0;
    }
  }

  #clearNearCache(): void {
    this.#ram.u8.fill(0, NEAR_CACHE, NEAR_CACHE + NEAR_CACHE_ENTRIES * 16);
  }

  #clearSlowCache(): void {
    this.#ram.u8.fill(0, SLOW_CACHE, SLOW_CACHE + SLOW_CACHE_ENTRIES * 16);
  }

  #kill(block: Block): void {
    if (block.isDead) return;
    block.isDead = true;
    this.#liveBlocks--;
  }

  #frameCode(frame: number): FrameCode {
    let code = this.#frames.get(frame);
    if (code === undefined) {
      code = {
        blocks: new Map(),
        kept: undefined,
        targets: undefined,
        guests: new Set(),
        dependants: new Set(),
        entered: new EnteredPages(),
      };
      this.#frames.set(frame, code);
    }
    return code;
  }

  #mark(frame: number): boolean {
    const at = FRAME_FLAGS + (frame >>> 12);
    const flags = this.#ram.u8[at]!;
    if ((flags & FRAME_CODE) !== 0) return false;
    this.#ram.u8[at] = flags | FRAME_CODE;
    return (flags & FRAME_WRITTEN) !== 0;
  }
}

/** Where a block ends in the frame that it begins in. */
function endIn({ offset, bytes }: Block): number {
  return Math.min(offset + bytes, PAGE_SIZE);
}

/** Other frames of what is partly in one. */
function framesOf({ guests, dependants }: FrameCode): Set<number> {
  const frames = new Set<number>();
  for (const { frame } of guests) frames.add(frame);
  for (const dependant of dependants) for (const frame of dependant.frames) frames.add(frame);
  return frames;
}
