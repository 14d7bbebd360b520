// SPDX-License-Identifier: Apache-2.0
// The slow half of guest memory access, as WebAssembly functions of the runtime module.
//
// tlb_fill walks the page table, sets ACCESSED and DIRTY and fills a TLB entry. Accesses that cross a page go
// through BOUNCE; both pages are checked before a byte is written. The log names the filled entries so that
// a switch of address space clears those alone.
// Invariant: a frame with FRAME_CODE never has a write entry.

import { ACCESS_WRITE, TRAP_FAULT, TRAP_PROTECTION } from "../../include/linux/cpu.ts";
import { FRAME_CODE, FRAME_FLAGS, FRAME_WRITTEN, PTE_ACCESSED, PTE_DIRTY, PTE_WRITE } from "../layout.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import { countUp, emitFits, emitIsHigh, emitWalk, pushEntryOf } from "./inline.ts";
import { emitPageOf, emitReach, emitReachStack } from "./reach.ts";
import { emitReachWindow } from "./windows.ts";
import { emitFlush, emitFlushWrites } from "./tlb-flush.ts";
import {
  BOUNCE,
  CODE_WORD_BITS,
  CODE_WORDS,
  CODE_WORDS_AT,
  CODE_WORDS_BYTES,
  CODE_WORDS_ENTRIES,
  CODE_WORDS_LEFT_AT,
  CODE_WRITE_BYTES,
  CODE_WRITE_FRAME,
  COUNT_FILLS,
  stateAddress,
  STATUS_CODE_WRITE,
  TLB_LOG,
  TLB_LOG_ENTRIES,
} from "./status.ts";

export interface TlbFunctions {
  /** (va, access) -> host address of the page, or 0 with CPU_STATE.trapKind set. */
  readonly fill: number;
  /** (va, bytes) -> host address to load from, or 0. */
  readonly loadSlow: number;
  /** (va, value, bytes) -> status, 0 when done. */
  readonly storeSlow: number;
  readonly storeSlow128: number;
  /** (va, bytes) -> status. */
  readonly probeSlow: number;
  /** (va, bytes, access) -> host address of these bytes where they lie in a row in RAM, or 0. */
  readonly reach: number;
  /** The same for the stack, whose window it moves to there. */
  readonly reachStack: number;
  /** (va, bytes, access, address of a window) -> the same for a place with a window, which moves there when that seems to be worth it. */
  readonly reachWindow: number;
  readonly flush: number;
  readonly flushWrites: number;
}

export function addTlbFunctions(module: WasmModule): TlbFunctions {
  const fill = module.add(emitFill());
  const through = module.add(emitThrough());
  const commit = module.add(emitCommit(fill, through));
  const reach = module.add(emitReach(module.add(emitPageOf(fill))));
  return {
    fill,
    loadSlow: module.add(emitLoadSlow(fill)),
    storeSlow: module.add(emitStoreSlow(commit)),
    storeSlow128: module.add(emitStoreSlow128(commit)),
    probeSlow: module.add(emitProbeSlow(fill, through)),
    reach,
    reachStack: module.add(emitReachStack(reach)),
    reachWindow: module.add(emitReachWindow(reach)),
    flush: module.add(emitFlush()),
    flushWrites: module.add(emitFlushWrites()),
  };
}

