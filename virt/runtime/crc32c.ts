// SPDX-License-Identifier: Apache-2.0
// CRC-32C for the runtime module: (register, value, bytes) to the register after so many low bytes of the value, 1 to 8.
//
// Eight tables of 256 words: the k-th has what becomes of a byte after k more bytes of zeros, so that those of a word are looked up side by side. They are
// made when they are first needed.
// Source: RFC 3720, section 12.1; M. Kounavis and F. Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators".

import { Assembler } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { CRC_TABLES } from "./status.ts";

/** Reflected. */
const POLYNOMIAL = 0x82f6_3b78 | 0;
const TABLE_BYTES = 1024;
const WORD_BYTES = 8;

export function addCrc32c(module: WasmModule): number {
  return module.add(emitCrc(module.add(emitTables())));
}

/** Fills the tables. */
function emitTables(): Assembler {
  const f = new Assembler([], []);
  const [at, crc, bit] = [f.local(I32), f.local(I32), f.local(I32)];
  const next = f.loop();
  // The first table's from the byte, the others' from the entry of the table before: by eight steps each.
  f.get(at);
  f.i32(2);
  f.op(W.i32_shr_u);
  f.get(at);
  f.memory(W.i32_load, CRC_TABLES - TABLE_BYTES);
  f.get(at);
  f.i32(TABLE_BYTES);
  f.op(W.i32_lt_u);
  f.op(W.select);
  f.set(crc);
  f.i32(8);
  f.set(bit);
  const again = f.loop();
  f.get(crc);
  f.i32(1);
  f.op(W.i32_shr_u);
  f.i32(0);
  f.get(crc);
  f.i32(1);
  f.op(W.i32_and);
  f.op(W.i32_sub);
  f.i32(POLYNOMIAL);
  f.op(W.i32_and);
  f.op(W.i32_xor);
  f.set(crc);
  f.get(bit);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(bit);
  f.brIf(again);
  f.end();
  f.get(at);
  f.get(crc);
  f.memory(W.i32_store, CRC_TABLES);
  f.get(at);
  f.i32(4);
  f.op(W.i32_add);
  f.tee(at);
  f.i32(WORD_BYTES * TABLE_BYTES);
  f.op(W.i32_lt_u);
  f.brIf(next);
  f.end();
  return f;
}

function emitCrc(tables: number): Assembler {
  const f = new Assembler([I32, I64, I32], [I32]);
  const [crc, value, bytes] = [0, 1, 2];
  f.i32(CRC_TABLES + 4); // the second entry is 0 until they are made, and not afterwards
  f.memory(W.i32_load, 0);
  f.op(W.i32_eqz);
  f.if_();
  f.call(tables);
  f.end();
  f.get(crc);
  f.op(W.i64_extend_i32_u);
  f.get(value);
  f.op(W.i64_xor);
  f.set(value);
  f.get(bytes);
  f.i32(WORD_BYTES);
  f.op(W.i32_eq);
  f.if_();
  for (let n = 0; n < WORD_BYTES; n++) {
    pushEntry(f, value, n, WORD_BYTES - 1 - n);
    if (n > 0) f.op(W.i32_xor);
  }
  f.return_();
  f.end();
  const next = f.loop();
  f.get(value);
  f.i64(8);
  f.op(W.i64_shr_u);
  pushEntry(f, value, 0, 0);
  f.op(W.i64_extend_i32_u);
  f.op(W.i64_xor);
  f.set(value);
  f.get(bytes);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(bytes);
  f.brIf(next);
  f.end();
  f.get(value);
  f.op(W.i32_wrap_i64);
  return f;
}

/** Leaves what a table has for a byte of a local. */
function pushEntry(f: Assembler, value: number, byte: number, table: number): void {
  f.get(value);
  f.i64(8 * byte);
  f.op(W.i64_shr_u);
  f.op(W.i32_wrap_i64);
  f.i32(0xff);
  f.op(W.i32_and);
  f.i32(2);
  f.op(W.i32_shl);
  f.memory(W.i32_load, CRC_TABLES + table * TABLE_BYTES);
}
