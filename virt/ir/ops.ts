// SPDX-License-Identifier: Apache-2.0
// The operations of the IR: one table from which the builder, the validator, the printer, the interpreter's
// handlers and the translator's code are made. Meaning: Documentation/design/machine.md.
//
// A row is "operands result code [flags]". Types: i i32, l i64, f f32, d f64, v v128, - none. Code: the
// WebAssembly opcode in hex (fc:xx and fd:xx are the prefixed ones) or @key for an emitter of our own.
// Flags: lane (imm is a lane), shuffle and const128 (imm is an index into the block's pool of 16-byte
// constants), load / store / trap (may leave the block with a fault), read / write (CPU state).
// An operation without a flag is pure. Each record has operands a, b, c and immediates imm, imm2 (int32).
// The rows are in tables/.

import { MACHINE_OPS } from "./tables/machine.ts";
import { SCALAR_OPS } from "./tables/scalar.ts";
import { VECTOR_OPS } from "./tables/vector.ts";

const TABLE: typeof MACHINE_OPS & typeof SCALAR_OPS & typeof VECTOR_OPS = {
  ...MACHINE_OPS,
  ...SCALAR_OPS,
  ...VECTOR_OPS,
};

export type OpName = keyof typeof TABLE;
export type Type = "i" | "l" | "f" | "d" | "v";

/** Numbers of the operations. */
export const Op: { readonly [Name in OpName]: number } = numberNames(TABLE);

export const FLAG_LOAD = 1;
export const FLAG_STORE = 2;
/** May leave the block: loads and stores too. */
export const FLAG_TRAP = 4;
export const FLAG_READ = 8;
export const FLAG_WRITE = 16;
export const FLAG_LANE = 32;
export const FLAG_SHUFFLE = 64;
export const FLAG_POOL = 128;
export const FLAG_IMM = 256;
export const FLAG_IMM2 = 512;

export interface OpInfo {
  readonly id: number;
  readonly name: OpName;
  /** One letter per operand; "*" takes any type. */
  readonly operands: string;
  readonly result: Type | "";
  /** WebAssembly opcode: prefix * 256 + code, or -1 when `key` names an emitter. */
  readonly opcode: number;
  readonly key: string;
  readonly flags: number;
}

/** Rows by number. */
export const OPS: readonly OpInfo[] = parseTable(TABLE);

/** A function of the runtime module, pure on its arguments. "operands result". */
const HELPER_TABLE = {
  // Quotients of 128-bit numbers by 64-bit ones: (high, low, divisor). The lifter has ruled out division by 0 and overflow.
  udiv128_quotient: "lll l",
  sdiv128_quotient: "lll l",
  /** 1 when the signed quotient does not fit 64 bits; 0 for a divisor of 0. */
  sdiv128_overflows: "lll i",
  /** (register, value, bytes): the register after so many low bytes of the value, zero-extended. */
  crc32c: "ili i",
  /** (ccOp, ccA, ccB): the flags in EFLAGS positions. */
  flags_of: "ill i",
} as const;
export type HelperName = keyof typeof HELPER_TABLE;
export interface HelperInfo {
  readonly id: number;
  readonly name: HelperName;
  readonly operands: string;
  readonly result: Type;
}
export const HELPERS: readonly HelperInfo[] = parseHelpers(HELPER_TABLE);

function numberNames<Name extends string>(
  table: { readonly [K in Name]: string },
): { readonly [K in Name]: number } {
  const numbers = {} as { [K in Name]: number }; // filled right below for every key
  let id = 0;
  for (const name in table) numbers[name] = id++;
  return numbers;
}

function isType(text: string): text is Type {
  return text.length === 1 && "ilfdv".includes(text);
}

function parseTable(table: { readonly [K in OpName]: string }): OpInfo[] {
  const rows: OpInfo[] = [];
  for (const name in table) {
    const key = name as OpName; // for-in over the table's own keys
    const [operands = "", result = "", code = "", ...words] = table[key].split(" ");
    let flags = 0;
    for (const word of words) flags |= flagOf(word);
    const parts = code.split(":");
    rows.push({
      id: rows.length,
      name: key,
      operands: operands === "-" ? "" : operands,
      result: isType(result) ? result : "",
      opcode: code.startsWith("@") ? -1 : parts.reduce((sum, part) => sum * 256 + parseInt(part, 16), 0),
      key: code.startsWith("@") ? code.slice(1) : "",
      flags,
    });
  }
  return rows;
}

function flagOf(word: string): number {
  switch (word) {
    case "load":
      return FLAG_LOAD | FLAG_TRAP;
    case "store":
      return FLAG_STORE | FLAG_TRAP;
    case "trap":
      return FLAG_TRAP;
    case "read":
      return FLAG_READ;
    case "write":
      return FLAG_WRITE;
    case "lane":
      return FLAG_LANE;
    case "shuffle":
      return FLAG_SHUFFLE | FLAG_POOL;
    case "const128":
      return FLAG_POOL;
    case "imm":
      return FLAG_IMM;
    case "imm2":
      return FLAG_IMM | FLAG_IMM2;
    default:
      throw new Error(`ops: unknown flag ${word}`);
  }
}

function parseHelpers(table: { readonly [K in HelperName]: string }): HelperInfo[] {
  const rows: HelperInfo[] = [];
  for (const name in table) {
    const key = name as HelperName; // for-in over the table's own keys
    const [operands = "", result = ""] = table[key].split(" ");
    if (!isType(result)) throw new Error(`ops: bad helper ${name}`);
    rows.push({ id: rows.length, name: key, operands, result });
  }
  return rows;
}
