// SPDX-License-Identifier: Apache-2.0
// What file systems share: the open directory, and changing an inode's attributes in memory.

import { type AttributeChange, type DirEntry, File, type Inode, type TimeSpec } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { O_NOATIME } from "../include/uapi/fcntl.ts";
import { SEEK_CUR, SEEK_SET } from "../include/uapi/fs.ts";
import { MS_NOATIME, MS_NODIRATIME, MS_RDONLY } from "../include/uapi/mount.ts";
import { DT_DIR } from "../include/uapi/stat.ts";
import { EINVAL, EISDIR, ENOENT } from "../lib/errno.ts";

/** Positions 0 and 1 are "." and ".."; from 2 on they are the inode's own, moved up by 2. */
const DOTS = 2;

/** An open directory of any file system. */
export class DirectoryFile extends File {
  override get isSeekable(): boolean {
    return true;
  }
  override read(): never {
    throw EISDIR;
  }
  override seek(offset: number, whence: number): number {
    let target: number;
    if (whence === SEEK_SET) target = offset;
    else if (whence === SEEK_CUR) target = this.pos + offset;
    else throw EINVAL;
    if (target < 0) throw EINVAL;
    this.pos = target;
    return target;
  }
  override fsync(): void {}

  override iterate(emit: (entry: DirEntry, next: number) => boolean): void | Sleeps<void> {
    const inode = this.inode;
    const dentry = this.path?.dentry;
    if (inode === undefined || dentry === undefined) throw ENOENT;
    if (dentry.isRemoved) throw ENOENT;
    if (this.pos === 0) {
      if (!emit({ name: ".", ino: inode.ino, type: DT_DIR }, 1)) return;
      this.pos = 1;
    }
    if (this.pos === 1) {
      if (!emit({ name: "..", ino: dentry.parent.inode?.ino ?? inode.ino, type: DT_DIR }, DOTS)) return;
      this.pos = DOTS;
    }
    const answer = inode.iterate(this.pos - DOTS, (entry, next) => {
      if (!emit(entry, next + DOTS)) return false;
      this.pos = next + DOTS;
      return true;
    });
    if (isSleeping(answer)) return answer;
  }
}

/** Applies everything but a size to the fields of an inode. */
export function applyAttributes(inode: Inode, change: AttributeChange): void {
  if (change.mode !== undefined) inode.mode = (inode.mode & ~0o7777) | (change.mode & 0o7777);
  if (change.uid !== undefined) inode.uid = change.uid;
  if (change.gid !== undefined) inode.gid = change.gid;
  if (change.atime !== undefined) inode.atime = change.atime;
  if (change.mtime !== undefined) inode.mtime = change.mtime;
  if (change.ctime !== undefined) inode.ctime = change.ctime;
}

/** An answer that may have to be waited for. */
export function* wait<T>(answer: T | Sleeps<T>): Sleeps<T> {
  return isSleeping(answer) ? yield* answer : answer;
}

const DAY_SECONDS = 86400;

/** relatime: the access time moves when it is not after a change, or is a day old. */
export function touchAtime(task: Task, file: File, inode: Inode): void {
  if ((file.flags & O_NOATIME) !== 0 || inode.superBlock.isReadOnly) return;
  if (file.path !== undefined && (file.path.mount.flags & (MS_NOATIME | MS_NODIRATIME | MS_RDONLY)) !== 0) {
    return;
  }
  const now = task.kernel.time.realtime();
  const { atime, mtime, ctime } = inode;
  if (!isAfter(atime, mtime) || !isAfter(atime, ctime) || now.sec - atime.sec >= DAY_SECONDS) {
    inode.atime = now;
  }
}

function isAfter(one: TimeSpec, other: TimeSpec): boolean {
  return one.sec > other.sec || (one.sec === other.sec && one.nsec > other.nsec);
}
