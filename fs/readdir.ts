// SPDX-License-Identifier: Apache-2.0
// getdents64(2) and getdents(2).
//
// Entries are put into a buffer of the caller's size first; the file's position is that of the first entry that did
// not fit. Source: getdents(2).

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { bufferOut, openFile, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { IN_ACCESS } from "../include/uapi/inotify.ts";
import { EBADF, EINVAL } from "../lib/errno.ts";
import { announceFile } from "./fsnotify.ts";
import { touchAtime } from "./libfs.ts";
import { userOf, writeU64 } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

/** More than this is not collected at once, whatever the caller's buffer. */
const BATCH_BYTES = 64 * 1024;
const NAME_OFFSET_64 = 19;
const NAME_OFFSET = 18;

function* listEntries(
  task: Task,
  file: File,
  buffer: number,
  count: number,
  isWide: boolean,
): Sleeps<number> {
  if (!file.isReadable) throw EBADF;
  const bytes = new Uint8Array(Math.min(count, BATCH_BYTES));
  const view = new DataView(bytes.buffer);
  let used = 0;
  let isFull = false;
  const answer = file.iterate((entry, next) => {
    const { name } = entry;
    // The old form keeps the type in the last byte of the record, behind the name's NUL.
    const length = isWide ? align(NAME_OFFSET_64 + name.length + 1) : align(NAME_OFFSET + name.length + 2);
    if (used + length > bytes.length) {
      isFull = true;
      return false;
    }
    writeU64(view, used, entry.ino);
    writeU64(view, used + 8, next);
    view.setUint16(used + 16, length, true);
    const nameAt = used + (isWide ? NAME_OFFSET_64 : NAME_OFFSET);
    for (let index = 0; index < name.length; index++) bytes[nameAt + index] = name.charCodeAt(index);
    bytes[isWide ? used + 18 : used + length - 1] = entry.type;
    used += length;
    return true;
  });
  if (isSleeping(answer)) yield* answer;
  if (used === 0 && isFull) throw EINVAL;
  if (file.inode !== undefined) touchAtime(task, file, file.inode);
  if (used > 0) yield* userOf(task).copyOut(buffer, bytes.subarray(0, used));
  const vfs = vfsOf(task);
  if (vfs.watchCount > 0) announceFile(vfs, file, IN_ACCESS);
  return used;
}

function align(length: number): number {
  return (length + 7) & ~7;
}

export const getdents64: Syscall = syscall(
  "getdents64",
  [openFile, bufferOut, uint],
  (task, file, buffer, count) => listEntries(task, file, buffer, count, true),
);
export const getdents: Syscall = syscall(
  "getdents",
  [openFile, bufferOut, uint],
  (task, file, buffer, count) => listEntries(task, file, buffer, count, false),
);

export const readdirSyscalls: readonly Syscall[] = [getdents64, getdents];
