// SPDX-License-Identifier: Apache-2.0
// Making and removing names: mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2).
//
// Each stands on the parent directory first, then looks the last component up, checks in Linux's order, lets the file
// system act and brings the dentry cache up to date. Sources: the pages named, path_resolution(7).

import { type Inode, MAY_EXEC, MAY_READ, MAY_WRITE, type Path } from "../include/linux/fs.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import { fd, flagsOf, path, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_FLAGS, AT_REMOVEDIR, AT_SYMLINK_FOLLOW } from "../include/uapi/fcntl.ts";
import { IN_ATTRIB, IN_CREATE, IN_DELETE, IN_DELETE_SELF } from "../include/uapi/inotify.ts";
import {
  isDirectory,
  isRegular,
  S_IALLUGO,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../include/uapi/stat.ts";
import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  EMLINK,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  EXDEV,
} from "../lib/errno.ts";
import { creationMode, finishCreation } from "./create.ts";
import { dcacheAdd, dcacheRemove, type DentryNode } from "./dcache.ts";
import { announceName, announceSelf } from "./fsnotify.ts";
import { asDentry, asNode } from "./namespace.ts";
import { lookupLast, type Walk } from "./path-walk.ts";
import {
  CAP_DAC_READ_SEARCH,
  CAP_MKNOD,
  checkDelete,
  checkPermission,
  checkWritable,
  hasCapability,
  isOwnerOrCapable,
} from "./permission.ts";
import { type VfsImpl, vfsOf } from "./vfs.ts";

const LINKS_MAX = 65000;
const atFlags = flagsOf(AT_FLAGS);

export function* getName(task: Task, address: number): Sleeps<string> {
  const answer = vfsOf(task).getName(task, address);
  return isSleeping(answer) ? yield* answer : answer;
}

export function* walkParent(vfs: VfsImpl, task: Task, at: number, name: string): Sleeps<Walk> {
  const answer = vfs.walkParent(task, name, vfs.baseOf(task, at, name));
  return isSleeping(answer) ? yield* answer : answer;
}

export function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== "..";
}

/** The directory inode of a parent walk. */
export function directoryOf(walk: Walk): Inode {
  const inode = walk.dentry.inode;
  if (inode === undefined || walk.dentry.isRemoved) throw ENOENT;
  return inode;
}

/** Stands where a new name is to be made. Throws EEXIST, and ENOENT for "missing/" unless a directory is made. */
export function* startCreate(
  vfs: VfsImpl,
  task: Task,
  at: number,
  name: string,
  kind: "directory" | "other",
): Sleeps<{ walk: Walk; directory: Inode }> {
  const walk = yield* walkParent(vfs, task, at, name);
  if (!isPlainName(walk.lastName)) throw EEXIST;
  const dentry = yield* lookupLast(walk);
  if (dentry.inode !== undefined) throw EEXIST;
  if (walk.mustBeDirectory && kind !== "directory") throw ENOENT;
  checkWritable(walk.mount);
  return { walk, directory: directoryOf(walk) };
}

function mayCreate(directory: Inode, cred: Cred): void {
  checkPermission(directory, MAY_WRITE | MAY_EXEC, cred);
}

function finishCreate(vfs: VfsImpl, walk: Walk, directory: Inode, inode: Inode): DentryNode {
  const dentry = dcacheAdd(walk.dentry, walk.lastName, inode);
  announceName(vfs, directory, IN_CREATE, walk.lastName, inode, 0);
  return dentry;
}

/** Makes a node of any type but a directory; for bind(2) of a socket too. Returns where it is. */
export function* makeNode(task: Task, at: number, name: string, mode: number, rdev: number): Sleeps<Path> {
  const vfs = vfsOf(task);
  const { walk, directory } = yield* startCreate(vfs, task, at, name, "other");
  const type = mode & S_IFMT;
  mayCreate(directory, task.cred);
  // A character device 0:0 is a whiteout, which anyone may make.
  const isDevice = type === S_IFBLK || (type === S_IFCHR && rdev !== 0);
  if (isDevice && !hasCapability(task.cred, CAP_MKNOD)) throw EPERM;
  const full = type | creationMode(task, directory, mode & S_IALLUGO);
  const answer = directory.create(walk.lastName, full, rdev, task.cred);
  const inode = isSleeping(answer) ? yield* answer : answer;
  yield* finishCreation(directory, inode);
  return finishCreate(vfs, walk, directory, inode).pathIn(walk.mount);
}

