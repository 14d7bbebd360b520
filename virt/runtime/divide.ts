// SPDX-License-Identifier: Apache-2.0
// Division of 128-bit numbers by 64-bit ones for the runtime module: (high, low, divisor) to the quotient. What the remainder is follows from that.
//
// Two digits of 32 bits, each estimated by the upper half of the divisor, which is shifted so that its highest bit is set: an estimate is then
// two too large at most. Dividends that fit 64 bits, as most do, are divided by the processor.
// Source: D. Knuth, "The Art of Computer Programming", volume 2, section 4.3.1, algorithm D.

import { Assembler } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";

const [HIGH, LOW, DIVISOR] = [0, 1, 2];
const DIGIT_BITS = 32;
const DIGIT_MASK = 0xffff_ffff;

/** By name of HELPERS. */
export function addDivisions(module: WasmModule): Map<string, number> {
  const quotient = module.add(emitUdiv(module.add(emitDigit())));
  return new Map([
    ["udiv128_quotient", quotient],
    ["sdiv128_quotient", module.add(emitSdiv(quotient))],
    ["sdiv128_overflows", module.add(emitSdivOverflows(quotient))],
  ]);
}

/** Leaves the upper digit of a local. */
function pushUpper(f: Assembler, local: number): void {
  f.get(local);
  f.i64(DIGIT_BITS);
  f.op(W.i64_shr_u);
}

/** Leaves the lower digit of a local. */
function pushLower(f: Assembler, local: number): void {
  f.get(local);
  f.i64(DIGIT_MASK);
  f.op(W.i64_and);
}

/** (rest, divisor, next): the digit of (rest * 2^32 + next) / divisor, with the divisor's highest bit set and rest < divisor. */
function emitDigit(): Assembler {
  const f = new Assembler([I64, I64, I64], [I64]);
  const [rest, divisor, next] = [0, 1, 2];
  const [digit, left] = [f.local(I64), f.local(I64)];
  f.get(rest);
  pushUpper(f, divisor);
  f.op(W.i64_div_u);
  f.set(digit);
  f.get(rest);
  f.get(digit);
  pushUpper(f, divisor);
  f.op(W.i64_mul);
  f.op(W.i64_sub);
  f.set(left);
  const again = f.loop();
  pushUpper(f, digit);
  f.op(W.i64_eqz);
  f.op(W.i32_eqz);
  f.get(digit);
  pushLower(f, divisor);
  f.op(W.i64_mul);
  f.get(left);
  f.i64(DIGIT_BITS);
  f.op(W.i64_shl);
  f.get(next);
  f.op(W.i64_or);
  f.op(W.i64_gt_u);
  f.op(W.i32_or);
  f.if_();
  f.get(digit);
  f.i64(1);
  f.op(W.i64_sub);
  f.set(digit);
  f.get(left);
  pushUpper(f, divisor);
  f.op(W.i64_add);
  f.set(left);
  pushUpper(f, left);
  f.op(W.i64_eqz);
  f.brIf(again);
  f.end();
  f.end();
  f.get(digit);
  return f;
}

/** high < divisor. */
function emitUdiv(digit: number): Assembler {
  const f = new Assembler([I64, I64, I64], [I64]);
  const [shift, rest, below, upper] = [f.local(I64), f.local(I64), f.local(I64), f.local(I64)];
  f.get(HIGH);
  f.op(W.i64_eqz);
  f.if_();
  f.get(LOW);
  f.get(DIVISOR);
  f.op(W.i64_div_u);
  f.return_();
  f.end();
  f.get(DIVISOR);
  f.op(W.i64_clz);
  f.set(shift);
  f.get(DIVISOR);
  f.get(shift);
  f.op(W.i64_shl);
  f.set(DIVISOR);
  f.get(HIGH);
  f.get(shift);
  f.op(W.i64_shl);
  // In two steps: a shift by 64 is none.
  f.get(LOW);
  f.i64(1);
  f.op(W.i64_shr_u);
  f.i64(63);
  f.get(shift);
  f.op(W.i64_sub);
  f.op(W.i64_shr_u);
  f.op(W.i64_or);
  f.set(rest);
  f.get(LOW);
  f.get(shift);
  f.op(W.i64_shl);
  f.set(below);
  f.get(rest);
  f.get(DIVISOR);
  pushUpper(f, below);
  f.call(digit);
  f.set(upper);
  // What is left, which fits 64 bits: what is above wraps around.
  f.get(rest);
  f.i64(DIGIT_BITS);
  f.op(W.i64_shl);
  pushUpper(f, below);
  f.op(W.i64_or);
  f.get(upper);
  f.get(DIVISOR);
  f.op(W.i64_mul);
  f.op(W.i64_sub);
  f.set(rest);
  f.get(upper);
  f.i64(DIGIT_BITS);
  f.op(W.i64_shl);
  f.get(rest);
  f.get(DIVISOR);
  pushLower(f, below);
  f.call(digit);
  f.op(W.i64_add);
  return f;
}

