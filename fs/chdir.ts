// SPDX-License-Identifier: Apache-2.0
// Where a process stands: chdir(2), fchdir(2), chroot(2), getcwd(2), umask(2).

import { MAY_EXEC, type Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { bufferOut, fd, int, path, size, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { isDirectory } from "../include/uapi/stat.ts";
import { ENOENT, ENOTDIR, EPERM, ERANGE } from "../lib/errno.ts";
import { getName } from "./namei.ts";
import { CAP_SYS_CHROOT, checkPermission, hasCapability } from "./permission.ts";
import { userOf } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

function* findDirectory(task: Task, nameAddress: number): Sleeps<Path> {
  const vfs = vfsOf(task);
  const answer = vfs.resolve(task, yield* getName(task, nameAddress), { followLast: true, directory: true });
  const found = isSleeping(answer) ? yield* answer : answer;
  if (found.dentry.inode !== undefined) checkPermission(found.dentry.inode, MAY_EXEC, task.cred);
  return found;
}

export const chdir: Syscall = syscall("chdir", [path], function*(task, name) {
  task.fs.cwd = yield* findDirectory(task, name);
  return 0;
});

export const fchdir: Syscall = syscall("fchdir", [fd], (task, descriptor) => {
  const found = task.files.get(descriptor).path;
  const inode = found?.dentry.inode;
  if (found === undefined || inode === undefined || !isDirectory(inode.mode)) throw ENOTDIR;
  checkPermission(inode, MAY_EXEC, task.cred);
  task.fs.cwd = found;
  return 0;
});

export const chroot: Syscall = syscall("chroot", [path], function*(task, name) {
  const found = yield* findDirectory(task, name);
  if (!hasCapability(task.cred, CAP_SYS_CHROOT)) throw EPERM;
  task.fs.root = found;
  return 0;
});

export const getcwd: Syscall = syscall("getcwd", [bufferOut, size], (task, buffer, length) => {
  const { cwd } = task.fs;
  if (cwd.dentry.isRemoved) throw ENOENT;
  const text = vfsOf(task).pathName(task, cwd);
  if (text.length + 1 > length) throw ERANGE;
  const bytes = new Uint8Array(text.length + 1);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  if (userOf(task).tryCopyOut(buffer, bytes)) return bytes.length;
  return copyOut(task, buffer, bytes);
});

function* copyOut(task: Task, buffer: number, bytes: Uint8Array): Sleeps<number> {
  yield* userOf(task).copyOut(buffer, bytes);
  return bytes.length;
}

export const umask: Syscall = syscall("umask", [int], (task, mask) => {
  const former = task.fs.umask;
  task.fs.umask = mask & 0o777;
  return former;
});

export const chdirSyscalls: readonly Syscall[] = [chdir, fchdir, chroot, getcwd, umask];
