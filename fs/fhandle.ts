// SPDX-License-Identifier: Apache-2.0
// name_to_handle_at(2), open_by_handle_at(2): no file system here can find an inode by a handle, which Linux tells with
// EOPNOTSUPP, too (overlayfs without nfs_export). Source: open_by_handle_at(2).

import { fd, hex, path, pointer, type Syscall, syscall } from "../include/linux/syscalls.ts";
import {
  AT_EMPTY_PATH,
  AT_HANDLE_FID,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
} from "../include/uapi/fcntl.ts";
import { EINVAL, EOPNOTSUPP, EPERM, ESTALE } from "../lib/errno.ts";
import { CAP_DAC_READ_SEARCH, hasCapability } from "./permission.ts";
import { findAt } from "./stat.ts";

const support = {
  level: "partial",
  missing: "file handles: every file system answers EOPNOTSUPP or ESTALE",
} as const;

export const nameToHandleAt: Syscall = syscall(
  "name_to_handle_at",
  [fd, path, pointer, pointer, hex],
  function*(task, at, name, handle, mountId, flags) {
    if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | AT_HANDLE_FID)) !== 0) throw EINVAL;
    const follow = (flags & AT_SYMLINK_FOLLOW) !== 0 ? 0 : AT_SYMLINK_NOFOLLOW;
    yield* findAt(task, at, name, (flags & AT_EMPTY_PATH) | follow);
    throw EOPNOTSUPP;
  },
  support,
);

export const openByHandleAt: Syscall = syscall("open_by_handle_at", [fd, pointer, hex], (task) => {
  if (!hasCapability(task.cred, CAP_DAC_READ_SEARCH)) throw EPERM;
  throw ESTALE;
}, support);

export const handleSyscalls: readonly Syscall[] = [nameToHandleAt, openByHandleAt];
