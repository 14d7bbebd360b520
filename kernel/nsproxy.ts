// SPDX-License-Identifier: Apache-2.0
// unshare(2) and setns(2), as a kernel without namespaces has them: what threads share can be taken apart, a new
// namespace cannot be had. kcmp(2) compares what tasks share.

import { fd, flagsOf, int, long, pid, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { CAP_SYS_ADMIN } from "../include/uapi/capability.ts";
import {
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from "../include/uapi/sched.ts";
import { EBADF, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import { capable } from "../security/commoncap.ts";
import { mayInspect } from "./ptrace-access.ts";
import { self, type TaskStruct } from "./task.ts";

const NAMESPACES = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWTIME
  | CLONE_NEWUSER | CLONE_NEWUTS;
const SHARED = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;

function unshare(task: TaskStruct, flags: number): number {
  if ((flags & ~(NAMESPACES | SHARED)) !== 0) throw EINVAL;
  if ((flags & NAMESPACES) !== 0) {
    if ((flags & CLONE_NEWUSER) === 0 && !capable(task, CAP_SYS_ADMIN)) throw EPERM;
    throw EINVAL;
  }
  const mustBeAlone = (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) !== 0;
  if (mustBeAlone && task.group.threads.size > 1) throw EINVAL;
  if ((flags & CLONE_FS) !== 0) task.fs = { ...task.fs };
  if ((flags & CLONE_FILES) !== 0 && task.files.users > 1) {
    const own = task.files.clone();
    task.files.put(task);
    task.files = own;
  }
  return 0;
}

const KCMP_FILE = 0;
const KCMP_VM = 1;
const KCMP_FILES = 2;
const KCMP_FS = 3;
const KCMP_SIGHAND = 4;

/** 0 for the same, 1 or 2 for an order that only means "different". */
function kcmp(
  task: TaskStruct,
  a: TaskStruct,
  b: TaskStruct,
  type: number,
  first: number,
  second: number,
): number {
  if (!mayInspect(task, a) || !mayInspect(task, b)) throw EPERM;
  const answer = (isSame: boolean): number => (isSame ? 0 : a.pid < b.pid ? 1 : 2);
  switch (type) {
    case KCMP_FILE: {
      const one = a.files.find(first);
      const other = b.files.find(second);
      if (one === undefined || other === undefined) throw EBADF;
      return one === other ? 0 : first < second ? 1 : 2;
    }
    case KCMP_VM:
      return answer(a.mm === b.mm);
    case KCMP_FILES:
      return answer(a.files === b.files);
    case KCMP_FS:
      return answer(a.fs === b.fs);
    case KCMP_SIGHAND:
      return answer(a.sighand === b.sighand);
    default:
      throw EINVAL;
  }
}

export const namespaceSyscalls: readonly Syscall[] = [
  syscall(
    "unshare",
    [flagsOf({
      CLONE_FS,
      CLONE_FILES,
      CLONE_SYSVSEM,
      CLONE_NEWCGROUP,
      CLONE_NEWIPC,
      CLONE_NEWNET,
      CLONE_NEWNS,
      CLONE_NEWPID,
      CLONE_NEWTIME,
      CLONE_NEWUSER,
      CLONE_NEWUTS,
    })],
    (task, flags) => unshare(self(task), flags),
    { level: "partial", missing: "namespaces (CLONE_NEW*)" },
  ),
  syscall("setns", [fd, int], (task, descriptor) => {
    if (task.files.find(descriptor) === undefined) throw EBADF;
    throw EINVAL;
  }, { level: "partial", missing: "namespaces" }),
  syscall("kcmp", [pid, pid, int, long, long], (task, one, other, type, first, second) => {
    const { tasks } = self(task).kernel;
    const a = tasks.find(one);
    const b = tasks.find(other);
    if (a === undefined || b === undefined) throw ESRCH;
    return kcmp(self(task), a, b, type, first, second);
  }, { level: "partial", missing: "KCMP_IO, KCMP_SYSVSEM, KCMP_EPOLL_TFD" }),
];
