// SPDX-License-Identifier: Apache-2.0
// Binding a tracer to a tracee. Source: ptrace(2).

import { SIGSTOP } from "../include/uapi/signal.ts";
import { kernelSignal, sendToTask } from "./signal.ts";
import { recalcSignal } from "./signal-state.ts";
import { SYSCALL_TRACE, type TaskStruct, type TraceState } from "./task.ts";

export function attachTracer(
  tracer: TaskStruct,
  tracee: TaskStruct,
  isSeized: boolean,
  options: number,
): TraceState {
  const trace: TraceState = {
    tracer,
    isSeized,
    options,
    mode: "cont",
    stopStatus: 0,
    stopInfo: undefined,
    eventMessage: 0,
    isReported: true,
    resumeSignal: 0,
    isStopped: false,
    syscallInfo: undefined,
    interrupt: false,
    pendingEvent: 0,
  };
  tracee.trace = trace;
  tracer.tracees.add(tracee);
  return trace;
}

export function detachTracer(tracee: TaskStruct): void {
  const { trace } = tracee;
  if (trace === undefined) return;
  trace.tracer.tracees.delete(tracee);
  tracee.trace = undefined;
  tracee.syscallWork &= ~SYSCALL_TRACE;
  recalcSignal(tracee);
}

/** A traced task forks: with PTRACE_O_TRACE{FORK,VFORK,CLONE} the child is traced too and starts with a stop. */
export function inheritTrace(
  parent: TaskStruct,
  child: TaskStruct,
  event: number,
  isUntraced: boolean,
): boolean {
  const { trace } = parent;
  if (trace === undefined || isUntraced || (trace.options & (1 << event)) === 0) return false;
  const childTrace = attachTracer(trace.tracer, child, trace.isSeized, trace.options);
  if (trace.isSeized) {
    childTrace.interrupt = true;
    recalcSignal(child);
  } else {
    sendToTask(child, kernelSignal(SIGSTOP));
  }
  return true;
}
