// SPDX-License-Identifier: Apache-2.0
// Where some bytes of guest memory lie in RAM, as WebAssembly functions of the runtime module: what regions ask when the check
// in line says no.

import { ACCESS_WRITE } from "../../include/linux/cpu.ts";
import {
  PAGE_SIZE,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_WRITE,
  TLB_READ,
  TLB_WRITE,
} from "../layout.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { countUp, emitFits, emitWalk, pushEntryOf, pushTlbHit } from "./inline.ts";
import { emitExtend, emitLacks, emitMark } from "./row.ts";
import {
  APART_AT,
  APART_COUNT,
  STACK_ADDEND,
  STACK_ASKED,
  STACK_ASKED_AT,
  STACK_ROOM,
  STACK_SPAN,
  STACK_START,
} from "./status.ts";

/** (va, access) -> host address of the page, by its entry or a new one; 0 for a fault. */
export function emitPageOf(fill: number): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [va, access] = [0, 1];
  const entry = f.local(I32);
  f.get(va);
  f.i64(-PAGE_SIZE);
  f.op(W.i64_and);
  f.set(va);
  f.get(access);
  f.if_(I32);
  pushTlbHit(f, TLB_WRITE, 1, va, entry);
  f.else_();
  pushTlbHit(f, TLB_READ, 1, va, entry);
  f.end();
  f.if_(I32);
  f.get(va);
  f.op(W.i32_wrap_i64);
  f.i32(TLB_WRITE);
  f.i32(TLB_READ);
  f.get(access);
  f.op(W.select);
  f.get(entry);
  f.op(W.i32_add);
  f.memory(W.i32_load, 8);
  f.op(W.i32_add);
  f.else_();
  f.get(va);
  f.get(access);
  f.call(fill);
  f.end();
  return f;
}

/** Two pages that lie one behind the other in RAM are as good as one. */
export function emitReach(pageOf: number): Assembler {
  const f = new Assembler([I64, I32, I32], [I32]);
  const [va, bytes, access] = [0, 1, 2];
  const offset = f.local(I32);
  const page = f.local(I32);
  // Mostly it is one page, whose entry is there.
  pushEntryOf(f, va, access, page);
  f.memory(W.i64_load, 0);
  f.get(va);
  f.op(W.i64_xor);
  f.i64(PAGE_SIZE);
  f.get(bytes);
  f.op(W.i64_extend_i32_u);
  f.op(W.i64_sub);
  f.op(W.i64_le_u);
  f.if_();
  f.get(va);
  f.op(W.i32_wrap_i64);
  f.get(page);
  f.memory(W.i32_load, 8);
  f.op(W.i32_add);
  f.return_();
  f.end();
  f.get(va);
  f.get(access);
  f.call(pageOf);
  f.set(page);
  emitFits(f, va, bytes, offset);
  f.op(W.i32_eqz);
  f.if_();
  emitNeeds(f, page, true);
  f.get(va);
  f.i64(PAGE_SIZE);
  f.op(W.i64_add);
  f.get(access);
  f.call(pageOf);
  f.get(page);
  f.i32(PAGE_SIZE);
  f.op(W.i32_add);
  f.op(W.i32_ne);
  f.if_();
  f.i32(APART_AT);
  f.get(va);
  f.memory(W.i64_store, 0);
  countUp(f, APART_COUNT);
  f.i32(0);
  f.return_();
  f.end();
  f.end();
  emitNeeds(f, page, false);
  f.get(page);
  f.get(offset);
  f.op(W.i32_add);
  return f;
}

/** Returns 0 where a page is not there. */
function emitNeeds(f: Assembler, page: number, isOfTwo: boolean): void {
  f.get(page);
  f.op(W.i32_eqz);
  f.if_();
  if (isOfTwo) countUp(f, APART_COUNT);
  f.i32(0);
  f.return_();
  f.end();
}

/** Most pages that the window of the stack has on each side of the one that is used. */
const WINDOW_PAGES = 64;

/** As reach, which is asked; where the page may be written the window of the stack is around it from then on. */
export function emitReachStack(reach: number): Assembler {
  const f = new Assembler([I64, I32, I32], [I32]);
  const [va, bytes, access] = [0, 1, 2];
  const host = f.local(I32);
  countUp(f, STACK_ASKED);
  f.i32(STACK_ASKED_AT);
  f.get(va);
  f.memory(W.i64_store, 0);
  f.get(va);
  f.get(bytes);
  f.get(access);
  f.call(reach);
  f.tee(host);
  f.if_();
  emitWindow(f, va);
  f.end();
  f.get(host);
  return f;
}

/** The window is the pages around `va` that may be written and lie in a row; what is read alone now is written soon. */
function emitWindow(f: Assembler, va: number): void {
  const [leaf, pte, addend] = [f.local(I32), f.local(I32), f.local(I32)];
  const [first, last] = [f.local(I64), f.local(I64)];
  const [needed, access, pages] = [f.local(I32), f.local(I32), f.local(I32)];
  f.i32(PTE_PRESENT | PTE_ACCESSED | PTE_WRITE | PTE_DIRTY);
  f.set(needed);
  f.i32(ACCESS_WRITE);
  f.set(access);
  f.i32(WINDOW_PAGES);
  f.set(pages);
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
  emitLacks(f, { page: first, pte, addend, needed, access });
  f.brIf(stays);
  emitMark(f, pte, access);
  emitExtend(f, { edge: first, step: -1, leaf, addend, needed, access, pages });
  emitExtend(f, { edge: last, step: 1, leaf, addend, needed, access, pages });
  f.i32(STACK_ADDEND);
  f.get(addend);
  f.memory(W.i32_store, 0);
  f.i32(STACK_START);
  f.get(first);
  f.memory(W.i64_store, 0);
  f.i32(STACK_ROOM);
  f.get(last);
  f.get(first);
  f.op(W.i64_sub);
  f.i64(PAGE_SIZE - STACK_SPAN + 1);
  f.op(W.i64_add);
  f.memory(W.i64_store, 0);
  f.end();
}
