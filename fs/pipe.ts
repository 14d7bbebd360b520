// SPDX-License-Identifier: Apache-2.0
// Pipes and FIFOs: a ring of page slots between readers and writers.
//
// Invariants: slots [#head, #head + #count) hold data, each 1..4096 bytes (or an empty packet never); a slot owns one
// reference to its frame; `bytes` is the sum of the lengths. A write of at most PIPE_BUF bytes needs one slot or the
// free rest of the last one, so it is done whole or not at all. Both ends share one wait queue: events tell them apart.
// Source: pipe(7), pipe(2), fifo(7), fcntl(2) F_SETPIPE_SZ.

import {
  File,
  type Inode,
  type Path,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../include/linux/fs.ts";
import { ACCESS_WRITE } from "../include/linux/cpu.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import { flagsOf, pointer, type Syscall, syscall } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  O_ACCMODE,
  O_CLOEXEC,
  O_DIRECT,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
} from "../include/uapi/fcntl.ts";
import { FIONREAD } from "../include/uapi/ioctls.ts";
import { SIGPIPE } from "../include/uapi/signal.ts";
import { S_IFIFO } from "../include/uapi/stat.ts";
import { EBUSY, EFAULT, EINVAL, ENOTTY, ENXIO, EPERM, EPIPE } from "../lib/errno.ts";
import { sendToTask, userSignal } from "../kernel/signal.ts";
import { waitUntil } from "../kernel/wait.ts";
import { AnonymousInode } from "./anon_inodes.ts";

const PAGE = 4096;
const DEFAULT_SLOTS = 16;
/** /proc/sys/fs/pipe-max-size: what an unprivileged process may ask for. */
const PIPE_MAX_BYTES = 1 << 20;
/** Frames kept for the next write instead of going back to the allocator. */
const SPARE_FRAMES_MAX = DEFAULT_SLOTS;
const CAP_SYS_RESOURCE = 1n << 24n;

export const READ_EVENTS: number = POLLIN | POLLRDNORM;
export const WRITE_EVENTS: number = POLLOUT | POLLWRNORM;
const ALL_EVENTS = READ_EVENTS | WRITE_EVENTS | POLLERR | POLLHUP;

/** What may follow in a slot: another write may be appended; a reader must not read past it. */
const SLOT_MERGEABLE = 1;
const SLOT_PACKET = 2;

