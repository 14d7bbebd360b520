// SPDX-License-Identifier: Apache-2.0
// timerfd: a timer that is read.
//
// A periodic timer counts on from its last expiration when it is read, so that one kernel timer is pending at most and
// no tick is lost. Source: timerfd_create(2).

import { POLLIN, POLLRDNORM } from "../include/linux/fs.ts";
import type { Kernel, KernelTimer, Task } from "../include/linux/sched.ts";
import { flagsOf, int, openFile, pointer, type Syscall, syscall } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { CAP_WAKE_ALARM } from "../include/uapi/capability.ts";
import {
  TFD_CLOEXEC,
  TFD_NONBLOCK,
  TFD_TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET,
} from "../include/uapi/eventpoll.ts";
import { O_NONBLOCK, O_RDWR } from "../include/uapi/fcntl.ts";
import type { File } from "../include/linux/fs.ts";
import { EINVAL, EPERM } from "../lib/errno.ts";
import { capable } from "../security/commoncap.ts";
import { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";
import { readS64, userOf, writeU64 } from "./uio.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const CLOCK_REALTIME_ALARM = 8;
const CLOCK_BOOTTIME_ALARM = 9;
const CLOCKS = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM];
const READ_EVENTS = POLLIN | POLLRDNORM;
const NS_PER_S = 1_000_000_000;
const ITIMERSPEC_BYTES = 32;

export class TimerFile extends AnonymousFile {
  readonly clock: number;
  readonly #kernel: Kernel;
  readonly #queue: WaitQueue = new WaitQueue();
  #timer: KernelTimer | undefined;
  /** Monotonic time of the next expiration; undefined when disarmed. */
  #deadlineNs: number | undefined;
  #intervalNs = 0;
  #ticks = 0;
  #hasFired = false;
  #settimeFlags = 0;

  constructor(kernel: Kernel, clock: number, flags: number) {
    super(new AnonymousInode(kernel, 0o600), "anon_inode:[timerfd]", O_RDWR | (flags & O_NONBLOCK));
    this.#kernel = kernel;
    this.clock = clock;
  }

  override get waitQueue(): WaitQueue {
    return this.#queue;
  }

