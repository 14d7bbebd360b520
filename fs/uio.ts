// SPDX-License-Identifier: Apache-2.0
// User memory for the system calls of fs/: a task's door to it, vectors of buffers, windows.
//
// A read or write moves its bytes a window at a time: the window's user pages are made present, an IovIter over
// them is given to the file, and it goes on as long as the file fills the window. Sources: readv(2), uio.ts.

import type { UserAccess } from "../include/linux/mm_types.ts";
import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { MAX_RW_COUNT, UIO_MAXIOV } from "../include/uapi/fs.ts";
import { EFAULT, EINVAL } from "../lib/errno.ts";

/** Most bytes that are made present at once. */
export const WINDOW_BYTES: number = 128 * 1024;
const USER_ADDRESS_END = 0x7fff_ffff_f000;
/** Of a struct iovec. */
const SEGMENT_BYTES = 16;
/** Room for a vector while it is read, which is at once. */
const FEW_SEGMENTS = 16;
const FEW = new Uint8Array(FEW_SEGMENTS * SEGMENT_BYTES);

export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** The task's user memory. Throws EFAULT for a task without one. */
export function userOf(task: Task): UserAccess {
  if (task.mm === undefined) throw EFAULT;
  return task.mm.user;
}

/** The segments of an iovec array; lengths add up to at most MAX_RW_COUNT. Throws EINVAL, EFAULT. */
export function* readSegments(task: Task, address: number, count: number): Sleeps<Segment[]> {
  checkSegments(count);
  return count === 0 ? [] : segmentsIn(yield* userOf(task).copyIn(address, count * SEGMENT_BYTES));
}

/** The same at once; undefined when it has to be waited for, or cannot be had. */
export function tryReadSegments(task: Task, address: number, count: number): Segment[] | undefined {
  checkSegments(count);
  if (count === 0) return [];
  const bytes = count <= FEW_SEGMENTS
    ? FEW.subarray(0, count * SEGMENT_BYTES)
    : new Uint8Array(count * SEGMENT_BYTES);
  return userOf(task).tryCopyIn(address, bytes) ? segmentsIn(bytes) : undefined;
}

function checkSegments(count: number): void {
  if (count < 0 || count > UIO_MAXIOV) throw EINVAL;
}

function segmentsIn(bytes: Uint8Array): Segment[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments: Segment[] = [];
  let total = 0;
  for (let at = 0; at < bytes.length; at += SEGMENT_BYTES) {
    const base = readU64(view, at);
    const length = readU64(view, at + 8);
    if (length >= 2 ** 63) throw EINVAL;
    if (base + length > USER_ADDRESS_END && length > 0) throw EFAULT;
    const kept = Math.min(length, MAX_RW_COUNT - total);
    total += kept;
    if (kept > 0) segments.push({ address: base, length: kept });
  }
  return segments;
}

export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}

export function readS64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getInt32(offset + 4, true) * 0x1_0000_0000;
}

export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000) >>> 0, true);
}

/** The bytes of `segments` from `start` on, at most a window of them. */
export function windowOf(segments: readonly Segment[], start: number): Segment[] {
  const window: Segment[] = [];
  let skip = start;
  let room = WINDOW_BYTES;
  for (const { address, length } of segments) {
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const taken = Math.min(length - skip, room);
    window.push({ address: address + skip, length: taken });
    skip = 0;
    room -= taken;
    if (room === 0) break;
  }
  return window;
}

export function lengthOf(segments: readonly Segment[]): number {
  let total = 0;
  for (const { length } of segments) total += length;
  return total;
}
