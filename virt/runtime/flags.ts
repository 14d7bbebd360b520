// SPDX-License-Identifier: Apache-2.0
// Evaluation of the lazy flags (virt/ir/cc.ts) as WebAssembly functions.
//
// Operands are shifted to the top of an i64, so that one formula serves the four sizes.

import { CC_KINDS, FLAG_AF, FLAG_CF, FLAG_OF, FLAG_PF, FLAG_SF, FLAG_ZF } from "../ir/cc.ts";
import { Assembler } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { stateAddress } from "./status.ts";

export interface FlagFunctions {
  /** (ccOp, ccA, ccB) -> flags. */
  readonly flagsOf: number;
  /** () -> flags of the state in memory. */
  readonly flags: number;
  /** (condition, flags) -> 0 or 1. */
  readonly condOf: number;
}

export function addFlagFunctions(module: WasmModule): FlagFunctions {
  const flagsOf = module.add(emitFlagsOf());
  const flags = new Assembler([], [I32]);
  flags.i32(stateAddress("ccOp"));
  flags.memory(W.i32_load, 0);
  flags.i32(stateAddress("ccA"));
  flags.memory(W.i64_load, 0);
  flags.i32(stateAddress("ccB"));
  flags.memory(W.i64_load, 0);
  flags.call(flagsOf);
  return { flagsOf, flags: module.add(flags), condOf: module.add(emitCondOf()) };
}

class FlagsEmitter {
  readonly f: Assembler = new Assembler([I32, I64, I64], [I32]);
  readonly shift: number = this.f.local(I64);
  readonly x: number = this.f.local(I64); // top-aligned a
  readonly y: number = this.f.local(I64); // top-aligned b
  readonly r: number = this.f.local(I64); // top-aligned result
  readonly extra: number = this.f.local(I32); // CF, OF, AF

  /** extra |= flag when the i32 on the stack is not 0; the i32 must be 0 or 1. */
  add(flag: number): void {
    const f = this.f;
    f.i32(31 - Math.clz32(flag));
    f.op(W.i32_shl);
    f.get(this.extra);
    f.op(W.i32_or);
    f.set(this.extra);
  }

  /** AF of a sum or difference: bit 4 of a ^ b ^ result. */
  addAuxiliary(): void {
    const f = this.f;
    f.get(1);
    f.get(2);
    f.op(W.i64_xor);
    f.get(this.r);
    f.get(this.shift);
    f.op(W.i64_shr_u);
    f.op(W.i64_xor);
    f.op(W.i32_wrap_i64);
    f.i32(FLAG_AF);
    f.op(W.i32_and);
    f.get(this.extra);
    f.op(W.i32_or);
    f.set(this.extra);
  }

  /** One unit of the top-aligned operands. */
  unit(): void {
    this.f.i64(1);
    this.f.get(this.shift);
    this.f.op(W.i64_shl);
  }

  sum(withCarry: boolean): void {
    const { f, x, y, r } = this;
    f.get(x);
    f.get(y);
    f.op(W.i64_add);
    if (withCarry) {
      this.unit();
      f.op(W.i64_add);
    }
    f.tee(r);
    f.get(x);
    f.op(withCarry ? W.i64_le_u : W.i64_lt_u);
    this.add(FLAG_CF);
    this.overflow(() => {
      f.get(y);
      f.get(r);
      f.op(W.i64_xor);
    });
    this.addAuxiliary();
  }

  difference(withBorrow: boolean): void {
    const { f, x, y, r } = this;
    f.get(x);
    f.get(y);
    f.op(withBorrow ? W.i64_le_u : W.i64_lt_u);
    this.add(FLAG_CF);
    f.get(x);
    f.get(y);
    f.op(W.i64_sub);
    if (withBorrow) {
      this.unit();
      f.op(W.i64_sub);
    }
    f.set(r);
    this.overflow(() => {
      f.get(x);
      f.get(y);
      f.op(W.i64_xor);
    });
    this.addAuxiliary();
  }

  /** OF: the sign bit of (x ^ r) & what `other` pushes. */
  overflow(other: () => void): void {
    const { f, x, r } = this;
    f.get(x);
    f.get(r);
    f.op(W.i64_xor);
    other();
    f.op(W.i64_and);
    f.i64(0);
    f.op(W.i64_lt_s);
    this.add(FLAG_OF);
  }