function emitFill(): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [va, access] = [0, 1];
  const table = f.local(I32);
  const pte = f.local(I32);
  const entry = f.local(I32);
  const count = f.local(I32);
  countUp(f, COUNT_FILLS);
  const fault = f.block();
  emitCanonicalCheck(f, va, fault);
  emitWalk(f, va, table, pte, fault);
  // A write needs the right, and a frame without translated code.
  f.get(access);
  f.if_();
  f.get(pte);
  f.i32(PTE_WRITE);
  f.op(W.i32_and);
  f.op(W.i32_eqz);
  f.brIf(fault);
  f.get(pte);
  f.i32(12);
  f.op(W.i32_shr_u);
  f.tee(entry);
  f.memory(W.i32_load8_u, FRAME_FLAGS);
  f.i32(FRAME_CODE);
  f.op(W.i32_and);
  f.if_();
  f.i32(CODE_WRITE_FRAME);
  f.get(entry);
  f.memory(W.i32_store, 0);
  f.i32(CODE_WRITE_BYTES);
  f.i32(0);
  f.memory(W.i32_store, 0);
  f.get(table);
  f.get(pte);
  f.i32(PTE_ACCESSED | PTE_DIRTY);
  f.op(W.i32_or);
  f.memory(W.i32_store, 0);
  emitTrap(f, STATUS_CODE_WRITE, va, access);
  f.end();
  f.get(entry);
  f.i32(FRAME_WRITTEN);
  f.memory(W.i32_store8, FRAME_FLAGS);
  f.end();
  // *table = pte | ACCESSED | (write ? DIRTY : 0)
  f.get(table);
  f.get(pte);
  f.i32(PTE_ACCESSED | PTE_DIRTY);
  f.i32(PTE_ACCESSED);
  f.get(access);
  f.op(W.select);
  f.op(W.i32_or);
  f.memory(W.i32_store, 0);
  emitEntry(f, va, access, pte, entry);
  // Log the entry's address; a full log means that a flush clears everything.
  f.i32(TLB_LOG);
  f.i32(TLB_LOG);
  f.memory(W.i32_load, 0);
  f.tee(count);
  f.i32(1);
  f.op(W.i32_add);
  f.memory(W.i32_store, 0);
  f.get(count);
  f.i32(TLB_LOG_ENTRIES);
  f.op(W.i32_lt_u);
  f.if_();
  f.get(count);
  f.i32(2);
  f.op(W.i32_shl);
  f.get(entry);
  f.memory(W.i32_store, TLB_LOG + 4);
  f.end();
  f.get(pte);
  f.i32(-4096);
  f.op(W.i32_and);
  f.return_();
  f.end();
  emitTrap(f, TRAP_FAULT, va, access);
  f.op(W.unreachable);
  return f;
}

/** Addresses from 2^47 up: the upper half faults, what is not canonical is a protection trap. */
function emitCanonicalCheck(f: Assembler, va: number, fault: Label): void {
  f.get(va);
  emitIsHigh(f);
  f.if_();
  f.get(va);
  f.i64(47);
  f.op(W.i64_shr_s);
  f.i64(-1);
  f.op(W.i64_eq);
  f.brIf(fault);
  emitTrap(f, TRAP_PROTECTION, va, 1);
  f.end();
}

function emitEntry(f: Assembler, va: number, access: number, pte: number, entry: number): void {
  pushEntryOf(f, va, access, entry);
  f.get(va);
  f.i64(-4096);
  f.op(W.i64_and);
  f.memory(W.i64_store, 0);
  f.get(entry);
  f.get(pte);
  f.i32(-4096);
  f.op(W.i32_and);
  f.get(va);
  f.op(W.i32_wrap_i64);
  f.i32(-4096);
  f.op(W.i32_and);
  f.op(W.i32_sub);
  f.memory(W.i32_store, 8);
}

/** Records a trap and returns 0. */
function emitTrap(f: Assembler, kind: number, va: number, access: number): void {
  f.i32(stateAddress("trapKind"));
  f.i32(kind);
  f.memory(W.i32_store, 0);
  f.i32(stateAddress("trapAccess"));
  f.get(access);
  f.memory(W.i32_store, 0);
  f.i32(stateAddress("trapAddress"));
  f.get(va);
  f.memory(W.i64_store, 0);
  f.i32(0);
  f.return_();
}

/** The page at `va`, or the one after it when `second`, into `page`; `onFault` is emitted in an if. */
function emitPage(
  f: Assembler,
  fill: number,
  va: number,
  second: boolean,
  access: number,
  page: number,
  onFault: () => void,
): void {
  f.get(va);
  if (second) {
    f.i64(4096);
    f.op(W.i64_add);
    f.i64(-4096);
    f.op(W.i64_and);
  }
  f.i32(access);
  f.call(fill);
  f.tee(page);
  f.op(W.i32_eqz);
  f.if_();
  onFault();
  f.end();
}

