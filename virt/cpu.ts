// SPDX-License-Identifier: Apache-2.0
// The CPU of the machine: runs guest code until something needs the kernel.
//
// The loop: generated code runs (virt/runtime, virt/interp, virt/translate) until a status; missing code is
// lifted and lowered here, jumps are linked, hot blocks go to the translator, stores into code are stepped.
// Invariants: outside of run() the register file in RAM is exact; the jump cache holds only entries whose
// mapping was checked under the current tag of their address space.

import {
  type Access,
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_WRITE,
  type Cpu,
  TRAP_FAULT,
  TRAP_PREEMPTED,
  TRAP_STEP,
} from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import { type Block, CodeCache, newBlock, setBytecode, setTail, STEP_AREA } from "./cache.ts";
import { EXT_LEAVE, type Fetch, type FrontEnd, type Lifted, MODE_EXACT, STATUS_EXACT } from "./frontend.ts";
import { COUNT_BYTES, heatOf, HOT_AGAIN, NEVER_HOT } from "./heat.ts";
import { type Handlers, HEADER_BYTES, makeHandlers, TARGETS, TARGETS_BYTES } from "./interp/bytecode.ts";
import type { KeptBlock } from "./interp/kept.ts";
import { linkBlock, linkTo } from "./interp/links.ts";
import { LOWERED_BYTES_MAX, Lowering } from "./interp/lower.ts";
import { IrBuilder } from "./ir/builder.ts";
import { JUMP_RETURN, TERM_INDIRECT } from "./ir/ops.ts";
import { keepIr } from "./translate/ir-block.ts";
import type { BlockSource, TakenBlock } from "./translate/region.ts";
import { DATA_ALIGNMENT } from "./translate/data.ts";
import type { Region } from "./translate/live.ts";
import { Translator } from "./translate/translator.ts";
import { KeptCode } from "./kept-code.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE } from "./layout.ts";
import { makeRuntime, type Runtime } from "./runtime/kept.ts";
import { hasTailCalls, type RuntimeExports } from "./runtime/module.ts";
import {
  COUNT_DISPATCHES,
  COUNT_FILLS,
  COUNT_SLOW,
  LAST_ANCHOR,
  LAST_DATA,
  LINK_SLOT,
  STATUS_CODE_WRITE,
  STATUS_CONTINUE,
  STATUS_HOT,
  STATUS_LINK,
  STATUS_MISS,
  STATUS_SLOW,
  STATUS_SLOW_OFTEN,
} from "./runtime/status.ts";
import { type CpuOptions, HOT_BATCH, HOT_ENTRIES, REGION_LIMITS } from "./options.ts";
import { AddressSpaces } from "./spaces.ts";
import { type AccessOwner, ExtAccess } from "./guest-access.ts";
import { clearTlb, CodeFetch, dropTlbEntries, isCodeFrame, nextPage, recordFault, walk } from "./walk.ts";

/** Instructions between two visits of TypeScript: V8 replaces running code only when it is entered again. */
const SLICE = 1_000_000;
/** Slow exits of a region are rare when so many instructions lie between two looks. */
const SLOW_RARE = 20_000_000;
/** In the place of a trap: the block at pc is in the slow cache. */
const IS_SLOW = -1;
const BIG_FLUSH_PAGES = 512;
/** Modules after which hot blocks wait twice as long, three times, and so on. */
const PATIENT_MODULES = 16;
/** Instructions that a hot block waits for others at most. */
const WAIT_MAX = 150_000;

export type { CpuOptions } from "./options.ts";

const PC = CPU_BASE + CPU_STATE.pc;
const BUDGET = CPU_BASE + CPU_STATE.budget;

