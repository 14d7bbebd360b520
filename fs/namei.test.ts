// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
} from "../include/uapi/fcntl.ts";
import { machine } from "./fixture.test.ts";

test("files are written, read back, linked and unlinked", () => {
  const m = machine();
  m.writeFile("/a", "hello");
  assert.equal(m.readFile("/a"), "hello");
  assert.equal(m.call("link", "/a", "/b"), 0);
  assert.equal(m.stat("/a").nlink, 2);
  assert.equal(m.stat("/a").ino, m.stat("/b").ino);
  assert.equal(m.call("unlink", "/a"), 0);
  assert.equal(m.fails("lstat", "/a", m.buffer(144)), "ENOENT");
  assert.equal(m.readFile("/b"), "hello");
  assert.deepEqual(m.names("/"), ["b"]);
});

test("a large file crosses windows and pages", () => {
  const m = machine();
  const text = "0123456789abcdef".repeat(20000);
  m.writeFile("/big", text);
  assert.equal(m.stat("/big").size, text.length);
  assert.equal(m.readFile("/big"), text);
  const fd = m.call("open", "/big", 0, 0);
  const address = m.buffer(400000);
  assert.equal(m.call("read", fd, address, 400000), text.length);
  assert.equal(m.text(address, text.length), text);
  assert.equal(m.call("pread64", fd, address, 16, 16 * 5), 16);
  assert.equal(m.text(address, 16), "0123456789abcdef");
});

test("errors of path resolution", () => {
  const m = machine();
  m.writeFile("/file", "x");
  m.call("mkdir", "/dir", 0o755);
  const buffer = m.buffer(144);
  assert.equal(m.fails("stat", "", buffer), "ENOENT");
  assert.equal(m.fails("stat", "/none/x", buffer), "ENOENT");
  assert.equal(m.fails("stat", "/file/x", buffer), "ENOTDIR");
  assert.equal(m.fails("stat", "/file/", buffer), "ENOTDIR");
  assert.equal(m.fails("stat", "/file/.", buffer), "ENOTDIR");
  assert.equal(m.fails("stat", "/dir/../file", buffer), "0");
  assert.equal(m.fails("stat", "/../../file", buffer), "0");
  assert.equal(m.fails("stat", `/${"n".repeat(256)}`, buffer), "ENAMETOOLONG");
  assert.equal(m.fails("stat", "/x".repeat(2048), buffer), "ENAMETOOLONG");
  assert.equal(m.fails("stat", 0, buffer), "EFAULT");
});

test("symbolic links: followed, dangling, circular, with trailing slashes", () => {
  const m = machine();
  m.call("mkdir", "/dir", 0o755);
  m.call("symlink", "dir", "/link");
  m.call("symlink", "loop2", "/loop1");
  m.call("symlink", "loop1", "/loop2");
  m.call("symlink", "/made", "/dangling");
  const buffer = m.buffer(144);
  assert.equal(m.stat("/link").mode, 0o120777);
  assert.equal(m.stat("/link/").mode & 0o170000, 0o040000);
  assert.equal(m.fails("stat", "/loop1", buffer), "ELOOP");
  assert.equal(m.fails("open", "/link", O_NOFOLLOW, 0), "ELOOP");
  assert.equal(m.fails("open", "/link", O_NOFOLLOW | O_DIRECTORY, 0), "ENOTDIR");
  assert.equal(m.fails("open", "/dangling", O_CREAT | O_EXCL | O_WRONLY, 0o600), "EEXIST");
  m.writeFile("/dangling", "through");
  assert.equal(m.readFile("/made"), "through");
  assert.equal(m.call("readlink", "/link", buffer, 100), 3);
  assert.equal(m.text(buffer, 3), "dir");
  assert.equal(m.fails("readlink", "/dir", buffer, 100), "EINVAL");
  // Forty links are followed, the next is one too many.
  m.writeFile("/l0", "end");
  for (let n = 1; n <= 41; n++) m.call("symlink", `l${n - 1}`, `/l${n}`);
  assert.equal(m.readFile("/l40"), "end");
  assert.equal(m.fails("open", "/l41", 0, 0), "ELOOP");
});

