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
  /** The waiter while there is one, as mostly; `#more` is empty then. */
  #only: WaitEntry | undefined;
  /** All waiters when there are several. */
  #more: Set<WaitEntry> | undefined;

  get isEmpty(): boolean {
    return this.#only === undefined && (this.#more === undefined || this.#more.size === 0);
  }

  add(entry: WaitEntry): void {
    if (this.isEmpty || this.#only === entry) {
      this.#only = entry;
      return;
    }
    this.#more ??= new Set();
    if (this.#only !== undefined) this.#more.add(this.#only);
    this.#only = undefined;
    this.#more.add(entry);
  }

  remove(entry: WaitEntry): void {
    if (this.#only === entry) this.#only = undefined;
    else this.#more?.delete(entry);
  }

  /** Wakes every shared waiter and up to `exclusiveMax` exclusive ones. */
  wake(events: number, exclusiveMax: number = 1): void {
    if (this.#only !== undefined) {
      this.#only.wake(events);
      return;
    }
    if (this.#more === undefined || this.#more.size === 0) return;
    let left = exclusiveMax;
    // A copy: waking may change the set, and whoever is added meanwhile is not woken.
    for (const entry of [...this.#more]) {
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
