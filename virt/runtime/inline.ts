// SPDX-License-Identifier: Apache-2.0
// Short sequences that both back ends and the dispatcher emit in line.

import {
  JUMP_CACHE_ENTRIES,
  NEAR_CACHE_ENTRIES,
  PAGE_SHIFT,
  PAGE_SIZE,
  PT_SHIFTS,
  PTE_PRESENT,
  TLB_ENTRIES,
  TLB_READ,
  TLB_WRITE,
} from "../layout.ts";
import type { Assembler, Label } from "../wasm/assembler.ts";
import { W } from "../wasm/opcodes.ts";
import { stateAddress } from "./status.ts";

const INDEX_MASK = (TLB_ENTRIES - 1) << 4;

/** Leaves the offset within a TLB of the entry for `va`. */
function pushTlbIndex(f: Assembler, va: number): void {
  f.get(va);
  f.i64(8);
  f.op(W.i64_shr_u);
  f.op(W.i32_wrap_i64);
  f.i32(INDEX_MASK);
  f.op(W.i32_and);
}

/**
 * Leaves 1 when [va, va + bytes) hits; entry = offset of the entry. `pushBytes` replaces a constant width. Where the pages
 * agree, tag xor va is the offset in the page: one compare looks at the page and at its end. An empty entry holds a
 * page that is not looked for there (walk.ts).
 */
export function pushTlbHit(
  f: Assembler,
  tlb: number,
  bytes: number,
  va: number,
  entry: number,
  pushBytes?: () => void,
): void {
  pushTlbIndex(f, va);
  f.tee(entry);
  f.memory(W.i64_load, tlb);
  f.get(va);
  f.op(W.i64_xor);
  if (pushBytes === undefined) {
    f.i64(PAGE_SIZE - bytes);
  } else {
    f.i64(PAGE_SIZE);
    pushBytes();
    f.op(W.i64_sub);
  }
  f.op(W.i64_le_u);
}

/** Leaves the host address of `va` by the entry that pushTlbHit() found. */
export function pushHost(f: Assembler, tlb: number, va: number, entry: number): void {
  f.get(va);
  f.op(W.i32_wrap_i64);
  f.get(entry);
  f.memory(W.i32_load, tlb + 8);
  f.op(W.i32_add);
}

/** Leaves 0 when [va, va + 16) hits and va is aligned; entry as above. Such a range crosses no page. */
export function pushAlignedMiss(f: Assembler, tlb: number, va: number, entry: number): void {
  pushTlbIndex(f, va);
  f.tee(entry);
  f.memory(W.i64_load, tlb);
  f.get(va);
  f.op(W.i64_xor);
  f.i64(~(PAGE_SIZE - 16));
  f.op(W.i64_and);
  f.i64(0);
  f.op(W.i64_ne);
}

/** Leaves the address of the entry for `va`, which is in `entry` as well. */
export function pushEntryOf(f: Assembler, va: number, access: number, entry: number): void {
  pushTlbIndex(f, va);
  f.i32(TLB_WRITE);
  f.i32(TLB_READ);
  f.get(access);
  f.op(W.select);
  f.op(W.i32_add);
  f.tee(entry);
}

/** offset = va & 0xfff; leaves on the stack whether [va, va + bytes) stays in its page. */
export function emitFits(f: Assembler, va: number, bytes: number, offset: number): void {
  f.get(va);
  f.op(W.i32_wrap_i64);
  f.i32(0xfff);
  f.op(W.i32_and);
  f.tee(offset);
  f.get(bytes);
  f.op(W.i32_add);
  f.i32(4096);
  f.op(W.i32_le_u);
}

/** Leaves the address of the leaf in `table` and its value in `pte`. */
export function emitWalk(f: Assembler, va: number, table: number, pte: number, fault: Label): void {
  f.i32(stateAddress("pageTableRoot"));
  f.memory(W.i32_load, 0);
  f.set(pte);
  for (const shift of PT_SHIFTS) {
    f.get(pte);
    f.i32(-4096);
    f.op(W.i32_and);
    f.get(va);
    f.i64(shift);
    f.op(W.i64_shr_u);
    f.op(W.i32_wrap_i64);
    f.i32(1023);
    f.op(W.i32_and);
    f.i32(2);
    f.op(W.i32_shl);
    f.op(W.i32_add);
    f.tee(table);
    f.memory(W.i32_load, 0);
    f.tee(pte);
    f.i32(PTE_PRESENT);
    f.op(W.i32_and);
    f.op(W.i32_eqz);
    f.brIf(fault);
  }
}

