// SPDX-License-Identifier: Apache-2.0
// ioctl(2): the commands that every file has; the rest is the file's own. Source: ioctl(2), ioctl_list(2).

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { fd, hex, pointer, type Syscall, syscall, type SyscallAnswer } from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { O_ASYNC, O_NONBLOCK } from "../include/uapi/fcntl.ts";
import {
  FIBMAP,
  FIGETBSZ,
  FIOASYNC,
  FIOCLEX,
  FIONBIO,
  FIONCLEX,
  FIONREAD,
  FIOQSIZE,
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
} from "../include/uapi/fs.ts";
import { isDirectory, isRegular, isSymlink } from "../include/uapi/stat.ts";
import { EBADF, EINVAL, ENOTTY, EOPNOTSUPP } from "../lib/errno.ts";
import { PathFile } from "./open.ts";
import { userOf, writeU64 } from "./uio.ts";

function* setFlag(task: Task, file: File, flag: number, address: number): Sleeps<number> {
  const value = yield* userOf(task).readU32(address);
  file.setStatusFlags(value !== 0 ? file.flags | flag : file.flags & ~flag);
  return 0;
}

function* answerWord(task: Task, address: number, value: number): Sleeps<number> {
  yield* userOf(task).writeU32(address, value);
  return 0;
}

function* answerLong(task: Task, address: number, value: number): Sleeps<number> {
  const bytes = new Uint8Array(8);
  writeU64(new DataView(bytes.buffer), 0, value);
  yield* userOf(task).copyOut(address, bytes);
  return 0;
}

function control(task: Task, descriptor: number, command: number, argument: number): SyscallAnswer {
  const file = task.files.get(descriptor);
  if (file instanceof PathFile) throw EBADF;
  switch (command) {
    case FIOCLEX:
      task.files.setCloseOnExec(descriptor, true);
      return 0;
    case FIONCLEX:
      task.files.setCloseOnExec(descriptor, false);
      return 0;
    case FIONBIO:
      return setFlag(task, file, O_NONBLOCK, argument);
    case FIOASYNC:
      return setFlag(task, file, O_ASYNC, argument);
    default:
      return fileCommand(task, file, command, argument);
  }
}

/** What regular files and directories answer, whatever their file system. */
function fileCommand(task: Task, file: File, command: number, argument: number): SyscallAnswer {
  const inode = file.inode;
  const isFile = inode !== undefined && isRegular(inode.mode);
  const isSized = inode !== undefined && (isFile || isDirectory(inode.mode) || isSymlink(inode.mode));
  if (isFile && command === FIONREAD) {
    return answerWord(task, argument, Math.max(0, inode.size - file.pos) | 0);
  }
  if (isSized && command === FIOQSIZE) return answerLong(task, argument, inode.size);
  if (isSized && command === FIGETBSZ) return answerWord(task, argument, inode.superBlock.blockSize);
  if (isFile && command === FIBMAP) throw EINVAL;
  const isFlags = command === FS_IOC_GETFLAGS || command === FS_IOC_SETFLAGS;
  if (!isSized || !isFlags) return file.ioctl(task, command, argument);
  try {
    return file.ioctl(task, command, argument);
  } catch (error) {
    // chattr(1) and lsattr(1) tell a file system without flags from a file that is no file.
    throw error === ENOTTY ? EOPNOTSUPP : error;
  }
}

export const ioctl: Syscall = syscall("ioctl", [fd, hex, pointer], control);

export const ioctlSyscalls: readonly Syscall[] = [ioctl];
