// SPDX-License-Identifier: Apache-2.0
// Writes the body of one WebAssembly function.
//
// Labels are nesting levels: block(), loop() and if_() return one, br() and br_if() take it, so that emitters
// need not count how deep they are.

import { ByteWriter } from "./bytes.ts";
import { I32, I64, VOID, W } from "./opcodes.ts";

export type Label = number;

/** What a branch is expected to do; engines move what is unlikely out of the way. */
export type Hint = typeof UNLIKELY | typeof LIKELY;
export const UNLIKELY = 0;
export const LIKELY = 1;

/** Bytes of an index that is filled in later. */
const INDEX_BYTES = 5;

export class Assembler {
  readonly params: readonly number[];
  readonly results: readonly number[];
  readonly body: ByteWriter = new ByteWriter();
  readonly #locals: number[] = [];
  /** Where the body names functions of its module, whose indexes come later. */
  readonly #named: [at: number, name: string][] = [];
  readonly #hints: [at: number, hint: Hint][] = [];
  #level = 0;

  constructor(params: readonly number[], results: readonly number[]) {
    this.params = params;
    this.results = results;
  }

  /** Declares a local, zero at entry. */
  local(type: number): number {
    this.#locals.push(type);
    return this.params.length + this.#locals.length - 1;
  }

  get bytes(): number {
    return this.body.length;
  }

  // Control

  block(type: number = VOID): Label {
    return this.#open(0x02, type);
  }

  loop(type: number = VOID): Label {
    return this.#open(0x03, type);
  }

  /** `hint`: whether the condition holds. */
  if_(type: number = VOID, hint?: Hint): Label {
    this.#note(hint);
    return this.#open(0x04, type);
  }

  else_(): void {
    this.body.byte(0x05);
  }

  end(): void {
    this.body.byte(0x0b);
    this.#level--;
  }

  br(label: Label): void {
    this.body.byte(0x0c);
    this.body.u32(this.#level - label);
  }

  brIf(label: Label, hint?: Hint): void {
    this.#note(hint);
    this.body.byte(0x0d);
    this.body.u32(this.#level - label);
  }

  brTable(labels: readonly Label[], fallback: Label): void {
    this.body.byte(0x0e);
    this.body.u32(labels.length);
    for (const label of labels) this.body.u32(this.#level - label);
    this.body.u32(this.#level - fallback);
  }

  call(functionIndex: number): void {
    this.body.byte(0x10);
    this.body.u32(functionIndex);
  }

  returnCall(functionIndex: number): void {
    this.body.byte(0x12);
    this.body.u32(functionIndex);
  }

  callIndirect(typeIndex: number, table = 0): void {
    this.body.byte(0x11);
    this.body.u32(typeIndex);
    this.body.u32(table);
  }

  returnCallIndirect(typeIndex: number, table = 0): void {
    this.body.byte(0x13);
    this.body.u32(typeIndex);
    this.body.u32(table);
  }

  /** Calls a function of the module, this one perhaps; its index is filled in when it has one. */
  callNamed(name: string): void {
    this.#name(0x10, name);
  }

  returnCallNamed(name: string): void {
    this.#name(0x12, name);
  }

  #name(opcode: number, name: string): void {
    this.body.byte(opcode);
    this.#named.push([this.body.length, name]);
    for (let n = 0; n < INDEX_BYTES; n++) this.body.byte(0);
  }

  /** The functions that the body names have their indexes now. */
  resolve(indexOf: (name: string) => number): void {
    for (const [at, name] of this.#named) this.body.patchU32(at, indexOf(name), INDEX_BYTES);
  }

  return_(): void {
    this.body.byte(W.return);
  }

  // Values

  /** An instruction without immediates, prefixed or not. */
  op(opcode: number): void {
    if (opcode < 0x100) {
      this.body.byte(opcode);
    } else {
      this.body.byte(opcode >> 8);
      this.body.u32(opcode & 0xff);
    }
  }

  get(local: number): void {
    this.body.byte(0x20);
    this.body.u32(local);
  }

  set(local: number): void {
    this.body.byte(0x21);
    this.body.u32(local);
  }

  tee(local: number): void {
    this.body.byte(0x22);
    this.body.u32(local);
  }

  i32(value: number): void {
    this.body.byte(0x41);
    this.body.s32(value);
  }

  /** A number of at most 53 bits as i64. */
  i64(value: number): void {
    this.i64Halves(value | 0, Math.floor(value / 0x1_0000_0000));
  }

  i64Halves(lo: number, hi: number): void {
    this.body.byte(0x42);
    this.body.s64(lo, hi);
  }

  v128(words: readonly number[]): void {
    this.op(W.v128_const);
    for (const word of words) this.body.u32le(word);
  }

  /** Loads and stores. Alignment is given as 1: a promise that nothing depends on. */
  memory(opcode: number, offset: number): void {
    this.op(opcode);
    this.body.u32(0);
    this.body.u32(offset);
  }

  lane(opcode: number, lane: number): void {
    this.op(opcode);
    this.body.byte(lane);
  }

  memoryFill(): void {
    this.op(W.memory_fill);
    this.body.byte(0);
  }

  memoryCopy(): void {
    this.op(W.memory_copy);
    this.body.byte(0);
    this.body.byte(0);
  }

  /** Constant of a kind. */
  zero(type: number): void {
    if (type === I32) this.i32(0);
    else if (type === I64) this.i64(0);
    else throw new RangeError("zero of an integer type only");
  }

  /** Size-prefixed entry of the code section. */
  finish(out: ByteWriter): void {
    const head = this.#declarations();
    out.u32(head.length + this.body.length + 1);
    out.append(head);
    out.append(this.body);
    out.byte(0x0b);
  }

  get hasHints(): boolean {
    return this.#hints.length > 0;
  }

  /** The function's entry of the branch hint section; offsets count from the declarations of locals. */
  finishHints(out: ByteWriter): void {
    const before = this.#declarations().length;
    out.u32(this.#hints.length);
    for (const [at, hint] of this.#hints) {
      out.u32(before + at);
      out.u32(1);
      out.byte(hint);
    }
  }

  #declarations(): ByteWriter {
    const head = new ByteWriter();
    const runs: [number, number][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last !== undefined && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    head.u32(runs.length);
    for (const [count, type] of runs) {
      head.u32(count);
      head.byte(type);
    }
    return head;
  }

  #note(hint: Hint | undefined): void {
    if (hint !== undefined) this.#hints.push([this.body.length, hint]);
  }

  #open(opcode: number, type: number): Label {
    this.body.byte(opcode);
    this.body.byte(type);
    return ++this.#level;
  }
}
