// SPDX-License-Identifier: Apache-2.0
// Sending signals: who gets one, whether it is dropped, who wakes up, and who may send it.
//
// A signal goes to a thread (`sendToTask`), to a process (`sendToGroup`, any thread that does not block it) or to a
// process group. What would be ignored is dropped here, unless it is blocked or the target is traced.
// Source: signal(7), kill(2), credentials(7).

import type { Kernel, SignalInfo, Task, ThreadGroup } from "../include/linux/sched.ts";
import {
  SI_KERNEL,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGABRT,
  SIGBUS,
  SIGCHLD,
  SIGCONT,
  SIGFPE,
  SIGILL,
  SIGKILL,
  SIGQUIT,
  SIGSEGV,
  SIGSTOP,
  SIGSYS,
  SIGTRAP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
  SIGXCPU,
  SIGXFSZ,
} from "../include/uapi/signal.ts";
import { CAP_KILL } from "../include/uapi/capability.ts";
import { EPERM } from "../lib/errno.ts";
import { capable } from "../security/commoncap.ts";
import { SigSet } from "./signal-set.ts";
import { recalcGroup, recalcSignal } from "./signal-state.ts";
import { type KernelCore, self, type TaskStruct, ThreadGroupStruct } from "./task.ts";

const DEFAULT_IGNORED: SigSet = SigSet.of(SIGCHLD, SIGCONT, SIGURG, SIGWINCH);
const DEFAULT_STOP: SigSet = SigSet.of(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU);
const DEFAULT_CORE: SigSet = SigSet.of(
  SIGQUIT,
  SIGILL,
  SIGABRT,
  SIGFPE,
  SIGSEGV,
  SIGBUS,
  SIGSYS,
  SIGTRAP,
  SIGXCPU,
  SIGXFSZ,
);

export type DefaultAction = "ignore" | "stop" | "core" | "terminate";

export function defaultAction(signal: number): DefaultAction {
  if (DEFAULT_IGNORED.has(signal)) return "ignore";
  if (DEFAULT_STOP.has(signal)) return "stop";
  return DEFAULT_CORE.has(signal) ? "core" : "terminate";
}

function isIgnored(task: TaskStruct, info: SignalInfo): boolean {
  if (task.group.isKernel) return true;
  const { signal } = info;
  if (task.blocked.has(signal) || task.awaited?.has(signal) === true) return false;
  if (task.trace !== undefined && signal !== SIGKILL) return false;
  const { handler } = task.sighand.get(signal);
  if (handler === SIG_IGN) return true;
  if (handler !== SIG_DFL) return false;
  if (task.group.isUnkillable && !(signal === SIGKILL && info.code === SI_KERNEL)) return true;
  return defaultAction(signal) === "ignore";
}

/** What a stop or continue signal does the moment it is sent, delivered or not. */
function prepare(group: ThreadGroupStruct, signal: number): void {
  if (signal === SIGCONT || signal === SIGKILL) {
    if (signal === SIGCONT) {
      for (const stop of [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]) discardIn(group, stop);
    }
    continueGroup(group, signal === SIGCONT);
  } else if (DEFAULT_STOP.has(signal)) {
    discardIn(group, SIGCONT);
  }
}

function discardIn(group: ThreadGroupStruct, signal: number): void {
  group.pending.discard(signal);
  for (const task of group.threads) task.pending.discard(signal);
}

/** Ends a group stop. */
function continueGroup(group: ThreadGroupStruct, notify: boolean): void {
  const wasStopped = group.stopSignal !== 0;
  group.stopSignal = 0;
  for (const task of group.threads) {
    if (task.state === "stopped") task.kernel.sched.wakeStopped(task);
  }
  if (!wasStopped) return;
  recalcGroup(group);
  if (!notify || group.stopNotice === undefined && group.stopCode === 0) return;
  group.stopNotice = "continued";
  notifyParentOfStop(group, "continued");
}

