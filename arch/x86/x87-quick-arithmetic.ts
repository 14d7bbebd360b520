// SPDX-License-Identifier: Apache-2.0
// Arithmetic of the x87 on zeros and normal numbers (quick-float.ts), rounded to nearest with 64 bits: functions that x87-quick.ts calls. The precision
// exception alone can come of it, and is masked. x87-arithmetic.ts defines what must come out.
//
// Source: AMD64 Architecture Programmer's Manual, volume 1, sections 6.3 and 6.4.

import type { QuickContext } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { Code, type Operand, type Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { addOperations, emitCompare, EXPONENT, type Operations, SIGN, type Sink, TO } from "./quick-float.ts";
import { FLAG_PRECISION } from "./softfloat.ts";
import { C1 } from "./x87-state.ts";

export const FCW: number = CPU_BASE + CPU_STATE.fcw;
export const FSW: number = CPU_BASE + CPU_STATE.fsw;
/** Of a register, its sign and exponent. */
export const WORD_AT = 8;
/** Precision, rounding and the mask of the precision exception in the control word, and what they are here. */
const PLAIN_MASK = 0xf20;
const PLAIN = 0x320;

/** Indexes of the functions. */
export interface QuickArithmetic {
  /** (operation by reg field, target, significand, word) -> 1: the register at a host address is now what comes out. */
  readonly operate: number;
  /** (target, significand, word) -> 1: the square root of a number. */
  readonly root: number;
  /** (significand, word, significand, word) -> LESS, EQUAL, GREATER or UNKNOWN. */
  readonly compare: number;
}

export function addQuickArithmetic(context: QuickContext): QuickArithmetic {
  const sink: Sink = {
    deliver: context.add(emitDeliver().f),
    finish,
    nothing: (c) => c.i32(0),
  };
  const operations = addOperations(context, sink);
  return {
    operate: context.add(emitOperate(operations).f),
    root: operations.root,
    compare: context.add(emitCompare().f),
  };
}

/** The precision exception masked, 64 bits, to nearest. */
export function isPlain(c: Code): Value {
  return c.op(W.i32_eq, c.op(W.i32_and, c.load(W.i32_load, FCW), c.i32(PLAIN_MASK)), c.i32(PLAIN));
}

/** Nothing was rounded: C1 is 0. */
export function clearC1(c: Code): void {
  c.store(W.i32_store, FSW, c.op(W.i32_and, c.load(W.i32_load, FSW), c.i32(~C1)));
}

export function write(c: Code, to: Operand, significand: Operand, word: Operand): void {
  c.store(W.i64_store, 0, significand, to);
  c.store(W.i32_store, WORD_AT, word, to);
}

/** A result that is exact. */
function finish(c: Code, significand: Operand, word: Operand): void {
  clearC1(c);
  write(c, TO, significand, word);
  c.return(c.i32(1));
}

/** (target, sign, exponent with bias, significand, below) -> 1: rounded and written. */
function emitDeliver(): Code {
  const c = new Code([I32, I32, I32, I64, I64], [I32]);
  const [sign, exponent, significand, below] = [1, 2, 3, 4];
  const status = c.local(I32);
  c.set(status, c.op(W.i32_and, c.load(W.i32_load, FSW), c.i32(~C1)));
  c.when(c.op(W.i64_ne, below, c.i64(0)), () => {
    c.set(status, c.op(W.i32_or, status, c.i32(FLAG_PRECISION)));
    // More than a half, or a half of an odd one.
    const isOdd = c.op(W.i64_and, significand, c.i64(1));
    c.when(c.op(W.i64_gt_u, below, c.op(W.i64_sub, c.topBit(), isOdd)), () => {
      c.set(status, c.op(W.i32_or, status, c.i32(C1)));
      c.set(significand, c.op(W.i64_add, significand, c.i64(1)));
      c.when(c.op(W.i64_eqz, significand), () => {
        c.set(significand, c.topBit());
        c.set(exponent, c.op(W.i32_add, exponent, c.i32(1)));
      });
    });
  });
  c.when(
    c.op(W.i32_ge_u, c.op(W.i32_sub, exponent, c.i32(1)), c.i32(EXPONENT - 1)),
    () => c.return(c.i32(0)),
  );
  c.store(W.i32_store, FSW, status);
  write(c, TO, significand, c.op(W.i32_or, sign, exponent));
  c.return(c.i32(1));
  c.f.i32(0);
  return c;
}

/** FADD, FMUL, FSUB, FSUBR, FDIV and FDIVR, by reg field, of the register at the target and another operand. */
function emitOperate({ add, multiply, divide }: Operations): Code {
  const c = new Code([I32, I32, I64, I32], [I32]);
  const [operation, to, other, otherWord] = [0, 1, 2, 3];
  const [own, ownWord] = [c.local(I64), c.local(I32)];
  c.when(c.op(W.i32_eqz, isPlain(c)), () => c.return(c.i32(0)));
  c.set(own, c.load(W.i64_load, 0, to));
  c.set(ownWord, c.load(W.i32_load16_u, WORD_AT, to));
  const negated = (word: number): Value => c.op(W.i32_xor, word, c.i32(SIGN));
  c.choose(operation, [
    () => c.return(c.call(add, to, own, ownWord, other, otherWord)),
    () => c.return(c.call(multiply, to, own, ownWord, other, otherWord)),
    undefined,
    undefined,
    () => c.return(c.call(add, to, own, ownWord, other, negated(otherWord))),
    () => c.return(c.call(add, to, other, otherWord, own, negated(ownWord))),
    () => c.return(c.call(divide, to, own, ownWord, other, otherWord)),
    () => c.return(c.call(divide, to, other, otherWord, own, ownWord)),
  ]);
  c.f.i32(0);
  return c;
}
