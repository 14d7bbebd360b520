// SPDX-License-Identifier: Apache-2.0
// What the functions of x87-quick.ts have in common: they look what instruction it is, find registers of the stack, and leave for TypeScript where
// something is not as it mostly is.

import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import type { Assembler } from "../../virt/wasm/assembler.ts";
import type { Code, Operand, Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { QuickCode } from "./quick-code.ts";
import { FLAG_PRECISION, ROUND_DOWN, ROUND_NEAREST, ROUND_UP } from "./softfloat.ts";
import { BIAS, exponentOf, isNormal, isZero, signOf } from "./quick-float.ts";
import { clearC1, FCW, FSW, WORD_AT, write } from "./x87-quick-arithmetic.ts";
import { BUSY, C1, CONDITIONS, ERROR_SUMMARY, EXCEPTIONS, STACK_FAULT } from "./x87-state.ts";

const ST = CPU_BASE + CPU_STATE.st;
const FTOP = CPU_BASE + CPU_STATE.ftop;
export const FTAG: number = CPU_BASE + CPU_STATE.ftag;
export const SCRATCH: number = CPU_BASE + CPU_STATE.scratch;
/** Bytes of an argument, and of a register. */
const SLOT = 16;
const REGISTER = 16;
const ROUNDING_SHIFT = 10;
const SIGNIFICAND_BITS = 64;
const CONTROL_BITS = 0x1f3f;
const TOP_SHIFT = 11;
/** Bit 6 of the control word is always 1. */
const CONTROL_FIXED = 0x40;

/** The number of the register that is ST(i). */
export function physicalOf(c: Code, i: Operand): Value {
  return c.op(W.i32_and, c.op(W.i32_add, c.load(W.i32_load, FTOP), i), c.i32(7));
}

/** Where a register is, by its number. */
export function addressOf(c: Code, physical: Operand): Value {
  return c.op(W.i32_add, c.op(W.i32_mul, physical, c.i32(REGISTER)), c.i32(ST));
}

/** The status word with the top of the stack in it. */
export function statusWord(c: Code): Value {
  return c.op(W.i32_or, c.load(W.i32_load, FSW), c.op(W.i32_shl, c.load(W.i32_load, FTOP), c.i32(TOP_SHIFT)));
}

/** Sets what a status word holds; the summary of exceptions is left to setControl(). */
export function setStatus(c: Code, word: Value): void {
  c.store(W.i32_store, FTOP, c.op(W.i32_and, c.op(W.i32_shr_u, word, c.i32(TOP_SHIFT)), c.i32(7)));
  c.store(W.i32_store, FSW, c.op(W.i32_and, word, c.i32(CONDITIONS | STACK_FAULT | EXCEPTIONS)));
}

/** Sets the control word. The summary of exceptions follows from what is masked. */
export function setControl(c: Code, word: Value): void {
  c.store(W.i32_store, FCW, c.op(W.i32_or, c.op(W.i32_and, word, c.i32(CONTROL_BITS)), c.i32(CONTROL_FIXED)));
  const status = c.load(W.i32_load, FSW);
  const unmasked = c.op(W.i32_xor, c.load(W.i32_load, FCW), c.i32(EXCEPTIONS));
  const pending = c.op(W.i32_and, c.op(W.i32_and, status, unmasked), c.i32(EXCEPTIONS));
  const summary = c.select(pending, c.i32(ERROR_SUMMARY | BUSY), c.i32(0));
  const rest = c.op(W.i32_and, status, c.i32(~(ERROR_SUMMARY | BUSY)));
  c.store(W.i32_store, FSW, c.op(W.i32_or, rest, summary));
}

export abstract class Form extends QuickCode {
  /** The low three bits of the opcode byte, then ModRM. */
  readonly fop: number = this.local(I32);
  readonly #at = this.local(I32);
  readonly #tags = this.local(I32);
  readonly #rest = this.local(I64);
  readonly #magnitude = this.local(I64);
  readonly #status = this.local(I32);
  readonly #isUp = this.local(I32);

  make(): Assembler {
    return this.finish(() => {
      this.set(this.fop, this.argument(W.i32_load, 0));
      this.body();
    });
  }

  /** Ends by done() on each way that is done. */
  abstract body(): void;

  argument(opcode: number, n: number): Value {
    return this.load(opcode, SCRATCH + SLOT * n);
  }

  opcode(): Value {
    return this.op(W.i32_shr_u, this.fop, this.i32(8));
  }

  reg(): Value {
    return this.op(W.i32_and, this.op(W.i32_shr_u, this.fop, this.i32(3)), this.i32(7));
  }

  rm(): Value {
    return this.op(W.i32_and, this.fop, this.i32(7));
  }

  // Registers

  /** The address of ST(i), which must not be empty. */
  findRegister(i: Operand, address: number): void {
    this.set(address, physicalOf(this, i));
    this.leaveUnless(
      this.op(W.i32_and, this.op(W.i32_shr_u, this.load(W.i32_load, FTAG), address), this.i32(1)),
    );
    this.set(address, addressOf(this, address));
  }

  significandAt(address: Operand): Value {
    return this.load(W.i64_load, 0, address);
  }

  wordAt(address: Operand): Value {
    return this.load(W.i32_load16_u, WORD_AT, address);
  }

  pushNumber(significand: Operand, word: Operand): void {
    this.set(this.#at, physicalOf(this, this.i32(-1)));
    this.set(this.#tags, this.load(W.i32_load, FTAG));
    const bit = this.op(W.i32_shl, this.i32(1), this.#at);
    this.leaveUnless(this.op(W.i32_eqz, this.op(W.i32_and, this.#tags, bit)));
    this.store(W.i32_store, FTAG, this.op(W.i32_or, this.#tags, bit));
    this.store(W.i32_store, FTOP, this.#at);
    write(this, addressOf(this, this.#at), significand, word);
    clearC1(this);
  }

  pop(): void {
    this.set(this.#at, this.load(W.i32_load, FTOP));
    const bit = this.op(W.i32_shl, this.i32(1), this.#at);
    const others = this.op(W.i32_xor, bit, this.i32(-1));
    this.store(W.i32_store, FTAG, this.op(W.i32_and, this.load(W.i32_load, FTAG), others));
    this.store(W.i32_store, FTOP, physicalOf(this, this.i32(1)));
  }

  // Numbers

  /** The precision exception is masked. */
  leaveUnlessMasked(): void {
    this.leaveUnless(this.op(W.i32_and, this.load(W.i32_load, FCW), this.i32(FLAG_PRECISION)));
  }

  rounding(): Value {
    return this.op(
      W.i32_and,
      this.op(W.i32_shr_u, this.load(W.i32_load, FCW), this.i32(ROUNDING_SHIFT)),
      this.i32(3),
    );
  }

  /** The magnitude of a number below 2^63 as an integer, in a local. What the status word is then: commitStatus(). */
  roundToInteger(significand: number, word: number, rounding: Operand): number {
    const [rest, magnitude] = [this.#rest, this.#magnitude];
    const exponent = this.op(W.i32_sub, exponentOf(this, word), this.i32(BIAS));
    const places = this.op(W.i64_extend_i32_s, exponent);
    this.set(magnitude, this.i64(0));
    this.set(rest, this.i64(0));
    this.when(this.op(W.i32_eqz, isZero(this, significand, word)), () => {
      this.leaveUnless(isNormal(this, significand, word));
      this.leaveUnless(this.op(W.i32_lt_s, exponent, this.i32(SIGNIFICAND_BITS - 1)));
      this.when(this.op(W.i32_ge_s, exponent, this.i32(0)), () => {
        const down = this.op(W.i64_sub, this.i64(SIGNIFICAND_BITS - 1), places);
        this.set(magnitude, this.op(W.i64_shr_u, significand, down));
        this.set(rest, this.op(W.i64_shl, significand, this.op(W.i64_add, places, this.i64(1))));
      }, () => {
        const isHalf = this.op(W.i32_eq, exponent, this.i32(-1));
        this.set(rest, this.select(isHalf, significand, this.i64(1)));
      });
    });
    this.#roundUp(word, rounding);
    this.set(magnitude, this.op(W.i64_add, magnitude, this.op(W.i64_extend_i32_u, this.#isUp)));
    return magnitude;
  }

  /** #isUp = whether what is left makes the magnitude the next greater one. */
  #roundUp(word: number, rounding: Operand): void {
    const isLeft = this.op(W.i64_ne, this.#rest, this.i64(0));
    const isNegative = this.op(W.i32_ne, signOf(this, word), this.i32(0));
    this.set(this.#isUp, this.i32(0));
    const isOdd = this.op(W.i64_and, this.#magnitude, this.i64(1));
    const isMost = this.op(W.i64_gt_u, this.#rest, this.op(W.i64_sub, this.topBit(), isOdd));
    const ways: (() => void)[] = [];
    ways[ROUND_NEAREST] = () => this.set(this.#isUp, isMost);
    ways[ROUND_DOWN] = () => this.set(this.#isUp, this.op(W.i32_and, isLeft, isNegative));
    ways[ROUND_UP] = () => this.set(this.#isUp, this.op(W.i32_and, isLeft, this.op(W.i32_eqz, isNegative)));
    this.choose(rounding, ways);
    const status = this.op(W.i32_and, this.load(W.i32_load, FSW), this.i32(~C1));
    const inexact = this.select(isLeft, this.i32(FLAG_PRECISION), this.i32(0));
    const up = this.select(this.#isUp, this.i32(C1), this.i32(0));
    this.set(this.#status, this.op(W.i32_or, this.op(W.i32_or, status, inexact), up));
  }

  commitStatus(): void {
    this.store(W.i32_store, FSW, this.#status);
  }

  setStatus(status: Value): void {
    this.set(this.#status, status);
  }

  addToStatus(bits: number): void {
    this.set(this.#status, this.op(W.i32_or, this.#status, this.i32(bits)));
  }
}