/** SIGCHLD for a stop or its end, and a wake-up for who waits. */
export function notifyParentOfStop(group: ThreadGroupStruct, what: "stopped" | "continued"): void {
  const { parentGroup } = group;
  if (parentGroup === undefined) return;
  const parent = parentGroup.leader;
  const { handler, flags } = parent.sighand.get(SIGCHLD);
  const SA_NOCLDSTOP = 1;
  if (handler !== SIG_IGN && (flags & SA_NOCLDSTOP) === 0) {
    sendToGroup(parentGroup, {
      signal: SIGCHLD,
      code: what === "stopped" ? 5 : 6, // CLD_STOPPED, CLD_CONTINUED
      pid: group.tgid,
      uid: group.leader.cred.uid,
      status: what === "stopped" ? (group.stopCode >> 8) & 0xff : SIGCONT,
    });
  }
  parentGroup.waitQueue.wakeAll(0);
}

function wakeFor(task: TaskStruct, signal: number): void {
  recalcSignal(task);
  if (!task.hasSignal) return;
  if (signal === SIGKILL) {
    task.kernel.sched.wakeStopped(task);
  } else if (task.state === "sleeping") {
    task.wake();
  }
}

/** Starts the death of a process: each of its threads leaves at the next chance. */
export function killGroup(group: ThreadGroupStruct, status: number): void {
  if (!group.isExiting) {
    group.isExiting = true;
    group.exitCode = status;
  }
  group.stopSignal = 0;
  for (const task of group.threads) {
    recalcSignal(task);
    task.kernel.sched.wakeStopped(task);
  }
}

function isCertainDeath(task: TaskStruct, info: SignalInfo): boolean {
  const { signal } = info;
  if (task.trace !== undefined && signal !== SIGKILL) return false;
  // Whoever watches is to see the signal delivered.
  if (task.kernel.syscallHooks.isActive && task.state !== "stopped") return false;
  if (task.sighand.get(signal).handler !== SIG_DFL || task.blocked.has(signal)) return false;
  if (task.awaited?.has(signal) === true) return false;
  if (task.group.isUnkillable && info.code !== SI_KERNEL) return false;
  return signal === SIGKILL || defaultAction(signal) === "terminate";
}

function wantsSignal(task: TaskStruct, signal: number): boolean {
  if (task.blocked.has(signal) || task.state === "zombie" || task.state === "dead") return false;
  return signal === SIGKILL || (task.state !== "stopped" && task.state !== "traced");
}

/** The thread that is to take a signal sent to the process: the leader if it can, else the first that can. */
function chooseThread(group: ThreadGroupStruct, signal: number): TaskStruct | undefined {
  if (group.threads.has(group.leader) && wantsSignal(group.leader, signal)) return group.leader;
  for (const task of group.threads) if (wantsSignal(task, signal)) return task;
  return undefined;
}

/** To one thread. False when nothing was queued (ignored, or pending already). */
export function sendToTask(task: Task, info: SignalInfo): boolean {
  const target = self(task);
  if (info.signal === 0 || target.group.isDead || target.state === "zombie" || target.state === "dead") {
    return false;
  }
  prepare(target.group, info.signal);
  if (isIgnored(target, info) || !target.pending.add(info)) return false;
  notifySignalfd(target.group);
  if (isCertainDeath(target, info)) killGroup(target.group, info.signal);
  else wakeFor(target, info.signal);
  return true;
}

/** To a process. False when nothing was queued. */
export function sendToGroup(to: ThreadGroup, info: SignalInfo): boolean {
  const group = groupOf(to);
  if (info.signal === 0 || group.isDead) return false;
  prepare(group, info.signal);
  const judge = chooseThread(group, info.signal) ?? [...group.threads][0]!;
  if (isIgnored(judge, info) || !group.pending.add(info)) return false;
  notifySignalfd(group);
  const target = chooseThread(group, info.signal);
  if (target === undefined) {
    recalcGroup(group);
  } else if (isCertainDeath(target, info)) {
    killGroup(group, info.signal);
  } else {
    recalcGroup(group);
    wakeFor(target, info.signal);
  }
  return true;
}