/** Leaves the offset within JUMP_CACHE of the first of the places for a pc; the others are OTHER_PLACES away (xor). The tag
 *  takes part, so that the same code in two address spaces (after fork) has places of its own. */
export function pushJumpCacheEntry(f: Assembler, pushPc: () => void): void {
  pushPc();
  f.op(W.i32_wrap_i64);
  f.i32(PAGE_SHIFT);
  f.op(W.i32_shr_u);
  hashWithTag(f, GROUP_SHIFT);
  f.i32(-GROUP_BYTES);
  f.op(W.i32_and);
  pushPc();
  f.op(W.i32_wrap_i64);
  f.i32(JUMP_CACHE_FACTOR);
  f.op(W.i32_mul);
  f.i32(shiftFor(GROUP_ENTRIES));
  f.op(W.i32_shr_u);
  f.i32(-16);
  f.op(W.i32_and);
  f.op(W.i32_or);
}

/** Leaves the offset within NEAR_CACHE of the place for a pc. */
export function pushNearEntry(f: Assembler, pushPc: () => void): void {
  pushPc();
  f.op(W.i32_wrap_i64);
  hashWithTag(f, shiftFor(NEAR_CACHE_ENTRIES));
  f.i32(-16);
  f.op(W.i32_and);
}

/** Makes a hash of the i32 on the stack and the tag of the address space. */
function hashWithTag(f: Assembler, shift: number): void {
  f.i32(stateAddress("addressSpaceTag") + 4);
  f.memory(W.i32_load, 0);
  f.op(W.i32_xor);
  f.i32(JUMP_CACHE_FACTOR);
  f.op(W.i32_mul);
  f.i32(shift);
  f.op(W.i32_shr_u);
}

/** In the place of an address on the stack: whether it is not one of the lower half, which user code has. */
export function emitIsHigh(f: Assembler): void {
  f.i64(47);
  f.op(W.i64_shr_u);
  f.op(W.i64_eqz);
  f.op(W.i32_eqz);
}

/** pc xor the tag of the address space. */
export function pushKey(f: Assembler, pc: number): void {
  f.get(pc);
  f.i32(stateAddress("addressSpaceTag"));
  f.memory(W.i64_load, 0);
  f.op(W.i64_xor);
}

/** The index of the first place of a pc in the jump cache, as pushJumpCacheEntry has it. */
export function jumpCacheIndex(pcLo: number, tagHi: number): number {
  const group = Math.imul((pcLo >>> PAGE_SHIFT) ^ tagHi, JUMP_CACHE_FACTOR) >>> GROUP_SHIFT;
  const within = Math.imul(pcLo, JUMP_CACHE_FACTOR) >>> shiftFor(GROUP_ENTRIES);
  return ((group & -GROUP_BYTES) | within) >>> 4;
}

/** Multiplicative hashing (D. Knuth, The Art of Computer Programming, volume 3, 6.4): 2^32 over the golden ratio. */
const JUMP_CACHE_FACTOR = 0x9e37_79b1 | 0;
/** What a page of guest code leads to has its places in two pages of the jump cache: fewer pages of the host are touched, and few such groups overflow. */
export const GROUP_ENTRIES = 512;
const GROUP_BYTES: number = GROUP_ENTRIES * 16;
const GROUP_SHIFT: number = shiftFor(JUMP_CACHE_ENTRIES);
export const OTHER_PLACES: readonly number[] = [16, 32, 48];

function shiftFor(entries: number): number {
  return 32 - Math.log2(entries * 16);
}

/** Adds one to the u32 at an address. */
export function countUp(f: Assembler, address: number): void {
  f.i32(address);
  f.i32(address);
  f.memory(W.i32_load, 0);
  f.i32(1);
  f.op(W.i32_add);
  f.memory(W.i32_store, 0);
}
