// SPDX-License-Identifier: Apache-2.0
// Advisory locks: flock(2), POSIX record locks (fcntl(2) F_SETLK) and open-file-description locks (F_OFD_SETLK).
//
// Invariants: the POSIX and OFD locks of one owner on one inode do not overlap; two locks of different owners overlap
// only when both are read locks. A lock's end is exclusive; Infinity means to the end of file and beyond.
// Ranges are owned by a descriptor table (POSIX: the process) or by an open file (OFD, flock).
// Sources: fcntl(2), flock(2).

import { type File, type Inode, POLLIN } from "../include/linux/fs.ts";
import { type FilesStruct, StateKey, type Task } from "../include/linux/sched.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { F_UNLCK, F_WRLCK } from "../include/uapi/fcntl.ts";
import { EAGAIN, EDEADLK } from "../lib/errno.ts";
import { waitUntil } from "../kernel/wait.ts";

export type LockOwner = FilesStruct | File;

export interface RangeLock {
  readonly owner: LockOwner;
  readonly pid: number; // as F_GETLK tells it; -1 for OFD locks
  readonly type: number; // F_RDLCK or F_WRLCK
  readonly start: number;
  readonly end: number;
}

interface FileLock {
  readonly file: File;
  readonly type: number;
  readonly pid: number;
}

const LOCKS = "locks";

/** All locks on one inode. */
export class InodeLocks {
  ranges: RangeLock[] = [];
  readonly whole: FileLock[] = [];
  readonly queue: WaitQueue = new WaitQueue();
}

function locksOf(inode: Inode): InodeLocks | undefined {
  const locks = inode.attached?.get(LOCKS);
  return locks instanceof InodeLocks ? locks : undefined;
}

function makeLocks(inode: Inode): InodeLocks {
  let locks = locksOf(inode);
  if (locks === undefined) {
    locks = new InodeLocks();
    (inode.attached ??= new Map<string, unknown>()).set(LOCKS, locks);
  }
  return locks;
}

/** The first lock that stands in the way of `wanted`. */
export function findConflict(inode: Inode, wanted: RangeLock): RangeLock | undefined {
  return locksOf(inode)?.ranges.find((lock) =>
    lock.owner !== wanted.owner
    && lock.start < wanted.end && wanted.start < lock.end
    && (lock.type === F_WRLCK || wanted.type === F_WRLCK)
  );
}

/** Replaces what the owner holds in the range of `lock` by it; F_UNLCK leaves nothing. */
function replaceRange(locks: InodeLocks, lock: RangeLock): void {
  const next: RangeLock[] = [];
  let { start, end } = lock;
  for (const held of locks.ranges) {
    const touches = held.start <= end && start <= held.end;
    if (held.owner !== lock.owner || !touches) {
      next.push(held);
    } else if (held.type === lock.type) {
      start = Math.min(start, held.start); // Neighbours of one kind become one lock.
      end = Math.max(end, held.end);
    } else {
      if (held.start < lock.start) next.push({ ...held, end: Math.min(held.end, lock.start) });
      if (held.end > lock.end) next.push({ ...held, start: Math.max(held.start, lock.end) });
    }
  }
  if (lock.type !== F_UNLCK) next.push({ ...lock, start, end });
  locks.ranges = next.filter((held) => held.start < held.end);
  locks.queue.wakeAll(POLLIN);
}

/** F_SETLK and F_OFD_SETLK: EAGAIN when someone else holds the range. */
export function setRangeLock(task: Task, file: File, inode: Inode, lock: RangeLock): void {
  if (lock.type !== F_UNLCK && findConflict(inode, lock) !== undefined) throw EAGAIN;
  applyRangeLock(file, inode, lock);
}