function* mknodAt(task: Task, at: number, nameAddress: number, mode: number, rdev: number): Sleeps<number> {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) throw EPERM;
  if (type !== 0 && ![S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].includes(type)) throw EINVAL;
  const name = yield* getName(task, nameAddress);
  const device = type === S_IFCHR || type === S_IFBLK ? rdev : 0;
  yield* makeNode(task, at, name, type === 0 ? mode | S_IFREG : mode, device);
  return 0;
}

export const mknod: Syscall = syscall(
  "mknod",
  [path, uint, uint],
  (task, name, mode, rdev) => mknodAt(task, AT_FDCWD, name, mode & 0xffff, rdev),
);
export const mknodat: Syscall = syscall(
  "mknodat",
  [fd, path, uint, uint],
  (task, at, name, mode, rdev) => mknodAt(task, at, name, mode & 0xffff, rdev),
);

/** mkdir(2) by name: also for the kernel's own use. */
export function* makeDirectory(task: Task, at: number, name: string, mode: number): Sleeps<Path> {
  const vfs = vfsOf(task);
  const { walk, directory } = yield* startCreate(vfs, task, at, name, "directory");
  mayCreate(directory, task.cred);
  if (directory.nlink >= LINKS_MAX) throw EMLINK;
  const answer = directory.mkdir(walk.lastName, creationMode(task, directory, mode & 0o1777), task.cred);
  const inode = isSleeping(answer) ? yield* answer : answer;
  yield* finishCreation(directory, inode);
  return finishCreate(vfs, walk, directory, inode).pathIn(walk.mount);
}

function* mkdirAt(task: Task, at: number, nameAddress: number, mode: number): Sleeps<number> {
  yield* makeDirectory(task, at, yield* getName(task, nameAddress), mode);
  return 0;
}

export const mkdir: Syscall = syscall(
  "mkdir",
  [path, uint],
  (task, name, mode) => mkdirAt(task, AT_FDCWD, name, mode),
);
export const mkdirat: Syscall = syscall("mkdirat", [fd, path, uint], mkdirAt);

function* symlinkAt(task: Task, targetAddress: number, at: number, nameAddress: number): Sleeps<number> {
  const target = yield* getName(task, targetAddress);
  if (target === "") throw ENOENT;
  const name = yield* getName(task, nameAddress);
  const vfs = vfsOf(task);
  const { walk, directory } = yield* startCreate(vfs, task, at, name, "other");
  mayCreate(directory, task.cred);
  const answer = directory.symlink(walk.lastName, target, task.cred);
  finishCreate(vfs, walk, directory, isSleeping(answer) ? yield* answer : answer);
  return 0;
}

export const symlink: Syscall = syscall(
  "symlink",
  [path, path],
  (task, target, name) => symlinkAt(task, target, AT_FDCWD, name),
);
export const symlinkat: Syscall = syscall("symlinkat", [path, fd, path], symlinkAt);

function* linkSource(vfs: VfsImpl, task: Task, at: number, name: string, flags: number): Sleeps<Path> {
  if (name === "" && (flags & AT_EMPTY_PATH) !== 0) {
    if (at === AT_FDCWD) return task.fs.cwd;
    const file = task.files.get(at);
    if (!hasCapability(task.cred, CAP_DAC_READ_SEARCH)) throw ENOENT;
    if (file.path === undefined) throw EXDEV;
    return file.path;
  }
  const answer = vfs.resolve(task, name, {
    at: vfs.baseOf(task, at, name),
    followLast: (flags & AT_SYMLINK_FOLLOW) !== 0,
  });
  return isSleeping(answer) ? yield* answer : answer;
}

/** fs.protected_hardlinks = 1, as distributions have it: others' files only when they could be written anyway. */
function checkLinkSource(inode: Inode, cred: Cred): void {
  if (isOwnerOrCapable(inode, cred)) return;
  const isSetId = (inode.mode & 0o4000) !== 0 || (inode.mode & 0o2010) === 0o2010;
  try {
    if (!isRegular(inode.mode) || isSetId) throw EPERM;
    checkPermission(inode, MAY_READ | MAY_WRITE, cred);
  } catch {
    throw EPERM;
  }
}

