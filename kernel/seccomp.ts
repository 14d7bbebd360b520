// SPDX-License-Identifier: Apache-2.0
// seccomp(2): what a system call may do, decided before it does it.
//
// All filters of a thread run; the verdict that is worst for the program holds. Filters are inherited by fork and
// survive execve; they can only be added to.

import {
  bufferIn,
  flagsOf,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { CAP_SYS_ADMIN } from "../include/uapi/capability.ts";
import { SIGKILL, SIGSYS, SYS_SECCOMP } from "../include/uapi/signal.ts";
import { EACCES, EINVAL, ENOSYS, EOPNOTSUPP } from "../lib/errno.ts";
import { readU64, viewOf, writeS64 } from "../lib/little-view.ts";
import { capable } from "../security/commoncap.ts";
import { exitTask } from "./exit.ts";
import { ptraceEvent } from "./ptrace-stop.ts";
import { decodeProgram, runProgram, SECCOMP_DATA_BYTES } from "./seccomp-filter.ts";
import { forceSignal, killGroup } from "./signal.ts";
import { self, SYSCALL_SECCOMP, type TaskStruct } from "./task.ts";
import { withBytes } from "./uaccess.ts";

const MODE_STRICT = 1;
const MODE_FILTER = 2;
const SECCOMP_SET_MODE_STRICT = 0;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_GET_ACTION_AVAIL = 2;
const FLAG_TSYNC = 1;
const FLAG_LOG = 2;
const FLAG_SPEC_ALLOW = 4;
const RET_KILL_PROCESS = 0x8000_0000;
const RET_KILL_THREAD = 0;
const RET_TRAP = 0x3_0000;
const RET_ERRNO = 0x5_0000;
const RET_TRACE = 0x7ff0_0000;
const RET_LOG = 0x7ffc_0000;
const RET_ALLOW = 0x7fff_0000;
const AVAILABLE: readonly number[] = [
  RET_KILL_PROCESS,
  RET_KILL_THREAD,
  RET_TRAP,
  RET_ERRNO,
  RET_TRACE,
  RET_LOG,
  RET_ALLOW,
];
const PTRACE_EVENT_SECCOMP = 7;
const ERRNO_MAX = 4095;

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
  if (seccomp.mode === MODE_STRICT) {
    if (STRICT.has(kernel.arch.syscallNames[number] ?? "")) return ALLOWED;
    killGroup(task.group, SIGKILL);
    return DENIED;
  }
  const verdict = runFilters(task, number);
  const data = verdict & 0xffff;
  switch ((verdict & 0xffff_0000) >>> 0) {
    case RET_ALLOW:
    case RET_LOG:
      return ALLOWED;
    case RET_ERRNO:
      return { isAllowed: false, answer: -Math.min(data, ERRNO_MAX) };
    case RET_TRAP:
      forceSignal(task, {
        signal: SIGSYS,
        code: SYS_SECCOMP,
        errno: data,
        address: kernel.arch.getPc(kernel.ram),
        status: number,
        value: BigInt(auditArch(task)),
      });
      return DENIED;
    case RET_TRACE:
      return yield* askTracer(task, data);
    case RET_KILL_THREAD:
      if (task.group.threads.size > 1) yield* exitTask(task, SIGSYS);
      else killGroup(task.group, SIGSYS);
      return DENIED;
    default:
      killGroup(task.group, SIGSYS);
      return DENIED;
  }
}

function* askTracer(task: TaskStruct, data: number): Sleeps<Verdict> {
  const { trace } = task;
  if (trace === undefined || (trace.options & (1 << PTRACE_EVENT_SECCOMP)) === 0) {
    return { isAllowed: false, answer: -ENOSYS.errno };
  }
  yield* ptraceEvent(task, PTRACE_EVENT_SECCOMP, data);
  return ALLOWED;
}

/** AUDIT_ARCH_*: the ELF machine, 64 bits, little-endian. */
function auditArch(task: TaskStruct): number {
  return 0xc000_0000 + task.kernel.arch.elfMachine;
}

/** struct seccomp_data: nr, arch, instruction pointer, six arguments. */
function seccompData(task: TaskStruct, number: number): Uint8Array {
  const { arch, ram } = task.kernel;
  const bytes = new Uint8Array(SECCOMP_DATA_BYTES);
  const view = viewOf(bytes);
  view.setInt32(0, number);
  view.setInt32(4, auditArch(task));
  writeS64(view, 8, arch.getPc(ram));
  for (let index = 0; index < 6; index++) {
    view.setBigInt64(16 + index * 8, arch.syscallArgument64(ram, index));
  }
  return bytes;
}

/** The strictest of all answers: as signed numbers, the smallest. */
function runFilters(task: TaskStruct, number: number): number {
  const data = seccompData(task, number);
  let worst = RET_ALLOW;
  for (const program of task.seccomp?.filters ?? []) {
    const verdict = runProgram(program, data);
    if ((verdict & 0xffff_0000) < (worst & 0xffff_0000)) worst = verdict;
  }
  return worst;
}

/** prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT). */
export function setSeccompStrict(task: TaskStruct): number {
  if (task.seccomp !== undefined) throw EINVAL;
  task.seccomp = { mode: MODE_STRICT, filters: [] };
  task.syscallWork |= SYSCALL_SECCOMP;
  return 0;
}

/** struct sock_fprog: u16 len, pointer to the instructions. */
export function setSeccompFilter(task: TaskStruct, flags: number, address: number): SyscallAnswer {
  if ((flags & ~(FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW)) !== 0) throw EINVAL;
  return withBytes(task, address, 16, (header) => {
    const view = viewOf(header);
    const count = view.getUint16(0);
    if (count === 0) throw EINVAL;
    return withBytes(task, readU64(view, 8), count * 8, (bytes) => {
      if (!task.cred.noNewPrivs && !capable(task, CAP_SYS_ADMIN)) throw EACCES;
      if (task.seccomp?.mode === MODE_STRICT) throw EINVAL;
      const program = decodeProgram(bytes);
      task.seccomp = { mode: MODE_FILTER, filters: [...task.seccomp?.filters ?? [], program] };
      task.syscallWork |= SYSCALL_SECCOMP;
      if ((flags & FLAG_TSYNC) !== 0) synchronize(task);
      return 0;
    });
  });
}

/** Every thread of the process gets this thread's filters. */
function synchronize(task: TaskStruct): void {
  for (const other of task.group.threads) {
    other.seccomp = task.seccomp;
    other.syscallWork |= SYSCALL_SECCOMP;
    if (task.cred.noNewPrivs && !other.cred.noNewPrivs) other.cred = { ...other.cred, noNewPrivs: true };
  }
}

export const seccompSyscalls: readonly Syscall[] = [
  syscall("seccomp", [
    flagsOf({ SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL }),
    uint,
    bufferIn,
  ], (task, operation, flags, address) => {
    switch (operation) {
      case SECCOMP_SET_MODE_STRICT:
        if (flags !== 0 || address !== 0) throw EINVAL;
        return setSeccompStrict(self(task));
      case SECCOMP_SET_MODE_FILTER:
        return setSeccompFilter(self(task), flags, address);
      case SECCOMP_GET_ACTION_AVAIL:
        if (flags !== 0) throw EINVAL;
        return withBytes(task, address, 4, (bytes) => {
          if (!AVAILABLE.includes(viewOf(bytes).getUint32(0))) throw EOPNOTSUPP;
          return 0;
        });
      default:
        throw EINVAL;
    }
  }, {
    level: "partial",
    missing: "user notification (SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_GET_NOTIF_SIZES)",
  }),
];
