// SPDX-License-Identifier: Apache-2.0
// The locals of a region's function and the moves between them and the register file.
//
// Parameters: the guest address where it is entered, the entry word (data.ts), how many calls deep the host's stack may still
// grow, the budget, and the stack pointer, which code uses first, so that it need not come through memory (it is there as
// well). The anchor is the guest address of the region's first block; every address of the region
// is an offset from it. Results: the guest address to go on at, or STATUS_BASE + a status with everything in memory; and
// the budget.

import { CPU_BASE, CPU_STATE } from "../layout.ts";
import { CC_ASIDE, stateAddress } from "../runtime/status.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import { DATA_ALIGNMENT, OFFSETS_AT, OTHERS_USED_AT } from "./data.ts";
import type { RegisterSet } from "./dataflow.ts";
import type { RegisterUse } from "./ir-block.ts";

export const REGION_PARAMS: readonly number[] = [I64, I32, I32, I32, I64];
export const REGION_RESULTS: readonly number[] = [I64, I32];
export const PARAM_PC = 0;
export const PARAM_ENTRY = 1;
export const PARAM_DEPTH = 2;
export const PARAM_BUDGET = 3;
/** Registers that are passed, and the parameters that they are. */
export const PASSED: ReadonlyMap<number, number> = new Map([[4, 4]]);
export const STACK_POINTER = 4;
/** Whether flags in locals differ from those in memory. */
export type Differ = "no" | "maybe" | "surely";

/** In the local of ccOp. */
const CC_IN_MEMORY = -1;

export class RegionFrame {
  readonly f: Assembler = new Assembler(REGION_PARAMS, REGION_RESULTS);
  readonly use: RegisterUse;
  /** Local of register n (0..31), or -1. */
  readonly registers: Int32Array = new Int32Array(32).fill(-1);
  readonly anchor: number;
  /** Address of the region's data. */
  readonly data: number;
  /** Number of the entry that is on its way, 0 otherwise: data.ts, graph.ts. */
  readonly entry: number;
  readonly budget: number;
  /** Guest address, status: set before a branch to the exit. */
  readonly pc: number;
  readonly status: number;
  /** (offset of the instruction << 8) | its index in the block: set before anything that may leave. */
  readonly site: number;
  readonly ccOp: number;
  readonly ccA: number;
  readonly ccB: number;
  readonly hasCc: boolean;
  /** Flags that are aside: partial-flags.ts. */
  readonly partialCc: number;
  // Scratch of memory accesses.
  readonly va: number;
  readonly tlbEntry: number;
  /** i32: bit n set when register n differs from memory: set before anything that may leave. A constant each time, so that it costs
   *  nothing where nobody leaves. */
  readonly dirty: number;
  /** Never set. */
  readonly #zeroVector: number;
  readonly #freeByType = new Map<number, number[]>();

  constructor(use: RegisterUse) {
    const f = this.f;
    this.use = use;
    this.anchor = f.local(I64);
    this.pc = f.local(I64);
    this.va = f.local(I64);
    this.ccA = f.local(I64);
    this.ccB = f.local(I64);
    const touched = use.used | use.set;
    for (let n = 0; n < 16; n++) if ((touched & (1 << n)) !== 0) this.registers[n] = f.local(I64);
    this.data = f.local(I32);
    this.entry = f.local(I32);
    this.dirty = f.local(I32);
    this.budget = f.local(I32);
    this.status = f.local(I32);
    this.site = f.local(I32);
    this.ccOp = f.local(I32);
    this.partialCc = f.local(I32);
    this.tlbEntry = f.local(I32);
    this.#zeroVector = f.local(V128);
    for (let n = 16; n < 32; n++) if ((touched & (1 << n)) !== 0) this.registers[n] = f.local(V128);
    this.hasCc = use.setsCc || use.usesCc;
  }

  /** A local for a value of the block in progress. */
  take(type: number): number {
    return this.#freeByType.get(type)?.pop() ?? this.f.local(type);
  }

  give(type: number, local: number): void {
    const free = this.#freeByType.get(type);
    if (free === undefined) this.#freeByType.set(type, [local]);
    else free.push(local);
  }

  /** From the parameters: where the data is, which entry, the budget. `hasOther`: the first entry has another function. */
  enter(at: "first entry" | "any entry", hasOther: boolean): void {
    const f = this.f;
    f.get(PARAM_ENTRY);
    if (at === "any entry") {
      f.i32(-DATA_ALIGNMENT);
      f.op(W.i32_and);
      f.set(this.data);
      f.get(PARAM_ENTRY);
      f.i32(DATA_ALIGNMENT - 1);
      f.op(W.i32_and);
      f.set(this.entry);
      if (hasOther) {
        f.get(this.data);
        f.i32(1);
        f.memory(W.i32_store, OTHERS_USED_AT);
      }
    } else {
      f.set(this.data);
    }
    f.get(PARAM_BUDGET);
    f.set(this.budget);
  }

  /** The first entry is the anchor; how far the others are from it the data says. */
  setAnchor(at: "first entry" | "any entry"): void {
    const f = this.f;
    f.get(PARAM_PC);
    if (at === "any entry") {
      f.get(this.data);
      f.get(this.entry);
      f.i32(2);
      f.op(W.i32_shl);
      f.op(W.i32_add);
      f.memory(W.i64_load32_s, OFFSETS_AT);
      f.op(W.i64_sub);
    }
    f.set(this.anchor);
  }

  get touched(): number {
    return this.use.used | this.use.set;
  }

  /** Registers and flags at the function's start, where some come as parameters. */
  loadParameters(need: RegisterSet): void {
    const f = this.f;
    let rest = need.registers;
    for (const [n, parameter] of PASSED) {
      if ((rest & (1 << n)) === 0) continue;
      f.get(parameter);
      f.set(this.registers[n]!);
      rest &= ~(1 << n);
    }
    this.load(rest);
    this.setCc(need.cc);
  }

