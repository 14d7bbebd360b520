// SPDX-License-Identifier: Apache-2.0
// Telling watchers what happened to a file: marks hang from inodes, events go to the mark's owner.
//
// Invariant: VfsImpl.watchCount is the number of marks, so that callers can skip all of this when it is zero.
// Source: inotify(7).

import type { File, Inode } from "../include/linux/fs.ts";
import type { Kernel } from "../include/linux/sched.ts";
import {
  IN_CLOSE_NOWRITE,
  IN_CLOSE_WRITE,
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_MOVE_SELF,
  IN_OPEN,
} from "../include/uapi/inotify.ts";
import { isDirectory } from "../include/uapi/stat.ts";
import { VfsImpl } from "./vfs.ts";

/** Someone who watches an inode. */
export interface Mark {
  readonly mask: number;
  /** `name` is set for an event on an entry of the watched directory. */
  handle(mask: number, cookie: number, name: string | undefined): void;
}

const MARKS = "fsnotify";

function marksOf(inode: Inode): Set<Mark> | undefined {
  const marks = inode.attached?.get(MARKS);
  return marks instanceof Set ? marks : undefined;
}

export function addMark(vfs: VfsImpl, inode: Inode, mark: Mark): void {
  let marks = marksOf(inode);
  if (marks === undefined) {
    marks = new Set();
    (inode.attached ??= new Map<string, unknown>()).set(MARKS, marks);
  }
  marks.add(mark);
  vfs.watchCount++;
}

export function removeMark(vfs: VfsImpl, inode: Inode, mark: Mark): void {
  const marks = marksOf(inode);
  if (marks === undefined || !marks.delete(mark)) return;
  vfs.watchCount--;
  if (marks.size === 0) inode.attached?.delete(MARKS);
}

function deliver(inode: Inode, mask: number, cookie: number, name: string | undefined): void {
  const marks = marksOf(inode);
  if (marks === undefined) return;
  for (const mark of [...marks]) mark.handle(mask, cookie, name);
}

/** An event on the entry `name` of `directory`: created, deleted, moved. `child` tells whether it is a directory. */
export function announceName(
  vfs: VfsImpl,
  directory: Inode,
  mask: number,
  name: string,
  child: Inode | undefined,
  cookie: number,
): void {
  if (vfs.watchCount === 0) return;
  const isDir = child !== undefined && isDirectory(child.mode);
  deliver(directory, isDir ? mask | IN_ISDIR : mask, cookie, name);
}

/** An event on an inode: first under its name for the directory that holds it, then for itself. */
export function announceInode(
  vfs: VfsImpl,
  inode: Inode,
  mask: number,
  parent: Inode | undefined,
  name: string,
): void {
  if (vfs.watchCount === 0) return;
  const full = isDirectory(inode.mode) ? mask | IN_ISDIR : mask;
  if (parent !== undefined && parent !== inode) deliver(parent, full, 0, name);
  deliver(inode, full, 0, undefined);
}

/** An event on an open file. */
export function announceFile(vfs: VfsImpl, file: File, mask: number): void {
  if (vfs.watchCount === 0 || file.path === undefined || file.inode === undefined) return;
  const { dentry } = file.path;
  announceInode(
    vfs,
    file.inode,
    mask,
    dentry.parent === dentry ? undefined : dentry.parent.inode,
    dentry.name,
  );
}

export function announceOpen(vfs: VfsImpl, file: File): void {
  announceFile(vfs, file, IN_OPEN);
  file.addCloseListener(() => announceFile(vfs, file, file.isWritable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE));
}

/** An event on the inode alone: its links changed, it is gone or was moved. */
export function announceSelf(vfs: VfsImpl, inode: Inode, mask: number): void {
  if (vfs.watchCount === 0) return;
  deliver(inode, isDirectory(inode.mode) && mask !== IN_MOVE_SELF ? mask | IN_ISDIR : mask, 0, undefined);
}

/** An inode without a name lost its last open file. */
export function announceDeletion(kernel: Kernel, inode: Inode): void {
  if (kernel.vfs instanceof VfsImpl) announceSelf(kernel.vfs, inode, IN_DELETE_SELF);
}
