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
/** The region GROW_REGION was left often for other code: CPU_STATE.pc is where it went last. */
export const STATUS_GROW = 37;
/** STATUS_SLOW, and the region GROW_REGION has come to that often. */
export const STATUS_SLOW_OFTEN = 38;

// Machine-private fields between scratch and temps.
/** Values on their way to or from two pages. */
export const BOUNCE: number = CPU_BASE + 0x500;
export const LINK_SLOT: number = CPU_BASE + 0x540;
/** Counters that generated code keeps. */
export const COUNT_FILLS: number = CPU_BASE + 0x548;
/** Regions left for one slow instruction. */
export const COUNT_SLOW: number = CPU_BASE + 0x54c;
/** Entries into code by the dispatcher. */
export const COUNT_DISPATCHES: number = CPU_BASE + 0x550;
export const GROW_REGION: number = CPU_BASE + 0x554;
/** i64: guest address of the anchor of the region that was left last. */
export const LAST_ANCHOR: number = CPU_BASE + 0x558;
/** By table index: u32 exits left until STATUS_GROW, u32 until STATUS_SLOW_OFTEN, at +64 eight targets by a hash. */
export const REGION_EXITS = 0x6_0000;
export const REGION_EXITS_BYTES = 128;
export const REGIONS_MAX = 5000;
/** Like the jump cache, but always to the interpreter: i64 pc xor tag, u32 record. */
export const SLOW_CACHE = 0x5_4000;
export const SLOW_CACHE_ENTRIES = 1024;
/** u32 count, then the addresses of filled TLB entries. */
export const TLB_LOG = 0x5_0000;
export const TLB_LOG_ENTRIES = 2048;

/** Absolute address of a CPU_STATE field. */
export function stateAddress(field: keyof typeof CPU_STATE): number {
  return CPU_BASE + CPU_STATE[field];
}
