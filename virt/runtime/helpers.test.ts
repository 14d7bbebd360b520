// SPDX-License-Identifier: Apache-2.0
// The runtime's pure functions against references in bigint and by definition.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "../../lib/crc32c.ts";
import { Ram } from "../../lib/ram.ts";
import {
  CC_ADC,
  CC_ADD,
  CC_DEC,
  CC_EXPLICIT,
  CC_INC,
  CC_LOGIC,
  CC_RESULT,
  CC_SBB,
  CC_SUB,
  ccOp,
  FLAG_AF,
  FLAG_CF,
  FLAG_OF,
  FLAG_PF,
  FLAG_SF,
  FLAG_ZF,
} from "../ir/cc.ts";
import { FRAMES_START } from "../layout.ts";
import { buildRuntimeModule } from "./module.ts";

type Call = (...args: (number | bigint)[]) => number | bigint;

function runtime(): Record<string, Call> {
  const ram = new Ram(FRAMES_START + 65536, FRAMES_START + 65536);
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const module = new WebAssembly.Module(buildRuntimeModule(() => new Map()));
  const instance = new WebAssembly.Instance(module, { m: { memory: ram.memory, table, ext: () => 0 } });
  return instance.exports as Record<string, Call>;
}

const wasm = runtime();
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const EDGES = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  0x1234_5678_9abc_def0n,
];

test("high halves of products", () => {
  for (const a of EDGES) {
    for (const b of EDGES) {
      assert.equal(u64(BigInt(wasm["mulHiU"]!(a, b))), (a * b) >> 64n, `${a} * ${b}`);
      assert.equal(s64(BigInt(wasm["mulHiS"]!(a, b))), (s64(a) * s64(b)) >> 64n, `${s64(a)} * ${s64(b)}`);
    }
  }
});

test("128-bit division, unsigned", () => {
  for (const high of EDGES) {
    for (const low of EDGES) {
      for (const divisor of EDGES) {
        if (divisor === 0n || high >= divisor) continue;
        const dividend = (high << 64n) | low;
        assert.equal(u64(BigInt(wasm["helper_udiv128_quotient"]!(high, low, divisor))), dividend / divisor);
      }
    }
  }
});

test("128-bit division, signed, and when it overflows", () => {
  for (const high of [...EDGES, -1n, -2n]) {
    for (const low of EDGES) {
      for (const divisor of EDGES.map(s64)) {
        if (divisor === 0n) continue;
        const dividend = (s64(high) << 64n) | low;
        const quotient = dividend / divisor;
        const overflows = quotient !== s64(quotient);
        const label = `${dividend} / ${divisor}`;
        assert.equal(wasm["helper_sdiv128_overflows"]!(high, low, divisor), overflows ? 1 : 0, label);
        if (overflows) continue;
        assert.equal(wasm["helper_sdiv128_quotient"]!(high, low, divisor), quotient, label);
      }
    }
  }
  assert.equal(wasm["helper_sdiv128_overflows"]!(1n, 1n, 0n), 0);
});

test("CRC-32C of one to eight bytes", () => {
  for (const value of EDGES) {
    for (const register of [0, 1, -1, 0x1234_5678]) {
      for (let length = 1; length <= 8; length++) {
        const low = BigInt.asUintN(8 * length, value);
        const bytes = Uint8Array.from({ length }, (_, n) => Number((low >> BigInt(8 * n)) & 0xffn));
        const crc = Number(wasm["helper_crc32c"]!(register, low, length)) >>> 0;
        assert.equal(crc, crc32c(register, bytes), `${low} of ${length} bytes`);
      }
    }
  }
});

/** CF, OF and AF by definition; the rest follows from the result. */
function expectedFlags(kind: number, bits: bigint, x: bigint, y: bigint): number {
  const mask = (1n << bits) - 1n;
  const sign = 1n << (bits - 1n);
  const [a, b] = [x & mask, y & mask];
  const carry = kind === CC_ADC || kind === CC_SBB ? 1n : 0n;
  let flags = 0;
  let result = a;
  if (kind === CC_ADD || kind === CC_ADC) {
    result = (a + b + carry) & mask;
    if (a + b + carry > mask) flags |= FLAG_CF;
    if (((a ^ result) & (b ^ result) & sign) !== 0n) flags |= FLAG_OF;
    if ((a & 15n) + (b & 15n) + carry > 15n) flags |= FLAG_AF;
  } else if (kind === CC_SUB || kind === CC_SBB) {
    result = (a - b - carry) & mask;
    if (a < b + carry) flags |= FLAG_CF;
    if (((a ^ b) & (a ^ result) & sign) !== 0n) flags |= FLAG_OF;
    if ((a & 15n) < (b & 15n) + carry) flags |= FLAG_AF;
  } else if (kind === CC_INC || kind === CC_DEC) {
    const before = kind === CC_INC ? (a - 1n) & mask : (a + 1n) & mask;
    if (kind === CC_INC ? before === sign - 1n : before === sign) flags |= FLAG_OF;
    if (kind === CC_INC ? (before & 15n) === 15n : (before & 15n) === 0n) flags |= FLAG_AF;
    flags |= Number(y & 1n);
  } else if (kind === CC_RESULT) {
    flags |= Number(y & BigInt(FLAG_CF | FLAG_OF));
  }
  if (result === 0n) flags |= FLAG_ZF;
  if ((result & sign) !== 0n) flags |= FLAG_SF;
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  return ones % 2 === 0 ? flags | FLAG_PF : flags;
}

test("flags of every kind and size", () => {
  for (const kind of [CC_ADD, CC_ADC, CC_SUB, CC_SBB, CC_LOGIC, CC_INC, CC_DEC, CC_RESULT]) {
    for (const bytes of [1, 2, 4, 8]) {
      for (const a of EDGES) {
        for (const b of EDGES) {
          const expected = expectedFlags(kind, BigInt(bytes * 8), a, b);
          assert.equal(
            wasm["flagsOf"]!(ccOp(kind, bytes), a, b),
            expected,
            `kind ${kind} bytes ${bytes} ${a} ${b}`,
          );
        }
      }
    }
  }
  assert.equal(wasm["flagsOf"]!(ccOp(CC_EXPLICIT, 8), 0xffffn, 0n), 0x8d5);
});

test("the sixteen conditions", () => {
  for (let bits = 0; bits < 32; bits++) {
    const [cf, pf, zf, sf, of] = [0, 1, 2, 3, 4].map((n) => (bits >> n) & 1) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const flags = cf * FLAG_CF + pf * FLAG_PF + zf * FLAG_ZF + sf * FLAG_SF + of * FLAG_OF;
    const less = sf !== of ? 1 : 0;
    const holds = [of, cf, zf, cf | zf, sf, pf, less, zf | less];
    holds.forEach((value, n) => {
      assert.equal(wasm["condOf"]!(2 * n, flags), value, `condition ${2 * n} of ${flags.toString(16)}`);
      assert.equal(wasm["condOf"]!(2 * n + 1, flags), 1 - value);
    });
  }
});
