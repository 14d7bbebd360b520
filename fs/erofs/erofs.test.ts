// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostDisk } from "../../include/host/host.ts";
import { makeDevice } from "../../include/uapi/stat.ts";
import { EINVAL, EIO, EUCLEAN } from "../../lib/errno.ts";
import { addBlockDevice, HostBlockDevice } from "../../block/blk.ts";
import { run } from "../../mm/testing.ts";
import { writeErofs } from "../../tools/image/erofs-writer.ts";
import {
  bytesContent,
  createDirectory,
  createFile,
  createSymlink,
  type DirectoryNode,
} from "../../tools/image/tree.ts";
import { type Machine, machine } from "../fixture.test.ts";
import { erofs } from "./erofs.ts";

function disk(bytes: Uint8Array): HostDisk {
  return {
    sizeBytes: bytes.length,
    isReadOnly: true,
    read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length));
      return undefined;
    },
    write: () => undefined,
    flush: () => undefined,
  };
}

const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);

function sampleTree(): DirectoryNode {
  const root = createDirectory(0o755, 100);
  const small = createFile(0o644, 200, bytesContent(pattern(100)));
  const big = createFile(0o4755, 300, bytesContent(pattern(100_003)));
  small.xattrs.set("user.note", Uint8Array.from([1, 2, 3]));
  small.xattrs.set("security.capability", Uint8Array.from([9]));
  big.uid = 1000;
  big.gid = 70000;
  root.children.set("small", small);
  root.children.set("hard", small);
  root.children.set("big", big);
  root.children.set("empty", createFile(0o600, 1, bytesContent(new Uint8Array(0))));
  root.children.set("link", createSymlink("dir/many-7", 5));
  const directory = createDirectory(0o1777, 400);
  for (let n = 0; n < 500; n++) {
    directory.children.set(`many-${n}`, createFile(0o644, n, bytesContent(pattern(n))));
  }
  root.children.set("dir", directory);
  root.children.set("null", {
    kind: "special",
    mode: 0o020666,
    uid: 0,
    gid: 0,
    mtime: 0,
    mtimeNs: 0,
    xattrs: new Map(),
    major: 1,
    minor: 300,
  });
  return root;
}

function image(root: DirectoryNode): Uint8Array {
  const parts: Uint8Array[] = [];
  writeErofs(root, (bytes) => parts.push(bytes.slice()), {
    buildTime: 7,
    uuid: new Uint8Array(16),
    volumeName: "t",
  });
  return Uint8Array.from(Buffer.concat(parts));
}

function mounted(bytes: Uint8Array): Machine {
  const m = machine();
  m.vfs.registerFileSystem(erofs);
  addBlockDevice(m.kernel, new HostBlockDevice(m.kernel, "vda", makeDevice(254, 0), disk(bytes)));
  m.call("mkdir", "/mnt", 0o755);
  assert.equal(m.fails("mount", "vda", "/mnt", "erofs", 1, 0), "0");
  return m;
}

test("an image shows the tree it was made from", () => {
  const m = mounted(image(sampleTree()));
  assert.deepEqual(m.names("/mnt"), ["big", "dir", "empty", "hard", "link", "null", "small"]);
  assert.equal(m.readFile("/mnt/small"), Buffer.from(pattern(100)).toString("latin1"));
  assert.equal(m.readFile("/mnt/big"), Buffer.from(pattern(100_003)).toString("latin1"));
  assert.equal(m.readFile("/mnt/empty"), "");
  const big = m.stat("/mnt/big");
  assert.deepEqual([big.mode, big.uid, big.gid, big.size], [0o104755, 1000, 70000, 100_003]);
  assert.equal(m.stat("/mnt/small").ino, m.stat("/mnt/hard").ino);
  assert.equal(m.stat("/mnt/small").nlink, 2);
  assert.equal(m.stat("/mnt/dir").mode, 0o041777);
  assert.equal(m.names("/mnt/dir").length, 500);
  assert.equal(m.readFile("/mnt/link").length, 7);
  assert.equal(m.readFile("/mnt/dir/many-499"), Buffer.from(pattern(499)).toString("latin1"));
  assert.equal(m.stat("/mnt/null").mode, 0o020666);
  assert.equal(m.fails("open", "/mnt/new", 0o101, 0o600), "EROFS");
  assert.equal(m.fails("unlink", "/mnt/small"), "EROFS");
  const inode = m.vfs.mounts.all;
  assert.ok([...inode].length === 2);
});

test("extended attributes come back whole", () => {
  const m = mounted(image(sampleTree()));
  const answer = m.vfs.resolve(m.task, "/mnt/small", { followLast: true });
  const inode = run(answer);
  assert.ok("dentry" in inode && inode.dentry.inode !== undefined);
  const list = inode.dentry.inode.listXattr();
  assert.deepEqual((run(list as never) as string[]).sort(), ["security.capability", "user.note"]);
  assert.deepEqual([...(run(inode.dentry.inode.getXattr("user.note") as never) as Uint8Array)], [1, 2, 3]);
});

test("torn and hostile images end in an errno", () => {
  const good = image(sampleTree());
  const attempt = (bytes: Uint8Array): unknown => {
    const m = machine();
    addBlockDevice(m.kernel, new HostBlockDevice(m.kernel, "vda", makeDevice(254, 0), disk(bytes)));
    try {
      const superBlock = run(erofs.mount(m.task, "vda", 1, ""));
      m.vfs.mount(m.task, superBlock, m.task.fs.root, 1);
      m.task.fs = { ...m.task.fs, root: run(m.vfs.resolve(m.task, "/..", { followLast: true }) as never) };
      walk(m, "/", 0);
    } catch (error) {
      return error;
    }
    return undefined;
  };
  assert.equal(attempt(good.subarray(0, 512)), EINVAL);
  assert.equal(attempt(good.subarray(0, good.length - 4096)), EINVAL);
  const noMagic = good.slice();
  noMagic[1024] = 0;
  assert.equal(attempt(noMagic), EINVAL);
  const badSum = good.slice();
  badSum[1100] = 0xaa;
  assert.equal(attempt(badSum), EUCLEAN);
  // Any byte of the metadata may be anything: whatever happens is an errno, and it ends.
  let seed = 12345;
  for (let round = 0; round < 150; round++) {
    const torn = good.slice();
    new DataView(torn.buffer).setUint32(1024 + 8, 0, true); // no checksum
    for (let n = 0; n < 8; n++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      torn[1152 + (seed >>> 8) % 60_000] = seed & 0xff;
    }
    const error = attempt(torn);
    if (error !== undefined) {
      assert.ok(error instanceof Error && error.constructor.name === "Errno", String(error));
    }
  }
  assert.ok(EIO instanceof Error);
});

/** Reads everything, three levels deep. */
function walk(m: Machine, path: string, depth: number): void {
  let names: string[];
  try {
    names = m.names(path);
  } catch {
    return;
  }
  for (const name of names) {
    const full = `${path === "/" ? "" : path}/${name}`;
    const buffer = m.buffer(0);
    if (m.call("lstat", full, buffer) < 0) continue;
    const { mode, size } = m.stat(full);
    if ((mode & 0o170000) === 0o100000 && size < 1_000_000) {
      try {
        m.readFile(full);
      } catch {
        continue;
      }
    }
    if ((mode & 0o170000) === 0o040000 && depth < 3) walk(m, full, depth + 1);
  }
}
