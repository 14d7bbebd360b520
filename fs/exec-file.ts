// SPDX-License-Identifier: Apache-2.0
// Files as execve(2) opens and reads them.

import { type File, MAY_EXEC, type Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps, WOULD_BLOCK } from "../include/linux/wait.ts";
import { S_IFMT, S_IFREG } from "../include/uapi/stat.ts";
import { EACCES, EIO, ELOOP, ENOENT, ETXTBSY } from "../lib/errno.ts";
import type { Ram } from "../lib/ram.ts";
import { KernelIter } from "../lib/uio.ts";
import { checkAccess } from "./permission.ts";

const O_RDONLY = 0;
const S_IFLNK = 0o120000;

/** Opens for execution: a regular file with execute permission on a mount without noexec, open for writing by no
 *  one. Throws EACCES, ENOENT, ETXTBSY. */
export function* openForExec(
  task: Task,
  path: string,
  at: Path | undefined,
  followLast: boolean,
): Sleeps<File> {
  const options = at === undefined ? { followLast } : { at, followLast };
  const answer = task.kernel.vfs.resolve(task, path, options);
  return yield* openPathForExec(task, isSleeping(answer) ? yield* answer : answer);
}

export function* openPathForExec(task: Task, path: Path): Sleeps<File> {
  const { inode } = path.dentry;
  if (inode === undefined) throw ENOENT;
  const refreshed = inode.refresh();
  if (isSleeping(refreshed)) yield* refreshed;
  if ((inode.mode & S_IFMT) === S_IFLNK) throw ELOOP;
  if ((inode.mode & S_IFMT) !== S_IFREG) throw EACCES;
  checkAccess(path.mount, inode, MAY_EXEC, task.cred);
  if (inode.writeCount > 0) throw ETXTBSY;
  const opened = inode.open(task, path, O_RDONLY);
  return isSleeping(opened) ? yield* opened : opened;
}

/** Up to `length` bytes from `offset` on; fewer at the end of file. Throws EIO. */
export function* readFully(ram: Ram, file: File, offset: number, length: number): Sleeps<Uint8Array> {
  const { inode } = file;
  if (inode === undefined) throw EIO;
  const bytes = new Uint8Array(Math.max(0, Math.min(length, inode.size - offset)));

  for (let done = 0; done < bytes.length;) {
    const answer = file.read(new KernelIter(ram, bytes, done), offset + done);
    const count = isSleeping(answer) ? yield* answer : answer;
    if (count === WOULD_BLOCK) throw EIO;
    if (count === 0) return bytes.subarray(0, done);
    done += count;
  }
  return bytes;
}
