// SPDX-License-Identifier: Apache-2.0
// The records of a block that was lowered, apart in arrays, and what is known of the slots that they read and write (pack.ts).
//
// Temporaries are written once, and nobody reads them after the block.

import type { Ram } from "../../lib/ram.ts";
import { CAPACITY } from "./analysis.ts";
import type { Handlers } from "./handlers.ts";
import {
  FORM,
  type Forms,
  isStore,
  KIND,
  makeForms,
  NARROW,
  READS_A,
  READS_B,
  READS_C,
  WRITES,
  WRITES_ALL,
  WRITES_CC,
} from "./forms.ts";
import { LOW_TEMPS, SLOT_CC, SLOT_PC, SLOT_SINK, SLOT_ZERO } from "./steps.ts";

/** Records of a block at most. */
const RECORDS_MAX = CAPACITY * 2;
const SLOTS = 0x8000 / 8;

/** What becomes of a record. */
export const AS_IT_IS = 0;
export const AS_STEP = 1;
export const AS_COMPARISON = 2;
export const AS_CANONICAL = 3;
export const AS_RETURN = 4;
export const GONE = 5;

export class Records {
  readonly forms: Forms;
  starts: Int32Array = new Int32Array();
  count = 0;
  /** By record. Slots are addresses; those that a record does not read are SLOT_ZERO. */
  readonly what: Uint8Array = new Uint8Array(RECORDS_MAX);
  readonly handler: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly form: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly dst: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly a: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly b: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly base: Uint16Array = new Uint16Array(RECORDS_MAX);
  readonly imm: Int32Array = new Int32Array(RECORDS_MAX);
  readonly displacement: Int32Array = new Int32Array(RECORDS_MAX);
  /** ccOp, or -1. */
  readonly cc: Int16Array = new Int16Array(RECORDS_MAX);
  /** Operands of the flags that the comparison at the end sets, and the check of a return. */
  ccA: number = SLOT_ZERO;
  ccB: number = SLOT_ZERO;
  check = -1;
  /** The write before of the slot that a record writes. */
  readonly writeBefore: Int32Array = new Int32Array(RECORDS_MAX);
  /** By slot: how often it is read, what made a temporary, the last record that wrote it. */
  readonly uses: Uint16Array = new Uint16Array(SLOTS + 1);
  readonly madeBy: Int32Array = new Int32Array(SLOTS + 1);
  readonly written: Int32Array = new Int32Array(SLOTS + 1);
  allWritten = -1;
  /** By slot: the last write but for additions of numbers to what was there, and the sum of those; by record, the sum of what it reads. */
  readonly renewed: Int32Array = new Int32Array(SLOTS + 1);
  readonly sum: Float64Array = new Float64Array(SLOTS + 1);
  readonly sumAtCopy: Float64Array = new Float64Array(RECORDS_MAX);
  readonly #ram: Ram;

  constructor(ram: Ram, handlers: Handlers) {
    this.#ram = ram;
    this.forms = makeForms(handlers);
  }

  /** The addresses of the records in order; `slotsEnd`: of the slots that they name. */
  take(starts: Int32Array, slotsEnd: number): void {
    const slots = slotsEnd >>> 3;
    this.starts = starts;
    this.count = starts.length;
    this.uses.fill(0, 0, slots);
    this.madeBy.fill(-1, LOW_TEMPS >>> 3, slots);
    this.written.fill(-1, 0, slots);
    this.renewed.fill(-1, 0, slots);
    this.sum.fill(0, 0, slots);
    this.allWritten = -1;
    for (let n = 0; n < this.count; n++) this.#take(n);
  }

