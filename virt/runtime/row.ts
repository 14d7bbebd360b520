// SPDX-License-Identifier: Apache-2.0
// Pages one behind the other in RAM, as windows take them in: loops' (windows.ts) and the one of the stack (reach.ts).
//
// Invariant: such a page has rights and marks for which the TLB would have an entry.

import { FRAME_CODE, FRAME_FLAGS, FRAME_WRITTEN, PAGE_SIZE } from "../layout.ts";
import type { Assembler } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { emitWalk } from "./inline.ts";

const LEAF_BYTES = 4;

export interface Page {
  readonly page: number;
  /** Its leaf. */
  readonly pte: number;
  /** What makes the host address of it that the window would have. */
  readonly addend: number;
  readonly needed: number;
  readonly access: number;
}

/** Leaves whether the leaf of a page is not as the window would have it. */
export function emitLacks(f: Assembler, { page, pte, addend, needed, access }: Page): void {
  f.get(pte);
  f.get(needed);
  f.i32(-PAGE_SIZE);
  f.op(W.i32_or);
  f.op(W.i32_and);
  f.get(needed);
  f.get(page);
  f.op(W.i32_wrap_i64);
  f.get(addend);
  f.op(W.i32_add);
  f.op(W.i32_or);
  f.op(W.i32_ne);
  // A frame with code is written by nobody.
  f.get(pte);
  f.i32(12);
  f.op(W.i32_shr_u);
  f.memory(W.i32_load8_u, FRAME_FLAGS);
  f.i32(FRAME_CODE);
  f.op(W.i32_and);
  f.get(access);
  f.op(W.i32_and);
  f.op(W.i32_or);
}

/** A frame that is written by way of a window is one that may have a write entry. */
export function emitMark(f: Assembler, pte: number, access: number): void {
  f.get(access);
  f.if_();
  f.get(pte);
  f.i32(12);
  f.op(W.i32_shr_u);
  f.i32(FRAME_WRITTEN);
  f.memory(W.i32_store8, FRAME_FLAGS);
  f.end();
}

export interface Extension {
  /** The outermost page so far; `step` pages further is the next. */
  readonly edge: number;
  readonly step: 1 | -1;
  /** Address of the leaf of the page in the middle. */
  readonly leaf: number;
  readonly addend: number;
  readonly needed: number;
  readonly access: number;
  readonly pages: number;
}

/** Moves `edge` on while the next page lies in a row with those before and is as it is to be. */
export function emitExtend(
  f: Assembler,
  { edge, step, leaf, addend, needed, access, pages }: Extension,
): void {
  const at = f.local(I32);
  const left = f.local(I32);
  const pte = f.local(I32);
  const next = f.local(I64);
  f.get(leaf);
  f.set(at);
  f.get(pages);
  f.set(left);
  const done = f.block();
  const again = f.loop();
  f.get(edge);
  f.i64(step * PAGE_SIZE);
  f.op(W.i64_add);
  f.set(next);
  f.get(at);
  f.i32(PAGE_SIZE - 1);
  f.op(W.i32_and);
  f.i32(step < 0 ? 0 : PAGE_SIZE - LEAF_BYTES);
  f.op(W.i32_eq);
  f.if_();
  emitWalk(f, next, at, pte, done);
  f.else_();
  f.get(at);
  f.i32(step * LEAF_BYTES);
  f.op(W.i32_add);
  f.tee(at);
  f.memory(W.i32_load, 0);
  f.set(pte);
  f.end();
  emitLacks(f, { page: next, pte, addend, needed, access });
  f.brIf(done);
  emitMark(f, pte, access);
  f.get(next);
  f.set(edge);
  f.get(left);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(left);
  f.brIf(again);
  f.end();
  f.end();
}