test("open: what exists, what does not, directories, O_PATH, O_TMPFILE", () => {
  const m = machine();
  m.call("mkdir", "/dir", 0o755);
  assert.equal(m.fails("open", "/none", 0, 0), "ENOENT");
  assert.equal(m.fails("open", "/dir", O_RDWR, 0), "EISDIR");
  assert.equal(m.fails("open", "/dir", O_CREAT, 0), "EISDIR");
  assert.equal(m.fails("open", "/new/", O_CREAT, 0o600), "EISDIR");
  assert.equal(m.fails("open", "/new", O_CREAT | O_DIRECTORY, 0o600), "EINVAL");
  m.writeFile("/file", "x");
  assert.equal(m.fails("open", "/file", O_DIRECTORY, 0), "ENOTDIR");
  assert.equal(m.fails("open", "/file", O_CREAT | O_EXCL, 0), "EEXIST");
  const place = m.call("open", "/file", O_PATH, 0);
  assert.equal(m.fails("read", place, m.buffer(8), 8), "EBADF");
  const unnamed = m.call("open", "/dir", O_TMPFILE | O_RDWR, 0o600);
  assert.ok(unnamed >= 0);
  assert.equal(m.call("write", unnamed, "data", 4), 4);
  assert.deepEqual(m.names("/dir"), []);
  assert.equal(m.fails("open", "/dir", O_TMPFILE, 0o600), "EINVAL");
});

test("mkdir, rmdir and unlink refuse as Linux does", () => {
  const m = machine();
  assert.equal(m.call("mkdir", "/d/", 0o777), 0);
  assert.equal(m.stat("/d").mode, 0o040755);
  assert.equal(m.stat("/").nlink, 3);
  assert.equal(m.fails("mkdir", "/d", 0o777), "EEXIST");
  assert.equal(m.fails("mkdir", "/", 0o777), "EEXIST");
  m.writeFile("/d/f", "");
  assert.equal(m.fails("rmdir", "/d"), "ENOTEMPTY");
  assert.equal(m.fails("rmdir", "/d/."), "EINVAL");
  assert.equal(m.fails("rmdir", "/d/f"), "ENOTDIR");
  assert.equal(m.fails("unlink", "/d"), "EISDIR");
  assert.equal(m.fails("unlink", "/d/f/"), "ENOTDIR");
  assert.equal(m.call("unlinkat", AT_FDCWD, "/d/f", 0), 0);
  assert.equal(m.call("unlinkat", AT_FDCWD, "/d", AT_REMOVEDIR), 0);
  assert.equal(m.stat("/").nlink, 2);
});

test("an unlinked file lives on while it is open; its pages go with the last descriptor", () => {
  const m = machine();
  m.writeFile("/f", "x".repeat(100000));
  const free = m.kernel.frames.freePages;
  const fd = m.call("open", "/f", 0, 0);
  m.call("unlink", "/f");
  const address = m.buffer(10);
  assert.equal(m.call("read", fd, address, 10), 10);
  assert.equal(m.call("close", fd), 0);
  assert.ok(m.kernel.frames.freePages >= free + 24);
});

test("a removed working directory has no name and takes no files", () => {
  const m = machine();
  m.call("mkdir", "/d", 0o755);
  m.call("chdir", "/d");
  assert.equal(m.call("getcwd", m.buffer(100), 100), 3);
  m.call("rmdir", "/d");
  assert.equal(m.fails("getcwd", m.buffer(100), 100), "ENOENT");
  assert.equal(m.fails("open", "x", O_CREAT | O_WRONLY, 0o600), "ENOENT");
});

test("rename: replaces, refuses, exchanges", () => {
  const m = machine();
  m.writeFile("/a", "A");
  m.writeFile("/b", "B");
  m.call("mkdir", "/d", 0o755);
  m.call("mkdir", "/d/e", 0o755);
  assert.equal(m.call("rename", "/a", "/b"), 0);
  assert.equal(m.readFile("/b"), "A");
  assert.equal(m.fails("rename", "/b", "/d"), "EISDIR");
  assert.equal(m.fails("rename", "/d", "/b"), "ENOTDIR");
  assert.equal(m.fails("rename", "/d", "/d/e/f"), "EINVAL");
  assert.equal(m.fails("rename", "/d/e", "/d"), "ENOTEMPTY");
  assert.equal(m.fails("rename", "/none", "/x"), "ENOENT");
  assert.equal(m.fails("renameat2", AT_FDCWD, "/b", AT_FDCWD, "/d", 1), "EEXIST");
  assert.equal(m.call("renameat2", AT_FDCWD, "/b", AT_FDCWD, "/d", 2), 0);
  assert.equal(m.readFile("/d"), "A");
  assert.deepEqual(m.names("/b"), ["e"]);
  assert.equal(m.call("rename", "/b/e", "/e"), 0);
  assert.equal(m.stat("/b").nlink, 2);
  m.call("chdir", "/e");
  m.call("rename", "/e", "/moved");
  const address = m.buffer(100);
  const length = m.call("getcwd", address, 100);
  assert.equal(m.text(address, length - 1), "/moved");
});

