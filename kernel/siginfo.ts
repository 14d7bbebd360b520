// SPDX-License-Identifier: Apache-2.0
// siginfo_t as 64-bit programs see it: 128 bytes, signo, errno, code, then a union at offset 16.
// Source: sigaction(2), "The siginfo_t argument to a SA_SIGINFO handler".

import type { SignalInfo } from "../include/linux/sched.ts";
import {
  SI_KERNEL,
  SI_TIMER,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGIO,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
} from "../include/uapi/signal.ts";
import { type LittleView, viewOf, writeS64 } from "./uaccess.ts";

export const SIGINFO_BYTES = 128;

export function encodeSignalInfo(info: SignalInfo): Uint8Array {
  const bytes = new Uint8Array(SIGINFO_BYTES);
  if (info.raw !== undefined) {
    bytes.set(info.raw.subarray(0, SIGINFO_BYTES));
    return bytes;
  }
  const view = viewOf(bytes);
  view.setInt32(0, info.signal);
  view.setInt32(4, info.errno ?? 0);
  view.setInt32(8, info.code);
  encodeUnion(view, info);
  return bytes;
}

function encodeUnion(view: LittleView, info: SignalInfo): void {
  const isByKernel = info.code > 0 && info.code < SI_KERNEL;
  if (info.code === SI_TIMER) {
    view.setInt32(16, info.timerId ?? 0);
    view.setInt32(20, info.overrun ?? 0);
    view.setBigInt64(24, BigInt.asIntN(64, info.value ?? 0n));
  } else if (isByKernel && info.signal === SIGCHLD) {
    encodeSender(view, info);
    view.setInt32(24, info.status ?? 0);
    writeS64(view, 32, info.userTicks ?? 0);
    writeS64(view, 40, info.systemTicks ?? 0);
  } else if (isByKernel && info.signal === SIGSYS) {
    writeAddress(view, info);
    view.setInt32(24, info.status ?? 0); // the call's number
    view.setInt32(28, Number(info.value ?? 0n)); // AUDIT_ARCH_*
  } else if (isByKernel && isFault(info.signal)) {
    writeAddress(view, info);
  } else if (info.band !== undefined || (isByKernel && info.signal === SIGIO)) {
    writeS64(view, 16, info.band ?? 0);
    view.setInt32(24, info.fd ?? 0);
  } else {
    encodeSender(view, info);
    view.setBigInt64(24, BigInt.asIntN(64, info.value ?? 0n));
  }
}

function writeAddress(view: LittleView, { address = 0 }: SignalInfo): void {
  if (typeof address === "bigint") view.setBigInt64(16, BigInt.asIntN(64, address));
  else writeS64(view, 16, address);
}

function encodeSender(view: LittleView, info: SignalInfo): void {
  view.setInt32(16, info.pid ?? 0);
  view.setInt32(20, info.uid ?? 0);
}

function isFault(signal: number): boolean {
  return signal === SIGSEGV || signal === SIGBUS || signal === SIGILL || signal === SIGFPE
    || signal === SIGTRAP;
}

/** siginfo_t from a program (rt_sigqueueinfo(2), PTRACE_SETSIGINFO): kept as it is. */
export function decodeSignalInfo(signal: number, bytes: Uint8Array): SignalInfo {
  const raw = bytes.slice(0, SIGINFO_BYTES);
  const view = viewOf(raw);
  view.setInt32(0, signal);
  return {
    signal,
    code: view.getInt32(8),
    errno: view.getInt32(4),
    pid: view.getInt32(16),
    uid: view.getInt32(20),
    value: view.getBigInt64(24),
    raw,
  };
}
