// SPDX-License-Identifier: Apache-2.0
// The kernel object: everything that one machine's kernel is, put together from parts that init/ chooses.
//
// Processes come from `spawn`: the host side gives descriptors, credentials and a loader, and hears of the end. Unless
// a program is started as init, pid 1 is a process of the kernel's own that adopts orphans and lets them go.

import type { Host } from "../include/host/host.ts";
import type { Cpu, GuestArch } from "../include/linux/cpu.ts";
import type { Vfs } from "../include/linux/fs.ts";
import type { PageAllocator } from "../include/linux/mm_types.ts";
import type { Cred, FilesStruct, FsStruct, StateKey } from "../include/linux/sched.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import {
  RLIM_NLIMITS,
  RLIMIT_CORE,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RTPRIO,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
} from "../include/uapi/resource.ts";
import { SIGKILL } from "../include/uapi/signal.ts";
import { Errno } from "../lib/errno.ts";
import type { Ram } from "../lib/ram.ts";
import { UserLoop } from "./entry/common.ts";
import { KernelControl } from "./exec.ts";
import { exitGroup, exitTask } from "./exit.ts";
import { createProcess } from "./fork.ts";
import { PidTable } from "./pid.ts";
import { kernelLog } from "./printk.ts";
import { Scheduler } from "./sched/core.ts";
import { seededChoice } from "./sched/runqueue.ts";
import { sendToGroup } from "./signal.ts";
import {
  type KernelCore,
  SigHand,
  type SyscallHooks,
  type TaskStruct,
  type ThreadGroupStruct,
} from "./task.ts";
import { TimeKeeping } from "./time/timekeeping.ts";
import { HookList } from "./hooks.ts";

export interface KernelParts {
  readonly host: Host;
  readonly arch: GuestArch;
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly frames: PageAllocator;
  readonly createVfs: (kernel: LinuxKernel) => Vfs;
  /** All declared calls; those whose name the instruction set knows get its number. */
  readonly syscalls: readonly Syscall[];
  /** What kernel threads and processes start from. */
  readonly createFiles: () => FilesStruct;
  readonly rootFs: () => FsStruct;
  readonly rootCred: Cred;
  readonly hostname?: string;
  readonly release?: string;
  readonly version?: string;
  /** Tasks run in an order drawn from this seed instead of in turn: to find races. */
  readonly scheduleSeed?: number;
}

export interface SpawnOptions {
  readonly comm: string;
  readonly fs: FsStruct;
  /** With the descriptors that the program is to have. Taken over. */
  readonly files: FilesStruct;
  readonly cred: Cred;
  /** Loads the program (fs/exec.ts): runs as the new process before it. */
  readonly load: (task: TaskStruct) => Sleeps<unknown>;
  /** The status as wait(2) reports it: code << 8, or the signal. */
  readonly onExit?: (status: number) => void;
  /** The loader failed: nothing ran. `onExit` is called, too, with the code of a shell: 127 or 126. */
  readonly onLoadError?: (error: Errno) => void;
  /** It becomes pid 1. Precondition: nothing was spawned before. */
  readonly isInit?: boolean;
  /** New session, as a login shell has (default true). */
  readonly newSession?: boolean;
}

const STACK_BYTES = 8 << 20;

/** Limits of the first process, as Debian's. Source: getrlimit(2). */
function defaultLimits(memoryPages: number): { soft: number; hard: number }[] {
  const limits = Array.from({ length: RLIM_NLIMITS }, () => ({ soft: Infinity, hard: Infinity }));
  // As fork(2) sizes it: threads of 16 KiB may fill an eighth of memory.
  const processes = Math.max(20, Math.floor(memoryPages * 4096 / (8 * 16384)));
  const set = (index: number, soft: number, hard: number): void => {
    limits[index] = { soft, hard };
  };
  set(RLIMIT_STACK, STACK_BYTES, Infinity);
  set(RLIMIT_CORE, 0, Infinity);
  set(RLIMIT_NPROC, processes, processes);
  set(RLIMIT_NOFILE, 1024, 1_048_576);
  set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
  set(RLIMIT_SIGPENDING, processes, processes);
  set(RLIMIT_MSGQUEUE, 819_200, 819_200);
  set(RLIMIT_NICE, 0, 0);
  set(RLIMIT_RTPRIO, 0, 0);
  return limits;
}

export class LinuxKernel implements KernelCore {
  readonly host: Host;
  readonly arch: GuestArch;
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly frames: PageAllocator;
  readonly vfs: Vfs;
  readonly time: TimeKeeping;
  readonly sched: Scheduler;
  readonly tasks: PidTable;
  readonly random: { fill(bytes: Uint8Array): void };
  readonly uts: KernelCore["uts"];
  readonly control: KernelControl = new KernelControl();
  readonly hooks: HookList = new HookList();
  readonly syscallTable: readonly (Syscall | undefined)[];
  init: ThreadGroupStruct | undefined;
  /** A defect was met while serving a task. */
  onOops: ((error: unknown) => void) | undefined;
  readonly #parts: KernelParts;
  readonly #states = new Map<StateKey<unknown>, unknown>();

