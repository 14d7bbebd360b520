// SPDX-License-Identifier: Apache-2.0
// Walks an image through Rookery's EROFS and the same image as Linux has it mounted, and prints every difference:
// names, attributes, inode numbers, symbolic links, contents. Usage: compare-erofs IMAGE MOUNTPOINT

import {
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { addBlockDevice, HostBlockDevice } from "../../../block/blk.ts";
import { erofs } from "../../../fs/erofs/erofs.ts";
import { machine } from "../../../fs/fixture.test.ts";
import { makeDevice } from "../../../include/uapi/stat.ts";

const [imagePath = "", mountPoint = ""] = process.argv.slice(2);
const descriptor = openSync(imagePath, "r");
const m = machine(65536);
m.vfs.registerFileSystem(erofs);
addBlockDevice(
  m.kernel,
  new HostBlockDevice(m.kernel, "vda", makeDevice(254, 0), {
    sizeBytes: fstatSync(descriptor).size,
    isReadOnly: true,
    read(offset, into) {
      readSync(descriptor, into, 0, into.length, offset);
      return undefined;
    },
    write: () => undefined,
    flush: () => undefined,
  }),
);
m.call("mkdir", "/image", 0o755);
if (m.call("mount", "vda", "/image", "erofs", 1, 0) !== 0) throw new Error("cannot mount");

const buffer = m.buffer(4096);
let files = 0;
let bytes = 0;
let differences = 0;

function differ(path: string, what: string, ours: unknown, theirs: unknown): void {
  differences++;
  console.log(`${path}: ${what}: ours ${String(ours)}, Linux's ${String(theirs)}`);
}

function compareAttributes(path: string): number {
  if (m.call("lstat", Buffer.from(`/image${path}`).toString("latin1"), buffer) !== 0) {
    differ(path, "lstat", "error", "ok");
    return 0;
  }
  const view = new DataView(m.bytes(buffer, 144).slice().buffer);
  const theirs = lstatSync(mountPoint + path, { bigint: true });
  const pairs: [string, bigint | number, bigint][] = [
    ["ino", view.getBigUint64(8, true), theirs.ino],
    ["nlink", view.getBigUint64(16, true), theirs.nlink],
    ["mode", view.getUint32(24, true), theirs.mode],
    ["uid", view.getUint32(28, true), theirs.uid],
    ["gid", view.getUint32(32, true), theirs.gid],
    ["rdev", view.getBigUint64(40, true), theirs.rdev],
    ["size", view.getBigUint64(48, true), theirs.size],
    ["blksize", view.getBigUint64(56, true), theirs.blksize],
    ["blocks", view.getBigUint64(64, true), theirs.blocks],
    ["mtime", view.getBigUint64(88, true) * 1_000_000_000n + view.getBigUint64(96, true), theirs.mtimeNs],
    ["ctime", view.getBigUint64(104, true) * 1_000_000_000n + view.getBigUint64(112, true), theirs.ctimeNs],
  ];
  for (const [what, ours, expected] of pairs) {
    if (BigInt(ours) !== expected) differ(path, what, ours, expected);
  }
  return Number(theirs.mode);
}

function compare(path: string): void {
  files++;
  const guest = Buffer.from(`/image${path}`).toString("latin1");
  const type = compareAttributes(path) & 0o170000;
  if (type === 0o120000) {
    const length = m.call("readlink", guest, buffer, 4096);
    const theirs = readlinkSync(mountPoint + path, "latin1");
    if (m.text(buffer, length) !== theirs) differ(path, "link", m.text(buffer, length), theirs);
  } else if (type === 0o100000) {
    const theirs = readFileSync(mountPoint + path);
    bytes += theirs.length;
    if (m.readFile(guest) !== theirs.toString("latin1")) differ(path, "contents", "?", "?");
  } else if (type === 0o040000) {
    const ours = m.names(guest);
    const theirs = readdirSync(mountPoint + path, { encoding: "latin1" }).sort();
    if (ours.join("\0") !== theirs.join("\0")) differ(path, "names", ours.length, theirs.length);
    for (const name of theirs) compare(`${path}/${Buffer.from(name, "latin1").toString()}`);
  }
}

compare("");
closeSync(descriptor);
console.log(`${files} files, ${bytes} bytes compared, ${differences} differences`);
process.exitCode = differences === 0 ? 0 : 1;
