// SPDX-License-Identifier: Apache-2.0
// What an instruction set gives the machine: a lifter and the functions that its `ext` operations name.

import type { Ram } from "../lib/ram.ts";
import type { IrBuilder } from "./ir/builder.ts";
import type { Assembler } from "./wasm/assembler.ts";

/** Floating point mode of a translation (machine.md, "Floating point"). */
export const MODE_RELAXED = 0;
export const MODE_EXACT = 1;
/** Exact results where only plain values occur; whatever else leaves by trapIf(STATUS_EXACT). */
export const MODE_TRACKED = 2;
/** The kind of a trapIf after which the machine does the instruction once more, lifted in MODE_EXACT. */
export const STATUS_EXACT = 64;

/** Reads code bytes of the current address space. */
export interface Fetch {
  /** The byte at `pc`, 0..255, or -1 when it cannot be fetched (the lifter then ends the block before the
   *  instruction; if it is the first one, the machine reports the fault itself). */
  byte(pc: number): number;
}

export interface LiftLimits {
  /** Most instructions in the block. */
  readonly instructionsMax: number;
  /** The block should end before the first instruction that starts at or after this address. */
  readonly endPc: number;
}

/** `bytes`: guest bytes covered. 0 when not even the first instruction could be fetched whole. */
export interface Lifted {
  bytes: number;
  /** With bytes 0: the address of the byte that could not be fetched. */
  faultPc: number;
}

/** Runs with all registers in memory; operands and results at CPU_STATE.scratch. Returns a TRAP_* or 0.
 *  On a trap the registers must be those of before the instruction; TRAP_FAULT sets trapAddress, trapAccess.
 *  EXT_LEAVE: no trap, but leave translated code after this instruction (the mode or code has changed).
 *  EXT_YIELD: the same, and the run ends as if its budget were used up. */
export type ExtFunction = (memory: GuestAccess) => number;
export const EXT_LEAVE = -1;
export const EXT_YIELD = -2;

/** What the runtime module has for quick functions, which are part of it. */
export interface QuickContext {
  /** Index of (va, access) -> host address of the page, or 0. */
  readonly fillTlb: number;
  /** Index of (high, low, divisor) -> quotient of a number of 128 bits. */
  readonly divide: number;
  /** Index of (a, b) -> the high half of their product. */
  readonly mulHigh: number;
  /** Adds a function; its index. */
  add(f: Assembler): number;
}

/** Guest memory for ext functions: whole ranges are checked before anything is written. */
export interface GuestAccess {
  readonly ram: Ram;
  /** Host address of `bytes` bytes at the guest address, all within one page; or -1 after recording the
   *  fault in CPU_STATE (the function then returns TRAP_FAULT). */
  translate(address: number, access: number): number;
  /** Copies from the guest; false after a fault. The buffer is the caller's. */
  read(address: number, target: Uint8Array): boolean;
  /** Copies to the guest, all or nothing; false after a fault. */
  write(address: number, source: Uint8Array): boolean;
  /** Instructions retired so far, for RDTSC. */
  readonly retired: number;
}

/** Makes functions () -> i32, by ext number, for what an ext mostly is asked to do: 1 when it has done all of it, 0 when the ext is to do what is left. */
export type QuickExts = (context: QuickContext) => ReadonlyMap<number, number>;

export interface FrontEnd {
  /** Lifts one block at `pc` into `builder` (begin() was called): at least one instruction, one terminator.
   *  An undefined instruction ends the block with trap(TRAP_ILLEGAL). */
  lift(builder: IrBuilder, fetch: Fetch, pc: number, limits: LiftLimits, mode: number, out: Lifted): void;
  /** The mode to use for the current register file. */
  mode(ram: Ram): number;
  readonly exts: readonly ExtFunction[];
  readonly quickExts?: QuickExts;
}
