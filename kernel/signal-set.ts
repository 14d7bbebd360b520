// SPDX-License-Identifier: Apache-2.0
// Sets of signals and queues of pending ones.
//
// A set is two 32-bit words (bit n - 1 stands for signal n), because a bigint would cost an allocation each time a
// task returns to its program. Source: signal(7), "Real-time signals": standard signals do not queue, realtime
// signals do, and the lowest number is delivered first.

import type { SignalInfo } from "../include/linux/sched.ts";
import {
  NSIG,
  SIGBUS,
  SIGFPE,
  SIGILL,
  SIGKILL,
  SIGRTMIN,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
} from "../include/uapi/signal.ts";
import { viewOf } from "../lib/little-view.ts";

export class SigSet {
  low: number = 0;
  high: number = 0;

  static of(...signals: readonly number[]): SigSet {
    const set = new SigSet();
    for (const signal of signals) set.add(signal);
    return set;
  }

  static fromBigint(bits: bigint): SigSet {
    const set = new SigSet();
    set.low = Number(bits & 0xffff_ffffn) | 0;
    set.high = Number((bits >> 32n) & 0xffff_ffffn) | 0;
    return set;
  }

  toBigint(): bigint {
    return (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0);
  }

  get isEmpty(): boolean {
    return (this.low | this.high) === 0;
  }

  has(signal: number): boolean {
    return signal <= 32 ? ((this.low >>> (signal - 1)) & 1) === 1 : ((this.high >>> (signal - 33)) & 1) === 1;
  }

  add(signal: number): void {
    if (signal <= 32) this.low |= 1 << (signal - 1);
    else this.high |= 1 << (signal - 33);
  }

  delete(signal: number): void {
    if (signal <= 32) this.low &= ~(1 << (signal - 1));
    else this.high &= ~(1 << (signal - 33));
  }

  /** Takes over what `other` holds. */
  assign(other: SigSet): void {
    this.low = other.low;
    this.high = other.high;
  }

  union(other: SigSet): void {
    this.low |= other.low;
    this.high |= other.high;
  }

  subtract(other: SigSet): void {
    this.low &= ~other.low;
    this.high &= ~other.high;
  }

  copy(): SigSet {
    const set = new SigSet();
    set.assign(this);
    return set;
  }

  /** True when something in this set is not in `blocked`. */
  hasOutside(blocked: SigSet): boolean {
    return ((this.low & ~blocked.low) | (this.high & ~blocked.high)) !== 0;
  }

  /** Lowest signal that is in this set and not in `blocked`, or 0. */
  lowestOutside(blocked: SigSet): number {
    const low = this.low & ~blocked.low;
    if (low !== 0) return 32 - Math.clz32(low & -low);
    const high = this.high & ~blocked.high;
    return high === 0 ? 0 : 64 - Math.clz32(high & -high);
  }
}

/** Eight bytes as sigset_t. */
export function sigSetFromBytes(bytes: Uint8Array): SigSet {
  const view = viewOf(bytes);
  const set = new SigSet();
  set.low = view.getInt32(0);
  set.high = view.getInt32(4);
  return set;
}

export function sigSetToBytes(set: SigSet): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = viewOf(bytes);
  view.setInt32(0, set.low);
  view.setInt32(4, set.high);
  return bytes;
}

/** Caused by the program's own instruction: delivered before others. */
const SYNCHRONOUS: readonly number[] = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS];

/** A signal in a queue. */
export interface QueuedSignal extends SignalInfo {
  /** What is delivered when its turn comes, for senders that count meanwhile (POSIX timers). */
  readonly taken?: () => SignalInfo;
}

/** Signals that wait for a thread or for a process. */
export class PendingSignals {
  readonly set: SigSet = new SigSet();
  readonly #infos: (QueuedSignal[] | undefined)[] = [];

  /** False when a standard signal is pending already and this one is therefore lost. */
  add(info: QueuedSignal): boolean {
    const { signal } = info;
    if (signal < SIGRTMIN && this.set.has(signal)) return false;
    this.set.add(signal);
    (this.#infos[signal] ??= []).push(info);
    return true;
  }

  discard(signal: number): void {
    this.set.delete(signal);
    this.#infos[signal] = undefined;
  }

  discardAll(): void {
    for (let signal = 1; signal <= NSIG; signal++) this.discard(signal);
  }

  /** Takes one notice back. */
  remove(info: QueuedSignal): void {
    const infos = this.#infos[info.signal];
    if (infos?.includes(info) !== true) return;
    const kept = infos.filter((other) => other !== info);
    if (kept.length === 0) this.discard(info.signal);
    else this.#infos[info.signal] = kept;
  }

  get count(): number {
    let count = 0;
    for (const infos of this.#infos) count += infos?.length ?? 0;
    return count;
  }

  /** Takes the signal that is due first among those not blocked. */
  dequeue(blocked: SigSet): SignalInfo | undefined {
    const signal = this.#next(blocked);
    return signal === 0 ? undefined : this.take(signal);
  }

  take(signal: number): SignalInfo | undefined {
    const infos = this.#infos[signal];
    const info = infos?.shift();
    if (infos === undefined || infos.length === 0) this.discard(signal);
    return info?.taken === undefined ? info : info.taken();
  }

  #next(blocked: SigSet): number {
    const { set } = this;
    if (!set.hasOutside(blocked)) return 0;
    if (set.has(SIGKILL)) return SIGKILL;
    for (const signal of SYNCHRONOUS) if (set.has(signal) && !blocked.has(signal)) return signal;
    return set.lowestOutside(blocked);
  }
}
