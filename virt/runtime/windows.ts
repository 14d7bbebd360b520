// SPDX-License-Identifier: Apache-2.0
// Windows of places in loops, as WebAssembly functions of the runtime module: what such a place asks when an access is not in its window.
//
// Invariant: what a window says is what entries of the TLB would say of each of its pages, and it is forgotten whenever one of those might be.

import { ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { PAGE_SIZE, PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_WRITE } from "../layout.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { emitWalk } from "./inline.ts";
import { emitExtend, emitLacks, emitMark } from "./row.ts";
import {
  MISSES_BYTES,
  MISSES_LEVEL_AT,
  MISSES_STAYED_AT,
  WINDOW_ADDEND_AT,
  WINDOW_BYTES,
  WINDOW_LOG,
  WINDOW_MISSES,
  WINDOW_ROOM_AT,
  WINDOW_SPAN,
  WINDOWS,
} from "./status.ts";

/** Misses until a window moves for the first time; each time after that twice as many, up to the second. */
const MISSES_MIN = 8;
const MISSES_MAX = 8192;
/** After how many such counts a longer window is given up for a shorter one. */
const TRIES_MAX = 4;
/** From where the last access may begin to the end. */
const TAIL = WINDOW_SPAN - 1;

export function emitReachWindow(reach: number): Assembler {
  const f = new Assembler([I64, I32, I32, I32], [I32]);
  const [va, bytes, access, window] = [0, 1, 2, 3];
  const host = f.local(I32);
  const needed = f.local(I32);
  f.get(va);
  f.get(bytes);
  f.get(access);
  f.call(reach);
  f.tee(host);
  f.if_();
  f.i32(PTE_PRESENT | PTE_ACCESSED | PTE_WRITE | PTE_DIRTY);
  f.i32(PTE_PRESENT | PTE_ACCESSED);
  f.get(access);
  f.i32(ACCESS_WRITE);
  f.op(W.i32_eq);
  f.op(W.select);
  f.set(needed);
  const grown = f.block();
  emitGrow(f, { va, access, window, needed }, grown);
  emitCount(f, { va, access, window, needed });
  f.end();
  f.end();
  f.get(host);
  return f;
}

interface Miss {
  readonly va: number;
  readonly access: number;
  readonly window: number;
  /** What a leaf must have to be part of the window. */
  readonly needed: number;
}

/** An access next to the window, or at its end: the window takes in the page there, when it can. */
function emitGrow(f: Assembler, { va, access, window, needed }: Miss, grown: Label): void {
  const start = f.local(I64);
  const room = f.local(I64);
  const isBelow = f.local(I32);
  const page = f.local(I64);
  const leaf = f.local(I32);
  const pte = f.local(I32);
  const addend = f.local(I32);
  const no = f.block();
  f.get(window);
  f.memory(W.i64_load32_u, WINDOW_ROOM_AT);
  f.tee(room);
  f.op(W.i64_eqz);
  f.brIf(no);
  f.get(va);
  f.get(window);
  f.memory(W.i64_load, 0);
  f.tee(start);
  f.i64(PAGE_SIZE);
  f.op(W.i64_sub);
  f.op(W.i64_sub);
  f.get(room);
  f.i64(2 * PAGE_SIZE + TAIL);
  f.op(W.i64_add);
  f.op(W.i64_ge_u);
  f.brIf(no);
  // page = isBelow ? start - PAGE_SIZE : start + room + TAIL
  f.get(start);
  f.i64(PAGE_SIZE);
  f.op(W.i64_sub);
  f.get(start);
  f.get(room);
  f.op(W.i64_add);
  f.i64(TAIL);
  f.op(W.i64_add);
  f.get(va);
  f.get(start);
  f.op(W.i64_lt_u);
  f.tee(isBelow);
  f.op(W.select);
  f.set(page);
  emitWalk(f, page, leaf, pte, no);
  f.get(window);
  f.memory(W.i32_load, WINDOW_ADDEND_AT);
  f.set(addend);
  emitLacks(f, { page, pte, addend, needed, access });
  f.brIf(no);
  emitMark(f, pte, access);
  f.get(window);
  f.get(page);
  f.get(start);
  f.get(isBelow);
  f.op(W.select);
  f.memory(W.i64_store, 0);
  f.get(window);
  f.get(room);
  f.i64(PAGE_SIZE);
  f.op(W.i64_add);
  f.memory(W.i64_store32, WINDOW_ROOM_AT);
  f.br(grown);
  f.end();
}

/** Moves the window when there have been enough misses. */
function emitCount(f: Assembler, miss: Miss): void {
  const number = f.local(I32);
  const misses = f.local(I32);
  const level = f.local(I32);
  const left = f.local(I32);
  const tries = f.local(I32);
  f.get(miss.window);
  f.i32(WINDOWS);
  f.op(W.i32_sub);
  f.i32(WINDOW_BYTES);
  f.op(W.i32_div_u);
  f.tee(number);
  f.i32(MISSES_BYTES);
  f.op(W.i32_mul);
  f.tee(misses);
  f.memory(W.i32_load, WINDOW_MISSES);
  f.set(left);
  f.get(misses);
  f.memory(W.i32_load16_u, WINDOW_MISSES + MISSES_STAYED_AT);
  f.set(tries);
  f.get(misses);
  f.memory(W.i32_load16_u, WINDOW_MISSES + MISSES_LEVEL_AT);
  f.tee(level);
  f.op(W.i32_eqz);
  f.if_();
  emitLog(f, number);
  f.i32(MISSES_MIN);
  f.tee(level);
  f.set(left);
  f.end();
  f.get(left);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(left);
  f.op(W.i32_eqz);
  f.if_();
  emitMove(f, miss, level, tries);
  f.get(level);
  f.i32(1);
  f.op(W.i32_shl);
  f.i32(MISSES_MAX);
  f.get(level);
  f.i32(MISSES_MAX);
  f.op(W.i32_lt_u);
  f.op(W.select);
  f.tee(level);
  f.set(left);
  f.end();
  f.get(misses);
  f.get(left);
  f.memory(W.i32_store, WINDOW_MISSES);
  f.get(misses);
  f.get(level);
  f.get(tries);
  f.i32(16);
  f.op(W.i32_shl);
  f.op(W.i32_or);
  f.memory(W.i32_store, WINDOW_MISSES + MISSES_LEVEL_AT);
}

/** So that it is forgotten with the others. */
function emitLog(f: Assembler, number: number): void {
  const count = f.local(I32);
  f.i32(WINDOW_LOG);
  f.i32(WINDOW_LOG);
  f.memory(W.i32_load, 0);
  f.i32(1);
  f.op(W.i32_add);
  f.tee(count);
  f.memory(W.i32_store, 0);
  f.get(count);
  f.i32(2);
  f.op(W.i32_shl);
  f.get(number);
  f.memory(W.i32_store, WINDOW_LOG);
}

/**
 * The window becomes the pages around `va` that lie in a row with its page, up to `pages` on each side. A longer one is given up for it only when
 * that was of no use several times: where two runs are used in turns, an access is in the longer one more often.
 */
function emitMove(f: Assembler, { va, access, window, needed }: Miss, pages: number, tries: number): void {
  const leaf = f.local(I32);
  const pte = f.local(I32);
  const addend = f.local(I32);
  const first = f.local(I64);
  const last = f.local(I64);
  const room = f.local(I64);
  const stays = f.block();
  emitWalk(f, va, leaf, pte, stays);
  f.get(va);
  f.i64(-PAGE_SIZE);
  f.op(W.i64_and);
  f.tee(first);
  f.set(last);
  f.get(pte);
  f.i32(-PAGE_SIZE);
  f.op(W.i32_and);
  f.get(first);
  f.op(W.i32_wrap_i64);
  f.op(W.i32_sub);
  f.set(addend);
  for (const [edge, step] of [[first, -1], [last, 1]] as const) {
    emitExtend(f, { edge, step, leaf, addend, needed, access, pages });
  }
  f.get(last);
  f.get(first);
  f.op(W.i64_sub);
  f.i64(PAGE_SIZE - TAIL);
  f.op(W.i64_add);
  f.set(room);
  f.get(tries);
  f.i32(1);
  f.op(W.i32_add);
  f.tee(tries);
  f.i32(TRIES_MAX);
  f.op(W.i32_lt_u);
  f.get(room);
  f.get(window);
  f.memory(W.i64_load32_u, WINDOW_ROOM_AT);
  f.op(W.i64_lt_u);
  f.op(W.i32_and);
  f.brIf(stays);
  f.get(window);
  f.get(first);
  f.memory(W.i64_store, 0);
  f.get(window);
  f.get(room);
  f.memory(W.i64_store32, WINDOW_ROOM_AT);
  f.get(window);
  f.get(addend);
  f.memory(W.i32_store, WINDOW_ADDEND_AT);
  f.i32(0);
  f.set(tries);
  f.end();
}