/** An access across the end of the lower half is not canonical, whatever its first page holds. */
function emitUpperEdge(
  f: Assembler,
  fill: number,
  va: number,
  access: number,
  page: number,
  onFault: () => void,
): void {
  f.get(va);
  f.i64(4096);
  f.op(W.i64_add);
  f.i64(47);
  f.op(W.i64_shr_u);
  f.i64(1);
  f.op(W.i64_eq);
  f.if_();
  emitPage(f, fill, va, true, access, page, onFault);
  f.end();
}

function emitLoadSlow(fill: number): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [va, bytes] = [0, 1];
  const offset = f.local(I32);
  const first = f.local(I32);
  const second = f.local(I32);
  const fault = (): void => {
    f.i32(0);
    f.return_();
  };
  emitFits(f, va, bytes, offset);
  f.if_();
  emitPage(f, fill, va, false, 0, first, fault);
  f.get(first);
  f.get(offset);
  f.op(W.i32_add);
  f.return_();
  f.end();
  emitUpperEdge(f, fill, va, 0, second, fault);
  emitPage(f, fill, va, false, 0, first, fault);
  emitPage(f, fill, va, true, 0, second, fault);
  // first page's bytes, then the second's
  f.i32(BOUNCE);
  f.get(first);
  f.get(offset);
  f.op(W.i32_add);
  emitFirstPart(f, offset);
  f.memoryCopy();
  f.i32(BOUNCE);
  emitFirstPart(f, offset);
  f.op(W.i32_add);
  f.get(second);
  f.get(bytes);
  emitFirstPart(f, offset);
  f.op(W.i32_sub);
  f.memoryCopy();
  f.i32(BOUNCE);
  return f;
}

function emitFirstPart(f: Assembler, offset: number): void {
  f.i32(4096);
  f.get(offset);
  f.op(W.i32_sub);
}

/**
 * (offset in its page, bytes) -> host address where a store goes that found a frame with code, or 0: that of a watched frame, in words of which no code was
 * made (written-code.ts).
 */
function emitThrough(): Assembler {
  const f = new Assembler([I32, I32], [I32]);
  const [offset, bytes] = [0, 1];
  const frame = f.local(I32);
  const entry = f.local(I32);
  const left = f.local(I32);
  const word = f.local(I32);
  const no = f.block();
  f.i32(stateAddress("trapKind"));
  f.memory(W.i32_load, 0);
  f.i32(STATUS_CODE_WRITE);
  f.op(W.i32_ne);
  f.brIf(no);
  f.i32(CODE_WRITE_BYTES);
  f.get(bytes);
  f.memory(W.i32_store, 0);
  f.i32(CODE_WRITE_FRAME);
  f.memory(W.i32_load, 0);
  f.tee(frame);
  f.i32(CODE_WORDS_ENTRIES - 1);
  f.op(W.i32_and);
  f.i32(CODE_WORDS_BYTES);
  f.op(W.i32_mul);
  f.tee(entry);
  f.memory(W.i32_load, CODE_WORDS);
  f.get(frame);
  f.op(W.i32_ne);
  f.brIf(no);
  // The bits of up to three words, from the first on, which lie in two bytes.
  f.get(entry);
  f.get(offset);
  f.i32(CODE_WORD_BITS + 3);
  f.op(W.i32_shr_u);
  f.op(W.i32_add);
  f.memory(W.i32_load16_u, CODE_WORDS + CODE_WORDS_AT);
  f.get(offset);
  f.i32(CODE_WORD_BITS);
  f.op(W.i32_shr_u);
  f.tee(word);
  f.i32(7);
  f.op(W.i32_and);
  f.op(W.i32_shr_u);
  f.i32(-2);
  f.get(offset);
  f.get(bytes);
  f.op(W.i32_add);
  f.i32(1);
  f.op(W.i32_sub);
  f.i32(CODE_WORD_BITS);
  f.op(W.i32_shr_u);
  f.get(word);
  f.op(W.i32_sub);
  f.op(W.i32_shl);
  f.i32(-1);
  f.op(W.i32_xor);
  f.op(W.i32_and);
  f.brIf(no);
  f.get(entry);
  f.memory(W.i32_load, CODE_WORDS + CODE_WORDS_LEFT_AT);
  f.tee(left);
  f.op(W.i32_eqz);
  f.brIf(no);
  f.get(entry);
  f.get(left);
  f.i32(1);
  f.op(W.i32_sub);
  f.memory(W.i32_store, CODE_WORDS + CODE_WORDS_LEFT_AT);
  f.get(frame);
  f.i32(12);
  f.op(W.i32_shl);
  f.get(offset);
  f.op(W.i32_add);
  f.return_();
  f.end();
  f.i32(0);
  return f;
}

