// SPDX-License-Identifier: Apache-2.0
// open(2): from a path and flags to an open file. The system calls are in fs/open-syscalls.ts.
//
// Order of checks as open(2) has it: resolution, existence (O_EXCL), type (ELOOP, EISDIR, ENOTDIR), mount flags
// (EROFS, nodev), permission, O_NOATIME, then the object's own open, then O_TRUNC.

import { File, type Inode, MAY_EXEC, MAY_READ, MAY_WRITE, type Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  __O_TMPFILE,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  RESOLVE_CACHED,
} from "../include/uapi/fcntl.ts";
import { IN_CREATE, IN_MODIFY } from "../include/uapi/inotify.ts";
import { MS_NODEV } from "../include/uapi/mount.ts";
import {
  S_IALLUGO,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../include/uapi/stat.ts";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  ENXIO,
  EPERM,
  ETXTBSY,
} from "../lib/errno.ts";
import { creationMode, finishCreation } from "./create.ts";
import { dcacheAdd, DentryNode } from "./dcache.ts";
import { announceInode, announceName, announceOpen } from "./fsnotify.ts";
import { DirectoryFile } from "./libfs.ts";
import { asDentry } from "./namespace.ts";
import { lookupLast, type Walk, type WalkOptions } from "./path-walk.ts";
import {
  CAP_FSETID,
  checkAccess,
  checkPermission,
  checkWritable,
  hasCapability,
  isOwnerOrCapable,
  withoutSetIdBits,
} from "./permission.ts";
import type { VfsImpl } from "./vfs.ts";

/** Flags that say how to open and are not kept with the file. */
const CREATION_FLAGS = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;

/** What open(2) does not reject or ignore; throws EINVAL for impossible combinations. */
function checkOpenFlags(flags: number): number {
  if ((flags & O_PATH) !== 0) return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if ((flags & __O_TMPFILE) !== 0) {
    if ((flags & O_TMPFILE) !== O_TMPFILE || (flags & O_CREAT) !== 0) throw EINVAL;
    if ((flags & O_ACCMODE) === O_RDONLY) throw EINVAL;
  }
  if ((flags & (O_CREAT | O_DIRECTORY)) === (O_CREAT | O_DIRECTORY)) throw EINVAL;
  return flags;
}

/** open(2) of names that are all cached, and nothing to create: the file, or undefined when it may have to sleep. */
export function tryOpenPath(
  vfs: VfsImpl,
  task: Task,
  path: string,
  flags: number,
  at: Path | undefined,
): File | undefined {
  if ((flags & (O_CREAT | O_TRUNC | O_PATH | __O_TMPFILE)) !== 0) return undefined;
  const found = vfs.resolve(task, path, walkOptions(flags, at, 0));
  if (isSleeping(found)) return undefined;
  const inode = inodeOf(found);
  const type = inode.mode & S_IFMT;
  if (type !== S_IFREG && type !== S_IFDIR) return undefined;
  mayOpen(task, found, inode, flags);
  const file = type === S_IFDIR
    ? new DirectoryFile(found, flags)
    : inode.open(task, found, flags & ~CREATION_FLAGS);
  if (isSleeping(file)) return undefined;
  if (vfs.watchCount > 0) announceOpen(vfs, file);
  return file;
}

/** open(2), all of it. `resolve` are RESOLVE_* of openat2(2). */
export function* openPath(
  vfs: VfsImpl,
  task: Task,
  path: string,
  givenFlags: number,
  mode: number,
  at: Path | undefined,
  resolve: number,
): Sleeps<File> {
  const flags = checkOpenFlags(givenFlags);
  if ((flags & O_TMPFILE) === O_TMPFILE) {
    return yield* openTemporary(vfs, task, path, flags, mode, at, resolve);
  }
  if ((flags & O_CREAT) !== 0) return yield* openOrCreate(vfs, task, path, flags, mode, at, resolve);
  const answer = vfs.resolve(task, path, walkOptions(flags, at, resolve));
  if (isSleeping(answer) && (resolve & RESOLVE_CACHED) !== 0) throw EAGAIN;
  const found = isSleeping(answer) ? yield* answer : answer;
  if ((flags & O_PATH) !== 0) return new PathFile(found, flags);
  return yield* openFound(vfs, task, found, flags);
}

