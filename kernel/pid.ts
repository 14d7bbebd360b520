// SPDX-License-Identifier: Apache-2.0
// The table of tasks by pid, and the numbers themselves: they rise, and wrap around at pid_max (proc(5)).
//
// A number stays taken while a task, a process group or a session bears it.

import { EAGAIN } from "../lib/errno.ts";
import type { TaskIndex, TaskStruct, ThreadGroupStruct } from "./task.ts";

const PID_MAX = 4_194_304;
const RESERVED_PIDS = 300; // after a wrap, numbers start here

export class PidTable implements TaskIndex {
  readonly #tasks = new Map<number, TaskStruct>();
  readonly #groups = new Map<number, ThreadGroupStruct>();
  readonly #currentTask: () => TaskStruct | undefined;
  #last = 0;

  constructor(current: () => TaskStruct | undefined) {
    this.#currentTask = current;
  }

  get current(): TaskStruct | undefined {
    return this.#currentTask();
  }

  get count(): number {
    return this.#tasks.size;
  }

  /** The number given out last, for /proc/loadavg. */
  get lastPid(): number {
    return this.#last;
  }

  find(pid: number): TaskStruct | undefined {
    return this.#tasks.get(pid);
  }

  findGroup(tgid: number): ThreadGroupStruct | undefined {
    return this.#groups.get(tgid);
  }

  all(): Iterable<TaskStruct> {
    return this.#tasks.values();
  }

  groups(): Iterable<ThreadGroupStruct> {
    return this.#groups.values();
  }

  *groupsOf(pgid: number): Generator<ThreadGroupStruct, void, void> {
    for (const group of [...this.#groups.values()]) if (group.pgid === pgid) yield group;
  }

  *processGroup(pgid: number): Generator<TaskStruct, void, void> {
    for (const group of this.groupsOf(pgid)) yield* group.threads;
  }

  allocate(): number {
    for (let tries = 0; tries < PID_MAX; tries++) {
      this.#last++;
      if (this.#last >= PID_MAX) this.#last = RESERVED_PIDS;
      if (!this.#isTaken(this.#last)) return this.#last;
    }
    throw EAGAIN;
  }

  add(task: TaskStruct): void {
    this.#tasks.set(task.pid, task);
    if (task.group.leader === task) this.#groups.set(task.group.tgid, task.group);
  }

  /** The task is dead and waited for. */
  remove(task: TaskStruct): void {
    if (this.#tasks.get(task.pid) === task) this.#tasks.delete(task.pid);
    const { group } = task;
    if (group.leader === task && this.#groups.get(group.tgid) === group) this.#groups.delete(group.tgid);
  }

  #isTaken(pid: number): boolean {
    if (this.#tasks.has(pid) || this.#groups.has(pid)) return true;
    // Only numbers seen before can name a group or session whose leader is gone.
    for (const group of this.#groups.values()) if (group.pgid === pid || group.sid === pid) return true;
    return false;
  }
}
