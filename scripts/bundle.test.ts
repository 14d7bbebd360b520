// SPDX-License-Identifier: Apache-2.0
// The browser build holds nothing of Node: no module of it, none of its globals, and nothing but this tree's own code and one library. The command line's
// has the bytecode of a first run, and the runtime's module.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { build, type BuildOptions } from "esbuild";

import { builtFolder } from "../tools/cli/code-cache.ts";
import { RUNTIME_FILE } from "../virt/host/node/translations.ts";
import { BIN_DIRECTORY, BROWSER, RUN, RUN_ASIDE } from "./bundle.ts";
import { LINE, runReady, writeReadyImage } from "./warm-up.ts";

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

/** What a bundle of the command line says that it is. */
function identityOf(name: string): string {
  return /^\/\/ (\w+)\n/.exec(readFileSync(join(BIN_DIRECTORY, name), "latin1"))?.[1] ?? "";
}

function bytecodeOf(name: string): string {
  return `${identityOf(name)}-${process.versions.v8}.bin`;
}

test("the command line is built with the bytecode of a first run and the machine code of the interpreter", () => {
  const built = builtFolder(BIN_DIRECTORY);
  const [key = "", ...others] = readdirSync(built).filter((name) => !name.endsWith(".bin"));
  assert.deepEqual(others, []);
  assert.deepEqual(
    readdirSync(built).sort(),
    [key, bytecodeOf("run.cjs"), bytecodeOf("aside.cjs")].sort(),
  );
  assert.deepEqual(readdirSync(join(built, key)), [RUNTIME_FILE]);
});

test("modules that both bundles of the command line have are without state", async () => {
  const inputsOf = async (options: BuildOptions): Promise<string[]> => {
    const { metafile } = await build({ ...options, write: false, metafile: true, logLevel: "silent" });
    const outputs = Object.entries(metafile.outputs).filter(([path]) => path.endsWith(".cjs"));
    return outputs.flatMap(([, { inputs }]) =>
      Object.keys(inputs).filter((path) => inputs[path]!.bytesInOutput > 0)
    );
  };
  const run = new Set(await inputsOf(RUN));
  const both = (await inputsOf(RUN_ASIDE)).filter((path) => run.has(path));
  assert.ok(both.some((path) => path.endsWith("virt/layout.js")), "they have nothing in common");
  for (const path of both) {
    assert.doesNotMatch(readFileSync(path, "utf8"), /^(export )?(let|var) /m, path);
  }
});

test("a run whose code is all in the store does not load what translates", () => {
  const directory = mkdtempSync(join(tmpdir(), "rookery-bundle-"));
  try {
    const image = join(directory, "root.img");
    writeReadyImage(image);
    const sizeOf = (name: string): number =>
      statSync(join(directory, "rookery", "code", bytecodeOf(name))).size;
    for (let n = 0; n < 3; n++) assert.equal(runReady(BIN_DIRECTORY, image, directory, []).stdout, LINE);
    // A bundle leaves an empty file in the first run that it is loaded in, and its bytecode in the second.
    assert.ok(sizeOf("run.cjs") > 0);
    assert.equal(sizeOf("aside.cjs"), 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
