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
  pause: 13,
} as const;

/** x87 functions start here (x87.ts): EXT_X87_BASE + n is the n-th of X87_EXTS. */
export const EXT_X87_BASE = 32;

/** Offsets of them from there: one for each shape of operands. */
export const X87_REGISTER = 0;
export const X87_LOAD = 1;
export const X87_STORE = 2;
export const X87_COMPARE_FLAGS = 3;
export const X87_MOVE_IF = 4;
export const X87_AREA = 5;
