// SPDX-License-Identifier: Apache-2.0
// The CPU of the machine: runs guest code until something needs the kernel.
//
// The loop: generated code runs (virt/runtime, virt/interp, virt/translate) until a status; missing code is
// lifted and lowered here, jumps are linked, hot blocks go to the translator, stores into code are stepped.
// Invariants: outside of run() the register file in RAM is exact; the jump cache holds only entries whose
// mapping was checked under the current tag of their address space.

import {
  ACCESS_EXEC, ACCESS_READ, ACCESS_WRITE, type Access, type Cpu, TRAP_FAULT, TRAP_PREEMPTED, TRAP_STEP,
} from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import { type Block, CodeCache, STEP_AREA } from "./cache.ts";
import { EXT_LEAVE, type FrontEnd, type GuestAccess, type Lifted, MODE_EXACT, STATUS_EXACT } from "./frontend.ts";
import { type Handlers, HEADER_BYTES, LINK_NEVER, makeHandlers, TARGETS_BYTES } from "./interp/bytecode.ts";
import { LOWERED_BYTES_MAX, Lowering } from "./interp/lower.ts";
import { IrBuilder } from "./ir/builder.ts";
import { JUMP_RETURN, TERM_INDIRECT } from "./ir/ops.ts";
import { type IrBlock, keepIr } from "./translate/ir-block.ts";
import type { BlockSource, RegionLimits } from "./translate/region.ts";
import { type Region, Translator } from "./translate/translator.ts";
import {
  CPU_BASE, CPU_STATE, JUMP_CACHE, JUMP_CACHE_ENTRIES, PAGE_SIZE, TLB_ENTRIES, TLB_READ, TLB_WRITE,
} from "./layout.ts";
import { buildRuntimeModule, type RuntimeExports } from "./runtime/module.ts";
import {
  COUNT_FILLS, LINK_SLOT, STATUS_CODE_WRITE, STATUS_CONTINUE, STATUS_HOT, STATUS_LINK, STATUS_MISS, STATUS_SLOW,
  COUNT_DISPATCHES, COUNT_SLOW, GROW_REGION, LAST_ANCHOR, REGION_EXITS, REGION_EXITS_BYTES, SLOW_CACHE, SLOW_CACHE_ENTRIES,
  STATUS_GROW, STATUS_SLOW_OFTEN, TLB_LOG,
} from "./runtime/status.ts";
import { CodeFetch, isCodeFrame, recordFault, walk } from "./walk.ts";

export interface CpuOptions {
  /** Most instructions of a block. */
  readonly blockInstructionsMax?: number;
  /** Entries of a block before it is translated (3000 unless told); 0: never. */
  readonly hotEntries?: number;
  /** Hot blocks wait for translateHot(): for tests that translate many small pieces. */
  readonly translateOnDemand?: boolean;
  /** By generation; blocks at most 200. */
  readonly regionLimits?: readonly RegionLimits[];
  /** Makes a module; a host may steer its compiler around this. */
  readonly compile?: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

/** Instructions between two visits of TypeScript: V8 replaces running code only when it is entered again. */
const SLICE = 200_000;
/** Translating pays once a block has run this often. */
const HOT_ENTRIES = 3000;
/** Small at first; what is left often grows. */
const REGION_LIMITS: readonly RegionLimits[] = [
  { blocksMax: 60, instructionsMax: 600 },
  { blocksMax: 120, instructionsMax: 1500 },
  { blocksMax: 200, instructionsMax: 4000 },
];
/** Slow exits of a region are rare when so many instructions lie between two looks. */
const SLOW_RARE = 20_000_000;
const NEVER_HOT = 0x7fff_ffff;
const TAGS_MAX = 0xffff;
const BIG_FLUSH_PAGES = 512;

const PC = CPU_BASE + CPU_STATE.pc;
const BUDGET = CPU_BASE + CPU_STATE.budget;

interface SpaceTags {
  root: number;
  /** By mode; 0: none yet. */
  readonly tags: [number, number, number];
  /** Virtual pages with jump-cache entries under these tags. */
  readonly codePages: Set<number>;
}

export class WasmCpu implements Cpu, GuestAccess, BlockSource {
  readonly ram: Ram;
  readonly #frontEnd: FrontEnd;
  readonly #handlers: Handlers;
  readonly #builder = new IrBuilder();
  readonly #lowering: Lowering;
  readonly #cache: CodeCache;
  readonly #fetch: CodeFetch;
  readonly #lifted: Lifted = { bytes: 0, faultPc: 0 };
  readonly #runtime: RuntimeExports;
  readonly #translator: Translator;
  readonly #blockInstructionsMax: number;
  readonly #hotEntries: number;
  readonly #onDemand: boolean;
  /** Where hot blocks are that translateHot() is to take. */
  readonly #waitingPcs = new Set<number>();
  readonly #spaces = new Map<number, SpaceTags>();
  #space: SpaceTags = { root: 0, tags: [0, 0, 0], codePages: new Set() };
  #mmId = -1;
  #lastTag = 0;
  #mode = 0;
  #retired = 0;
  /** What run() last put into the budget in memory. */
  #granted = 0;
  /** Budget put aside by an ext that wants translated code to be left. */
  #setAside = 0;
  #extFault = 0;
  readonly #counters = { misses: 0, links: 0, lifted: 0, liftedInstructions: 0, codeWrites: 0, dropped: 0, steps: 0, slices: 0 };

