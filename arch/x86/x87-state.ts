// SPDX-License-Identifier: Apache-2.0
// The x87 register file in CPU_STATE: the stack, its tags, control and status words, and what an exception does.
//
// Invariants: CPU_STATE.fsw never holds TOP (that is ftop) and its bits ES and B are set exactly when an
// exception flag is set that the control word does not mask; ftag has a 1 for each physical register in use.
// Source: AMD64 Architecture Programmer's Manual, volume 1, sections 6.2 and 6.8.

import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import {
  EXTENDED80,
  FLAG_DENORMAL,
  FLAG_INVALID,
  FLAG_ZERO_DIVIDE,
  type Float,
  type FloatContext,
  newFloatContext,
} from "./softfloat.ts";
import { signExponent80, significand80, unpack80 } from "./softfloat-pack.ts";

export const STACK_FAULT = 0x40;
export const ERROR_SUMMARY = 0x80;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
export const BUSY = 0x8000;
export const CONDITIONS: number = C0 | C1 | C2 | C3;

/** Exceptions found before a result exists: unmasked, they leave registers as they were. */
const BEFORE_RESULT = FLAG_INVALID | FLAG_DENORMAL | FLAG_ZERO_DIVIDE;
export const EXCEPTIONS = 0x3f;
/** Results with an unmasked overflow or underflow have their exponent moved by this much into range. */
const WRAP_EXPONENT = 24576;
/** Bits of precision by PC of the control word; 1 is reserved. */
const PRECISIONS = [24, 64, 53, 64];

export class X87 {
  readonly ram: Ram;

  constructor(ram: Ram) {
    this.ram = ram;
  }

  #field(offset: number): number {
    return this.ram.i32[(CPU_BASE + offset) >>> 2]!;
  }
  #setField(offset: number, value: number): void {
    this.ram.i32[(CPU_BASE + offset) >>> 2] = value;
  }

  get control(): number {
    return this.#field(CPU_STATE.fcw);
  }
  get status(): number {
    return this.#field(CPU_STATE.fsw);
  }
  set status(value: number) {
    this.#setField(CPU_STATE.fsw, value);
  }
  get top(): number {
    return this.#field(CPU_STATE.ftop);
  }
  set top(value: number) {
    this.#setField(CPU_STATE.ftop, value & 7);
  }
  get tags(): number {
    return this.#field(CPU_STATE.ftag);
  }
  set tags(value: number) {
    this.#setField(CPU_STATE.ftag, value & 0xff);
  }

  /** Sets the control word and with it ES. Bit 6 is always 1; the other reserved bits are 0. */
  setControl(value: number): void {
    this.#setField(CPU_STATE.fcw, (value & 0x1f3f) | 0x40);
    this.updateSummary();
  }

  /** Status word with TOP, as FNSTSW gives it. */
  get statusWord(): number {
    return this.status | (this.top << 11);
  }
  /** Loads a status word; ES and B follow from the flags, not from the word. */
  setStatusWord(value: number): void {
    this.top = (value >> 11) & 7;
    this.status = value & (CONDITIONS | STACK_FAULT | EXCEPTIONS);
    this.updateSummary();
  }

  updateSummary(): void {
    const pending = this.status & ~this.control & EXCEPTIONS;
    const rest = this.status & ~(ERROR_SUMMARY | BUSY);
    this.status = pending === 0 ? rest : rest | ERROR_SUMMARY | BUSY;
  }

  /** Rounding as the control word says, into the 80-bit format. */
  context(): FloatContext {
    const control = this.control;
    const context = newFloatContext(EXTENDED80, "larger");
    context.mode = (control >> 10) & 3;
    context.precision = PRECISIONS[(control >> 8) & 3]!;
    context.masks = control & EXCEPTIONS;
    context.wrapExponent = WRAP_EXPONENT;
    return context;
  }

  /** Full precision, whatever PC says. */
  wideContext(): FloatContext {
    const context = this.context();
    context.precision = 64;
    return context;
  }

  #physical(i: number): number {
    return (this.top + i) & 7;
  }
  #address(i: number): number {
    return CPU_BASE + CPU_STATE.st + 16 * this.#physical(i);
  }

  isEmpty(i: number): boolean {
    return (this.tags >> this.#physical(i) & 1) === 0;
  }

  significand(i: number): bigint {
    return this.ram.view.getBigUint64(this.#address(i), true);
  }
  signExponent(i: number): number {
    return this.ram.u16[(this.#address(i) + 8) >>> 1]!;
  }
  read(i: number): Float {
    return unpack80(this.significand(i), this.signExponent(i));
  }

  /** Writes the bits of ST(i) and marks it in use. */
  writeRaw(i: number, significand: bigint, signExponent: number): void {
    const at = this.#address(i);
    this.ram.view.setBigUint64(at, significand, true);
    this.ram.u16[(at + 8) >>> 1] = signExponent;
    this.tags |= 1 << this.#physical(i);
  }
  write(i: number, value: Float): void {
    this.writeRaw(i, significand80(value), signExponent80(value));
  }

  free(i: number): void {
    this.tags &= ~(1 << this.#physical(i));
  }
  pop(): void {
    this.free(0);
    this.top += 1;
  }

  /** Replaces the condition bits of `mask`. */
  setConditions(mask: number, value: number): void {
    this.status = (this.status & ~mask) | value;
  }

  /**
   * Records exceptions. True when the instruction must have no result (an unmasked exception that is found
   * before the result); overflow, underflow and precision are then not recorded.
   */
  raise(flags: number): boolean {
    if (flags === 0) return false;
    const unmasked = flags & ~this.control & EXCEPTIONS;
    const suppressed = (unmasked & BEFORE_RESULT) !== 0;
    this.status |= suppressed ? flags & (BEFORE_RESULT | STACK_FAULT) : flags;
    if (unmasked !== 0) this.status |= ERROR_SUMMARY | BUSY;
    return suppressed;
  }

  /** An operand register is empty: C1 = 0. True when the instruction must have no result. */
  stackUnderflow(): boolean {
    this.setConditions(C1, 0);
    return this.raise(FLAG_INVALID | STACK_FAULT);
  }
  /** No room to push: C1 = 1. */
  stackOverflow(): boolean {
    this.setConditions(C1, C1);
    return this.raise(FLAG_INVALID | STACK_FAULT);
  }
}
