// SPDX-License-Identifier: Apache-2.0
// eventfd(2): a 64-bit counter to wait on.
//
// Invariant: 0 <= counter <= 2^64 - 2. Source: eventfd(2).

import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { flagsOf, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "../include/uapi/eventpoll.ts";
import { O_NONBLOCK, O_RDWR } from "../include/uapi/fcntl.ts";
import { EINVAL } from "../lib/errno.ts";
import { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";

const INVALID = 0xffff_ffff_ffff_ffffn;
const COUNTER_MAX = INVALID - 1n;
const READ_EVENTS = POLLIN | POLLRDNORM;
const WRITE_EVENTS = POLLOUT | POLLWRNORM;

export class EventFile extends AnonymousFile {
  readonly #queue: WaitQueue = new WaitQueue();
  readonly #isSemaphore: boolean;
  readonly #word: DataView = new DataView(new ArrayBuffer(8));
  readonly #bytes: Uint8Array = new Uint8Array(this.#word.buffer);
  #counter: bigint;

  constructor(inode: AnonymousInode, initial: number, flags: number) {
    super(inode, "anon_inode:[eventfd]", O_RDWR | (flags & O_NONBLOCK));
    this.#counter = BigInt(initial);
    this.#isSemaphore = (flags & EFD_SEMAPHORE) !== 0;
  }

  override get waitQueue(): WaitQueue {
    return this.#queue;
  }

  override read(iter: IovIter): Try<number> {
    if (iter.remaining < 8) throw EINVAL;
    if (this.#counter === 0n) return WOULD_BLOCK;
    const value = this.#isSemaphore ? 1n : this.#counter;
    this.#counter -= value;
    this.#word.setBigUint64(0, value, true);
    iter.copyOut(this.#bytes, 0, 8);
    this.#queue.wake(WRITE_EVENTS);
    return 8;
  }

  override write(iter: IovIter): Try<number> {
    if (iter.remaining < 8) throw EINVAL;
    iter.copyIn(this.#bytes, 0, 8);
    const value = this.#word.getBigUint64(0, true);
    if (value === INVALID) throw EINVAL;
    if (COUNTER_MAX - this.#counter < value) {
      iter.revert(8);
      return WOULD_BLOCK;
    }
    this.#counter += value;
    this.#queue.wake(READ_EVENTS);
    return 8;
  }

  override poll(): number {
    return (this.#counter > 0n ? READ_EVENTS : 0) | (this.#counter < COUNTER_MAX ? WRITE_EVENTS : 0);
  }

  override showFdInfo(): string {
    return `eventfd-count: ${this.#counter.toString(16).padStart(16)}\neventfd-id: ${this.inode.ino}\n`
      + `eventfd-semaphore: ${this.#isSemaphore ? 1 : 0}\n`;
  }
}

function create(task: Task, initial: number, flags: number): number {
  if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) !== 0) throw EINVAL;
  const file = new EventFile(new AnonymousInode(task.kernel, 0o600), initial, flags);
  return task.files.install(task, file, (flags & EFD_CLOEXEC) !== 0);
}

export const eventfdSyscalls: readonly Syscall[] = [
  syscall("eventfd", [uint], (task, initial) => create(task, initial, 0)),
  syscall("eventfd2", [uint, flagsOf({ EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK })], create),
];
