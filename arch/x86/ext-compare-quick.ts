// SPDX-License-Identifier: Apache-2.0
// REP CMPS and REP SCAS in WebAssembly, eight bytes at a time: forwards, with 64-bit addresses and no segment, no element across pages; ext-string.ts does
// the rest.
//
// Invariant: registers and flags are those of what has been compared after each piece that lies within a page of each operand, so that the rest can
// be left at any of them.

import { ACCESS_READ } from "../../include/linux/cpu.ts";
import { CC_SUB, ccOp } from "../../virt/ir/cc.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE } from "../../virt/layout.ts";
import type { Assembler } from "../../virt/wasm/assembler.ts";
import type { Operand, Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { RAX, RCX, RDI, RSI, RUN_MAX, STRING_CMPS } from "./ext-string.ts";
import { GuestMemory } from "./quick-access.ts";
import { QuickCode } from "./quick-code.ts";

/** As ext-string.ts has them: the job, and the base of the source's segment. */
const JOB = CPU_BASE + CPU_STATE.scratch;
const SEGMENT_BASE = JOB + 16;
const ADDRESS_32_SHIFT = 24;
const WORD_BYTES = 8;
/** By the logarithm of their size: elements of 1 in all of a word, as halves, and how one is loaded. */
const ELEMENTS: ReadonlyArray<readonly [low: number, high: number, load: number]> = [
  [0x0101_0101, 0x0101_0101, W.i64_load8_u],
  [0x0001_0001, 0x0001_0001, W.i64_load16_u],
  [1, 1, W.i64_load32_u],
  [1, 0, W.i64_load],
];

/** () -> 1 when the comparison that CPU_STATE.scratch describes is done, 0 when some of it is left. */
export function emitQuickCompare(fillTlb: number): Assembler {
  return new QuickCompare(fillTlb).make();
}

class QuickCompare extends QuickCode {
  readonly #memory: GuestMemory;
  readonly #job = this.local(I32);
  readonly #sizeLog = this.local(I32);
  readonly #hasSource = this.local(I32);
  /** Whether it goes on while elements are equal, or while they differ. */
  readonly #whileEqual = this.local(I32);
  readonly #ccOp = this.local(I32);
  /** 1 in each element of a word, and RAX's element in each. */
  readonly #ones = this.local(I64);
  readonly #word = this.local(I64);
  /** Bytes: all that is to be done, of that the piece at hand, and of that what is done. */
  readonly #rest = this.local(I32);
  readonly #bytes = this.local(I32);
  readonly #at = this.local(I32);
  readonly #isOver = this.local(I32);
  readonly #from = this.local(I32);
  readonly #to = this.local(I32);
  readonly #a = this.local(I64);
  readonly #b = this.local(I64);

  constructor(fillTlb: number) {
    super();
    this.#memory = new GuestMemory(this, fillTlb);
  }

  make(): Assembler {
    return this.finish(() => {
      this.#readJob();
      const next = this.f.loop();
      this.#cut();
      this.#find(RDI, this.#to);
      this.when(this.#hasSource, () => this.#find(RSI, this.#from));
      this.set(this.#at, this.i32(0));
      this.#compareWords();
      this.#compareElements();
      this.when(this.#isOver, () => this.#move(this.#at, this.#size()));
      this.#commit();
      this.when(this.op(W.i32_or, this.#isOver, this.op(W.i32_eqz, this.#rest)), () => this.done());
      this.f.br(next);
      this.f.end();
    });
  }

  #field(shift: number): Value {
    return this.op(W.i32_and, this.op(W.i32_shr_u, this.#job, this.i32(shift)), this.i32(0xff));
  }

  #size(): Value {
    return this.op(W.i32_shl, this.i32(1), this.#sizeLog);
  }

  #move(local: number, by: Value): void {
    this.set(local, this.op(W.i32_add, local, by));
  }

  #readJob(): void {
    this.set(this.#job, this.load(W.i32_load, JOB));
    this.leaveUnless(this.op(W.i32_eqz, this.op(W.i32_shr_u, this.#job, this.i32(ADDRESS_32_SHIFT))));
    this.leaveUnless(this.op(W.i32_eqz, this.load(W.i32_load, CPU_BASE + CPU_STATE.df)));
    this.set(this.#hasSource, this.op(W.i32_eq, this.#field(0), this.i32(STRING_CMPS)));
    const isPlain = this.op(W.i64_eqz, this.load(W.i64_load, SEGMENT_BASE));
    this.leaveUnless(this.op(W.i32_or, isPlain, this.op(W.i32_eqz, this.#hasSource)));
    this.set(this.#sizeLog, this.op(W.i32_ctz, this.#field(8)));
    this.set(this.#whileEqual, this.op(W.i32_eq, this.#field(16), this.i32(1)));
    const count = this.load(W.i64_load, RCX);
    this.when(this.op(W.i64_eqz, count), () => this.done());
    // An instruction with more takes several calls, which are counted.
    const isLong = this.op(W.i64_gt_u, count, this.i64(RUN_MAX));
    const elements = this.select(isLong, this.i32(RUN_MAX), this.op(W.i32_wrap_i64, count));
    this.set(this.#rest, this.op(W.i32_shl, elements, this.#sizeLog));
    this.choose(
      this.#sizeLog,
      ELEMENTS.map(([low, high], log) => () => {
        this.set(this.#ones, () => this.f.i64Halves(low, high));
        this.set(this.#ccOp, this.i32(ccOp(CC_SUB, 1 << log)));
      }),
    );
    this.set(this.#word, this.op(W.i64_mul, this.#accumulator(), this.#ones));
  }

  /** Bits of an element but for one. */
  #topShift(): Value {
    const bits = this.op(W.i32_shl, this.i32(8), this.#sizeLog);
    return this.op(W.i64_extend_i32_u, this.op(W.i32_sub, bits, this.i32(1)));
  }

  /** RAX as far as an element has room for it. */
  #accumulator(): Value {
    const above = this.op(W.i64_sub, this.i64(8 * WORD_BYTES - 1), this.#topShift());
    return this.op(W.i64_shr_u, this.op(W.i64_shl, this.load(W.i64_load, RAX), above), above);
  }

  /** As many elements as lie within a page of each operand; leaves when that is none. */
  #cut(): void {
    this.set(this.#bytes, this.#rest);
    this.#cutAtPage(RDI);
    this.when(this.#hasSource, () => this.#cutAtPage(RSI));
    this.set(this.#bytes, this.op(W.i32_and, this.#bytes, this.op(W.i32_shl, this.i32(-1), this.#sizeLog)));
    this.leaveUnless(this.#bytes);
  }

  #cutAtPage(register: number): void {
    const offset = this.op(W.i32_and, this.load(W.i32_load, register), this.i32(PAGE_SIZE - 1));
    this.set(this.#at, this.op(W.i32_sub, this.i32(PAGE_SIZE), offset));
    const isBeyond = this.op(W.i32_lt_u, this.#at, this.#bytes);
    this.set(this.#bytes, this.select(isBeyond, this.#at, this.#bytes));
  }

  #find(register: number, host: number): void {
    this.#memory.find(host, this.load(W.i64_load, register), ACCESS_READ, () => this.f.get(this.#bytes));
  }

  #compareWords(): void {
    const { f } = this;
    const end = f.block();
    const loop = f.loop();
    this.push(this.op(W.i32_gt_u, this.op(W.i32_add, this.#at, this.i32(WORD_BYTES)), this.#bytes));
    f.brIf(end);
    this.set(this.#a, this.#word);
    this.when(this.#hasSource, () => this.set(this.#a, this.load(W.i64_load, 0, this.#here(this.#from))));
    this.set(this.#a, this.op(W.i64_xor, this.#a, this.load(W.i64_load, 0, this.#here(this.#to))));
    this.when(this.op(W.i32_eqz, this.#whileEqual), () => this.#markZeros());
    this.when(this.op(W.i64_ne, this.#a, this.i64(0)), () => {
      // To the first that differs, or is equal.
      const bit = this.op(W.i32_wrap_i64, this.op(W.i64_ctz, this.#a));
      const element = this.op(W.i32_shl, this.i32(-1), this.#sizeLog);
      this.#move(this.#at, this.op(W.i32_and, this.op(W.i32_shr_u, bit, this.i32(3)), element));
      f.br(end);
    });
    this.#move(this.#at, this.i32(WORD_BYTES));
    f.br(loop);
    f.end();
    f.end();
  }

  /** #a = its elements that are 0, the first of them surely, by their highest bits. */
  #markZeros(): void {
    const borrowed = this.op(W.i64_sub, this.#a, this.#ones);
    const others = this.op(W.i64_xor, this.#a, this.i64(-1));
    const tops = this.op(W.i64_shl, this.#ones, this.#topShift());
    this.set(this.#a, this.op(W.i64_and, this.op(W.i64_and, borrowed, others), tops));
  }

  /** From where words stopped, which is at an element that ends it or near the end of the piece. */
  #compareElements(): void {
    const { f } = this;
    const end = f.block();
    const loop = f.loop();
    this.set(this.#isOver, this.i32(0));
    this.push(this.op(W.i32_ge_u, this.#at, this.#bytes));
    f.brIf(end);
    this.#loadElements(this.#at);
    const isEqual = this.op(W.i64_eq, this.#a, this.#b);
    this.set(this.#isOver, this.op(W.i32_ne, isEqual, this.#whileEqual));
    this.push(this.#isOver);
    f.brIf(end);
    this.#move(this.#at, this.#size());
    f.br(loop);
    f.end();
    f.end();
  }

  #here(base: number): Value {
    return this.op(W.i32_add, base, this.#at);
  }

  /** #a and #b = the elements at an offset. */
  #loadElements(offset: Operand): void {
    this.choose(
      this.#sizeLog,
      ELEMENTS.map(([, , load]) => () => {
        this.set(this.#a, this.#accumulator());
        this.when(this.#hasSource, () => {
          this.set(this.#a, this.load(load, 0, this.op(W.i32_add, this.#from, offset)));
        });
        this.set(this.#b, this.load(load, 0, this.op(W.i32_add, this.#to, offset)));
      }),
    );
  }

  /** Registers and flags after #at bytes of the piece. */
  #commit(): void {
    this.#loadElements(this.op(W.i32_sub, this.#at, this.#size()));
    this.store(W.i64_store, CPU_BASE + CPU_STATE.ccA, this.#a);
    this.store(W.i64_store, CPU_BASE + CPU_STATE.ccB, this.#b);
    this.store(W.i32_store, CPU_BASE + CPU_STATE.ccOp, this.#ccOp);
    this.#advance(RDI);
    this.when(this.#hasSource, () => this.#advance(RSI));
    const done = this.op(W.i64_extend_i32_u, this.op(W.i32_shr_u, this.#at, this.#sizeLog));
    this.store(W.i64_store, RCX, this.op(W.i64_sub, this.load(W.i64_load, RCX), done));
    this.set(this.#rest, this.op(W.i32_sub, this.#rest, this.#at));
  }

  #advance(register: number): void {
    const bytes = this.op(W.i64_extend_i32_u, this.#at);
    this.store(W.i64_store, register, this.op(W.i64_add, this.load(W.i64_load, register), bytes));
  }
}
