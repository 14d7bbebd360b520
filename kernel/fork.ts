// SPDX-License-Identifier: Apache-2.0
// New threads and processes: clone(2), clone3(2), fork(2), vfork(2).
//
// The child is put together while nothing else runs, then started. What must happen in the child's own registers and
// memory (result 0, stack, TLS, CLONE_CHILD_SETTID) is its first kernel code, `returnFromFork`.
// CLONE_VFORK really suspends the parent until the child has executed a program or is gone.

import type { Cred } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from "../include/uapi/capability.ts";
import { RLIMIT_NPROC } from "../include/uapi/resource.ts";
import {
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_CLEAR_SIGHAND,
  CLONE_FILES,
  CLONE_FS,
  CLONE_INTO_CGROUP,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_THREAD,
  CLONE_UNTRACED,
  CLONE_VFORK,
  CLONE_VM,
  SCHED_OTHER,
} from "../include/uapi/sched.ts";
import { NSIG, SIGCHLD, SS_DISABLE } from "../include/uapi/signal.ts";
import { EAGAIN, EINVAL, EPERM } from "../lib/errno.ts";
import { capable } from "../security/commoncap.ts";
import { installPidfd } from "./pidfd.ts";
import { ptraceEvent } from "./ptrace-stop.ts";
import { inheritTrace } from "./ptrace-attach.ts";
import { isKilled } from "./signal-state.ts";
import { type KernelCore, mmOf, type SigHand, TaskStruct, ThreadGroupStruct } from "./task.ts";
import { watchCpuLimit } from "./time/cpu-limit.ts";
import { words32 } from "./uaccess.ts";

const PTRACE_EVENT_FORK = 1;
const PTRACE_EVENT_VFORK = 2;
const PTRACE_EVENT_CLONE = 3;
const PTRACE_EVENT_VFORK_DONE = 5;

const NAMESPACES = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWTIME
  | CLONE_NEWUSER | CLONE_NEWUTS;

export interface CloneArgs {
  /** CLONE_* without the signal. May exceed 32 bits. */
  readonly flags: number;
  readonly exitSignal: number;
  /** Stack pointer of the child, or 0: the parent's. */
  readonly stack: number;
  readonly tls: number;
  readonly parentTid: number;
  readonly childTid: number;
  readonly pidfd: number;
  /** Wanted pid (clone3's set_tid), or 0. */
  readonly pid: number;
}

/** Flags beyond 32 bits are tested by division, the rest bitwise. */
function has(args: CloneArgs, flag: number): boolean {
  return flag > 0xffff_ffff ? Math.floor(args.flags / flag) % 2 === 1 : ((args.flags >>> 0) & flag) !== 0;
}

/** Throws what clone(2) says about combinations. */
function checkFlags(task: TaskStruct, args: CloneArgs): void {
  if (has(args, CLONE_THREAD) && !has(args, CLONE_SIGHAND)) throw EINVAL;
  if (has(args, CLONE_SIGHAND) && !has(args, CLONE_VM)) throw EINVAL;
  if (has(args, CLONE_SIGHAND) && has(args, CLONE_CLEAR_SIGHAND)) throw EINVAL;
  if (has(args, CLONE_FS) && (has(args, CLONE_NEWNS) || has(args, CLONE_NEWUSER))) throw EINVAL;
  if (has(args, CLONE_THREAD) && (has(args, CLONE_NEWUSER) || has(args, CLONE_NEWPID))) throw EINVAL;
  if (has(args, CLONE_PARENT) && task.group === task.kernel.init) throw EINVAL;
  if (args.exitSignal > NSIG) throw EINVAL;
  if (has(args, CLONE_INTO_CGROUP)) throw EINVAL;
  if ((args.flags & NAMESPACES) !== 0) {
    // As a kernel without these namespaces configured: privilege is looked at first.
    if (!has(args, CLONE_NEWUSER) && !capable(task, CAP_SYS_ADMIN)) throw EPERM;
    throw EINVAL;
  }
}