function* linkAt(
  task: Task,
  fromAt: number,
  fromAddress: number,
  toAt: number,
  toAddress: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) throw EINVAL;
  const vfs = vfsOf(task);
  const fromName = yield* getName(task, fromAddress);
  const toName = yield* getName(task, toAddress);
  const from = yield* linkSource(vfs, task, fromAt, fromName, flags);
  const { walk, directory } = yield* startCreate(vfs, task, toAt, toName, "other");
  const inode = from.dentry.inode;
  if (inode === undefined) throw ENOENT;
  if (asNode(from.mount) !== walk.mount) throw EXDEV;
  checkLinkSource(inode, task.cred);
  mayCreate(directory, task.cred);
  if (isDirectory(inode.mode)) throw EPERM;
  if (inode.nlink === 0 && !asDentry(from.dentry).isLinkable) throw ENOENT;
  if (inode.nlink >= LINKS_MAX) throw EMLINK;
  const answer = directory.link(walk.lastName, inode);
  if (isSleeping(answer)) yield* answer;
  announceSelf(vfs, inode, IN_ATTRIB);
  finishCreate(vfs, walk, directory, inode);
  return 0;
}

export const link: Syscall = syscall(
  "link",
  [path, path],
  (task, from, to) => linkAt(task, AT_FDCWD, from, AT_FDCWD, to, 0),
);
export const linkat: Syscall = syscall("linkat", [fd, path, fd, path, atFlags], linkAt);

function* unlinkAt(task: Task, at: number, nameAddress: number): Sleeps<number> {
  const vfs = vfsOf(task);
  const walk = yield* walkParent(vfs, task, at, yield* getName(task, nameAddress));
  if (!isPlainName(walk.lastName)) throw EISDIR;
  const dentry = yield* lookupLast(walk);
  const inode = dentry.inode;
  if (inode === undefined) throw ENOENT;
  if (walk.mustBeDirectory) throw isDirectory(inode.mode) ? EISDIR : ENOTDIR;
  checkWritable(walk.mount);
  const directory = directoryOf(walk);
  checkDelete(directory, inode, task.cred);
  if (isDirectory(inode.mode)) throw EISDIR;
  if (dentry.mounts !== undefined) throw EBUSY;
  const answer = directory.unlink(walk.lastName, inode);
  if (isSleeping(answer)) yield* answer;
  dcacheRemove(dentry);
  announceSelf(vfs, inode, IN_ATTRIB);
  announceName(vfs, directory, IN_DELETE, walk.lastName, inode, 0);
  if (inode.nlink === 0 && inode.openCount === 0) announceSelf(vfs, inode, IN_DELETE_SELF);
  return 0;
}

function* rmdirAt(task: Task, at: number, nameAddress: number): Sleeps<number> {
  const vfs = vfsOf(task);
  const walk = yield* walkParent(vfs, task, at, yield* getName(task, nameAddress));
  if (walk.lastName === "..") throw ENOTEMPTY;
  if (walk.lastName === ".") throw EINVAL;
  if (walk.lastName === "") throw EBUSY;
  const dentry = yield* lookupLast(walk);
  const inode = dentry.inode;
  if (inode === undefined) throw ENOENT;
  checkWritable(walk.mount);
  const directory = directoryOf(walk);
  checkDelete(directory, inode, task.cred);
  if (!isDirectory(inode.mode)) throw ENOTDIR;
  if (dentry.mounts !== undefined || dentry === task.fs.root.dentry) throw EBUSY;
  const answer = directory.rmdir(walk.lastName, inode);
  if (isSleeping(answer)) yield* answer;
  dcacheRemove(dentry);
  announceName(vfs, directory, IN_DELETE, walk.lastName, inode, 0);
  announceSelf(vfs, inode, IN_DELETE_SELF);
  return 0;
}

export const unlink: Syscall = syscall("unlink", [path], (task, name) => unlinkAt(task, AT_FDCWD, name));
export const rmdir: Syscall = syscall("rmdir", [path], (task, name) => rmdirAt(task, AT_FDCWD, name));
export const unlinkat: Syscall = syscall(
  "unlinkat",
  [fd, path, flagsOf({ AT_REMOVEDIR })],
  (task, at, name, flags) => {
    if ((flags & ~AT_REMOVEDIR) !== 0) throw EINVAL;
    return (flags & AT_REMOVEDIR) !== 0 ? rmdirAt(task, at, name) : unlinkAt(task, at, name);
  },
);

export const nameSyscalls: readonly Syscall[] = [
  mknod,
  mknodat,
  mkdir,
  mkdirat,
  symlink,
  symlinkat,
  link,
  linkat,
  unlink,
  rmdir,
  unlinkat,
];
