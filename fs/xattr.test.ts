// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { machine } from "./fixture.test.ts";

function acl(...entries: [tag: number, rights: number, id?: number][]): Uint8Array {
  const bytes = new Uint8Array(4 + entries.length * 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 2, true);
  entries.forEach(([tag, rights, id = 0xffffffff], index) => {
    view.setUint16(4 + index * 8, tag, true);
    view.setUint16(6 + index * 8, rights, true);
    view.setUint32(8 + index * 8, id, true);
  });
  return bytes;
}

test("user attributes: create, replace, list, remove", () => {
  const m = machine();
  m.writeFile("/f", "");
  const buffer = m.buffer(100);
  assert.equal(m.fails("getxattr", "/f", "user.a", buffer, 100), "ENODATA");
  assert.equal(m.fails("setxattr", "/f", "user.a", "value", 5, 2), "ENODATA");
  assert.equal(m.call("setxattr", "/f", "user.a", "value", 5, 1), 0);
  assert.equal(m.fails("setxattr", "/f", "user.a", "value", 5, 1), "EEXIST");
  assert.equal(m.call("getxattr", "/f", "user.a", buffer, 0), 5);
  assert.equal(m.fails("getxattr", "/f", "user.a", buffer, 3), "ERANGE");
  assert.equal(m.call("getxattr", "/f", "user.a", buffer, 100), 5);
  assert.equal(m.text(buffer, 5), "value");
  assert.equal(m.call("setxattr", "/f", "trusted.t", "x", 1, 0), 0);
  assert.equal(m.call("listxattr", "/f", buffer, 100), 17);
  assert.equal(m.text(buffer, 17), "user.a\0trusted.t\0");
  m.call("chmod", "/f", 0o644);
  m.become(1000);
  assert.equal(m.call("listxattr", "/f", buffer, 100), 7);
  assert.equal(m.fails("setxattr", "/f", "user.b", "x", 1, 0), "EACCES");
  assert.equal(m.fails("setxattr", "/f", "trusted.t", "x", 1, 0), "EPERM");
  assert.equal(m.fails("setxattr", "/f", "security.s", "x", 1, 0), "EPERM");
  m.become(0);
  assert.equal(m.call("removexattr", "/f", "user.a"), 0);
  assert.equal(m.fails("removexattr", "/f", "user.a"), "ENODATA");
  assert.equal(m.fails("setxattr", "/f", "other.x", "x", 1, 0), "EOPNOTSUPP");
  m.call("symlink", "f", "/l");
  assert.equal(m.fails("lsetxattr", "/l", "user.a", "x", 1, 0), "EPERM");
  assert.equal(m.call("lsetxattr", "/l", "trusted.a", "x", 1, 0), 0);
});

test("a default ACL takes the place of the umask and is handed down", () => {
  const m = machine();
  m.call("mkdir", "/d", 0o755);
  const list = acl([1, 7], [2, 7, 1000], [4, 5], [0x10, 7], [0x20, 0]);
  assert.equal(m.call("setxattr", "/d", "system.posix_acl_default", list, list.length, 0), 0);
  m.writeFile("/d/f", "text", 0o666);
  assert.equal(m.stat("/d/f").mode, 0o100660);
  m.call("mkdir", "/d/sub", 0o777);
  assert.equal(m.stat("/d/sub").mode, 0o040770);
  m.writeFile("/d/sub/g", "deep", 0o640);
  m.become(1000);
  assert.equal(m.readFile("/d/sub/g"), "deep");
  m.writeFile("/d/f", "written", 0);
  m.become(1001);
  assert.equal(m.fails("open", "/d/f", 0, 0), "EACCES");
});

test("an access ACL decides, and the mode shows its mask", () => {
  const m = machine();
  m.writeFile("/f", "text", 0o600);
  const list = acl([1, 6], [2, 4, 1000], [4, 0], [0x10, 4], [0x20, 0]);
  assert.equal(m.call("setxattr", "/f", "system.posix_acl_access", list, list.length, 0), 0);
  assert.equal(m.stat("/f").mode, 0o100640);
  m.become(1000);
  assert.equal(m.readFile("/f"), "text");
  assert.equal(m.fails("open", "/f", 1, 0), "EACCES");
  m.become(1001);
  assert.equal(m.fails("open", "/f", 0, 0), "EACCES");
  m.become(0);
  const plain = acl([1, 7], [4, 5], [0x20, 1]);
  assert.equal(m.call("setxattr", "/f", "system.posix_acl_access", plain, plain.length, 0), 0);
  assert.equal(m.stat("/f").mode, 0o100751);
  assert.equal(m.fails("getxattr", "/f", "system.posix_acl_access", 0, 0), "ENODATA");
  const again = acl([1, 6], [2, 7, 1000], [4, 4], [0x10, 7], [0x20, 4]);
  m.call("setxattr", "/f", "system.posix_acl_access", again, again.length, 0);
  m.call("chmod", "/f", 0o610);
  m.become(1000);
  assert.equal(m.fails("access", "/f", 4), "EACCES");
  assert.equal(m.fails("access", "/f", 1), "0");
  m.become(0);
  const bad = acl([1, 7], [0x20, 1]);
  assert.equal(m.fails("setxattr", "/f", "system.posix_acl_access", bad, bad.length, 0), "EINVAL");
});
