// SPDX-License-Identifier: Apache-2.0
// Steps: the records that most of a block consists of, of a few kinds that each do more by data and less by handlers.
//
// What an interpreter waits for is the jump to the next handler, which a host's processor cannot foresee in code that seldom runs
// (Documentation/design/machine.md). With few kinds, sequences of them that have a handler together are long.
//
//   add      dst = a + b + imm                                      moves, constants and addresses too
//   add_more dst = a + ((b + imm ^ n) - n) & m                      the same of 32 bits, and differences
//   logic    dst = (a & b' & m1) | ((a ^ b') & m2), b' = b + imm    and, or, xor
//   shift    dst = (a << left) >> right & m                         shifts by constants, sign extensions
//   scaled   dst = b + imm + (a << left)
//   flags    (ccOp, a, b + imm)
//   loadN    dst = memory[base + displacement]
//   storeN   memory[base + displacement] = b + imm
//   compareN ends a block: whether a holds to b + imm, and flags if they are to be set
//
// n and the masks are in small tables, by the byte that says which. Slots are named by their addresses.

import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../layout.ts";

/** Slots of their own, by address: one that is 0, and three in a row for flags that nobody wants to know. */
export const SLOT_ZERO: number = CPU_BASE + 0x5a0;
export const SLOT_SINK: number = CPU_BASE + 0x5a8;
/** Where temporaries begin, and where those go on that find no place there, at CPU_STATE.temps. */
export const LOW_TEMPS: number = CPU_BASE + 0x660;
export const LOW_TEMPS_END: number = CPU_BASE + CPU_STATE.temps;
/** Slots from here on have numbers of more than a byte. */
export const BYTE_SLOTS_END: number = 256 * 8;
export const SLOT_PC: number = CPU_BASE + CPU_STATE.pc;
export const SLOT_CC: number = CPU_BASE + CPU_STATE.ccOp;

/** The kinds, as names of handlers. */
export type StepKind =
  | "add"
  | "add_more"
  | "logic"
  | "shift"
  | "scaled"
  | "flags"
  | `${"load" | "store"}_${8 | 16 | 32 | 64}`
  | `compare_${32 | 64}`;

/** Fields of the records. `trap`: pcOffset | index << INDEX_SHIFT. */
export const STEP = {
  dst: 2, // u16
  a: 4, // u16
  b: 6, // u16
  imm: 8, // i32
  row: 12, // u8: the number of the row in its table
  /** Of flags. */
  ccOp: 2, // u16
  /** Of shift and scaled. */
  left: 6, // u8
  right: 7, // u8
  mask: 8, // i64
  scale: 12, // u8
  /** Of loads and stores. */
  value: 2, // u16
  base: 4, // u16
  trap: 6, // u16
  displacement: 8, // i32
  stored: 12, // i32: imm of a store
  /** Of compare. */
  count: 2, // u8
  compareOp: 3, // u8: ccOp
  ccA: 12, // u8: address / 8
  ccB: 13, // u8
  holds: 14, // u8
  cc: 15, // u8: where the flags go
} as const;
export const INDEX_SHIFT = 10;
export const PC_OFFSETS: number = 1 << INDEX_SHIFT;
/** Instructions of a block at most. */
export const INDEXES: number = 1 << (16 - INDEX_SHIFT);

/** Tables, in rows of two i64. */
export const ROW_SHIFT = 4;
export const ADD_TABLE: number = CPU_BASE + 0x5c0; // n, m: of add64, add32, sub64, sub32
export const LOGIC_TABLE: number = CPU_BASE + 0x600; // m1, m2: of and64, and32, or64, or32, xor64, xor32

const ALL = -1;
const LOW = 0; // the upper half of a mask of 32 bits

/** Makes the tables of a machine. */
export function writeTables({ i32 }: Ram): void {
  i32.set([0, 0, ALL, ALL, 0, 0, ALL, LOW, ALL, ALL, ALL, ALL, ALL, ALL, ALL, LOW], ADD_TABLE >>> 2);
  i32.set(
    [ALL, ALL, 0, 0, ALL, LOW, 0, 0, ALL, ALL, ALL, ALL, ALL, LOW, ALL, LOW, 0, 0, ALL, ALL, 0, 0, ALL, LOW],
    LOGIC_TABLE >>> 2,
  );
}
