// SPDX-License-Identifier: Apache-2.0
// Between the program and the kernel: runs the CPU, answers its traps.
//
// A system call that is answered from memory costs a table look-up, the call, and the store of a number: no generator,
// no object. What sleeps becomes `task.body`, which the scheduler resumes. Whatever a body throws ends here: an Errno
// is the result, a RestartError waits for the signal that caused it, anything else is a defect of the kernel and costs
// the process its life, not the machine.

import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_WRITE,
  type Cpu,
  type GuestArch,
  TRAP_BREAKPOINT,
  TRAP_DIVIDE,
  TRAP_FAULT,
  TRAP_FPU,
  TRAP_ILLEGAL,
  TRAP_INTERRUPT,
  TRAP_PREEMPTED,
  TRAP_PROTECTION,
  TRAP_STEP,
  TRAP_SYSCALL,
} from "../../include/linux/cpu.ts";
import type { FaultSignal } from "../../include/linux/mm_types.ts";
import type { SignalInfo } from "../../include/linux/sched.ts";
import type { Syscall, SyscallAnswer } from "../../include/linux/syscalls.ts";
import { isSleeping, type Sleeps, WAIT_BLOCKED } from "../../include/linux/wait.ts";
import {
  FPE_FLTINV,
  FPE_INTDIV,
  ILL_ILLOPN,
  SEGV_ACCERR,
  SI_KERNEL,
  SIGBUS,
  SIGFPE,
  SIGILL,
  SIGKILL,
  SIGSEGV,
  SIGTRAP,
  TRAP_TRACE,
} from "../../include/uapi/signal.ts";
import { EINTR, Errno, RestartError } from "../../lib/errno.ts";
import type { Ram } from "../../lib/ram.ts";
import type { Scheduler, TaskRunner } from "../sched/core.ts";
import { returnWork } from "../signal-deliver.ts";
import { forceSignal, killGroup } from "../signal.ts";
import { TASK_SIZE } from "../../virt/layout.ts";
import { mmOf, type SyscallHooks, type TaskStruct, WORK_RESTART, WORK_SIGNAL, WORK_STEP } from "../task.ts";
import { tracedSyscall } from "./syscall-trace.ts";

/** Instructions that a trap costs a slice beside its own, so that a loop of calls is preempted too. */
const TRAP_COST = 300;
const ENOSYS_RESULT = -38;

/** Vectors of x86 exceptions, for signal frames. */
const VECTOR_DIVIDE = 0;
const VECTOR_DEBUG = 1;
const VECTOR_BREAKPOINT = 3;
const VECTOR_ILLEGAL = 6;
const VECTOR_PROTECTION = 13;
const VECTOR_PAGE_FAULT = 14;
const VECTOR_FPU = 16;

export interface UserLoopParts {
  readonly cpu: Cpu;
  readonly arch: GuestArch;
  readonly ram: Ram;
  readonly sched: Scheduler;
  /** By number. */
  readonly table: readonly (Syscall | undefined)[];
  readonly hooks: SyscallHooks;
  /** A defect was met: log it. */
  readonly oops: (task: TaskStruct, error: unknown) => void;
}

export class UserLoop implements TaskRunner {
  readonly #cpu: Cpu;
  readonly #arch: GuestArch;
  readonly #ram: Ram;
  readonly #sched: Scheduler;
  readonly #table: readonly (Syscall | undefined)[];
  readonly #oops: UserLoopParts["oops"];
  readonly #hooks: SyscallHooks;

