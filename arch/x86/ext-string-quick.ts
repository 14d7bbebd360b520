// SPDX-License-Identifier: Apache-2.0
// REP MOVS and REP STOS in WebAssembly: what compilers and C libraries copy and clear with. Forwards, with 64-bit addresses
// and no segment, no element across pages, and none that is written to before all of it was read; ext-string.ts does the rest,
// and ext-compare-quick.ts what only looks.
//
// Invariant: the registers are moved on after each piece that lies within a page of each operand, so that the rest can be left at any of them.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, TLB_READ, TLB_WRITE } from "../../virt/layout.ts";
import { pushTlbHit } from "../../virt/runtime/inline.ts";
import { Assembler } from "../../virt/wasm/assembler.ts";
import { I32, I64, VOID, W } from "../../virt/wasm/opcodes.ts";
import {
  RAX,
  RCX,
  RDI,
  RSI,
  RUN_MAX,
  STRING_CMPS,
  STRING_MOVS,
  STRING_SCAS,
  STRING_STOS,
} from "./ext-string.ts";

/** As ext-string.ts has them: the job, and the base of the source's segment. */
const JOB = CPU_BASE + CPU_STATE.scratch;
const SEGMENT_BASE = JOB + 16;
const KIND_MASK = 0xff;
const SIZE_MASK = 0xff00;
const SIZE_SHIFT = 8;
const ADDRESS_32_SHIFT = 24;
/** From so many bytes on an engine's own copying and filling are worth their calls. */
const BULK_BYTES = 256;
const WORD_BYTES = 8;

/** The size of elements in bytes, by what a smaller one is multiplied with to fill a word. */
const REPLICAS: ReadonlyArray<readonly [size: number, mask: bigint, factor: bigint]> = [
  [1, 0xffn, 0x0101_0101_0101_0101n],
  [2, 0xffffn, 0x0001_0001_0001_0001n],
  [4, 0xffff_ffffn, 0x0000_0001_0000_0001n],
];

/** `fillTlb`: as QuickContext has it. `compare`: index of what does CMPS and SCAS. */
export function emitQuickRepString(fillTlb: number, compare: number): Assembler {
  return new QuickRepString(fillTlb, compare).emit();
}

class QuickRepString {
  readonly #fillTlb: number;
  readonly #compare: number;
  readonly #f = new Assembler([], [I32]);
  readonly #job = this.#f.local(I32);
  readonly #kind = this.#f.local(I32);
  /** Of an element, as the number of a bit. */
  readonly #sizeLog = this.#f.local(I32);
  /** All that is to be done, and of that the piece at hand. */
  readonly #rest = this.#f.local(I32);
  readonly #bytes = this.#f.local(I32);
  readonly #address = this.#f.local(I64);
  readonly #entry = this.#f.local(I32);
  /** Host addresses. */
  readonly #to = this.#f.local(I32);
  readonly #from = this.#f.local(I32);
  /** How far behind the source the target is; one before it is far behind. */
  readonly #distance = this.#f.local(I32);
  /** Of the piece. */
  readonly #left = this.#f.local(I32);
  /** What is stored, as often as a word has room for it. */
  readonly #word = this.#f.local(I64);

  constructor(fillTlb: number, compare: number) {
    this.#fillTlb = fillTlb;
    this.#compare = compare;
  }

