// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import * as uapi from "../include/uapi/inotify.ts";
import { type Machine, machine } from "./fixture.test.ts";

function events(m: Machine, fd: number): string[] {
  const address = m.buffer(4096);
  const count = m.call("read", fd, address, 4096);
  if (count < 0) return [String(count)];
  const bytes = Buffer.from(m.bytes(address, count));
  const found: string[] = [];
  for (let at = 0; at < count; at += 16 + bytes.readUInt32LE(at + 12)) {
    const mask = bytes.readUInt32LE(at + 4);
    const names = Object.entries(uapi).filter(([, bit]) =>
      typeof bit === "number" && (bit & (bit - 1)) === 0 && (mask & bit) !== 0 && bit !== uapi.IN_NONBLOCK
    );
    const length = bytes.readUInt32LE(at + 12);
    const name = bytes.toString("latin1", at + 16, at + 16 + length).replace(/\0+$/, "");
    found.push(`${bytes.readInt32LE(at)} ${names.map(([key]) => key).join("|")} ${name}`.trim());
  }
  return found;
}

test("a watched directory tells what happens in it", () => {
  const m = machine();
  m.call("mkdir", "/d", 0o755);
  const fd = m.call("inotify_init1", uapi.IN_NONBLOCK);
  assert.equal(m.call("inotify_add_watch", fd, "/d", uapi.IN_ALL_EVENTS), 1);
  m.writeFile("/d/f", "x");
  m.call("rename", "/d/f", "/d/g");
  m.call("chmod", "/d/g", 0o600);
  m.call("mkdir", "/d/sub", 0o755);
  m.call("unlink", "/d/g");
  assert.deepEqual(events(m, fd), [
    "1 IN_CREATE f",
    "1 IN_OPEN f",
    "1 IN_MODIFY f",
    "1 IN_CLOSE_WRITE f",
    "1 IN_MOVED_FROM f",
    "1 IN_MOVED_TO g",
    "1 IN_ATTRIB g",
    "1 IN_CREATE|IN_ISDIR sub",
    "1 IN_DELETE g",
  ]);
  assert.deepEqual(events(m, fd), ["-11"]);
  m.call("rmdir", "/d/sub");
  m.call("rmdir", "/d");
  assert.deepEqual(events(m, fd), ["1 IN_DELETE|IN_ISDIR sub", "1 IN_DELETE_SELF|IN_ISDIR", "1 IN_IGNORED"]);
  assert.equal(m.vfs.watchCount, 0);
});

test("masks, one-shot watches and mistakes", () => {
  const m = machine();
  m.writeFile("/f", "x");
  const fd = m.call("inotify_init1", uapi.IN_NONBLOCK);
  assert.equal(m.call("inotify_add_watch", fd, "/f", uapi.IN_MODIFY | uapi.IN_ONESHOT), 1);
  m.readFile("/f");
  m.writeFile("/f", "y");
  m.writeFile("/f", "z");
  assert.deepEqual(events(m, fd), ["1 IN_MODIFY", "1 IN_IGNORED"]);
  assert.equal(m.fails("inotify_rm_watch", fd, 1), "EINVAL");
  assert.equal(m.fails("inotify_add_watch", fd, "/f", 0), "EINVAL");
  assert.equal(m.fails("inotify_add_watch", fd, "/f", uapi.IN_MODIFY | uapi.IN_ONLYDIR), "ENOTDIR");
  assert.equal(m.call("inotify_add_watch", fd, "/f", uapi.IN_MODIFY), 2);
  assert.equal(m.fails("inotify_add_watch", fd, "/f", (uapi.IN_OPEN | uapi.IN_MASK_CREATE) >>> 0), "EEXIST");
  m.call("close", fd);
  assert.equal(m.vfs.watchCount, 0);
});
