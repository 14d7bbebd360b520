// SPDX-License-Identifier: Apache-2.0
// The cache of bytecode: found again, never confused, never needed.

import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { loadCached } from "./code-cache.ts";

const before = process.env["XDG_CACHE_HOME"];
let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "rookery-code-"));
  process.env["XDG_CACHE_HOME"] = directory;
});
afterEach(() => {
  if (before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = before;
  rmSync(directory, { recursive: true });
});

interface Answers {
  readonly answer: () => number;
  readonly separator: string;
}

function bundle(identity: string, answer: number): string {
  const path = join(directory, "bundle.cjs");
  const body = `const { sep } = require("node:path");
module.exports = { answer: function () { return ${answer}; }, separator: sep };
`;
  writeFileSync(path, `${identity}(function (require, module, exports) {${body}})`);
  return path;
}

const kept = (): string[] => readdirSync(join(directory, "rookery", "code"));

test("a module runs without bytecode, and again with what it saved", () => {
  const path = bundle("// 0a1b\n", 41);
  const first = loadCached<Answers>(path);
  assert.equal(first.exports.answer(), 41);
  assert.equal(first.exports.separator, "/");
  first.save();
  const [name] = kept();
  assert.match(name ?? "", /^0a1b-/);
  const file = join(directory, "rookery", "code", name ?? "");
  const bytes = readFileSync(file);
  const second = loadCached<Answers>(path);
  assert.equal(second.exports.answer(), 41);
  second.save();
  assert.deepEqual(readFileSync(file), bytes, "what was good is not written again");
});

test("before there is bytecode of one's own, that beside the bundle serves", () => {
  const path = bundle("// eeee\n", 55);
  loadCached<Answers>(path).save();
  const own = join(directory, "rookery", "code");
  const beside = join(directory, "code");
  renameSync(own, beside);
  const name = `eeee-${process.versions.v8}.bin`;
  const first = loadCached<Answers>(path);
  assert.equal(first.exports.answer(), 55);
  first.save();
  assert.equal(readFileSync(join(own, name)).length, 0, "the first run leaves it to the second");
  const second = loadCached<Answers>(path);
  assert.equal(second.exports.answer(), 55);
  second.save();
  assert.ok(readFileSync(join(own, name)).length > 0);
  writeFileSync(join(beside, name), "no bytecode");
  assert.equal(loadCached<Answers>(path).exports.answer(), 55);
});

test("bytecode beside the bundle that the engine rejects is replaced at once", () => {
  const path = bundle("// ffff\n", 66);
  const beside = join(directory, "code");
  const name = `ffff-${process.versions.v8}.bin`;
  mkdirSync(beside);
  writeFileSync(join(beside, name), "no bytecode");
  loadCached<Answers>(path).save();
  assert.ok(readFileSync(join(directory, "rookery", "code", name)).length > 0);
});

test("bundles of the same length are told apart by their first line", () => {
  const first = loadCached<Answers>(bundle("// aaaa\n", 11));
  assert.equal(first.exports.answer(), 11);
  first.save();
  assert.equal(loadCached<Answers>(bundle("// bbbb\n", 22)).exports.answer(), 22);
});

test("damaged bytecode is replaced, and a bundle without a name is not kept", () => {
  const file = join(directory, "rookery", "code", `cccc-${process.versions.v8}.bin`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "no bytecode");
  const loaded = loadCached<Answers>(bundle("// cccc\n", 33));
  assert.equal(loaded.exports.answer(), 33);
  loaded.save();
  assert.ok(readFileSync(file).length > 100);
  rmSync(join(directory, "rookery"), { recursive: true });
  const nameless = loadCached<Answers>(bundle("", 44));
  assert.equal(nameless.exports.answer(), 44);
  nameless.save();
  assert.throws(kept, /ENOENT/);
});

test("no more files are kept than a few builds need", () => {
  for (let build = 0; build < 20; build++) loadCached<Answers>(bundle(`// d${build}\n`, build)).save();
  assert.equal(kept().length, 16);
});

test("a bundle may ask for another beside it, whose bytecode is saved with its own", () => {
  const path = join(directory, "bundle.cjs");
  writeFileSync(
    path,
    `// 0a1b\n(function (require, module, exports) {
module.exports = { sum: () => require("./other.cjs").one + require("./other.cjs").one };
})`,
  );
  let loads = 0;
  Object.assign(globalThis, { countLoad: () => loads++ });
  writeFileSync(
    join(directory, "other.cjs"),
    `// 2c3d\n(function (require, module, exports) { countLoad(); exports.one = 1; })`,
  );
  const { exports, save } = loadCached<{ readonly sum: () => number }>(path);
  assert.equal(loads, 0, "not before it is asked for");
  assert.equal(exports.sum(), 2);
  assert.equal(loads, 1);
  save();
  assert.deepEqual(kept().map((name) => name.slice(0, 4)).sort(), ["0a1b", "2c3d"]);
});
