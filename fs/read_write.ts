// SPDX-License-Identifier: Apache-2.0
// read(2), write(2), their positioned and vectored forms, and lseek(2).
//
// A call whose window is present and whose file answers at once makes no generator. Reads of files with a position
// go on until the count is reached; reads of streams return what the first attempt moved. Blocking writes go on until
// all is written; what was moved before an error or a signal is the result.
// Sources: read(2), write(2), readv(2), pread(2), lseek(2).

import { type File, POLLIN, POLLOUT } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  bufferIn,
  bufferOut,
  fd,
  int,
  long,
  openFile,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps, type Try, type WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  MAX_RW_COUNT,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOAPPEND,
  RWF_NOWAIT,
  RWF_SYNC,
} from "../include/uapi/fs.ts";
import { O_APPEND } from "../include/uapi/fcntl.ts";
import { IN_ACCESS, IN_MODIFY } from "../include/uapi/inotify.ts";
import { SIGXFSZ } from "../include/uapi/signal.ts";
import { isRegular, S_IALLUGO } from "../include/uapi/stat.ts";
import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EISDIR, EOPNOTSUPP, ESPIPE } from "../lib/errno.ts";
import { waitUntil } from "../kernel/wait.ts";
import { kernelSignal, sendToTask } from "../kernel/signal.ts";
import { announceFile } from "./fsnotify.ts";
import { DirectoryFile } from "./libfs.ts";
import { CAP_FSETID, hasCapability, withoutSetIdBits } from "./permission.ts";
import {
  lengthOf,
  readSegments,
  type Segment,
  tryReadSegments,
  userOf,
  WINDOW_BYTES,
  windowOf,
} from "./uio.ts";
import { vfsOf } from "./vfs.ts";
import { pageOffset } from "../virt/layout.ts";

type Direction = "read" | "write";
const ACCESS_READ = 0;
const ACCESS_WRITE = 1;
const USER_ADDRESS_END = 0x7fff_ffff_f000;
const RLIMIT_FSIZE = 1;

function checkReadable(file: File): void {
  if (!file.isReadable) throw EBADF;
}
function checkWritable(file: File): void {
  if (!file.isWritable) throw EBADF;
}

/** One buffer: read(2) and write(2). */
function transfer(
  task: Task,
  file: File,
  address: number,
  count: number,
  position: number | undefined,
  direction: Direction,
): SyscallAnswer {
  if (count === 0) {
    if (file instanceof DirectoryFile) throw EISDIR;
    return 0;
  }
  if (address + count > USER_ADDRESS_END) throw EFAULT;
  const length = count > MAX_RW_COUNT ? MAX_RW_COUNT : count;
  return transferSegments(task, file, [{ address, length }], length, position, direction);
}

/** The whole of a transfer of `length` bytes when it fits a window and nothing has to be waited for. */
function transferSegments(
  task: Task,
  file: File,
  segments: readonly Segment[],
  length: number,
  position: number | undefined,
  direction: Direction,
): SyscallAnswer {
  if (length > WINDOW_BYTES || (direction === "write" && needsCare(task, file))) {
    return transferSlowly(task, file, segments, position, direction);
  }
  const user = userOf(task);
  const access = direction === "read" ? ACCESS_WRITE : ACCESS_READ;
  for (const segment of segments) {
    if (!user.tryPrepare(segment.address, segment.length, access)) {
      return transferSlowly(task, file, segments, position, direction);
    }
  }
  const iter = user.iter(segments);
  const answer = direction === "read" ? file.read(iter, position) : file.write(iter, position);
  if (typeof answer === "number") {
    if (direction === "write" && answer < length && !file.isNonBlocking) {
      return transferSlowly(task, file, segments, position, direction, answer);
    }
    announceTransfer(task, file, direction, answer);
    return answer;
  }
  if (answer === WOULD_BLOCK) {
    if (file.isNonBlocking || file.waitQueue === undefined) throw EAGAIN;
    return transferWaiting(task, file, file.waitQueue, segments, position, direction);
  }
  return answer;
}

