// SPDX-License-Identifier: Apache-2.0
// FST, FSTP, FIST, FISTP and FISTTP to memory within one page, in WebAssembly, as x87-quick.ts.
//
// Invariant: memory is written when nothing can go wrong any more, and before what is known of the stack is.

import { ACCESS_WRITE } from "../../include/linux/cpu.ts";
import type { Operand } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { GuestMemory } from "./quick-access.ts";
import { FLAG_PRECISION, ROUND_ZERO } from "./softfloat.ts";
import { BIAS, exponentOf, isNormal, isZero, signOf } from "./quick-float.ts";
import { clearC1, FCW, FSW } from "./x87-quick-arithmetic.ts";
import { Form } from "./x87-quick-form.ts";
import { C1 } from "./x87-state.ts";

/** Rounding and the mask of the precision exception in the control word: to nearest. */
const NEAREST_MASK = 0xc20;
const NEAREST = 0x020;
const SIGN_BIT = 15;
/** Of the significand, behind its integer bit. */
const FRACTION_BITS = 63;
const STORES = new Map<number, number>([
  [2, W.i32_store16],
  [4, W.i32_store],
  [8, W.i64_store],
]);

export class StoreForm extends Form {
  readonly #memory: GuestMemory;
  readonly #top = this.local(I32);
  readonly #significand = this.local(I64);
  readonly #word = this.local(I32);
  readonly #host = this.local(I32);
  readonly #bits = this.local(I64);

  constructor(fillTlb: number) {
    super();
    this.#memory = new GuestMemory(this, fillTlb);
  }

  body(): void {
    this.findRegister(this.i32(0), this.#top);
    this.set(this.#significand, this.significandAt(this.#top));
    this.set(this.#word, this.wordAt(this.#top));
    const float = (fractionBits: number, exponentBits: number, bytes: number) => () =>
      this.#storeFloat(fractionBits, exponentBits, bytes);
    const integer = (bytes: number) => () => this.#storeInteger(bytes, this.rounding());
    const truncated = (bytes: number) => () => this.#storeInteger(bytes, this.i32(ROUND_ZERO));
    const byReg = (...ways: ReadonlyArray<(() => void) | undefined>) => () => this.choose(this.reg(), ways);
    const none = undefined;
    this.choose(this.opcode(), [
      none,
      byReg(none, none, float(23, 8, 4), float(23, 8, 4)),
      none,
      byReg(none, truncated(4), integer(4), integer(4), none, none, none, () => this.#storeWhole()),
      none,
      byReg(none, truncated(8), float(52, 11, 8), float(52, 11, 8)),
      none,
      byReg(none, truncated(2), integer(2), integer(2), none, none, none, integer(8)),
    ]);
  }

  /** The host address of what is written. */
  #find(bytes: number): void {
    this.#memory.find(this.#host, this.argument(W.i64_load, 1), ACCESS_WRITE, this.i32(bytes));
  }

  /** All but FST and FIST, whose reg field is 2, pop. */
  #popped(): void {
    this.when(this.op(W.i32_ne, this.reg(), this.i32(2)), () => this.pop());
    this.done();
  }

  /** m80: any number as it is. */
  #storeWhole(): void {
    this.#find(10);
    this.store(W.i64_store, 0, this.#significand, this.#host);
    this.store(W.i32_store16, 8, this.#word, this.#host);
    clearC1(this);
    this.#popped();
  }

  /** Zeros, and what is a normal number of the narrower format whichever way it is rounded. */
  #storeFloat(fractionBits: number, exponentBits: number, bytes: number): void {
    const dropped = FRACTION_BITS - fractionBits;
    const bias = 2 ** (exponentBits - 1) - 1;
    const exponent = this.op(W.i32_sub, exponentOf(this, this.#word), this.i32(BIAS - bias));
    const sign = this.op(W.i64_extend_i32_u, this.op(W.i32_shr_u, this.#word, this.i32(SIGN_BIT)));
    this.#leaveUnlessNearest();
    this.setStatus(this.op(W.i32_and, this.load(W.i32_load, FSW), this.i32(~C1)));
    this.set(this.#bits, this.op(W.i64_shl, sign, this.i64(fractionBits + exponentBits)));
    this.when(this.op(W.i32_eqz, isZero(this, this.#significand, this.#word)), () => {
      this.leaveUnless(isNormal(this, this.#significand, this.#word));
      this.leaveUnless(
        this.op(W.i32_lt_u, this.op(W.i32_sub, exponent, this.i32(1)), this.i32(2 * bias - 1)),
      );
      // The integer bit raises the exponent by one, and so does a carry out of the fraction.
      const kept = this.op(W.i64_shr_u, this.#significand, this.i64(dropped));
      const below = this.op(W.i64_extend_i32_u, this.op(W.i32_sub, exponent, this.i32(1)));
      const magnitude = this.op(W.i64_add, this.op(W.i64_shl, below, this.i64(fractionBits)), kept);
      this.set(this.#bits, this.op(W.i64_or, this.#bits, magnitude));
      this.#roundUp(dropped);
    });
    this.#find(bytes);
    if (bytes === 8) this.store(W.i64_store, 0, this.#bits, this.#host);
    else this.store(W.i64_store32, 0, this.#bits, this.#host);
    this.commitStatus();
    this.#popped();
  }

  #roundUp(dropped: number): void {
    const rest = this.op(W.i64_and, this.#significand, this.i64(2 ** dropped - 1));
    this.when(this.op(W.i64_ne, rest, this.i64(0)), () => {
      this.addToStatus(FLAG_PRECISION);
      const isOdd = this.op(W.i64_and, this.#bits, this.i64(1));
      const half = this.op(W.i64_sub, this.i64(2 ** (dropped - 1)), isOdd);
      this.when(this.op(W.i64_gt_u, rest, half), () => {
        this.addToStatus(C1);
        this.set(this.#bits, this.op(W.i64_add, this.#bits, this.i64(1)));
      });
    });
  }

  #leaveUnlessNearest(): void {
    const control = this.op(W.i32_and, this.load(W.i32_load, FCW), this.i32(NEAREST_MASK));
    this.leaveUnless(this.op(W.i32_eq, control, this.i32(NEAREST)));
  }

  /** What fits after rounding as a positive number does. */
  #storeInteger(bytes: number, rounding: Operand): void {
    this.leaveUnlessMasked();
    const magnitude = this.roundToInteger(this.#significand, this.#word, rounding);
    this.leaveUnless(this.op(W.i64_eqz, this.op(W.i64_shr_u, magnitude, this.i64(bytes * 8 - 1))));
    const negated = this.op(W.i64_sub, this.i64(0), magnitude);
    this.set(this.#bits, this.select(signOf(this, this.#word), negated, magnitude));
    this.#find(bytes);
    const value = bytes === 8 ? this.#bits : this.op(W.i32_wrap_i64, this.#bits);
    this.store(STORES.get(bytes)!, 0, value, this.#host);
    this.commitStatus();
    this.#popped();
  }
}
