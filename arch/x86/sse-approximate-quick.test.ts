// SPDX-License-Identifier: Apache-2.0
// RCP* and RSQRT* with their WebAssembly and without give the same of random bits, mostly normal numbers; and the tables have room.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { FRONT_END_TABLES_BYTES } from "../../virt/runtime/status.ts";
import { tablesInShort } from "./sse-approximate.ts";
import { makeRandom, pick, QuickMachine } from "./testing/quick.ts";

const XMM = CPU_BASE + CPU_STATE.xmm;
const JOBS = 4000;
const INT3 = 0xcc;
/** RCPPS, RCPSS, RSQRTPS, RSQRTSS xmm0, xmm1. */
const INSTRUCTIONS = [[0x0f, 0x53], [0xf3, 0x0f, 0x53], [0x0f, 0x52], [0xf3, 0x0f, 0x52]].map((
  code,
) => [...code, 0xc1, INT3]);

function run(machine: QuickMachine, code: readonly number[], words: readonly number[]): string {
  const { ram, cpu } = machine;
  machine.load(code);
  words.forEach((word, n) => ram.view.setUint32(XMM + 4 * n, word, true));
  cpu.run(100);
  return Buffer.from(ram.u8.subarray(XMM, XMM + 32)).toString("hex");
}

test("the quick way does what the other does", () => {
  const quick = new QuickMachine("with quick functions");
  const plain = new QuickMachine("without");
  const random = makeRandom(12);
  for (let n = 0; n < JOBS; n++) {
    const code = pick(random, INSTRUCTIONS);
    const words = Array.from({ length: 8 }, () => {
      const bits = random(2 ** 31);
      return random(8) === 0 ? bits * 2 : (bits & 0x7f_ffff) | (random(254) + 1) << 23;
    });
    assert.equal(run(quick, code, words), run(plain, code, words), `job ${n}`);
  }
  assert.ok(quick.slow < plain.slow / 2, `${quick.slow} of ${plain.slow}`);
});

test("the tables fit where they are put", () => {
  assert.ok(tablesInShort().byteLength <= FRONT_END_TABLES_BYTES);
});
