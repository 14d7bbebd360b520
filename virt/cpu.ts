// SPDX-License-Identifier: Apache-2.0
// The CPU of the machine: runs guest code until something needs the kernel.
//
// The loop: generated code runs (virt/runtime, virt/interp, virt/translate) until a status; missing code is found
// or made (mapped-code.ts), jumps are linked, hot blocks go to the translator (regions.ts), stores into code are stepped.
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
import { type Block, CodeCache, STEP_AREA } from "./cache.ts";
import { EXT_LEAVE, EXT_YIELD, type FrontEnd, MODE_EXACT, type QuickExts, STATUS_EXACT } from "./frontend.ts";
import { type AccessOwner, ExtAccess } from "./guest-access.ts";
import { HEADER_BYTES } from "./interp/bytecode.ts";
import { linkTo } from "./interp/links.ts";
import { writeTables } from "./interp/steps.ts";
import { KeptCode } from "./kept-code.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, pageOffset } from "./layout.ts";
import { MappedCode } from "./mapped-code.ts";
import { type CpuOptions, HOT_BATCH, HOT_ENTRIES, REGION_LIMITS } from "./options.ts";
import { Regions } from "./regions.ts";
import { makeRuntime, type Runtime } from "./runtime/kept.ts";
import type { RuntimeExports } from "./runtime/instance.ts";
import {
  APART_AT,
  APART_COUNT,
  CODE_WRITE_BYTES,
  COUNT_DISPATCHES,
  COUNT_FILLS,
  COUNT_SLOW,
  LINK_SLOT,
  PAUSES,
  STACK_ASKED,
  STACK_ASKED_AT,
  STATUS_CODE_WRITE,
  STATUS_CONTINUE,
  STATUS_HOT,
  STATUS_LINK,
  STATUS_MISS,
  STATUS_SLOW,
  STATUS_SLOW_OFTEN,
} from "./runtime/status.ts";
import { AddressSpaces } from "./spaces.ts";
import { Translator } from "./translate/translator.ts";
import { clearTlb, dropTlbEntries, isCodeFrame, recordFault, walk } from "./walk.ts";

/** Instructions between two visits of TypeScript: V8 replaces running code only when it is entered again. */
const SLICE = 1_000_000;
/** So often the window of the stack may be asked for in a slice. */
const STACK_ASKED_OFTEN = 1000;
/** In the place of a trap: the block at pc is in the slow cache. */
const IS_SLOW = -1;
const BIG_FLUSH_PAGES = 512;
/** An instruction that still finds code after so many tries writes more than it said. */
const TRIES_MAX = 4;

export type { CpuOptions } from "./options.ts";

const NO_QUICK_EXTS: QuickExts = () => new Map();
const PC = CPU_BASE + CPU_STATE.pc;
const BUDGET = CPU_BASE + CPU_STATE.budget;

export class WasmCpu implements Cpu, AccessOwner {
  readonly ram: Ram;
  readonly #frontEnd: FrontEnd;
  readonly #cache: CodeCache;
  readonly #spaces: AddressSpaces;
  readonly #access: ExtAccess;
  readonly #runtime: RuntimeExports;
  readonly #saveRuntime: Runtime["save"];
  readonly #code: MappedCode;
  readonly #translator: Translator;
  readonly #kept: KeptCode | undefined;
  readonly #regions: Regions;
  #gatherPages: (address: number) => boolean = () => false;
  #retired = 0;
  /** What run() last put into the budget in memory. */
  #granted = 0;
  /** Budget put aside by an ext that wants translated code to be left. */
  #setAside = 0;
  /** An ext wants the run to end. */
  #yields = false;
  readonly #counters = { misses: 0, links: 0, codeWrites: 0, dropped: 0, steps: 0, slices: 0 };

