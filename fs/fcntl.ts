// SPDX-License-Identifier: Apache-2.0
// fcntl(2) and flock(2).
//
// Sources: fcntl(2), fcntl_locking(2), flock(2), memfd_create(2).

import type { File, Inode } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  fd,
  flagsOf,
  pointer,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { type Sleeps, WOULD_BLOCK } from "../include/linux/wait.ts";
import * as uapi from "../include/uapi/fcntl.ts";
import { isRegular } from "../include/uapi/stat.ts";
import { EAGAIN, EBADF, EINVAL, ENOLCK, EOVERFLOW, EPERM, ESRCH } from "../lib/errno.ts";
import { descriptorLimit } from "./file.ts";
import {
  findConflict,
  flockAttempt,
  flockWait,
  type LockOwner,
  type RangeLock,
  setRangeLock,
  waitRangeLock,
} from "./locks.ts";
import { PathFile } from "./open.ts";
import { isOwnerOrCapable } from "./permission.ts";
import { getPipeSize, setPipeSize } from "./pipe.ts";
import { readS64, userOf, writeU64 } from "./uio.ts";

/** Status flags that F_SETFL changes. */
const SETFL_MASK = uapi.O_APPEND | uapi.O_NONBLOCK | uapi.O_ASYNC | uapi.O_DIRECT | uapi.O_NOATIME;
const FLOCK_BYTES = 32;

/** Files whose contents can be sealed (memfd), or that say that theirs cannot. */
interface Sealable {
  readonly seals: number;
  addSeals(seals: number): void;
}
function sealable(file: File): File & Sealable {
  if (isSealable(file)) return file;
  throw EINVAL;
}
function isSealable(file: File): file is File & Sealable {
  return "seals" in file && "addSeals" in file;
}

function duplicate(task: Task, file: File, from: number, closeOnExec: boolean): number {
  if (from < 0 || from >= descriptorLimit(task)) throw EINVAL;
  const copy = file.get();
  try {
    return task.files.install(task, copy, closeOnExec, from);
  } catch (error) {
    copy.put();
    throw error;
  }
}

function setStatusFlags(task: Task, file: File, flags: number): number {
  const inode = file.inode;
  if ((flags & uapi.O_NOATIME) !== 0 && (file.flags & uapi.O_NOATIME) === 0) {
    if (inode !== undefined && !isOwnerOrCapable(inode, task.cred)) throw EPERM;
  }
  file.setStatusFlags((file.flags & ~SETFL_MASK) | (flags & SETFL_MASK));
  return 0;
}

/** struct flock of x86-64: short type, whence; off_t start, length; pid. */
function decodeLock(
  bytes: Uint8Array,
  file: File,
  owner: LockOwner,
  pid: number,
): RangeLock & { length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whence = view.getInt16(2, true);
  if (whence < 0 || whence > 2) throw EINVAL;
  const base = whence === 0 ? 0 : whence === 1 ? file.pos : file.inode?.size ?? 0;
  const length = readS64(view, 16);
  let start = base + readS64(view, 8);
  let end = length === 0 ? Infinity : start + length;
  if (length < 0) [start, end] = [end, start];
  if (start < 0) throw EINVAL;
  if (end !== Infinity && end > 2 ** 63) throw EOVERFLOW;
  return { owner, pid, type: view.getInt16(0, true), start, end, length };
}

function* lockCommand(task: Task, file: File, command: number, address: number): Sleeps<number> {
  const inode = file.inode;
  if (inode === undefined) throw EBADF;
  const isOfd = command >= uapi.F_OFD_GETLK && command <= uapi.F_OFD_SETLKW;
  const bytes = (yield* userOf(task).copyIn(address, FLOCK_BYTES)).slice();
  const view = new DataView(bytes.buffer);
  if (isOfd && view.getInt32(24, true) !== 0) throw EINVAL;
  const lock = decodeLock(bytes, file, isOfd ? file : task.files, isOfd ? -1 : task.tgid);
  if (command === uapi.F_GETLK || command === uapi.F_OFD_GETLK) {
    if (lock.type !== uapi.F_RDLCK && lock.type !== uapi.F_WRLCK) throw EINVAL;
    const conflict = findConflict(inode, lock);
    view.setInt16(0, conflict?.type ?? uapi.F_UNLCK, true);
    if (conflict !== undefined) {
      view.setInt16(2, 0, true);
      writeU64(view, 8, conflict.start);
      writeU64(view, 16, conflict.end === Infinity ? 0 : conflict.end - conflict.start);
      view.setInt32(24, conflict.pid, true);
    }
    yield* userOf(task).copyOut(address, bytes);
    return 0;
  }
  if (lock.type < uapi.F_RDLCK || lock.type > uapi.F_UNLCK) throw EINVAL;
  if (lock.type === uapi.F_RDLCK && !file.isReadable) throw EBADF;
  if (lock.type === uapi.F_WRLCK && !file.isWritable) throw EBADF;
  if (command === uapi.F_SETLK || command === uapi.F_OFD_SETLK) setRangeLock(task, file, inode, lock);
  else yield* waitRangeLock(task, file, inode, lock);
  return 0;
}

function setOwner(task: Task, file: File, type: number, pid: number): number {
  if (pid !== 0) {
    const group = [...task.kernel.tasks.processGroup(pid)];
    if (type === uapi.F_OWNER_PGRP ? group.length === 0 : task.kernel.tasks.find(pid) === undefined) {
      throw ESRCH;
    }
  }
  file.owner = { ...file.owner, type, pid };
  return 0;
}

