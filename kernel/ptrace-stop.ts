// SPDX-License-Identifier: Apache-2.0
// The stops of a traced task: it stands still, its tracer hears of it through wait(2), and decides how it goes on.
// Source: ptrace(2).

import type { SignalInfo } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import { SIGCHLD, SIGKILL, SIGSTOP, SIGTRAP } from "../include/uapi/signal.ts";
import { sendToGroup, userSignal } from "./signal.ts";
import { isKilled, recalcSignal } from "./signal-state.ts";
import type { TaskStruct, TraceState } from "./task.ts";

export const PTRACE_EVENT_STOP = 128;
const PTRACE_EVENT_EXIT = 6;

/** Stands until the tracer lets go. `status` is what wait(2) reports above the 0x7f byte. */
export function* ptraceStop(
  task: TaskStruct,
  status: number,
  info: SignalInfo,
  mustDie: (task: TaskStruct) => boolean = isKilled,
): Sleeps<void> {
  const { trace, kernel } = task;
  if (trace === undefined || mustDie(task)) return;
  trace.isStopped = true;
  trace.isReported = false;
  trace.stopStatus = (status << 8) | 0x7f;
  trace.stopInfo = info;
  trace.resumeSignal = 0;
  kernel.sched.saveRegisters(task);
  tellTracer(task, trace);
  while (trace.isStopped && task.trace === trace && !mustDie(task)) {
    task.state = "traced";
    yield WAIT_BLOCKED;
  }
  trace.isStopped = false;
  task.state = "running";
  kernel.sched.restoreRegisters(task);
  recalcSignal(task);
}

function tellTracer(task: TaskStruct, trace: TraceState): void {
  const { group } = trace.tracer;
  sendToGroup(group, {
    signal: SIGCHLD,
    code: 4,
    pid: task.pid,
    uid: task.cred.uid,
    status: (trace.stopStatus >> 8) & 0xff,
  });
  group.waitQueue.wakeAll(0);
}

/** A signal is about to be delivered: the tracer may drop it (undefined) or put another in its place. */
export function* ptraceSignalStop(task: TaskStruct, info: SignalInfo): Sleeps<SignalInfo | undefined> {
  const { trace } = task;
  if (trace === undefined) return info;
  yield* ptraceStop(task, info.signal, info);
  const signal = trace.resumeSignal;
  if (signal === 0) return undefined;
  if (signal === info.signal) return trace.stopInfo ?? info;
  return userSignal(trace.tracer, signal);
}

/** A group stop or PTRACE_INTERRUPT. */
export function* ptraceGroupStop(task: TaskStruct): Sleeps<void> {
  const { trace, group } = task;
  if (trace === undefined) return;
  if (trace.pendingEvent !== 0) {
    yield* ptracePendingEvent(task);
    return;
  }
  trace.interrupt = false;
  const signal = group.stopSignal === 0 ? SIGTRAP : group.stopSignal;
  const status = trace.isSeized
    ? signal | (PTRACE_EVENT_STOP << 8)
    : group.stopSignal === 0
    ? SIGSTOP
    : signal;
  yield* ptraceStop(task, status, {
    signal,
    code: signal | (PTRACE_EVENT_STOP << 8),
    pid: task.pid,
    uid: task.cred.uid,
  });
  // The tracer decided; a stop that it did not ask to keep is over for this thread.
  if (trace.mode !== "listen") group.stopSignal = 0;
  recalcSignal(task);
}

/** PTRACE_EVENT_*: exec, fork, exit and the like, when the tracer asked for that event. */
export function* ptraceEvent(task: TaskStruct, event: number, message: number): Sleeps<void> {
  const { trace } = task;
  if (trace === undefined || (trace.options & (1 << event)) === 0) return;
  trace.eventMessage = message;
  const status = SIGTRAP | (event << 8);
  // A thread that ends is doomed already; only SIGKILL lets it pass this stop.
  const mustDie = event === PTRACE_EVENT_EXIT ? hasSigkill : isKilled;
  yield* ptraceStop(
    task,
    status,
    { signal: SIGTRAP, code: status, pid: task.pid, uid: task.cred.uid },
    mustDie,
  );
}

function hasSigkill(task: TaskStruct): boolean {
  return task.pending.set.has(SIGKILL) || task.group.pending.set.has(SIGKILL);
}

/** The event that execve(2) left to report, if there is one. */
export function* ptracePendingEvent(task: TaskStruct): Sleeps<void> {
  const { trace } = task;
  const event = trace?.pendingEvent ?? 0;
  if (trace === undefined || event === 0) return;
  trace.pendingEvent = 0;
  trace.interrupt = false;
  recalcSignal(task);
  yield* ptraceEvent(task, event, task.pid);
}
