// SPDX-License-Identifier: Apache-2.0
// seccomp(2): what a system call may do before it does it.

import type { Sleeps } from "../include/linux/wait.ts";
import { SIGKILL } from "../include/uapi/signal.ts";
import { killGroup } from "./signal.ts";
import { EINVAL } from "../lib/errno.ts";
import { SYSCALL_SECCOMP, type TaskStruct } from "./task.ts";

export interface Verdict {
  readonly isAllowed: boolean;
  /** The result to give in place of the call. */
  readonly answer?: number;
}

const ALLOWED: Verdict = { isAllowed: true };
const DENIED: Verdict = { isAllowed: false };
const STRICT: ReadonlySet<string> = new Set(["read", "write", "exit", "rt_sigreturn"]);

export function* checkSeccomp(task: TaskStruct, number: number): Sleeps<Verdict> {
  const { seccomp, kernel } = task;
  if (seccomp === undefined) return ALLOWED;
  if (STRICT.has(kernel.arch.syscallNames[number] ?? "")) return ALLOWED;
  killGroup(task.group, SIGKILL);
  return DENIED;
}

/** prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT). */
export function setSeccompStrict(task: TaskStruct): number {
  if (task.seccomp !== undefined) throw EINVAL;
  task.seccomp = { mode: 1, filters: [] };
  task.syscallWork |= SYSCALL_SECCOMP;
  return 0;
}
