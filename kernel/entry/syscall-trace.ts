// SPDX-License-Identifier: Apache-2.0
// The slow way through a system call: someone watches. Seccomp, ptrace, strace and middleware stand here, so that
// the fast way has one word to look at.

import type { Syscall } from "../../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { ENOSYS, Errno, RestartError } from "../../lib/errno.ts";
import { ptracePendingEvent } from "../ptrace-stop.ts";
import { ptraceSyscallEnter, ptraceSyscallExit } from "../ptrace-syscall.ts";
import { checkSeccomp } from "../seccomp.ts";
import { SYSCALL_SECCOMP, SYSCALL_TRACE, type TaskStruct } from "../task.ts";

export function* tracedSyscall(
  task: TaskStruct,
  firstNumber: number,
  firstCall: Syscall | undefined,
): Sleeps<number | bigint | undefined> {
  const { kernel } = task;
  let number = firstNumber;
  let call = firstCall;
  if ((task.syscallWork & SYSCALL_TRACE) !== 0) {
    number = yield* ptraceSyscallEnter(task, number);
    task.syscall = number;
    call = kernel.syscallTable[number];
  }
  if ((task.syscallWork & SYSCALL_SECCOMP) !== 0) {
    const verdict = yield* checkSeccomp(task, number);
    if (verdict.answer !== undefined) return verdict.answer;
    if (!verdict.isAllowed) return undefined;
  }
  const hooks = kernel.syscallHooks;
  if (hooks.isActive) hooks.enter(task, number, call);
  let result: number | bigint | Error;
  try {
    result = yield* invoke(task, number, call);
  } catch (error) {
    if (!(error instanceof Errno) && !(error instanceof RestartError)) throw error;
    result = error;
  }
  if (task.state !== "running") return undefined;
  // execve's event comes before the stop at its end.
  if (task.trace !== undefined) yield* ptracePendingEvent(task);
  if (hooks.isActive) hooks.exit(task, number, call, result);
  if ((task.syscallWork & SYSCALL_TRACE) !== 0) return yield* ptraceSyscallExit(task, result);
  if (typeof result === "object") throw result;
  return result;
}

function* invoke(task: TaskStruct, number: number, call: Syscall | undefined): Sleeps<number | bigint> {
  const hooks = task.kernel.syscallHooks;
  const made = hooks.around?.(task, number, call);
  if (made !== undefined) return yield* made;
  if (call === undefined) throw ENOSYS;
  const answer = call.invoke(task);
  return isSleeping<number | bigint>(answer) ? yield* answer : answer;
}