test("permissions: mode bits, search, sticky, set-ID", () => {
  const m = machine();
  m.call("mkdir", "/private", 0o700);
  m.writeFile("/private/f", "secret");
  m.call("mkdir", "/tmp", 0o1777);
  m.call("chmod", "/tmp", 0o1777);
  m.writeFile("/readable", "r", 0o644);
  m.writeFile("/tmp/root", "r", 0o666);
  m.become(1000);
  assert.equal(m.fails("open", "/private/f", 0, 0), "EACCES");
  assert.equal(m.fails("open", "/readable", O_WRONLY, 0), "EACCES");
  assert.equal(m.fails("open", "/new", O_CREAT | O_WRONLY, 0o600), "EACCES");
  assert.equal(m.fails("unlink", "/tmp/root"), "EPERM");
  assert.equal(m.fails("chmod", "/readable", 0o777), "EPERM");
  assert.equal(m.fails("chown", "/readable", 1000, 1000), "EPERM");
  m.writeFile("/tmp/mine", "m", 0o755);
  assert.equal(m.call("chmod", "/tmp/mine", 0o6755), 0);
  assert.equal(m.stat("/tmp/mine").mode, 0o106755);
  m.writeFile("/tmp/mine", "changed");
  assert.equal(m.stat("/tmp/mine").mode, 0o100755);
  m.become(0);
  m.call("chown", "/tmp/mine", 0, 50);
  m.call("chmod", "/tmp/mine", 0o060);
  m.become(7, 7, [50]);
  assert.equal(m.readFile("/tmp/mine"), "changed");
  m.become(8);
  assert.equal(m.fails("access", "/tmp/mine", 4), "EACCES");
});

test("mounts: over directories, bound, busy, detached, read-only", () => {
  const m = machine();
  m.call("mkdir", "/mnt", 0o755);
  m.call("mkdir", "/other", 0o755);
  m.writeFile("/mnt/under", "u");
  assert.equal(m.call("mount", "none", "/mnt", "tmpfs", 0, "size=64k"), 0);
  assert.deepEqual(m.names("/mnt"), []);
  m.writeFile("/mnt/over", "o");
  assert.equal(m.fails("rmdir", "/mnt"), "EBUSY");
  assert.equal(m.fails("rename", "/mnt/over", "/over"), "EXDEV");
  assert.equal(m.call("mount", "/mnt", "/other", 0, 4096, 0), 0);
  assert.equal(m.readFile("/other/over"), "o");
  assert.equal(m.call("mount", 0, "/other", 0, 4096 | 32 | 1, 0), 0);
  assert.equal(m.fails("open", "/other/x", O_CREAT | O_WRONLY, 0o600), "EROFS");
  const fd = m.call("open", "/mnt/over", 0, 0);
  assert.equal(m.fails("umount2", "/mnt", 0), "EBUSY");
  assert.equal(m.call("umount2", "/mnt", 2), 0);
  assert.deepEqual(m.names("/mnt"), ["under"]);
  assert.equal(m.call("close", fd), 0);
  const big = m.call("open", "/other/over", 0, 0);
  assert.ok(big >= 0);
  assert.equal(m.fails("mount", "none", "/mnt", "nofs", 0, 0), "ENODEV");
});

test("tmpfs is full when it is full", () => {
  const m = machine();
  m.call("mkdir", "/mnt", 0o755);
  m.call("mount", "none", "/mnt", "tmpfs", 0, "size=8k");
  const fd = m.call("open", "/mnt/f", O_CREAT | O_RDWR, 0o600);
  assert.equal(m.call("write", fd, new Uint8Array(20000), 20000), 8192);
  assert.equal(m.fails("write", fd, "x", 1), "ENOSPC");
});

