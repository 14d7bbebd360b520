// SPDX-License-Identifier: Apache-2.0
// process_vm_readv(2) and process_vm_writev(2): copies between the memories of two processes.

import type { Mm } from "../include/linux/mm_types.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { EFAULT, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";

const UIO_MAXIOV = 1024;
const CAP_SYS_PTRACE = 1n << 19n;
/** Bytes that pass through the kernel at a time. */
const CHUNK = 65536;

interface Segment {
  readonly address: number;
  readonly length: number;
}

export function processVmReadv(
  task: Task,
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
  flags: number,
): Sleeps<number> {
  return transfer(task, pid, local, localCount, remote, remoteCount, flags, "read");
}

export function processVmWritev(
  task: Task,
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
  flags: number,
): Sleeps<number> {
  return transfer(task, pid, local, localCount, remote, remoteCount, flags, "write");
}

function* transfer(
  task: Task,
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
  flags: number,
  direction: "read" | "write",
): Sleeps<number> {
  if (flags !== 0) throw EINVAL;
  const own = task.mm;
  if (own === undefined) throw ESRCH;
  const mine = yield* readSegments(own, local, localCount);
  const theirs = yield* readSegments(own, remote, remoteCount);
  const target = task.kernel.tasks.find(pid);
  if (target?.mm === undefined) throw ESRCH;
  if (!mayAccess(task.cred, target.cred) && target.group !== task.group) throw EPERM;
  const other = target.mm;
  return direction === "read"
    ? yield* copySegments(other, theirs, own, mine)
    : yield* copySegments(own, mine, other, theirs);
}

/** Copies from one list of segments to another until either ends. A fault after some bytes is a short count. */
function* copySegments(from: Mm, sources: Segment[], to: Mm, targets: Segment[]): Sleeps<number> {
  let done = 0;
  let i = 0;
  let j = 0;
  let sourceAt = 0;
  let targetAt = 0;
  try {
    while (i < sources.length && j < targets.length) {
      const source = sources[i]!;
      const target = targets[j]!;
      const at = source.address + sourceAt;
      const count = Math.min(source.length - sourceAt, target.length - targetAt, CHUNK - at % CHUNK);
      if (count > 0) {
        yield* to.user.copyOut(target.address + targetAt, yield* from.user.copyIn(at, count));
        done += count;
        sourceAt += count;
        targetAt += count;
      }
      if (sourceAt === source.length) {
        i++;
        sourceAt = 0;
      }
      if (targetAt === target.length) {
        j++;
        targetAt = 0;
      }
    }
  } catch (error) {
    if (error !== EFAULT || done === 0) throw error;
  }
  return done;
}

function* readSegments(mm: Mm, address: number, count: number): Sleeps<Segment[]> {
  if (count > UIO_MAXIOV) throw EINVAL;
  if (count === 0) return [];
  const bytes = yield* mm.user.copyIn(address, count * 16);
  const view = new DataView(bytes.buffer);
  const segments: Segment[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const length = view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 0x1_0000_0000;
    if (length >= 2 ** 63) throw EINVAL;
    segments.push({
      address: view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000,
      length,
    });
  }
  return segments;
}

/** PTRACE_MODE_ATTACH_REALCREDS without the modules. */
export function mayAccess(cred: Cred, target: Cred): boolean {
  if ((cred.capEffective & CAP_SYS_PTRACE) !== 0n) return true;
  return cred.uid === target.euid && cred.uid === target.suid && cred.uid === target.uid
    && cred.gid === target.egid && cred.gid === target.sgid && cred.gid === target.gid;
}
