// SPDX-License-Identifier: Apache-2.0
// Page table walks from TypeScript: instruction fetch, and guest memory for ext functions.

import { type Access, ACCESS_EXEC, ACCESS_WRITE, TRAP_FAULT, TRAP_PROTECTION } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import {
  CPU_BASE,
  CPU_STATE,
  FRAME_CODE,
  FRAME_FLAGS,
  PAGE_SIZE,
  pageOffset,
  pageStart,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_EXEC,
  PTE_PRESENT,
  PTE_WRITE,
  TLB_EMPTY,
  TLB_EMPTY_FIRST,
  TLB_ENTRIES,
  TLB_READ,
  TLB_WRITE,
} from "./layout.ts";
import type { Fetch } from "./frontend.ts";
import {
  MISSES_BYTES,
  MISSES_LEVEL_AT,
  STACK_ROOM,
  WINDOW_BYTES,
  WINDOW_LOG,
  WINDOW_MISSES,
  WINDOW_ROOM_AT,
  WINDOWS,
} from "./runtime/status.ts";

const TWO_47 = 2 ** 47;
const UPPER_HALF = 2 ** 64 - TWO_47;

/** Host address of the page that holds `address`, or -1. Sets ACCESSED, and DIRTY for a write. */
export function walk(ram: Ram, address: number, access: Access): number {
  if (address >= TWO_47 || address < 0) return -1;
  const u32 = ram.u32;
  const high = Math.floor(address / 4096 / 1024); // bits 22 and up
  const low = (address / 4096) & 1023;
  let entry = u32[(CPU_BASE + CPU_STATE.pageTableRoot) >>> 2]!;
  entry = u32[(frameOf(entry) + ((high >>> 20) & 1023) * 4) >>> 2]!;
  if ((entry & PTE_PRESENT) === 0) return -1;
  entry = u32[(frameOf(entry) + ((high >>> 10) & 1023) * 4) >>> 2]!;
  if ((entry & PTE_PRESENT) === 0) return -1;
  entry = u32[(frameOf(entry) + (high & 1023) * 4) >>> 2]!;
  if ((entry & PTE_PRESENT) === 0) return -1;
  const leaf = (frameOf(entry) + low * 4) >>> 2;
  entry = u32[leaf]!;
  const needed = PTE_PRESENT | (access === ACCESS_WRITE ? PTE_WRITE : access === ACCESS_EXEC ? PTE_EXEC : 0);
  if ((entry & needed) !== needed) return -1;
  const marks = access === ACCESS_WRITE ? PTE_ACCESSED | PTE_DIRTY : PTE_ACCESSED;
  if ((entry & marks) !== marks) u32[leaf] = entry | marks;
  return frameOf(entry);
}

function frameOf(entry: number): number {
  return (entry & ~4095) >>> 0;
}

/** Records why an access failed; returns the trap. */
export function recordFault(ram: Ram, address: number, access: Access): number {
  const base = CPU_BASE >>> 2;
  ram.i32[base + (CPU_STATE.trapAccess >>> 2)] = access;
  if (access === ACCESS_EXEC && address >= UPPER_HALF) {
    // A number has not the precision, and only where code was about to begin can it have been that.
    ram.u8.copyWithin(CPU_BASE + CPU_STATE.trapAddress, CPU_BASE + CPU_STATE.pc, CPU_BASE + CPU_STATE.pc + 8);
  } else {
    ram.writeU64(CPU_BASE + CPU_STATE.trapAddress, address);
  }
  return address >= TWO_47 && address < UPPER_HALF ? TRAP_PROTECTION : TRAP_FAULT;
}

export function isCodeFrame(ram: Ram, frame: number): boolean {
  return (ram.u8[FRAME_FLAGS + (frame >>> 12)]! & FRAME_CODE) !== 0;
}

/** Empties both TLBs of a machine that was just made: in fresh memory all entries are empty but the first. */
export function clearTlb(ram: Ram): void {
  for (const tlb of [TLB_READ, TLB_WRITE]) emptyEntry(ram.u32, tlb >>> 2, 0);
  forgetWindows(ram);
}

function forgetWindows({ i32 }: Ram): void {
  const at = STACK_ROOM >>> 2;
  i32[at] = i32[at + 1] = 0;
  const log = WINDOW_LOG >>> 2;
  for (let n = i32[log]!; n > 0; n--) {
    const window = i32[log + n]!;
    i32[(WINDOWS + window * WINDOW_BYTES + WINDOW_ROOM_AT) >>> 2] = 0;
    i32[(WINDOW_MISSES + window * MISSES_BYTES + MISSES_LEVEL_AT) >>> 2] = 0;
  }
  i32[log] = 0;
}

/** Drops the translations of pages [first, last) of the current address space. */
export function dropTlbEntries(ram: Ram, first: number, last: number): void {
  const u32 = ram.u32;
  forgetWindows(ram);
  for (let page = first; page < last; page++) {
    const index = (page & (TLB_ENTRIES - 1)) * 4;
    const lo = (page * PAGE_SIZE) >>> 0;
    const hi = Math.floor(page / 0x10_0000);
    for (const entry of [(TLB_READ >>> 2) + index, (TLB_WRITE >>> 2) + index]) {
      if (u32[entry] === lo && u32[entry + 1] === hi) emptyEntry(u32, entry, page & (TLB_ENTRIES - 1));
    }
  }
}

function emptyEntry(u32: Uint32Array, entry: number, index: number): void {
  u32[entry] = u32[entry + 1] = index === 0 ? TLB_EMPTY_FIRST : TLB_EMPTY;
}

/** Fetches code bytes; remembers the last page. */
export class CodeFetch implements Fetch {
  readonly #ram: Ram;
  #page = -1;
  #host = 0;

  constructor(ram: Ram) {
    this.#ram = ram;
  }

  /** Before each block: mappings may have changed. */
  reset(): void {
    this.#page = -1;
  }

  byte(pc: number): number {
    const offset = pageOffset(pc);
    const page = pc - offset;
    if (page !== this.#page) {
      const host = walk(this.#ram, page, ACCESS_EXEC);
      if (host < 0) return -1;
      this.#page = page;
      this.#host = host;
    }
    return this.#ram.u8[this.#host + offset]!;
  }
}

/** Where the page after that of `address` begins. */
export function nextPage(address: number): number {
  return pageStart(address) + PAGE_SIZE;
}
