// SPDX-License-Identifier: Apache-2.0
// MXCSR and the floating point mode of a process.
//
// A process is relaxed (flags not tracked, default rounding, all exceptions masked) until it reads MXCSR or
// loads another value than the default; then it is exact for good. The mode lies in the four bytes behind
// CPU_STATE.mxcsr, so that a context switch carries it along.

import type { Ram } from "../../lib/ram.ts";
import { MODE_EXACT, MODE_RELAXED, MODE_TRACKED } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";

/** All exceptions masked, round to nearest, no flags. */
export const MXCSR_DEFAULT = 0x1f80;
/** Bits that may be set. */
export const MXCSR_MASK = 0xffff;

const MXCSR = CPU_BASE + CPU_STATE.mxcsr;
const MODE = MXCSR + 4;
const CONTROL = 0xffc0;

export function isExact(ram: Ram): boolean {
  return ram.u32[MODE >>> 2] !== 0;
}

const ROUNDING = 0x6000;
const PRECISION_MASK = 0x1000;
const PRECISION = 0x20;
/**
 * To nearest, and the precision flag set and masked: only values that are not plain can change MXCSR, or trap. Those are also all that the other masks and
 * the two bits about denormals say anything of, which programs set at their start that were built to trap, or for fast mathematics.
 */
const TRACKED = PRECISION_MASK | PRECISION;
const TRACKED_MASK = ROUNDING | PRECISION_MASK | PRECISION;

/** The MODE_* for the current register file. */
export function floatingPointMode(ram: Ram): number {
  if (ram.u32[MODE >>> 2] === 0) return MODE_RELAXED;
  return (ram.u32[MXCSR >>> 2]! & TRACKED_MASK) === TRACKED ? MODE_TRACKED : MODE_EXACT;
}

export function enterExactMode(ram: Ram): void {
  ram.u32[MODE >>> 2] = 1;
}

/** The control bits are the default ones and no flag is set. */
export function isDefaultMxcsr(value: number): boolean {
  return value === MXCSR_DEFAULT;
}

/** The control bits are other than the default ones, whatever the flags. */
export function hasOtherControl(value: number): boolean {
  return (value & CONTROL) !== MXCSR_DEFAULT;
}
