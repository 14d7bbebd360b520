// SPDX-License-Identifier: Apache-2.0
// Watchers of system calls. While the list is empty, tasks do not even look at it: `isActive` is false.

import type { SignalInfo } from "../include/linux/sched.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { isSleeping } from "../include/linux/wait.ts";
import { ENOSYS } from "../lib/errno.ts";
import type { SyscallHooks, TaskStruct } from "./task.ts";

/** One watcher; every method is optional. */
export interface SyscallWatcher {
  enter?(task: TaskStruct, number: number, call: Syscall | undefined): void;
  exit?(task: TaskStruct, number: number, call: Syscall | undefined, result: number | bigint | Error): void;
  signal?(task: TaskStruct, info: SignalInfo): void;
  exited?(task: TaskStruct, status: number): void;
  /** Middleware: answers in place of the call, or calls `next`. Throws Errno. */
  around?(call: SyscallCall, next: () => Sleeps<number | bigint>): Sleeps<number | bigint>;
}

export interface SyscallCall {
  readonly task: TaskStruct;
  readonly name: string;
  readonly number: number;
}

export class HookList implements SyscallHooks {
  readonly #watchers = new Set<SyscallWatcher>();
  isActive: boolean = false;

  /** Returns the function that takes the watcher out again. */
  use(watcher: SyscallWatcher): () => void {
    this.#watchers.add(watcher);
    this.isActive = true;
    return () => {
      this.#watchers.delete(watcher);
      this.isActive = this.#watchers.size > 0;
    };
  }

  enter(task: TaskStruct, number: number, call: Syscall | undefined): void {
    for (const watcher of this.#watchers) watcher.enter?.(task, number, call);
  }

  exit(task: TaskStruct, number: number, call: Syscall | undefined, result: number | bigint | Error): void {
    for (const watcher of this.#watchers) watcher.exit?.(task, number, call, result);
  }

  signal(task: TaskStruct, info: SignalInfo): void {
    for (const watcher of this.#watchers) watcher.signal?.(task, info);
  }

  exited(task: TaskStruct, status: number): void {
    for (const watcher of this.#watchers) watcher.exited?.(task, status);
  }

  around(task: TaskStruct, number: number, call: Syscall | undefined): Sleeps<number | bigint> | undefined {
    let next: (() => Sleeps<number | bigint>) | undefined;
    for (const watcher of this.#watchers) {
      const { around } = watcher;
      if (around === undefined) continue;
      const inner = next ?? (() => plain(task, call));
      const name = call?.name ?? task.kernel.arch.syscallNames[number] ?? `syscall_${String(number)}`;
      next = () => around.call(watcher, { task, name, number }, inner);
    }
    return next?.();
  }
}

function* plain(task: TaskStruct, call: Syscall | undefined): Sleeps<number | bigint> {
  if (call === undefined) throw ENOSYS;
  const answer = call.invoke(task);
  return isSleeping<number | bigint>(answer) ? yield* answer : answer;
}
