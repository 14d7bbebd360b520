// SPDX-License-Identifier: Apache-2.0
// Tasks and the kernel object, as every folder sees them. Implemented in kernel/ and put together in init/.

import type { Host } from "../host/host.ts";
import type { Cpu, GuestArch } from "./cpu.ts";
import type { File, Path, TimeSpec, Vfs } from "./fs.ts";
import type { Mm, PageAllocator } from "./mm_types.ts";
import type { Sleeps, WaitQueue } from "./wait.ts";
import type { Ram } from "../../lib/ram.ts";

/** The root of all state. Several may live in one JavaScript realm. */
export interface Kernel {
  readonly host: Host;
  readonly arch: GuestArch;
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly frames: PageAllocator;
  readonly vfs: Vfs;
  readonly time: TimeKeeper;
  readonly tasks: TaskTable;
  readonly random: { fill(bytes: Uint8Array): void };
  readonly uts: {
    sysname: string;
    nodename: string;
    release: string;
    version: string;
    machine: string;
    domainname: string;
  };
  readonly control: ProcessControl;
  /** Appends a line to the log that dmesg(1) reads. `level` is 0 (emergency) to 7 (debug). */
  printk(level: number, message: string): void;
  /** State of a folder by its own key: `kernel.state(PIPES, () => new PipeState())`. */
  state<T>(key: StateKey<T>, make: () => T): T;
}

/** What other folders ask of kernel/ about processes. Implemented in kernel/. */
export interface ProcessControl {
  /** Sends a signal to a process, as kill(2) by the kernel itself. Never sleeps. */
  sendSignal(group: ThreadGroup, info: SignalInfo): void;
  /** Makes `signal` pending for this thread with the default action, whatever it blocked, ignored or caught. */
  forceFatalSignal(task: Task, signal: number): void;
  /** execve(2), the point of no return: every other thread of the group dies and `task` becomes its leader.
   *  Throws EAGAIN when another thread already does this, or the group is exiting. */
  deThread(task: Task): Sleeps<void>;
  /** execve(2), after deThread: `mm` (with the reference that the caller holds) becomes the task's and the CPU's;
   *  the old one is put and a vfork(2) parent goes on; handlers go to the default, the alternate stack, robust list,
   *  clear_child_tid, POSIX timers and restart block of the old program are gone; isExecuted is set. */
  replaceMm(task: Task, mm: Mm): void | Sleeps<void>;
  /** execve(2), last: fresh registers (GuestArch.startThread) for the task, live or saved; pending ptrace events. */
  startThread(task: Task, pc: number, sp: number): void;
}

/** Identity of a piece of per-kernel state that a folder owns. */
export class StateKey<T> {
  readonly name: string;
  /** Never set: carries the type. */
  declare readonly type: T;
  constructor(name: string) {
    this.name = name;
  }
}

export interface TimeKeeper {
  /** CLOCK_MONOTONIC, ns. */
  monotonicNs(): number;
  /** CLOCK_REALTIME as seconds and nanoseconds. */
  realtime(): TimeSpec;
  realtimeNs(): bigint;
  setRealtime(ns: bigint): void;
  /** CLOCK_REALTIME where CLOCK_MONOTONIC is 0. */
  readonly wallAtZeroNs: bigint;
  /** Called when the wall clock is set: TFD_TIMER_CANCEL_ON_SET, absolute sleeps on CLOCK_REALTIME, the vDSO. */
  readonly clockSetListeners: Set<() => void>;
  /** Calls `fire` (must not sleep) once at monotonic time `deadlineNs`. */
  addTimer(deadlineNs: number, fire: () => void): KernelTimer;
}

export interface KernelTimer {
  readonly deadlineNs: number;
  cancel(): void;
}

export interface TaskTable {
  find(pid: number): Task | undefined;
  all(): Iterable<Task>;
  /** Live tasks of a process group / session. */
  processGroup(pgid: number): Iterable<Task>;
  readonly count: number;
  /** The task on whose behalf the kernel runs now; undefined in timers and host events. For file operations, which
   *  are called without a task: the terminal's job control, credentials of socket messages. */
  readonly current: Task | undefined;
}

export interface Cred {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly fsuid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly capEffective: bigint;
  readonly capPermitted: bigint;
  readonly capInheritable: bigint;
  readonly capBounding: bigint;
  readonly capAmbient: bigint;
  readonly securebits: number;
  readonly noNewPrivs: boolean;
}

/** fs_struct: shared with CLONE_FS. */
export interface FsStruct {
  root: Path;
  cwd: Path;
  umask: number;
}