/** One prepared window of a file that has nothing to read yet, or no room: what most sleeps of streams are. */
function* transferWaiting(
  task: Task,
  file: File,
  queue: WaitQueue,
  segments: readonly Segment[],
  position: number | undefined,
  direction: Direction,
): Sleeps<number> {
  const attempt = attemptOn(task, file, segments, position, direction);
  const answer = yield* waitUntil(task, queue, direction === "read" ? POLLIN : POLLOUT, attempt);
  if (answer === NOT_PRESENT) return yield* transferSlowly(task, file, segments, position, direction);
  const moved = typeof answer === "number" ? answer : yield* answer;
  if (direction === "write" && moved < lengthOf(segments)) {
    return yield* transferSlowly(task, file, segments, position, direction, moved);
  }
  announceTransfer(task, file, direction, moved);
  return moved;
}

/** Things to do before a write that need the slow way: set-ID bits to take off, a file-size limit. */
function needsCare(task: Task, file: File): boolean {
  const inode = file.inode;
  if (inode === undefined || !isRegular(inode.mode)) return false;
  return (inode.mode & 0o6000) !== 0 || (task.group.rlimits[RLIMIT_FSIZE]?.soft ?? Infinity) !== Infinity;
}

function announceTransfer(task: Task, file: File, direction: Direction, count: number): void {
  const vfs = vfsOf(task);
  if (vfs.watchCount > 0 && count > 0) announceFile(vfs, file, direction === "read" ? IN_ACCESS : IN_MODIFY);
}

/** Any number of buffers, window by window. `doneBefore` bytes are moved already. */
export function* transferSlowly(
  task: Task,
  file: File,
  segments: readonly Segment[],
  position: number | undefined,
  direction: Direction,
  doneBefore: number = 0,
  flags: number = 0,
): Sleeps<number> {
  const total = direction === "write"
    ? yield* prepareWrite(task, file, segments, position)
    : lengthOf(segments);
  let done = doneBefore;
  while (done < total) {
    let moved: number;
    let windowLength: number;
    try {
      const window = yield* prepareWindow(task, windowOf(segments, done), direction, total - done);
      windowLength = lengthOf(window);
      const at = position === undefined ? undefined : position + done;
      moved = yield* transferWindow(task, file, window, at, direction, flags, done > 0);
    } catch (error) {
      if (done > 0) break;
      throw error;
    }
    if (moved <= 0) break;
    done += moved;
    if (direction === "read" && (moved < windowLength || !file.isSeekable)) break;
    if (direction === "write" && moved < windowLength && file.isNonBlocking) break;
  }
  announceTransfer(task, file, direction, done);
  return done;
}

/** Takes set-ID bits off and applies RLIMIT_FSIZE; returns how many bytes may be written. */
function* prepareWrite(
  task: Task,
  file: File,
  segments: readonly Segment[],
  position: number | undefined,
): Sleeps<number> {
  const total = lengthOf(segments);
  const inode = file.inode;
  if (inode === undefined || !isRegular(inode.mode)) return total;
  if ((inode.mode & 0o6000) !== 0 && !hasCapability(task.cred, CAP_FSETID)) {
    const answer = inode.setAttributes({ mode: withoutSetIdBits(inode.mode) & S_IALLUGO });
    if (isSleeping(answer)) yield* answer;
  }
  const limit = task.group.rlimits[RLIMIT_FSIZE]?.soft ?? Infinity;
  if (limit === Infinity) return total;
  const start = (file.flags & O_APPEND) !== 0 ? inode.size : position ?? file.pos;
  if (start >= limit) {
    sendToTask(task, kernelSignal(SIGXFSZ));
    throw EFBIG;
  }
  return Math.min(total, limit - start);
}

