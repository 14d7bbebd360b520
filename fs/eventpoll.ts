// SPDX-License-Identifier: Apache-2.0
// epoll: an interest list of files and the ready list that their wake-ups fill.
//
// Invariants: an item stands in #ready when its file may have events (a look decides); epoll sets hold no reference to
// the files they watch: a file's last close removes its items; sets watch each other without cycles, at most five deep.
// Source: epoll(7), epoll_ctl(2), epoll_wait(2).

import { type File, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  fd,
  flagsOf,
  int,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { type Sleeps, type Try, type WaitEntry, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLONESHOT,
  EPOLLWAKEUP,
} from "../include/uapi/eventpoll.ts";
import { O_RDWR } from "../include/uapi/fcntl.ts";
import { EBADF, EEXIST, EINTR, EINVAL, ELOOP, ENOENT, EPERM } from "../lib/errno.ts";
import { waitUntil } from "../kernel/wait.ts";
import { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";
import { readTimeout, withSignalMask } from "./select.ts";
import { userOf } from "./uio.ts";

const NESTING_MAX = 4;
const READ_EVENTS = POLLIN | POLLRDNORM;
/** Reported whether asked for or not. */
const ALWAYS = POLLERR | POLLHUP;
const NS_PER_MS = 1_000_000;
const EVENTS_MAX = Math.floor(0x7fff_ffff / 16);
/** Bits that say how to report, not what. Unsigned arithmetic: EPOLLET is bit 31. */
const MODE_BITS = (EPOLLET | EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLWAKEUP) >>> 0;
const EXCLUSIVE_ALLOWED = (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
  >>> 0;

/** One watched descriptor. */
class EpollItem implements WaitEntry {
  readonly set: EventPoll;
  readonly file: File;
  readonly fd: number;
  readonly queue: WaitQueue;
  readonly exclusive: boolean;
  /** Interest with mode bits; mode bits alone while a one-shot item is spent. */
  events: number;
  /** epoll_data, two halves. */
  dataLow: number;
  dataHigh: number;
  readonly onClose = (): void => this.set.remove(this);

  constructor(set: EventPoll, file: File, fd: number, queue: WaitQueue, event: EpollEvent) {
    this.set = set;
    this.file = file;
    this.fd = fd;
    this.queue = queue;
    this.events = (event.events | ALWAYS) >>> 0;
    this.dataLow = event.dataLow;
    this.dataHigh = event.dataHigh;
    this.exclusive = (event.events & EPOLLEXCLUSIVE) !== 0;
  }

  get interest(): number {
    return this.events & ~MODE_BITS;
  }

  /** Events that are there now and wanted. */
  look(): number {
    return this.interest === 0 ? 0 : this.file.poll() & this.interest;
  }

  wake(events: number): boolean {
    const { interest } = this;
    if (interest === 0 || (events !== 0 && (events & interest) === 0)) return false;
    return this.set.itemMayBeReady(this);
  }
}

interface EpollEvent {
  readonly events: number;
  readonly dataLow: number;
  readonly dataHigh: number;
}

export class EventPoll extends AnonymousFile {
  readonly #items: Map<File, Map<number, EpollItem>> = new Map();
  /** In the order in which they became ready. */
  readonly #ready: Set<EpollItem> = new Set();
  /** epoll_wait(2) sleeps here; who polls this set waits in #pollers. */
  readonly #waiters: WaitQueue = new WaitQueue();
  readonly #pollers: WaitQueue = new WaitQueue();
  /** Sets that watch this one. */
  readonly watchers: Set<EventPoll> = new Set();

  override get waitQueue(): WaitQueue {
    return this.#pollers;
  }
  get waiters(): WaitQueue {
    return this.#waiters;
  }

  itemMayBeReady(item: EpollItem): boolean {
    this.#ready.add(item);
    const hadWaiters = !this.#waiters.isEmpty;
    this.#waiters.wake(READ_EVENTS);
    this.#pollers.wake(READ_EVENTS);
    return hadWaiters;
  }

  override poll(): number {
    for (const item of this.#ready) {
      if (item.look() !== 0) return READ_EVENTS;
      this.#ready.delete(item);
    }
    return 0;
  }

  find(file: File, fd: number): EpollItem | undefined {
    return this.#items.get(file)?.get(fd);
  }

  add(file: File, fd: number, event: EpollEvent): void {
    const queue = file.waitQueue;
    if (queue === undefined) throw EPERM;
    if (this.find(file, fd) !== undefined) throw EEXIST;
    const item = new EpollItem(this, file, fd, queue, event);
    let ofFile = this.#items.get(file);
    if (ofFile === undefined) this.#items.set(file, ofFile = new Map());
    ofFile.set(fd, item);
    queue.add(item);
    file.addCloseListener(item.onClose);
    if (file instanceof EventPoll) file.watchers.add(this);
    if (item.look() !== 0) this.itemMayBeReady(item);
  }

  modify(item: EpollItem, event: EpollEvent): void {
    if (item.exclusive || (event.events & EPOLLEXCLUSIVE) !== 0) throw EINVAL;
    item.events = (event.events | ALWAYS) >>> 0;
    item.dataLow = event.dataLow;
    item.dataHigh = event.dataHigh;
    if (item.look() !== 0) this.itemMayBeReady(item);
  }

  remove(item: EpollItem): void {
    item.queue.remove(item);
    item.file.removeCloseListener(item.onClose);
    this.#ready.delete(item);
    const ofFile = this.#items.get(item.file);
    ofFile?.delete(item.fd);
    if (ofFile?.size !== 0) return;
    this.#items.delete(item.file);
    if (item.file instanceof EventPoll) item.file.watchers.delete(this);
  }

  /** Takes up to `count` ready events and hands them to `emit`; returns how many. */
  harvest(count: number, emit: (events: number, dataLow: number, dataHigh: number) => void): number {
    let found = 0;
    let left = this.#ready.size;
    for (const item of this.#ready) {
      if (left-- === 0 || found === count) break;
      this.#ready.delete(item);
      const events = item.look();
      if (events === 0) continue;
      emit(events, item.dataLow, item.dataHigh);
      found++;
      if ((item.events & EPOLLONESHOT) !== 0) item.events = (item.events & MODE_BITS) >>> 0;
      else if ((item.events & EPOLLET) === 0) this.#ready.add(item);
    }
    // Others may take what is left.
    if (found > 0 && this.#ready.size > 0) this.#waiters.wake(READ_EVENTS);
    return found;
  }

  get isReady(): boolean {
    return this.#ready.size > 0;
  }

  *watchedSets(): Iterable<EventPoll> {
    for (const file of this.#items.keys()) if (file instanceof EventPoll) yield file;
  }

  override release(): void {
    for (const ofFile of [...this.#items.values()]) {
      for (const item of [...ofFile.values()]) this.remove(item);
    }
  }

  override showFdInfo(): string {
    let text = "";
    for (const ofFile of this.#items.values()) {
      for (const { fd: number, events, dataLow, dataHigh, file } of ofFile.values()) {
        const data = (dataHigh >>> 0).toString(16) + (dataLow >>> 0).toString(16).padStart(8, "0");
        text += `tfd: ${String(number).padStart(8)} events: ${(events >>> 0).toString(16).padStart(8)} `
          + `data: ${data.replace(/^0+(?=.)/, "").padStart(16)}  pos:${file.pos} ino:${
            (file.inode?.ino ?? 0).toString(16)
          } `
          + `sdev:${(file.inode?.superBlock.dev ?? 0).toString(16)}\n`;
      }
    }
    return text;
  }
}

/** How many sets deep `from` reaches downwards; throws ELOOP when `forbidden` is among them or it is too deep. */
function depthBelow(from: EventPoll, forbidden: EventPoll, depth: number): number {
  if (from === forbidden || depth > NESTING_MAX) throw ELOOP;
  let deepest = depth;
  for (const set of from.watchedSets()) deepest = Math.max(deepest, depthBelow(set, forbidden, depth + 1));
  return deepest;
}

function depthAbove(set: EventPoll): number {
  let deepest = 0;
  for (const watcher of set.watchers) deepest = Math.max(deepest, 1 + depthAbove(watcher));
  return deepest;
}

function epollOf(file: File): EventPoll {
  if (file instanceof EventPoll) return file;
  throw EINVAL;
}

function fileOf(task: Task, number: number): File {
  const file = task.files.find(number);
  if (file === undefined) throw EBADF;
  return file;
}

function create(task: Task, flags: number): number {
  if ((flags & ~EPOLL_CLOEXEC) !== 0) throw EINVAL;
  const set = new EventPoll(new AnonymousInode(task.kernel, 0o600), "anon_inode:[eventpoll]", O_RDWR);
  try {
    return task.files.install(task, set, (flags & EPOLL_CLOEXEC) !== 0);
  } catch (error) {
    set.put();
    throw error;
  }
}

function control(
  task: Task,
  epfd: number,
  operation: number,
  number: number,
  address: number,
): SyscallAnswer {
  if (operation === EPOLL_CTL_DEL) {
    return apply(task, epfd, operation, number, { events: 0, dataLow: 0, dataHigh: 0 });
  }
  const bytes = new Uint8Array(eventBytes(task));
  if (userOf(task).tryCopyIn(address, bytes)) {
    return apply(task, epfd, operation, number, decodeEvent(task, bytes));
  }
  return controlSlowly(task, epfd, operation, number, address);
}

function* controlSlowly(
  task: Task,
  epfd: number,
  operation: number,
  number: number,
  address: number,
): Sleeps<number> {
  const bytes = yield* userOf(task).copyIn(address, eventBytes(task));
  return apply(task, epfd, operation, number, decodeEvent(task, bytes));
}

/** The structure is packed on x86-64 alone. */
function eventBytes(task: Task): number {
  return task.kernel.arch.name === "x86_64" ? 12 : 16;
}

function decodeEvent(task: Task, bytes: Uint8Array): EpollEvent {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = eventBytes(task) - 8;
  return {
    events: view.getUint32(0, true),
    dataLow: view.getInt32(at, true),
    dataHigh: view.getInt32(at + 4, true),
  };
}

function apply(task: Task, epfd: number, operation: number, number: number, event: EpollEvent): number {
  const epollFile = fileOf(task, epfd);
  const file = fileOf(task, number);
  if (operation !== EPOLL_CTL_DEL && file.waitQueue === undefined) throw EPERM;
  if (file === epollFile) throw EINVAL;
  const set = epollOf(epollFile);
  if (operation !== EPOLL_CTL_DEL && (event.events & EPOLLEXCLUSIVE) !== 0) {
    const isAllowed = operation === EPOLL_CTL_ADD && !(file instanceof EventPoll)
      && ((event.events & ~EXCLUSIVE_ALLOWED) >>> 0) === 0;
    if (!isAllowed) throw EINVAL;
  }
  const item = set.find(file, number);
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (file instanceof EventPoll && depthBelow(file, set, 1) + depthAbove(set) > NESTING_MAX) throw ELOOP;
      set.add(file, number, event);
      return 0;
    case EPOLL_CTL_DEL:
      if (item === undefined) throw ENOENT;
      set.remove(item);
      return 0;
    case EPOLL_CTL_MOD:
      if (item === undefined) throw ENOENT;
      set.modify(item, event);
      return 0;
    default:
      throw EINVAL;
  }
}

/** Ready events as bytes, at most `count`; undefined when there is none. */
function collect(task: Task, set: EventPoll, count: number): Uint8Array | undefined {
  if (!set.isReady) return undefined;
  const bytesEach = eventBytes(task);
  const dataAt = bytesEach - 8;
  let bytes = new Uint8Array(Math.min(count, 64) * bytesEach);
  let view = new DataView(bytes.buffer);
  let at = 0;
  set.harvest(count, (events, dataLow, dataHigh) => {
    if (at + bytesEach > bytes.length) {
      const grown = new Uint8Array(bytes.length * 2);
      grown.set(bytes);
      bytes = grown;
      view = new DataView(bytes.buffer);
    }
    view.setUint32(at, events >>> 0, true);
    view.setInt32(at + dataAt, dataLow, true);
    view.setInt32(at + dataAt + 4, dataHigh, true);
    at += bytesEach;
  });
  return at === 0 ? undefined : bytes.subarray(0, at);
}

function checkWait(task: Task, epfd: number, count: number): EventPoll {
  if (count <= 0 || count > EVENTS_MAX) throw EINVAL;
  return epollOf(fileOf(task, epfd));
}

function deadlineOf(task: Task, timeoutMs: number): number | undefined {
  return timeoutMs < 0 ? undefined : task.kernel.time.monotonicNs() + timeoutMs * NS_PER_MS;
}

function wait(task: Task, epfd: number, address: number, count: number, timeoutMs: number): SyscallAnswer {
  const set = checkWait(task, epfd, count);
  const bytes = collect(task, set, count);
  if (bytes !== undefined) {
    const found = bytes.length / eventBytes(task);
    return userOf(task).tryCopyOut(address, bytes) ? found : copyOut(task, address, bytes, found);
  }
  if (timeoutMs === 0) return 0;
  return sleep(task, set, address, count, deadlineOf(task, timeoutMs));
}

function* copyOut(task: Task, address: number, bytes: Uint8Array, result: number): Sleeps<number> {
  yield* userOf(task).copyOut(address, bytes);
  return result;
}

function* sleep(
  task: Task,
  set: EventPoll,
  address: number,
  count: number,
  deadlineNs: number | undefined,
): Sleeps<number> {
  const attempt = (): Try<Uint8Array> => collect(task, set, count) ?? WOULD_BLOCK;
  const options = {
    interrupted: EINTR,
    exclusive: true,
    ...(deadlineNs === undefined ? {} : { deadlineNs }),
  };
  set.get();
  try {
    const bytes = yield* waitUntil<Try<Uint8Array>>(task, set.waiters, READ_EVENTS, attempt, options);
    if (bytes === WOULD_BLOCK) return 0;
    return yield* copyOut(task, address, bytes, bytes.length / eventBytes(task));
  } finally {
    set.put();
  }
}

function* pwait(
  task: Task,
  epfd: number,
  address: number,
  count: number,
  deadline: number | undefined,
  mask: number,
  maskBytes: number,
): Sleeps<number> {
  const set = checkWait(task, epfd, count);
  return yield* withSignalMask(task, mask, maskBytes, () => sleep(task, set, address, count, deadline));
}

function* pwait2(
  task: Task,
  epfd: number,
  address: number,
  count: number,
  timeout: number,
  mask: number,
  maskBytes: number,
): Sleeps<number> {
  const timeoutNs = yield* readTimeout(task, timeout, 1);
  const deadline = timeoutNs === undefined ? undefined : task.kernel.time.monotonicNs() + timeoutNs;
  return yield* pwait(task, epfd, address, count, deadline, mask, maskBytes);
}

export const eventpollSyscalls: readonly Syscall[] = [
  syscall("epoll_create", [int], (task, sizeHint) => {
    if (sizeHint <= 0) throw EINVAL;
    return create(task, 0);
  }),
  syscall("epoll_create1", [flagsOf({ EPOLL_CLOEXEC })], create),
  syscall("epoll_ctl", [fd, int, fd, pointer], control),
  syscall("epoll_wait", [fd, pointer, int, int], wait),
  syscall(
    "epoll_pwait",
    [fd, pointer, int, int, pointer, size],
    (task, epfd, address, count, timeout, mask, bytes) =>
      mask === 0
        ? wait(task, epfd, address, count, timeout)
        : pwait(task, epfd, address, count, deadlineOf(task, timeout), mask, bytes),
  ),
  syscall("epoll_pwait2", [fd, pointer, int, pointer, pointer, size], pwait2),
];
