// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { AT_FDCWD, O_CREAT, O_RDWR, O_TRUNC, O_WRONLY } from "../../include/uapi/fcntl.ts";
import { type Machine, machine } from "../fixture.test.ts";
import { overlay } from "./super.ts";

/** A lower tree, an empty upper one, and both as /o. */
function overlaid(build: (m: Machine) => void): Machine {
  const m = machine();
  m.vfs.registerFileSystem(overlay);
  for (const name of ["/low", "/mem", "/o"]) m.call("mkdir", name, 0o755);
  m.call("mount", "low", "/low", "tmpfs", 0, "mode=755");
  m.call("mount", "mem", "/mem", "tmpfs", 0, "mode=755");
  m.call("mkdir", "/mem/up", 0o755);
  m.call("mkdir", "/mem/work", 0o755);
  build(m);
  const data = "lowerdir=/low,upperdir=/mem/up,workdir=/mem/work";
  assert.equal(m.fails("mount", "o", "/o", "overlay", 0, data), "0");
  return m;
}

function sample(m: Machine): void {
  m.writeFile("/low/file", "lower text", 0o640);
  m.call("link", "/low/file", "/low/second");
  m.call("mkdir", "/low/dir", 0o755);
  m.writeFile("/low/dir/a", "a");
  m.writeFile("/low/dir/b", "b");
  m.call("symlink", "dir/a", "/low/link");
}

test("reads come from below, the first write copies up, the lower layer stays", () => {
  const m = overlaid((low) => low.writeFile("/low/file", "lower text", 0o640));
  assert.equal(m.readFile("/o/file"), "lower text");
  assert.deepEqual(m.names("/mem/up"), []);
  const before = m.stat("/o/file");
  const reader = m.call("open", "/o/file", 0, 0);
  const fd = m.call("open", "/o/file", O_WRONLY, 0);
  assert.equal(m.call("pwrite64", fd, "UPPER", 5, 0), 5);
  assert.equal(m.readFile("/o/file"), "UPPER text");
  assert.equal(m.readFile("/low/file"), "lower text");
  const after = m.stat("/o/file");
  assert.equal(after.ino, before.ino);
  assert.equal(after.mode, 0o100640);
  assert.equal(after.dev, before.dev);
  // Opened before the copy-up: still the lower file.
  const address = m.buffer(10);
  assert.equal(m.call("read", reader, address, 10), 10);
  assert.equal(m.text(address, 10), "lower text");
});

test("O_TRUNC leaves the data below", () => {
  const m = overlaid((low) => low.writeFile("/low/file", "x".repeat(100_000)));
  const free = m.kernel.frames.freePages;
  const fd = m.call("open", "/o/file", O_WRONLY | O_TRUNC, 0);
  assert.ok(fd >= 0);
  assert.ok(free - m.kernel.frames.freePages < 10);
  assert.equal(m.stat("/o/file").size, 0);
  assert.equal(m.call("write", fd, "new", 3), 3);
  assert.equal(m.readFile("/o/file"), "new");
  assert.equal(m.stat("/o/file").size, 3);
});

test("attributes and xattrs are copied up with the file", () => {
  const m = overlaid((low) => low.writeFile("/low/file", "text", 0o600));
  m.call("chmod", "/o/file", 0o4711);
  assert.equal(m.stat("/o/file").mode, 0o104711);
  assert.equal(m.stat("/low/file").mode, 0o100600);
  assert.equal(m.readFile("/o/file"), "text");
});

