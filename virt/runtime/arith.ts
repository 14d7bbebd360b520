// SPDX-License-Identifier: Apache-2.0
// Helper functions of the runtime module that compute on their arguments alone: high halves of products, 128-bit division (divide.ts), CRC-32C (crc32c.ts),
// and x86's choice of NaN. What a float operation would raise (raises.ts) depends on MXCSR too.
//
// NaN rule (Intel SDM vol. 1, table 4-7, SSE): the first operand if it is a NaN, else the second if it is one,
// quieted; when neither is, the default NaN (sign set, quiet bit, no payload).

import { Assembler } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { F32, F64, I64, V128, W } from "../wasm/opcodes.ts";
import { addCrc32c } from "./crc32c.ts";
import { addDivisions } from "./divide.ts";
import { addRaises } from "./raises.ts";

export interface ArithFunctions {
  readonly mulHiU: number;
  readonly mulHiS: number;
  /** By name of HELPERS. */
  readonly helpers: ReadonlyMap<string, number>;
  /** By emitter key: f32_nan1 ... f64x2_nan2, raises_f32 ... raises_f64x2. */
  readonly floats: ReadonlyMap<string, number>;
}

export function addArithFunctions(module: WasmModule, flagsOf: number): ArithFunctions {
  const mulHiU = module.add(emitMulHiU());
  const mulHiS = module.add(emitMulHiS(mulHiU));
  const helpers = new Map([
    ...addDivisions(module),
    ["crc32c", addCrc32c(module)] as const,
    ["flags_of", flagsOf] as const,
  ]);
  const floats = new Map<string, number>([
    ...addRaises(module),
    ["f32_nan1", module.add(emitScalarNan(F32, 1))],
    ["f32_nan2", module.add(emitScalarNan(F32, 2))],
    ["f64_nan1", module.add(emitScalarNan(F64, 1))],
    ["f64_nan2", module.add(emitScalarNan(F64, 2))],
    ["f32x4_nan1", module.add(emitPackedNan(W.f32x4_eq, NAN_32X4, QUIET_32X4, 1))],
    ["f32x4_nan2", module.add(emitPackedNan(W.f32x4_eq, NAN_32X4, QUIET_32X4, 2))],
    ["f64x2_nan1", module.add(emitPackedNan(W.f64x2_eq, NAN_64X2, QUIET_64X2, 1))],
    ["f64x2_nan2", module.add(emitPackedNan(W.f64x2_eq, NAN_64X2, QUIET_64X2, 2))],
  ]);
  return { mulHiU, mulHiS, helpers, floats };
}

const NAN_32X4 = [0xffc0_0000, 0xffc0_0000, 0xffc0_0000, 0xffc0_0000];
const QUIET_32X4 = [0x0040_0000, 0x0040_0000, 0x0040_0000, 0x0040_0000];
const NAN_64X2 = [0, 0xfff8_0000, 0, 0xfff8_0000];
const QUIET_64X2 = [0, 0x0008_0000, 0, 0x0008_0000];

/** Schoolbook on 32-bit halves. */
function emitMulHiU(): Assembler {
  const f = new Assembler([I64, I64], [I64]);
  const [aLow, aHigh, bLow, bHigh, mid] = [
    f.local(I64),
    f.local(I64),
    f.local(I64),
    f.local(I64),
    f.local(I64),
  ];
  const split = (from: number, low: number, high: number): void => {
    f.get(from);
    f.i64(0xffff_ffff);
    f.op(W.i64_and);
    f.set(low);
    f.get(from);
    f.i64(32);
    f.op(W.i64_shr_u);
    f.set(high);
  };
  const product = (x: number, y: number): void => {
    f.get(x);
    f.get(y);
    f.op(W.i64_mul);
  };
  const shr32 = (): void => {
    f.i64(32);
    f.op(W.i64_shr_u);
  };
  split(0, aLow, aHigh);
  split(1, bLow, bHigh);
  // mid = aHigh * bLow + (aLow * bLow >> 32): no overflow
  product(aHigh, bLow);
  product(aLow, bLow);
  shr32();
  f.op(W.i64_add);
  f.set(mid);
  // aHigh * bHigh + (mid >> 32) + ((aLow * bHigh + low32(mid)) >> 32)
  product(aHigh, bHigh);
  f.get(mid);
  shr32();
  f.op(W.i64_add);
  product(aLow, bHigh);
  f.get(mid);
  f.i64(0xffff_ffff);
  f.op(W.i64_and);
  f.op(W.i64_add);
  shr32();
  f.op(W.i64_add);
  return f;
}

function emitMulHiS(mulHiU: number): Assembler {
  const f = new Assembler([I64, I64], [I64]);
  const correction = (sign: number, other: number): void => {
    f.get(other);
    f.i64(0);
    f.get(sign);
    f.i64(0);
    f.op(W.i64_lt_s);
    f.op(W.select);
    f.op(W.i64_sub);
  };
  f.get(0);
  f.get(1);
  f.call(mulHiU);
  correction(0, 1);
  correction(1, 0);
  return f;
}

/** (result, first[, second]). */
function emitScalarNan(type: number, operands: number): Assembler {
  const wide = type === F64;
  const f = new Assembler(operands === 1 ? [type, type] : [type, type, type], [type]);
  const constant = (hi: number): void => (wide ? f.i64Halves(0, hi) : f.i32(hi));
  f.get(0);
  f.get(0);
  f.op(wide ? W.f64_eq : W.f32_eq);
  f.if_();
  f.get(0);
  f.return_();
  f.end();
  for (let n = 1; n <= operands; n++) {
    f.get(n);
    f.get(n);
    f.op(wide ? W.f64_ne : W.f32_ne);
    f.if_();
    f.get(n);
    f.op(wide ? W.i64_reinterpret_f64 : W.i32_reinterpret_f32);
    constant(wide ? 0x0008_0000 : 0x0040_0000);
    f.op(wide ? W.i64_or : W.i32_or);
    f.op(wide ? W.f64_reinterpret_i64 : W.f32_reinterpret_i32);
    f.return_();
    f.end();
  }
  constant(wide ? 0xfff8_0000 | 0 : 0xffc0_0000 | 0);
  f.op(wide ? W.f64_reinterpret_i64 : W.f32_reinterpret_i32);
  return f;
}

/** The same in each lane, with masks: bitselect(yes, no, mask). */
function emitPackedNan(
  eq: number,
  nan: readonly number[],
  quiet: readonly number[],
  operands: number,
): Assembler {
  const f = new Assembler(operands === 1 ? [V128, V128] : [V128, V128, V128], [V128]);
  const allTrue = eq === W.f64x2_eq ? W.i64x2_all_true : W.i32x4_all_true;
  const ordered = (local: number): void => {
    f.get(local);
    f.get(local);
    f.op(eq);
  };
  ordered(0);
  f.op(allTrue);
  f.if_();
  f.get(0);
  f.return_();
  f.end();
  f.get(0);
  f.v128(nan);
  for (let n = operands; n >= 1; n--) {
    // chosen = n is a number in this lane ? what stands : n quieted
    f.get(n);
    f.v128(quiet);
    f.op(W.v128_or);
    ordered(n);
    f.op(W.v128_bitselect);
  }
  ordered(0);
  f.op(W.v128_bitselect);
  return f;
}
