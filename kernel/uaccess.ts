// SPDX-License-Identifier: Apache-2.0
// User memory for system-call bodies: at once when the pages are present, else through a generator that faults.

import type { Task } from "../include/linux/sched.ts";
import type { SyscallAnswer } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { mmOf } from "./task.ts";

/** Writes `bytes` (nothing at address 0 when `isOptional`), then answers `result`. */
export function copyOutResult(task: Task, address: number, bytes: Uint8Array, result: number = 0): SyscallAnswer {
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

/** Little-endian 64-bit words. */
export function words64(...values: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigInt64(index * 8, typeof value === "bigint" ? BigInt.asIntN(64, value) : BigInt(value), true);
  });
  return bytes;
}

/** Little-endian 32-bit words. */
export function words32(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setInt32(index * 4, value | 0, true));
  return bytes;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A signed 64-bit field as a number: exact within +-2^53, else rounded. */
export function readS64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
}

/** An unsigned 64-bit field as a number. */
export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
}

/** Writes an integer of at most 2^53 in size as 64 bits. */
export function writeS64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
