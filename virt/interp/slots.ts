// SPDX-License-Identifier: Apache-2.0
// Operand access and the pure computations of the interpreter, shared by its two functions.

import { CPU_BASE, CPU_STATE } from "../layout.ts";
import type { OpInfo } from "../ir/ops.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { type Assembler, UNLIKELY } from "../wasm/assembler.ts";
import { I32, W } from "../wasm/opcodes.ts";

export interface SlotContext {
  readonly f: Assembler;
  /** Local that holds the record's address. */
  readonly ip: number;
  readonly runtime: RuntimeFunctions;
}

/** Offset in the record of operand n's slot number. */
const FIELDS = [4, 6, 8] as const;

const LOAD_BY_TYPE: { readonly [letter: string]: number } = {
  i: W.i32_load,
  l: W.i64_load,
  f: W.f32_load,
  d: W.f64_load,
  v: W.v128_load,
};

/** Pushes the host address of operand n's slot, less CPU_BASE. */
export function pushAddressOf(context: SlotContext, n: number): void {
  context.f.get(context.ip);
  context.f.memory(W.i32_load16_u, FIELDS[n]!);
}

/** Pushes operand n, whose type is letter n of `operands`. */
export function pushSlot(context: SlotContext, operands: string, n: number): void {
  pushAddressOf(context, n);
  context.f.memory(LOAD_BY_TYPE[operands.charAt(n)]!, CPU_BASE);
}

export function pushImmediate64(context: SlotContext): void {
  context.f.get(context.ip);
  context.f.memory(W.i64_load, 8);
}

/** Stores what `push` leaves into slot dst. */
export function storeResult(context: SlotContext, type: string, push: () => void): void {
  const f = context.f;
  f.get(context.ip);
  f.memory(W.i32_load16_u, 2);
  push();
  switch (type) {
    case "i":
      f.op(W.i64_extend_i32_u);
      f.memory(W.i64_store, CPU_BASE);
      break;
    case "f":
      f.op(W.i32_reinterpret_f32);
      f.op(W.i64_extend_i32_u);
      f.memory(W.i64_store, CPU_BASE);
      break;
    case "l":
      f.memory(W.i64_store, CPU_BASE);
      break;
    case "d":
      f.memory(W.f64_store, CPU_BASE);
      break;
    case "v":
      f.memory(W.v128_store, CPU_BASE);
      break;
    default:
      throw new Error("no result to store");
  }
}

/** Operations that only compute: operands in slots, result to dst. */
export function emitComputation(context: SlotContext, info: OpInfo): void {
  const f = context.f;
  storeResult(context, info.result, () => {
    const push = (n: number): void => pushSlot(context, info.operands, n);
    if (info.opcode >= 0) {
      for (let n = 0; n < info.operands.length; n++) push(n);
      f.op(info.opcode);
    } else {
      emitKey(context.runtime, f, info, push, () => {
        f.get(context.ip);
        f.memory(W.i64_load32_u, info.operands.length === 3 ? 12 : 8);
      });
    }
  });
}

/** The operations with an emitter of our own that both back ends share. */
export function emitKey(
  runtime: RuntimeFunctions,
  f: Assembler,
  info: OpInfo,
  push: (n: number) => void,
  pushImm64: () => void,
): void {
  const insert = (keepLo: number, keepHi: number, mask: number, shift: number): void => {
    push(0);
    f.i64Halves(keepLo, keepHi);
    f.op(W.i64_and);
    push(1);
    f.i32(mask);
    f.op(W.i32_and);
    f.op(W.i64_extend_i32_u);
    if (shift > 0) {
      f.i64(shift);
      f.op(W.i64_shl);
    }
    f.op(W.i64_or);
  };
  switch (info.key) {
    case "scaled_add":
      push(0);
      push(1);
      pushImm64();
      f.op(W.i64_shl);
      f.op(W.i64_add);
      break;
    case "mul_hi_u64":
    case "mul_hi_s64":
      push(0);
      push(1);
      f.call(info.key === "mul_hi_u64" ? runtime.mulHiU : runtime.mulHiS);
      break;
    case "insert8":
      insert(~0xff, -1, 0xff, 0);
      break;
    case "insert8h":
      insert(~0xff00, -1, 0xff, 8);
      break;
    case "insert16":
      insert(~0xffff, -1, 0xffff, 0);
      break;
    case "raises_f32":
    case "raises_f64":
    case "raises_f32x4":
    case "raises_f64x2":
      push(0);
      f.if_(I32, UNLIKELY);
      push(1);
      push(2);
      pushImm64();
      f.op(W.i32_wrap_i64);
      f.call(runtime.floats.get(info.key)!);
      f.else_();
      f.i32(0);
      f.end();
      break;
    default: {
      const helper = runtime.floats.get(info.key);
      if (helper === undefined) throw new Error(`no emitter for ${info.name}`);
      for (let n = 0; n < info.operands.length; n++) push(n);
      f.call(helper);
    }
  }
}

export function storeState({ f }: SlotContext, field: "ccA" | "ccB", push: () => void): void {
  f.i32(CPU_BASE);
  push();
  f.memory(W.i64_store, CPU_STATE[field]);
}
