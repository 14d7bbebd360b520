// SPDX-License-Identifier: Apache-2.0
// How each load and store of the IR is done in WebAssembly: width, opcode, types.

import { Op } from "../ir/ops.ts";
import { F32, F64, I32, I64, V128, W } from "../wasm/opcodes.ts";

export interface AccessInfo {
  readonly bytes: number;
  readonly opcode: number;
  /** WebAssembly type of the value. */
  readonly type: number;
}

export const LOADS: ReadonlyMap<number, AccessInfo> = new Map([
  [Op.load8_u, { bytes: 1, opcode: W.i32_load8_u, type: I32 }],
  [Op.load8_s, { bytes: 1, opcode: W.i32_load8_s, type: I32 }],
  [Op.load16_u, { bytes: 2, opcode: W.i32_load16_u, type: I32 }],
  [Op.load16_s, { bytes: 2, opcode: W.i32_load16_s, type: I32 }],
  [Op.load32, { bytes: 4, opcode: W.i32_load, type: I32 }],
  [Op.load8_u_64, { bytes: 1, opcode: W.i64_load8_u, type: I64 }],
  [Op.load8_s_64, { bytes: 1, opcode: W.i64_load8_s, type: I64 }],
  [Op.load16_u_64, { bytes: 2, opcode: W.i64_load16_u, type: I64 }],
  [Op.load16_s_64, { bytes: 2, opcode: W.i64_load16_s, type: I64 }],
  [Op.load32_u_64, { bytes: 4, opcode: W.i64_load32_u, type: I64 }],
  [Op.load32_s_64, { bytes: 4, opcode: W.i64_load32_s, type: I64 }],
  [Op.load64, { bytes: 8, opcode: W.i64_load, type: I64 }],
  [Op.loadf32, { bytes: 4, opcode: W.f32_load, type: F32 }],
  [Op.loadf64, { bytes: 8, opcode: W.f64_load, type: F64 }],
  [Op.load128, { bytes: 16, opcode: W.v128_load, type: V128 }],
]);

export const STORES: ReadonlyMap<number, AccessInfo> = new Map([
  [Op.store8, { bytes: 1, opcode: W.i32_store8, type: I32 }],
  [Op.store16, { bytes: 2, opcode: W.i32_store16, type: I32 }],
  [Op.store32, { bytes: 4, opcode: W.i32_store, type: I32 }],
  [Op.store64, { bytes: 8, opcode: W.i64_store, type: I64 }],
  [Op.storef32, { bytes: 4, opcode: W.f32_store, type: F32 }],
  [Op.storef64, { bytes: 8, opcode: W.f64_store, type: F64 }],
  [Op.store128, { bytes: 16, opcode: W.v128_store, type: V128 }],
]);

export const WASM_TYPES: { readonly [letter: string]: number } = { i: I32, l: I64, f: F32, d: F64, v: V128 };
