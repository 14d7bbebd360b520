// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openHostDirectory } from "../../virt/host/node/directory.ts";
import { type Machine, machine } from "../fixture.test.ts";
import { createHostFs } from "./hostfs.ts";

function mounted(t: TestContext, isReadOnly: boolean = false): { m: Machine; outside: string } {
  const outside = mkdtempSync(join(tmpdir(), "rookery-hostfs-"));
  t.after(() => rmSync(outside, { recursive: true }));
  const m = machine();
  m.call("mkdir", "/mnt", 0o755);
  const at = m.vfs.resolve(m.task, "/mnt", { followLast: true });
  assert.ok("dentry" in at);
  m.vfs.mount(m.task, createHostFs(m.kernel, openHostDirectory(outside, isReadOnly)), at, 0, "host");
  return { m, outside };
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