  #take(n: number): void {
    const { u16, i32 } = this.#ram;
    const at = this.starts[n]!;
    const handler = u16[at >>> 1]!;
    const dst = u16[(at >>> 1) + 1]!;
    const a = u16[(at >>> 1) + 2]!;
    const b = u16[(at >>> 1) + 3]!;
    const imm = i32[(at >>> 2) + 2]!;
    const imm2 = i32[(at >>> 2) + 3]!;
    const kind = this.forms.kind[handler]!;
    const form = this.forms.form[handler]!;
    this.handler[n] = handler;
    this.form[n] = form;
    this.dst[n] = dst;
    this.a[n] = a;
    this.b[n] = SLOT_ZERO;
    this.base[n] = SLOT_ZERO;
    this.imm[n] = 0;
    this.displacement[n] = 0;
    this.cc[n] = -1;
    this.what[n] = AS_STEP;
    switch (kind) {
      case KIND.binary:
        this.b[n] = b;
        break;
      case KIND.binaryImmediate:
        this.imm[n] = imm;
        break;
      case KIND.unary:
        // Some fields of the state begin in the middle of a slot.
        if (((a | dst) & 7) !== 0) this.what[n] = AS_IT_IS;
        break;
      case KIND.shift:
        this.form[n] = form + (imm & (form >= FORM.shl32 ? 31 : 63));
        break;
      case KIND.scaled:
        this.form[n] = form + imm;
        this.a[n] = b;
        this.b[n] = a;
        break;
      case KIND.load:
      case KIND.store:
        this.base[n] = a;
        this.displacement[n] = imm;
        this.a[n] = SLOT_ZERO;
        if (kind === KIND.store) {
          this.b[n] = b;
          this.dst[n] = SLOT_SINK;
        }
        break;
      case KIND.constant:
      case KIND.pcConstant:
        if (imm2 !== imm >> 31) this.what[n] = AS_IT_IS;
        this.a[n] = SLOT_ZERO;
        this.imm[n] = imm;
        if (kind === KIND.pcConstant) this.b[n] = SLOT_PC;
        break;
      case KIND.setCc:
      case KIND.setCcImmediate:
        this.dst[n] = SLOT_SINK;
        this.cc[n] = imm;
        if (kind === KIND.setCc) this.b[n] = b;
        else this.imm[n] = imm2;
        break;
      case KIND.branch:
      case KIND.branchImmediate:
        this.what[n] = AS_COMPARISON;
        if (kind === KIND.branch) this.b[n] = b;
        else this.imm[n] = imm;
        break;
      default:
        this.what[n] = AS_IT_IS;
        this.b[n] = b;
        this.imm[n] = imm;
    }
    this.countUses(n, 1);
  }

  countUses(n: number, by: 1 | -1): void {
    const uses = this.uses;
    if (this.what[n] !== AS_IT_IS) {
      uses[this.a[n]! >>> 3]! += by;
      uses[this.b[n]! >>> 3]! += by;
      uses[this.base[n]! >>> 3]! += by;
      return;
    }
    const flags = this.forms.flags[this.handler[n]!]!;
    if ((flags & READS_A) !== 0) uses[this.a[n]! >>> 3]! += by;
    if ((flags & READS_B) !== 0) uses[this.b[n]! >>> 3]! += by;
    if ((flags & READS_C) !== 0) uses[(this.imm[n]! & 0xffff) >>> 3]! += by;
  }

  noteWrites(n: number): void {
    const dst = this.dst[n]!;
    const step = this.what[n] === AS_STEP;
    const flags = this.forms.flags[this.handler[n]!]!;
    if ((flags & WRITES_CC) !== 0) this.noteCcWritten(n);
    if ((flags & WRITES_ALL) !== 0) this.allWritten = n;
    if ((flags & WRITES) === 0) return;
    this.writeBefore[n] = this.written[dst >>> 3]!;
    this.written[dst >>> 3] = n;
    if (step && this.isAddition(n) && this.a[n] === dst) this.sum[dst >>> 3]! += this.imm[n]!;
    else this.renewed[dst >>> 3] = n;
    // A vector is two slots.
    if (!step) this.written[(dst >>> 3) + 1] = this.renewed[(dst >>> 3) + 1] = n;
    if (dst >= LOW_TEMPS) this.madeBy[dst >>> 3] = n;
    this.sumAtCopy[n] = this.sum[this.a[n]! >>> 3]!;
  }

  noteCcWritten(n: number): void {
    for (let slot = SLOT_CC >>> 3; slot < (SLOT_CC >>> 3) + 3; slot++) {
      this.written[slot] = this.renewed[slot] = n;
    }
  }

  lastWrite(slot: number): number {
    return Math.max(this.written[slot >>> 3]!, this.allWritten);
  }

  /** The record that copies or makes the constant in a slot, or -1. */
  sourceOf(slot: number): number {
    if (slot < LOW_TEMPS) return -1;
    const by = this.madeBy[slot >>> 3]!;
    if (by < 0 || this.what[by] !== AS_STEP) return -1;
    const form = this.form[by]!;
    return form === FORM.add64 || form === FORM.add32 ? by : -1;
  }

  isCopy(by: number): boolean {
    return this.b[by] === SLOT_ZERO && this.imm[by] === 0;
  }

  /** How much of its operands a step looks at: true for the low half at most. */
  isNarrow(n: number): boolean {
    const form = this.form[n]!;
    if (form === FORM.compare) return (this.forms.flags[this.handler[n]!]! & NARROW) !== 0;
    if (form === FORM.flags) return (this.cc[n]! & 3) < 3;
    if (form <= FORM.xor32) return (form & 1) !== 0;
    return form < FORM.load8 || form >= FORM.shl32 || (isStore(form) && form !== FORM.store64);
  }

  /** A number is added to what a slot has. */
  isAddition(n: number): boolean {
    return this.what[n] === AS_STEP && this.form[n] === FORM.add64 && this.b[n] === SLOT_ZERO;
  }

  /** How much more a register has now than a slot that was made from it; undefined when that cannot be said. */
  changeSince(slot: number): number | undefined {
    const by = this.sourceOf(slot);
    if (by < 0 || !this.isAddition(by) || this.a[by] === SLOT_ZERO) return undefined;
    const from = this.a[by]! >>> 3;
    if (Math.max(this.renewed[from]!, this.allWritten) >= by) return undefined;
    return this.sum[from]! - this.sumAtCopy[by]! - this.imm[by]!;
  }

  replaceUse(slot: number, other: number): void {
    this.uses[other >>> 3]!++;
    if (--this.uses[slot >>> 3]! === 0 && slot >= LOW_TEMPS) this.what[this.madeBy[slot >>> 3]!] = GONE;
  }

  /** The record before one that is not gone, or -1. */
  before(n: number): number {
    let at = n - 1;
    while (at >= 0 && this.what[at] === GONE) at--;
    return at;
  }

  drop(n: number): void {
    this.what[n] = GONE;
    this.#release(this.a[n]!);
    this.#release(this.b[n]!);
    this.#release(this.base[n]!);
  }

  #release(slot: number): void {
    if (--this.uses[slot >>> 3]! > 0 || slot < LOW_TEMPS) return;
    const by = this.sourceOf(slot);
    if (by >= 0) this.what[by] = GONE;
  }
}