function checkProcessLimit(task: TaskStruct): void {
  const limit = task.group.rlimits[RLIMIT_NPROC]?.soft ?? Infinity;
  const { uid } = task.cred;
  if (uid === 0 || limit === Infinity) return;
  if (capable(task, CAP_SYS_RESOURCE) || capable(task, CAP_SYS_ADMIN)) return;
  let count = 0;
  for (const other of task.kernel.tasks.all()) if (other.cred.uid === uid && other.state !== "dead") count++;
  if (count >= limit) throw EAGAIN;
}

/** Makes the child. Answers its pid; with CLONE_VFORK, after the child has let go of the memory. */
export function doFork(task: TaskStruct, args: CloneArgs): number | Sleeps<number> {
  checkFlags(task, args);
  checkProcessLimit(task);
  if (isKilled(task)) throw EAGAIN;
  const child = copyProcess(task, args);
  const needsMore = has(args, CLONE_VFORK) || has(args, CLONE_PARENT_SETTID) || has(args, CLONE_PIDFD)
    || task.trace !== undefined;
  if (needsMore) return finishFork(task, child, args);
  task.kernel.sched.start(child);
  return child.pid;
}

function* finishFork(task: TaskStruct, child: TaskStruct, args: CloneArgs): Sleeps<number> {
  const { user } = mmOf(task);
  const { pid } = child;
  if (has(args, CLONE_PARENT_SETTID)) {
    try {
      yield* user.writeU32(args.parentTid, pid);
    } catch {
      // As Linux: the thread exists, its number is not stored.
    }
  }
  if (has(args, CLONE_PIDFD)) {
    const fd = installPidfd(task, child.group, false);
    try {
      yield* user.copyOut(args.pidfd === 0 ? args.parentTid : args.pidfd, words32(fd));
    } catch {
      // Linux checks the address before; a fault here leaves the descriptor open.
    }
  }
  let isDone = false;
  if (has(args, CLONE_VFORK)) {
    child.vforkDone = () => {
      isDone = true;
      task.wake();
    };
  }
  const event = forkEvent(args);
  const isTraced = inheritTrace(task, child, event, has(args, CLONE_UNTRACED));
  task.kernel.sched.start(child);
  if (isTraced) yield* ptraceEvent(task, event, pid);
  if (!has(args, CLONE_VFORK)) return pid;
  while (!isDone && !isKilled(task)) {
    task.isUninterruptible = true;
    yield WAIT_BLOCKED;
  }
  yield* ptraceEvent(task, PTRACE_EVENT_VFORK_DONE, pid);
  return pid;
}

function forkEvent(args: CloneArgs): number {
  if (has(args, CLONE_VFORK)) return PTRACE_EVENT_VFORK;
  return args.exitSignal === SIGCHLD ? PTRACE_EVENT_FORK : PTRACE_EVENT_CLONE;
}

function copyProcess(task: TaskStruct, args: CloneArgs): TaskStruct {
  const { kernel } = task;
  const isThread = has(args, CLONE_THREAD);
  // The one step that can fail for want of memory comes first.
  const mm = mmOf(task);
  const childMm = has(args, CLONE_VM) ? mm : mm.clone(task);
  const pid = kernel.tasks.allocate();
  const group = isThread ? task.group : copyGroup(task, pid, args);
  const child = new TaskStruct(kernel, pid, group, {
    comm: task.comm,
    fs: has(args, CLONE_FS) ? task.fs : { ...task.fs },
    files: has(args, CLONE_FILES) ? task.files : task.files.clone(),
    cred: task.cred,
    sighand: sighandFor(task, args),
  });
  if (has(args, CLONE_FILES)) task.files.users++;
  if (has(args, CLONE_VM)) mm.users++;
  child.mm = childMm;
  inherit(task, child, args);
  if (!isThread) group.leader = child;
  group.threads.add(child);
  kernel.tasks.add(child);
  kernel.sched.saveRegisters(task);
  child.registers.set(task.registers);
  child.body = returnFromFork(child, args);
  return child;
}

