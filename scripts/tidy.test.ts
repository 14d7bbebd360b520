// SPDX-License-Identifier: Apache-2.0
// Each rule finds what it is for, and leaves alone what it should; and the tree itself is tidy.

import assert from "node:assert/strict";
import { test } from "node:test";

import { readTree, tidy } from "./tidy.ts";
import { layerViolation } from "./tidy/rules.ts";

const SPDX = "// SPDX-License-Identifier: Apache-2.0\n";

function rulesOf(path: string, text: string): string[] {
  return tidy([{ path, text }]).map((f) => f.rule);
}

test("a source without a licence line is found", () => {
  assert.deepEqual(rulesOf("lib/a.ts", "export {};\n"), ["spdx"]);
  assert.deepEqual(rulesOf("lib/a.ts", SPDX), []);
});

test("ambient time is found in the core and allowed in a host", () => {
  assert.deepEqual(rulesOf("fs/a.ts", `${SPDX}f(Date.now());\n`), ["no-ambient"]);
  assert.deepEqual(rulesOf("virt/host/node/a.ts", `${SPDX}f(Date.now());\n`), []);
  assert.deepEqual(rulesOf("fs/a.ts", `${SPDX}// Date.now() is prose\n`), []);
});

test("layers point one way", () => {
  assert.equal(layerViolation("fs/namei.ts", "lib/errno.ts"), undefined);
  assert.match(layerViolation("lib/errno.ts", "fs/namei.ts") ?? "", /must not import/);
  assert.match(layerViolation("fs/tmpfs/inode.ts", "fs/erofs/inode.ts") ?? "", /siblings/);
});

test("a page knows no Node, and only pages know the browser's host", () => {
  assert.match(layerViolation("virt/host/browser/index.ts", "virt/host/node/disk.ts") ?? "", /no Node/);
  assert.match(layerViolation("bench/browser/worker.ts", "tools/cli/paths.ts") ?? "", /no Node/);
  assert.match(layerViolation("virt/host/boot.ts", "virt/host/node/host.ts") ?? "", /Node's own host/);
  assert.match(layerViolation("tools/cli/run.ts", "virt/host/browser/index.ts") ?? "", /runs in a page/);
  assert.equal(layerViolation("bench/browser/worker.ts", "virt/host/browser/index.ts"), undefined);
  assert.equal(layerViolation("virt/host/browser/index.ts", "virt/host/boot.ts"), undefined);
  const multiline = `${SPDX}import {\n  a,\n} from "node:fs";\n`;
  for (const path of ["virt/host/browser/a.ts", "virt/host/boot.ts", "fs/a.ts"]) {
    assert.deepEqual(rulesOf(path, `${SPDX}import { a } from "node:fs";\n`), ["layers"], path);
    assert.deepEqual(rulesOf(path, multiline), ["layers"], path);
  }
  assert.deepEqual(rulesOf("virt/host/node/a.ts", multiline), []);
});

test("a dropped generator is found", () => {
  const text = `${SPDX}export function* nap(): Generator {}\nexport function f(): void {\n  nap();\n}\n`;
  assert.deepEqual(rulesOf("fs/a.ts", text), ["dropped-generator"]);
  assert.deepEqual(rulesOf("fs/a.ts", text.replace("  nap();", "  yield* nap();")), []);
});

test("module-level state and unfinished work are found", () => {
  assert.deepEqual(rulesOf("mm/a.ts", `${SPDX}let count = 0;\n`), ["no-module-state"]);
  assert.deepEqual(rulesOf("mm/a.ts", `${SPDX}// ${["TO", "DO"].join("")} later\n`), ["no-unfinished"]);
});

test("the tree is tidy", () => {
  const findings = tidy(readTree()).map((f) => `${f.path}:${f.line}: ${f.message} [${f.rule}]`);
  assert.deepEqual(findings, []);
});