function applyRangeLock(file: File, inode: Inode, lock: RangeLock): void {
  if (lock.type === F_UNLCK && locksOf(inode) === undefined) return;
  const locks = makeLocks(inode);
  if (lock.owner === file && !locks.ranges.some((held) => held.owner === file)) {
    file.addCloseListener(() => dropOwner(inode, file));
  }
  replaceRange(locks, lock);
}

/** F_SETLKW and F_OFD_SETLKW. Throws EDEADLK when waiting would close a circle of POSIX locks. */
export function* waitRangeLock(task: Task, file: File, inode: Inode, lock: RangeLock): Sleeps<void> {
  const locks = makeLocks(inode);
  const attempt = (): Try<true> => {
    const conflict = lock.type === F_UNLCK ? undefined : findConflict(inode, lock);
    if (conflict === undefined) {
      applyRangeLock(file, inode, lock);
      return true;
    }
    if (lock.owner !== file && closesCircle(task, lock.owner, conflict.owner)) throw EDEADLK;
    waitersOf(task).set(lock.owner, conflict.owner);
    return WOULD_BLOCK;
  };
  try {
    yield* waitUntil(task, locks.queue, 0, attempt);
  } finally {
    waitersOf(task).delete(lock.owner);
  }
}

const WAITERS: StateKey<Map<LockOwner, LockOwner>> = new StateKey("fs.lock-waiters");

/** Who waits for whose lock, in the whole kernel. */
function waitersOf(task: Task): Map<LockOwner, LockOwner> {
  return task.kernel.state(WAITERS, () => new Map<LockOwner, LockOwner>());
}

function closesCircle(task: Task, owner: LockOwner, holder: LockOwner): boolean {
  const waiters = waitersOf(task);
  let at: LockOwner | undefined = holder;
  for (let steps = 0; at !== undefined && steps < 64; steps++) {
    if (at === owner) return true;
    at = waiters.get(at);
  }
  return false;
}

function dropOwner(inode: Inode, owner: LockOwner): void {
  const locks = locksOf(inode);
  if (locks === undefined || !locks.ranges.some((lock) => lock.owner === owner)) return;
  locks.ranges = locks.ranges.filter((lock) => lock.owner !== owner);
  locks.queue.wakeAll(POLLIN);
}

/** close(2) of any descriptor of a file ends all POSIX locks of the process on it. */
export function removePosixLocks(task: Task, file: File): void {
  const inode = file.inode;
  if (inode?.attached !== undefined) dropOwner(inode, task.files);
}

function flockConflict(locks: InodeLocks, file: File, type: number): boolean {
  return locks.whole.some((lock) => lock.file !== file && (lock.type === F_WRLCK || type === F_WRLCK));
}

/** flock(2): `type` is F_RDLCK, F_WRLCK or F_UNLCK. A conversion gives up the old lock first, as flock(2) says. */
export function flockAttempt(task: Task, file: File, inode: Inode, type: number): Try<true> {
  const locks = makeLocks(inode);
  const index = locks.whole.findIndex((lock) => lock.file === file);
  if (index >= 0) {
    if (locks.whole[index]!.type === type) return true;
    locks.whole.splice(index, 1);
    locks.queue.wakeAll(POLLIN);
  }
  if (type === F_UNLCK) return true;
  if (flockConflict(locks, file, type)) return WOULD_BLOCK;
  if (index < 0) file.addCloseListener(() => dropFlock(inode, file));
  locks.whole.push({ file, type, pid: task.tgid });
  return true;
}

function dropFlock(inode: Inode, file: File): void {
  const locks = locksOf(inode);
  const index = locks?.whole.findIndex((lock) => lock.file === file) ?? -1;
  if (locks === undefined || index < 0) return;
  locks.whole.splice(index, 1);
  locks.queue.wakeAll(POLLIN);
}

export function* flockWait(task: Task, file: File, inode: Inode, type: number): Sleeps<void> {
  yield* waitUntil(task, makeLocks(inode).queue, 0, () => flockAttempt(task, file, inode, type));
}