/** (va, bytes) -> status: copies BOUNCE to the guest. */
function emitCommit(fill: number, through: number): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [va, bytes] = [0, 1];
  const offset = f.local(I32);
  const first = f.local(I32);
  const second = f.local(I32);
  const fault = (): void => emitStatus(f);
  emitFits(f, va, bytes, offset);
  f.if_();
  emitPage(f, fill, va, false, ACCESS_WRITE, first, () => {
    f.get(offset);
    f.get(bytes);
    f.call(through);
    f.tee(first);
    f.op(W.i32_eqz);
    f.if_();
    fault();
    f.end();
    f.get(first);
    f.i32(BOUNCE);
    f.get(bytes);
    f.memoryCopy();
    f.i32(0);
    f.return_();
  });
  f.get(first);
  f.get(offset);
  f.op(W.i32_add);
  f.i32(BOUNCE);
  f.get(bytes);
  f.memoryCopy();
  f.i32(0);
  f.return_();
  f.end();
  emitUpperEdge(f, fill, va, ACCESS_WRITE, second, fault);
  emitPage(f, fill, va, false, ACCESS_WRITE, first, fault);
  emitPage(f, fill, va, true, ACCESS_WRITE, second, fault);
  f.get(first);
  f.get(offset);
  f.op(W.i32_add);
  f.i32(BOUNCE);
  emitFirstPart(f, offset);
  f.memoryCopy();
  f.get(second);
  f.i32(BOUNCE);
  emitFirstPart(f, offset);
  f.op(W.i32_add);
  f.get(bytes);
  emitFirstPart(f, offset);
  f.op(W.i32_sub);
  f.memoryCopy();
  f.i32(0);
  return f;
}

function emitStatus(f: Assembler): void {
  f.i32(stateAddress("trapKind"));
  f.memory(W.i32_load, 0);
  f.return_();
}

function emitStoreSlow(commit: number): Assembler {
  const f = new Assembler([I64, I64, I32], [I32]);
  f.i32(BOUNCE);
  f.get(1);
  f.memory(W.i64_store, 0);
  f.get(0);
  f.get(2);
  f.call(commit);
  return f;
}

function emitStoreSlow128(commit: number): Assembler {
  const f = new Assembler([I64, V128], [I32]);
  f.i32(BOUNCE);
  f.get(1);
  f.memory(W.v128_store, 0);
  f.get(0);
  f.i32(16);
  f.call(commit);
  return f;
}

function emitProbeSlow(fill: number, through: number): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [va, bytes] = [0, 1];
  const offset = f.local(I32);
  const page = f.local(I32);
  const fault = (): void => emitStatus(f);
  emitFits(f, va, bytes, offset);
  f.if_();
  emitPage(f, fill, va, false, ACCESS_WRITE, page, () => {
    f.get(offset);
    f.get(bytes);
    f.call(through);
    f.op(W.i32_eqz);
    f.if_();
    fault();
    f.end();
  });
  f.i32(0);
  f.return_();
  f.end();
  emitUpperEdge(f, fill, va, ACCESS_WRITE, page, fault);
  emitPage(f, fill, va, false, ACCESS_WRITE, page, fault);
  emitPage(f, fill, va, true, ACCESS_WRITE, page, fault);
  f.i32(0);
  return f;
}
