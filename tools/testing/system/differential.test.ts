// SPDX-License-Identifier: Apache-2.0
// Debian programs give in Rookery what they give natively on the same image, byte for byte.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CASES } from "../differential/cases.ts";
import { compareCase } from "../differential/run.ts";
import { testImage } from "./image.ts";

for (const c of CASES) {
  test(c.name, async () => {
    const { guest, native, guestErrors } = await compareCase(testImage(), c);
    assert.equal(guest, native, guestErrors);
  });
}