function sighandFor(task: TaskStruct, args: CloneArgs): SigHand {
  if (has(args, CLONE_SIGHAND)) return task.sighand;
  const copy = task.sighand.copy();
  if (has(args, CLONE_CLEAR_SIGHAND)) copy.reset(false);
  return copy;
}

function copyGroup(task: TaskStruct, pid: number, args: CloneArgs): ThreadGroupStruct {
  const from = task.group;
  const group = new ThreadGroupStruct(pid, from.rlimits.map((limit) => ({ ...limit })));
  group.pgid = from.pgid;
  group.sid = from.sid;
  group.tty = from.tty;
  const takesParent = has(args, CLONE_PARENT);
  group.parentGroup = takesParent ? from.parentGroup : from;
  group.exitSignal = takesParent ? from.exitSignal : args.exitSignal;
  group.parentGroup?.children.add(group);
  watchCpuLimit(group);
  return group;
}

/** What a thread has from the one that made it. Source: fork(2), clone(2), sched(7), sigaltstack(2). */
function inherit(from: TaskStruct, child: TaskStruct, args: CloneArgs): void {
  child.blocked.assign(from.blocked);
  const sharesStack = has(args, CLONE_VM) && !has(args, CLONE_VFORK);
  child.altStack = sharesStack ? { sp: 0, size: 0, flags: SS_DISABLE } : { ...from.altStack };
  child.nice = from.nice;
  child.affinity = from.affinity;
  child.ioPriority = from.ioPriority;
  if (from.resetOnFork) {
    if (from.policy !== SCHED_OTHER) child.nice = 0;
    else if (from.nice < 0) child.nice = 0;
  } else {
    child.policy = from.policy;
    child.rtPriority = from.rtPriority;
  }
  child.timerSlackNs = from.timerSlackNs;
  child.defaultTimerSlackNs = from.timerSlackNs;
  child.personality = from.personality;
  child.keepCapabilities = from.keepCapabilities;
  child.seccomp = from.seccomp;
  child.syscallWork = from.syscallWork & ~1;
  child.trap = from.trap;
  if (has(args, CLONE_CHILD_CLEARTID)) child.clearChildTid = args.childTid;
}

/** The first thing a new thread does. */
function* returnFromFork(child: TaskStruct, args: CloneArgs): Sleeps<number> {
  const { kernel } = child;
  if (args.stack !== 0) kernel.arch.setSp(kernel.ram, args.stack);
  if (has(args, CLONE_SETTLS)) kernel.arch.setTls(kernel.ram, args.tls);
  if (has(args, CLONE_CHILD_SETTID)) {
    const { user } = mmOf(child);
    try {
      if (!user.tryWriteU32(args.childTid, child.pid)) yield* user.writeU32(args.childTid, child.pid);
    } catch {
      // As Linux: the thread runs without it.
    }
  }
  return 0;
}

/** A process of the kernel's own making: no memory yet, child of `parent`. It runs `body` and then its program. */
export function createProcess(kernel: KernelCore, parent: ThreadGroupStruct | undefined, parts: {
  readonly comm: string;
  readonly fs: TaskStruct["fs"];
  readonly files: TaskStruct["files"];
  readonly cred: Cred;
  readonly sighand: SigHand;
  readonly rlimits: { soft: number; hard: number }[];
}): TaskStruct {
  const pid = kernel.tasks.allocate();
  const group = new ThreadGroupStruct(pid, parts.rlimits);
  const task = new TaskStruct(kernel, pid, group, parts);
  group.leader = task;
  group.pgid = pid;
  group.sid = pid;
  group.parentGroup = parent;
  group.exitSignal = SIGCHLD;
  parent?.children.add(group);
  group.threads.add(task);
  kernel.tasks.add(task);
  return task;
}