export class WasmCpu implements Cpu, AccessOwner, BlockSource {
  readonly ram: Ram;
  readonly #frontEnd: FrontEnd;
  readonly #handlers: Handlers;
  readonly #builder = new IrBuilder();
  readonly #lowering: Lowering;
  readonly #cache: CodeCache;
  readonly #fetch: CodeFetch;
  readonly #lifted: Lifted = { bytes: 0, faultPc: 0 };
  readonly #runtime: RuntimeExports;
  readonly #saveRuntime: Runtime["save"];
  readonly #translator: Translator;
  readonly #blockInstructionsMax: number;
  readonly #hotEntries: number;
  readonly #kept: KeptCode | undefined;
  readonly #hotBatch: number;
  readonly #onDemand: boolean;
  /** Where hot blocks are that translateHot() is to take. */
  readonly #waitingPcs = new Set<number>();
  /** Instructions retired when the first of them came. */
  #waitingSince = 0;
  readonly #spaces: AddressSpaces;
  readonly #access: ExtAccess;
  #mode = 0;
  #retired = 0;
  /** What run() last put into the budget in memory. */
  #granted = 0;
  /** Budget put aside by an ext that wants translated code to be left. */
  #setAside = 0;
  readonly #counters = {
    misses: 0,
    links: 0,
    lifted: 0,
    liftedInstructions: 0,
    codeWrites: 0,
    dropped: 0,
    emptied: 0,
    steps: 0,
    slices: 0,
  };

  constructor(ram: Ram, frontEnd: FrontEnd, options: CpuOptions = {}) {
    this.ram = ram;
    this.#frontEnd = frontEnd;
    this.#handlers = makeHandlers();
    this.#lowering = new Lowering(ram, this.#handlers);
    this.#cache = new CodeCache(ram);
    this.#spaces = new AddressSpaces(ram, this.#cache);
    this.#access = new ExtAccess(this);
    this.#fetch = new CodeFetch(ram);
    this.#blockInstructionsMax = options.blockInstructionsMax ?? 64;
    this.#hotEntries = options.hotEntries ?? HOT_ENTRIES;
    this.#hotBatch = options.hotBatch ?? HOT_BATCH;
    this.#onDemand = options.translateOnDemand ?? false;
    const compile = options.compile ?? ((bytes): WebAssembly.Module => new WebAssembly.Module(bytes));
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1024 });
    const ext = (id: number): number => this.#ext(id);
    const runtime = makeRuntime(this.#handlers, compile, { memory: ram.memory, table, ext }, options.store);
    this.#runtime = runtime.exports;
    this.#saveRuntime = runtime.save;
    this.#translator = new Translator(
      {
        memory: ram.memory,
        view: () => ram.view,
        table,
        imports: { ...this.#runtime, ext },
        hasTailCalls: hasTailCalls(),
        compile,
      },
      this.#cache,
      options.regionLimits ?? REGION_LIMITS,
    );
    this.#kept = options.store === undefined ? undefined : new KeptCode(options.store, {
      ram,
      cache: this.#cache,
      translator: this.#translator,
      hotEntries: this.#hotEntries,
      blockAt: (pc) => this.#known(pc),
      frameOf: this.#frameOf,
      lift: (fetch, pc, mode) =>
        this.#liftInto(pc, this.#blockInstructionsMax, fetch, mode) === 0
          ? { ir: keepIr(this.#builder), bytes: this.#lifted.bytes }
          : undefined,
      flushTlbWrites: () => this.#runtime.flushTlbWrites(),
    });
    clearTlb(ram);
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
    if (this.#spaces.isCurrent(root, mmId)) return;
    this.#waitingPcs.clear(); // they were hot in the other space
    this.#spaces.switchTo(root, mmId);
    this.#runtime.flushTlb();
  }

  endAddressSpace(mmId: number): void {
    this.#spaces.end(mmId);
  }

  run(budget: number): number {
    this.#refreshMode();
    let left = budget;
    for (;;) {
      const before = this.#retired;
      this.#grant(Math.min(left, SLICE));
      const trap = this.#runSlice();
      this.#settle();
      left -= this.#retired - before;
      if (
        this.#waitingPcs.size > 0 && this.#retired - this.#waitingSince > WAIT_MAX * this.#patience
        && !this.#onDemand
      ) {
        this.translateHot();
      }
      if (trap !== TRAP_PREEMPTED) return trap;
      this.#sample();
      if (left <= 0) return trap;
      this.#counters.slices++;
    }
  }

  /** The budget runs out in what runs most. */
  #sample(): void {
    const region = this.known(this.ram.readU64(PC))?.home?.region;
    if (region !== undefined) region.samples++;
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
    this.#spaces.flushPages(first, last);
    if (last - first > BIG_FLUSH_PAGES) {
      this.#runtime.flushTlb();
      return;
    }
    dropTlbEntries(this.ram, first, last);
  }

  flushAll(): void {
    this.#runtime.flushTlb();
    this.#spaces.renew();
  }

  invalidateFrame(frame: number): void {
    if (!isCodeFrame(this.ram, frame)) return;
    this.#counters.dropped++;
    this.#cache.dropFrame(frame);
    this.#kept?.forget(frame);
    this.#spaces.breakLinks();
  }

  /** Leaves what was translated to the store of CpuOptions. */
  saveTranslations(): void {
    this.#entriesChanged(this.#kept?.gather() ?? []);
    this.#kept?.save();
    this.#saveRuntime();
  }

  statistics(): Record<string, number> {
    return {
      ...this.#counters,
      loadedBlocks: this.#kept?.loadedBlocks ?? 0,
      ...this.#translator.counters,
      dispatches: this.ram.u32[COUNT_DISPATCHES >>> 2]!,
      slowExits: this.ram.u32[COUNT_SLOW >>> 2]!,
      retired: this.retired,
      tlbFills: this.ram.u32[COUNT_FILLS >>> 2]!,
      liveBlocks: this.#cache.liveBlocks,
      arenaBytes: this.#cache.arenaBytes,
    };
  }

  /** AccessOwner. */
  writesCode(frame: number): void {
    this.invalidateFrame(frame);
    this.#setBudgetAside();
  }

  #ext(id: number): number {
    this.#access.fault = 0;
    const result = this.#frontEnd.exts[id]!(this.#access);
    if (result === EXT_LEAVE) {
      this.#setBudgetAside();
      return 0;
    }
    // The access that failed knows whether the address was canonical.
    return result === TRAP_FAULT && this.#access.fault !== 0 ? this.#access.fault : result;
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
          if (trap === IS_SLOW) slow = 1;
          else if (trap !== 0) return trap;
          break;
        }
        case STATUS_HOT:
          this.#hot();
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
    const block = this.#entryAt(pc) ?? this.#blockAt(pc);
    if (typeof block === "number") return block;
    block.isTarget = true;
    const isNewPage = !this.#spaces.hasCode(pc);
    if (!this.#spaces.enterRegion(pc, block)) {
      const trap = this.#enterBlock(pc, block);
      if (trap !== 0) return trap;
    }
    if (isNewPage) this.#spaces.enterAround(pc, block.frame);
    return 0;
  }

  /** 0, or the trap of a failed fetch. */
  #enterBlock(pc: number, known: Block): number {
    const block = known.record === 0 ? this.#blockAt(pc) : known;
    if (typeof block === "number") return block;
    this.#spaces.enterBlock(pc, block);
    return 0;
  }

  /** The entry of a region at a guest address, perhaps one that the store has just given. */
  #entryAt(pc: number): Block | undefined {
    const known = this.known(pc);
    if (this.#kept === undefined || (known !== undefined && known.entry !== 0)) return known;
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    if (frame < 0) return undefined;
    this.#entriesChanged(this.#kept.offer(pc, frame, this.#mode));
    return this.known(pc);
  }

  /** The block at a mapped guest address, without bytecode when it is new. */
  #known(pc: number): Block {
    const known = this.known(pc);
    if (known !== undefined) return known;
    const cache = this.#cache;
    const block = newBlock(walk(this.ram, pc, ACCESS_EXEC), pc % PAGE_SIZE, this.#mode);
    if (cache.add(block, cache.arenaEnd)) this.#runtime.flushTlbWrites();
    return block;
  }

  /** The block at a guest address, or the trap that its fetch makes. */
  #blockAt(pc: number): Block | number {
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    if (frame < 0) return recordFault(this.ram, pc, ACCESS_EXEC);
    const known = this.#cache.find(frame, pc % PAGE_SIZE, this.#mode);
    if (known !== undefined && !known.isDead && known.record !== 0) {
      if (known.secondFrame < 0 || walk(this.ram, nextPage(pc), ACCESS_EXEC) === known.secondFrame) {
        return known;
      }
    }
    return this.#lift(pc, frame, known?.record === 0 && !known.isDead ? known : undefined);
  }

  /** `bare`: the block when it is known without bytecode. */
  #lift(pc: number, frame: number, bare: Block | undefined): Block | number {
    const kept = this.#kept?.straddling(pc, frame, this.#mode);
    if (kept !== undefined) return this.#takeStraddling(pc, bare ?? this.#known(pc), kept);
    const trap = this.#liftInto(pc, this.#blockInstructionsMax);
    if (trap !== 0) return trap;
    const cache = this.#cache;
    if (!cache.hasRoom(LOWERED_BYTES_MAX)) {
      cache.dropAll();
      this.#kept?.forgetAll();
      this.#counters.emptied++;
      this.#spaces.breakLinks();
    }
    const start = cache.arenaEnd;
    const hot = this.#hotEntries === 0 ? NEVER_HOT : this.#hotEntries;
    const end = this.#lowering.lower(this.#builder, start, hot, true);
    const block: Block = bare ?? this.#known(pc);
    this.#setTail(pc, block);
    const { terminator } = this.#lowering;
    setBytecode(block, {
      record: start + HEADER_BYTES,
      end,
      terminator,
      instructions: this.#builder.instructions,
    });
    if (cache.add(block, end)) this.#runtime.flushTlbWrites();
    linkBlock(this.ram, cache, block);
    this.#counters.lifted++;
    this.#counters.liftedInstructions += block.instructions;
    return block;
  }

  /** Of the block that was lifted last. */
  #setTail(pc: number, block: Block): void {
    setTail(block, this.#lifted.bytes, () => walk(this.ram, nextPage(pc), ACCESS_EXEC));
  }

  /** Bytecode that lies in the arena already becomes that of a block. */
  #takeStraddling(pc: number, block: Block, kept: KeptBlock): Block {
    block.secondFrame = walk(this.ram, nextPage(pc), ACCESS_EXEC);
    block.tailBytes = kept.tail.length;
    setBytecode(block, kept);
    if (this.#cache.add(block, this.#cache.arenaEnd)) this.#runtime.flushTlbWrites();
    linkBlock(this.ram, this.#cache, block);
    return block;
  }

  /** Lifts into the builder. 0, or the trap of a failed fetch. */
  #liftInto(
    pc: number,
    instructionsMax: number,
    fetch: Fetch = this.#fetch,
    mode: number = this.#mode,
  ): number {
    const builder = this.#builder;
    builder.begin(pc);
    this.#fetch.reset();
    const lifted = this.#lifted;
    lifted.bytes = 0;
    const limits = { instructionsMax, endPc: nextPage(pc) };
    this.#frontEnd.lift(builder, fetch, pc, limits, mode, lifted);
    return lifted.bytes > 0 ? 0 : recordFault(this.ram, lifted.faultPc, ACCESS_EXEC);
  }

  /** A region left the instruction at pc to the interpreter. */
  #slow(): number {
    const pc = this.ram.readU64(PC);
    const block = this.#blockAt(pc);
    if (typeof block === "number") return block;
    this.#spaces.enterSlow(pc, block);
    return 0;
  }

  /** A direct jump within its page asks for its target, which need not be in the jump cache for that. 0, IS_SLOW, or the trap. */
  #link(): number {
    this.#counters.links++;
    const slot = this.ram.u32[LINK_SLOT >>> 2]! >>> 2;
    const pc = this.ram.readU64(PC);
    const arenaBefore = this.#cache.arenaEnd;
    const found = this.#entryAt(pc) ?? this.#blockAt(pc);
    if (typeof found === "number") return found;
    const isRegion = this.#spaces.enterRegion(pc, found);
    const block = isRegion || found.record !== 0 ? found : this.#blockAt(pc);
    if (typeof block === "number") return block;
    if (!isRegion) this.#spaces.enterSlow(pc, block);
    const result = isRegion ? 0 : IS_SLOW;
    // The arena was emptied: the slot is gone.
    if (this.#cache.arenaEnd >= arenaBefore) this.ram.u32[slot + 1] = linkTo(block);
    return result;
  }

  /** The block at pc is worth translating: not at once, because regions made together cost less. */
  #hot(): void {
    const pc = this.ram.readU64(PC);
    const block = this.#entryAt(pc) ?? this.#blockAt(pc); // the store may have it
    if (typeof block === "number") return;
    const isTranslated = block.entry !== 0;
    this.ram.i32[(block.record - COUNT_BYTES) >>> 2] = isTranslated ? NEVER_HOT : HOT_AGAIN;
    if (isTranslated) return;
    if (this.#waitingPcs.size === 0) this.#waitingSince = this.#retired;
    this.#waitingPcs.add(pc);
    if (this.#waitingPcs.size >= this.#hotBatch * this.#patience && !this.#onDemand) this.translateHot();
  }

  /**
   * Translates what has become hot since, as one module. Called for tests with CpuOptions.translateOnDemand. Blocks
   * that only the current floating point mode has are taken.
   */
  translateHot(): void {
    this.#refreshMode();
    // The lowest first: where functions begin.
    const pcs = [...this.#waitingPcs].sort((a, b) => a - b);
    this.#waitingPcs.clear();
    this.#entriesChanged(this.#translator.translate(this, pcs, this.#frameOf));
  }

  /** Grows with the number of modules: each new one costs the engine time for every one that shares the table. */
  get #patience(): number {
    return 1 + this.#translator.counters.modules / PATIENT_MODULES;
  }

  readonly #frameOf = (pc: number): number => {
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    return frame < 0 ? -1 : frame + (pc % PAGE_SIZE);
  };

  /** Shared checks of a region fail often: by how often, they are worth less than they cost. */
  #slowOften(): void {
    const region = this.#translator.byData(this.ram.u32[LAST_DATA >>> 2]!);
    if (region === undefined) return;
    const since = this.retired - region.watchedSince;
    this.#translator.watchSlowExits(region, this.retired);
    if (since > SLOW_RARE) return;
    const anchorPc = this.ram.readU64(LAST_ANCHOR);
    this.#entriesChanged(this.#translator.ungroup(this, region, anchorPc, this.#frameOf));
  }

  /** Links past the regions' entries are undone; the jump cache forgets those entries, and regions that are gone. */
  #entriesChanged(regions: readonly Region[]): void {
    if (regions.length === 0) return;
    const records = new Set<number>();
    for (const region of regions) {
      for (const entry of region.entries) {
        if (entry.isEntered) records.add(entry.record);
        this.#cache.unlink(entry);
      }
    }
    if (this.#translator.takeDeaths() || records.size > 0) {
      this.#cache.purgeJumpCache((tableIndex, entry) =>
        tableIndex === 0 ? records.has(entry) : this.#translator.byData(entry & -DATA_ALIGNMENT) === undefined
      );
    }
    this.#spaces.breakLinks();
  }

  /** BlockSource: known blocks that have run a fair share of the times that make one hot. */
  heat(pc: number): number {
    const block = this.known(pc);
    return block === undefined ? -1 : heatOf(this.ram, block, this.#hotEntries);
  }

  take(pc: number): TakenBlock | undefined {
    // Lifting must not empty the arena here: what is being planned lies in it.
    const block = this.known(pc) ?? (this.#cache.hasRoom(LOWERED_BYTES_MAX) ? this.#blockAt(pc) : 0);
    if (typeof block === "number" || this.#liftInto(pc, this.#blockInstructionsMax) !== 0) return undefined;
    if (block.record === 0) {
      this.#setTail(pc, block);
      if (this.#cache.add(block, this.#cache.arenaEnd)) this.#runtime.flushTlbWrites();
    }
    return { block, ir: keepIr(this.#builder), targets: this.#indirectTargets(block) };
  }

  takeCallee(pc: number): TakenBlock | undefined {
    return this.known(pc) === undefined ? undefined : this.take(pc);
  }

  /** The live block at a guest address as it is mapped now. */
  known(pc: number): Block | undefined {
    const frame = walk(this.ram, pc, ACCESS_EXEC);
    if (frame < 0) return undefined;
    const block = this.#cache.find(frame, pc % PAGE_SIZE, this.#mode);
    if (block === undefined || block.isDead) return undefined;
    if (block.secondFrame >= 0 && walk(this.ram, nextPage(pc), ACCESS_EXEC) !== block.secondFrame) {
      return undefined;
    }
    return block;
  }

  /** Where the indirect jump at the end of the block went lately. */
  #indirectTargets(block: Block): number[] {
    if (
      block.record === 0 || this.#builder.terminator !== TERM_INDIRECT
      || this.#builder.termKind === JUMP_RETURN
    ) return [];
    return this.#readTargets(block.end - TARGETS_BYTES);
  }

  /** Guest addresses noted by generated code; 0 for none. */
  #readTargets(at: number): number[] {
    const targets: number[] = [];
    for (let n = 0; n < TARGETS; n++) targets.push(this.ram.readU64(at + n * 8));
    return targets.filter((pc) => pc !== 0);
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
      this.#lowering.lower(this.#builder, STEP_AREA, NEVER_HOT, false);
      // A budget of 1 ends the run after the instruction.
      this.ram.writeU64(BUDGET, 1);
      const status = this.#runtime.interpret(STEP_AREA + HEADER_BYTES);
      const used = this.#setAside > aside ? 1 : 1 - this.#budgetLeft;
      this.#setAside = aside;
      this.ram.writeU64(BUDGET, left - used);
      if (status !== STATUS_CODE_WRITE) {
        if (status === STATUS_CONTINUE) throw new Error("a step went past its instruction");
        if (status === STATUS_EXACT) return this.#stepExactly();
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
    this.#spaces.setMode(mode);
  }
}
