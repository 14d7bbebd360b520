// SPDX-License-Identifier: Apache-2.0
// What generated code returns, the machine's own fields of the register file, and addresses derived from
// virt/layout.ts. Statuses below 32 are the TRAP_* of include/linux/cpu.ts.

import { CPU_BASE, CPU_STATE } from "../layout.ts";

/** Go on at CPU_STATE.pc: the dispatcher looks it up. */
export const STATUS_CONTINUE = 0;
/** No code is known for CPU_STATE.pc. */
export const STATUS_MISS = 32;
/** A direct jump has no link yet: LINK_SLOT is its address. */
export const STATUS_LINK = 33;
/** The block at CPU_STATE.pc has been entered often. */
export const STATUS_HOT = 34;
/** A store hit a frame with translated code; pc is that of the instruction. */
export const STATUS_CODE_WRITE = 35;
/** A region leaves the instruction at pc to the interpreter: a TLB miss, a fault, a NaN. */
export const STATUS_SLOW = 36;
/** STATUS_SLOW, and the region whose data is at LAST_DATA has come to that often. */
export const STATUS_SLOW_OFTEN = 38;
/** A region's function returns the guest address to go on at, or this plus one of the above: no address is that high. */
export const STATUS_BASE: number = 2 ** 48;

// Machine-private fields between scratch and temps. What the interpreter has of its own there begins at 0x5a0 (interp/steps.ts).
/** Values on their way to or from two pages. */
export const BOUNCE: number = CPU_BASE + 0x500;
export const LINK_SLOT: number = CPU_BASE + 0x540;
/** Counters that generated code keeps. */
export const COUNT_FILLS: number = CPU_BASE + 0x548;
/** Regions left for one slow instruction. */
export const COUNT_SLOW: number = CPU_BASE + 0x54c;
/** Entries into code by the dispatcher. */
export const COUNT_DISPATCHES: number = CPU_BASE + 0x550;
/** Of the region that was left last by a status: u32 address of its data, i64 guest address of its anchor. */
export const LAST_DATA: number = CPU_BASE + 0x554;
export const LAST_ANCHOR: number = CPU_BASE + 0x558;
/** i64: links between regions hold while their key is this one: the tag of the address space and a count of changes. */
export const LINK_KEY: number = CPU_BASE + 0x560;
/**
 * The window of the stack: pages one behind the other in RAM that may be written, around the one that was used last. i64 guest address of the
 * first; i32 what makes host addresses of addresses in it; i64 how far from the first an access of up to STACK_SPAN bytes may begin: 0 for
 * no window, so that no address is in it.
 */
export const STACK_START: number = CPU_BASE + 0x568;
export const STACK_ADDEND: number = CPU_BASE + 0x570;
export const STACK_ROOM: number = CPU_BASE + 0x588;
/**
 * u32: a jump in bytecode that left its page goes on where it did last while its key is this one. It is odd, stands for one tag and one count of LINK_KEY and never comes
 * again; even when no more can be had, and then nothing is remembered.
 */
export const FAR_KEY: number = CPU_BASE + 0x590;
/** u32: how often the window of the stack was asked for in vain since this was 0; i64: where last. */
export const STACK_ASKED: number = CPU_BASE + 0x594;
export const STACK_ASKED_AT: number = CPU_BASE + 0x598;
/** i64: where an access last lay over two pages that are apart in RAM, or 0. */
export const APART_AT: number = CPU_BASE + 0x330;
/** u32: how often an access lay over two pages that are apart, or of which one is not there, since this was 0. */
export const APART_COUNT: number = CPU_BASE + 0x338;
/** One access looks into the window for up to so many bytes. */
export const STACK_SPAN = 512;
/**
 * Windows of places in loops (translate/windows.ts), the same for reading and for writing one after the other: i64 guest address of the first of
 * some pages one behind the other in RAM; u32 how far from there an access of up to WINDOW_SPAN bytes may begin, 0 for no window; i32 what
 * makes host addresses of addresses in it.
 */
export const WINDOWS = 0x6_0000;
export const WINDOW_BYTES = 16;
export const WINDOW_ROOM_AT = 8;
export const WINDOW_ADDEND_AT = 12;
/** Pairs of them. */
export const WINDOW_PAIRS = 512;
/** One access looks into such a window for up to so many bytes. */
export const WINDOW_SPAN = 128;
/** By window: u32 misses left until it moves; u16 how many those were at first, 0 since it was forgotten; u16 how often it has stayed. */
export const WINDOW_MISSES: number = WINDOWS + 2 * WINDOW_PAIRS * WINDOW_BYTES;
export const MISSES_BYTES = 8;
export const MISSES_LEVEL_AT = 4;
export const MISSES_STAYED_AT = 6;
/** u32 count, then the numbers of the windows that had misses: no more than there are. */
export const WINDOW_LOG: number = WINDOW_MISSES + 2 * WINDOW_PAIRS * MISSES_BYTES;
/** The tables of CRC-32C (crc32c.ts), once they are needed: zeros until then. */
export const CRC_TABLES = 0x7_0000;
/** Room for tables of a front end's quick functions, once they are needed: zeros until then. */
export const FRONT_END_TABLES = 0x7_2000;
export const FRONT_END_TABLES_BYTES = 0x6000;
/**
 * Frames with code that stores go through to (written-code.ts), by frame number: u32 frame number, 0 for none; u32 stores left; 64 bytes with a bit for each
 * word of which code was made.
 */
export const CODE_WORDS = 0x7_8000;
export const CODE_WORDS_ENTRIES = 256;
export const CODE_WORDS_LEFT_AT = 4;
export const CODE_WORDS_AT = 8;
export const CODE_WORDS_BYTES = 72;
export const CODE_WORD_BITS = 3;
/** u32: number of the frame of the last STATUS_CODE_WRITE, and how many bytes of it were to be written; 0: not known. */
export const CODE_WRITE_FRAME: number = CPU_BASE + 0x33c;
export const CODE_WRITE_BYTES: number = CPU_BASE + 0x340;
/** u32: for a front end, how often the task has said that it waits since run() was called. */
export const PAUSES: number = CPU_BASE + 0x344;
/** u32: for a front end, 1 when a quick function has done all, but for a look at what mode is to be from now on. */
export const MODE_IN_DOUBT: number = CPU_BASE + 0x348;
/** Two i64: the operands of the flags while a region asks where memory lies. */
export const CC_ASIDE: number = CPU_BASE + 0x578;
export const REGIONS_MAX = 60_000;
/** Like the jump cache, but always to the interpreter: i64 pc xor tag, u32 record. */
export const SLOW_CACHE = 0x5_4000;
export const SLOW_CACHE_ENTRIES = 1024;
/** u32 count, then the addresses of filled TLB entries. */
export const TLB_LOG = 0x5_0000;
export const TLB_LOG_ENTRIES = 4000;

/** Absolute address of a CPU_STATE field. */
export function stateAddress(field: keyof typeof CPU_STATE): number {
  return CPU_BASE + CPU_STATE[field];
}