test("hard links of the lower layer stay links across a copy-up", () => {
  const m = overlaid(sample);
  assert.equal(m.stat("/o/file").nlink, 2);
  m.writeFile("/o/second", "both");
  assert.equal(m.readFile("/o/file"), "both");
  assert.equal(m.stat("/o/file").ino, m.stat("/o/second").ino);
  assert.equal(m.call("unlink", "/o/second"), 0);
  assert.equal(m.stat("/o/file").nlink, 1);
  assert.equal(m.readFile("/o/file"), "both");
  assert.equal(m.call("rename", "/o/file", "/o/dir/moved"), 0);
  assert.equal(m.readFile("/o/dir/moved"), "both");
  assert.deepEqual(m.names("/o"), ["dir", "link"]);
  assert.equal(m.call("unlink", "/o/dir/moved"), 0);
});

test("removal leaves a whiteout; what is made again is new", () => {
  const m = overlaid(sample);
  assert.equal(m.call("unlink", "/o/dir/a"), 0);
  assert.deepEqual(m.names("/o/dir"), ["b"]);
  assert.equal(m.stat("/mem/up/dir/a").mode & 0o170000, 0o020000);
  assert.equal(m.fails("open", "/o/link", 0, 0), "ENOENT");
  assert.equal(m.fails("rmdir", "/o/dir"), "ENOTEMPTY");
  assert.equal(m.call("unlink", "/o/dir/b"), 0);
  assert.equal(m.call("rmdir", "/o/dir"), 0);
  assert.equal(m.fails("lstat", "/o/dir", m.buffer(144)), "ENOENT");
  assert.equal(m.call("mkdir", "/o/dir", 0o700), 0);
  assert.deepEqual(m.names("/o/dir"), []);
  m.writeFile("/o/dir/a", "new");
  assert.deepEqual(m.names("/o/dir"), ["a"]);
  assert.equal(m.readFile("/low/dir/a"), "a");
});

/** The next names of an open directory, as many as go into `size` bytes. */
function nextNames(m: Machine, fd: number, size: number): string[] {
  const address = m.buffer(size);
  const count = m.call("getdents64", fd, address, size);
  assert.ok(count >= 0);
  const bytes = Buffer.from(m.bytes(address, count));
  const names: string[] = [];
  for (let at = 0; at < count; at += bytes.readUInt16LE(at + 16)) {
    names.push(bytes.toString("latin1", at + 19, bytes.indexOf(0, at + 19)));
  }
  return names;
}

test("rm -r while listing loses no name", () => {
  const m = overlaid((low) => {
    low.call("mkdir", "/low/d", 0o755);
    for (let n = 0; n < 200; n++) low.writeFile(`/low/d/file-${n}`, "");
  });
  const fd = m.call("open", "/o/d", 0o200000, 0);
  let removed = 0;
  for (let part = nextNames(m, fd, 400); part.length > 0; part = nextNames(m, fd, 400)) {
    for (const name of part) {
      if (!name.startsWith(".")) removed += m.call("unlink", `/o/d/${name}`) === 0 ? 1 : 0;
    }
  }
  assert.equal(removed, 200);
  assert.equal(m.call("rmdir", "/o/d"), 0);
});

test("a large directory is listed whole, a part at a time, while what was listed is removed", () => {
  const m = overlaid(() => {});
  m.call("mkdir", "/o/large", 0o755);
  const names = Array.from({ length: 1000 }, (_, n) => `entry-${n}`);
  for (const name of names) m.writeFile(`/o/large/${name}`, "");
  assert.deepEqual(m.names("/o/large").toSorted(), names.toSorted());
  const fd = m.call("open", "/o/large", 0o200000, 0);
  const seen: string[] = [];
  for (let part = nextNames(m, fd, 4096); part.length > 0; part = nextNames(m, fd, 4096)) {
    const listed = part.filter((name) => !name.startsWith("."));
    for (const name of listed) m.call("unlink", `/o/large/${name}`);
    seen.push(...listed);
    assert.equal(m.names("/o/large").length, names.length - seen.length);
  }
  assert.deepEqual(seen.toSorted(), names.toSorted());
});