  constructor(ram: Ram, frontEnd: FrontEnd, options: CpuOptions = {}) {
    this.ram = ram;
    this.#frontEnd = frontEnd;
    this.#handlers = makeHandlers();
    this.#lowering = new Lowering(ram, this.#handlers);
    this.#cache = new CodeCache(ram);
    this.#fetch = new CodeFetch(ram);
    this.#blockInstructionsMax = options.blockInstructionsMax ?? 64;
    this.#hotEntries = options.hotEntries ?? HOT_ENTRIES;
    this.#onDemand = options.translateOnDemand ?? false;
    const compile = options.compile ?? ((bytes): WebAssembly.Module => new WebAssembly.Module(bytes));
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1024 });
    const ext = (id: number): number => this.#ext(id);
    const instance = new WebAssembly.Instance(compile(buildRuntimeModule(this.#handlers)), {
      m: { memory: ram.memory, view: () => ram.view, table, ext },
    });
    // The module was generated right here with these exports.
    this.#runtime = instance.exports as unknown as RuntimeExports;
    table.set(0, this.#runtime.interpret);
    this.#translator = new Translator(
      { memory: ram.memory, view: () => ram.view, table, imports: { ...instance.exports, ext }, compile },
      this.#cache,
      options.regionLimits ?? REGION_LIMITS,
    );
    ram.u8.fill(0xff, TLB_READ, TLB_READ + 2 * TLB_ENTRIES * 16);
    ram.u32[TLB_LOG >>> 2] = 0;
  }

  get retired(): number {
    return this.#retired + (this.#granted === 0 ? 0 : this.#granted - this.#setAside - this.#budgetLeft);
  }

  get trapAddress(): number {
    return this.ram.readU64(CPU_BASE + CPU_STATE.trapAddress);
  }

  get trapAccess(): Access {
    const access = this.ram.i32[(CPU_BASE + CPU_STATE.trapAccess) >>> 2];
    return access === ACCESS_WRITE ? ACCESS_WRITE : access === ACCESS_EXEC ? ACCESS_EXEC : ACCESS_READ;
  }