  constructor(parts: UserLoopParts) {
    this.#cpu = parts.cpu;
    this.#arch = parts.arch;
    this.#ram = parts.ram;
    this.#sched = parts.sched;
    this.#table = parts.table;
    this.#oops = parts.oops;
    this.#hooks = parts.hooks;
    parts.cpu.gatherPagesBy((address) => this.#sched.space?.gatherPages(address) ?? false);
  }

  run(task: TaskStruct, slice: number): number {
    let budget = slice;
    this.#sched.makeLive(task);
    if (task.body !== undefined && !this.#resume(task)) return budget;
    const cpu = this.#cpu;
    let before = cpu.retired;
    for (;;) {
      if (task.pendingWork !== 0 && !this.#work(task)) return budget;
      if (task.mm !== this.#sched.space) this.#sched.makeLive(task);
      if (budget <= 0) return budget;
      const trap = (task.pendingWork & WORK_STEP) === 0 ? cpu.run(budget) : this.#step();
      const after = cpu.retired;
      budget -= after - before + TRAP_COST;
      before = after;
      if (trap === TRAP_SYSCALL) {
        if (!this.#syscall(task)) return budget;
      } else if (trap === TRAP_FAULT) {
        if (!this.#fault(task)) return budget;
      } else if (trap === TRAP_PREEMPTED) {
        return budget; // something, where the task said that it waits for another
      } else {
        this.#exception(task, trap);
      }
    }
  }

  /** One instruction for ptrace: a step that completes without a trap of its own is TRAP_STEP. */
  #step(): number {
    const trap = this.#cpu.step();
    return trap === 0 || trap === TRAP_PREEMPTED ? TRAP_STEP : trap;
  }

  #syscall(task: TaskStruct): boolean {
    const number = this.#arch.syscallNumber(this.#ram);
    task.syscall = number;
    task.syscallCount++;
    const call = this.#table[number];
    if (task.syscallWork !== 0 || this.#hooks.isActive) {
      task.body = tracedSyscall(task, number, call);
      return this.#resume(task);
    }
    if (call === undefined) {
      this.#arch.setSyscallResult(this.#ram, ENOSYS_RESULT);
      return true;
    }
    let answer: SyscallAnswer;
    try {
      answer = call.invoke(task);
    } catch (error) {
      return this.#fail(task, error);
    }
    if (typeof answer === "number") {
      this.#arch.setSyscallResult(this.#ram, answer);
      return true;
    }
    if (typeof answer === "bigint") {
      this.#arch.setSyscallResult64(this.#ram, answer);
      return true;
    }
    task.body = answer;
    return this.#resume(task);
  }

  /** Drives the task's kernel code until it sleeps (false) or is done (true). */
  #resume(task: TaskStruct): boolean {
    const { body } = task;
    if (body === undefined) return true;
    let value: number | bigint | undefined;
    try {
      const step = body.next();
      if (step.done !== true) {
        if (step.value === WAIT_BLOCKED && task.state === "running") {
          task.state = task.isUninterruptible ? "uninterruptible" : "sleeping";
          task.isUninterruptible = false;
        }
        return false;
      }
      value = step.value;
    } catch (error) {
      task.body = undefined;
      return this.#fail(task, error);
    }
    task.body = undefined;
    if (task.state !== "running") return false;
    if (typeof value === "number") this.#arch.setSyscallResult(this.#ram, value);
    else if (value !== undefined) this.#arch.setSyscallResult64(this.#ram, value);
    return true;
  }

  /** What a body threw becomes the result. False when the task is gone. */
  #fail(task: TaskStruct, error: unknown): boolean {
    if (error instanceof Errno) {
      this.#arch.setSyscallResult(this.#ram, -error.errno);
    } else if (error instanceof RestartError) {
      this.#arch.setSyscallResult(this.#ram, -EINTR.errno);
      task.restart = error.when;
      task.pendingWork |= WORK_RESTART;
    } else {
      this.#oops(task, error);
      if (task.state !== "running") return false;
      killGroup(task.group, SIGKILL);
    }
    return true;
  }

  /** Signals, stops, death. False when the task sleeps or is gone. */
  #work(task: TaskStruct): boolean {
    while ((task.pendingWork & (WORK_SIGNAL | WORK_RESTART)) !== 0 || task.savedMask !== undefined) {
      task.body = returnWork(task);
      if (!this.#resume(task)) return false;
    }
    return true;
  }

  #fault(task: TaskStruct): boolean {
    const address = this.#cpu.trapAddress;
    const access = this.#cpu.trapAccess;
    let answer: FaultSignal | undefined | Sleeps<FaultSignal | undefined>;
    try {
      answer = mmOf(task).handleFault(task, address, access);
    } catch (error) {
      return this.#faultFailed(task, error);
    }
    task.minorFaults++;
    if (answer === undefined) return true;
    if (isSleeping(answer)) {
      task.majorFaults++;
      task.minorFaults--;
      task.body = this.#sleepingFault(task, answer, address, access);
      return this.#resume(task);
    }
    this.#faultSignal(task, answer, address, access);
    return true;
  }

  *#sleepingFault(
    task: TaskStruct,
    fault: Sleeps<FaultSignal | undefined>,
    address: number,
    access: number,
  ): Sleeps<undefined> {
    try {
      const signal = yield* fault;
      if (signal !== undefined) this.#faultSignal(task, signal, address, access);
    } catch (error) {
      this.#faultFailed(task, error);
    }
    return undefined;
  }

