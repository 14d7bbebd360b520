// SPDX-License-Identifier: Apache-2.0
// The lazy arithmetic flags: (ccOp, ccA, ccB), where ccOp = kind * 4 + log2(operand bytes).
//
// Only the low bytes of ccA and ccB that the size names count; what lies above is ignored.
// Flags that hardware leaves undefined are fixed here: AF is 0 after RESULT, PF SF ZF follow the result.

export const CC_EXPLICIT = 0; // a: CF PF AF ZF SF OF in EFLAGS positions
export const CC_ADD = 1; // a + b (a, b: operands)
export const CC_ADC = 2; // a + b + 1: ADC with carry set
export const CC_SUB = 3; // a - b: also CMP, and NEG as 0 - b
export const CC_SBB = 4; // a - b - 1: SBB with carry set
export const CC_LOGIC = 5; // a: result; CF = OF = AF = 0
export const CC_INC = 6; // a: result, b: the preserved CF (bit 0)
export const CC_DEC = 7;
/** a: result, b: CF (bit 0) and OF (bit 11) in EFLAGS positions: shifts, MUL, IMUL, and what else. */
export const CC_RESULT = 8;
export const CC_KINDS = 9;

export const FLAG_CF = 0x001;
export const FLAG_PF = 0x004;
export const FLAG_AF = 0x010;
export const FLAG_ZF = 0x040;
export const FLAG_SF = 0x080;
export const FLAG_OF = 0x800;

/** ccOp of a kind for an operand size of 1, 2, 4 or 8 bytes. */
export function ccOp(kind: number, bytes: number): number {
  return kind * 4 + (31 - Math.clz32(bytes));
}