  setAddressSpace(root: number, mmId: number): void {
    if (mmId === this.#mmId && root === this.#space.root) return;
    this.#mmId = mmId;
    let space = this.#spaces.get(mmId);
    if (space === undefined || space.root !== root) {
      space = { root, tags: [0, 0, 0], codePages: new Set() };
      this.#spaces.set(mmId, space);
    }
    this.#space = space;
    this.ram.u32[(CPU_BASE + CPU_STATE.pageTableRoot) >>> 2] = root;
    this.#runtime.flushTlb();
    this.#setTag();
  }

  run(budget: number): number {
    this.#refreshMode();
    let left = budget;
    for (;;) {
      const slice = Math.min(left, SLICE);
      const before = this.#retired;
      this.#grant(slice);
      const trap = this.#runSlice();
      this.#settle();
      left -= this.#retired - before;
      if (trap !== TRAP_PREEMPTED || left <= 0) return trap;
      this.#counters.slices++;
    }
  }

  step(): number {
    this.#refreshMode();
    this.#grant(1);
    const trap = this.#stepOnce();
    this.#settle();
    return trap === TRAP_PREEMPTED ? TRAP_STEP : trap;
  }

  flushRange(start: number, end: number): void {
    const first = Math.floor(start / PAGE_SIZE);
    const last = Math.ceil(end / PAGE_SIZE);
    this.#flushCodePages(first, last);
    if (last - first > BIG_FLUSH_PAGES) {
      this.#runtime.flushTlb();
      return;
    }
    const u32 = this.ram.u32;
    for (let page = first; page < last; page++) {
      const index = (page % TLB_ENTRIES) * 4;
      const lo = (page * PAGE_SIZE) >>> 0;
      const hi = Math.floor(page / 0x10_0000);
      for (const tlb of [(TLB_READ >>> 2) + index, (TLB_WRITE >>> 2) + index]) {
        if (u32[tlb] === lo && u32[tlb + 1] === hi) u32[tlb] = u32[tlb + 1] = 0xffff_ffff;
      }
    }
  }

  flushAll(): void {
    this.#runtime.flushTlb();
    this.#newTags();
  }

  invalidateFrame(frame: number): void {
    if (!isCodeFrame(this.ram, frame)) return;
    this.#counters.dropped++;
    this.#cache.dropFrame(frame);
  }

  statistics(): Record<string, number> {
    return {
      ...this.#counters,
      ...this.#translator.counters,
      dispatches: this.ram.u32[COUNT_DISPATCHES >>> 2]!,
      slowExits: this.ram.u32[COUNT_SLOW >>> 2]!,
      retired: this.retired,
      tlbFills: this.ram.u32[COUNT_FILLS >>> 2]!,
      liveBlocks: this.#cache.liveBlocks,
      arenaBytes: this.#cache.arenaBytes,
    };
  }

  // GuestAccess

  translate(address: number, access: number): number {
    const kind: Access = access === ACCESS_WRITE ? ACCESS_WRITE : ACCESS_READ;
    const frame = walk(this.ram, address, kind);
    if (frame < 0) {
      this.#extFault = recordFault(this.ram, address, kind);
      return -1;
    }
    if (kind === ACCESS_WRITE && isCodeFrame(this.ram, frame)) {
      this.invalidateFrame(frame);
      this.#setBudgetAside();
    }
    return frame + (address % PAGE_SIZE);
  }

  read(address: number, target: Uint8Array): boolean {
    let done = 0;
    while (done < target.length) {
      const host = this.translate(address + done, ACCESS_READ);
      if (host < 0) return false;
      const bytes = Math.min(target.length - done, PAGE_SIZE - (host % PAGE_SIZE));
      target.set(this.ram.u8.subarray(host, host + bytes), done);
      done += bytes;
    }
    return true;
  }

  write(address: number, source: Uint8Array): boolean {
    const end = address + source.length;
    for (let at = address; at < end; at += PAGE_SIZE - (at % PAGE_SIZE)) {
      if (this.translate(at, ACCESS_WRITE) < 0) return false;
    }
    let done = 0;
    while (done < source.length) {
      const host = this.translate(address + done, ACCESS_WRITE);
      const bytes = Math.min(source.length - done, PAGE_SIZE - (host % PAGE_SIZE));
      this.ram.u8.set(source.subarray(done, done + bytes), host);
      done += bytes;
    }
    return true;
  }

  #ext(id: number): number {
    const result = this.#frontEnd.exts[id]!(this);
    if (result === EXT_LEAVE) {
      this.#setBudgetAside();
      return 0;
    }
    // The access that failed knows whether the address was canonical.
    return result === TRAP_FAULT && this.#extFault !== 0 ? this.#extFault : result;
  }

