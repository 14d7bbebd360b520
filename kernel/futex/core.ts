// SPDX-License-Identifier: Apache-2.0
// Futex keys and their queues of waiters.
//
// A word in private memory is named by its address space and address; a word in shared memory by the host address of
// the byte in its frame, so that processes that map it at different places meet. A waiter on a shared word holds a
// reference to the frame, so that the name cannot pass to other contents. FUTEX_PRIVATE_FLAG is a promise that saves
// the look at the mapping.
// Nothing interleaves between reading the word and queueing, so no wake-up is lost. Source: futex(2), futex(7).

import { ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import type { Mm } from "../../include/linux/mm_types.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { EFAULT, EINVAL } from "../../lib/errno.ts";
import { mmOf, type TaskStruct } from "../task.ts";

const MAP_SHARED = 1;
const PAGE_MASK = 0xfff;

/** Waiters on one word, in the order of their arrival. */
export class FutexQueue {
  readonly waiters: Set<FutexWaiter> = new Set();
  readonly #forget: () => void;
  /** Frame held for a shared word, else 0. */
  readonly frame: number;

  constructor(forget: () => void, frame: number) {
    this.#forget = forget;
    this.frame = frame;
  }

  add(waiter: FutexWaiter): void {
    waiter.queue = this;
    this.waiters.add(waiter);
  }

  remove(waiter: FutexWaiter): void {
    if (!this.waiters.delete(waiter)) return;
    if (this.waiters.size === 0) this.#forget();
  }

  first(): FutexWaiter | undefined {
    for (const waiter of this.waiters) return waiter;
    return undefined;
  }
}

/** Someone asleep on a word. */
export class FutexWaiter {
  readonly task: TaskStruct;
  readonly bitset: number;
  /** Waits to own the lock (LOCK_PI), not merely to be woken. */
  readonly isPi: boolean;
  isWoken: boolean = false;
  queue: FutexQueue | undefined;

  constructor(task: TaskStruct, bitset: number, isPi: boolean = false) {
    this.task = task;
    this.bitset = bitset;
    this.isPi = isPi;
  }

  wake(): void {
    this.leave();
    this.isWoken = true;
    this.task.wake();
  }

  leave(): void {
    const { queue } = this;
    this.queue = undefined;
    queue?.remove(this);
  }
}

class FutexTable {
  readonly #kernel: Kernel;
  readonly #private = new Map<Mm, Map<number, FutexQueue>>();
  readonly #shared = new Map<number, FutexQueue>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  findPrivate(mm: Mm, address: number): FutexQueue | undefined {
    return this.#private.get(mm)?.get(address);
  }

  findShared(host: number): FutexQueue | undefined {
    return this.#shared.get(host);
  }

  makePrivate(mm: Mm, address: number): FutexQueue {
    let queues = this.#private.get(mm);
    if (queues === undefined) this.#private.set(mm, queues = new Map());
    const found = queues.get(address);
    if (found !== undefined) return found;
    const queue = new FutexQueue(() => this.#forgetPrivate(mm, address), 0);
    queues.set(address, queue);
    return queue;
  }

  makeShared(host: number): FutexQueue {
    const found = this.#shared.get(host);
    if (found !== undefined) return found;
    const { frames } = this.#kernel;
    const frame = host - (host & PAGE_MASK);
    frames.get(frame);
    const queue = new FutexQueue(() => {
      this.#shared.delete(host);
      frames.put(frame);
    }, frame);
    this.#shared.set(host, queue);
    return queue;
  }

  #forgetPrivate(mm: Mm, address: number): void {
    const queues = this.#private.get(mm);
    queues?.delete(address);
    if (queues?.size === 0) this.#private.delete(mm);
  }
}

const FUTEXES = new StateKey<FutexTable>("futex");

function tableOf(task: Task): FutexTable {
  return task.kernel.state(FUTEXES, () => new FutexTable(task.kernel));
}

/** Throws EINVAL for an unaligned word. */
export function checkAligned(address: number): void {
  if ((address & 3) !== 0) throw EINVAL;
}

function isSharedWord(mm: Mm, address: number): boolean {
  const vma = mm.findVma(address);
  return vma !== undefined && vma.start <= address && (vma.flags & MAP_SHARED) !== 0;
}

/** Host address of a shared word. Precondition: the page was present just now. */
function hostAddress(mm: Mm, address: number): number {
  const host = mm.user.translate(address, ACCESS_WRITE) || mm.user.translate(address, ACCESS_READ);
  if (host === 0) throw EFAULT;
  return host;
}

/** Who waits on a word, if anyone. Never sleeps: a page that is not present has no waiters known by its frame. */
export function findQueue(task: Task, address: number, isPrivate: boolean): FutexQueue | undefined {
  const mm = mmOf(task);
  const table = tableOf(task);
  if (isPrivate || !isSharedWord(mm, address)) return table.findPrivate(mm, address);
  const host = mm.user.translate(address, ACCESS_WRITE) || mm.user.translate(address, ACCESS_READ);
  return host === 0 ? undefined : table.findShared(host);
}

/** The queue of a word, made if need be; it goes when its last waiter leaves. Precondition: the page is present. */
export function makeQueue(task: Task, address: number, isPrivate: boolean): FutexQueue {
  const mm = mmOf(task);
  const table = tableOf(task);
  if (isPrivate || !isSharedWord(mm, address)) return table.makePrivate(mm, address);
  return table.makeShared(hostAddress(mm, address));
}

/** Runs `act` on the word's value; again after faulting the page in if it was not there. */
export function withWord<T>(
  task: Task,
  address: number,
  isWritten: boolean,
  act: (value: number) => T | Sleeps<T>,
): T | Sleeps<T> {
  const { user } = mmOf(task);
  const value = user.tryReadU32(address);
  if (value !== undefined && (!isWritten || user.tryPrepare(address, 4, ACCESS_WRITE))) {
    return act(value >>> 0);
  }
  return withWordSlowly(task, address, isWritten, act);
}

function* withWordSlowly<T>(
  task: Task,
  address: number,
  isWritten: boolean,
  act: (value: number) => T | Sleeps<T>,
): Sleeps<T> {
  const { user } = mmOf(task);
  for (;;) {
    yield* user.prepare(address, 4, isWritten ? ACCESS_WRITE : ACCESS_READ);
    const value = user.tryReadU32(address);
    if (value === undefined) continue;
    const answer = act(value >>> 0);
    return isSleeping(answer) ? yield* answer : answer;
  }
}

/** Stores a word that withWord has just made writable. */
export function storeWord(task: Task, address: number, value: number): void {
  if (!mmOf(task).user.tryWriteU32(address, value >>> 0)) throw EFAULT;
}