function* ownerEx(task: Task, file: File, command: number, address: number): Sleeps<number> {
  if (command === uapi.F_SETOWN_EX) {
    const bytes = yield* userOf(task).copyIn(address, 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const type = view.getInt32(0, true);
    if (type < uapi.F_OWNER_TID || type > uapi.F_OWNER_PGRP) throw EINVAL;
    return setOwner(task, file, type, view.getInt32(4, true));
  }
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, file.owner.type, true);
  view.setInt32(4, file.owner.pid, true);
  yield* userOf(task).copyOut(address, bytes);
  return 0;
}

/** What an O_PATH descriptor still answers. */
const PATH_COMMANDS = new Set([
  uapi.F_DUPFD,
  uapi.F_DUPFD_CLOEXEC,
  uapi.F_GETFD,
  uapi.F_SETFD,
  uapi.F_GETFL,
  uapi.F_DUPFD_QUERY,
]);

function control(task: Task, descriptor: number, command: number, argument: number): SyscallAnswer {
  const file = task.files.get(descriptor);
  if (file instanceof PathFile && !PATH_COMMANDS.has(command)) throw EBADF;
  const value = argument | 0;
  switch (command) {
    case uapi.F_DUPFD:
      return duplicate(task, file, value, false);
    case uapi.F_DUPFD_CLOEXEC:
      return duplicate(task, file, value, true);
    case uapi.F_GETFD:
      return task.files.closeOnExec(descriptor) ? uapi.FD_CLOEXEC : 0;
    case uapi.F_SETFD:
      task.files.setCloseOnExec(descriptor, (value & uapi.FD_CLOEXEC) !== 0);
      return 0;
    case uapi.F_GETFL:
      return file.flags | (file.path === undefined || file instanceof PathFile ? 0 : uapi.O_LARGEFILE);
    case uapi.F_SETFL:
      return setStatusFlags(task, file, value);
    case uapi.F_GETLK:
    case uapi.F_SETLK:
    case uapi.F_SETLKW:
    case uapi.F_OFD_GETLK:
    case uapi.F_OFD_SETLK:
    case uapi.F_OFD_SETLKW:
      return lockCommand(task, file, command, argument);
    case uapi.F_SETOWN:
      return setOwner(task, file, value < 0 ? uapi.F_OWNER_PGRP : uapi.F_OWNER_PID, Math.abs(value));
    case uapi.F_GETOWN:
      return file.owner.type === uapi.F_OWNER_PGRP ? -file.owner.pid : file.owner.pid;
    case uapi.F_SETOWN_EX:
    case uapi.F_GETOWN_EX:
      return ownerEx(task, file, command, argument);
    case uapi.F_SETSIG:
      if (value < 0 || value > 64) throw EINVAL;
      file.owner = { ...file.owner, signal: value };
      return 0;
    case uapi.F_GETSIG:
      return file.owner.signal;
    case uapi.F_GETLEASE:
      return uapi.F_UNLCK;
    case uapi.F_SETLEASE:
      if (file.inode === undefined || !isRegular(file.inode.mode)) throw EINVAL;
      if (value === uapi.F_UNLCK) throw EAGAIN; // No lease to give up.
      if (value !== uapi.F_RDLCK && value !== uapi.F_WRLCK) throw EINVAL;
      throw ENOLCK;
    case uapi.F_ADD_SEALS:
      sealable(file).addSeals(value);
      return 0;
    case uapi.F_GET_SEALS:
      return sealable(file).seals;
    case uapi.F_DUPFD_QUERY:
      return task.files.find(value) === file ? 1 : 0;
    case uapi.F_GETPIPE_SZ:
      return pipeSize(getPipeSize(file));
    case uapi.F_SETPIPE_SZ:
      return pipeSize(setPipeSize(task, file, value));
    default:
      throw EINVAL;
  }
}

function pipeSize(size: number | undefined): number {
  if (size === undefined) throw EBADF;
  return size;
}

export const fcntl: Syscall = syscall("fcntl", [fd, flagsOf(uapi.FCNTL_COMMANDS), pointer], control, {
  level: "partial",
  missing: "F_SETLEASE, F_NOTIFY, read/write hints",
});

const { LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN } = uapi;

export const flock: Syscall = syscall(
  "flock",
  [fd, flagsOf({ LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN })],
  (task, descriptor, operation) => {
    const file = task.files.get(descriptor);
    if (file instanceof PathFile) throw EBADF;
    const wanted = operation & ~LOCK_NB;
    const type = wanted === LOCK_SH ? uapi.F_RDLCK : wanted === LOCK_EX ? uapi.F_WRLCK : uapi.F_UNLCK;
    if (wanted !== LOCK_SH && wanted !== LOCK_EX && wanted !== LOCK_UN) throw EINVAL;
    if (file.inode === undefined) throw EBADF;
    if (flockAttempt(task, file, file.inode, type) !== WOULD_BLOCK) return 0;
    if ((operation & LOCK_NB) !== 0) throw EAGAIN;
    return waitForFlock(task, file, file.inode, type);
  },
);

function* waitForFlock(task: Task, file: File, inode: Inode, type: number): Sleeps<number> {
  yield* flockWait(task, file, inode, type);
  return 0;
}

export const fcntlSyscalls: readonly Syscall[] = [fcntl, flock];