  emit(): Assembler {
    const f = this.#f;
    this.#passComparisons();
    const other = f.block();
    const done = f.block();
    this.#readJob(other);
    const next = f.loop();
    f.get(this.#rest);
    f.op(W.i32_eqz);
    f.brIf(done);
    this.#cut(other);
    f.get(this.#bytes);
    f.set(this.#left);
    this.#ifMoves();
    this.#find(RSI, ACCESS_READ, this.#from, other);
    this.#find(RDI, ACCESS_WRITE, this.#to, other);
    this.#leaveOverlap(other);
    this.#copy();
    this.#advance(RSI);
    f.else_();
    this.#find(RDI, ACCESS_WRITE, this.#to, other);
    this.#store();
    f.end();
    this.#advance(RDI);
    this.#countDown();
    f.br(next);
    f.end();
    f.end();
    f.i32(1);
    f.return_();
    f.end();
    f.i32(0);
    return f;
  }

  /** Leaves to the other function what only looks. */
  #passComparisons(): void {
    const f = this.#f;
    for (const kind of [STRING_CMPS, STRING_SCAS]) {
      f.i32(0);
      f.memory(W.i32_load8_u, JOB);
      f.i32(kind);
      f.op(W.i32_eq);
      f.if_();
      f.call(this.#compare);
      f.return_();
      f.end();
    }
  }

  /** The kind, and how many bytes; leaves for what is not done here. */
  #readJob(other: number): void {
    const f = this.#f;
    f.i32(0);
    f.memory(W.i32_load, JOB);
    f.tee(this.#job);
    f.i32(KIND_MASK);
    f.op(W.i32_and);
    f.tee(this.#kind);
    f.i32(STRING_MOVS);
    f.op(W.i32_ne);
    f.get(this.#kind);
    f.i32(STRING_STOS);
    f.op(W.i32_ne);
    f.op(W.i32_and);
    f.get(this.#job);
    f.i32(ADDRESS_32_SHIFT);
    f.op(W.i32_shr_u);
    f.op(W.i32_or);
    f.i32(0);
    f.memory(W.i32_load, CPU_BASE + CPU_STATE.df);
    f.op(W.i32_or);
    f.brIf(other);
    f.i32(0);
    f.memory(W.i64_load, SEGMENT_BASE);
    f.op(W.i64_eqz);
    f.op(W.i32_eqz);
    f.i32(0);
    f.memory(W.i64_load, RCX);
    f.i64(RUN_MAX); // with more the instruction takes several calls, which are counted
    f.op(W.i64_gt_u);
    f.op(W.i32_or);
    f.brIf(other);
    f.i32(0);
    f.memory(W.i32_load, RCX);
    f.get(this.#job);
    f.i32(SIZE_MASK);
    f.op(W.i32_and);
    f.op(W.i32_ctz);
    f.i32(SIZE_SHIFT);
    f.op(W.i32_sub);
    f.tee(this.#sizeLog);
    f.op(W.i32_shl);
    f.set(this.#rest);
  }

  #ifMoves(): void {
    const f = this.#f;
    f.get(this.#kind);
    f.i32(STRING_MOVS);
    f.op(W.i32_eq);
    f.if_();
  }

  /** As many elements as lie within a page of each operand; leaves when that is none. */
  #cut(other: number): void {
    const f = this.#f;
    f.get(this.#rest);
    f.set(this.#bytes);
    this.#cutAtPage(RDI);
    this.#ifMoves();
    this.#cutAtPage(RSI);
    f.end();
    f.get(this.#bytes);
    f.i32(-1);
    f.get(this.#sizeLog);
    f.op(W.i32_shl);
    f.op(W.i32_and);
    f.tee(this.#bytes);
    f.op(W.i32_eqz);
    f.brIf(other);
  }

  #cutAtPage(register: number): void {
    const f = this.#f;
    f.i32(PAGE_SIZE);
    f.i32(0);
    f.memory(W.i32_load, register);
    f.i32(PAGE_SIZE - 1);
    f.op(W.i32_and);
    f.op(W.i32_sub);
    f.tee(this.#left);
    f.get(this.#bytes);
    f.get(this.#left);
    f.get(this.#bytes);
    f.op(W.i32_lt_u);
    f.op(W.select);
    f.set(this.#bytes);
  }

  /** The host address of an operand. */
  #find(register: number, access: Access, host: number, other: number): void {
    const f = this.#f;
    const tlb = access === ACCESS_WRITE ? TLB_WRITE : TLB_READ;
    f.i32(0);
    f.memory(W.i64_load, register);
    f.set(this.#address);
    pushTlbHit(f, tlb, 0, this.#address, this.#entry, () => {
      f.get(this.#bytes);
      f.op(W.i64_extend_i32_u);
    });
    f.if_();
    f.get(this.#entry);
    f.memory(W.i32_load, tlb + 8);
    f.get(this.#address);
    f.op(W.i32_wrap_i64);
    f.op(W.i32_add);
    f.set(host);
    f.else_();
    f.get(this.#address);
    f.i32(access);
    f.call(this.#fillTlb);
    f.tee(host);
    f.op(W.i32_eqz);
    f.brIf(other);
    f.get(host);
    f.get(this.#address);
    f.op(W.i32_wrap_i64);
    f.i32(PAGE_SIZE - 1);
    f.op(W.i32_and);
    f.op(W.i32_add);
    f.set(host);
    f.end();
  }

  /** Leaves for a target within the first element of the source. */
  #leaveOverlap(other: number): void {
    const f = this.#f;
    f.get(this.#to);
    f.get(this.#from);
    f.op(W.i32_sub);
    f.tee(this.#distance);
    f.i32(1);
    f.get(this.#sizeLog);
    f.op(W.i32_shl);
    f.op(W.i32_lt_u);
    f.brIf(other);
  }

  /** In the order of addresses, which is right for a target before its source; what was written of the source is read again for one within it. */
  #copy(): void {
    const f = this.#f;
    this.#pushIsLong();
    f.get(this.#distance);
    f.get(this.#bytes);
    f.op(W.i32_ge_u);
    f.op(W.i32_and);
    f.if_(VOID);
    f.get(this.#to);
    f.get(this.#from);
    f.get(this.#bytes);
    f.memoryCopy();
    f.else_();
    f.get(this.#distance);
    f.i32(WORD_BYTES);
    f.op(W.i32_ge_u);
    f.if_(VOID);
    this.#whileLeft(WORD_BYTES, () => {
      f.get(this.#to);
      f.get(this.#from);
      f.memory(W.i64_load, 0);
      f.memory(W.i64_store, 0);
      this.#move(this.#from, WORD_BYTES);
    });
    f.end();
    this.#whileLeft(1, () => {
      f.get(this.#to);
      f.get(this.#from);
      f.memory(W.i32_load8_u, 0);
      f.memory(W.i32_store8, 0);
      this.#move(this.#from, 1);
    });
    f.end();
  }

  #store(): void {
    const f = this.#f;
    this.#replicate();
    this.#pushIsLong();
    f.if_(VOID);
    // One byte over and over.
    f.get(this.#word);
    f.get(this.#word);
    f.i64(WORD_BYTES);
    f.op(W.i64_rotl);
    f.op(W.i64_eq);
    f.if_();
    f.get(this.#to);
    f.get(this.#word);
    f.op(W.i32_wrap_i64);
    f.get(this.#bytes);
    f.memoryFill();
    f.i32(0);
    f.set(this.#left);
    f.end();
    f.end();
    this.#whileLeft(WORD_BYTES, () => {
      f.get(this.#to);
      f.get(this.#word);
      f.memory(W.i64_store, 0);
    });
    this.#whileLeft(1, () => {
      f.get(this.#to);
      f.get(this.#word);
      f.op(W.i32_wrap_i64);
      f.memory(W.i32_store8, 0);
      f.get(this.#word);
      f.i64(WORD_BYTES);
      f.op(W.i64_shr_u);
      f.set(this.#word);
    });
  }

  #replicate(): void {
    const f = this.#f;
    f.i32(0);
    f.memory(W.i64_load, RAX);
    f.set(this.#word);
    for (const [size, mask, factor] of REPLICAS) {
      f.get(this.#job);
      f.i32(SIZE_MASK);
      f.op(W.i32_and);
      f.i32(size << SIZE_SHIFT);
      f.op(W.i32_eq);
      f.if_();
      f.get(this.#word);
      f.i64Halves(Number(mask), 0);
      f.op(W.i64_and);
      f.i64Halves(Number(factor & 0xffff_ffffn), Number(factor >> 32n));
      f.op(W.i64_mul);
      f.set(this.#word);
      f.end();
    }
  }

  #pushIsLong(): void {
    const f = this.#f;
    f.get(this.#bytes);
    f.i32(BULK_BYTES);
    f.op(W.i32_ge_u);
  }

  /** Does something with `bytes` at #to, and goes on behind them, while as many are left. */
  #whileLeft(bytes: number, act: () => void): void {
    const f = this.#f;
    const done = f.block();
    const loop = f.loop();
    f.get(this.#left);
    f.i32(bytes);
    f.op(W.i32_lt_u);
    f.brIf(done);
    act();
    this.#move(this.#to, bytes);
    this.#move(this.#left, -bytes);
    f.br(loop);
    f.end();
    f.end();
  }

  #move(local: number, bytes: number): void {
    const f = this.#f;
    f.get(local);
    f.i32(bytes);
    f.op(W.i32_add);
    f.set(local);
  }

  #countDown(): void {
    const f = this.#f;
    f.get(this.#rest);
    f.get(this.#bytes);
    f.op(W.i32_sub);
    f.set(this.#rest);
    f.i32(0);
    f.get(this.#rest);
    f.get(this.#sizeLog);
    f.op(W.i32_shr_u);
    f.op(W.i64_extend_i32_u);
    f.memory(W.i64_store, RCX);
  }

  #advance(register: number): void {
    const f = this.#f;
    f.i32(0);
    f.i32(0);
    f.memory(W.i64_load, register);
    f.get(this.#bytes);
    f.op(W.i64_extend_i32_u);
    f.op(W.i64_add);
    f.memory(W.i64_store, register);
  }
}
