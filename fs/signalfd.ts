// SPDX-License-Identifier: Apache-2.0
// signalfd(2): pending signals as records to read. Which ones is decided by who reads, not by who made the file.
//
// Source: signalfd(2).

import { type File, POLLIN, POLLRDNORM } from "../include/linux/fs.ts";
import type { Kernel, SignalInfo, Task, ThreadGroup } from "../include/linux/sched.ts";
import { flagsOf, int, pointer, size, type Syscall, syscall } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { type Sleeps, type Try, type WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { SFD_CLOEXEC, SFD_NONBLOCK } from "../include/uapi/eventpoll.ts";
import { O_NONBLOCK, O_RDWR } from "../include/uapi/fcntl.ts";
import { SIGKILL, SIGSTOP } from "../include/uapi/signal.ts";
import { EBADF, EINVAL } from "../lib/errno.ts";
import { dequeueSignal, hasPendingSignal, signalQueueOf } from "../kernel/signal.ts";
import { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";
import { userOf } from "./uio.ts";

const RECORD_BYTES = 128;
const NEVER = (1n << BigInt(SIGKILL - 1)) | (1n << BigInt(SIGSTOP - 1));

export class SignalFile extends AnonymousFile {
  mask: bigint;
  readonly #kernel: Kernel;
  readonly #maker: ThreadGroup;

  constructor(task: Task, mask: bigint, flags: number) {
    super(new AnonymousInode(task.kernel, 0o600), "anon_inode:[signalfd]", O_RDWR | (flags & O_NONBLOCK));
    this.#kernel = task.kernel;
    this.#maker = task.group;
    this.mask = mask;
  }

  override get waitQueue(): WaitQueue {
    return signalQueueOf(this.#kernel.tasks.current?.group ?? this.#maker);
  }

  override read(iter: IovIter): Try<number> {
    const task = this.#kernel.tasks.current;
    if (iter.remaining < RECORD_BYTES) throw EINVAL;
    let done = 0;
    while (task !== undefined && iter.remaining >= RECORD_BYTES) {
      const info = dequeueSignal(task, this.mask);
      if (info === undefined) break;
      iter.copyOut(encode(info), 0, RECORD_BYTES);
      done += RECORD_BYTES;
    }
    return done === 0 ? WOULD_BLOCK : done;
  }

  override poll(): number {
    const task = this.#kernel.tasks.current ?? this.#maker.leader;
    return hasPendingSignal(task, this.mask) ? POLLIN | POLLRDNORM : 0;
  }

  override showFdInfo(): string {
    return `sigmask:\t${this.mask.toString(16).padStart(16, "0")}\n`;
  }
}

/** struct signalfd_siginfo. */
function encode(info: SignalInfo): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, info.signal, true);
  view.setInt32(4, info.errno ?? 0, true);
  view.setInt32(8, info.code, true);
  view.setUint32(12, info.pid ?? 0, true);
  view.setUint32(16, info.uid ?? 0, true);
  view.setUint32(24, info.timerId ?? 0, true);
  view.setUint32(32, info.overrun ?? 0, true);
  view.setInt32(40, info.status ?? 0, true);
  if (info.value !== undefined) {
    view.setInt32(44, Number(BigInt.asIntN(32, info.value)), true);
    view.setBigUint64(48, BigInt.asUintN(64, info.value), true);
  }
  view.setBigUint64(72, BigInt(info.address ?? 0), true);
  return bytes;
}

function* signalfd(
  task: Task,
  fd: number,
  maskAddress: number,
  maskBytes: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) !== 0 || maskBytes !== 8) throw EINVAL;
  const bytes = yield* userOf(task).copyIn(maskAddress, 8);
  const mask = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true) & ~NEVER;
  if (fd === -1) {
    return task.files.install(task, new SignalFile(task, mask, flags), (flags & SFD_CLOEXEC) !== 0);
  }
  const file: File | undefined = task.files.find(fd);
  if (file === undefined) throw EBADF;
  if (!(file instanceof SignalFile)) throw EINVAL;
  file.mask = mask;
  return fd;
}

export const signalfdSyscalls: readonly Syscall[] = [
  syscall("signalfd", [int, pointer, size], (task, fd, mask, bytes) => signalfd(task, fd, mask, bytes, 0)),
  syscall("signalfd4", [int, pointer, size, flagsOf({ SFD_CLOEXEC, SFD_NONBLOCK })], signalfd),
];
