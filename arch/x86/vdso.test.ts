// SPDX-License-Identifier: Apache-2.0
// The vDSO is found the way a C library does it: by DT_HASH, name and version.

import assert from "node:assert/strict";
import { test } from "node:test";

import { buildVdso } from "./vdso.ts";

const image = buildVdso();
const view = new DataView(image.buffer);

function u64(at: number): number {
  return Number(view.getBigUint64(at, true));
}

function text(at: number): string {
  return String.fromCharCode(...image.subarray(at, image.indexOf(0, at)));
}

function dynamic(): Map<number, number> {
  const entries = new Map<number, number>();
  const headers = u64(32);
  for (let n = 0; n < view.getUint16(56, true); n++) {
    const at = headers + 56 * n;
    if (view.getUint32(at, true) !== 2) continue;
    for (let e = u64(at + 8); u64(e) !== 0; e += 16) entries.set(u64(e), u64(e + 8));
  }
  return entries;
}

function elfHash(name: string): number {
  let h = 0n;
  for (const c of name) {
    h = (h << 4n) + BigInt(c.charCodeAt(0));
    h ^= (h >> 24n) & 0xf0n;
    h &= 0x0fff_ffffn;
  }
  return Number(h);
}

/** Address of a symbol of the version with index 2, or -1. */
function lookUp(name: string): number {
  const tags = dynamic();
  const hash = tags.get(4)!;
  const buckets = view.getUint32(hash, true);
  let symbol = view.getUint32(hash + 8 + 4 * (elfHash(name) % buckets), true);
  while (symbol !== 0) {
    const at = tags.get(6)! + 24 * symbol;
    const version = view.getUint16(tags.get(0x6fff_fff0)! + 2 * symbol, true);
    if (text(tags.get(5)! + view.getUint32(at, true)) === name && version === 2) return u64(at + 8);
    symbol = view.getUint32(hash + 8 + 4 * buckets + 4 * symbol, true);
  }
  return -1;
}

/** Whether the 128 bytes of a function hold the sequence. */
function holds(at: number, bytes: readonly number[]): boolean {
  return Buffer.from(image.subarray(at, at + 128)).includes(Buffer.from(bytes));
}

test("the functions are found and know their system calls", () => {
  const wanted: readonly (readonly [string, number])[] = [
    ["__vdso_clock_gettime", 228],
    ["__vdso_gettimeofday", 96],
    ["__vdso_clock_getres", 229],
    ["__vdso_getcpu", 309],
    ["clock_gettime", 228],
    ["getcpu", 309],
  ];
  for (const [name, number] of wanted) {
    const at = lookUp(name);
    assert.ok(at > 0, name);
    assert.ok(holds(at, [0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x05, 0xc3]), name);
  }
  assert.ok(lookUp("__vdso_time") > 0);
  assert.equal(lookUp("__vdso_nothing"), -1);
});

test("the clocks read the time stamp and the word at the start of the page before", () => {
  for (const name of ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"]) {
    const at = lookUp(name);
    const add = Buffer.from(image.subarray(at, at + 128)).indexOf(Buffer.from([0x48, 0x03, 0x05]));
    assert.ok(holds(at, [0x0f, 0x31]), name);
    assert.equal(at + add + 7 + view.getInt32(at + add + 3, true), -4096, name);
  }
});

test("the version definition is LINUX_2.6", () => {
  const tags = dynamic();
  const second = tags.get(0x6fff_fffc)! + 28;
  assert.equal(view.getUint32(second + 8, true), elfHash("LINUX_2.6"));
  assert.equal(view.getUint32(second + 8, true), 0x3ae75f6);
  assert.equal(text(tags.get(5)! + view.getUint32(second + 20, true)), "LINUX_2.6");
});
