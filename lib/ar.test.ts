// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeAr } from "../tools/testing/image/archives.ts";
import { readAr } from "./ar.ts";

const MEMBERS = [
  { name: "debian-binary", bytes: Buffer.from("2.0\n") },
  { name: "odd", bytes: Buffer.from("abc") },
  { name: "last", bytes: Buffer.from("xy") },
];

test("members come back in order, odd lengths padded", () => {
  const read = readAr(makeAr(MEMBERS)).map(({ name, bytes }) => [name, Buffer.from(bytes).toString()]);
  assert.deepEqual(read, [["debian-binary", "2.0\n"], ["odd", "abc"], ["last", "xy"]]);
});

test("a torn archive is an error wherever it is cut", () => {
  const whole = makeAr(MEMBERS);
  const cleanEnds = new Set([8, 8 + 60 + 4, 8 + 60 + 4 + 60 + 3, 8 + 60 + 4 + 60 + 4, whole.length]);
  for (let length = 0; length < whole.length; length++) {
    if (cleanEnds.has(length)) continue;
    assert.throws(() => readAr(whole.subarray(0, length)), /ar archive/, `cut at ${String(length)}`);
  }
});

test("a damaged header is an error", () => {
  const damaged = makeAr(MEMBERS);
  damaged.write("x", 8 + 48);
  assert.throws(() => readAr(damaged), /bad header/);
});