  constructor(parts: KernelParts) {
    this.#parts = parts;
    this.host = parts.host;
    this.arch = parts.arch;
    this.cpu = parts.cpu;
    this.ram = parts.ram;
    this.frames = parts.frames;
    this.vfs = parts.createVfs(this);
    this.time = new TimeKeeping(parts.host, parts.cpu);
    this.sched = new Scheduler({ host: parts.host, cpu: parts.cpu, ram: parts.ram, time: this.time });
    if (parts.scheduleSeed !== undefined) this.sched.queue.choose = seededChoice(parts.scheduleSeed);
    this.tasks = new PidTable(() => this.sched.current);
    this.random = parts.host.entropy;
    this.uts = {
      sysname: "Linux",
      nodename: parts.hostname ?? "rookery",
      release: parts.release ?? "6.12.0-rookery",
      version: parts.version ?? "#1 SMP PREEMPT_DYNAMIC Rookery",
      machine: parts.arch.name,
      domainname: "(none)",
    };
    const { release, version } = this.uts;
    this.printk(5, `Linux version ${release} (rookery) ${version}`);
    this.syscallTable = tableOf(parts);
    this.sched.setRunner(
      new UserLoop({
        cpu: parts.cpu,
        arch: parts.arch,
        ram: parts.ram,
        sched: this.sched,
        table: this.syscallTable,
        hooks: this.hooks,
        oops: (task, error) => this.#oops(task, error),
      }),
    );
  }

  /** A fresh view of the root for a process that the host starts. */
  rootFs(): FsStruct {
    return this.#parts.rootFs();
  }

  get rootCred(): Cred {
    return this.#parts.rootCred;
  }

  get syscallHooks(): SyscallHooks {
    return this.hooks;
  }

  printk(level: number, message: string): void {
    kernelLog(this).append(level, this.time.monotonicNs(), message);
  }

  state<T>(key: StateKey<T>, make: () => T): T {
    const found = this.#states.get(key);
    // The key carries the type of what was stored under it.
    if (found !== undefined) return found as T;
    const made = make();
    this.#states.set(key, made);
    return made;
  }

  /** Starts a process; it runs when `run` is called or goes on. */
  spawn(options: SpawnOptions): TaskStruct {
    if (options.isInit !== true) this.#ensureInit();
    const task = createProcess(this, this.init, {
      comm: options.comm,
      fs: options.fs,
      files: options.files,
      cred: options.cred,
      sighand: new SigHand(),
      rlimits: defaultLimits(this.frames.totalPages),
    });
    const { group } = task;
    if (options.isInit === true) {
      this.init = group;
      group.isUnkillable = true;
    }
    if (options.newSession === false) {
      group.pgid = this.init?.pgid ?? task.pid;
      group.sid = this.init?.sid ?? task.pid;
    }
    group.onExit = options.onExit;
    task.body = firstSteps(task, options);
    this.sched.start(task);
    return task;
  }

  /** A thread of the kernel's own: write-back, orphans. It ends when `body` does. */
  spawnKernelThread(comm: string, body: (task: TaskStruct) => Sleeps<void>): TaskStruct {
    this.#ensureInit();
    const parent = this.init;
    const task = this.#createKernelTask(comm, parent);
    task.body = kernelThread(task, body);
    this.sched.start(task);
    return task;
  }

  /** Runs until `isDone`. Resolves at once after `sched.requestStop()`. */
  run(isDone: () => boolean): Promise<void> {
    return this.sched.run(isDone);
  }

  /** reboot(2) was called; whoever runs the machine ends it or starts another. */
  poweredOff: "off" | "restart" | undefined;

  powerOff(how: "off" | "restart"): void {
    this.poweredOff = how;
    this.sched.requestStop();
  }

  /** kill(2) from outside. */
  kill(task: TaskStruct, signal: number): void {
    sendToGroup(task.group, { signal, code: 0, pid: 0, uid: 0 });
  }

  /** The kernel's own pid 1: children given to it vanish when they end. */
  #ensureInit(): void {
    if (this.init !== undefined) return;
    const task = this.#createKernelTask("init", undefined);
    task.group.reapsByItself = true;
    task.group.isUnkillable = true;
    task.body = sleepForever(task);
    this.init = task.group;
    this.sched.start(task);
  }

  #createKernelTask(comm: string, parent: ThreadGroupStruct | undefined): TaskStruct {
    const task = createProcess(this, parent, {
      comm,
      fs: this.#parts.rootFs(),
      files: this.#parts.createFiles(),
      cred: this.#parts.rootCred,
      sighand: new SigHand(),
      rlimits: defaultLimits(this.frames.totalPages),
    });
    task.group.isKernel = true;
    return task;
  }

  #oops(task: TaskStruct, error: unknown): void {
    const call = this.arch.syscallNames[task.syscall] ?? String(task.syscall);
    const what = error instanceof Error ? error.stack ?? error.message : String(error);
    this.printk(0, `BUG: ${task.comm}[${String(task.pid)}] in ${call}: ${what}`);
    this.onOops?.(error);
  }
}

function tableOf(parts: KernelParts): (Syscall | undefined)[] {
  const byName = new Map(parts.syscalls.map((call) => [call.name, call]));
  return parts.arch.syscallNames.map((name) => name === undefined ? undefined : byName.get(name));
}

/** The life of a spawned process before its program. */
function* firstSteps(task: TaskStruct, options: SpawnOptions): Sleeps<number | undefined> {
  try {
    yield* options.load(task);
    return undefined;
  } catch (error) {
    if (!(error instanceof Errno)) {
      yield* exitGroup(task, SIGKILL);
      throw error;
    }
    options.onLoadError?.(error);
    const code = error.code === "ENOENT" || error.code === "ENOTDIR" ? 127 : 126;
    return yield* exitGroup(task, code << 8);
  }
}

function* kernelThread(task: TaskStruct, body: (task: TaskStruct) => Sleeps<void>): Sleeps<number> {
  yield* body(task);
  return yield* exitTask(task, 0);
}

function* sleepForever(task: TaskStruct): Sleeps<number> {
  for (;;) {
    task.isUninterruptible = false;
    yield WAIT_BLOCKED;
  }
}