export class Pipe {
  readonly queue: WaitQueue = new WaitQueue();
  readonly kernel: Kernel;
  #frames: number[];
  #offsets: number[];
  #lengths: number[];
  #flags: number[];
  readonly #spare: number[] = [];
  #head = 0;
  #count = 0;
  #slots = DEFAULT_SLOTS;
  #bytes = 0;
  readers = 0;
  writers = 0;
  /** Count opens, so that an open that waits sees a partner who came and went. */
  readerOpens = 0;
  writerOpens = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#frames = [];
    this.#offsets = [];
    this.#lengths = [];
    this.#flags = [];
    this.#setArrays(DEFAULT_SLOTS);
  }

  get bytes(): number {
    return this.#bytes;
  }
  get capacity(): number {
    return this.#slots * PAGE;
  }
  get isEmpty(): boolean {
    return this.#count === 0;
  }
  get isFull(): boolean {
    return this.#count >= this.#slots;
  }
  get freeSlots(): number {
    return this.#slots - this.#count;
  }

  read(iter: IovIter): Try<number> {
    const wanted = iter.remaining;
    if (wanted === 0) return 0;
    if (this.#count === 0) return this.writers === 0 ? 0 : WOULD_BLOCK;
    const wasFull = this.isFull;
    let done = 0;
    while (done < wanted && this.#count > 0) {
      const slot = this.#head;
      const length = this.#lengths[slot]!;
      const size = Math.min(length, wanted - done);
      iter.copyOutRam(this.#frames[slot]! + this.#offsets[slot]!, size);
      done += size;
      const isPacket = (this.#flags[slot]! & SLOT_PACKET) !== 0;
      if (size === length || isPacket) this.#dropHead(length);
      else this.#shrinkHead(size);
      if (isPacket) break;
    }
    if (wasFull && !this.isFull) this.queue.wake(WRITE_EVENTS);
    return done;
  }

  /** Precondition: there are readers (PipeFile.write deals with a broken pipe). */
  write(iter: IovIter, isPacketMode: boolean): Try<number> {
    const total = iter.remaining;
    if (total === 0) return 0;
    let done = isPacketMode ? 0 : this.#append(iter, total & (PAGE - 1));
    const flags = isPacketMode ? SLOT_PACKET : SLOT_MERGEABLE;
    while (done < total && this.#count < this.#slots) {
      const size = Math.min(PAGE, total - done);
      const frame = this.#spare.pop() ?? this.kernel.frames.allocDirty();
      iter.copyInRam(frame, size);
      this.#push(frame, 0, size, flags);
      done += size;
    }
    if (done === 0) return WOULD_BLOCK;
    this.queue.wake(READ_EVENTS);
    return done;
  }

  /** Splice and tee: takes `length` bytes at `offset` of a frame; the caller's reference moves here. */
  pushFrame(frame: number, offset: number, length: number): void {
    this.#push(frame, offset, length, 0);
    this.queue.wake(READ_EVENTS);
  }

  /** The `index`th filled slot, for splice and tee. */
  slot(index: number): { frame: number; offset: number; length: number } | undefined {
    if (index >= this.#count) return undefined;
    const slot = (this.#head + index) % this.#slots;
    return { frame: this.#frames[slot]!, offset: this.#offsets[slot]!, length: this.#lengths[slot]! };
  }

  /** Splice consumed the first `length` bytes of the head slot. */
  consume(length: number): void {
    const wasFull = this.isFull;
    if (length === this.#lengths[this.#head]!) this.#dropHead(length);
    else this.#shrinkHead(length);
    if (wasFull && !this.isFull) this.queue.wake(WRITE_EVENTS);
  }

  /** F_SETPIPE_SZ: bytes are rounded up to a power of two of pages. Returns the new capacity. */
  resize(task: Task, bytes: number): number {
    if (bytes < 0 || bytes > 0x8000_0000) throw EINVAL;
    let slots = 1;
    while (slots * PAGE < bytes) slots *= 2;
    if (
      slots * PAGE > PIPE_MAX_BYTES && slots > this.#slots
      && (task.cred.capEffective & CAP_SYS_RESOURCE) === 0n
    ) {
      throw EPERM;
    }
    if (slots < this.#count) throw EBUSY;
    const old = { frames: this.#frames, offsets: this.#offsets, lengths: this.#lengths, flags: this.#flags };
    const [head, count, size] = [this.#head, this.#count, this.#slots];
    this.#setArrays(slots);
    this.#head = this.#count = 0;
    this.#bytes = 0;
    for (let index = 0; index < count; index++) {
      const from = (head + index) % size;
      this.#push(old.frames[from]!, old.offsets[from]!, old.lengths[from]!, old.flags[from]!);
    }
    if (!this.isFull) this.queue.wakeAll(WRITE_EVENTS);
    return slots * PAGE;
  }

  addEnd(isReader: boolean, isWriter: boolean): void {
    if (isReader && (this.readerOpens++, this.readers++ === 0)) this.queue.wakeAll(ALL_EVENTS);
    if (isWriter && (this.writerOpens++, this.writers++ === 0)) this.queue.wakeAll(ALL_EVENTS);
  }

  /** True when that was the last end of all: the pipe is gone. */
  dropEnd(isReader: boolean, isWriter: boolean): boolean {
    if (isReader) this.readers--;
    if (isWriter) this.writers--;
    if (this.readers + this.writers === 0) {
      while (this.#count > 0) this.#dropHead(this.#lengths[this.#head]!);
      for (const frame of this.#spare) this.kernel.frames.put(frame);
      this.#spare.length = 0;
      return true;
    }
    if (this.readers === 0 || this.writers === 0) this.queue.wakeAll(ALL_EVENTS);
    return false;
  }

  /** Appends `size` bytes to the last slot when they fit behind what it holds; else 0. */
  #append(iter: IovIter, size: number): number {
    if (size === 0 || this.#count === 0) return 0;
    const last = (this.#head + this.#count - 1) % this.#slots;
    const end = this.#offsets[last]! + this.#lengths[last]!;
    if ((this.#flags[last]! & SLOT_MERGEABLE) === 0 || end + size > PAGE) return 0;
    iter.copyInRam(this.#frames[last]! + end, size);
    this.#lengths[last] = this.#lengths[last]! + size;
    this.#bytes += size;
    return size;
  }

  #push(frame: number, offset: number, length: number, flags: number): void {
    const slot = (this.#head + this.#count) % this.#slots;
    this.#frames[slot] = frame;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#flags[slot] = flags;
    this.#count++;
    this.#bytes += length;
  }

  #dropHead(length: number): void {
    const frame = this.#frames[this.#head]!;
    const { frames } = this.kernel;
    if (this.#spare.length < SPARE_FRAMES_MAX && frames.references(frame) === 1) this.#spare.push(frame);
    else frames.put(frame);
    this.#head = (this.#head + 1) % this.#slots;
    this.#count--;
    this.#bytes -= length;
  }

  #shrinkHead(size: number): void {
    const head = this.#head;
    this.#offsets[head] = this.#offsets[head]! + size;
    this.#lengths[head] = this.#lengths[head]! - size;
    this.#bytes -= size;
  }

  #setArrays(slots: number): void {
    this.#slots = slots;
    this.#frames = new Array<number>(slots).fill(0);
    this.#offsets = new Array<number>(slots).fill(0);
    this.#lengths = new Array<number>(slots).fill(0);
    this.#flags = new Array<number>(slots).fill(0);
  }
}

/** One end (or, for a FIFO opened O_RDWR, both) of a pipe. */
export class PipeFile extends File {
  readonly pipe: Pipe;
  readonly #inode: Inode;
  /** Value of pipe.writerOpens at a non-blocking open without writer: no hang-up before one has come. */
  #quietUntilWriter = -1;

  constructor(pipe: Pipe, inode: Inode, path: Path | undefined, flags: number) {
    super(path, flags);
    this.pipe = pipe;
    this.#inode = inode;
    pipe.addEnd(this.isReadable, this.isWritable);
  }

  override get inode(): Inode {
    return this.#inode;
  }
  override get anonymousName(): string {
    return `pipe:[${this.#inode.ino}]`;
  }
  override get waitQueue(): WaitQueue {
    return this.pipe.queue;
  }
  override read(iter: IovIter): Try<number> {
    return this.pipe.read(iter);
  }
  override write(iter: IovIter): Try<number> {
    if (this.pipe.readers === 0) throw brokenPipe(this.pipe.kernel);
    return this.pipe.write(iter, (this.flags & O_DIRECT) !== 0);
  }
  override poll(): number {
    const { pipe } = this;
    let events = 0;
    if (this.isReadable) {
      if (!pipe.isEmpty) events |= READ_EVENTS;
      if (pipe.writers === 0 && pipe.writerOpens !== this.#quietUntilWriter) events |= POLLHUP;
    }
    if (this.isWritable) {
      if (!pipe.isFull) events |= WRITE_EVENTS;
      if (pipe.readers === 0) events |= POLLERR;
    }
    return events;
  }
  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    if (command !== FIONREAD) throw ENOTTY;
    return writeInt(task, argument, this.pipe.bytes);
  }
  override release(): void {
    if (this.pipe.dropEnd(this.isReadable, this.isWritable)) this.#inode.attached?.delete(PIPE_KEY);
  }
  /** A FIFO opened for reading without waiting. */
  expectWriter(): void {
    this.#quietUntilWriter = this.pipe.writerOpens;
  }
}

const PIPE_KEY = "pipe";

/** SIGPIPE for the writer; returns the error to throw. */
export function brokenPipe(kernel: Kernel): Error {
  const writer = kernel.tasks.current;
  if (writer !== undefined) sendToTask(writer, userSignal(writer, SIGPIPE));
  return EPIPE;
}

/** Stores a C int for an ioctl: at once when the page is there. */
export function writeInt(task: Task, address: number, value: number): number | Sleeps<number> {
  const { mm } = task;
  if (mm === undefined) throw EFAULT;
  if (mm.user.tryWriteU32(address, value >>> 0)) return 0;
  return (function*(): Sleeps<number> {
    yield* mm.user.writeU32(address, value >>> 0);
    return 0;
  })();
}

/** The pipe behind a descriptor, for fcntl and splice. */
export function pipeOf(file: File): Pipe | undefined {
  return file instanceof PipeFile ? file.pipe : undefined;
}

/** F_GETPIPE_SZ and F_SETPIPE_SZ; undefined when the file is no pipe. */
export function getPipeSize(file: File): number | undefined {
  return pipeOf(file)?.capacity;
}
export function setPipeSize(task: Task, file: File, bytes: number): number | undefined {
  return pipeOf(file)?.resize(task, bytes);
}

/** Two connected ends: [reader, writer]. */
export function createPipe(task: Task, flags: number): [PipeFile, PipeFile] {
  const inode = new AnonymousInode(task.kernel, S_IFIFO | 0o600, task.cred.fsuid, task.cred.fsgid);
  const pipe = new Pipe(task.kernel);
  inode.attached = new Map([[PIPE_KEY, pipe]]);
  const status = flags & (O_NONBLOCK | O_DIRECT);
  return [
    new PipeFile(pipe, inode, undefined, O_RDONLY | status),
    new PipeFile(pipe, inode, undefined, O_WRONLY | status),
  ];
}

/** What stands in Inode.attached of a nameless stream that open(2) through /proc/PID/fd can reach again. */
export const REOPEN_KEY = "reopen";

/** open(2) of a FIFO, or of a pipe through /proc/PID/fd: waits for the other side as fifo(7) says. A DeviceOpener. */
export function openFifo(task: Task, path: Path, flags: number): File | Sleeps<File> {
  const { inode } = path.dentry;
  if (inode === undefined) throw ENXIO;
  const reopen = inode.attached?.get(REOPEN_KEY);
  if (typeof reopen === "function") return reopen(flags) as File;
  const isNameless = inode instanceof AnonymousInode;
  const pipe = pipeOfInode(task, inode);
  const access = flags & O_ACCMODE;
  const isNonBlocking = (flags & O_NONBLOCK) !== 0;
  if (access === O_WRONLY && isNonBlocking && pipe.readers === 0 && !isNameless) {
    if (pipe.writers === 0) inode.attached?.delete(PIPE_KEY);
    throw ENXIO;
  }
  const file = new PipeFile(pipe, inode, isNameless ? undefined : path, flags);
  if (access === O_RDWR || isNameless) return file;
  if (access === O_RDONLY && pipe.writers === 0 && isNonBlocking) file.expectWriter();
  else if ((access === O_RDONLY ? pipe.writers : pipe.readers) === 0) {
    return waitForPartner(task, file, access === O_RDONLY);
  }
  return file;
}

function pipeOfInode(task: Task, inode: Inode): Pipe {
  inode.attached ??= new Map();
  const known = inode.attached.get(PIPE_KEY);
  if (known instanceof Pipe) return known;
  const pipe = new Pipe(task.kernel);
  inode.attached.set(PIPE_KEY, pipe);
  return pipe;
}

function* waitForPartner(task: Task, file: PipeFile, isReader: boolean): Sleeps<File> {
  const { pipe } = file;
  const opensBefore = isReader ? pipe.writerOpens : pipe.readerOpens;
  const attempt = (): Try<true> =>
    (isReader ? pipe.writerOpens : pipe.readerOpens) !== opensBefore ? true : WOULD_BLOCK;
  try {
    yield* waitUntil(task, pipe.queue, ALL_EVENTS, attempt);
  } catch (error) {
    file.put();
    throw error;
  }
  return file;
}

const PIPE2_FLAGS = O_CLOEXEC | O_NONBLOCK | O_DIRECT;

function makePipe(task: Task, address: number, flags: number): number | Sleeps<number> {
  if ((flags & ~PIPE2_FLAGS) !== 0) throw EINVAL;
  const { mm } = task;
  if (mm === undefined) throw EFAULT;
  if (!mm.user.tryPrepare(address, 8, ACCESS_WRITE)) return makePipeSlowly(task, address, flags);
  const closeOnExec = (flags & O_CLOEXEC) !== 0;
  using readEnd = task.files.reserve(task, closeOnExec);
  using writeEnd = task.files.reserve(task, closeOnExec);
  if (!mm.user.tryWriteU32(address, readEnd.fd) || !mm.user.tryWriteU32(address + 4, writeEnd.fd)) {
    throw EFAULT;
  }
  const [reader, writer] = createPipe(task, flags);
  readEnd.install(reader);
  writeEnd.install(writer);
  return 0;
}

/** The result page is not there yet: bring it in first, then all is as above. */
function* makePipeSlowly(task: Task, address: number, flags: number): Sleeps<number> {
  const { mm } = task;
  if (mm === undefined) throw EFAULT;
  yield* mm.user.prepare(address, 8, ACCESS_WRITE);
  const answer = makePipe(task, address, flags);
  return typeof answer === "number" ? answer : yield* answer;
}

const PIPE2_FLAG_NAMES = { O_CLOEXEC, O_NONBLOCK, O_DIRECT };

export const pipeSyscalls: readonly Syscall[] = [
  syscall("pipe", [pointer], (task, address) => makePipe(task, address, 0)),
  syscall("pipe2", [pointer, flagsOf(PIPE2_FLAG_NAMES)], makePipe),
];
