// SPDX-License-Identifier: Apache-2.0
// The locals of a region's function and the moves between them and the register file.
//
// Parameter 0 is the entry word: index in the dispatcher's table | (offset from the anchor << 8). The anchor is
// the guest address of the region's first block; every address of the region is an offset from it.

import { CPU_BASE, CPU_STATE } from "../layout.ts";
import { stateAddress } from "../runtime/status.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import type { RegisterUse } from "./ir-block.ts";

export class RegionFrame {
  readonly f: Assembler = new Assembler([I32], [I32]);
  readonly use: RegisterUse;
  /** Local of register n (0..31), or -1. */
  readonly registers: Int32Array = new Int32Array(32).fill(-1);
  readonly anchor: number;
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
  // Scratch of memory accesses.
  readonly va: number;
  readonly tlbEntry: number;
  /** Guest address of a writable page of the stack, and what turns addresses in it into host addresses. */
  readonly stackPage: number;
  readonly stackAddend: number;
  readonly #freeByType = new Map<number, number[]>();

  constructor(use: RegisterUse) {
    const f = this.f;
    this.use = use;
    this.anchor = f.local(I64);
    this.pc = f.local(I64);
    this.va = f.local(I64);
    this.ccA = f.local(I64);
    this.ccB = f.local(I64);
    this.stackPage = f.local(I64);
    const touched = use.used | use.set;
    for (let n = 0; n < 16; n++) if ((touched & (1 << n)) !== 0) this.registers[n] = f.local(I64);
    this.budget = f.local(I32);
    this.status = f.local(I32);
    this.site = f.local(I32);
    this.ccOp = f.local(I32);
    this.tlbEntry = f.local(I32);
    this.stackAddend = f.local(I32);
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

  /** Registers, flags and budget from memory. */
  loadState(): void {
    const f = this.f;
    for (let n = 0; n < 32; n++) {
      if (this.registers[n]! < 0) continue;
      f.i32(CPU_BASE);
      f.memory(n < 16 ? W.i64_load : W.v128_load, registerOffset(n));
      f.set(this.registers[n]!);
    }
    if (this.hasCc) {
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
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    f.set(this.budget);
    f.i64Halves(0x1235_6000, 0x8765_4321 | 0); // not canonical: no page
    f.set(this.stackPage);
  }

  /** Modified registers and flags to memory. */
  storeState(): void {
    const f = this.f;
    for (let n = 0; n < 32; n++) {
      if ((this.use.set & (1 << n)) === 0) continue;
      f.i32(CPU_BASE);
      f.get(this.registers[n]!);
      f.memory(n < 16 ? W.i64_store : W.v128_store, registerOffset(n));
    }
    if (this.use.setsCc) {
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
  }

  storePcAndBudget(): void {
    const f = this.f;
    f.i32(CPU_BASE);
    f.get(this.pc);
    f.memory(W.i64_store, CPU_STATE.pc);
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
