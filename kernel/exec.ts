// SPDX-License-Identifier: Apache-2.0
// What execve(2) asks of the process: to become single-threaded, to change its memory, to start afresh.
// The program itself is loaded by fs/exec.ts. Source: execve(2), "Effect on process attributes".

import type { Mm } from "../include/linux/mm_types.ts";
import type { ProcessControl, SignalInfo, Task, ThreadGroup } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import { SIG_DFL, SIGTRAP, SS_DISABLE } from "../include/uapi/signal.ts";
import { EAGAIN } from "../lib/errno.ts";
import { releaseVfork } from "./exit.ts";
import { exitRobustList } from "./futex/robust.ts";
import { wakeFutex } from "./futex/waitwake.ts";
import { SigSet } from "./signal-set.ts";
import { forceSignal, kernelSignal, sendToGroup, sendToTask } from "./signal.ts";
import { isDoomed, recalcSignal } from "./signal-state.ts";
import { self, type TaskStruct } from "./task.ts";

const PTRACE_EVENT_EXEC = 4;

/** Ends the other threads, waits for them, and takes the leader's place. */
function* deThread(task: TaskStruct): Sleeps<void> {
  const { group, kernel } = task;
  if (group.isExiting || group.execTask !== undefined) throw EAGAIN;
  if (group.threads.size > 1) {
    group.execTask = task;
    group.isExiting = true;
    for (const other of group.threads) {
      if (other === task) continue;
      recalcSignal(other);
      kernel.sched.wakeStopped(other);
    }
    while (group.threads.size > 1) {
      task.isUninterruptible = true;
      yield WAIT_BLOCKED;
      if (isDoomed(task)) throw EAGAIN;
    }
    group.isExiting = false;
    group.execTask = undefined;
  }
  if (group.leader !== task) becomeLeader(task);
  // Handlers are no longer shared with another process (CLONE_SIGHAND without CLONE_THREAD).
  task.sighand = task.sighand.copy();
}

/** The only thread left takes the pid of the process. */
function becomeLeader(task: TaskStruct): void {
  const { group, kernel } = task;
  const old = group.leader;
  kernel.tasks.remove(task);
  kernel.tasks.remove(old);
  old.state = "dead";
  old.pid = task.pid;
  task.pid = group.tgid;
  group.leader = task;
  kernel.tasks.add(task);
  for (const child of group.children) {
    for (const thread of child.threads) if (thread.deathNotice === old) thread.deathNotice = task;
  }
}

function* replaceMm(task: TaskStruct, mm: Mm): Sleeps<void> {
  const old = task.mm;
  if (old !== undefined) {
    try {
      yield* exitRobustList(task);
      if (task.clearChildTid !== 0 && old.users > 1) {
        yield* old.user.writeU32(task.clearChildTid, 0);
        wakeFutex(task, task.clearChildTid, 1);
      }
    } catch {
      // What the old program gave us does not matter any more.
    }
  }
  task.mm = mm;
  task.kernel.sched.makeLive(task);
  if (old !== undefined) {
    task.group.maxResidentKb = Math.max(task.group.maxResidentKb, old.peakResidentPages * 4);
    old.put();
  }
  releaseVfork(task);
  forgetProgram(task);
}

/** State that belonged to the old program. */
function forgetProgram(task: TaskStruct): void {
  const { group } = task;
  task.sighand.reset(false);
  task.altStack = { sp: 0, size: 0, flags: SS_DISABLE };
  task.robustList = 0;
  task.clearChildTid = 0;
  task.restartBlock = undefined;
  task.trap = { number: 0, errorCode: 0, address: 0 };
  task.keepCapabilities = false;
  task.timerSlackNs = task.defaultTimerSlackNs;
  for (const hook of group.execHooks) hook();
  group.isExecuted = true;
}

function startThread(task: TaskStruct, pc: number, sp: number): void {
  const { kernel } = task;
  kernel.sched.makeLive(task);
  kernel.arch.startThread(kernel.ram, pc, sp);
  const { trace } = task;
  if (trace === undefined) return;
  if ((trace.options & (1 << PTRACE_EVENT_EXEC)) !== 0) {
    trace.pendingEvent = PTRACE_EVENT_EXEC;
    trace.interrupt = true;
    recalcSignal(task);
  } else if (!trace.isSeized) {
    sendToTask(task, kernelSignal(SIGTRAP));
  }
}

/** The door for fs/exec.ts and mm/. */
export class KernelControl implements ProcessControl {
  sendSignal(group: ThreadGroup, info: SignalInfo): void {
    sendToGroup(group, info);
  }

  forceFatalSignal(task: Task, signal: number): void {
    const target = self(task);
    target.sighand.set(signal, { handler: SIG_DFL, flags: 0, restorer: 0, mask: new SigSet() });
    target.blocked.delete(signal);
    forceSignal(target, kernelSignal(signal));
  }

  deThread(task: Task): Sleeps<void> {
    return deThread(self(task));
  }

  replaceMm(task: Task, mm: Mm): Sleeps<void> {
    return replaceMm(self(task), mm);
  }

  startThread(task: Task, pc: number, sp: number): void {
    startThread(self(task), pc, sp);
  }
}
