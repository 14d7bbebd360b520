// SPDX-License-Identifier: Apache-2.0
// Tasks (threads), thread groups (processes) and what threads share of signals.
//
// Invariants: a task is in the scheduler's queue exactly when its state is "running" and it is not the current one.
// A group's `threads` holds the threads that have not exited; a group without threads is a zombie until it is reaped.
// `pendingWork` is the one word that is looked at before a return to the program: zero means straight back.

import type {
  ControllingTerminal,
  Cred,
  FilesStruct,
  FsStruct,
  Kernel,
  SignalInfo,
  Task,
  TaskTable,
  ThreadGroup,
} from "../include/linux/sched.ts";
import type { Mm } from "../include/linux/mm_types.ts";
import type { SignalStack } from "../include/linux/cpu.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import { type Sleeps, WaitQueue } from "../include/linux/wait.ts";
import { NSIG, SS_DISABLE } from "../include/uapi/signal.ts";
import type { RestartError } from "../lib/errno.ts";
import { SAVED_BYTES } from "../virt/layout.ts";
import type { BpfProgram } from "./seccomp-filter.ts";
import { PendingSignals, SigSet } from "./signal-set.ts";

/** Bits of TaskStruct.pendingWork. */
export const WORK_SIGNAL = 1; // a signal to deliver, a stop to take, or death
export const WORK_RESTART = 2; // an interrupted call is to be made again or to end in EINTR
export const WORK_STEP = 4; // ptrace single-steps: the CPU runs one instruction at a time

/** Bits of TaskStruct.syscallWork: reasons for the slow way through a system call. */
export const SYSCALL_TRACE = 1; // ptrace
export const SYSCALL_SECCOMP = 2;

export interface SigAction {
  readonly handler: number;
  readonly flags: number;
  readonly restorer: number;
  readonly mask: SigSet;
}

const NO_TRAP = { number: 0, errorCode: 0, address: 0 } as const;
const DEFAULT_ACTION: SigAction = { handler: 0, flags: 0, restorer: 0, mask: new SigSet() };

/** Signal actions, shared with CLONE_SIGHAND. */
export class SigHand {
  #actions: SigAction[];

  constructor(actions: SigAction[] = new Array<SigAction>(NSIG + 1).fill(DEFAULT_ACTION)) {
    this.#actions = actions;
  }

  get(signal: number): SigAction {
    return this.#actions[signal] ?? DEFAULT_ACTION;
  }

  set(signal: number, action: SigAction): void {
    this.#actions[signal] = action;
  }

  /** As execve(2): handlers go back to the default, ignored signals stay ignored. `all` resets those too. */
  reset(all: boolean): void {
    for (let signal = 1; signal <= NSIG; signal++) {
      const action = this.#actions[signal]!;
      if (action === DEFAULT_ACTION) continue;
      const { handler } = action;
      if (all || handler > 1) this.#actions[signal] = DEFAULT_ACTION;
      else if (handler === 1) this.#actions[signal] = { ...DEFAULT_ACTION, handler };
    }
  }

  copy(): SigHand {
    return new SigHand(this.#actions.slice());
  }
}

/** How an interrupted sleep is to go on (restart_syscall(2)). */
export type RestartBlock = () => Sleeps<number>;

/** What a wait4(2) of the parent may still have to hear. */
export type StopNotice = "stopped" | "continued" | undefined;

export interface CpuTime {
  userNs: number;
  systemNs: number;
  childUserNs: number;
  childSystemNs: number;
}

export class ThreadGroupStruct implements ThreadGroup {
  tgid: number;
  leader!: TaskStruct;
  readonly threads: Set<TaskStruct> = new Set();
  parentGroup: ThreadGroupStruct | undefined;
  readonly children: Set<ThreadGroupStruct> = new Set();
  pgid: number = 0;
  sid: number = 0;
  tty: ControllingTerminal | undefined;
  rlimits: { soft: number; hard: number }[];
  readonly waitQueue: WaitQueue = new WaitQueue();
  isExecuted: boolean = false;
  exitCode: number = 0; // as wait(2) reports it: code << 8 or signal
  readonly cpuTime: CpuTime = { userNs: 0, systemNs: 0, childUserNs: 0, childSystemNs: 0 };
  maxResidentKb: number = 0;
  childMaxResidentKb: number = 0;
  voluntarySwitches: number = 0;
  involuntarySwitches: number = 0;

