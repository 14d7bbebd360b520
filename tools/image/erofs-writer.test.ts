// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { readErofs } from "../testing/image/read-erofs.ts";
import { writeErofs } from "./erofs-writer.ts";
import {
  bytesContent,
  createDirectory,
  createFile,
  createSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  Tree,
} from "./tree.ts";
import type { Content, DirectoryNode, SpecialNode } from "./tree.ts";

const TIME = 1_700_000_000;

function write(root: DirectoryNode): Buffer {
  const parts: Buffer[] = [];
  const size = writeErofs(root, (bytes) => parts.push(Buffer.from(bytes)), {
    buildTime: TIME,
    uuid: new Uint8Array(16).fill(7),
    volumeName: "test",
  });
  const image = Buffer.concat(parts);
  assert.equal(image.length, size);
  return image;
}

function pattern(length: number, seed: number): Content {
  return bytesContent(Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) + seed) & 0xff));
}

function bytesOf(content: Content): Buffer {
  const bytes = Buffer.alloc(content.sizeBytes);
  content.read(0, bytes);
  return bytes;
}

function special(mode: number, major: number, minor: number): SpecialNode {
  return { kind: "special", mode, uid: 0, gid: 0, mtime: TIME, mtimeNs: 0, xattrs: new Map(), major, minor };
}

test("files of every size around the borders come back", () => {
  const tree = new Tree(createDirectory(0o755, TIME));
  const sizes = [0, 1, 1023, 1024, 1025, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 262144, 262145, 300001];
  const contents = new Map(sizes.map((size) => [`/f${String(size)}`, pattern(size, size)]));
  for (const [path, content] of contents) tree.put(path, createFile(0o644, TIME, content));
  const paths = readErofs(write(tree.root));
  for (const [path, content] of contents) {
    const entry = paths.get(path);
    assert.ok(entry !== undefined && entry.data.equals(bytesOf(content)), path);
    assert.equal(entry.dataOffset !== undefined, content.sizeBytes > 1024, `${path}: blocks of its own`);
  }
});

test("attributes, links, devices, extended attributes", () => {
  const tree = new Tree(createDirectory(0o755, TIME));
  const file = createFile(0o4750, TIME - 5, pattern(10, 1));
  file.uid = 70_000;
  file.gid = 100_000;
  file.mtimeNs = 123_456_789;
  file.xattrs.set("security.capability", Buffer.from("0100000200200080", "hex"));
  file.xattrs.set("user.long", Buffer.alloc(300, 9));
  file.xattrs.set("system.posix_acl_access", Buffer.from("02000000", "hex"));
  tree.put("usr/bin/ping", file);
  tree.put("a/hard", file);
  tree.put("a/link", createSymlink("../usr/bin/p\xc3\xa9", TIME));
  tree.put("dev/null", special(S_IFCHR | 0o666, 1, 3));
  tree.put("dev/big", special(S_IFBLK | 0o660, 259, 0x12345));
  tree.put("dev/pipe", special(S_IFIFO | 0o600, 0, 0));
  tree.put("before", createFile(0o600, -86_400, pattern(0, 0)));
  const paths = readErofs(write(tree.root));
  const ping = paths.get("/usr/bin/ping");
  assert.ok(ping !== undefined);
  assert.deepEqual(
    [ping.mode, ping.uid, ping.gid, ping.mtime, ping.mtimeNs, ping.linkCount],
    [0o104750, 70_000, 100_000, TIME - 5, 123_456_789, 2],
  );
  assert.deepEqual(Object.fromEntries(ping.xattrs), {
    "security.capability": "0100000200200080",
    "user.long": "09".repeat(300),
    "system.posix_acl_access": "02000000",
  });
  assert.equal(paths.get("/a/hard")?.nid, ping.nid);
  assert.equal(paths.get("/a/link")?.data.toString("latin1"), "../usr/bin/p\xc3\xa9");
  assert.equal(paths.get("/dev/null")?.rdev, 0x103);
  assert.equal(paths.get("/dev/big")?.rdev, (0x45 | (259 << 8) | (0x123 << 20)) >>> 0);
  assert.equal(paths.get("/dev/pipe")?.mode, 0o010600);
  assert.equal(paths.get("/before")?.mtime, -86_400);
});

test("directories of many blocks are in byte order", () => {
  const tree = new Tree(createDirectory(0o755, TIME));
  const names = Array.from(
    { length: 1500 },
    (_, index) => `${String.fromCharCode(33 + (index * 37) % 222)}name-${String(index)}`.replace("/", "_"),
  );
  for (const name of names) tree.put(`d/${name}`, createFile(0o644, TIME, pattern(3, name.length)));
  tree.put("d/sub/deep/file", createFile(0o644, TIME, pattern(5000, 2)));
  const paths = readErofs(write(tree.root));
  assert.equal([...paths.keys()].filter((path) => /^\/d\/[^/]+$/.test(path)).length, names.length + 1);
  for (const name of names) assert.ok(paths.has(`/d/${name}`), name);
});

test("the order of insertion leaves no trace", () => {
  const build = (order: readonly string[]): Buffer => {
    const tree = new Tree(createDirectory(0o755, TIME));
    for (const path of order) tree.put(path, createFile(0o644, TIME, pattern(5000, path.length)));
    return write(tree.root);
  };
  const paths = ["b/x", "a/y", "c", "a/b/z"];
  assert.ok(build(paths).equals(build([...paths].reverse())));
});

test("an extended attribute of an unknown kind is refused", () => {
  const root = createDirectory(0o755, TIME);
  root.xattrs.set("system.strange", new Uint8Array(1));
  assert.throws(() => write(root), /system\.strange/);
});