/** Makes the window present; when its end is not there, what comes before. Throws EFAULT when nothing is. */
function* prepareWindow(
  task: Task,
  window: readonly Segment[],
  direction: Direction,
  lengthMax: number,
): Sleeps<Segment[]> {
  const user = userOf(task);
  const access = direction === "read" ? ACCESS_WRITE : ACCESS_READ;
  const prepared: Segment[] = [];
  let room = lengthMax;
  for (const segment of window) {
    const length = Math.min(segment.length, room);
    if (length === 0) break;
    try {
      if (!user.tryPrepare(segment.address, length, access)) {
        yield* user.prepare(segment.address, length, access);
      }
      prepared.push({ address: segment.address, length });
    } catch (error) {
      if (error !== EFAULT) throw error;
      const good = yield* presentPrefix(task, segment.address, length, access);
      if (good > 0) prepared.push({ address: segment.address, length: good });
      if (prepared.length === 0) throw EFAULT;
      break;
    }
    room -= length;
  }
  return prepared;
}

function* presentPrefix(task: Task, address: number, length: number, access: 0 | 1): Sleeps<number> {
  const user = userOf(task);
  let good = 0;
  try {
    while (good < length) {
      const step = Math.min(4096 - pageOffset(address + good), length - good);
      yield* user.prepare(address + good, step, access);
      good += step;
    }
  } catch (error) {
    if (error !== EFAULT) throw error;
  }
  return good;
}

const NOT_PRESENT = -1;

/** The file's own read or write of a window, as often as it is asked: NOT_PRESENT when a page is not there any more. */
function attemptOn(
  task: Task,
  file: File,
  window: readonly Segment[],
  position: number | undefined,
  direction: Direction,
): () => Try<number | Sleeps<number>> {
  const user = userOf(task);
  const access = direction === "read" ? ACCESS_WRITE : ACCESS_READ;
  return () => {
    for (const { address, length } of window) {
      if (!user.tryPrepare(address, length, access)) return NOT_PRESENT;
    }
    const iter = user.iter(window);
    return direction === "read" ? file.read(iter, position) : file.write(iter, position);
  };
}

/** One call of the file's own read or write, waiting for readiness when the file blocks. */
function* transferWindow(
  task: Task,
  file: File,
  window: readonly Segment[],
  position: number | undefined,
  direction: Direction,
  flags: number,
  hasMoved: boolean,
): Sleeps<number> {
  const attempt = attemptOn(task, file, window, position, direction);
  for (;;) {
    const first = attempt();
    let answer: number | Sleeps<number>;
    if (first === WOULD_BLOCK) {
      const queue = file.waitQueue;
      if (file.isNonBlocking || queue === undefined || (flags & RWF_NOWAIT) !== 0) throw EAGAIN;
      if (hasMoved && direction === "read") return 0;
      answer = yield* waitUntil(task, queue, direction === "read" ? POLLIN : POLLOUT, attempt);
    } else {
      answer = first;
    }
    if (isSleeping<number>(answer)) {
      if ((flags & RWF_NOWAIT) !== 0) throw EAGAIN;
      return yield* answer;
    }
    if (answer !== NOT_PRESENT) return answer;
    yield* prepareWindow(task, window, direction, lengthOf(window)); // It was taken away while we slept.
  }
}

function positionOf(file: File, offset: number): number {
  if (offset < 0) throw EINVAL;
  if (!file.isSeekable) throw ESPIPE;
  return offset;
}

export const read: Syscall = syscall("read", [openFile, bufferOut, size], (task, file, address, count) => {
  checkReadable(file);
  return transfer(task, file, address, count, undefined, "read");
});

export const write: Syscall = syscall("write", [openFile, bufferIn, size], (task, file, address, count) => {
  checkWritable(file);
  return transfer(task, file, address, count, undefined, "write");
});

export const pread64: Syscall = syscall(
  "pread64",
  [openFile, bufferOut, size, long],
  (task, file, address, count, offset) => {
    const position = positionOf(file, offset);
    checkReadable(file);
    return transfer(task, file, address, count, position, "read");
  },
);

