// SPDX-License-Identifier: Apache-2.0
// The guest selftests: C programs that give the same output on this machine's Linux and here.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("guest selftests pass natively and in the kernel", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/tools/testing/selftests/run.js"], {
    encoding: "utf8",
  });
  const failed = stdout.split("\n").filter((line) => !line.startsWith("ok ")).join("\n");
  assert.equal(status, 0, `${failed}${stderr}`);
  assert.ok(stdout.split("\n").filter((line) => line.startsWith("ok ")).length >= 10, stdout);
});