test("sparse files and truncation", () => {
  const m = machine();
  const fd = m.call("open", "/s", O_CREAT | O_RDWR, 0o600);
  assert.equal(m.call("pwrite64", fd, "end", 3, 100000), 3);
  assert.equal(m.stat("/s").size, 100003);
  const address = m.buffer(8);
  assert.equal(m.call("pread64", fd, address, 8, 50000), 8);
  assert.equal(m.text(address, 8), "\0".repeat(8));
  assert.equal(m.call("lseek", fd, 0, 3), 98304);
  assert.equal(m.call("ftruncate", fd, 100001), 0);
  assert.equal(m.call("ftruncate", fd, 100010), 0);
  assert.equal(m.call("pread64", fd, address, 8, 100000), 8);
  assert.equal(m.text(address, 4), "e\0\0\0");
  assert.equal(m.fails("ftruncate", fd, -1), "EINVAL");
  assert.equal(m.call("fallocate", fd, 3, 0, 4096), 0);
});

test("descriptors: lowest free, dup, close-on-exec, limits", () => {
  const m = machine();
  m.writeFile("/f", "abc");
  assert.equal(m.call("open", "/f", 0, 0), 0);
  assert.equal(m.call("open", "/f", 0, 0), 1);
  assert.equal(m.call("dup", 0), 2);
  assert.equal(m.call("close", 1), 0);
  assert.equal(m.call("dup2", 0, 1), 1);
  assert.equal(m.fails("dup2", 9, 1), "EBADF");
  assert.equal(m.fails("dup3", 0, 0, 0), "EINVAL");
  const address = m.buffer(4);
  assert.equal(m.call("read", 0, address, 1), 1);
  assert.equal(m.call("read", 2, address, 1), 1);
  assert.equal(m.text(address, 1), "b");
  assert.equal(m.call("dup3", 0, 10, 0o2000000), 10);
  assert.equal(m.task.files.closeOnExec(10), true);
  assert.equal(m.call("close_range", 2, 100, 0), 0);
  assert.deepEqual([...m.task.files.descriptors()], [0, 1]);
  Object.assign(m.task.group.rlimits[7]!, { soft: 3 });
  assert.equal(m.call("dup", 0), 2);
  assert.equal(m.fails("dup", 0), "EMFILE");
  {
    Object.assign(m.task.group.rlimits[7]!, { soft: 10 });
    using reserved = m.task.files.reserve(m.task, false);
    assert.equal(reserved.fd, 3);
    assert.equal(m.call("dup", 0), 4);
  }
  assert.equal(m.call("dup", 0), 3);
});

test("openat2 stays where it is told", () => {
  const m = machine();
  m.call("mkdir", "/jail", 0o755);
  m.writeFile("/jail/in", "in");
  m.writeFile("/out", "out");
  m.call("symlink", "/out", "/jail/abs");
  m.call("symlink", "in", "/jail/rel");
  const at = m.call("open", "/jail", O_DIRECTORY, 0);
  const how = (flags: number, resolve: number): Uint8Array => {
    const bytes = new Uint8Array(24);
    new DataView(bytes.buffer).setUint32(0, flags, true);
    new DataView(bytes.buffer).setUint32(16, resolve, true);
    return bytes;
  };
  assert.ok(m.call("openat2", at, "in", how(0, 8), 24) >= 0);
  assert.equal(m.fails("openat2", at, "../out", how(0, 8), 24), "EXDEV");
  assert.equal(m.fails("openat2", at, "abs", how(0, 8), 24), "EXDEV");
  assert.equal(m.fails("openat2", at, "rel", how(0, 4), 24), "ELOOP");
  assert.equal(m.fails("openat2", at, "/out", how(0, 16), 24), "ENOENT");
  assert.equal(m.fails("openat2", at, "abs", how(0, 16), 24), "ENOENT");
  assert.equal(m.fails("openat2", at, "in", how(0, 0x100), 24), "EINVAL");
  assert.equal(m.fails("openat2", at, "in", how(0, 0), 16), "EINVAL");
});
