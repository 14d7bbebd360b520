// SPDX-License-Identifier: Apache-2.0
// System calls that make and end tasks, and that arrange processes in groups and sessions.

import {
  bufferIn,
  flagsOf,
  int,
  pid,
  pointer,
  size,
  type Syscall,
  syscall,
} from "../include/linux/syscalls.ts";
import {
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_FILES,
  CLONE_FS,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  CSIGNAL,
} from "../include/uapi/sched.ts";
import { NSIG, SIGCHLD } from "../include/uapi/signal.ts";
import { E2BIG, EACCES, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import { exitGroup, exitTask } from "./exit.ts";
import { type CloneArgs, doFork } from "./fork.ts";
import { self, type TaskStruct, type ThreadGroupStruct } from "./task.ts";
import { readU64, viewOf, withBytes } from "./uaccess.ts";

const cloneFlags = flagsOf({
  CLONE_VM,
  CLONE_FS,
  CLONE_FILES,
  CLONE_SIGHAND,
  CLONE_PIDFD,
  CLONE_VFORK,
  CLONE_PARENT,
  CLONE_THREAD,
  CLONE_SYSVSEM,
  CLONE_SETTLS,
  CLONE_PARENT_SETTID,
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  SIGCHLD,
});

const FORK: CloneArgs = {
  flags: 0,
  exitSignal: SIGCHLD,
  stack: 0,
  tls: 0,
  parentTid: 0,
  childTid: 0,
  pidfd: 0,
  pid: 0,
};

const CLONE_ARGS_BYTES_MIN = 64;
const CLONE_ARGS_BYTES_KNOWN = 88;
const PAGE = 4096;

/** struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, ... */
function decodeCloneArgs(bytes: Uint8Array): CloneArgs {
  if (bytes.subarray(CLONE_ARGS_BYTES_KNOWN).some((byte) => byte !== 0)) throw E2BIG;
  const view = viewOf(bytes);
  const at = (offset: number): number => offset + 8 <= bytes.length ? readU64(view, offset) : 0;
  const flags = at(0);
  const exitSignal = at(32);
  const stack = at(40);
  const stackSize = at(48);
  if (((flags >>> 0) & CSIGNAL) !== 0 || exitSignal > NSIG) throw EINVAL;
  if ((stack === 0) !== (stackSize === 0)) throw EINVAL;
  if (at(72) !== 0) throw EINVAL; // set_tid: no
  if (((flags >>> 0) & CLONE_THREAD) !== 0 && exitSignal !== 0) throw EINVAL;
  return {
    flags,
    exitSignal,
    stack: stack + stackSize,
    tls: at(56),
    parentTid: at(24),
    childTid: at(16),
    pidfd: at(8),
    pid: 0,
  };
}

function setpgid(task: TaskStruct, id: number, wanted: number): number {
  if (wanted < 0) throw EINVAL;
  const { tasks } = task.kernel;
  const group = id === 0 ? task.group : tasks.findGroup(id);
  if (group === undefined || group.isReaped) throw ESRCH;
  const own = task.group;
  if (group !== own) {
    if (group.parentGroup !== own) throw ESRCH;
    if (group.sid !== own.sid) throw EPERM;
    if (group.isExecuted) throw EACCES;
  }
  if (group.sid === group.tgid) throw EPERM;
  const pgid = wanted === 0 ? group.tgid : wanted;
  if (pgid !== group.tgid && !hasMemberInSession(tasks.groupsOf(pgid), own.sid)) throw EPERM;
  group.pgid = pgid;
  return 0;
}

function hasMemberInSession(groups: Iterable<ThreadGroupStruct>, sid: number): boolean {
  for (const group of groups) if (group.sid === sid) return true;
  return false;
}

function setsid(task: TaskStruct): number {
  const { group } = task;
  for (const other of task.kernel.tasks.groupsOf(group.tgid)) if (other !== undefined) throw EPERM;
  group.sid = group.tgid;
  group.pgid = group.tgid;
  group.tty = undefined;
  return group.sid;
}

function groupOfPid(task: TaskStruct, id: number): ThreadGroupStruct {
  if (id === 0) return task.group;
  const group = task.kernel.tasks.find(id)?.group;
  if (group === undefined) throw ESRCH;
  return group;
}

const namespaces = {
  level: "partial",
  missing: "namespaces (CLONE_NEW*: EPERM or EINVAL), CLONE_INTO_CGROUP",
} as const;

export const processSyscalls: readonly Syscall[] = [
  syscall("fork", [], (task) => doFork(self(task), FORK)),
  syscall("vfork", [], (task) => doFork(self(task), { ...FORK, flags: CLONE_VFORK | CLONE_VM })),
  syscall(
    "clone",
    [cloneFlags, pointer, pointer, pointer, size],
    (task, flags, stack, parentTid, childTid, tls) =>
      doFork(self(task), {
        flags: (flags & ~CSIGNAL) >>> 0,
        exitSignal: flags & CSIGNAL,
        stack,
        tls,
        parentTid,
        childTid,
        pidfd: 0,
        pid: 0,
      }),
    namespaces,
  ),
  syscall("clone3", [bufferIn, size], (task, address, bytes) => {
    if (bytes < CLONE_ARGS_BYTES_MIN) throw EINVAL;
    if (bytes > PAGE) throw E2BIG;
    return withBytes(task, address, bytes, (raw) => doFork(self(task), decodeCloneArgs(raw)));
  }, { level: "partial", missing: `${namespaces.missing}, set_tid` }),
  syscall("exit", [int], (task, status) => exitTask(self(task), (status & 0xff) << 8)),
  syscall("exit_group", [int], (task, status) => exitGroup(self(task), (status & 0xff) << 8)),
  syscall("set_tid_address", [pointer], (task, address) => {
    self(task).clearChildTid = address;
    return task.pid;
  }),
  syscall("getpid", [], (task) => task.tgid),
  syscall("gettid", [], (task) => task.pid),
  syscall("getppid", [], (task) => task.group.parent?.tgid ?? 0),
  syscall("setpgid", [pid, pid], (task, id, pgid) => setpgid(self(task), id, pgid)),
  syscall("getpgid", [pid], (task, id) => groupOfPid(self(task), id).pgid),
  syscall("getpgrp", [], (task) => task.group.pgid),
  syscall("setsid", [], (task) => setsid(self(task))),
  syscall("getsid", [pid], (task, id) => groupOfPid(self(task), id).sid),
];
