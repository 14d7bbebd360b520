// SPDX-License-Identifier: Apache-2.0
// Moving bytes between files inside the kernel: splice(2), tee(2), vmsplice(2), sendfile(2).
//
// Between pipes frames move by reference; between a pipe and another file their bytes are copied once, from or to the
// pipe's frames. Source: the manual pages.

import { type File, POLLIN, POLLOUT } from "../include/linux/fs.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import { flagsOf, int, openFile, pointer, size, type Syscall, syscall } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps, type Try, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  O_APPEND,
  SPLICE_F_GIFT,
  SPLICE_F_MORE,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
} from "../include/uapi/fcntl.ts";
import { MAX_RW_COUNT } from "../include/uapi/fs.ts";
import { S_IFDIR, S_IFMT } from "../include/uapi/stat.ts";
import { EAGAIN, EBADF, EINVAL, EISDIR, ESPIPE } from "../lib/errno.ts";
import { waitUntil } from "../kernel/wait.ts";
import { brokenPipe, type Pipe, pipeOf, READ_EVENTS, WRITE_EVENTS } from "./pipe.ts";
import { transferSlowly } from "./read_write.ts";
import { readS64, readSegments, userOf } from "./uio.ts";

const PAGE = 4096;
const FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
const FLAG_NAMES = { SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT };
/** sendfile(2) copies through a buffer of this size. */
const SENDFILE_BYTES = 65536;

/** An iterator over a run of guest RAM at a host address. */
class RamIter implements IovIter {
  readonly #kernel: Kernel;
  readonly #end: number;
  #at: number;

