// SPDX-License-Identifier: Apache-2.0
// open(2), openat(2), openat2(2), creat(2), close(2), close_range(2), dup(2) and its kin.

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  fd,
  flagsOf,
  int,
  mode,
  path,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  CLOSE_RANGE_UNSHARE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  OPEN_FLAGS,
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../include/uapi/fcntl.ts";
import { E2BIG, EBADF, EINVAL } from "../lib/errno.ts";
import { descriptorLimit, FilesStructImpl } from "./file.ts";
import { openPath, tryOpenPath } from "./open.ts";
import { userOf } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

const openFlags = flagsOf(OPEN_FLAGS);
/** Bits of open(2)'s flags that mean nothing are dropped; openat2(2) refuses them. */
const VALID_OPEN_FLAGS = 0o37777703;
const RESOLVE_ALL = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
  | RESOLVE_IN_ROOT | RESOLVE_CACHED;

function openAt(
  task: Task,
  at: number,
  nameAddress: number,
  flags: number,
  permissions: number,
): SyscallAnswer {
  const vfs = vfsOf(task);
  const name = vfs.tryGetName(task, nameAddress);
  if (name !== undefined && name !== "") {
    const file = tryOpenPath(vfs, task, name, flags, vfs.baseOf(task, at, name));
    if (file !== undefined) return installOpened(task, file, flags);
  }
  return openSlowly(task, at, nameAddress, flags & VALID_OPEN_FLAGS, permissions, 0);
}

function* openSlowly(
  task: Task,
  at: number,
  nameAddress: number,
  flags: number,
  permissions: number,
  resolve: number,
): Sleeps<number> {
  const vfs = vfsOf(task);
  const answer = vfs.getName(task, nameAddress);
  const name = isSleeping(answer) ? yield* answer : answer;
  const base = resolve === 0 || at === AT_FDCWD ? vfs.baseOf(task, at, name) : vfs.baseOf(task, at, "");
  return installOpened(task, yield* openPath(vfs, task, name, flags, permissions, base, resolve), flags);
}

function installOpened(task: Task, file: File, flags: number): number {
  try {
    return task.files.install(task, file, (flags & O_CLOEXEC) !== 0);
  } catch (error) {
    file.put();
    throw error;
  }
}

export const open: Syscall = syscall(
  "open",
  [path, openFlags, mode],
  (task, name, flags, permissions) => openAt(task, AT_FDCWD, name, flags, permissions),
);

export const openat: Syscall = syscall("openat", [fd, path, openFlags, mode], openAt);

export const creat: Syscall = syscall(
  "creat",
  [path, mode],
  (task, name, permissions) => openAt(task, AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, permissions),
);

/** struct open_how: flags, mode, resolve, each u64. */
const OPEN_HOW_BYTES = 24;

export const openat2: Syscall = syscall(
  "openat2",
  [fd, path, pointer, size],
  function*(task, at, name, how, sizeBytes) {
    if (sizeBytes < OPEN_HOW_BYTES) throw EINVAL;
    if (sizeBytes > 4096) throw E2BIG;
    const bytes = yield* userOf(task).copyIn(how, sizeBytes);
    for (let index = OPEN_HOW_BYTES; index < sizeBytes; index++) if (bytes[index] !== 0) throw E2BIG;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const flags = view.getUint32(0, true);
    const permissions = view.getUint32(8, true);
    const resolve = view.getUint32(16, true);
    if (
      view.getUint32(4, true) !== 0 || view.getUint32(12, true) !== 0 || view.getUint32(20, true) !== 0
    ) throw EINVAL;
    if ((flags & ~VALID_OPEN_FLAGS) !== 0 || (resolve & ~RESOLVE_ALL) !== 0) throw EINVAL;
    if ((resolve & RESOLVE_BENEATH) !== 0 && (resolve & RESOLVE_IN_ROOT) !== 0) throw EINVAL;
    const makesFile = (flags & O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE;
    if (permissions !== 0 && (!makesFile || (permissions & ~0o7777) !== 0)) throw EINVAL;
    if (
      (flags & O_PATH) !== 0 && (flags & ~(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) !== 0
    ) throw EINVAL;
    return yield* openSlowly(task, at, name, flags, permissions, resolve);
  },
);

export const close: Syscall = syscall("close", [fd], (task, descriptor) => {
  task.files.close(task, descriptor);
  return 0;
});

export const closeRange: Syscall = syscall("close_range", [uint, uint, uint], (task, first, last, flags) => {
  if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) !== 0 || first > last) throw EINVAL;
  if ((flags & CLOSE_RANGE_UNSHARE) !== 0 && task.files.users > 1) {
    const own = task.files.clone();
    task.files.put(task);
    task.files = own;
  }
  const { files } = task;
  const end = files instanceof FilesStructImpl ? Math.min(last, files.highest) : last;
  for (let descriptor = first; descriptor <= end; descriptor++) {
    if (files.find(descriptor) === undefined) continue;
    if ((flags & CLOSE_RANGE_CLOEXEC) !== 0) files.setCloseOnExec(descriptor, true);
    else files.close(task, descriptor);
  }
  return 0;
});

export const dup: Syscall = syscall("dup", [fd], (task, descriptor) => {
  const file = task.files.get(descriptor).get();
  return installOpened(task, file, 0);
});

function dupTo(task: Task, from: number, to: number, flags: number): number {
  const file = task.files.get(from);
  if (to < 0 || to >= descriptorLimit(task)) throw EBADF;
  task.files.replace(task, to, file.get(), (flags & O_CLOEXEC) !== 0);
  return to;
}

export const dup2: Syscall = syscall("dup2", [fd, fd], (task, from, to) => {
  if (from !== to) return dupTo(task, from, to, 0);
  task.files.get(from);
  return to;
});

export const dup3: Syscall = syscall("dup3", [fd, fd, int], (task, from, to, flags) => {
  if ((flags & ~O_CLOEXEC) !== 0 || from === to) throw EINVAL;
  return dupTo(task, from, to, flags);
});

export const openSyscalls: readonly Syscall[] = [
  open,
  openat,
  creat,
  openat2,
  close,
  closeRange,
  dup,
  dup2,
  dup3,
];
