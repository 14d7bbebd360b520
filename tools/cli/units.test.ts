// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseDuration, parseSize } from "./units.ts";

test("sizes", () => {
  assert.equal(parseSize("1g", "--memory"), 2 ** 30);
  assert.equal(parseSize("512MiB", "--memory"), 2 ** 29);
  assert.equal(parseSize("1.5k", "--memory"), 1536);
  assert.throws(() => parseSize("lots", "--memory"), /--memory: "lots" is not a size/);
});

test("durations", () => {
  assert.equal(parseDuration("30s", "--timeout"), 30_000);
  assert.equal(parseDuration("2", "--timeout"), 2000);
  assert.equal(parseDuration("500ms", "--timeout"), 500);
  assert.throws(() => parseDuration("soon", "--timeout"), /--timeout/);
});