  readonly pending: PendingSignals = new PendingSignals();
  /** exit_group(2), a fatal signal or execve(2) of another thread: every other thread must go. */
  isExiting: boolean = false;
  /** The thread whose execve(2) waits for the others to be gone. */
  execTask: TaskStruct | undefined;
  /** A stop signal is being taken: 0, or the signal. */
  stopSignal: number = 0;
  stopNotice: StopNotice;
  stopCode: number = 0; // as wait(2) reports it
  exitSignal: number = 0; // to the parent on exit; SIGCHLD for fork(2)
  isSubreaper: boolean = false;
  /** Its children vanish without a wait: the kernel's own init. */
  reapsByItself: boolean = false;
  /** Signals with the default action do nothing to it (pid 1). */
  isUnkillable: boolean = false;
  /** Runs no program: signals mean nothing to it. */
  isKernel: boolean = false;
  /** Reaped: nothing finds it any more. */
  isReaped: boolean = false;
  /** pidfds poll here: woken when the group is dead. */
  readonly exitQueue: WaitQueue = new WaitQueue();
  /** signalfd(2) polls here. */
  readonly signalQueue: WaitQueue = new WaitQueue();
  /** For the host: called once when the last thread is gone. */
  onExit: ((status: number) => void) | undefined;
  /** Timers and the like that end with the process. */
  readonly exitHooks: Set<() => void> = new Set();
  /** Timers that count CPU time, and RLIMIT_CPU: looked at after each turn of a thread. */
  readonly cpuWatches: Set<() => void> = new Set();
  /** What ends when another program is executed: POSIX timers. */
  readonly execHooks: Set<() => void> = new Set();
  /** Of threads that are gone. */
  minorFaults: number = 0;
  majorFaults: number = 0;

  constructor(tgid: number, rlimits: { soft: number; hard: number }[]) {
    this.tgid = tgid;
    this.rlimits = rlimits;
  }

  get parent(): TaskStruct | undefined {
    return this.parentGroup?.leader;
  }

  get isDead(): boolean {
    return this.threads.size === 0;
  }
}

/** What the rest of the kernel asks of the scheduler and its parts without importing them. */
export interface TaskScheduler {
  readonly current: TaskStruct | undefined;
  /** Puts a task that sleeps back into the queue. */
  wake(task: TaskStruct): void;
  /** Ends a stop: the task runs and looks at its signals. */
  wakeStopped(task: TaskStruct): void;
  start(task: TaskStruct): void;
  /** The register file of `task`, live at CPU_BASE after this. */
  makeLive(task: TaskStruct): void;
  /** Writes the live registers back, so that `task.registers` is exact. */
  saveRegisters(task: TaskStruct): void;
  /** `task.registers` was changed: what is live of the task is replaced by it. */
  restoreRegisters(task: TaskStruct): void;
  /** `mm` is about to go: the CPU must not be left with its tables. */
  leaveSpace(mm: Mm): void;
  /** Brings CPU-time accounts up to this moment. */
  account(): void;
}

export interface TaskIndex extends TaskTable {
  readonly current: TaskStruct | undefined;
  find(pid: number): TaskStruct | undefined;
  findGroup(tgid: number): ThreadGroupStruct | undefined;
  all(): Iterable<TaskStruct>;
  groups(): Iterable<ThreadGroupStruct>;
  processGroup(pgid: number): Iterable<TaskStruct>;
  groupsOf(pgid: number): Iterable<ThreadGroupStruct>;
  allocate(): number;
  add(task: TaskStruct): void;
  remove(task: TaskStruct): void;
}

/** The kernel as kernel/ itself sees it. */
export interface KernelCore extends Kernel {
  readonly tasks: TaskIndex;
  readonly sched: TaskScheduler;
  /** pid 1: adopts orphans. */
  readonly init: ThreadGroupStruct | undefined;
  readonly syscallHooks: SyscallHooks;
  /** By number of the guest's instruction set. */
  readonly syscallTable: readonly (Syscall | undefined)[];
  /** reboot(2): the machine stops running tasks. */
  powerOff(how: "off" | "restart"): void;
}

/** Watchers of system calls (strace, middleware); `isActive` decides whether tasks take the slow way. */
export interface SyscallHooks {
  readonly isActive: boolean;
  /** Middleware: what is to be done instead of the plain call, if anything. */
  around?(task: TaskStruct, number: number, call: Syscall | undefined): Sleeps<number | bigint> | undefined;
  enter(task: TaskStruct, number: number, call: Syscall | undefined): void;
  exit(task: TaskStruct, number: number, call: Syscall | undefined, result: number | bigint | Error): void;
  signal(task: TaskStruct, info: SignalInfo): void;
  exited(task: TaskStruct, status: number): void;
}

export class TaskStruct implements Task {
  readonly kernel: KernelCore;
  pid: number;
  group: ThreadGroupStruct;
  comm: string;
  mm: Mm | undefined = undefined;
  fs: FsStruct;
  files: FilesStruct;
  cred: Cred;
  state: Task["state"] = "running";
  readonly startTimeNs: number;

  pendingWork: number = 0;
  syscallWork: number = 0;
  /** Set by sleepers that only SIGKILL may end: the state to take at the next block. */
  isUninterruptible: boolean = false;

