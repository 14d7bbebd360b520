// SPDX-License-Identifier: Apache-2.0
// sync(2), syncfs(2), fsync(2), fdatasync(2), sync_file_range(2), posix_fadvise(2), readahead(2).

import type { File, SuperBlock } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { fd, int, long, openFile, size, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { POSIX_FADV_NOREUSE, SYNC_FILE_RANGE_MASK } from "../include/uapi/fcntl.ts";
import { isRegular, S_IFIFO, S_IFMT } from "../include/uapi/stat.ts";
import { EBADF, EINVAL, ESPIPE } from "../lib/errno.ts";
import { PathFile } from "./open.ts";
import { vfsOf } from "./vfs.ts";

function* syncAll(task: Task): Sleeps<number> {
  const superBlocks = new Set<SuperBlock>();
  for (const mount of vfsOf(task).mounts.all) superBlocks.add(mount.superBlock);
  for (const superBlock of superBlocks) yield* superBlock.sync();
  return 0;
}

export const sync: Syscall = syscall("sync", [], syncAll);

export const syncfs: Syscall = syscall("syncfs", [fd], function*(task, descriptor) {
  const file = task.files.get(descriptor);
  if (file instanceof PathFile) throw EBADF;
  if (file.path !== undefined) yield* file.path.mount.superBlock.sync();
  return 0;
});

function* syncFile(file: File, dataOnly: boolean): Sleeps<number> {
  const answer = file.fsync(dataOnly);
  if (isSleeping(answer)) yield* answer;
  return 0;
}

export const fsync: Syscall = syscall("fsync", [openFile], (task, file) => syncFile(file, false));
export const fdatasync: Syscall = syscall("fdatasync", [openFile], (task, file) => syncFile(file, true));

export const syncFileRange: Syscall = syscall(
  "sync_file_range",
  [openFile, long, long, uint],
  function*(task, file, offset, length, flags) {
    if (offset < 0 || length < 0 || (flags & ~SYNC_FILE_RANGE_MASK) !== 0) throw EINVAL;
    if (file.inode === undefined || !isRegular(file.inode.mode)) throw ESPIPE;
    const answer = file.inode.mapping?.writeBack(offset, length === 0 ? Infinity : offset + length);
    if (isSleeping(answer)) yield* answer;
    return 0;
  },
);

export const fadvise64: Syscall = syscall(
  "fadvise64",
  [fd, long, long, int],
  (task, descriptor, offset, length, advice) => {
    const file = task.files.get(descriptor);
    if (file instanceof PathFile) throw EBADF;
    if (file.inode !== undefined && (file.inode.mode & S_IFMT) === S_IFIFO) throw ESPIPE;
    if (advice < 0 || advice > POSIX_FADV_NOREUSE || length < 0) throw EINVAL;
    return 0; // Advice; the page cache reads ahead by itself.
  },
);

export const readahead: Syscall = syscall(
  "readahead",
  [openFile, long, size],
  function*(task, file, offset, count) {
    if (!file.isReadable) throw EBADF;
    const mapping = file.inode?.mapping;
    if (mapping === undefined || offset < 0) throw EINVAL;
    for (let at = Math.floor(offset / 4096); at * 4096 < Math.min(offset + count, mapping.inode.size); at++) {
      const answer = mapping.read(at);
      if (isSleeping(answer)) yield* answer;
    }
    return 0;
  },
);

export const syncSyscalls: readonly Syscall[] = [
  sync,
  syncfs,
  fsync,
  fdatasync,
  syncFileRange,
  fadvise64,
  readahead,
];
