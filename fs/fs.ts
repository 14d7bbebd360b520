// SPDX-License-Identifier: Apache-2.0
// The door of fs core: the VFS of a kernel and the system calls on files.

import type { File, Path } from "../include/linux/fs.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { attributeSyscalls } from "./attr.ts";
import { chdirSyscalls } from "./chdir.ts";
import { copySyscalls } from "./copy_file_range.ts";
import { fcntlSyscalls } from "./fcntl.ts";
import { handleSyscalls } from "./fhandle.ts";
import { inotifySyscalls } from "./inotify.ts";
import { ioctlSyscalls } from "./ioctl.ts";
import { mountSyscalls } from "./mount.ts";
import { nameSyscalls } from "./namei.ts";
import { openPath } from "./open.ts";
import { openSyscalls } from "./open-syscalls.ts";
import { readdirSyscalls } from "./readdir.ts";
import { readWriteSyscalls } from "./read_write.ts";
import { renameSyscalls } from "./rename.ts";
import { statSyscalls } from "./stat.ts";
import { syncSyscalls } from "./sync.ts";
import { VfsImpl } from "./vfs.ts";
import { xattrSyscalls } from "./xattr.ts";

class KernelVfs extends VfsImpl {
  override open(task: Task, path: string, flags: number, mode: number, at?: Path): Sleeps<File> {
    return openPath(this, task, path, flags, mode, at, 0);
  }
}

export function createVfs(kernel: Kernel): VfsImpl {
  return new KernelVfs(kernel);
}

export { type VfsImpl, vfsOf } from "./vfs.ts";
export { FilesStructImpl } from "./file.ts";
export { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";

export const fsSyscalls: readonly Syscall[] = [
  ...openSyscalls,
  ...readWriteSyscalls,
  ...statSyscalls,
  ...readdirSyscalls,
  ...nameSyscalls,
  ...renameSyscalls,
  ...chdirSyscalls,
  ...attributeSyscalls,
  ...mountSyscalls,
  ...fcntlSyscalls,
  ...ioctlSyscalls,
  ...syncSyscalls,
  ...copySyscalls,
  ...inotifySyscalls,
  ...handleSyscalls,
  ...xattrSyscalls,
];
