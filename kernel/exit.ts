// SPDX-License-Identifier: Apache-2.0
// The end of a thread, and of a process when it was the last one.
//
// Order: what user memory must hear (robust futexes, clear_child_tid), then the memory itself, then descriptors, then
// the terminal; last the parent. After that a process is a zombie: its pid and status wait for wait(2).
// Source: _exit(2), exit_group(2), set_tid_address(2), get_robust_list(2), prctl(2) PR_SET_CHILD_SUBREAPER,
// setpgid(2) on orphaned process groups.

import type { Sleeps } from "../include/linux/wait.ts";
import { POLLIN } from "../include/linux/fs.ts";
import {
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  SA_NOCLDWAIT,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
} from "../include/uapi/signal.ts";
import { wakeFutex } from "./futex/waitwake.ts";
import { exitRobustList } from "./futex/robust.ts";
import { ptraceEvent } from "./ptrace-stop.ts";
import {
  isOrphaned,
  kernelSignal,
  killGroup,
  sendToGroup,
  sendToProcessGroup,
  userSignal,
} from "./signal.ts";
import { type TaskStruct, type ThreadGroupStruct } from "./task.ts";

const PTRACE_EVENT_EXIT = 6;

/** exit_group(2): the whole process ends with `status` (as wait(2) reports it). Does not come back. */
export function* exitGroup(task: TaskStruct, status: number): Sleeps<never> {
  killGroup(task.group, status);
  return yield* exitTask(task, task.group.exitCode);
}

/** Ends the thread. The generator finishes with the task a zombie or dead, and nothing runs for it any more. */
export function* exitTask(task: TaskStruct, status: number): Sleeps<never> {
  const { kernel, group } = task;
  yield* ptraceEvent(task, PTRACE_EVENT_EXIT, status);
  yield* leaveMemory(task);
  task.exitCode = status;
  for (const release of task.exitHooks) release();
  task.exitHooks.clear();
  task.files.put(task);
  detachTracing(task);
  kernel.sched.account();
  group.threads.delete(task);
  group.voluntarySwitches += task.voluntarySwitches;
  group.involuntarySwitches += task.involuntarySwitches;
  group.minorFaults += task.minorFaults;
  group.majorFaults += task.majorFaults;
  raiseDeathSignals(task);
  const { syscallHooks } = kernel;
  if (syscallHooks.isActive) syscallHooks.exited(task, status);
  if (group.leader === task) {
    task.state = "zombie";
  } else {
    task.state = "dead";
    kernel.tasks.remove(task);
  }
  if (group.threads.size === 0) endGroup(group, task, status);
  else if (group.execTask !== undefined) group.execTask.wake();
  // The scheduler sees the state and drops the task; the value is never looked at.
  return undefined as never;
}

/** Tells user memory that the thread is gone, and gives the address space up. */
export function* leaveMemory(task: TaskStruct): Sleeps<void> {
  const { mm } = task;
  if (mm === undefined) return;
  try {
    yield* exitRobustList(task);
  } catch {
    // A list that cannot be read ends there, as in Linux.
  }
  const { clearChildTid } = task;
  if (clearChildTid !== 0 && mm.users > 1) {
    try {
      if (!mm.user.tryWriteU32(clearChildTid, 0)) yield* mm.user.writeU32(clearChildTid, 0);
      wakeFutex(task, clearChildTid, 1);
    } catch {
      // The program gave a bad address: nobody can wait there.
    }
  }
  task.clearChildTid = 0;
  task.group.maxResidentKb = Math.max(task.group.maxResidentKb, mm.peakResidentPages * 4);
  task.mm = undefined;
  task.kernel.sched.leaveSpace(mm);
  mm.put();
  releaseVfork(task);
}

/** The parent of a vfork(2) may go on. */
export function releaseVfork(task: TaskStruct): void {
  const { vforkDone } = task;
  task.vforkDone = undefined;
  vforkDone?.();
}

function detachTracing(task: TaskStruct): void {
  for (const tracee of [...task.tracees]) {
    const { trace } = tracee;
    tracee.trace = undefined;
    tracee.syscallWork &= ~1;
    task.tracees.delete(tracee);
    const PTRACE_O_EXITKILL = 0x10_0000;
    if (trace !== undefined && (trace.options & PTRACE_O_EXITKILL) !== 0) {
      sendToGroup(tracee.group, kernelSignal(9));
    }
    tracee.kernel.sched.wakeStopped(tracee);
  }
}

/** prctl(2) PR_SET_PDEATHSIG: children hear of the end of the thread that made them. */
function raiseDeathSignals(task: TaskStruct): void {
  for (const child of task.group.children) {
    for (const thread of child.threads) {
      if (thread.deathSignal !== 0 && (thread.deathNotice === task || task.group.isDead)) {
        sendToGroup(child, userSignal(task, thread.deathSignal));
      }
    }
  }
}

