// SPDX-License-Identifier: Apache-2.0
// The one place where kernel code waits for others.
//
// Wake-ups are hints: an attempt decides. No wake-up is lost, because nothing runs between an attempt that answers
// WOULD_BLOCK and the `yield` after it. An exclusive waiter that was woken and leaves without using it (signal,
// deadline) passes the wake-up on.

import type { KernelTimer, Task, WaitOptions } from "../include/linux/sched.ts";
import {
  type Sleeps,
  type Try,
  WAIT_BLOCKED,
  type WaitEntry,
  type WaitQueue,
  WOULD_BLOCK,
} from "../include/linux/wait.ts";
import { ERESTARTSYS } from "../lib/errno.ts";
import { POLLERR, POLLHUP } from "../include/linux/fs.ts";
import { isKilled } from "./signal-state.ts";
import { self, type TaskStruct } from "./task.ts";

const ALWAYS = POLLERR | POLLHUP;

class Waiter implements WaitEntry {
  readonly exclusive: boolean;
  isWoken = false;
  readonly #task: Task;
  readonly #events: number;

  constructor(task: Task, events: number, exclusive: boolean) {
    this.#task = task;
    this.#events = events === 0 ? 0 : events | ALWAYS;
    this.exclusive = exclusive;
  }

  wake(events: number): boolean {
    if (events !== 0 && this.#events !== 0 && (events & this.#events) === 0) return false;
    if (this.exclusive && this.isWoken) return false;
    this.isWoken = true;
    this.#task.wake();
    return true;
  }
}

const NO_OPTIONS: WaitOptions = {};

function mustLeave(task: TaskStruct, options: WaitOptions): boolean {
  if (!task.hasSignal) return false;
  return options.uninterruptible === true ? isKilled(task) : true;
}

/** Attempts; while the answer is WOULD_BLOCK, sleeps until `queue` announces one of `events`, and attempts again.
 *  The same loop as waitAny's, for one queue: a pipe's reader and writer meet here for each byte. */
export function* waitUntil<T>(
  sleeper: Task,
  queue: WaitQueue,
  events: number,
  attempt: () => Try<T>,
  options: WaitOptions = NO_OPTIONS,
): Sleeps<T> {
  let answer = attempt();
  if (answer !== WOULD_BLOCK) return answer;
  const task = self(sleeper);
  const waiter = new Waiter(task, events, options.exclusive === true);
  const alarm = options.deadlineNs === undefined ? undefined : new Alarm(task, options.deadlineNs);
  queue.add(waiter);
  try {
    for (;;) {
      if (alarm?.isPast === true) {
        if (options.timeout !== undefined) throw options.timeout;
        // The caller's T admits WOULD_BLOCK when it gives a deadline and no error.
        return answer as T;
      }
      if (mustLeave(task, options)) throw options.interrupted ?? ERESTARTSYS;
      task.isUninterruptible = options.uninterruptible === true;
      waiter.isWoken = false;
      yield WAIT_BLOCKED;
      answer = attempt();
      if (answer !== WOULD_BLOCK) {
        waiter.isWoken = false;
        return answer;
      }
    }
  } finally {
    alarm?.cancel();
    queue.remove(waiter);
    if (waiter.isWoken && waiter.exclusive) queue.wake(events);
  }
}

/** The deadline of a wait. */
class Alarm {
  readonly #task: TaskStruct;
  readonly #deadlineNs: number;
  readonly #timer: KernelTimer;

  constructor(task: TaskStruct, deadlineNs: number) {
    this.#task = task;
    this.#deadlineNs = deadlineNs;
    this.#timer = task.kernel.time.addTimer(deadlineNs, () => task.wake());
  }

  get isPast(): boolean {
    return this.#deadlineNs <= this.#task.kernel.time.monotonicNs();
  }

  cancel(): void {
    this.#timer.cancel();
  }
}

export interface WaitSource {
  readonly queue: WaitQueue;
  readonly events: number;
}

/** As waitUntil, on several queues at once: poll(2), select(2), epoll. */
export function* waitAny<T>(
  sleeper: Task,
  sources: readonly WaitSource[],
  attempt: () => Try<T>,
  options: WaitOptions = NO_OPTIONS,
): Sleeps<T> {
  const task = self(sleeper);
  const waiters = sources.map(({ events }) => new Waiter(task, events, options.exclusive === true));
  sources.forEach(({ queue }, index) => queue.add(waiters[index]!));
  const alarm = options.deadlineNs === undefined ? undefined : new Alarm(task, options.deadlineNs);
  let isAnswered = false;
  try {
    for (;;) {
      const answer = attempt();
      if (answer !== WOULD_BLOCK) {
        isAnswered = true;
        return answer;
      }
      if (alarm?.isPast === true) {
        if (options.timeout !== undefined) throw options.timeout;
        // The caller's T admits WOULD_BLOCK when it gives a deadline and no error.
        return answer as T;
      }
      if (mustLeave(task, options)) throw options.interrupted ?? ERESTARTSYS;
      task.isUninterruptible = options.uninterruptible === true;
      for (const waiter of waiters) waiter.isWoken = false;
      yield WAIT_BLOCKED;
    }
  } finally {
    alarm?.cancel();
    sources.forEach(({ queue, events }, index) => {
      queue.remove(waiters[index]!);
      if (!isAnswered && options.exclusive === true && waiters[index]!.isWoken) queue.wake(events);
    });
  }
}