export function groupOf(group: ThreadGroup): ThreadGroupStruct {
  if (group instanceof ThreadGroupStruct) return group;
  throw new TypeError("a process of another kernel");
}

/** To every process of a group, by the kernel: terminals, orphaned groups. Returns how many there were. */
export function sendToProcessGroup(kernel: Kernel, pgid: number, info: SignalInfo): number {
  let count = 0;
  const seen = new Set<ThreadGroup>();
  for (const task of kernel.tasks.processGroup(pgid)) {
    if (seen.has(task.group)) continue;
    seen.add(task.group);
    sendToGroup(task.group, info);
    count++;
  }
  return count;
}

/** SI_KERNEL: by nobody in particular. */
export function kernelSignal(signal: number): SignalInfo {
  return { signal, code: SI_KERNEL, pid: 0, uid: 0 };
}

/** As kill(2) by `sender`. */
export function userSignal(sender: Task, signal: number): SignalInfo {
  return { signal, code: SI_USER, pid: sender.tgid, uid: sender.cred.uid };
}

/** An exception of the program itself: delivered even if blocked or ignored (then it kills). */
export function forceSignal(task: TaskStruct, info: SignalInfo): void {
  const action = task.sighand.get(info.signal);
  const isBlocked = task.blocked.has(info.signal);
  if (isBlocked || action.handler === SIG_IGN) {
    task.sighand.set(info.signal, { ...action, handler: SIG_DFL });
    task.blocked.delete(info.signal);
  }
  if (task.sighand.get(info.signal).handler === SIG_DFL && task.trace === undefined) {
    task.group.isUnkillable = false;
  }
  task.pending.add(info);
  notifySignalfd(task.group);
  recalcSignal(task);
}

/** Throws EPERM unless `sender` may signal `target`. Source: kill(2). */
export function checkSignalPermission(sender: Task, target: Task, signal: number): void {
  if (sender.group === target.group) return;
  const from = sender.cred;
  const to = target.cred;
  if (from.euid === to.suid || from.euid === to.uid || from.uid === to.suid || from.uid === to.uid) return;
  if (signal === SIGCONT && sender.group.sid === target.group.sid) return;
  if (!capable(sender, CAP_KILL)) throw EPERM;
}

/** fs/signalfd.ts waits here for any signal of the process. */
export function signalQueueOf(group: ThreadGroup): ThreadGroupStruct["signalQueue"] {
  return groupOf(group).signalQueue;
}

function notifySignalfd(group: ThreadGroupStruct): void {
  group.signalQueue.wakeAll(1);
}

/** For signalfd(2): takes a pending signal of `mask` for `task`, if there is one. */
export function dequeueSignal(task: Task, mask: bigint): SignalInfo | undefined {
  const target = self(task);
  const blocked = SigSet.fromBigint(~mask);
  const info = target.pending.dequeue(blocked) ?? target.group.pending.dequeue(blocked);
  if (info !== undefined) recalcSignal(target);
  return info;
}

/** For signalfd(2): whether dequeueSignal would find one. */
export function hasPendingSignal(task: Task, mask: bigint): boolean {
  const target = self(task);
  const blocked = SigSet.fromBigint(~mask);
  return target.pending.set.hasOutside(blocked) || target.group.pending.set.hasOutside(blocked);
}

/** True when job-control signals of this kind would have no effect: blocked or ignored (tty's EIO rule). */
export function isBlockedOrIgnored(task: Task, signal: number): boolean {
  const target = self(task);
  return target.blocked.has(signal) || target.sighand.get(signal).handler === SIG_IGN;
}

/** A process group without a parent in the same session but another group: nobody would continue it. */
export function isOrphaned(kernel: KernelCore, pgid: number, ignored?: ThreadGroupStruct): boolean {
  for (const group of kernel.tasks.groupsOf(pgid)) {
    if (group === ignored || group.isDead) continue;
    const parent = group.parentGroup;
    if (parent !== undefined && parent !== kernel.init && parent.pgid !== pgid && parent.sid === group.sid) {
      return false;
    }
  }
  return true;
}