function endGroup(group: ThreadGroupStruct, last: TaskStruct, status: number): void {
  const { kernel } = last;
  if (!group.isExiting) group.exitCode = status;
  group.isExiting = true;
  for (const hook of group.exitHooks) hook();
  group.exitHooks.clear();
  leaveSession(group);
  adoptChildren(group);
  const { parentGroup } = group;
  if (parentGroup !== undefined && parentGroup.pgid !== group.pgid && parentGroup.sid === group.sid) {
    hangUpIfOrphaned(group, group.pgid);
  }
  group.exitQueue.wakeAll(POLLIN);
  const { onExit } = group;
  group.onExit = undefined;
  onExit?.(group.exitCode);
  notifyParent(group);
  if (group === kernel.init) kernel.printk(0, "Kernel panic - not syncing: Attempted to kill init!");
}

/** A session leader takes its terminal with it: SIGHUP to the foreground group. */
function leaveSession(group: ThreadGroupStruct): void {
  const { tty } = group;
  if (tty === undefined || group.sid !== group.tgid) return;
  tty.hangup();
  group.tty = undefined;
}

/** Stopped members of a group that nobody can continue get SIGHUP and SIGCONT. */
function hangUpIfOrphaned(leaving: ThreadGroupStruct, pgid: number): void {
  const { kernel } = leaving.leader;
  if (!isOrphaned(kernel, pgid, leaving)) return;
  let hasStopped = false;
  for (const member of kernel.tasks.groupsOf(pgid)) {
    if (member !== leaving && !member.isDead && member.stopCode !== 0 && member.stopSignal !== 0) {
      hasStopped = true;
    }
  }
  if (!hasStopped) return;
  sendToProcessGroup(kernel, pgid, kernelSignal(SIGHUP));
  sendToProcessGroup(kernel, pgid, kernelSignal(SIGCONT));
}

/** Who takes the children of `group`: the nearest subreaper above it, else init. */
function adopterOf(group: ThreadGroupStruct): ThreadGroupStruct | undefined {
  const { init } = group.leader.kernel;
  for (let above = group.parentGroup; above !== undefined; above = above.parentGroup) {
    if (above.isSubreaper && !above.isDead) return above;
  }
  return init === group || init?.isDead === true ? undefined : init;
}

function adoptChildren(group: ThreadGroupStruct): void {
  if (group.children.size === 0) return;
  const adopter = adopterOf(group);
  const children = [...group.children];
  group.children.clear();
  for (const child of children) {
    child.parentGroup = adopter;
    adopter?.children.add(child);
    child.exitSignal = SIGCHLD;
    if (child.isDead) notifyParent(child);
    else if (child.pgid !== group.pgid && child.sid === group.sid) hangUpIfOrphaned(group, child.pgid);
  }
}

/** The process is over: SIGCHLD to the parent, or nobody wants to know and it vanishes. */
function notifyParent(group: ThreadGroupStruct): void {
  const { parentGroup, exitSignal } = group;
  if (group.leader.trace !== undefined && group.leader.trace.tracer.group !== parentGroup) {
    group.leader.trace.tracer.group.waitQueue.wakeAll(0);
  }
  if (parentGroup === undefined) {
    reap(group);
    return;
  }
  const { handler, flags } = parentGroup.leader.sighand.get(SIGCHLD);
  const isUnwanted = exitSignal === SIGCHLD && (handler === SIG_IGN || (flags & SA_NOCLDWAIT) !== 0);
  if (exitSignal !== 0 && !(isUnwanted && handler === SIG_IGN)) sendToGroup(parentGroup, exitInfo(group));
  if (isUnwanted || parentGroup.reapsByItself) reap(group);
  parentGroup.waitQueue.wakeAll(0);
}

function exitInfo(group: ThreadGroupStruct): Parameters<typeof sendToGroup>[1] {
  const { exitCode, cpuTime } = group;
  const signal = exitCode & 0x7f;
  return {
    signal: group.exitSignal,
    code: signal === 0 ? CLD_EXITED : (exitCode & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED,
    pid: group.tgid,
    uid: group.leader.cred.uid,
    status: signal === 0 ? (exitCode >> 8) & 0xff : signal,
    userTicks: Math.floor(cpuTime.userNs / 1e7),
    systemTicks: Math.floor(cpuTime.systemNs / 1e7),
  };
}

/** Takes a zombie away; its times go to the parent. */
export function reap(group: ThreadGroupStruct): void {
  if (group.isReaped) return;
  group.isReaped = true;
  const { parentGroup, cpuTime, leader } = group;
  if (parentGroup !== undefined) {
    const to = parentGroup.cpuTime;
    to.childUserNs += cpuTime.userNs + cpuTime.childUserNs;
    to.childSystemNs += cpuTime.systemNs + cpuTime.childSystemNs;
    parentGroup.childMaxResidentKb = Math.max(
      parentGroup.childMaxResidentKb,
      group.maxResidentKb,
      group.childMaxResidentKb,
    );
    parentGroup.children.delete(group);
  }
  leader.trace?.tracer.tracees.delete(leader);
  leader.trace = undefined;
  leader.state = "dead";
  leader.kernel.tasks.remove(leader);
}
