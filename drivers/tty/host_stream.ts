// SPDX-License-Identifier: Apache-2.0
// Redirected standard input, output and error of the host: pipes to the guest, whatever they are outside.
//
// Input arrives by callback and waits here; output goes out at once. fstat(2) shows a FIFO, isatty(3) is false.
// Source: pipe(7), interface of HostConsole.

import type { HostConsole } from "../../include/host/host.ts";
import {
  File,
  type Inode,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { FIONREAD } from "../../include/uapi/ioctls.ts";
import { S_IFIFO } from "../../include/uapi/stat.ts";
import { ENOTTY } from "../../lib/errno.ts";
import { ByteQueue } from "../../lib/byte-queue.ts";
import { AnonymousInode } from "../../fs/anon_inodes.ts";
import { brokenPipe, REOPEN_KEY, writeInt } from "../../fs/pipe.ts";

const INPUT_MAX_BYTES = 0x4000_0000;
/** The host is asked to hold input back above the first and to go on below the second. */
const INPUT_HIGH_BYTES = 1 << 20;
const INPUT_LOW_BYTES = 1 << 18;
/** One write(2) goes to the host in pieces of this size at most. */
const OUTPUT_CHUNK_BYTES = 65536;

/** The queue behind standard input: one per host stream, shared by every open of it. */
export class HostInput {
  readonly queue: WaitQueue = new WaitQueue();
  readonly bytes: ByteQueue = new ByteQueue(INPUT_MAX_BYTES, 4096);
  isEnded = false;
  readonly #host: HostConsole;
  #isPaused = false;

  constructor(host: HostConsole) {
    this.#host = host;
    host.onInput((bytes) => {
      if (bytes === undefined) this.isEnded = true;
      else this.bytes.push(bytes, 0, bytes.length);
      this.queue.wakeAll(POLLIN | POLLRDNORM | (this.isEnded ? POLLHUP : 0));
      if (this.bytes.length > INPUT_HIGH_BYTES) this.#setPaused(true);
    });
  }

  take(iter: IovIter, count: number): void {
    this.bytes.peekTo(iter, count);
    this.bytes.drop(count);
    if (this.bytes.length < INPUT_LOW_BYTES) this.#setPaused(false);
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    this.#host.setInputPaused?.(isPaused);
  }
}

export class HostStreamFile extends File {
  readonly #inode: Inode;
  readonly #input: HostInput | undefined;
  /** Of an output stream, which is always ready: epoll wants a queue all the same. */
  readonly #always: WaitQueue = new WaitQueue();
  readonly #host: HostConsole;
  readonly #kernel: Kernel;

  /** `input` for a readable stream; a writable one writes to `host`. */
  constructor(kernel: Kernel, host: HostConsole, flags: number, input?: HostInput) {
    super(undefined, flags);
    this.#inode = new AnonymousInode(kernel, S_IFIFO | 0o600);
    this.#inode.attached = new Map([[
      REOPEN_KEY,
      (again: number) => new HostStreamFile(kernel, host, again, input),
    ]]);
    this.#host = host;
    this.#kernel = kernel;
    this.#input = input;
  }

  override get inode(): Inode {
    return this.#inode;
  }
  override get anonymousName(): string {
    return `pipe:[${this.#inode.ino}]`;
  }
  override get waitQueue(): WaitQueue {
    return this.#input?.queue ?? this.#always;
  }

  override read(iter: IovIter): Try<number> {
    const input = this.#input;
    if (input === undefined) return 0;
    const { bytes } = input;
    const count = Math.min(iter.remaining, bytes.length);
    if (count === 0) return input.isEnded || iter.remaining === 0 ? 0 : WOULD_BLOCK;
    input.take(iter, count);
    return count;
  }

  override write(iter: IovIter): number {
    const count = iter.remaining;
    while (iter.remaining > 0) {
      const chunk = new Uint8Array(Math.min(iter.remaining, OUTPUT_CHUNK_BYTES));
      iter.copyIn(chunk, 0, chunk.length);
      this.#host.write(chunk);
      if (this.#host.isOutputClosed === true) throw brokenPipe(this.#kernel);
    }
    return count;
  }

  override poll(): number {
    const input = this.#input;
    let events = this.isWritable ? POLLOUT | POLLWRNORM : 0;
    if (input === undefined || !this.isReadable) return events;
    if (input.bytes.length > 0) events |= POLLIN | POLLRDNORM;
    if (input.isEnded) events |= POLLHUP;
    return events;
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    if (command !== FIONREAD) throw ENOTTY;
    return writeInt(task, argument, this.#input?.bytes.length ?? 0);
  }
}