  /** A page that cannot be had: no memory kills, a read error is SIGBUS, an interruption tries again. */
  #faultFailed(task: TaskStruct, error: unknown): boolean {
    if (error instanceof RestartError) return true;
    if (error instanceof Errno) {
      if (error.code === "ENOMEM") killGroup(task.group, SIGKILL);
      else if (error.code !== "EINTR") {
        forceSignal(task, { signal: SIGBUS, code: 2, address: this.#cpu.trapAddress });
      }
      return true;
    }
    return this.#fail(task, error);
  }

  #faultSignal(task: TaskStruct, fault: FaultSignal, address: number, access: number): void {
    const isKernels = address >= TASK_SIZE;
    const isPresent = fault.code === SEGV_ACCERR || isKernels ? 1 : 0; // what the kernel has mapped is not told
    const kind = access === ACCESS_WRITE ? 2 : access === ACCESS_EXEC ? 16 : access === ACCESS_READ ? 0 : 0;
    // Such a fault never sleeps: it is still the CPU's last one.
    const exact = isKernels ? this.#cpu.trapAddress64 : address;
    task.trap = { number: VECTOR_PAGE_FAULT, errorCode: 4 | kind | isPresent, address: exact };
    forceSignal(task, { signal: fault.signal, code: fault.code, address: exact });
  }

  #exception(task: TaskStruct, trap: number): void {
    const pc = this.#arch.getPc(this.#ram);
    const { vector, info } = this.#describe(trap, pc);
    task.trap = { number: vector, errorCode: 0, address: task.trap.address };
    if (trap === TRAP_STEP) task.pendingWork &= ~WORK_STEP;
    forceSignal(task, info);
  }

  #describe(trap: number, pc: number): { readonly vector: number; readonly info: SignalInfo } {
    switch (trap) {
      case TRAP_ILLEGAL:
        return { vector: VECTOR_ILLEGAL, info: { signal: SIGILL, code: ILL_ILLOPN, address: pc } };
      case TRAP_DIVIDE:
        return { vector: VECTOR_DIVIDE, info: { signal: SIGFPE, code: FPE_INTDIV, address: pc } };
      case TRAP_BREAKPOINT:
        return { vector: VECTOR_BREAKPOINT, info: { signal: SIGTRAP, code: SI_KERNEL } };
      case TRAP_FPU: {
        const code = this.#arch.fpuSignalCode?.(this.#ram) ?? FPE_FLTINV;
        return { vector: VECTOR_FPU, info: { signal: SIGFPE, code, address: pc } };
      }
      case TRAP_STEP:
        return { vector: VECTOR_DEBUG, info: { signal: SIGTRAP, code: TRAP_TRACE, address: pc } };
      case TRAP_PROTECTION:
      case TRAP_INTERRUPT:
      default:
        return { vector: VECTOR_PROTECTION, info: { signal: SIGSEGV, code: SI_KERNEL } };
    }
  }
}
