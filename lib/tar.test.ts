// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeTar } from "../tools/testing/image/archives.ts";
import type { TarEntry } from "../tools/testing/image/archives.ts";
import { TarParser } from "./tar.ts";
import type { TarHeader } from "./tar.ts";

interface Read {
  readonly header: TarHeader;
  readonly data: string;
}

function parse(archive: Uint8Array, chunkBytes: number = archive.length): Read[] {
  const entries: Read[] = [];
  let header: TarHeader | undefined;
  let data = "";
  const parser = new TarParser({
    begin(next) {
      header = next;
      data = "";
    },
    data(bytes) {
      data += Buffer.from(bytes).toString("latin1");
    },
    end() {
      if (header !== undefined) entries.push({ header, data });
    },
  });
  for (let at = 0; at < archive.length; at += chunkBytes) parser.push(archive.subarray(at, at + chunkBytes));
  parser.finish();
  return entries;
}

const CAPABILITY = Buffer.from([1, 0, 0, 2, 0, 0x20, 0, 0x80, 0xff, 10, 61, 0]);
const ENTRIES: TarEntry[] = [
  { path: "./", type: "5", mode: 0o755 },
  { path: "./a", data: "hello", mode: 0o4755, uid: 1000, gid: 50, mtime: 1234567890 },
  { path: "./empty" },
  { path: "./hard", type: "1", link: "./a" },
  { path: "./sym", type: "2", link: "../x y" },
  { path: "./null", type: "3", major: 1, minor: 3 },
  { path: "./disk", type: "4", major: 8, minor: 1 },
  { path: "./fifo", type: "6" },
  {
    path: "./short",
    data: "z".repeat(513),
    pax: {
      path: `./${"long/".repeat(60)}name`,
      "SCHILY.xattr.security.capability": CAPABILITY,
      mtime: "-1.25",
    },
  },
];

test("every kind of entry, with any size of chunk", () => {
  const archive = makeTar(ENTRIES);
  for (const chunk of [archive.length, 512, 511, 7, 1]) {
    const read = parse(archive, chunk);
    assert.deepEqual(
      read.map(({ header }) => header.type),
      ["directory", "file", "file", "link", "symlink", "char", "block", "fifo", "file"],
    );
    const [root, a, empty, hard, sym, device, disk, , long] = read;
    assert.equal(root?.header.path, ".");
    assert.deepEqual([a?.data, a?.header.mode, a?.header.uid, a?.header.gid, a?.header.mtime], [
      "hello",
      0o4755,
      1000,
      50,
      1234567890,
    ]);
    assert.equal(empty?.data, "");
    assert.equal(hard?.header.linkPath, "./a");
    assert.equal(sym?.header.linkPath, "../x y");
    assert.deepEqual([device?.header.major, device?.header.minor], [1, 3]);
    assert.deepEqual([disk?.header.major, disk?.header.minor], [8, 1]);
    assert.equal(long?.header.path, `./${"long/".repeat(60)}name`);
    assert.equal(long?.data, "z".repeat(513));
    assert.deepEqual(Buffer.from(long?.header.xattrs.get("security.capability") ?? []), CAPABILITY);
    assert.deepEqual([long?.header.mtime, long?.header.mtimeNs], [-2, 250_000_000]);
  }
});

test("a pax header speaks for one entry only", () => {
  const [first, second] = parse(makeTar([{ path: "a", pax: { path: "renamed" } }, { path: "b" }]));
  assert.equal(first?.header.path, "renamed");
  assert.equal(second?.header.path, "b");
});

test("GNU long names", () => {
  const name = `${"d".repeat(150)}\0`;
  const [entry] = parse(makeTar([{ path: "././@LongLink", type: "L", data: name }, { path: "cut" }]));
  assert.equal(entry?.header.path, "d".repeat(150));
});

test("a torn archive is an error", () => {
  const archive = makeTar([{ path: "a", data: "hello" }]);
  assert.throws(() => parse(archive.subarray(0, 514)), /ends early/);
  assert.throws(() => parse(archive.subarray(0, 300)), /ends early/);
});

test("a flipped bit in a header is an error", () => {
  const archive = makeTar([{ path: "a", data: "hello" }]);
  archive[3] = archive[3]! ^ 4;
  assert.throws(() => parse(archive), /checksum/);
});
