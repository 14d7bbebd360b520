// SPDX-License-Identifier: Apache-2.0
// Reading and setting clocks. Source: clock_gettime(2), gettimeofday(2), time(2), adjtimex(2), times(2).

import {
  type Argument,
  bufferIn,
  bufferOut,
  flagsOf,
  pointer,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../../include/linux/syscalls.ts";
import type { Task } from "../../include/linux/sched.ts";
import { CAP_SYS_TIME } from "../../include/uapi/capability.ts";
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCK_THREAD_CPUTIME_ID,
  STA_UNSYNC,
  TIME_ERROR,
  USER_HZ,
} from "../../include/uapi/time.ts";
import { EINVAL, EPERM } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import { mmOf, self } from "../task.ts";
import { copyOutResult, viewOf, withBytes, writeS64 } from "../uaccess.ts";
import { isCpuClock, readCpuClock } from "./cpu-clock.ts";
import { isRealtime, NS_PER_SEC, readTimespecBig, writeTimespec } from "./timespec.ts";

export const clockId: Argument<number> = flagsOf({
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_THREAD_CPUTIME_ID,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_TAI,
});

const COARSE_NS = 4_000_000;

/** struct timespec of a clock. */
function readClock(task: Task, clock: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  const { time } = task.kernel;
  if (isRealtime(clock) || clock === CLOCK_REALTIME_COARSE) {
    const { sec, nsec } = time.realtime();
    writeS64(view, 0, sec);
    writeS64(view, 8, clock === CLOCK_REALTIME_COARSE ? nsec - (nsec % COARSE_NS) : nsec);
  } else if (isCpuClock(clock)) {
    writeTimespec(view, 0, readCpuClock(self(task), clock));
  } else if (
    clock === CLOCK_MONOTONIC || clock === CLOCK_MONOTONIC_RAW || clock === CLOCK_BOOTTIME
    || clock === CLOCK_BOOTTIME_ALARM
  ) {
    writeTimespec(view, 0, time.monotonicNs());
  } else if (clock === CLOCK_MONOTONIC_COARSE) {
    const ns = time.monotonicNs();
    writeTimespec(view, 0, ns - (ns % COARSE_NS));
  } else {
    throw EINVAL;
  }
  return bytes;
}

function checkClock(task: Task, clock: number): void {
  readClock(task, clock);
}

function setTime(task: Task, ns: bigint): number {
  if (!capable(task, CAP_SYS_TIME)) throw EPERM;
  task.kernel.time.setRealtime(ns);
  return 0;
}

/** struct timex, 208 bytes, as a machine whose clock nobody disciplines. */
function timex(task: Task): Uint8Array {
  const bytes = new Uint8Array(208);
  const view = viewOf(bytes);
  const { sec, nsec } = task.kernel.time.realtime();
  writeS64(view, 24, 16_000_000); // maxerror, us
  writeS64(view, 32, 16_000_000); // esterror
  view.setInt32(40, STA_UNSYNC);
  writeS64(view, 48, 2); // constant
  writeS64(view, 56, 1); // precision
  writeS64(view, 64, 32_768_000); // tolerance
  writeS64(view, 72, sec);
  writeS64(view, 80, Math.floor(nsec / 1000));
  writeS64(view, 88, 10_000); // tick
  return bytes;
}

function adjtimex(task: Task, address: number): SyscallAnswer {
  return withBytes(task, address, 208, (bytes) => {
    const modes = viewOf(bytes).getUint32(0);
    const ADJ_OFFSET_SS_READ = 0xa001;
    if (modes !== 0 && modes !== ADJ_OFFSET_SS_READ) {
      if (!capable(task, CAP_SYS_TIME)) throw EPERM;
      throw EINVAL;
    }
    return copyOutResult(task, address, timex(task), TIME_ERROR);
  });
}

function ticks(ns: number): number {
  return Math.floor(ns / (NS_PER_SEC / USER_HZ));
}

export const clockSyscalls: readonly Syscall[] = [
  syscall(
    "clock_gettime",
    [clockId, bufferOut],
    (task, clock, address) => copyOutResult(task, address, readClock(task, clock)),
  ),
  syscall("clock_getres", [clockId, bufferOut], (task, clock, address) => {
    checkClock(task, clock);
    if (address === 0) return 0;
    const bytes = new Uint8Array(16);
    const isCoarse = clock === CLOCK_REALTIME_COARSE || clock === CLOCK_MONOTONIC_COARSE;
    writeTimespec(viewOf(bytes), 0, isCoarse ? COARSE_NS : 1);
    return copyOutResult(task, address, bytes);
  }),
  syscall("clock_settime", [clockId, bufferIn], (task, clock, address) => {
    if (clock !== CLOCK_REALTIME) {
      checkClock(task, clock);
      throw EINVAL;
    }
    return withBytes(task, address, 16, (bytes) => setTime(task, readTimespecBig(viewOf(bytes), 0)));
  }),
  syscall("clock_adjtime", [clockId, pointer], (task, clock, address) => {
    if (clock !== CLOCK_REALTIME) throw EINVAL;
    return adjtimex(task, address);
  }, { level: "partial", missing: "changes: the host disciplines the clock" }),
  syscall("adjtimex", [pointer], adjtimex, {
    level: "partial",
    missing: "changes: the host disciplines the clock",
  }),
  syscall("gettimeofday", [bufferOut, bufferOut], function*(task, address, zoneAt) {
    const { user } = mmOf(task);
    if (address !== 0) {
      const bytes = new Uint8Array(16);
      const { sec, nsec } = task.kernel.time.realtime();
      writeS64(viewOf(bytes), 0, sec);
      writeS64(viewOf(bytes), 8, Math.floor(nsec / 1000));
      yield* user.copyOut(address, bytes);
    }
    if (zoneAt !== 0) yield* user.copyOut(zoneAt, new Uint8Array(8));
    return 0;
  }),
  syscall("settimeofday", [bufferIn, bufferIn], (task, address) => {
    if (address === 0) {
      if (!capable(task, CAP_SYS_TIME)) throw EPERM;
      return 0;
    }
    return withBytes(task, address, 16, (bytes) => {
      const view = viewOf(bytes);
      const usec = view.getBigInt64(8);
      const sec = view.getBigInt64(0);
      if (usec < 0n || usec >= 1_000_000n || sec < 0n) throw EINVAL;
      return setTime(task, sec * 1_000_000_000n + usec * 1000n);
    });
  }, { level: "partial", missing: "the time zone is not kept" }),
  syscall("time", [bufferOut], (task, address) => {
    const { sec } = task.kernel.time.realtime();
    if (address === 0) return sec;
    const bytes = new Uint8Array(8);
    writeS64(viewOf(bytes), 0, sec);
    return copyOutResult(task, address, bytes, sec);
  }),
  syscall("times", [bufferOut], (task, address) => {
    const target = self(task);
    target.kernel.sched.account();
    const uptime = ticks(task.kernel.time.monotonicNs());
    if (address === 0) return uptime;
    const bytes = new Uint8Array(32);
    const view = viewOf(bytes);
    const { cpuTime } = target.group;
    writeS64(view, 0, ticks(cpuTime.userNs));
    writeS64(view, 8, ticks(cpuTime.systemNs));
    writeS64(view, 16, ticks(cpuTime.childUserNs));
    writeS64(view, 24, ticks(cpuTime.childSystemNs));
    return copyOutResult(task, address, bytes, uptime);
  }),
];