  /** The block in progress ends as if the budget were used up; #settle gives it back. */
  #setBudgetAside(): void {
    this.#setAside += this.#budgetLeft;
    this.ram.writeU64(BUDGET, 0);
  }

  get #budgetLeft(): number {
    return this.ram.i32[BUDGET >>> 2]!;
  }

  #grant(budget: number): void {
    this.#granted = budget;
    this.#setAside = 0;
    this.#extFault = 0;
    this.ram.writeU64(BUDGET, budget);
  }

  /** Books what was retired since #grant. */
  #settle(): void {
    this.#retired += this.#granted - this.#setAside - this.#budgetLeft;
    this.#granted = 0;
    this.#setAside = 0;
  }

  /** Until a TRAP_*: PREEMPTED when the granted budget is used up or was set aside. */
  #runSlice(): number {
    let slow = 0;
    for (;;) {
      const status = this.#runtime.dispatch(slow);
      slow = 0;
      switch (status) {
        case STATUS_SLOW_OFTEN:
          this.#slowOften();
          slow = 1;
          break;
        case STATUS_SLOW: {
          const trap = this.#slow();
          if (trap !== 0) return trap;
          slow = 1;
          break;
        }
        case STATUS_MISS: {
          const trap = this.#miss();
          if (trap !== 0) return trap;
          break;
        }
        case STATUS_LINK: {
          const trap = this.#link();
          if (trap !== 0) return trap;
          break;
        }
        case STATUS_HOT:
          this.#hot();
          break;
        case STATUS_GROW:
          this.#grow();
          break;
        case STATUS_CODE_WRITE: {
          this.#dropWritten();
          const trap = this.#stepOnce();
          if (trap !== TRAP_PREEMPTED) return trap;
          if (this.#budgetLeft <= 0) return TRAP_PREEMPTED;
          break;
        }
        case STATUS_EXACT: {
          const trap = this.#stepExactly();
          if (trap !== TRAP_PREEMPTED) return trap;
          if (this.#budgetLeft <= 0) return TRAP_PREEMPTED;
          break;
        }
        default:
          if (this.#setAside > 0) this.#refreshMode();
          return status;
      }
    }
  }

  /** Finds or makes the code at pc and enters it into the jump cache. 0, or the trap. */
  #miss(): number {
    this.#counters.misses++;
    const pc = this.ram.readU64(PC);
    const block = this.#blockAt(pc);
    if (typeof block === "number") return block;
    this.#enterJumpCache(pc, block);
    return 0;
  }

  /** The block at a guest address, or the trap that its fetch makes. */
  #blockAt(pc: number): Block | number {
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    if (frame < 0) return recordFault(this.ram, pc, ACCESS_EXEC);
    const known = this.#cache.find(frame, pc % PAGE_SIZE, this.#mode);
    if (known !== undefined && !known.isDead) {
      if (known.secondFrame < 0 || walk(this.ram, nextPage(pc), ACCESS_EXEC) === known.secondFrame) return known;
    }
    return this.#lift(pc, frame);
  }

  #lift(pc: number, frame: number): Block | number {
    const trap = this.#liftInto(pc, this.#blockInstructionsMax);
    if (trap !== 0) return trap;
    const cache = this.#cache;
    if (!cache.hasRoom(LOWERED_BYTES_MAX)) cache.dropAll();
    const offset = pc % PAGE_SIZE;
    const bytes = this.#lifted.bytes;
    const straddles = offset + bytes > PAGE_SIZE;
    const start = cache.arenaEnd;
    const hot = this.#hotEntries === 0 ? NEVER_HOT : this.#hotEntries;
    const number = cache.nextNumber;
    const end = this.#lowering.lower(this.#builder, start, number, hot, true);
    const block: Block = {
      number,
      frame,
      secondFrame: straddles ? walk(this.ram, nextPage(pc), ACCESS_EXEC) : -1,
      offset,
      mode: this.#mode,
      record: start + HEADER_BYTES,
      end,
      instructions: this.#builder.instructions,
      bytes,
      isDead: false,
      tableIndex: 0,
      entry: 0,
      region: undefined,
      incoming: [],
    };
    if (cache.add(block, end)) this.#runtime.flushTlbWrites();
    this.#counters.lifted++;
    this.#counters.liftedInstructions += block.instructions;
    return block;
  }

  /** Lifts into the builder. 0, or the trap of a failed fetch. */
  #liftInto(pc: number, instructionsMax: number): number {
    const builder = this.#builder;
    builder.begin(pc);
    this.#fetch.reset();
    const lifted = this.#lifted;
    lifted.bytes = 0;
    const limits = { instructionsMax, endPc: nextPage(pc) };
    this.#frontEnd.lift(builder, this.#fetch, pc, limits, this.#mode, lifted);
    return lifted.bytes > 0 ? 0 : recordFault(this.ram, lifted.faultPc, ACCESS_EXEC);
  }

  #enterJumpCache(pc: number, block: Block): void {
    const at = this.#cacheSlot(pc, JUMP_CACHE, JUMP_CACHE_ENTRIES);
    const i32 = this.ram.i32;
    this.#noteCodePages(pc, block);
    if (block.region !== undefined && this.#isMapped(block.region, pc, block)) {
      i32[at + 2] = block.tableIndex;
      i32[at + 3] = block.entry;
    } else {
      i32[at + 2] = 0;
      i32[at + 3] = block.record;
    }
  }

  /** Word index of the entry for `pc`, with its key written. */
  #cacheSlot(pc: number, cache: number, entries: number): number {
    const lo = pc | 0;
    const hi = Math.floor(pc / 0x1_0000_0000);
    const at = (cache >>> 2) + ((lo ^ (lo >>> 12)) & (entries - 1)) * 4;
    const i32 = this.ram.i32;
    i32[at] = lo;
    i32[at + 1] = hi ^ i32[((CPU_BASE + CPU_STATE.addressSpaceTag) >>> 2) + 1]!;
    return at;
  }

  #noteCodePages(pc: number, block: Block): void {
    const page = Math.floor(pc / PAGE_SIZE);
    this.#space.codePages.add(page);
    if (block.secondFrame >= 0) this.#space.codePages.add(page + 1);
  }

  /** True when all pages of the region are mapped as they were when it was made. Notes them as code. */
  #isMapped(region: Region, pc: number, block: Block): boolean {
    const anchorPage = Math.floor((pc - (block.entry >> 8)) / PAGE_SIZE);
    for (const { distance, frame } of region.pages) {
      const page = anchorPage + distance;
      if (walk(this.ram, page * PAGE_SIZE, ACCESS_EXEC) !== frame) return false;
      this.#space.codePages.add(page);
    }
    return true;
  }

  /** A region left the instruction at pc to the interpreter. */
  #slow(): number {
    const pc = this.ram.readU64(PC);
    const block = this.#blockAt(pc);
    if (typeof block === "number") return block;
    this.#noteCodePages(pc, block);
    const at = this.#cacheSlot(pc, SLOW_CACHE, SLOW_CACHE_ENTRIES);
    this.ram.i32[at + 2] = block.record;
    return 0;
  }

  /** A direct jump within its page asks for its target. */
  #link(): number {
    this.#counters.links++;
    const slot = this.ram.u32[LINK_SLOT >>> 2]! >>> 2;
    const pc = this.ram.readU64(PC);
    const arenaBefore = this.#cache.arenaEnd;
    const block = this.#blockAt(pc);
    if (typeof block === "number") return block;
    this.#enterJumpCache(pc, block);
    // The arena was emptied: the slot is gone.
    if (this.#cache.arenaEnd < arenaBefore) return 0;
    const mayLink = block.secondFrame < 0 && block.tableIndex === 0;
    this.ram.u32[slot + 1] = mayLink ? block.record : LINK_NEVER;
    if (mayLink) block.incoming.push(slot + 1);
    return 0;
  }

  /** The block at pc is worth translating. */
  #hot(): void {
    const pc = this.ram.readU64(PC);
    const block = this.#blockAt(pc);
    if (typeof block === "number") return;
    this.ram.i32[(block.record - 8) >>> 2] = NEVER_HOT;
    if (block.tableIndex !== 0) return;
    if (this.#onDemand) {
      this.#waitingPcs.add(pc);
      return;
    }
    const region = this.#translator.translate(this, pc);
    if (region !== undefined) this.#entriesChanged(region);
  }

  /**
   * With CpuOptions.translateOnDemand: translates what has become hot since, as one module. Blocks that only the
   * current floating point mode has are taken.
   */
  translateHot(): void {
    this.#refreshMode();
    const pcs = [...this.#waitingPcs];
    this.#waitingPcs.clear();
    for (const region of this.#translator.translateTogether(this, pcs)) this.#entriesChanged(region);
  }

  /** A region is often left for code that could be part of it. */
  #grow(): void {
    const region = this.#translator.byIndex(this.ram.u32[GROW_REGION >>> 2]!);
    if (region === undefined) return;
    const targets: number[] = [];
    const at = REGION_EXITS + region.tableIndex * REGION_EXITS_BYTES + 64;
    for (let n = 0; n < 8; n++) {
      const pc = this.ram.readU64(at + n * 8);
      if (pc !== 0) targets.push(pc);
    }
    const grown = this.#translator.grow(this, region, this.ram.readU64(LAST_ANCHOR), targets);
    if (grown !== undefined) this.#entriesChanged(grown);
  }

  /** Shared checks of a region fail often: by how often, they are worth less than they cost. */
  #slowOften(): void {
    const region = this.#translator.byIndex(this.ram.u32[GROW_REGION >>> 2]!);
    if (region === undefined) return;
    const since = this.retired - region.watchedSince;
    this.#translator.watchSlowExits(region, this.retired);
    if (since > SLOW_RARE) return;
    const made = this.#translator.ungroup(this, region, this.ram.readU64(LAST_ANCHOR));
    if (made !== undefined) this.#entriesChanged(made);
  }

  /** Links past the region's entries are undone; the jump cache is filled anew. */
  #entriesChanged(region: Region): void {
    for (const entry of region.entries) {
      for (const slot of entry.incoming) this.ram.u32[slot] = LINK_NEVER;
      entry.incoming.length = 0;
    }
    this.#cache.clearJumpCache();
  }

  /** BlockSource: known blocks that have run a fair share of the times that make one hot. */
  heat(pc: number): number {
    const block = this.#known(pc);
    if (block === undefined) return -1;
    const left = this.ram.i32[(block.record - 8) >>> 2]!;
    // It was hot before and has been counted since.
    if (left > this.#hotEntries) return this.#hotEntries + (NEVER_HOT - left);
    const entered = this.#hotEntries - left;
    return entered >= this.#hotEntries >> 4 ? entered : -1;
  }

  take(pc: number): { block: Block; ir: IrBlock; targets: readonly number[] } | undefined {
    const block = this.#known(pc);
    if (block === undefined || this.#liftInto(pc, this.#blockInstructionsMax) !== 0) return undefined;
    return { block, ir: keepIr(this.#builder), targets: this.#indirectTargets(block) };
  }

  /** The live block at a guest address as it is mapped now. */
  #known(pc: number): Block | undefined {
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    if (frame < 0) return undefined;
    const block = this.#cache.find(frame, pc % PAGE_SIZE, this.#mode);
    if (block === undefined || block.isDead) return undefined;
    if (block.secondFrame >= 0 && walk(this.ram, nextPage(pc), ACCESS_EXEC) !== block.secondFrame) return undefined;
    return block;
  }

  /** Where the indirect jump at the end of the block went lately. */
  #indirectTargets(block: Block): number[] {
    if (this.#builder.terminator !== TERM_INDIRECT || this.#builder.termKind === JUMP_RETURN) return [];
    const targets: number[] = [];
    for (let at = block.end - TARGETS_BYTES; at < block.end; at += 8) {
      const pc = this.ram.readU64(at);
      if (pc !== 0) targets.push(pc);
    }
    return targets;
  }

  /** Drops the code of the frame that a store was about to change. */
  #dropWritten(): void {
    this.#counters.codeWrites++;
    const frame = walk(this.ram, this.trapAddress, ACCESS_WRITE);
    if (frame >= 0) this.invalidateFrame(frame);
  }

  /** The instruction at pc met a value that only MODE_EXACT handles. */
  #stepExactly(): number {
    this.#mode = MODE_EXACT;
    const trap = this.#stepOnce();
    this.#refreshMode();
    return trap;
  }

  /** One instruction at pc, not cached. TRAP_PREEMPTED when it is done. */
  #stepOnce(): number {
    this.#counters.steps++;
    const left = this.#budgetLeft;
    const aside = this.#setAside;
    for (;;) {
      const pc = this.ram.readU64(PC);
      if (walk(this.ram, pc, ACCESS_EXEC) < 0) return recordFault(this.ram, pc, ACCESS_EXEC);
      const trap = this.#liftInto(pc, 1);
      if (trap !== 0) return trap;
      this.#lowering.lower(this.#builder, STEP_AREA, 0, NEVER_HOT, false);
      // A budget of 1 ends the run after the instruction.
      this.ram.writeU64(BUDGET, 1);
      const status = this.#runtime.interpret(STEP_AREA + HEADER_BYTES);
      const used = this.#setAside > aside ? 1 : 1 - this.#budgetLeft;
      this.#setAside = aside;
      this.ram.writeU64(BUDGET, left - used);
      if (status !== STATUS_CODE_WRITE) {
        if (status === STATUS_CONTINUE) throw new Error("a step went past its instruction");
        this.#refreshMode();
        return status;
      }
      this.#dropWritten();
    }
  }

  #refreshMode(): void {
    const mode = this.#frontEnd.mode(this.ram);
    if (mode === this.#mode) return;
    this.#mode = mode;
    this.#setTag();
  }

  /** Makes the tag of the current space and mode current. */
  #setTag(): void {
    const index = this.#mode;
    if (this.#space.tags[index] === 0) {
      if (this.#lastTag === TAGS_MAX) this.#forgetTags();
      this.#space.tags[index] = ++this.#lastTag;
    }
    const at = (CPU_BASE + CPU_STATE.addressSpaceTag) >>> 2;
    this.ram.i32[at] = 0;
    this.ram.i32[at + 1] = (this.#space.tags[index] ?? 0) << 16;
  }

  #forgetTags(): void {
    this.#lastTag = 0;
    this.#cache.clearJumpCache();
    this.#spaces.clear();
    this.#spaces.set(this.#mmId, this.#space);
    this.#space.tags.fill(0);
  }

  /** Jump-cache entries of this space are void. */
  #newTags(): void {
    this.#space.tags.fill(0);
    this.#space.codePages.clear();
    this.#setTag();
  }

  #flushCodePages(first: number, last: number): void {
    const pages = this.#space.codePages;
    if (last - first < pages.size) {
      for (let page = first; page < last; page++) {
        if (pages.has(page)) {
          this.#newTags();
          return;
        }
      }
      return;
    }
    for (const page of pages) {
      if (page >= first && page < last) {
        this.#newTags();
        return;
      }
    }
  }
}

function nextPage(pc: number): number {
  return pc - (pc % PAGE_SIZE) + PAGE_SIZE;
}
