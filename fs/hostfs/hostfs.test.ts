// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { HostDirectory } from "../../include/host/host.ts";
import { openHostDirectory } from "../../virt/host/node/directory.ts";
import { run } from "../../mm/testing.ts";
import { type Machine, machine } from "../fixture.test.ts";
import { createHostFs } from "./hostfs.ts";

/** `through`: what stands between the volume and the directory. */
function mounted(
  t: TestContext,
  isReadOnly: boolean = false,
  through: (directory: HostDirectory) => HostDirectory = (directory) => directory,
): { m: Machine; outside: string } {
  const outside = mkdtempSync(join(tmpdir(), "rookery-hostfs-"));
  t.after(() => rmSync(outside, { recursive: true }));
  const m = machine();
  m.call("mkdir", "/mnt", 0o755);
  const at = m.vfs.resolve(m.task, "/mnt", { followLast: true });
  assert.ok("dentry" in at);
  const directory = through(openHostDirectory(outside, isReadOnly));
  m.vfs.mount(m.task, createHostFs(m.kernel, directory), at, 0, "host");
  return { m, outside };
}

/** A directory whose stat() is another. */
function withStat(directory: HostDirectory, stat: HostDirectory["stat"]): HostDirectory {
  return new Proxy(directory, {
    get(target, key) {
      if (key === "stat") return stat;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("both sides see each other's changes", (t) => {
  const { m, outside } = mounted(t);
  m.writeFile("/mnt/inside", "from inside", 0o640);
  assert.equal(readFileSync(join(outside, "inside"), "utf8"), "from inside");
  assert.equal(statSync(join(outside, "inside")).mode & 0o777, 0o640);
  writeFileSync(join(outside, "outside"), "from outside");
  assert.equal(m.readFile("/mnt/outside"), "from outside");
  writeFileSync(join(outside, "outside"), "changed");
  assert.equal(m.readFile("/mnt/outside"), "changed");
  assert.deepEqual(m.names("/mnt"), ["inside", "outside"]);
  rmSync(join(outside, "outside"));
  assert.equal(m.fails("open", "/mnt/outside", 0, 0), "ENOENT");
});

test("names, directories, links and renames", (t) => {
  const { m, outside } = mounted(t);
  m.call("mkdir", "/mnt/d", 0o755);
  m.writeFile("/mnt/d/\xc3\xa4", "umlaut");
  assert.deepEqual(readdirSync(join(outside, "d")), ["ä"]);
  m.call("link", "/mnt/d/\xc3\xa4", "/mnt/hard");
  assert.equal(m.stat("/mnt/hard").nlink, 2);
  m.call("symlink", "d", "/mnt/s");
  assert.equal(m.readFile("/mnt/s/\xc3\xa4"), "umlaut");
  assert.equal(m.call("rename", "/mnt/d", "/mnt/e"), 0);
  assert.equal(m.readFile("/mnt/e/\xc3\xa4"), "umlaut");
  assert.equal(m.fails("rmdir", "/mnt/e"), "ENOTEMPTY");
  assert.equal(m.fails("mknod", "/mnt/p", 0o010600, 0), "EPERM");
  assert.equal(m.call("truncate", "/mnt/hard", 3), 0);
  assert.equal(m.readFile("/mnt/hard"), "uml");
});

test("a file removed while open can be read to the end, and then leaves nothing behind", (t) => {
  const { m, outside } = mounted(t);
  m.writeFile("/mnt/one", "one");
  m.call("link", "/mnt/one", "/mnt/two");
  const fd = m.call("open", "/mnt/one", 2, 0);
  assert.equal(m.call("unlink", "/mnt/one"), 0);
  assert.deepEqual(m.names("/mnt"), ["two"]);
  const address = m.buffer(8);
  assert.equal(m.call("read", fd, address, 8), 3);
  assert.equal(m.stat("/mnt/two").nlink, 1);
  assert.equal(m.call("unlink", "/mnt/two"), 0);
  assert.equal(m.call("pwrite64", fd, "more", 4, 3), 4);
  assert.equal(m.call("pread64", fd, address, 8, 0), 7);
  assert.equal(m.call("close", fd), 0);
  assert.deepEqual(readdirSync(outside), []);
});

test("read-only means read-only", (t) => {
  const { m, outside } = mounted(t, true);
  writeFileSync(join(outside, "f"), "x");
  assert.equal(m.readFile("/mnt/f"), "x");
  assert.equal(m.fails("open", "/mnt/f", 1, 0), "EROFS");
  assert.equal(m.fails("unlink", "/mnt/f"), "EROFS");
  assert.equal(m.fails("mkdir", "/mnt/d", 0o755), "EROFS");
});

test("a system call asks the host once for what it looks up, and each call anew", (t) => {
  const asked: string[] = [];
  const { m, outside } = mounted(t, false, (directory) =>
    withStat(directory, (path) => {
      asked.push(path);
      return directory.stat(path);
    }));
  writeFileSync(join(outside, "f"), "x");
  asked.length = 0;
  assert.equal(m.stat("/mnt/f").size, 1);
  assert.deepEqual(asked, ["f"]);
  const fd = m.call("open", "/mnt/f", 0, 0);
  assert.deepEqual(asked, ["f", "f"]);
  writeFileSync(join(outside, "f"), "longer");
  const address = m.buffer(144);
  assert.equal(m.call("fstat", fd, address), 0);
  assert.equal(m.bytes(address, 144)[48], 6);
  assert.equal(m.call("chmod", "/mnt/f", 0o600), 0);
  assert.equal(m.stat("/mnt/f").mode & 0o777, 0o600);
});

test("files of two file systems with the same number are two", (t) => {
  const { m, outside } = mounted(
    t,
    false,
    (directory) => withStat(directory, (path) => ({ ...directory.stat(path), dev: path.length, ino: 7 })),
  );
  writeFileSync(join(outside, "a"), "one");
  writeFileSync(join(outside, "bb"), "two");
  const one = m.call("open", "/mnt/a", 0, 0);
  const two = m.call("open", "/mnt/bb", 0, 0);
  const address = m.buffer(8);
  assert.equal(m.call("read", one, address, 8), 3);
  assert.equal(m.text(address, 3), "one");
  assert.equal(m.call("read", two, address, 8), 3);
  assert.equal(m.text(address, 3), "two");
});

test("no link that is put where a directory was leads out of the volume", async (t) => {
  const { m, outside } = mounted(t);
  const secret = mkdtempSync(join(tmpdir(), "rookery-secret-"));
  t.after(() => rmSync(secret, { recursive: true }));
  writeFileSync(join(secret, "key"), "secret");
  m.call("mkdir", "/mnt/d", 0o755);
  m.writeFile("/mnt/d/key", "own");
  const directory = m.call("open", "/mnt/d", 0o200000, 0);
  assert.equal(m.call("rename", "/mnt/d", "/mnt/e"), 0);
  symlinkSync(secret, join(outside, "d"));
  assert.equal(m.call("rename", "/mnt/e", "/mnt/gone"), 0);
  assert.equal(m.call("openat", directory, "key", 0, 0) >= 0, true);
  assert.equal(m.fails("open", "/mnt/d/key", 0, 0), "ENOENT");
  renameSync(join(outside, "gone"), join(outside, "kept"));
  symlinkSync(secret, join(outside, "gone"));
  await setTimeout(5); // The host's own changes are seen a moment later.
  assert.equal(m.fails("openat", directory, "key", 0, 0), "ENOTDIR");
});

test("pages of a file come in rows", (t) => {
  const { m, outside } = mounted(t);
  const text = Array.from({ length: 9 }, (_, page) => String(page).repeat(4096)).join("") + "end";
  writeFileSync(join(outside, "f"), text);
  const fd = m.call("open", "/mnt/f", 0, 0);
  const { mm, files } = m.task;
  const address = run(mm!.mmap(m.task, 0, 10 * 4096, 1, 2, files.get(fd), 0));
  assert.equal(m.text(address, text.length), text);
  assert.equal(m.text(address + text.length, 4096 - 3), "\0".repeat(4096 - 3));
});
