// SPDX-License-Identifier: Apache-2.0
// Emptying the TLBs, and forgetting the windows that say the same, as WebAssembly functions of the runtime module.
//
// Invariant: an empty entry holds a page whose translation would be in another entry, so that no address finds it.

import { TLB_EMPTY, TLB_EMPTY_FIRST, TLB_ENTRIES, TLB_READ, TLB_WRITE } from "../layout.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, W } from "../wasm/opcodes.ts";
import {
  MISSES_BYTES,
  MISSES_LEVEL_AT,
  STACK_ROOM,
  TLB_LOG,
  TLB_LOG_ENTRIES,
  WINDOW_BYTES,
  WINDOW_LOG,
  WINDOW_MISSES,
  WINDOW_ROOM_AT,
  WINDOWS,
} from "./status.ts";

/** Clears both TLBs: the logged entries, or everything when the log overflowed. */
export function emitFlush(): Assembler {
  const f = new Assembler([], []);
  const count = f.local(I32);
  f.i32(TLB_LOG);
  f.memory(W.i32_load, 0);
  f.tee(count);
  f.i32(TLB_LOG_ENTRIES);
  f.op(W.i32_gt_u);
  f.if_();
  f.i32(TLB_READ);
  f.i32(0);
  f.i32(2 * TLB_ENTRIES * 16);
  f.memoryFill();
  f.else_();
  const done = f.block();
  const next = f.loop();
  f.get(count);
  f.op(W.i32_eqz);
  f.brIf(done);
  f.get(count);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(count);
  f.i32(2);
  f.op(W.i32_shl);
  f.memory(W.i32_load, TLB_LOG + 4);
  f.i64(TLB_EMPTY);
  f.memory(W.i64_store, 0);
  f.br(next);
  f.end();
  f.end();
  f.end();
  emitEmptyFirst(f, TLB_READ);
  emitEmptyFirst(f, TLB_WRITE);
  f.i32(TLB_LOG);
  f.i32(0);
  f.memory(W.i32_store, 0);
  emitForgetWindows(f);
  return f;
}

function emitEmptyFirst(f: Assembler, tlb: number): void {
  f.i32(tlb);
  f.i64(TLB_EMPTY_FIRST);
  f.memory(W.i64_store, 0);
}

function emitForgetWindows(f: Assembler): void {
  const window = f.local(I32);
  const count = f.local(I32);
  f.i32(STACK_ROOM);
  f.i64(0);
  f.memory(W.i64_store, 0);
  f.i32(WINDOW_LOG);
  f.memory(W.i32_load, 0);
  f.tee(count);
  f.if_();
  const next = f.loop();
  f.get(count);
  f.i32(2);
  f.op(W.i32_shl);
  f.memory(W.i32_load, WINDOW_LOG);
  f.tee(window);
  f.i32(WINDOW_BYTES);
  f.op(W.i32_mul);
  f.i32(0);
  f.memory(W.i32_store, WINDOWS + WINDOW_ROOM_AT);
  f.get(window);
  f.i32(MISSES_BYTES);
  f.op(W.i32_mul);
  f.i32(0);
  f.memory(W.i32_store, WINDOW_MISSES + MISSES_LEVEL_AT);
  f.get(count);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(count);
  f.brIf(next);
  f.end();
  f.i32(WINDOW_LOG);
  f.i32(0);
  f.memory(W.i32_store, 0);
  f.end();
}

/** The log keeps naming the entries: clearing twice is harmless. */
export function emitFlushWrites(): Assembler {
  const f = new Assembler([], []);
  f.i32(TLB_WRITE);
  f.i32(0);
  f.i32(TLB_ENTRIES * 16);
  f.memoryFill();
  emitEmptyFirst(f, TLB_WRITE);
  emitForgetWindows(f);
  return f;
}
