// SPDX-License-Identifier: Apache-2.0
// Where some bytes of guest memory lie in RAM, as WebAssembly functions of the runtime module: what regions ask when the check
// in line says no.

import { PAGE_SIZE, TLB_READ, TLB_WRITE } from "../layout.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { emitFits, pushEntryOf, pushTlbHit } from "./inline.ts";
import { STACK_ADDEND, STACK_ROOM, STACK_SPAN, STACK_START } from "./status.ts";

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
  f.tee(page);
  f.op(W.i32_eqz);
  f.if_();
  f.i32(0);
  f.return_();
  f.end();
  emitFits(f, va, bytes, offset);
  f.op(W.i32_eqz);
  f.if_();
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
  f.i32(0);
  f.return_();
  f.end();
  f.end();
  f.get(page);
  f.get(offset);
  f.op(W.i32_add);
  return f;
}

/** Most pages that the window of the stack has on each side of the one that is used. */
const WINDOW_PAGES = 64;

/** As reach, which is asked; where the page may be written the window of the stack is around it from then on. */
export function emitReachStack(reach: number): Assembler {
  const f = new Assembler([I64, I32, I32], [I32]);
  const [va, bytes, access] = [0, 1, 2];
  const host = f.local(I32);
  const entry = f.local(I32);
  f.get(va);
  f.get(bytes);
  f.get(access);
  f.call(reach);
  f.set(host);
  pushTlbHit(f, TLB_WRITE, 1, va, entry);
  f.if_();
  emitWindow(f, va, entry);
  f.end();
  f.get(host);
  return f;
}

/** The window is the pages around `va`, whose write entry is `entry`, that have write entries with the same addend. */
function emitWindow(f: Assembler, va: number, entry: number): void {
  const addend = f.local(I32);
  const first = f.local(I64);
  const last = f.local(I64);
  f.i32(STACK_ADDEND);
  f.get(entry);
  f.memory(W.i32_load, TLB_WRITE + 8);
  f.tee(addend);
  f.memory(W.i32_store, 0);
  f.get(va);
  f.i64(-PAGE_SIZE);
  f.op(W.i64_and);
  f.tee(first);
  f.set(last);
  emitExtend(f, first, -PAGE_SIZE, addend, entry);
  emitExtend(f, last, PAGE_SIZE, addend, entry);
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
}

/** Moves `page` on by `step` while the page there has a write entry with that addend. */
function emitExtend(f: Assembler, page: number, step: number, addend: number, entry: number): void {
  const next = f.local(I64);
  const left = f.local(I32);
  f.i32(WINDOW_PAGES);
  f.set(left);
  const done = f.block();
  const again = f.loop();
  f.get(page);
  f.i64(step);
  f.op(W.i64_add);
  f.set(next);
  pushTlbHit(f, TLB_WRITE, 1, next, entry);
  f.op(W.i32_eqz);
  f.brIf(done);
  f.get(entry);
  f.memory(W.i32_load, TLB_WRITE + 8);
  f.get(addend);
  f.op(W.i32_ne);
  f.brIf(done);
  f.get(next);
  f.set(page);
  f.get(left);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(left);
  f.brIf(again);
  f.end();
  f.end();
}
