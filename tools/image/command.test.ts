// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { UsageError } from "../cli/errors.ts";
import { parseBuildArguments } from "./command.ts";
import { createProgress } from "./progress.ts";

test("options as data", () => {
  const options = parseBuildArguments([
    "--suite",
    "bookworm",
    "--include",
    "git,less",
    "--include",
    "gcc",
    "--mirror",
    "http://m.example/debian/",
    "-o",
    "x.img",
  ]);
  assert.deepEqual(
    [
      options.suite,
      options.include,
      options.mirror,
      options.output,
      options.architecture,
      options.isConfigured,
    ],
    ["bookworm", ["git", "less", "gcc"], "http://m.example/debian", "x.img", "amd64", true],
  );
  assert.equal(parseBuildArguments(["--no-configure"]).isConfigured, false);
  assert.equal(parseBuildArguments([]).mirror, undefined);
});

test("bad values are told before anything is fetched", () => {
  assert.throws(() => parseBuildArguments(["--mirror", "ftp://m.example"]), UsageError);
  assert.throws(() => parseBuildArguments(["--include", "a b"]), UsageError);
  assert.throws(() => parseBuildArguments(["--suite", "../x"]), UsageError);
});

function record(
  isTTY: boolean,
  columns: number,
  hasColor: boolean,
): { text: () => string; progress: ReturnType<typeof createProgress> } {
  let text = "";
  let clock = 0;
  const output = {
    isTTY,
    columns,
    hasColor,
    write: (more: string) => {
      text += more;
    },
  };
  return { text: () => text, progress: createProgress(output, () => (clock += 1000)) };
}

test("progress is plain lines where no terminal is, and never wider than the terminal", () => {
  const plain = record(false, 80, false);
  plain.progress.phase("Fetching", 100);
  plain.progress.advance(50);
  plain.progress.done();
  assert.equal(plain.text(), "Fetching\n");
  for (const columns of [20, 40, 80, 200]) {
    const bar = record(true, columns, false);
    bar.progress.phase("Fetching 78 packages", 33_000_000);
    bar.progress.advance(16_500_000);
    bar.progress.phase("Configuring", 78, "packages");
    bar.progress.done();
    for (const line of bar.text().split(/[\r\n]|\x1b\[K/)) {
      assert.ok(line.length < Math.max(columns, 44), `${String(columns)}: ${line}`);
    }
    assert.equal(bar.text().includes("\x1b[3"), false);
    assert.match(bar.text(), /17 MB of 33 MB/);
  }
  const colored = record(true, 80, true);
  colored.progress.phase("Fetching", 1000);
  assert.ok(colored.text().includes("\x1b[36m"));
});
