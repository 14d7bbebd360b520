// SPDX-License-Identifier: Apache-2.0
// RCPPS, RCPSS, RSQRTPS and RSQRTSS of normal numbers in WebAssembly, by the tables of sse-approximate.ts, which TypeScript puts where they are looked for
// when it is first asked.
//
// Slots: as sse4.ts has them, and one behind them for what is on its way. Slot 0 stays as it is until all is done.

import type { Assembler } from "../../virt/wasm/assembler.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import type { Operand, Value } from "../../virt/wasm/code.ts";
import { I32, W } from "../../virt/wasm/opcodes.ts";
import { QuickCode } from "./quick-code.ts";
import { ENTRIES, ENTRY_BASE, ENTRY_SHIFT, TABLES } from "./sse-approximate-layout.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const SLOT = 16;
const [RESULT, TARGET, SOURCE, RAW] = [SCRATCH, SCRATCH + SLOT, SCRATCH + 2 * SLOT, SCRATCH + 3 * SLOT];
const LANE_BYTES = 4;
const TABLE_BYTES = 2 * ENTRIES;
const FRACTION_BITS = 23;
const FRACTION = 0x7f_ffff;
/** Of a significand, the bits that a table is asked by. */
const INDEX_SHIFT = 11;
const BIAS = 127;

export function emitQuickApproximate(): Assembler {
  return new QuickApproximate().make();
}

class QuickApproximate extends QuickCode {
  readonly #word = this.local(I32);
  readonly #bits = this.local(I32);
  readonly #exponent = this.local(I32);
  readonly #isEven = this.local(I32);
  readonly #entry = this.local(I32);
  /** Of the lane at hand, and where they end. */
  readonly #at = this.local(I32);
  readonly #end = this.local(I32);

  make(): Assembler {
    return this.finish(() => {
      this.leaveUnless(this.load(W.i32_load16_u, TABLES));
      this.set(this.#word, this.load(W.i32_load, RESULT));
      this.set(
        this.#end,
        this.op(W.i32_mul, this.op(W.i32_shr_u, this.#word, this.i32(8)), this.i32(LANE_BYTES)),
      );
      this.store(W.v128_store, RAW, this.load(W.v128_load, TARGET));
      const loop = this.f.loop();
      this.#lane();
      this.set(this.#at, this.op(W.i32_add, this.#at, this.i32(LANE_BYTES)));
      this.push(this.op(W.i32_lt_u, this.#at, this.#end));
      this.f.brIf(loop);
      this.f.end();
      this.store(W.v128_store, RESULT, this.load(W.v128_load, RAW));
      this.done();
    });
  }

  #lane(): void {
    this.set(this.#bits, this.load(W.i32_load, SOURCE, this.#at));
    const field = this.op(W.i32_shr_u, this.#bits, this.i32(FRACTION_BITS));
    this.set(this.#exponent, this.op(W.i32_and, field, this.i32(0xff)));
    this.leaveUnless(this.op(W.i32_lt_u, this.op(W.i32_sub, this.#exponent, this.i32(1)), this.i32(0xfe)));
    this.when(this.op(W.i32_and, this.#word, this.i32(1)), () => this.#root(), () => this.#reciprocal());
  }

  /** #entry = that of a table for the significand. */
  #lookUp(table: Operand): void {
    const index = this.op(
      W.i32_and,
      this.op(W.i32_shr_u, this.#bits, this.i32(INDEX_SHIFT)),
      this.i32(ENTRIES - 1),
    );
    const address = this.op(W.i32_add, this.op(W.i32_shl, index, this.i32(1)), table);
    const short = this.op(
      W.i32_shl,
      this.load(W.i32_load16_u, TABLES, address),
      this.i32(ENTRY_SHIFT),
    );
    this.set(this.#entry, this.op(W.i32_add, short, this.i32(ENTRY_BASE)));
  }

  /** The significand of the entry, its exponent moved by so much; leaves for what is no normal number then. */
  #put(sign: Value, by: Value): void {
    const exponent = this.op(W.i32_add, this.op(W.i32_shr_u, this.#entry, this.i32(FRACTION_BITS)), by);
    this.set(this.#exponent, exponent);
    this.leaveUnless(this.op(W.i32_gt_s, this.#exponent, this.i32(0)));
    const magnitude = this.op(
      W.i32_or,
      this.op(W.i32_shl, this.#exponent, this.i32(FRACTION_BITS)),
      this.op(W.i32_and, this.#entry, this.i32(FRACTION)),
    );
    this.store(W.i32_store, RAW, this.op(W.i32_or, sign, magnitude), this.#at);
  }

  #reciprocal(): void {
    this.#lookUp(this.i32(0));
    const sign = this.op(W.i32_and, this.#bits, this.i32(0x8000_0000 | 0));
    this.#put(sign, this.op(W.i32_sub, this.i32(BIAS), this.#exponent));
  }

  /** Of numbers between 1 and 2 times an even power of two by the second table, between 2 and 4 by the third. */
  #root(): void {
    this.leaveUnless(this.op(W.i32_ge_s, this.#bits, this.i32(0)));
    this.set(this.#isEven, this.op(W.i32_eqz, this.op(W.i32_and, this.#exponent, this.i32(1))));
    this.#lookUp(this.select(this.#isEven, this.i32(2 * TABLE_BYTES), this.i32(TABLE_BYTES)));
    const least = this.op(W.i32_add, this.i32(BIAS), this.#isEven);
    const halves = this.op(W.i32_shr_s, this.op(W.i32_sub, least, this.#exponent), this.i32(1));
    this.#put(this.i32(0), halves);
  }
}
