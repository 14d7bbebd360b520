// SPDX-License-Identifier: Apache-2.0
// Stops at system calls: before (the tracer may change number and arguments) and after (it may change the result).
// Source: ptrace(2), "Syscall-stops".

import type { Sleeps } from "../include/linux/wait.ts";
import { SIGTRAP } from "../include/uapi/signal.ts";
import { EINTR, Errno } from "../lib/errno.ts";
import { ptraceStop } from "./ptrace-stop.ts";
import { sendToTask, userSignal } from "./signal.ts";
import { type TaskStruct, WORK_RESTART } from "./task.ts";

const PTRACE_O_TRACESYSGOOD = 1;
const ENTRY = 1; // PTRACE_SYSCALL_INFO_ENTRY
const EXIT = 2; // PTRACE_SYSCALL_INFO_EXIT

function* stopAt(task: TaskStruct, op: number, result: number | undefined): Sleeps<void> {
  const { trace } = task;
  if (trace?.mode !== "syscall") return;
  const signal = SIGTRAP | ((trace.options & PTRACE_O_TRACESYSGOOD) !== 0 ? 0x80 : 0);
  trace.syscallInfo = result === undefined ? { op } : { op, result };
  trace.eventMessage = op;
  yield* ptraceStop(task, signal, { signal: SIGTRAP, code: signal, pid: task.pid, uid: task.cred.uid });
  trace.syscallInfo = undefined;
  if (trace.resumeSignal !== 0) sendToTask(task, userSignal(trace.tracer, trace.resumeSignal));
}

/** Answers the number of the call to make: the tracer may have put another in its place. */
export function* ptraceSyscallEnter(task: TaskStruct, number: number): Sleeps<number> {
  const { arch, ram, sched } = task.kernel;
  if (task.trace?.mode !== "syscall") return number;
  // At the entry the result register reads -ENOSYS while the number stands in orig_rax.
  yield* stopAt(task, ENTRY, undefined);
  sched.makeLive(task);
  return arch.syscallNumber(ram);
}

/** The result stands in the registers while the tracer looks, and is what the tracer leaves there. */
export function* ptraceSyscallExit(task: TaskStruct, result: number | bigint | Error): Sleeps<undefined> {
  const { arch, ram } = task.kernel;
  if (typeof result === "bigint") {
    arch.setSyscallResult64(ram, result);
  } else if (typeof result === "number") {
    arch.setSyscallResult(ram, result);
  } else if (result instanceof Errno) {
    arch.setSyscallResult(ram, -result.errno);
  } else {
    arch.setSyscallResult(ram, -EINTR.errno);
    task.restart = restartOf(result);
    task.pendingWork |= WORK_RESTART;
  }
  const shown = typeof result === "object"
    ? -(result instanceof Errno ? result.errno : EINTR.errno)
    : Number(result);
  yield* stopAt(task, EXIT, shown);
  return undefined;
}

function restartOf(error: Error): TaskStruct["restart"] {
  return "when" in error && (error.when === "sys" || error.when === "nohand" || error.when === "block")
    ? error.when
    : "nointr";
}