  /** INC: overflow when the result is the least number; DEC: the greatest. */
  step(up: boolean): void {
    const { f, x, r } = this;
    f.get(x);
    f.tee(r);
    f.i64Halves(0, 0x8000_0000 | 0);
    if (!up) {
      this.unit();
      f.op(W.i64_sub);
    }
    f.op(W.i64_eq);
    this.add(FLAG_OF);
    f.get(1);
    f.i64(15);
    f.op(W.i64_and);
    f.i64(up ? 0 : 15);
    f.op(W.i64_eq);
    this.add(FLAG_AF);
    f.get(2);
    f.op(W.i32_wrap_i64);
    f.i32(FLAG_CF);
    f.op(W.i32_and);
    this.add(FLAG_CF);
  }

  /** ZF, SF and PF, which follow from the result alone. */
  ofResult(): void {
    const { f } = this;
    f.get(this.r);
    f.op(W.i64_eqz);
    this.add(FLAG_ZF);
    f.get(this.r);
    f.i64(0);
    f.op(W.i64_lt_s);
    this.add(FLAG_SF);
    f.get(this.r);
    f.get(this.shift);
    f.op(W.i64_shr_u);
    f.op(W.i32_wrap_i64);
    f.i32(0xff);
    f.op(W.i32_and);
    f.op(W.i32_popcnt);
    f.i32(1);
    f.op(W.i32_and);
    f.op(W.i32_eqz);
    this.add(FLAG_PF);
  }

  /** The operands at the upper end of 64 bits, whatever their size. */
  alignOperands(): void {
    const { f, shift } = this;
    f.i32(64);
    f.i32(8);
    f.get(0);
    f.i32(3);
    f.op(W.i32_and);
    f.op(W.i32_shl);
    f.op(W.i32_sub);
    f.op(W.i64_extend_i32_u);
    f.set(shift);
    for (const [from, to] of [[1, this.x], [2, this.y]] as const) {
      f.get(from);
      f.get(shift);
      f.op(W.i64_shl);
      f.set(to);
    }
  }
}

function emitFlagsOf(): Assembler {
  const e = new FlagsEmitter();
  const { f, x, r, extra } = e;
  e.alignOperands();
  const done = f.block();
  const cases: number[] = [];
  for (let kind = 0; kind < CC_KINDS; kind++) cases.unshift(f.block());
  f.get(0);
  f.i32(2);
  f.op(W.i32_shr_u);
  f.brTable(cases, cases[0]!);
  const bodies: (() => void)[] = [
    () => {
      f.get(1);
      f.op(W.i32_wrap_i64);
      f.i32(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF);
      f.op(W.i32_and);
      f.return_();
    },
    () => e.sum(false),
    () => e.sum(true),
    () => e.difference(false),
    () => e.difference(true),
    () => {
      f.get(x);
      f.set(r);
    },
    () => e.step(true),
    () => e.step(false),
    () => {
      f.get(x);
      f.set(r);
      f.get(2);
      f.op(W.i32_wrap_i64);
      f.i32(FLAG_CF | FLAG_OF);
      f.op(W.i32_and);
      f.set(extra);
    },
  ];
  for (const body of bodies) {
    f.end();
    body();
    f.br(done);
  }
  f.end();
  e.ofResult();
  f.get(extra);
  return f;
}

/** Tests of the even conditions: 0 O, 2 B, 4 E, 6 BE, 8 S, 10 P; 12 L and 14 LE compare SF with OF. */
const MASKS: readonly number[] = [FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF, FLAG_SF, FLAG_PF];

function emitCondOf(): Assembler {
  const f = new Assembler([I32, I32], [I32]);
  const result = f.local(I32);
  const done = f.block();
  const cases: number[] = [];
  for (let n = 0; n < 8; n++) cases.unshift(f.block());
  f.get(0);
  f.i32(1);
  f.op(W.i32_shr_u);
  f.brTable(cases, cases[7]!);
  const masked = (mask: number): void => {
    f.get(1);
    f.i32(mask);
    f.op(W.i32_and);
    f.i32(0);
    f.op(W.i32_ne);
  };
  for (let n = 0; n < 8; n++) {
    f.end();
    if (n < 6) {
      masked(MASKS[n]!);
    } else {
      masked(FLAG_SF);
      masked(FLAG_OF);
      f.op(W.i32_ne);
      if (n === 7) {
        masked(FLAG_ZF);
        f.op(W.i32_or);
      }
    }
    f.set(result);
    f.br(done);
  }
  f.end();
  f.get(result);
  f.get(0);
  f.i32(1);
  f.op(W.i32_and);
  f.op(W.i32_xor);
  return f;
}