/** Leaves whether the dividend is a signed number of 64 bits. */
function emitIsShort(f: Assembler): void {
  f.get(HIGH);
  f.get(LOW);
  f.i64(63);
  f.op(W.i64_shr_s);
  f.op(W.i64_eq);
}

/** high:low = |high:low|; divisor = |divisor|. */
function emitMagnitudes(f: Assembler): void {
  f.get(0);
  f.i64(0);
  f.op(W.i64_lt_s);
  f.if_();
  f.i64(0);
  f.get(0);
  f.op(W.i64_sub);
  f.get(1);
  f.op(W.i64_eqz);
  f.op(W.i32_eqz);
  f.op(W.i64_extend_i32_u);
  f.op(W.i64_sub);
  f.set(0);
  f.i64(0);
  f.get(1);
  f.op(W.i64_sub);
  f.set(1);
  f.end();
  emitNegateIf(f, 2, () => {
    f.get(2);
    f.i64(0);
    f.op(W.i64_lt_s);
  });
}

function emitNegateIf(f: Assembler, local: number, condition: () => void): void {
  condition();
  f.if_();
  f.i64(0);
  f.get(local);
  f.op(W.i64_sub);
  f.set(local);
  f.end();
}

/** The quotient is negative when the signs differ. */
function emitSign(f: Assembler, negative: number): void {
  f.get(HIGH);
  f.get(DIVISOR);
  f.op(W.i64_xor);
  f.set(negative);
}

function emitSdiv(unsigned: number): Assembler {
  const f = new Assembler([I64, I64, I64], [I64]);
  const [negative, result] = [f.local(I64), f.local(I64)];
  emitIsShort(f);
  f.if_();
  f.get(LOW);
  f.get(DIVISOR);
  f.op(W.i64_div_s);
  f.return_();
  f.end();
  emitSign(f, negative);
  emitMagnitudes(f);
  f.get(HIGH);
  f.get(LOW);
  f.get(DIVISOR);
  f.call(unsigned);
  f.set(result);
  emitNegateIf(f, result, () => {
    f.get(negative);
    f.i64(0);
    f.op(W.i64_lt_s);
  });
  f.get(result);
  return f;
}

function emitSdivOverflows(quotient: number): Assembler {
  const f = new Assembler([I64, I64, I64], [I32]);
  const negative = f.local(I64);
  const answer = (value: number): void => {
    f.i32(value);
    f.return_();
  };
  f.get(2);
  f.op(W.i64_eqz);
  f.if_();
  answer(0);
  f.end();
  emitIsShort(f);
  f.if_();
  // The only quotient of 64-bit numbers that does not fit is 2^63.
  f.get(1);
  f.i64Halves(0, 0x8000_0000 | 0);
  f.op(W.i64_eq);
  f.get(2);
  f.i64(-1);
  f.op(W.i64_eq);
  f.op(W.i32_and);
  f.return_();
  f.end();
  emitSign(f, negative);
  emitMagnitudes(f);
  f.get(0);
  f.get(2);
  f.op(W.i64_ge_u);
  f.if_();
  answer(1);
  f.end();
  // |quotient| may be 2^63 only when the quotient is negative.
  f.get(0);
  f.get(1);
  f.get(2);
  f.call(quotient);
  f.i64Halves(0, 0x8000_0000 | 0);
  f.get(negative);
  f.i64(63);
  f.op(W.i64_shr_u);
  f.op(W.i64_add);
  f.op(W.i64_ge_u);
  return f;
}