function walkOptions(flags: number, at: Path | undefined, resolve: number): WalkOptions {
  return {
    at,
    followLast: (flags & O_NOFOLLOW) === 0,
    directory: (flags & O_DIRECTORY) !== 0,
    resolve,
  };
}

function inodeOf(path: Path): Inode {
  if (path.dentry.inode === undefined) throw ENOENT;
  return path.dentry.inode;
}

/** Opens what is there already: checks, the object's own open, O_TRUNC. */
function* openFound(vfs: VfsImpl, task: Task, path: Path, flags: number): Sleeps<File> {
  const inode = inodeOf(path);
  const refreshed = inode.refresh();
  if (isSleeping(refreshed)) yield* refreshed;
  mayOpen(task, path, inode, flags);
  const isTruncating = (flags & O_TRUNC) !== 0 && (inode.mode & S_IFMT) === S_IFREG;
  if (isTruncating) yield* truncateOnOpen(task, inode);
  const answer = openInode(vfs, task, path, inode, flags & ~CREATION_FLAGS | (flags & O_NOCTTY));
  const file = isSleeping(answer) ? yield* answer : answer;
  file.setStatusFlags(file.flags & ~O_NOCTTY);
  if (vfs.watchCount > 0) {
    announceOpen(vfs, file);
    if (isTruncating) announceInode(vfs, inode, IN_MODIFY, path.dentry.parent.inode, path.dentry.name);
  }
  return file;
}

function openInode(vfs: VfsImpl, task: Task, path: Path, inode: Inode, flags: number): File | Sleeps<File> {
  switch (inode.mode & S_IFMT) {
    case S_IFDIR:
      return new DirectoryFile(path, flags);
    case S_IFREG:
      return inode.open(task, path, flags);
    case S_IFCHR:
      return vfs.openDevice(task, path, flags, "char", inode.rdev);
    case S_IFBLK:
      return vfs.openDevice(task, path, flags, "block", inode.rdev);
    case S_IFIFO:
      if (vfs.openFifo === undefined) throw ENXIO;
      return vfs.openFifo(task, path, flags, 0);
    case S_IFLNK:
      throw ELOOP;
    default:
      throw ENXIO; // a socket's name
  }
}

/** The checks of open(2) on an existing object. */
function mayOpen(task: Task, path: Path, inode: Inode, flags: number): void {
  const access = flags & O_ACCMODE;
  const isWriting = access !== O_RDONLY || (flags & O_TRUNC) !== 0;
  const type = inode.mode & S_IFMT;
  if (type === S_IFLNK) throw (flags & O_DIRECTORY) !== 0 ? ENOTDIR : ELOOP;
  if (type === S_IFDIR) {
    if (isWriting || (flags & O_CREAT) !== 0) throw EISDIR;
  } else if (type === S_IFCHR || type === S_IFBLK) {
    if ((path.mount.flags & MS_NODEV) !== 0) throw EACCES;
  }
  const mask = access === O_RDONLY ? MAY_READ : access === 1 ? MAY_WRITE : MAY_READ | MAY_WRITE;
  checkAccess(path.mount, inode, isWriting ? mask | MAY_WRITE : mask, task.cred);
  if ((flags & O_NOATIME) !== 0 && !isOwnerOrCapable(inode, task.cred)) throw EPERM;
  if (isWriting && inode.writeCount < 0) throw ETXTBSY;
}

function* truncateOnOpen(task: Task, inode: Inode): Sleeps<void> {
  const now = task.kernel.time.realtime();
  const isStripped = (inode.mode & 0o6000) !== 0 && !hasCapability(task.cred, CAP_FSETID);
  const mode = isStripped ? { mode: withoutSetIdBits(inode.mode) & S_IALLUGO } : {};
  const answer = inode.setAttributes({ size: 0, mtime: now, ctime: now, ...mode });
  if (isSleeping(answer)) yield* answer;
}

