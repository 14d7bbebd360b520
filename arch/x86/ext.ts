// SPDX-License-Identifier: Apache-2.0
// Numbers of the functions that lifted code calls in TypeScript. Operands and results pass through
// CPU_STATE.scratch in slots of 16 bytes. The functions are gathered in frontend.ts.

export const EXT = {
  cpuid: 0,
  rdtsc: 1,
  loadSegment: 2,
  selectorQuery: 3,
  stmxcsr: 4,
  ldmxcsr: 5,
  fxsave: 6,
  fxrstor: 7,
  repString: 8,
  maskMove: 9,
  sseExact: 10,
  packedCompareString: 11,
  approximate: 12,
} as const;

/** x87 functions start here: EXT_X87_BASE + n is the n-th of X87_EXTS. */
export const EXT_X87_BASE = 32;
