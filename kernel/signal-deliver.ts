// SPDX-License-Identifier: Apache-2.0
// The way back to the program when there is something to do first: die, stop, take signals, make a call again.
//
// Restart rules (signal(7), "Interruption of system calls and library functions by signal handlers"): a call that was
// interrupted is made again when no handler ran, or when the handler has SA_RESTART and the call allows it; otherwise
// it ends in EINTR. The program counter stands after the call instruction, with -EINTR as the result, until then.

import type { SignalFrame } from "../include/linux/cpu.ts";
import type { SignalInfo } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import {
  SA_NODEFER,
  SA_ONSTACK,
  SA_RESETHAND,
  SA_RESTART,
  SI_KERNEL,
  SIG_DFL,
  SIG_IGN,
  SIGKILL,
  SIGSEGV,
  SIGSTOP,
  SS_AUTODISARM,
  SS_DISABLE,
} from "../include/uapi/signal.ts";
import { RLIMIT_CORE } from "../include/uapi/resource.ts";
import { exitTask } from "./exit.ts";
import { ptraceGroupStop, ptraceSignalStop } from "./ptrace-stop.ts";
import type { SigSet } from "./signal-set.ts";
import {
  defaultAction,
  forceSignal,
  isOrphaned,
  kernelSignal,
  killGroup,
  notifyParentOfStop,
} from "./signal.ts";
import { isDoomed, recalcGroup, recalcSignal } from "./signal-state.ts";
import { encodeSignalInfo } from "./siginfo.ts";
import { mmOf, type SigAction, type TaskStruct, WORK_RESTART } from "./task.ts";

/** All that stands between the task and its program. Ends with the task dead, or with nothing left to do. */
export function* returnWork(task: TaskStruct): Sleeps<undefined> {
  for (;;) {
    if (isDoomed(task)) {
      yield* exitTask(task, task.group.exitCode);
      return undefined;
    }
    if (task.group.stopSignal !== 0) {
      yield* takeStop(task);
      continue;
    }
    if (task.trace?.interrupt === true) {
      yield* ptraceGroupStop(task);
      continue;
    }
    const info = task.pending.dequeue(task.blocked) ?? task.group.pending.dequeue(task.blocked);
    recalcSignal(task);
    if (info === undefined) break;
    yield* deliver(task, info);
  }
  finishRestart(task, undefined);
  if (task.savedMask !== undefined) {
    task.blocked.assign(task.savedMask);
    task.savedMask = undefined;
    recalcSignal(task);
  }
  return undefined;
}

function* deliver(task: TaskStruct, dequeued: SignalInfo): Sleeps<void> {
  let info = dequeued;
  if (task.trace !== undefined && info.signal !== SIGKILL) {
    const chosen = yield* ptraceSignalStop(task, info);
    if (chosen === undefined) return;
    info = chosen;
  }
  if (task.kernel.syscallHooks.isActive) task.kernel.syscallHooks.signal(task, info);
  const action = task.sighand.get(info.signal);
  if (action.handler === SIG_IGN) return;
  if (action.handler !== SIG_DFL) yield* runHandler(task, info, action);
  else takeDefault(task, info);
}

function takeDefault(task: TaskStruct, info: SignalInfo): void {
  const { group } = task;
  const { signal } = info;
  const what = defaultAction(signal);
  if (what === "ignore") return;
  if (group.isUnkillable && !(signal === SIGKILL && info.code === SI_KERNEL)) return;
  if (what === "stop") {
    if (signal !== SIGSTOP && isOrphaned(task.kernel, group.pgid)) return;
    startGroupStop(task, signal);
  } else {
    const dumps = what === "core" && (group.rlimits[RLIMIT_CORE]?.soft ?? 0) > 0 && task.mm?.dumpable === 1;
    killGroup(group, signal | (dumps ? 0x80 : 0));
  }
}

function startGroupStop(task: TaskStruct, signal: number): void {
  const { group } = task;
  group.stopSignal = signal;
  group.stopCode = 0;
  group.stopNotice = undefined;
  for (const other of group.threads) {
    recalcSignal(other);
    if (other !== task && other.state === "sleeping") other.wake();
  }
}

/** One thread's part in a group stop: the last one to stop tells the parent. */
function* takeStop(task: TaskStruct): Sleeps<void> {
  const { group } = task;
  if (task.trace !== undefined) {
    yield* ptraceGroupStop(task);
    return;
  }
  task.state = "stopped";
  let isLast = true;
  for (const other of group.threads) if (other.state !== "stopped") isLast = false;
  if (isLast && group.stopCode === 0) {
    group.stopCode = (group.stopSignal << 8) | 0x7f;
    group.stopNotice = "stopped";
    notifyParentOfStop(group, "stopped");
  }
  while (group.stopSignal !== 0 && !isDoomed(task)) {
    task.state = "stopped";
    yield WAIT_BLOCKED;
  }
  task.state = "running";
  recalcSignal(task);
}