  /** The flags are those in memory: into their locals when they are needed. */
  setCc(isNeeded: boolean): void {
    if (isNeeded) this.#loadCc();
    else if (this.hasCc) this.forgetCc();
  }

  /** Registers from memory, where they do not differ. */
  load(registers: number): void {
    for (let n = 0; n < 32; n++) {
      if ((registers & (1 << n)) === 0) continue;
      this.pushFromMemory(n);
      this.f.set(this.registers[n]!);
    }
  }

  pushFromMemory(n: number): void {
    this.f.i32(CPU_BASE);
    this.f.memory(n < 16 ? W.i64_load : W.v128_load, registerOffset(n));
  }

  /** The flags are those in memory. */
  forgetCc(): void {
    this.f.i32(CC_IN_MEMORY);
    this.f.set(this.ccOp);
  }

  /**
   * Around a call that seldom happens: the operands of the flags, which mostly nobody will read, would else be put on the host's stack
   * where they are made, for the case that it does.
   */
  setCcAside(): void {
    if (!this.hasCc) return;
    const f = this.f;
    [this.ccA, this.ccB].forEach((local, n) => {
      f.i32(CC_ASIDE);
      f.get(local);
      f.memory(W.i64_store, n * 8);
    });
  }

  takeCcBack(): void {
    if (!this.hasCc) return;
    const f = this.f;
    [this.ccA, this.ccB].forEach((local, n) => {
      f.i32(CC_ASIDE);
      f.memory(W.i64_load, n * 8);
      f.set(local);
    });
  }

  loadBudget(): void {
    const f = this.f;
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    f.set(this.budget);
  }

  #loadCc(): void {
    const f = this.f;
    f.i32(CPU_BASE);
    f.memory(W.i32_load, CPU_STATE.ccOp);
    f.set(this.ccOp);
    f.i32(CPU_BASE);
    f.memory(W.i64_load, CPU_STATE.ccA);
    f.set(this.ccA);
    f.i32(CPU_BASE);
    f.memory(W.i64_load, CPU_STATE.ccB);
    f.set(this.ccB);
  }

  /** Registers to memory. */
  store(registers: number): void {
    for (let n = 0; n < 32; n++) if ((registers & (1 << n)) !== 0) this.#storeRegister(n);
  }

  /** Flags to memory, when they may differ from it. */
  storeCc(differ: Differ): void {
    if (differ === "surely") this.#storeCc();
    else if (differ === "maybe") this.#storeCcIfDirty();
  }

  /** To memory what differs by the mask. */
  storeByMask(): void {
    const f = this.f;
    for (let n = 0; n < 32; n++) {
      if ((this.use.set & (1 << n)) === 0) continue;
      f.get(this.dirty);
      f.i32(1 << n);
      f.op(W.i32_and);
      f.if_();
      this.#storeRegister(n);
      f.end();
    }
    if (this.use.setsCc) this.#storeCcIfDirty();
  }

  /** Engines need not keep what these locals hold. */
  drop(registers: number): void {
    const f = this.f;
    for (let n = 0; n < 32; n++) {
      if ((registers & (1 << n)) === 0) continue;
      if (n < 16) f.i64(0);
      else f.get(this.#zeroVector);
      f.set(this.registers[n]!);
    }
  }

  /** The same for the flags, which are those in memory. */
  dropCc(): void {
    const f = this.f;
    this.forgetCc();
    f.i64(0);
    f.set(this.ccA);
    f.i64(0);
    f.set(this.ccB);
  }

  /** What is in locals alone: before a branch to where all ways out meet. */
  setDirty(registers: number): void {
    this.f.i32(registers);
    this.f.set(this.dirty);
  }

  #storeRegister(n: number): void {
    this.f.i32(CPU_BASE);
    this.f.get(this.registers[n]!);
    this.f.memory(n < 16 ? W.i64_store : W.v128_store, registerOffset(n));
  }

  #storeCcIfDirty(): void {
    const f = this.f;
    f.get(this.ccOp);
    f.i32(CC_IN_MEMORY);
    f.op(W.i32_ne);
    f.if_();
    this.#storeCc();
    f.end();
  }

  #storeCc(): void {
    const f = this.f;
    f.i32(CPU_BASE);
    f.get(this.ccOp);
    f.op(W.i64_extend_i32_u);
    f.memory(W.i64_store, CPU_STATE.ccOp);
    f.i32(CPU_BASE);
    f.get(this.ccA);
    f.memory(W.i64_store, CPU_STATE.ccA);
    f.i32(CPU_BASE);
    f.get(this.ccB);
    f.memory(W.i64_store, CPU_STATE.ccB);
  }

  storePc(): void {
    const f = this.f;
    f.i32(CPU_BASE);
    f.get(this.pc);
    f.memory(W.i64_store, CPU_STATE.pc);
  }

  storeBudget(): void {
    const f = this.f;
    f.i32(CPU_BASE);
    f.get(this.budget);
    f.op(W.i64_extend_i32_s);
    f.memory(W.i64_store, CPU_STATE.budget);
  }

  /** pc = anchor + offset. */
  setPc(offset: number): void {
    this.pushAddress(offset);
    this.f.set(this.pc);
  }

  pushAddress(offset: number): void {
    const f = this.f;
    f.get(this.anchor);
    if (offset === 0) return;
    f.i64(offset);
    f.op(W.i64_add);
  }
}

export function registerOffset(n: number): number {
  return n < 16 ? CPU_STATE.gpr + n * 8 : CPU_STATE.xmm + (n - 16) * 16;
}