  constructor(ram: Ram, frontEnd: FrontEnd, options: CpuOptions = {}) {
    this.ram = ram;
    this.#frontEnd = frontEnd;
    const cache = (this.#cache = new CodeCache(ram));
    const spaces = (this.#spaces = new AddressSpaces(ram, cache));
    this.#access = new ExtAccess(this);
    const { hotEntries = HOT_ENTRIES, hotBatch = HOT_BATCH, translateOnDemand = false, store } = options;
    const compile = options.compile ?? ((bytes): WebAssembly.Module => new WebAssembly.Module(bytes));
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1024 });
    const ext = (id: number): number => this.#ext(id);
    const { quickExts = NO_QUICK_EXTS } = frontEnd;
    const runtime = makeRuntime(quickExts, compile, { memory: ram.memory, table, ext }, store);
    this.#runtime = runtime.exports;
    this.#saveRuntime = runtime.save;
    const flushTlbWrites = (): void => this.#runtime.flushTlbWrites();
    const { blockInstructionsMax = 64, regionLimits = REGION_LIMITS } = options;
    const owner = { ram, cache, spaces, flushTlbWrites, hotEntries };
    const code = (this.#code = new MappedCode({ ...owner, frontEnd, blockInstructionsMax }));
    const translator = (this.#translator = new Translator(
      {
        ram,
        table,
        imports: { ...this.#runtime },
        compile,
        compileSettled: (bytes) => store?.compileSettled?.(bytes) ?? compile(bytes),
      },
      cache,
      regionLimits,
    ));
    const kept = store === undefined ? undefined : new KeptCode(store, { ...owner, translator, code });
    this.#kept = code.earlier = kept;
    this.#regions = new Regions({ ...owner, code, translator, kept, hotBatch, translateOnDemand });
    clearTlb(ram);
    writeTables(ram);
  }

  get retired(): number {
    return this.#retired + (this.#granted === 0 ? 0 : this.#granted - this.#setAside - this.#budgetLeft());
  }

  get trapAddress(): number {
    return this.ram.readU64(CPU_BASE + CPU_STATE.trapAddress);
  }

  get trapAddress64(): bigint {
    return this.ram.view.getBigUint64(CPU_BASE + CPU_STATE.trapAddress, true);
  }

  get trapAccess(): Access {
    const access = this.ram.i32[(CPU_BASE + CPU_STATE.trapAccess) >>> 2];
    return access === ACCESS_WRITE ? ACCESS_WRITE : access === ACCESS_EXEC ? ACCESS_EXEC : ACCESS_READ;
  }

  setAddressSpace(root: number, mmId: number): void {
    if (this.#spaces.isCurrent(root, mmId)) return;
    this.#regions.forgetHot();
    this.#spaces.switchTo(root, mmId);
    this.#runtime.flushTlb();
  }

  endAddressSpace(mmId: number): void {
    this.#spaces.end(mmId);
  }

  run(budget: number): number {
    this.#refreshMode();
    this.ram.u32[PAUSES >>> 2] = 0;
    this.#yields = false;
    let left = budget;
    for (;;) {
      const before = this.#retired;
      this.#grant(Math.min(left, SLICE));
      const trap = this.#runSlice();
      const isOver = this.#setAside === 0;
      this.#settle();
      left -= this.#retired - before;
      if (this.#regions.isOverdue(this.#retired)) this.translateHot();
      if (trap !== TRAP_PREEMPTED) return trap;
      if (isOver) this.#endSlice();
      if (left <= 0 || this.#yields) return trap;
    }
  }

  /** The budget ran out, at no place that was chosen. */
  #endSlice(): void {
    this.#regions.sample(this.ram.readU64(PC));
    this.#lookAtStack();
    this.#counters.slices++;
  }

  gatherPagesBy(gather: (address: number) => boolean): void {
    this.#gatherPages = gather;
  }

  /** Checks of a region fail often: what lies apart in RAM is brought into a row, or the region has to see to it. */
  #slowOften(): void {
    const { u32 } = this.ram;
    const apart = u32[APART_COUNT >>> 2]!;
    u32[APART_COUNT >>> 2] = 0;
    this.#regions.slowOften(this.retired, this.#gatherApart() ? 0 : apart);
  }

  /** Whether what an access found apart lies in a row now. */
  #gatherApart(): boolean {
    const address = this.ram.readU64(APART_AT);
    this.ram.writeU64(APART_AT, 0);
    return address !== 0 && this.#gatherPages(address);
  }

  /** Between two slices: the window of the stack is asked for often where calls and returns go to and fro between pages that are apart. */
  #lookAtStack(): void {
    const { u32 } = this.ram;
    if (u32[STACK_ASKED >>> 2]! > STACK_ASKED_OFTEN) this.#gatherPages(this.ram.readU64(STACK_ASKED_AT));
    u32[STACK_ASKED >>> 2] = 0;
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

  /** Leaves what was translated to the store of CpuOptions. `isEnd`: no guest code runs any more, so that it may take its time. */
  saveTranslations(isEnd: boolean): void {
    this.#regions.save(isEnd);
    this.#saveRuntime(isEnd);
  }

  statistics(): Record<string, number> {
    return {
      ...this.#counters,
      ...this.#code.counters,
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
    if (result === EXT_LEAVE || result === EXT_YIELD) {
      this.#setBudgetAside();
      this.#yields = result === EXT_YIELD;
      return 0;
    }
    // The access that failed knows whether the address was canonical.
    return result === TRAP_FAULT && this.#access.fault !== 0 ? this.#access.fault : result;
  }

  /** The block in progress ends as if the budget were used up; #settle gives it back. */
  #setBudgetAside(): void {
    this.#setAside += this.#budgetLeft();
    this.ram.writeU64(BUDGET, 0);
  }

  #budgetLeft(): number {
    return this.ram.i32[BUDGET >>> 2]!;
  }

