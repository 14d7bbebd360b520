// SPDX-License-Identifier: Apache-2.0
// Functions written as expressions over an assembler, for those that compute more than they branch: an operand is a local, by its number, or
// something that leaves a value on the stack when it is asked to.

import { Assembler, type Hint } from "./assembler.ts";
import { VOID, W } from "./opcodes.ts";

export type Value = () => void;
/** A local or a value. */
export type Operand = number | Value;

export class Code {
  readonly f: Assembler;

  constructor(params: readonly number[], results: readonly number[]) {
    this.f = new Assembler(params, results);
  }

  local(type: number): number {
    return this.f.local(type);
  }

  push(operand: Operand): void {
    if (typeof operand === "number") this.f.get(operand);
    else operand();
  }

  // Values

  i32(value: number): Value {
    return () => this.f.i32(value);
  }

  /** A number of at most 53 bits. */
  i64(value: number): Value {
    return () => this.f.i64(value);
  }

  /** 2^63, which is -2^63 as well. */
  topBit(): Value {
    return () => this.f.i64Halves(0, 0x8000_0000 | 0);
  }

  op(opcode: number, ...operands: readonly Operand[]): Value {
    return () => {
      for (const operand of operands) this.push(operand);
      this.f.op(opcode);
    };
  }

  select(condition: Operand, yes: Operand, no: Operand): Value {
    return this.op(W.select, yes, no, condition);
  }

  load(opcode: number, offset: number, address: Operand = this.i32(0)): Value {
    return () => {
      this.push(address);
      this.f.memory(opcode, offset);
    };
  }

  call(index: number, ...operands: readonly Operand[]): Value {
    return () => {
      for (const operand of operands) this.push(operand);
      this.f.call(index);
    };
  }

  // Statements

  set(local: number, value: Operand): void {
    this.push(value);
    this.f.set(local);
  }

  store(opcode: number, offset: number, value: Operand, address: Operand = this.i32(0)): void {
    this.push(address);
    this.push(value);
    this.f.memory(opcode, offset);
  }

  when(condition: Operand, then: () => void, otherwise?: () => void, hint?: Hint): void {
    this.push(condition);
    this.f.if_(VOID, hint);
    then();
    if (otherwise !== undefined) {
      this.f.else_();
      otherwise();
    }
    this.f.end();
  }

  return(value: Operand): void {
    this.push(value);
    this.f.return_();
  }

  /** Does what a number below that of the ways says; nothing where there is no way, or the number is greater. */
  choose(number: Operand, ways: ReadonlyArray<(() => void) | undefined>): void {
    const { f } = this;
    const end = f.block();
    const labels = ways.map(() => f.block()).toReversed();
    this.push(number);
    f.brTable(ways.map((way, n) => (way === undefined ? end : labels[n]!)), end);
    for (const way of ways) {
      f.end();
      if (way === undefined) continue;
      way();
      f.br(end);
    }
    f.end();
  }
}