  override read(iter: IovIter): Try<number> {
    if (iter.remaining < 8) throw EINVAL;
    if (this.#ticks === 0) return WOULD_BLOCK;
    if (this.#hasFired) this.#forward();
    const bytes = new Uint8Array(8);
    writeU64(new DataView(bytes.buffer), 0, this.#ticks);
    this.#ticks = 0;
    iter.copyOut(bytes, 0, 8);
    return 8;
  }

  override poll(): number {
    return this.#ticks > 0 ? READ_EVENTS : 0;
  }

  /** [interval, value left], ns. */
  settings(): [number, number] {
    if (this.#hasFired) this.#forward();
    const left = this.#deadlineNs === undefined
      ? 0
      : Math.max(1, this.#deadlineNs - this.#kernel.time.monotonicNs());
    return [this.#intervalNs, left];
  }

  /** `valueNs` 0 disarms; with TFD_TIMER_ABSTIME it is a time of the timer's clock. */
  set(flags: number, intervalNs: number, valueNs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#ticks = 0;
    this.#hasFired = false;
    this.#intervalNs = intervalNs;
    this.#settimeFlags = flags;
    this.#deadlineNs = undefined;
    if (valueNs === 0) return;
    const { time } = this.#kernel;
    let deadline = valueNs;
    if ((flags & TFD_TIMER_ABSTIME) === 0) deadline += time.monotonicNs();
    else if (this.clock === CLOCK_REALTIME || this.clock === CLOCK_REALTIME_ALARM) {
      deadline -= this.#wallOffset();
    }
    this.#arm(Math.max(0, deadline));
  }

  #wallOffset(): number {
    const { sec, nsec } = this.#kernel.time.realtime();
    // Near 2^61 ns a double is exact to 256 ns, which is below what a timer promises.
    return sec * NS_PER_S + nsec - this.#kernel.time.monotonicNs();
  }

  #arm(deadlineNs: number): void {
    this.#deadlineNs = deadlineNs;
    this.#timer = this.#kernel.time.addTimer(deadlineNs, () => {
      this.#ticks++;
      this.#hasFired = true;
      if (this.#intervalNs === 0) this.#deadlineNs = undefined;
      this.#queue.wake(READ_EVENTS);
    });
  }

  /** Counts the periods since the timer fired and starts the next one. */
  #forward(): void {
    this.#hasFired = false;
    if (this.#intervalNs === 0 || this.#deadlineNs === undefined) return;
    const missed = Math.max(
      0,
      Math.floor((this.#kernel.time.monotonicNs() - this.#deadlineNs) / this.#intervalNs),
    );
    this.#ticks += missed;
    this.#arm(this.#deadlineNs + (missed + 1) * this.#intervalNs);
  }

  override release(): void {
    this.#timer?.cancel();
  }

  override showFdInfo(): string {
    const [interval, value] = this.settings();
    const show = (ns: number): string => `(${Math.floor(ns / NS_PER_S)}, ${ns % NS_PER_S})`;
    return `clockid: ${this.clock}\nticks: ${this.#ticks}\nsettime flags: 0${
      this.#settimeFlags.toString(8)
    }\n`
      + `it_value: ${show(value)}\nit_interval: ${show(interval)}\n`;
  }
}

function timerOf(file: File): TimerFile {
  if (file instanceof TimerFile) return file;
  throw EINVAL;
}

function create(task: Task, clock: number, flags: number): number {
  if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) !== 0 || !CLOCKS.includes(clock)) throw EINVAL;
  if ((clock === CLOCK_REALTIME_ALARM || clock === CLOCK_BOOTTIME_ALARM) && !capable(task, CAP_WAKE_ALARM)) {
    throw EPERM;
  }
  return task.files.install(task, new TimerFile(task.kernel, clock, flags), (flags & TFD_CLOEXEC) !== 0);
}

function encode([interval, value]: readonly [number, number]): Uint8Array {
  const bytes = new Uint8Array(ITIMERSPEC_BYTES);
  const view = new DataView(bytes.buffer);
  [interval, value].forEach((ns, index) => {
    writeU64(view, index * 16, Math.floor(ns / NS_PER_S));
    writeU64(view, index * 16 + 8, ns % NS_PER_S);
  });
  return bytes;
}

function decode(bytes: Uint8Array): [number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (offset: number): number => {
    const seconds = readS64(view, offset);
    const nanoseconds = readS64(view, offset + 8);
    if (seconds < 0 || nanoseconds < 0 || nanoseconds >= NS_PER_S) throw EINVAL;
    return seconds * NS_PER_S + nanoseconds;
  };
  return [at(0), at(16)];
}

function* settime(task: Task, file: File, flags: number, newValue: number, oldValue: number): Sleeps<number> {
  const user = userOf(task);
  const [interval, value] = decode(yield* user.copyIn(newValue, ITIMERSPEC_BYTES));
  if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) throw EINVAL;
  const timer = timerOf(file);
  const old = timer.settings();
  timer.set(flags, interval, value);
  if (oldValue !== 0) yield* user.copyOut(oldValue, encode(old));
  return 0;
}

function* gettime(task: Task, file: File, address: number): Sleeps<number> {
  yield* userOf(task).copyOut(address, encode(timerOf(file).settings()));
  return 0;
}

export const timerfdSyscalls: readonly Syscall[] = [
  syscall("timerfd_create", [int, flagsOf({ TFD_CLOEXEC, TFD_NONBLOCK })], create),
  syscall(
    "timerfd_settime",
    [openFile, flagsOf({ TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET }), pointer, pointer],
    settime,
    {
      level: "partial",
      missing: "TFD_TIMER_CANCEL_ON_SET is accepted, a change of the clock cancels nothing",
    },
  ),
  syscall("timerfd_gettime", [openFile, pointer], gettime),
];