  /** Registers while another task's are live. */
  readonly registers: Uint8Array = new Uint8Array(SAVED_BYTES);
  /** The kernel code that runs or sleeps for this task. */
  body: Sleeps<number | bigint | undefined> | undefined = undefined;
  /** Number of the system call being made or made last; -1 outside of one. */
  syscall: number = -1;
  restartBlock: RestartBlock | undefined = undefined;
  /** How the call that ended with RestartError is to go on; read on the way back to the program. */
  restart: RestartError["when"] | undefined = undefined;
  /** The last exception of the program, for signal frames. */
  trap: { readonly number: number; readonly errorCode: number; readonly address: number | bigint } = NO_TRAP;

  sighand: SigHand;
  readonly blocked: SigSet = new SigSet();
  /** Mask to go back to after a handler (sigsuspend, ppoll). */
  savedMask: SigSet | undefined = undefined;
  /** What sigtimedwait(2) waits for: blocked, but it wakes the task. */
  awaited: SigSet | undefined = undefined;
  readonly pending: PendingSignals = new PendingSignals();
  altStack: SignalStack = { sp: 0, flags: SS_DISABLE, size: 0 };

  nice: number = 0;
  policy: number = 0;
  rtPriority: number = 0;
  resetOnFork: boolean = false;
  affinity: number = 1;
  ioPriority: number = 0;
  timerSlackNs: number = 50_000;
  defaultTimerSlackNs: number = 50_000;
  personality: number = 0;
  keepCapabilities: boolean = false;
  deathSignal: number = 0;
  deathNotice: TaskStruct | undefined = undefined; // the thread whose end raises deathSignal

  /** set_tid_address(2), CLONE_CHILD_CLEARTID. */
  clearChildTid: number = 0;
  robustList: number = 0;
  exitCode: number = 0;
  exitSignalOfThread: number = 0;
  /** Woken when execve or exit gives the parent of a vfork(2) its memory back. */
  vforkDone: (() => void) | undefined = undefined;

  userNs: number = 0;
  systemNs: number = 0;
  minorFaults: number = 0;
  majorFaults: number = 0;
  voluntarySwitches: number = 0;
  involuntarySwitches: number = 0;
  syscallCount: number = 0;

  /** kernel/ptrace.ts: the tracer and what it asked for. */
  trace: TraceState | undefined = undefined;
  readonly tracees: Set<TaskStruct> = new Set();
  seccomp: SeccompState | undefined = undefined;
  /** Semaphore adjustments (ipc/sem.ts) and the like: run when the thread ends. */
  readonly exitHooks: Set<() => void> = new Set();

  constructor(kernel: KernelCore, pid: number, group: ThreadGroupStruct, from: TaskParts) {
    this.kernel = kernel;
    this.pid = pid;
    this.group = group;
    this.comm = from.comm;
    this.fs = from.fs;
    this.files = from.files;
    this.cred = from.cred;
    this.sighand = from.sighand;
    this.startTimeNs = kernel.time.monotonicNs();
  }

  get tgid(): number {
    return this.group.tgid;
  }

  get hasSignal(): boolean {
    return (this.pendingWork & WORK_SIGNAL) !== 0;
  }

  get isKernelThread(): boolean {
    return this.mm === undefined && this.state !== "zombie" && this.state !== "dead";
  }

  wake(): void {
    this.kernel.sched.wake(this);
  }
}

/** What a new task starts from. */
export interface TaskParts {
  readonly comm: string;
  readonly fs: FsStruct;
  readonly files: FilesStruct;
  readonly cred: Cred;
  readonly sighand: SigHand;
}

/** Owned by kernel/ptrace.ts. */
export interface TraceState {
  readonly tracer: TaskStruct;
  readonly isSeized: boolean;
  options: number;
  /** What the tracer last asked for. */
  mode: "cont" | "syscall" | "step" | "listen";
  /** Status for wait(2) while it stands in a ptrace stop, and its siginfo. */
  stopStatus: number;
  stopInfo: SignalInfo | undefined;
  eventMessage: number;
  /** Not yet reported by wait(2). */
  isReported: boolean;
  /** Signal to deliver on the way on. */
  resumeSignal: number;
  isStopped: boolean;
  syscallInfo: { readonly op: number; readonly result?: number } | undefined;
  interrupt: boolean;
  /** PTRACE_EVENT_* to report at the next chance, or 0. */
  pendingEvent: number;
}

/** Owned by kernel/seccomp.ts. */
export interface SeccompState {
  readonly mode: number;
  readonly filters: readonly BpfProgram[];
}

/** The implementation behind the interface that system calls are declared with. */
export function self(task: Task): TaskStruct {
  if (task instanceof TaskStruct) return task;
  throw new TypeError("a task of another kernel");
}

/** Address space of a task that runs a program. Precondition: it is not a kernel thread. */
export function mmOf(task: Task): Mm {
  const { mm } = task;
  if (mm === undefined) throw new TypeError("a kernel thread has no user memory");
  return mm;
}
