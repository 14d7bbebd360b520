// SPDX-License-Identifier: Apache-2.0
// Whether one process may look into another: ptrace(2), "Ptrace access mode checking".

import type { Task } from "../include/linux/sched.ts";
import { CAP_SYS_PTRACE } from "../include/uapi/capability.ts";
import { capable } from "../security/commoncap.ts";

/** /proc/PID/mem, process_vm_readv(2), get_robust_list(2), ptrace(2). */
export function mayInspect(task: Task, target: Task): boolean {
  if (task.group === target.group) return true;
  if (capable(task, CAP_SYS_PTRACE)) return true;
  const { uid, gid } = task.cred;
  const other = target.cred;
  const isSameUser = uid === other.euid && uid === other.suid && uid === other.uid;
  const isSameGroup = gid === other.egid && gid === other.sgid && gid === other.gid;
  return isSameUser && isSameGroup && target.mm?.dumpable === 1;
}
