// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { crc32c } from "./crc32c.ts";

test("the values of RFC 3720, appendix B.4", () => {
  const crc = (bytes: Uint8Array): number => ~crc32c(0xffffffff, bytes) >>> 0;
  assert.equal(crc(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
});