test("rename: files from below, over others, directories with what shows through", () => {
  const m = overlaid(sample);
  assert.equal(m.call("rename", "/o/dir/a", "/o/dir/c"), 0);
  assert.deepEqual(m.names("/o/dir"), ["b", "c"]);
  assert.equal(m.readFile("/o/dir/c"), "a");
  assert.equal(m.call("rename", "/o/dir/c", "/o/dir/b"), 0);
  assert.deepEqual(m.names("/o/dir"), ["b"]);
  assert.equal(m.readFile("/o/dir/b"), "a");
  assert.equal(m.call("rename", "/o/dir", "/o/else"), 0);
  assert.deepEqual(m.names("/o"), ["else", "file", "link", "second"]);
  assert.deepEqual(m.names("/o/else"), ["b"]);
  m.writeFile("/o/else/n", "n");
  assert.deepEqual(m.names("/o/else"), ["b", "n"]);
  assert.equal(m.fails("lstat", "/o/dir", m.buffer(144)), "ENOENT");
  assert.equal(m.call("mkdir", "/o/dir", 0o755), 0);
  assert.deepEqual(m.names("/o/dir"), []);
  assert.equal(m.call("renameat2", AT_FDCWD, "/o/else", AT_FDCWD, "/o/file", 2), 0);
  assert.deepEqual(m.names("/o/file"), ["b", "n"]);
  assert.equal(m.readFile("/o/else"), "lower text");
});

test("a directory renamed over an empty one of the lower layer does not mix with it", () => {
  const m = overlaid((low) => {
    low.call("mkdir", "/low/target", 0o755);
    low.writeFile("/low/target/old", "old");
  });
  m.call("mkdir", "/o/fresh", 0o755);
  m.writeFile("/o/fresh/new", "new");
  assert.equal(m.fails("rename", "/o/fresh", "/o/target"), "ENOTEMPTY");
  m.call("unlink", "/o/target/old");
  assert.equal(m.call("rename", "/o/fresh", "/o/target"), 0);
  assert.deepEqual(m.names("/o/target"), ["new"]);
});

test("made, linked and unlinked in one place", () => {
  const m = overlaid(sample);
  const fd = m.call("open", "/o/new", O_CREAT | O_RDWR, 0o644);
  assert.equal(m.call("write", fd, "12345", 5), 5);
  assert.equal(m.stat("/o/new").size, 5);
  assert.equal(m.call("link", "/o/new", "/o/dir/linked"), 0);
  assert.equal(m.stat("/o/new").nlink, 2);
  assert.equal(m.call("link", "/o/dir/b", "/o/b2"), 0);
  assert.equal(m.stat("/o/b2").nlink, 2);
  m.writeFile("/o/b2", "bb");
  assert.equal(m.readFile("/o/dir/b"), "bb");
  assert.equal(m.call("unlink", "/o/new"), 0);
  assert.equal(m.readFile("/o/dir/linked"), "12345");
  assert.equal(m.call("symlink", "x", "/o/dir/sym"), 0);
  assert.deepEqual(m.names("/o/dir"), ["a", "b", "linked", "sym"]);
  const buffer = m.buffer(8);
  assert.equal(m.call("pread64", fd, buffer, 8, 0), 5);
});

test("without an upper directory nothing can be changed", () => {
  const m = machine();
  m.vfs.registerFileSystem(overlay);
  for (const name of ["/a", "/b", "/o"]) m.call("mkdir", name, 0o755);
  m.writeFile("/a/one", "from a");
  m.writeFile("/b/one", "from b");
  m.writeFile("/b/two", "two");
  assert.equal(m.fails("mount", "o", "/o", "overlay", 0, "lowerdir=/a:/b"), "0");
  assert.equal(m.readFile("/o/one"), "from a");
  assert.deepEqual(m.names("/o"), ["one", "two"]);
  assert.equal(m.fails("open", "/o/two", O_WRONLY, 0), "EROFS");
  assert.equal(m.fails("mkdir", "/o/x", 0o755), "EROFS");
});
