// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseRunOptions } from "./run-options.ts";

test("options of the guest's program are left alone", () => {
  const options = parseRunOptions(["-it", "-e", "A=b=c", "ls", "-l", "--help"]);
  assert.deepEqual(options.argv, ["ls", "-l", "--help"]);
  assert.equal(options.tty, true);
  assert.deepEqual(options.env, { A: "b=c" });
});

test("-- is accepted before the command", () => {
  assert.deepEqual(parseRunOptions(["--", "python3", "-c", "print(6*7)"]).argv, [
    "python3",
    "-c",
    "print(6*7)",
  ]);
});

test("volumes", () => {
  assert.deepEqual(parseRunOptions(["-v", "src:/dst:ro", "true"]).volumes, [
    { source: "src", target: "/dst", mode: "ro" },
  ]);
  assert.throws(() => parseRunOptions(["-v", "src", "true"]), /-v: "src" is not SRC:DST/);
  assert.throws(() => parseRunOptions(["-v", "a:/b:maybe", "true"]), /not one of ro, rw, overlay/);
});

test("strace takes an optional set", () => {
  assert.equal(parseRunOptions(["--strace", "--", "true"]).strace, "");
  assert.equal(parseRunOptions(["--strace=openat,read", "true"]).strace, "openat,read");
  assert.equal(parseRunOptions(["true"]).strace, undefined);
});

test("a seed means virtual time", () => {
  assert.equal(parseRunOptions(["--seed", "7", "true"]).time, "virtual");
});

test("bad values are one clear line", () => {
  assert.throws(() => parseRunOptions(["--memory", "9t", "true"]), /--memory/);
  assert.throws(() => parseRunOptions(["-w", "relative", "true"]), /absolute/);
});
