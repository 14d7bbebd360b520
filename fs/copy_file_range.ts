// SPDX-License-Identifier: Apache-2.0
// copy_file_range(2): from one regular file to another inside the kernel, through a buffer.

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { fd, pointer, size, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps, type Try, WOULD_BLOCK } from "../include/linux/wait.ts";
import { O_APPEND } from "../include/uapi/fcntl.ts";
import { MAX_RW_COUNT } from "../include/uapi/fs.ts";
import { isDirectory, isRegular } from "../include/uapi/stat.ts";
import { EAGAIN, EBADF, EINVAL, EISDIR, EOVERFLOW } from "../lib/errno.ts";
import { KernelIter } from "../lib/uio.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { readS64, userOf, writeU64 } from "./uio.ts";

const CHUNK_BYTES = 64 * 1024;

/** Regular files never answer WOULD_BLOCK. */
function* finish(answer: Try<number> | Sleeps<number>): Sleeps<number> {
  if (answer === WOULD_BLOCK) throw EAGAIN;
  return isSleeping<number>(answer) ? yield* answer : answer;
}

function* copy(
  task: Task,
  from: File,
  start: number,
  to: File,
  target: number,
  length: number,
): Sleeps<number> {
  const { ram } = task.kernel;
  const expected = Math.max(PAGE_SIZE, (from.inode?.size ?? 0) - start);
  const buffer = new Uint8Array(Math.min(length, expected, CHUNK_BYTES));
  let done = 0;
  try {
    while (done < length) {
      const wanted = Math.min(buffer.length, length - done);
      const got = yield* finish(from.read(new KernelIter(ram, buffer, 0, wanted), start + done));
      if (got <= 0) break;
      const put = yield* finish(to.write(new KernelIter(ram, buffer, 0, got), target + done));
      done += put;
      if (put < got) break;
    }
  } catch (error) {
    if (done === 0) throw error;
  }
  return done;
}

function* readOffset(task: Task, address: number): Sleeps<number | undefined> {
  if (address === 0) return undefined;
  const bytes = yield* userOf(task).copyIn(address, 8);
  const offset = readS64(new DataView(bytes.buffer, bytes.byteOffset, 8), 0);
  if (offset < 0) throw EINVAL;
  return offset;
}

function* writeOffset(task: Task, address: number, value: number): Sleeps<void> {
  const bytes = new Uint8Array(8);
  writeU64(new DataView(bytes.buffer), 0, value);
  yield* userOf(task).copyOut(address, bytes);
}

function checkFiles(from: File, to: File): void {
  const source = from.inode;
  const target = to.inode;
  if (source === undefined || target === undefined) throw EINVAL;
  if (isDirectory(source.mode) || isDirectory(target.mode)) throw EISDIR;
  if (!isRegular(source.mode) || !isRegular(target.mode)) throw EINVAL;
  if (!from.isReadable || !to.isWritable || (to.flags & O_APPEND) !== 0) throw EBADF;
}

export const copyFileRange: Syscall = syscall(
  "copy_file_range",
  [fd, pointer, fd, pointer, size, uint],
  function*(task, input, inputOffset, output, outputOffset, count, flags) {
    if (flags !== 0) throw EINVAL;
    const from = task.files.get(input);
    const to = task.files.get(output);
    checkFiles(from, to);
    const fromPosition = yield* readOffset(task, inputOffset);
    const toPosition = yield* readOffset(task, outputOffset);
    const start = fromPosition ?? from.pos;
    const target = toPosition ?? to.pos;
    const length = Math.max(0, Math.min(count, MAX_RW_COUNT, (from.inode?.size ?? 0) - start));
    if (!Number.isSafeInteger(target + length)) throw EOVERFLOW;
    const isOverlapping = start < target + length && target < start + length;
    if (from.inode === to.inode && isOverlapping) throw EINVAL;
    const done = yield* copy(task, from, start, to, target, length);
    if (fromPosition === undefined) from.pos = start + done;
    else yield* writeOffset(task, inputOffset, fromPosition + done);
    if (toPosition === undefined) to.pos = target + done;
    else yield* writeOffset(task, outputOffset, toPosition + done);
    return done;
  },
);

export const copySyscalls: readonly Syscall[] = [copyFileRange];