/** Points the registers at a handler. Source: sigaction(2), sigaltstack(2). */
function* runHandler(task: TaskStruct, info: SignalInfo, action: SigAction): Sleeps<void> {
  const { kernel, altStack } = task;
  finishRestart(task, action);
  const isOnStack = isOnAltStack(task);
  const useAltStack = (action.flags & SA_ONSTACK) !== 0 && !isOnStack && (altStack.flags & SS_DISABLE) === 0;
  const frame: SignalFrame = {
    signal: info.signal,
    handler: action.handler,
    flags: action.flags,
    restorer: action.restorer,
    mask: (task.savedMask ?? task.blocked).toBigint(),
    info: encodeSignalInfo(info),
    altStack: { sp: altStack.sp, size: altStack.size, flags: (altStack.flags & ~1) | (isOnStack ? 1 : 0) },
    onAltStack: useAltStack,
    trapNumber: task.trap.number,
    errorCode: task.trap.errorCode,
    faultAddress: task.trap.address,
  };
  task.savedMask = undefined;
  kernel.sched.makeLive(task);
  kernel.sched.saveRegisters(task);
  const { address, bytes } = kernel.arch.setupSignalFrame(kernel.ram, frame);
  if (!(yield* pushFrame(task, address, bytes))) {
    if (info.signal === SIGSEGV) {
      task.sighand.set(SIGSEGV, { ...action, handler: SIG_DFL });
      task.blocked.delete(SIGSEGV);
    }
    forceSignal(task, kernelSignal(SIGSEGV));
    return;
  }
  if (useAltStack && (altStack.flags & SS_AUTODISARM) !== 0) {
    task.altStack = { sp: 0, size: 0, flags: SS_DISABLE };
  }
  maskForHandler(task, info.signal, action);
}

/** Precondition: `task.registers` holds the registers as they were before the frame was set up. */
function* pushFrame(task: TaskStruct, address: number, bytes: Uint8Array): Sleeps<boolean> {
  const { user } = mmOf(task);
  if (user.tryCopyOut(address, bytes)) return true;
  const before = task.registers.slice();
  try {
    yield* user.copyOut(address, bytes.slice());
    return true;
  } catch {
    task.registers.set(before);
    task.kernel.sched.restoreRegisters(task);
    return false;
  }
}

function maskForHandler(task: TaskStruct, signal: number, action: SigAction): void {
  const mask = action.mask.copy();
  if ((action.flags & SA_NODEFER) === 0) mask.add(signal);
  mask.delete(SIGKILL);
  mask.delete(SIGSTOP);
  task.blocked.union(mask);
  if ((action.flags & SA_RESETHAND) !== 0) task.sighand.set(signal, { ...action, handler: SIG_DFL });
  recalcSignal(task);
}

/** Whether the stack pointer stands on the alternate stack. */
export function isOnAltStack(task: TaskStruct): boolean {
  const { altStack, kernel } = task;
  if ((altStack.flags & SS_DISABLE) !== 0 || (altStack.flags & SS_AUTODISARM) !== 0) return false;
  const sp = kernel.arch.getSp(kernel.ram);
  return sp > altStack.sp && sp <= altStack.sp + altStack.size;
}

/** Decides how an interrupted call goes on; `action` is the handler that runs now, if one does. */
function finishRestart(task: TaskStruct, action: SigAction | undefined): void {
  const { restart, kernel } = task;
  task.pendingWork &= ~WORK_RESTART;
  if (restart === undefined) return;
  task.restart = undefined;
  const { arch, ram } = kernel;
  if (action !== undefined) {
    const again = restart === "nointr" || (restart === "sys" && (action.flags & SA_RESTART) !== 0);
    if (again) arch.restartSyscall(ram, task.syscall);
  } else if (restart === "block") {
    arch.restartSyscall(ram, arch.syscallNames.indexOf("restart_syscall"));
  } else {
    arch.restartSyscall(ram, task.syscall);
  }
}

/** Sets the mask, as sigprocmask(2): SIGKILL and SIGSTOP stay out. */
export function setBlocked(task: TaskStruct, mask: SigSet): void {
  mask.delete(SIGKILL);
  mask.delete(SIGSTOP);
  task.blocked.assign(mask);
  recalcGroup(task.group);
}
