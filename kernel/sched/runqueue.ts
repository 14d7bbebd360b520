// SPDX-License-Identifier: Apache-2.0
// Who runs next.
//
// Two first-in first-out queues: tasks that just woke from a sleep, and tasks whose time slice ran out. The first goes
// before the second, so that what waits for input answers soon, but only WOKEN_IN_A_ROW times while the other has
// someone, so that two tasks that play ping-pong starve no one. Nice values stretch and shrink slices instead of
// changing the order. The order depends on nothing but the order of pushes, and on `choose` when a test or a seed
// sets one.

import type { TaskStruct } from "../task.ts";

const WOKEN_IN_A_ROW = 32;

/** A growing ring buffer. */
class Ring {
  #slots: (TaskStruct | undefined)[] = new Array<TaskStruct | undefined>(64).fill(undefined);
  #head = 0;
  length: number = 0;

  push(task: TaskStruct): void {
    if (this.length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.length) & (this.#slots.length - 1)] = task;
    this.length++;
  }

  shift(): TaskStruct | undefined {
    if (this.length === 0) return undefined;
    const task = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.length--;
    return task;
  }

  /** Takes the task at `index` out; those before it keep their order. */
  takeAt(index: number): TaskStruct | undefined {
    const before: TaskStruct[] = [];
    for (let left = index; left > 0; left--) before.push(this.shift()!);
    const task = this.shift();
    const after = this.length;
    for (const other of before) this.push(other);
    for (let left = after; left > 0; left--) this.push(this.shift()!);
    return task;
  }

  #grow(): void {
    const { length } = this.#slots;
    const larger = new Array<TaskStruct | undefined>(length * 2).fill(undefined);
    for (let index = 0; index < length; index++) {
      larger[index] = this.#slots[(this.#head + index) & (length - 1)];
    }
    this.#slots = larger;
    this.#head = 0;
  }
}

export class RunQueue {
  readonly #woken = new Ring();
  readonly #expired = new Ring();
  #inARow = 0;
  /** Picks one of `count` runnable tasks: a schedule explorer, or a seed. Undefined: in turn. */
  choose: ((count: number) => number) | undefined;

  get length(): number {
    return this.#woken.length + this.#expired.length;
  }

  pushWoken(task: TaskStruct): void {
    this.#woken.push(task);
  }

  pushExpired(task: TaskStruct): void {
    this.#expired.push(task);
  }

  next(): TaskStruct | undefined {
    if (this.choose !== undefined) return this.#chosen(this.choose);
    if (this.#woken.length > 0 && (this.#expired.length === 0 || this.#inARow < WOKEN_IN_A_ROW)) {
      this.#inARow++;
      return this.#woken.shift();
    }
    this.#inARow = 0;
    return this.#expired.shift();
  }

  #chosen(choose: (count: number) => number): TaskStruct | undefined {
    const { length } = this;
    if (length === 0) return undefined;
    const index = length === 1 ? 0 : choose(length);
    const woken = this.#woken.length;
    return index < woken ? this.#woken.takeAt(index) : this.#expired.takeAt(index - woken);
  }
}

/** Choices that follow from a seed alone (xorshift32). */
export function seededChoice(seed: number): (count: number) => number {
  let state = Math.imul(seed, 0x9e37_79b1) | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}