  constructor(kernel: Kernel, address: number, length: number) {
    this.#kernel = kernel;
    this.#at = address;
    this.#end = address + length;
  }
  get remaining(): number {
    return this.#end - this.#at;
  }
  copyOut(source: Uint8Array, offset: number, length: number): void {
    this.#kernel.ram.u8.set(source.subarray(offset, offset + length), this.#at);
    this.#at += length;
  }
  copyOutRam(address: number, length: number): void {
    this.#kernel.ram.u8.copyWithin(this.#at, address, address + length);
    this.#at += length;
  }
  zero(length: number): void {
    this.#kernel.ram.u8.fill(0, this.#at, this.#at + length);
    this.#at += length;
  }
  copyIn(target: Uint8Array, offset: number, length: number): void {
    target.set(this.#kernel.ram.u8.subarray(this.#at, this.#at + length), offset);
    this.#at += length;
  }
  copyInRam(address: number, length: number): void {
    this.#kernel.ram.u8.copyWithin(address, this.#at, this.#at + length);
    this.#at += length;
  }
  revert(length: number): void {
    this.#at -= length;
  }
}

/** One read or write of a file, waiting for it to be ready unless it must not. */
function* move(
  task: Task,
  file: File,
  direction: "read" | "write",
  iter: IovIter,
  position: number | undefined,
  isNonBlocking: boolean,
): Sleeps<number> {
  const attempt = (): Try<number | Sleeps<number>> =>
    direction === "read" ? file.read(iter, position) : file.write(iter, position);
  let answer = attempt();
  if (answer === WOULD_BLOCK) {
    const queue = file.waitQueue;
    if (isNonBlocking || file.isNonBlocking || queue === undefined) throw EAGAIN;
    answer = yield* waitUntil(task, queue, direction === "read" ? POLLIN : POLLOUT, attempt);
  }
  return isSleeping<number>(answer) ? yield* answer : answer;
}

/** Waits until there is something to take; 0 at the end of file. */
function* waitForInput(task: Task, file: File, pipe: Pipe, isNonBlocking: boolean): Sleeps<boolean> {
  const attempt = (): Try<boolean> => !pipe.isEmpty ? true : pipe.writers === 0 ? false : WOULD_BLOCK;
  const answer = attempt();
  if (answer !== WOULD_BLOCK) return answer;
  if (isNonBlocking || file.isNonBlocking) throw EAGAIN;
  return yield* waitUntil(task, pipe.queue, READ_EVENTS, attempt);
}

function* waitForRoom(task: Task, file: File, pipe: Pipe, isNonBlocking: boolean): Sleeps<void> {
  const attempt = (): Try<true> => {
    if (pipe.readers === 0) throw brokenPipe(task.kernel);
    return pipe.isFull ? WOULD_BLOCK : true;
  };
  if (attempt() !== WOULD_BLOCK) return;
  if (isNonBlocking || file.isNonBlocking) throw EAGAIN;
  yield* waitUntil(task, pipe.queue, WRITE_EVENTS, attempt);
}

interface Transfer {
  readonly task: Task;
  readonly from: File;
  readonly to: File;
  readonly length: number;
  readonly isNonBlocking: boolean;
}

/** Both ends are pipes: frames move; `keeps` leaves them in the source (tee). */
function* betweenPipes(transfer: Transfer, source: Pipe, target: Pipe, keeps: boolean): Sleeps<number> {
  const { task, from, to, length, isNonBlocking } = transfer;
  if (source === target) throw EINVAL;
  if (!(yield* waitForInput(task, from, source, isNonBlocking))) return 0;
  yield* waitForRoom(task, to, target, isNonBlocking);
  let done = 0;
  for (let index = 0; done < length && !target.isFull; index++) {
    const slot = source.slot(keeps ? index : 0);
    if (slot === undefined) break;
    const count = Math.min(slot.length, length - done);
    task.kernel.frames.get(slot.frame);
    target.pushFrame(slot.frame, slot.offset, count);
    if (!keeps) source.consume(count);
    done += count;
  }
  return done;
}

function* fromPipe(transfer: Transfer, pipe: Pipe, start: number | undefined): Sleeps<number> {
  const { task, from, to, length, isNonBlocking } = transfer;
  if ((to.flags & O_APPEND) !== 0) throw EINVAL;
  if (!(yield* waitForInput(task, from, pipe, isNonBlocking))) return 0;
  let done = 0;
  try {
    while (done < length) {
      const slot = pipe.slot(0);
      if (slot === undefined) break;
      const count = Math.min(slot.length, length - done);
      const iter = new RamIter(task.kernel, slot.frame + slot.offset, count);
      const moved = yield* move(
        task,
        to,
        "write",
        iter,
        start === undefined ? undefined : start + done,
        isNonBlocking,
      );
      pipe.consume(moved);
      done += moved;
      if (moved < count) break;
    }
  } catch (error) {
    if (done === 0) throw error;
  }
  return done;
}

function* toPipe(transfer: Transfer, pipe: Pipe, start: number | undefined): Sleeps<number> {
  const { task, from, to, length, isNonBlocking } = transfer;
  const { frames } = task.kernel;
  yield* waitForRoom(task, to, pipe, isNonBlocking);
  let done = 0;
  while (done < length && !pipe.isFull) {
    const frame = frames.allocDirty();
    let count = 0;
    try {
      const iter = new RamIter(task.kernel, frame, Math.min(PAGE, length - done));
      count = yield* move(
        task,
        from,
        "read",
        iter,
        start === undefined ? undefined : start + done,
        isNonBlocking || done > 0,
      );
    } catch (error) {
      if (done === 0 || error !== EAGAIN) {
        frames.put(frame);
        throw error;
      }
    }
    if (count === 0) {
      frames.put(frame);
      break;
    }
    pipe.pushFrame(frame, 0, count);
    done += count;
    if (!from.isSeekable) break;
  }
  return done;
}

function checkEnds(from: File, to: File): void {
  if (!from.isReadable || !to.isWritable) throw EBADF;
}

/** The offset at a user address, or undefined. Throws ESPIPE for a file without positions. */
function* readOffset(task: Task, file: File, address: number): Sleeps<number | undefined> {
  if (address === 0) return undefined;
  if (pipeOf(file) !== undefined || !file.isSeekable) throw ESPIPE;
  const bytes = yield* userOf(task).copyIn(address, 8);
  const offset = readS64(new DataView(bytes.buffer, bytes.byteOffset, 8), 0);
  if (offset < 0) throw EINVAL;
  return offset;
}

function* splice(
  task: Task,
  from: File,
  fromOffset: number,
  to: File,
  toOffset: number,
  wanted: number,
  flags: number,
): Sleeps<number> {
  if (wanted === 0) return 0;
  if ((flags & ~FLAGS) !== 0) throw EINVAL;
  checkEnds(from, to);
  const length = Math.min(wanted, MAX_RW_COUNT);
  const transfer: Transfer = { task, from, to, length, isNonBlocking: (flags & SPLICE_F_NONBLOCK) !== 0 };
  const source = pipeOf(from);
  const target = pipeOf(to);
  const start = yield* readOffset(task, from, fromOffset);
  const end = yield* readOffset(task, to, toOffset);
  if (source !== undefined && target !== undefined) {
    return yield* betweenPipes(transfer, source, target, false);
  }
  if (source === undefined && target === undefined) throw EINVAL;
  const done = source !== undefined
    ? yield* fromPipe(transfer, source, end)
    : yield* toPipe(transfer, target!, start);
  const user = userOf(task);
  if (start !== undefined) yield* user.writeU64(fromOffset, start + done);
  if (end !== undefined) yield* user.writeU64(toOffset, end + done);
  return done;
}

function* tee(task: Task, from: File, to: File, length: number, flags: number): Sleeps<number> {
  if ((flags & ~FLAGS) !== 0) throw EINVAL;
  if (length === 0) return 0;
  checkEnds(from, to);
  const source = pipeOf(from);
  const target = pipeOf(to);
  if (source === undefined || target === undefined) throw EINVAL;
  const isNonBlocking = (flags & SPLICE_F_NONBLOCK) !== 0;
  return yield* betweenPipes({ task, from, to, length, isNonBlocking }, source, target, true);
}

function* vmsplice(task: Task, file: File, vector: number, count: number, flags: number): Sleeps<number> {
  if ((flags & ~FLAGS) !== 0) throw EINVAL;
  if (pipeOf(file) === undefined) throw EBADF;
  const segments = yield* readSegments(task, vector, count);
  if (segments.length === 0) return 0;
  return yield* transferSlowly(task, file, segments, undefined, file.isWritable ? "write" : "read");
}

function* sendfile(task: Task, to: File, from: File, offsetAddress: number, wanted: number): Sleeps<number> {
  checkEnds(from, to);
  if (((from.inode?.mode ?? 0) & S_IFMT) === S_IFDIR) throw EISDIR;
  if ((to.flags & O_APPEND) !== 0) throw EINVAL;
  const start = yield* readOffset(task, from, offsetAddress);
  if (!from.isSeekable && pipeOf(from) === undefined) throw EINVAL;
  const length = Math.min(wanted, MAX_RW_COUNT);
  const { frames } = task.kernel;
  const order = Math.log2(SENDFILE_BYTES / PAGE);
  const buffer = frames.allocOrder(order);
  let done = 0;
  try {
    while (done < length) {
      const ask = Math.min(SENDFILE_BYTES, length - done);
      const before = from.pos;
      const reader = new RamIter(task.kernel, buffer, ask);
      const count = yield* move(
        task,
        from,
        "read",
        reader,
        start === undefined ? undefined : start + done,
        false,
      );
      if (count === 0) break;
      let written = 0;
      try {
        while (written < count) {
          const part = yield* move(
            task,
            to,
            "write",
            new RamIter(task.kernel, buffer + written, count - written),
            undefined,
            false,
          );
          if (part === 0) break;
          written += part;
        }
      } finally {
        done += written;
        if (written < count && start === undefined && from.isSeekable) from.pos = before + written;
      }
      if (written < count) break;
    }
  } catch (error) {
    if (done === 0) throw error;
  } finally {
    for (let index = 0; index < SENDFILE_BYTES / PAGE; index++) frames.put(buffer + index * PAGE);
  }
  if (start !== undefined) yield* userOf(task).writeU64(offsetAddress, start + done);
  return done;
}

export const spliceSyscalls: readonly Syscall[] = [
  syscall("splice", [openFile, pointer, openFile, pointer, size, flagsOf(FLAG_NAMES)], splice),
  syscall("tee", [openFile, openFile, size, flagsOf(FLAG_NAMES)], tee),
  syscall("vmsplice", [openFile, pointer, int, flagsOf(FLAG_NAMES)], vmsplice),
  syscall("sendfile", [openFile, openFile, pointer, size], sendfile),
];