function* openOrCreate(
  vfs: VfsImpl,
  task: Task,
  path: string,
  flags: number,
  mode: number,
  at: Path | undefined,
  resolve: number,
): Sleeps<File> {
  const answer = vfs.walkParent(task, path, at, resolve);
  const walk = isSleeping(answer) ? yield* answer : answer;
  for (;;) {
    const { lastName } = walk;
    if (lastName === "" || lastName === "." || lastName === "..") {
      if ((flags & O_EXCL) !== 0) throw EEXIST;
      if (lastName === "" && !walk.mustBeDirectory) return yield* openFound(vfs, task, walk.path, flags);
      throw EISDIR;
    }
    const dentry = yield* lookupLast(walk);
    if (walk.mustBeDirectory) throw EISDIR;
    if (dentry.inode === undefined) {
      const created = yield* createRegular(vfs, task, walk, dentry, flags, mode);
      if (created !== undefined) return created;
      continue; // Someone else made it meanwhile.
    }
    if ((flags & O_EXCL) !== 0) throw EEXIST;
    if ((dentry.inode.mode & S_IFMT) === S_IFLNK) {
      if ((flags & O_NOFOLLOW) !== 0) throw ELOOP;
      const followed = walk.followLast(dentry);
      if (followed !== undefined) yield* followed;
      const pending = walk.run();
      if (pending !== undefined) yield* walk.finish(pending);
      continue;
    }
    const top = vfs.mounts.topOf(walk.mount, dentry);
    return yield* openFound(vfs, task, top.dentry.pathIn(top.mount), flags);
  }
}

function* createRegular(
  vfs: VfsImpl,
  task: Task,
  walk: Walk,
  dentry: DentryNode,
  flags: number,
  mode: number,
): Sleeps<File | undefined> {
  const directory = walk.dentry.inode;
  if (directory === undefined || walk.dentry.isRemoved) throw ENOENT;
  const full = newFileMode(task, walk.mount, directory, mode);
  let inode: Inode;
  try {
    const answer = directory.create(walk.lastName, full, 0, task.cred);
    inode = isSleeping(answer) ? yield* answer : answer;
  } catch (error) {
    if (error === EEXIST && (flags & O_EXCL) === 0) return undefined;
    throw error;
  }
  yield* finishCreation(directory, inode);
  const made = dcacheAdd(walk.dentry, walk.lastName, inode);
  if (vfs.watchCount > 0) announceName(vfs, directory, IN_CREATE, walk.lastName, made.inode, 0);
  const answer = inode.open(task, made.pathIn(walk.mount), flags & ~CREATION_FLAGS);
  const file = isSleeping(answer) ? yield* answer : answer;
  if (vfs.watchCount > 0) announceOpen(vfs, file);
  return file;
}

/** The mode of a regular file that is made in `directory`; throws when it may not be. */
function newFileMode(task: Task, mount: Path["mount"], directory: Inode, mode: number): number {
  checkWritable(mount);
  checkPermission(directory, MAY_WRITE | MAY_EXEC, task.cred);
  return S_IFREG | creationMode(task, directory, mode & S_IALLUGO);
}

/** O_TMPFILE: a file without a name in the directory `path`. */
function* openTemporary(
  vfs: VfsImpl,
  task: Task,
  path: string,
  flags: number,
  mode: number,
  at: Path | undefined,
  resolve: number,
): Sleeps<File> {
  const answer = vfs.resolve(task, path, { at, followLast: true, directory: true, resolve });
  const found = isSleeping(answer) ? yield* answer : answer;
  const directory = inodeOf(found);
  const made = directory.tmpfile(newFileMode(task, found.mount, directory, mode), task.cred);
  const inode = isSleeping(made) ? yield* made : made;
  yield* finishCreation(directory, inode);
  const dentry = new DentryNode(`#${inode.ino}`, asDentry(found.dentry), inode);
  dentry.isRemoved = true;
  const kept = flags & ~CREATION_FLAGS & ~__O_TMPFILE & ~O_DIRECTORY;
  // linkat(2) may give it a name later unless O_EXCL was asked for.
  if ((flags & O_EXCL) === 0) dentry.isLinkable = true;
  const file = inode.open(task, pathOf(found.mount, dentry), kept | O_TMPFILE);
  return isSleeping(file) ? yield* file : file;
}

function pathOf(mount: Path["mount"], dentry: DentryNode): Path {
  return { mount, dentry };
}

/** An O_PATH descriptor: a place in the tree; nothing can be read or written through it. */
export class PathFile extends File {
  override get isReadable(): boolean {
    return false;
  }
  override get isWritable(): boolean {
    return false;
  }
  override read(): never {
    throw EBADF;
  }
  override write(): never {
    throw EBADF;
  }
  override seek(): never {
    throw EBADF;
  }
  override ioctl(): never {
    throw EBADF;
  }
  override mmap(): never {
    throw EBADF;
  }
  override fsync(): never {
    throw EBADF;
  }
  override iterate(): never {
    throw EBADF;
  }
}
