// SPDX-License-Identifier: Apache-2.0
// poll(2), ppoll(2), select(2), pselect6(2): wait until one of many files is ready.
//
// A first look needs no generator; only a call that finds nothing and may wait sleeps, on the wait queues of all the
// files at once, holding a reference to each. Source: poll(2), select(2).

import {
  type File,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  int,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../include/linux/wait.ts";
import { POLLFD_BYTES } from "../include/uapi/poll.ts";
import { SIGKILL, SIGSTOP } from "../include/uapi/signal.ts";
import { EBADF, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from "../lib/errno.ts";
import { sigSetFromBytes } from "../kernel/signal-set.ts";
import { recalcSignal } from "../kernel/signal-state.ts";
import { self } from "../kernel/task.ts";
import { waitAny, type WaitSource } from "../kernel/wait.ts";
import { descriptorLimit } from "./file.ts";
import { readS64, readU64, userOf, writeU64 } from "./uio.ts";

const NS_PER_MS = 1_000_000;
const NS_PER_S = 1_000_000_000;
/** Deadlines are not counted beyond this: 292 years. */
const NS_MAX = Number.MAX_SAFE_INTEGER;
const ALWAYS = POLLERR | POLLHUP;
/** Bits of the C library's fd_set. */
const FD_SETSIZE = 1024;

/** What is looked at: the same array positions hold file, wanted and found events. */
interface PollSet {
  readonly files: (File | undefined)[];
  /** Wait queues to sleep on are those of `files`. */
  readonly wanted: number[];
  /** Looks at all files; the count of ready ones. */
  look(): number;
}

/** Sleeps until `set` has something ready or the deadline; 0 at the deadline. */
function* pollSleep(
  task: Task,
  set: PollSet,
  deadlineNs: number | undefined,
  interrupted: Error,
): Sleeps<number> {
  const ready = set.look();
  if (ready > 0 || (deadlineNs !== undefined && deadlineNs <= task.kernel.time.monotonicNs())) return ready;
  const sources: WaitSource[] = [];
  const held: File[] = [];
  set.files.forEach((file, index) => {
    const queue = file?.waitQueue;
    if (file === undefined || queue === undefined) return;
    held.push(file.get());
    sources.push({ queue, events: set.wanted[index]! | ALWAYS });
  });
  const attempt = (): Try<number> => {
    const count = set.look();
    return count > 0 ? count : WOULD_BLOCK;
  };
  try {
    const options = deadlineNs === undefined ? { interrupted } : { interrupted, deadlineNs };
    const answer = yield* waitAny<Try<number>>(task, sources, attempt, options);
    return answer === WOULD_BLOCK ? 0 : answer;
  } finally {
    for (const file of held) file.put();
  }
}

/** Runs `body` under another signal mask, as ppoll(2). A signal that ends the wait is delivered before the mask
 *  goes back. */
export function* withSignalMask(
  task: Task,
  address: number,
  sizeBytes: number,
  body: () => Sleeps<number>,
): Sleeps<number> {
  if (address === 0) return yield* body();
  if (sizeBytes !== 8) throw EINVAL;
  const mask = sigSetFromBytes(yield* userOf(task).copyIn(address, 8));
  mask.delete(SIGKILL);
  mask.delete(SIGSTOP);
  const target = self(task);
  const saved = target.blocked.copy();
  target.blocked.assign(mask);
  recalcSignal(target);
  let keepsMask = false;
  try {
    return yield* body();
  } catch (error) {
    // The way back to the program delivers the signal, then restores the saved mask.
    keepsMask = target.hasSignal;
    throw error;
  } finally {
    if (keepsMask) {
      target.savedMask = saved;
    } else {
      target.blocked.assign(saved);
      recalcSignal(target);
    }
  }
}

/** A timespec or timeval as ns; undefined at address 0. `unit`: ns per tick of the second field. */
export function* readTimeout(task: Task, address: number, unit: 1 | 1000): Sleeps<number | undefined> {
  if (address === 0) return undefined;
  const bytes = yield* userOf(task).copyIn(address, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const seconds = readS64(view, 0);
  const fraction = readS64(view, 8);
  if (seconds < 0 || fraction < 0) throw EINVAL;
  if (unit === 1 && fraction >= NS_PER_S) throw EINVAL;
  return Math.min(seconds * NS_PER_S + fraction * unit, NS_MAX);
}

/** select(2) and pselect6(2) and ppoll(2) tell how much time was left; a read-only timeout is no error. */
function* writeTimeLeft(task: Task, address: number, unit: 1 | 1000, deadlineNs: number): Sleeps<void> {
  const left = Math.max(0, deadlineNs - task.kernel.time.monotonicNs());
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  writeU64(view, 0, Math.floor(left / NS_PER_S));
  writeU64(view, 8, Math.floor((left % NS_PER_S) / unit));
  try {
    yield* userOf(task).copyOut(address, bytes);
  } catch {
    // As Linux: the result of the call stands.
  }
}

function deadlineAfter(task: Task, timeoutNs: number): number {
  return Math.min(task.kernel.time.monotonicNs() + timeoutNs, NS_MAX);
}

class PollFds implements PollSet {
  readonly files: (File | undefined)[] = [];
  readonly wanted: number[] = [];
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #count: number;

  constructor(task: Task, bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#count = bytes.length / POLLFD_BYTES;
    for (let index = 0; index < this.#count; index++) {
      const fd = this.#view.getInt32(index * POLLFD_BYTES, true);
      this.files.push(fd < 0 ? undefined : task.files.find(fd));
      this.wanted.push(this.#view.getUint16(index * POLLFD_BYTES + 4, true));
    }
  }

  look(): number {
    let ready = 0;
    for (let index = 0; index < this.#count; index++) {
      const file = this.files[index];
      let events = 0;
      if (file !== undefined) events = file.poll() & (this.wanted[index]! | ALWAYS);
      else if (this.#view.getInt32(index * POLLFD_BYTES, true) >= 0) events = POLLNVAL;
      this.#view.setUint16(index * POLLFD_BYTES + 6, events, true);
      if (events !== 0) ready++;
    }
    return ready;
  }
}

function checkCount(task: Task, count: number): void {
  if (count > descriptorLimit(task)) throw EINVAL;
}

function pollCall(task: Task, address: number, count: number, timeoutMs: number): SyscallAnswer {
  checkCount(task, count);
  const bytes = new Uint8Array(count * POLLFD_BYTES);
  const user = userOf(task);
  if (count === 0 || user.tryCopyIn(address, bytes)) {
    const set = new PollFds(task, bytes);
    const ready = set.look();
    if ((ready > 0 || timeoutMs === 0) && (count === 0 || user.tryCopyOut(address, bytes))) return ready;
  }
  const deadline = timeoutMs < 0 ? undefined : deadlineAfter(task, timeoutMs * NS_PER_MS);
  return pollSlowly(task, address, count, deadline);
}

/** poll(2) that may wait. A stop and continue in the middle goes on with the same deadline (restart_syscall(2)). */
function* pollSlowly(
  task: Task,
  address: number,
  count: number,
  deadline: number | undefined,
): Sleeps<number> {
  self(task).restartBlock = () => pollSlowly(task, address, count, deadline);
  return yield* pollOnce(task, address, count, deadline, ERESTART_RESTARTBLOCK);
}

function* pollOnce(
  task: Task,
  address: number,
  count: number,
  deadline: number | undefined,
  interrupted: Error,
): Sleeps<number> {
  const user = userOf(task);
  const bytes = count === 0 ? new Uint8Array(0) : yield* user.copyIn(address, count * POLLFD_BYTES);
  const set = new PollFds(task, Uint8Array.from(bytes));
  const ready = yield* pollSleep(task, set, deadline, interrupted);
  if (count > 0) yield* user.copyOut(address, set.bytes);
  return ready;
}

function* ppollCall(
  task: Task,
  address: number,
  count: number,
  timeout: number,
  mask: number,
  maskBytes: number,
): Sleeps<number> {
  checkCount(task, count);
  const timeoutNs = yield* readTimeout(task, timeout, 1);
  const deadline = timeoutNs === undefined ? undefined : deadlineAfter(task, timeoutNs);
  try {
    return yield* withSignalMask(
      task,
      mask,
      maskBytes,
      () => pollOnce(task, address, count, deadline, ERESTARTNOHAND),
    );
  } finally {
    if (deadline !== undefined) yield* writeTimeLeft(task, timeout, 1, deadline);
  }
}

const READ_SET = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
const WRITE_SET = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
const EXCEPTION_SET = POLLPRI;
const SETS = [READ_SET, WRITE_SET, EXCEPTION_SET] as const;

class FdSets implements PollSet {
  readonly files: File[] = [];
  readonly wanted: number[] = [];
  readonly #descriptors: number[] = [];
  /** Asked-for and found bits of the three sets; undefined for a null pointer. */
  readonly #asked: readonly (Uint8Array | undefined)[];
  readonly found: readonly (Uint8Array | undefined)[];

  constructor(task: Task, count: number, asked: readonly (Uint8Array | undefined)[]) {
    this.#asked = asked;
    this.found = asked.map((set) => set && new Uint8Array(set.length));
    for (let fd = 0; fd < count; fd++) {
      if ((fd & 7) === 0 && asked.every((set) => set === undefined || set[fd >>> 3] === 0)) fd += 7;
      else this.#add(task, fd);
    }
  }

  #add(task: Task, fd: number): void {
    let wanted = 0;
    for (let index = 0; index < SETS.length; index++) {
      const set = this.#asked[index];
      if (set !== undefined && hasBit(set, fd)) wanted |= SETS[index]!;
    }
    if (wanted === 0) return;
    const file = task.files.find(fd);
    if (file === undefined) throw EBADF;
    this.#descriptors.push(fd);
    this.files.push(file);
    this.wanted.push(wanted);
  }

  look(): number {
    let ready = 0;
    for (let index = 0; index < this.files.length; index++) {
      const events = this.files[index]!.poll();
      if ((events & this.wanted[index]!) === 0) continue;
      const fd = this.#descriptors[index]!;
      for (let which = 0; which < 3; which++) {
        const asked = this.#asked[which];
        if (asked === undefined || (events & SETS[which]!) === 0 || !hasBit(asked, fd)) continue;
        const found = this.found[which]!;
        found[fd >>> 3] = found[fd >>> 3]! | (1 << (fd & 7));
        ready++;
      }
    }
    return ready;
  }
}

function hasBit(set: Uint8Array, bit: number): boolean {
  return (set[bit >>> 3]! & (1 << (bit & 7))) !== 0;
}

function* selectOnce(
  task: Task,
  count: number,
  addresses: readonly number[],
  deadline: number | undefined,
): Sleeps<number> {
  if (count < 0) throw EINVAL;
  const user = userOf(task);
  const limit = count <= FD_SETSIZE
    ? count
    : Math.min(count, Math.max(FD_SETSIZE, highestDescriptor(task) + 1));
  const bytes = Math.ceil(limit / 64) * 8;
  const asked: (Uint8Array | undefined)[] = [];
  for (const address of addresses) {
    asked.push(
      address === 0 || bytes === 0 ? undefined : Uint8Array.from(yield* user.copyIn(address, bytes)),
    );
  }
  const sets = new FdSets(task, limit, asked);
  const ready = yield* pollSleep(task, sets, deadline, ERESTARTNOHAND);
  for (const [index, address] of addresses.entries()) {
    const found = sets.found[index];
    if (found !== undefined) yield* user.copyOut(address, found);
  }
  return ready;
}

function highestDescriptor(task: Task): number {
  let highest = 0;
  for (const fd of task.files.descriptors()) highest = fd;
  return highest;
}

function* selectCall(
  task: Task,
  count: number,
  read: number,
  write: number,
  exception: number,
  timeout: number,
): Sleeps<number> {
  const timeoutNs = yield* readTimeout(task, timeout, 1000);
  const deadline = timeoutNs === undefined ? undefined : deadlineAfter(task, timeoutNs);
  try {
    return yield* selectOnce(task, count, [read, write, exception], deadline);
  } finally {
    if (deadline !== undefined) yield* writeTimeLeft(task, timeout, 1000, deadline);
  }
}

/** The sixth argument points to the address and the size of the mask. */
function* pselectCall(
  task: Task,
  count: number,
  read: number,
  write: number,
  exception: number,
  timeout: number,
  maskPair: number,
): Sleeps<number> {
  let mask = 0;
  let maskBytes = 0;
  if (maskPair !== 0) {
    const pair = yield* userOf(task).copyIn(maskPair, 16);
    const view = new DataView(pair.buffer, pair.byteOffset, 16);
    mask = readU64(view, 0);
    maskBytes = readU64(view, 8);
  }
  const timeoutNs = yield* readTimeout(task, timeout, 1);
  const deadline = timeoutNs === undefined ? undefined : deadlineAfter(task, timeoutNs);
  try {
    return yield* withSignalMask(
      task,
      mask,
      maskBytes,
      () => selectOnce(task, count, [read, write, exception], deadline),
    );
  } finally {
    if (deadline !== undefined) yield* writeTimeLeft(task, timeout, 1, deadline);
  }
}

export const selectSyscalls: readonly Syscall[] = [
  syscall("poll", [pointer, uint, int], pollCall),
  syscall("ppoll", [pointer, uint, pointer, pointer, size], ppollCall),
  syscall("select", [int, pointer, pointer, pointer, pointer], selectCall),
  syscall("pselect6", [int, pointer, pointer, pointer, pointer, pointer], pselectCall),
];
