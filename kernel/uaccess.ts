// SPDX-License-Identifier: Apache-2.0
// User memory for system-call bodies: at once when the pages are present, else through a generator that faults.

import type { Task } from "../include/linux/sched.ts";
import type { SyscallAnswer } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { mmOf } from "./task.ts";

export { LittleView, readS64, readU64, viewOf, words32, words64, writeS64 } from "../lib/little-view.ts";

/** Writes `bytes` (nothing at address 0 when `isOptional`), then answers `result`. */
export function copyOutResult(
  task: Task,
  address: number,
  bytes: Uint8Array,
  result: number = 0,
): SyscallAnswer {
  const { user } = mmOf(task);
  if (user.tryCopyOut(address, bytes)) return result;
  return copyOutSlowly(task, address, bytes, result);
}

function* copyOutSlowly(task: Task, address: number, bytes: Uint8Array, result: number): Sleeps<number> {
  yield* mmOf(task).user.copyOut(address, bytes);
  return result;
}

/** Reads `length` bytes at `address` and goes on with them. */
export function withBytes(
  task: Task,
  address: number,
  length: number,
  use: (bytes: Uint8Array) => SyscallAnswer,
): SyscallAnswer {
  const bytes = new Uint8Array(length);
  if (mmOf(task).user.tryCopyIn(address, bytes)) return use(bytes);
  return withBytesSlowly(task, address, length, use);
}

function* withBytesSlowly(
  task: Task,
  address: number,
  length: number,
  use: (bytes: Uint8Array) => SyscallAnswer,
): Sleeps<number | bigint> {
  const answer = use(yield* mmOf(task).user.copyIn(address, length));
  return isSleeping<number | bigint>(answer) ? yield* answer : answer;
}

/** Waits for an answer that may be final already. */
export function* finish<T>(answer: T | Sleeps<T>): Sleeps<T> {
  return isSleeping(answer) ? yield* answer : answer;
}
