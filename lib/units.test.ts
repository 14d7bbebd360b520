// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseDuration, parseSize } from "./units.ts";

test("sizes", () => {
  assert.equal(parseSize("1g"), 2 ** 30);
  assert.equal(parseSize("512MiB"), 2 ** 29);
  assert.equal(parseSize("1.5k"), 1536);
  assert.equal(parseSize("lots"), undefined);
});

test("durations", () => {
  assert.equal(parseDuration("30s"), 30_000);
  assert.equal(parseDuration("2"), 2000);
  assert.equal(parseDuration("500ms"), 500);
  assert.equal(parseDuration("soon"), undefined);
});