  #grant(budget: number): void {
    this.#granted = budget;
    this.#setAside = 0;
    this.#setBudget(budget);
  }

  /** What is granted fits 31 bits. */
  #setBudget(budget: number): void {
    const { i32 } = this.ram;
    i32[BUDGET >>> 2] = budget;
    i32[(BUDGET >>> 2) + 1] = 0;
  }

  /** Books what was retired since #grant. */
  #settle(): void {
    this.#retired += this.#granted - this.#setAside - this.#budgetLeft();
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
          this.#dropWritten(0);
          const trap = this.#stepOnce();
          if (trap !== TRAP_PREEMPTED) return trap;
          if (this.#budgetLeft() <= 0) return TRAP_PREEMPTED;
          break;
        }
        case STATUS_EXACT: {
          const trap = this.#stepExactly();
          if (trap !== TRAP_PREEMPTED) return trap;
          if (this.#budgetLeft() <= 0) return TRAP_PREEMPTED;
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
    const block = this.#regions.entryAt(pc) ?? this.#code.blockAt(pc);
    if (typeof block === "number") return block;
    this.#cache.noteTarget(block);
    if (!this.#spaces.enterRegion(pc, block)) {
      const trap = this.#enterBlock(pc, block);
      if (trap !== 0) return trap;
    }
    this.#spaces.enterAround(pc, block.frame);
    return 0;
  }

  /** 0, or the trap of a failed fetch. */
  #enterBlock(pc: number, known: Block): number {
    const block = known.record === 0 ? this.#code.blockAt(pc) : known;
    if (typeof block === "number") return block;
    this.#spaces.enterBlock(pc, block);
    return 0;
  }

  /** A region left the instruction at pc to the interpreter. */
  #slow(): number {
    const pc = this.ram.readU64(PC);
    const known = this.#code.known(pc);
    if (known === undefined || known.record === 0) this.#regions.entryAt(pc); // the store may have it
    const block = this.#code.blockAt(pc);
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
    const found = this.#regions.entryAt(pc) ?? this.#code.blockAt(pc);
    if (typeof found === "number") return found;
    const isRegion = this.#spaces.enterRegion(pc, found);
    const block = isRegion || found.record !== 0 ? found : this.#code.blockAt(pc);
    if (typeof block === "number") return block;
    if (!isRegion) this.#spaces.enterSlow(pc, block);
    const result = isRegion ? 0 : IS_SLOW;
    // The arena was emptied: the slot is gone.
    if (this.#cache.arenaEnd >= arenaBefore) this.ram.u32[slot + 1] = linkTo(block);
    return result;
  }

  /** The block at pc has run often. */
  #hot(): void {
    if (this.#regions.noteHot(this.ram.readU64(PC), this.#retired)) this.translateHot();
  }

  /** Called for tests with CpuOptions.translateOnDemand. Blocks that only the current floating point mode has are taken. */
  translateHot(): void {
    this.#refreshMode();
    this.#regions.translateHot();
  }

  /** Drops the code that a store was about to change: of the whole frame, or where that is watched what the store writes. `tries` of the same instruction went before. */
  #dropWritten(tries: number): void {
    this.#counters.codeWrites++;
    const { trapAddress } = this;
    const frame = walk(this.ram, trapAddress, ACCESS_WRITE);
    if (frame < 0) return;
    const { written } = this.#cache;
    const bytes = tries < TRIES_MAX ? this.ram.u32[CODE_WRITE_BYTES >>> 2]! : 0;
    const isOver = written.isOver(frame);
    if (bytes > 0 && written.isWatched(frame) && !isOver) {
      const from = pageOffset(trapAddress);
      if (this.#cache.dropBytes(frame, from, from + bytes)) this.#spaces.breakLinks();
      written.open(frame, from, from + bytes);
      return;
    }
    this.invalidateFrame(frame);
    if (bytes > 0 && !isOver && written.noteDrop(frame)) this.#cache.protect(frame);
  }

  /** The instruction at pc met a value that only MODE_EXACT handles. */
  #stepExactly(): number {
    this.#code.mode = MODE_EXACT;
    const trap = this.#stepOnce();
    this.#refreshMode();
    return trap;
  }

  /** One instruction at pc, not cached. TRAP_PREEMPTED when it is done. */
  #stepOnce(): number {
    this.#counters.steps++;
    const left = this.#budgetLeft();
    const aside = this.#setAside;
    for (let tries = 1;; tries++) {
      const pc = this.ram.readU64(PC);
      if (walk(this.ram, pc, ACCESS_EXEC) < 0) return recordFault(this.ram, pc, ACCESS_EXEC);
      const trap = this.#code.lowerStep(pc);
      if (trap !== 0) return trap;
      // A budget of 1 ends the run after the instruction.
      this.ram.writeU64(BUDGET, 1);
      const status = this.#runtime.interpret(STEP_AREA + HEADER_BYTES);
      const used = this.#setAside > aside ? 1 : 1 - this.#budgetLeft();
      this.#setAside = aside;
      this.ram.writeU64(BUDGET, left - used);
      if (status !== STATUS_CODE_WRITE) {
        this.#cache.written.close();
        if (status === STATUS_CONTINUE) throw new Error("a step went past its instruction");
        if (status === STATUS_EXACT) return this.#stepExactly();
        this.#refreshMode();
        return status;
      }
      this.#dropWritten(tries);
    }
  }

  #refreshMode(): void {
    const mode = this.#frontEnd.mode(this.ram);
    if (mode === this.#code.mode) return;
    this.#code.mode = mode;
    this.#spaces.setMode(mode);
  }
}
