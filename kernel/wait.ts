// SPDX-License-Identifier: Apache-2.0
// The one place where kernel code waits for others.
//
// Wake-ups are hints: an attempt decides. No wake-up is lost, because nothing runs between an attempt that answers
// WOULD_BLOCK and the `yield` after it. An exclusive waiter that was woken and leaves without using it (signal,
// deadline) passes the wake-up on.

import type { Task, WaitOptions } from "../include/linux/sched.ts";
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

/** Attempts; while the answer is WOULD_BLOCK, sleeps until `queue` announces one of `events`, and attempts again. */
export function* waitUntil<T>(
  task: Task,
  queue: WaitQueue,
  events: number,
  attempt: () => Try<T>,
  options: WaitOptions = NO_OPTIONS,
): Sleeps<T> {
  const answer = attempt();
  if (answer !== WOULD_BLOCK) return answer;
  return yield* waitAny(task, [{ queue, events }], attempt, options);
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
  const { deadlineNs } = options;
  const time = task.kernel.time;
  let isPast = false;
  const timer = deadlineNs === undefined ? undefined : time.addTimer(deadlineNs, () => {
    isPast = true;
    task.wake();
  });
  let isAnswered = false;
  try {
    for (;;) {
      const answer = attempt();
      if (answer !== WOULD_BLOCK) {
        isAnswered = true;
        return answer;
      }
      if (isPast || (deadlineNs !== undefined && deadlineNs <= time.monotonicNs())) {
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
    timer?.cancel();
    sources.forEach(({ queue, events }, index) => {
      queue.remove(waiters[index]!);
      if (!isAnswered && options.exclusive === true && waiters[index]!.isWoken) queue.wake(events);
    });
  }
}
