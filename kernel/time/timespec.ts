// SPDX-License-Identifier: Apache-2.0
// struct timespec and timeval in user memory, and deadlines from them.
//
// Times are nanoseconds in numbers: exact below 2^53, and to 256 ns for times of the wall clock.

import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_TAI,
} from "../../include/uapi/time.ts";
import { EINVAL } from "../../lib/errno.ts";
import type { KernelCore } from "../task.ts";
import { type LittleView, readS64, viewOf, writeS64 } from "../uaccess.ts";
import { TimeKeeping } from "./timekeeping.ts";

export const NS_PER_SEC = 1_000_000_000;

/** A span in ns. Throws EINVAL for a negative or ill-formed one. */
export function readTimespecNs(view: LittleView, offset: number): number {
  const sec = readS64(view, offset);
  const nsec = readS64(view, offset + 8);
  if (sec < 0 || nsec < 0 || nsec >= NS_PER_SEC) throw EINVAL;
  return sec * NS_PER_SEC + nsec;
}

/** The same as a bigint: absolute times of CLOCK_REALTIME do not fit in 53 bits. */
export function readTimespecBig(view: LittleView, offset: number): bigint {
  const sec = view.getBigInt64(offset);
  const nsec = view.getBigInt64(offset + 8);
  if (sec < 0n || nsec < 0n || nsec >= 1_000_000_000n) throw EINVAL;
  return sec * 1_000_000_000n + nsec;
}

export function readTimevalNs(view: LittleView, offset: number): number {
  const sec = readS64(view, offset);
  const usec = readS64(view, offset + 8);
  if (sec < 0 || usec < 0 || usec >= 1_000_000) throw EINVAL;
  return sec * NS_PER_SEC + usec * 1000;
}

export function writeTimespec(view: LittleView, offset: number, ns: number): void {
  const sec = Math.floor(ns / NS_PER_SEC);
  writeS64(view, offset, sec);
  writeS64(view, offset + 8, ns - sec * NS_PER_SEC);
}

export function writeTimeval(view: LittleView, offset: number, ns: number): void {
  const sec = Math.floor(ns / NS_PER_SEC);
  writeS64(view, offset, sec);
  writeS64(view, offset + 8, Math.floor((ns - sec * NS_PER_SEC) / 1000));
}

export function timespecBytes(ns: number): Uint8Array {
  const bytes = new Uint8Array(16);
  writeTimespec(viewOf(bytes), 0, ns);
  return bytes;
}

export function timekeeping(kernel: KernelCore): TimeKeeping {
  if (kernel.time instanceof TimeKeeping) return kernel.time;
  throw new TypeError("a clock of another kernel");
}

/** True for clocks of the wall. */
export function isRealtime(clock: number): boolean {
  return clock === CLOCK_REALTIME || clock === CLOCK_REALTIME_ALARM || clock === CLOCK_TAI;
}

/** True for clocks that one can sleep on as on CLOCK_MONOTONIC. */
export function isMonotonic(clock: number): boolean {
  return clock === CLOCK_MONOTONIC || clock === CLOCK_BOOTTIME || clock === CLOCK_BOOTTIME_ALARM;
}

/** The moment on CLOCK_MONOTONIC that a span, or a time of `clock`, ends at. Throws EINVAL for another clock. */
export function deadlineOf(kernel: KernelCore, clock: number, isAbsolute: boolean, ns: number): number {
  if (!isRealtime(clock) && !isMonotonic(clock)) throw EINVAL;
  const time = timekeeping(kernel);
  if (!isAbsolute) return time.monotonicNs() + ns;
  if (isMonotonic(clock)) return ns;
  return Math.max(0, ns - Number(time.realtimeNs() - BigInt(time.monotonicNs())));
}
