// SPDX-License-Identifier: Apache-2.0
// Kinds of float operations, as Op.raises_* names them: those from compareOrdered on have no result that could raise anything. An ordered compare
// raises the invalid flag for any NaN, another for a signalling one.

export const FLOAT = { add: 0, sub: 1, mul: 2, div: 3, sqrt: 4, compareOrdered: 5, compare: 6 } as const;
export type FloatKind = typeof FLOAT[keyof typeof FLOAT];
