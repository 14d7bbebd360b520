// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { openMemoryDirectory } from "./directory.ts";
import { memoryDisk } from "./disk.ts";

const withCode = (code: string) => ({ code });

test("a tree of files answers as a directory of the host does", () => {
  const directory = openMemoryDirectory({ motd: "hällo", bin: { tool: Uint8Array.of(1, 2, 3), empty: {} } });
  assert.deepEqual(directory.list(""), [
    { name: "motd", kind: "file" },
    { name: "bin", kind: "directory" },
  ]);
  assert.equal(directory.stat("motd").size, 6);
  assert.equal(directory.stat("bin").nlink, 3);
  assert.equal(directory.stat("bin/tool").mode, 0o755);
  const into = new Uint8Array(8);
  assert.equal(directory.read("bin/tool", 1, into), 2);
  assert.deepEqual([...into.subarray(0, 2)], [2, 3]);
  assert.equal(directory.read("bin/tool", 3, into), 0);
  assert.notEqual(directory.stat("bin").ino, directory.stat("bin/empty").ino);
});

test("what is not there, or not so, has its errno", () => {
  const directory = openMemoryDirectory({ file: "x", d: {} });
  assert.throws(() => directory.stat("nothing"), withCode("ENOENT"));
  assert.throws(() => directory.stat("file/below"), withCode("ENOTDIR"));
  assert.throws(() => directory.read("d", 0, new Uint8Array(1)), withCode("EISDIR"));
  assert.throws(() => directory.list("file"), withCode("ENOTDIR"));
  assert.throws(() => directory.readlink("file"), withCode("EINVAL"));
  assert.throws(() => directory.write("file", 0, new Uint8Array(1)), withCode("EROFS"));
  assert.throws(() => openMemoryDirectory({ "a/b": "" }), withCode("EINVAL"));
  assert.throws(() => openMemoryDirectory({ "..": {} }), withCode("EINVAL"));
});

test("names of objects are no files", () => {
  assert.throws(() => openMemoryDirectory({}).stat("constructor"), withCode("ENOENT"));
});

test("bytes in memory are a disk", () => {
  const bytes = new Uint8Array(16);
  const disk = memoryDisk(bytes);
  assert.equal(disk.write(4, Uint8Array.of(7, 8)), undefined);
  const into = new Uint8Array(3);
  assert.equal(disk.read(4, into), undefined);
  assert.deepEqual([...into], [7, 8, 0]);
  assert.equal(memoryDisk(bytes, { readOnly: true }).isReadOnly, true);
});
