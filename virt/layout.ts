// SPDX-License-Identifier: Apache-2.0
// Where the machine keeps its own data in guest RAM (host addresses, bytes).
//
// One WebAssembly.Memory holds everything that WebAssembly code touches. The area below FRAMES_START is
// the machine's: the register file of the CPU, the software TLBs, the jump cache, the frame flags and the
// bytecode arena. Page frames handed out by mm/page_alloc.ts start at FRAMES_START.
//
// Invariants: every table is aligned to its size; nothing here moves while code runs, because compiled
// regions hold these addresses as constants.

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;

/** Where in its page an address lies. An engine has no fast remainder of numbers past 2^31, while & takes the low bits of any integer. */
export function pageOffset(address: number): number {
  return address & (PAGE_SIZE - 1);
}

/** Where the page of an address begins. */
export function pageStart(address: number): number {
  return address - pageOffset(address);
}

/** The register file of the CPU that runs; offsets within it are in CPU_STATE. It lies at 0 so that an engine's code
 *  reaches the general registers with displacements of one byte. */
export const CPU_BASE = 0;

/** Offsets from CPU_BASE. The first SAVED_BYTES are what a context switch saves and restores. */
export const CPU_STATE = {
  gpr: 0x000, // 16 x i64, in encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15
  pc: 0x080, // i64: rip
  ccOp: 0x088, // i32 (in 8 bytes): how the arithmetic flags follow from ccA and ccB
  ccA: 0x090, // i64
  ccB: 0x098, // i64
  df: 0x0a0, // i64: 0 or 1
  eflagsOther: 0x0a8, // i64: TF NT AC ID and what else is neither arithmetic nor DF
  fsBase: 0x0b0, // i64
  gsBase: 0x0b8, // i64
  mxcsr: 0x0c0, // i32
  segments: 0x0c8, // 6 x u16: es cs ss ds fs gs selectors
  xmm: 0x100, // 16 x v128
  st: 0x200, // 8 x 16 bytes: physical x87 registers, 80 bits each (64-bit significand, then sign and exponent)
  fcw: 0x280, // i32
  fsw: 0x284, // i32, TOP held apart in ftop
  ftop: 0x288, // i32: 0..7
  ftag: 0x28c, // i32: bit n set when physical register n is not empty (the abridged form of FXSAVE)
  fop: 0x290, // i32
  fip: 0x298, // i64
  fdp: 0x2a0, // i64
  fselectors: 0x2a8, // i32: code and data selector beside fip and fdp, 16 bits each
  // Not saved:
  trapKind: 0x300, // i32: a TRAP_* of include/linux/cpu.ts
  trapAccess: 0x304, // i32: an ACCESS_*
  trapAddress: 0x308, // i64: the address that faulted
  pageTableRoot: 0x310, // i32: host address of the top table of the current address space
  addressSpaceTag: 0x318, // i64: tag mixed into jump-cache entries; changes when mappings of code change
  budget: 0x320, // i64: instructions left before TRAP_PREEMPTED
  scratch: 0x400, // 256 bytes: operands and results of calls to TypeScript
  temps: 0x800, // the interpreter's temporaries, up to 0x8000
} as const;
export const SAVED_BYTES = 0x300;

/** Entries of 16 bytes: i64 page address, i32 addend (host = low32(va) + addend), 4 bytes spare. */
export const TLB_ENTRIES = 16_384;
/** The page address (as i64) in an empty entry: that of a page whose entry is the first, as in fresh memory, and in the first another. */
export const TLB_EMPTY = 0;
export const TLB_EMPTY_FIRST = -1;
export const TLB_READ = 0x8_0000;
export const TLB_WRITE = 0xc_0000;

/** Entries of 16 bytes: i64 pc xor tag, i32 table index, i32 entry. */
export const JUMP_CACHE_ENTRIES = 131_072;
export const JUMP_CACHE = 0x20_0000;
/** The same, of regions alone, before it. */
export const NEAR_CACHE_ENTRIES = 1024;
export const NEAR_CACHE = 0x5_8000;

/** One byte per frame of the 4 GiB: FRAME_* bits. */
export const FRAME_FLAGS = 0x10_0000;
/** Translated code was made from this frame: no write TLB entry may be filled for it. */
export const FRAME_CODE = 1;
/** A write TLB entry was filled for this frame since it was last without both. */
export const FRAME_WRITTEN = 2;

export const BYTECODE_ARENA = 0x40_0000;
/** The arena before it holds the code of a large compiler; what is not touched costs the host nothing. */
export const FRAMES_START = 0x800_0000;

/*
 * Page tables: 4 levels of one page each, 1024 entries of u32; level shifts 42, 32, 22, 12.
 * An entry of an upper level is the host address of the next table | PTE_PRESENT, or 0.
 * A leaf is the host address of the frame | PTE_* bits. An entry without PTE_PRESENT is ignored by the
 * machine; mm may keep what it likes in the other bits.
 */
export const PT_SHIFTS = [42, 32, 22, 12] as const;
export const PTE_PRESENT = 0x001;
export const PTE_WRITE = 0x002;
export const PTE_EXEC = 0x004;
/** Set by the machine when a translation is filled. */
export const PTE_ACCESSED = 0x020;
/** Set by the machine when a write translation is filled; a writable but clean page has no write TLB entry. */
export const PTE_DIRTY = 0x040;
/** Bits the machine never reads, for mm. */
export const PTE_SOFT1 = 0x100;
export const PTE_SOFT2 = 0x200;
export const PTE_SOFT3 = 0x400;

/** User addresses lie below this (Linux's TASK_SIZE on x86-64 with four levels). */
export const TASK_SIZE = 0x7fff_ffff_f000;