export const pwrite64: Syscall = syscall(
  "pwrite64",
  [openFile, bufferIn, size, long],
  (task, file, address, count, offset) => {
    const position = positionOf(file, offset);
    checkWritable(file);
    return transfer(task, file, address, count, position, "write");
  },
);

function vectored(
  task: Task,
  file: File,
  vector: number,
  count: number,
  position: number | undefined,
  direction: Direction,
): SyscallAnswer {
  if (direction === "read") checkReadable(file);
  else checkWritable(file);
  const segments = tryReadSegments(task, vector, count);
  if (segments === undefined) return vectoredSlowly(task, file, vector, count, position, direction);
  return segments.length === 0
    ? 0
    : transferSegments(task, file, segments, lengthOf(segments), position, direction);
}

function* vectoredSlowly(
  task: Task,
  file: File,
  vector: number,
  count: number,
  position: number | undefined,
  direction: Direction,
  flags: number = 0,
): Sleeps<number> {
  if (direction === "read") checkReadable(file);
  else checkWritable(file);
  const segments = yield* readSegments(task, vector, count);
  if (segments.length === 0) return 0;
  return yield* transferSlowly(task, file, segments, position, direction, 0, flags);
}

export const readv: Syscall = syscall(
  "readv",
  [openFile, pointer, int],
  (task, file, vector, count) => vectored(task, file, vector, count, undefined, "read"),
);
export const writev: Syscall = syscall(
  "writev",
  [openFile, pointer, int],
  (task, file, vector, count) => vectored(task, file, vector, count, undefined, "write"),
);
export const preadv: Syscall = syscall(
  "preadv",
  [openFile, pointer, int, long],
  (task, file, vector, count, offset) =>
    vectored(task, file, vector, count, positionOf(file, offset), "read"),
);
export const pwritev: Syscall = syscall(
  "pwritev",
  [openFile, pointer, int, long],
  (task, file, vector, count, offset) =>
    vectored(task, file, vector, count, positionOf(file, offset), "write"),
);

const RWF_SUPPORTED = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND;

function* vectored2(
  task: Task,
  file: File,
  vector: number,
  count: number,
  offset: number,
  flags: number,
  direction: Direction,
): Sleeps<number> {
  if ((flags & ~RWF_SUPPORTED) !== 0) throw EOPNOTSUPP;
  if (direction === "read" && (flags & (RWF_APPEND | RWF_NOAPPEND)) !== 0) throw EOPNOTSUPP;
  let position = offset === -1 ? undefined : positionOf(file, offset);
  if ((flags & RWF_APPEND) !== 0) position = file.inode?.size ?? position;
  const done = yield* vectoredSlowly(task, file, vector, count, position, direction, flags);
  if (direction === "write" && (flags & (RWF_DSYNC | RWF_SYNC)) !== 0 && done > 0) {
    const answer = file.fsync((flags & RWF_SYNC) === 0);
    if (isSleeping(answer)) yield* answer;
  }
  return done;
}

export const preadv2: Syscall = syscall(
  "preadv2",
  [openFile, pointer, int, long, int, int],
  (task, file, vector, count, offset, high, flags) =>
    vectored2(task, file, vector, count, offset, flags, "read"),
);
export const pwritev2: Syscall = syscall(
  "pwritev2",
  [openFile, pointer, int, long, int, int],
  (task, file, vector, count, offset, high, flags) =>
    vectored2(task, file, vector, count, offset, flags, "write"),
  { level: "partial", missing: "RWF_NOAPPEND on files opened with O_APPEND" },
);

export const lseek: Syscall = syscall("lseek", [fd, long, int], (task, descriptor, offset, whence) => {
  const file = task.files.get(descriptor);
  if (whence < 0 || whence > 4) throw EINVAL;
  return file.seek(offset, whence);
});

export const readWriteSyscalls: readonly Syscall[] = [
  read,
  write,
  pread64,
  pwrite64,
  readv,
  writev,
  preadv,
  pwritev,
  preadv2,
  pwritev2,
  lseek,
];
