// SPDX-License-Identifier: Apache-2.0
// Sleeping: the one way in which kernel code waits.
//
// A function that may sleep is a generator of type Sleeps<T>, called with `yield*`; a function that is not one never
// sleeps. The scheduler alone drives generators, so between two yields a task has the kernel to itself.
// Operations answer from memory: they return a value or WOULD_BLOCK, and waitUntil (kernel/wait.ts) alone sleeps.

/** What a task tells the scheduler when it gives up the CPU. */
export const WAIT_BLOCKED = 1; // not runnable until wakeTask
export const WAIT_RESCHEDULE = 2; // still runnable, let others go first
export type Wait = typeof WAIT_BLOCKED | typeof WAIT_RESCHEDULE;

export type Sleeps<T> = Generator<Wait, T, void>;

export const WOULD_BLOCK: unique symbol = Symbol("WOULD_BLOCK");
export type Try<T> = T | typeof WOULD_BLOCK;

/** Only for `instanceof`: its prototype is the one that all generator objects share. Four times faster than looking
 *  for the methods of a generator, and asked several times in each system call. */
function GeneratorObject(): void {}
GeneratorObject.prototype = Object.getPrototypeOf(Object.getPrototypeOf((function*() {})()));

/** True for a generator object: the answer must be awaited with `yield*`. Numbers and the like are final. */
export function isSleeping<T>(answer: T | Sleeps<T>): answer is Sleeps<T> {
  return answer instanceof GeneratorObject;
}

/** Someone who waits in a queue. `wake` must be cheap and must not sleep; returns true if it consumed the wake-up
 *  (counts against wakeOne). */
export interface WaitEntry {
  wake(events: number): boolean;
  /** Exclusive waiters are woken one at a time. */
  readonly exclusive?: boolean;
}

/** A list of waiters, in the order of their arrival; `events` are POLL* bits so that pollers can filter. */
export class WaitQueue {
  readonly #entries = new Set<WaitEntry>();

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  add(entry: WaitEntry): void {
    this.#entries.add(entry);
  }

  remove(entry: WaitEntry): void {
    this.#entries.delete(entry);
  }

  /** Wakes every shared waiter and up to `exclusiveMax` exclusive ones. */
  wake(events: number, exclusiveMax: number = 1): void {
    if (this.#entries.size === 0) return;
    if (this.#entries.size === 1) {
      // The common case makes no copy: whoever is added meanwhile is not woken either.
      for (const entry of this.#entries) {
        entry.wake(events);
        return;
      }
    }
    let left = exclusiveMax;
    // One waiter is the common case and needs no copy; with more, waking may change the set.
    const entries = this.#entries.size === 1 ? this.#entries : [...this.#entries];
    const count = this.#entries.size;
    let visited = 0;
    for (const entry of entries) {
      if (visited++ === count) break;
      if (entry.exclusive === true) {
        if (left > 0 && entry.wake(events)) left--;
      } else {
        entry.wake(events);
      }
    }
  }

  wakeAll(events: number): void {
    this.wake(events, Infinity);
  }
}