/** files_struct: the descriptor table, shared with CLONE_FILES. */
export interface FilesStruct {
  /** Throws EBADF. */
  get(fd: number): File;
  find(fd: number): File | undefined;
  /** Lowest free descriptor at or above `from`; throws EMFILE past RLIMIT_NOFILE. Takes over the caller's reference. */
  install(task: Task, file: File, closeOnExec: boolean, from?: number): number;
  /** Takes a number without publishing a file; disposing without install gives it back. */
  reserve(task: Task, closeOnExec: boolean): ReservedDescriptor;
  replace(task: Task, fd: number, file: File, closeOnExec: boolean): void;
  close(task: Task, fd: number): void;
  closeOnExec(fd: number): boolean;
  setCloseOnExec(fd: number, value: boolean): void;
  descriptors(): Iterable<number>;
  users: number;
  /** fork(2) without CLONE_FILES: a copy with one user that holds its own references. */
  clone(): FilesStruct;
  /** One user less; at zero every descriptor is closed. Called with `users` counting the caller. */
  put(task: Task): void;
}

export interface ReservedDescriptor extends Disposable {
  readonly fd: number;
  install(file: File): void;
}

/** The thread group (process): what POSIX gives to the process and not to the thread. */
export interface ThreadGroup {
  readonly tgid: number;
  readonly leader: Task;
  readonly threads: Set<Task>;
  parent: Task | undefined;
  readonly children: Set<ThreadGroup>;
  pgid: number;
  sid: number;
  /** Controlling terminal; its type belongs to drivers/tty. */
  tty: ControllingTerminal | undefined;
  readonly rlimits: { soft: number; hard: number }[]; // by RLIMIT_*; Infinity is RLIM_INFINITY
  readonly waitQueue: WaitQueue; // wait4 of the parent sleeps here (of the *parent's* group)
  isExecuted: boolean; // has called execve (setpgid's EACCES)
  exitCode: number;
  readonly cpuTime: { userNs: number; systemNs: number; childUserNs: number; childSystemNs: number };
}

export interface ControllingTerminal {
  readonly device: number; // st_rdev, tty_nr of /proc/PID/stat
  foregroundPgid: number;
  readonly sessionId: number;
  /** The session leader exits: SIGHUP and disassociation. */
  hangup(): void;
}

/** A thread. */
export interface Task {
  readonly kernel: Kernel;
  readonly pid: number; // tid
  readonly tgid: number;
  readonly group: ThreadGroup;
  comm: string; // at most 15 bytes
  mm: Mm | undefined; // undefined for a zombie
  fs: FsStruct;
  files: FilesStruct;
  cred: Cred;
  readonly state: "running" | "sleeping" | "uninterruptible" | "stopped" | "traced" | "zombie" | "dead";
  readonly startTimeNs: number;
  personality: number; // personality(2)
  /** System calls that it has made, the one in progress included. */
  readonly syscallCount: number;
  /** A signal that is not blocked is pending, or the task must die: sleeps end early. */
  readonly hasSignal: boolean;
  /** Makes a sleeping task runnable. Never sleeps. Idempotent. */
  wake(): void;
}

export interface SignalInfo {
  readonly signal: number;
  readonly code: number; // SI_*
  readonly errno?: number;
  readonly pid?: number;
  readonly uid?: number;
  readonly status?: number;
  /** A bigint where a number would be rounded. */
  readonly address?: number | bigint;
  readonly value?: bigint;
  readonly timerId?: number;
  readonly overrun?: number;
  /** SIGIO with F_SETSIG: the ready events and the descriptor. */
  readonly band?: number;
  readonly fd?: number;
  /** SIGCHLD: CPU time of the child in clock ticks. */
  readonly userTicks?: number;
  readonly systemTicks?: number;
  /** siginfo_t as the sender gave it (rt_sigqueueinfo(2)): goes out unchanged. */
  readonly raw?: Uint8Array;
}

export interface WaitOptions {
  /** Absolute CLOCK_MONOTONIC ns; the wait then ends with `timeout`. */
  readonly deadlineNs?: number;
  readonly timeout?: Error; // thrown at the deadline: ETIMEDOUT, EAGAIN. undefined: attempt is made once more and its WOULD_BLOCK returned
  /** Sleep through signals other than SIGKILL. */
  readonly uninterruptible?: boolean;
  /** Thrown when a signal is pending; ERESTARTSYS unless told otherwise. */
  readonly interrupted?: Error;
  readonly exclusive?: boolean;
}
