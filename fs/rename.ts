// SPDX-License-Identifier: Apache-2.0
// rename(2), renameat(2), renameat2(2).
//
// Order of checks as Linux has it: both parents, cross-device, the names, existence, flags, ancestors (EINVAL,
// ENOTEMPTY), permissions and the sticky bit on both sides, types (EISDIR, ENOTDIR), mount points. Source: rename(2).

import { type Inode, MAY_EXEC, MAY_WRITE } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { fd, flagsOf, path, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { AT_FDCWD, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from "../include/uapi/fcntl.ts";
import {
  IN_ATTRIB,
  IN_DELETE_SELF,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
} from "../include/uapi/inotify.ts";
import { isDirectory } from "../include/uapi/stat.ts";
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from "../lib/errno.ts";
import { dcacheExchange, dcacheMove, type DentryNode, isBelow } from "./dcache.ts";
import { announceName, announceSelf } from "./fsnotify.ts";
import { directoryOf, getName, isPlainName, walkParent } from "./namei.ts";
import { lookupLast, type Walk } from "./path-walk.ts";
import { CAP_MKNOD, checkDelete, checkPermission, checkWritable, hasCapability } from "./permission.ts";
import { type VfsImpl, vfsOf } from "./vfs.ts";

interface Side {
  readonly walk: Walk;
  readonly directory: Inode;
  readonly dentry: DentryNode;
}

function* renameAt(
  task: Task,
  fromAt: number,
  fromAddress: number,
  toAt: number,
  toAddress: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) throw EINVAL;
  if ((flags & RENAME_EXCHANGE) !== 0 && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) !== 0) throw EINVAL;
  if ((flags & RENAME_WHITEOUT) !== 0 && !hasCapability(task.cred, CAP_MKNOD)) throw EPERM;
  const vfs = vfsOf(task);
  const fromName = yield* getName(task, fromAddress);
  const toName = yield* getName(task, toAddress);
  const fromWalk = yield* walkParent(vfs, task, fromAt, fromName);
  const toWalk = yield* walkParent(vfs, task, toAt, toName);
  if (fromWalk.mount !== toWalk.mount) throw EXDEV;
  if (!isPlainName(fromWalk.lastName)) throw EBUSY;
  if (!isPlainName(toWalk.lastName)) throw (flags & RENAME_NOREPLACE) !== 0 ? EEXIST : EBUSY;
  checkWritable(fromWalk.mount);
  const from: Side = {
    walk: fromWalk,
    directory: directoryOf(fromWalk),
    dentry: yield* lookupLast(fromWalk),
  };
  const to: Side = { walk: toWalk, directory: directoryOf(toWalk), dentry: yield* lookupLast(toWalk) };
  yield* renameChecked(vfs, task, from, to, flags);
  return 0;
}

function* renameChecked(vfs: VfsImpl, task: Task, from: Side, to: Side, flags: number): Sleeps<void> {
  const source = from.dentry.inode;
  const target = to.dentry.inode;
  if (source === undefined) throw ENOENT;
  if (target !== undefined && (flags & RENAME_NOREPLACE) !== 0) throw EEXIST;
  const isExchange = (flags & RENAME_EXCHANGE) !== 0;
  if (isExchange) {
    if (target === undefined) throw ENOENT;
    if (!isDirectory(target.mode) && to.walk.mustBeDirectory) throw ENOTDIR;
  }
  if (!isDirectory(source.mode)) {
    if (from.walk.mustBeDirectory) throw ENOTDIR;
    if (!isExchange && to.walk.mustBeDirectory) throw ENOTDIR;
  }
  if (isDirectory(source.mode) && isBelow(to.walk.dentry, from.dentry)) throw EINVAL;
  if (target !== undefined && isBelow(from.walk.dentry, to.dentry)) throw isExchange ? EINVAL : ENOTEMPTY;
  if (source === target) return; // Two names of one file, or one name twice: nothing to do.
  checkRights(task, from, to, source, target, isExchange);
  if (from.dentry.mounts !== undefined || to.dentry.mounts !== undefined) throw EBUSY;
  const answer = from.directory.rename(
    from.walk.lastName,
    source,
    to.directory,
    to.walk.lastName,
    target,
    flags,
  );
  if (isSleeping(answer)) yield* answer;
  if (isExchange) dcacheExchange(from.dentry, to.dentry);
  else dcacheMove(from.dentry, to.walk.dentry, to.walk.lastName);
  announce(vfs, from, to, source, target, isExchange);
}

function checkRights(
  task: Task,
  from: Side,
  to: Side,
  source: Inode,
  target: Inode | undefined,
  isExchange: boolean,
): void {
  checkDelete(from.directory, source, task.cred);
  if (target === undefined) {
    checkPermission(to.directory, MAY_WRITE | MAY_EXEC, task.cred);
  } else {
    checkDelete(to.directory, target, task.cred);
    if (!isExchange) {
      if (isDirectory(source.mode) && !isDirectory(target.mode)) throw ENOTDIR;
      if (!isDirectory(source.mode) && isDirectory(target.mode)) throw EISDIR;
    }
  }
  // A directory that moves gets a new "..": that is a write to it.
  if (from.directory === to.directory) return;
  if (isDirectory(source.mode)) checkPermission(source, MAY_WRITE, task.cred);
  if (isExchange && target !== undefined && isDirectory(target.mode)) {
    checkPermission(target, MAY_WRITE, task.cred);
  }
}

function announce(
  vfs: VfsImpl,
  from: Side,
  to: Side,
  source: Inode,
  target: Inode | undefined,
  isExchange: boolean,
): void {
  if (vfs.watchCount === 0) return;
  const cookie = vfs.nextCookie();
  announceName(vfs, from.directory, IN_MOVED_FROM, from.walk.lastName, source, cookie);
  announceName(vfs, to.directory, IN_MOVED_TO, to.walk.lastName, source, cookie);
  announceSelf(vfs, source, IN_MOVE_SELF);
  if (target === undefined) return;
  if (isExchange) {
    const back = vfs.nextCookie();
    announceName(vfs, to.directory, IN_MOVED_FROM, to.walk.lastName, target, back);
    announceName(vfs, from.directory, IN_MOVED_TO, from.walk.lastName, target, back);
    announceSelf(vfs, target, IN_MOVE_SELF);
    return;
  }
  announceSelf(vfs, target, IN_ATTRIB);
  const isGone = isDirectory(target.mode) || (target.nlink === 0 && target.openCount === 0);
  if (isGone) announceSelf(vfs, target, IN_DELETE_SELF);
}

export const rename: Syscall = syscall(
  "rename",
  [path, path],
  (task, from, to) => renameAt(task, AT_FDCWD, from, AT_FDCWD, to, 0),
);
export const renameat: Syscall = syscall(
  "renameat",
  [fd, path, fd, path],
  (task, fromAt, from, toAt, to) => renameAt(task, fromAt, from, toAt, to, 0),
);
export const renameat2: Syscall = syscall("renameat2", [
  fd,
  path,
  fd,
  path,
  flagsOf({ RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT }),
], renameAt);

export const renameSyscalls: readonly Syscall[] = [rename, renameat, renameat2];
