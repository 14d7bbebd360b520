// SPDX-License-Identifier: Apache-2.0
// Numbers of the operations that lifted code asks of sse-exact.ts.

export const EXACT = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  min: 4,
  max: 5,
  sqrt: 6,
  compare: 7,
  fromInteger: 8,
  convert: 9,
  fromIntegers: 10,
  toIntegers: 11,
  toIntegersTruncate: 12,
  pairFromIntegers: 13,
  horizontalAdd: 14,
  horizontalSubtract: 15,
  addSubtract: 16,
  compareOrdered: 17,
  compareUnordered: 18,
  toRegister: 19,
  toRegisterTruncate: 20,
  round: 21,
  dotProduct: 22,
} as const;
