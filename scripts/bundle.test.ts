// SPDX-License-Identifier: Apache-2.0
// The browser build holds nothing of Node: no module of it, none of its globals, and nothing but this tree's own code and one library. The command line's
// has the bytecode of a first run, and the runtime's module.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { build } from "esbuild";

import { builtFolder } from "../tools/cli/code-cache.ts";
import { RUNTIME_FILE } from "../virt/host/node/translations.ts";
import { BIN_DIRECTORY, BROWSER } from "./bundle.ts";

/** Libraries of a page: SHA-256, which a page has only as promises. */
const LIBRARIES = ["node_modules/@noble/hashes/"];

test("the browser build pulls in no module of Node", async () => {
  const { metafile, outputFiles } = await build({ ...BROWSER, write: false, metafile: true });
  const inputs = Object.keys(metafile.inputs);
  assert.ok(inputs.some((path) => path.endsWith("dist/virt/cpu.js")), "the machine is not in it");
  for (const path of inputs.filter((input) => !LIBRARIES.some((library) => input.startsWith(library)))) {
    assert.match(path, /(^|\/)dist\//, "only this tree's own code");
    assert.doesNotMatch(path, /\/virt\/host\/node\/|\/tools\/|node_modules/);
  }
  for (const [path, output] of Object.entries(metafile.outputs)) {
    for (const imported of output.imports) {
      assert.notEqual(imported.external, true, `${path} imports ${imported.path}`);
    }
  }
  for (const { path, text } of outputFiles.filter((file) => file.path.endsWith(".js"))) {
    // Just the place: the whole text says nothing in a message.
    const place = /.{0,40}(?<![.\w])(require\(|process\.|Buffer\.|__dirname).{0,40}/.exec(text)?.[0];
    assert.equal(place, undefined, path);
  }
});

test("an import of a Node module would end the browser build", async () => {
  for (const name of ["node:fs", "fs", "node:worker_threads"]) {
    const stdin = { contents: `import * as module from "${name}"; console.log(module);` };
    const options = { ...BROWSER, entryPoints: [], splitting: false, write: false };
    await assert.rejects(build({ ...options, stdin, logLevel: "silent" }), /Could not resolve/);
  }
});

test("the command line is built with the bytecode of a first run and the machine code of the interpreter", () => {
  const [, identity] = /^\/\/ (\w+)\n/.exec(readFileSync(join(BIN_DIRECTORY, "run.cjs"), "latin1")) ?? [];
  const built = builtFolder(BIN_DIRECTORY);
  const [key = "", ...others] = readdirSync(built).filter((name) => !name.endsWith(".bin"));
  assert.deepEqual(others, []);
  assert.deepEqual(readdirSync(built).sort(), [key, `${identity}-${process.versions.v8}.bin`].sort());
  assert.deepEqual(readdirSync(join(built, key)), [RUNTIME_FILE]);
});
