// SPDX-License-Identifier: Apache-2.0
// wait4(2) and waitid(2): news of children (and of tracees) taken one at a time.

import {
  bufferOut,
  flagsOf,
  int,
  pid,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  CLD_TRAPPED,
  SIGCHLD,
  SIGCONT,
} from "../include/uapi/signal.ts";
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  WUNTRACED,
} from "../include/uapi/wait.ts";
import { ECHILD, EINVAL, ESRCH } from "../lib/errno.ts";
import { reap } from "./exit.ts";
import { pidfdGroup } from "./pidfd.ts";
import { rusageOf } from "./rusage.ts";
import { encodeSignalInfo } from "./siginfo.ts";
import { mmOf, self, type TaskStruct, type ThreadGroupStruct } from "./task.ts";
import { waitUntil } from "./wait.ts";

interface Filter {
  readonly matches: (group: ThreadGroupStruct) => boolean;
  readonly options: number;
}

interface News {
  readonly pid: number;
  readonly uid: number;
  readonly status: number; // as wait4 stores it
  readonly code: number; // CLD_*
  /** The process whose usage a caller may want to know; it stays readable after the reaping. */
  readonly group: ThreadGroupStruct;
}

function isEligible(group: ThreadGroupStruct, filter: Filter): boolean {
  if (!filter.matches(group)) return false;
  if ((filter.options & __WALL) !== 0) return true;
  const isClone = group.exitSignal !== SIGCHLD;
  return isClone === ((filter.options & __WCLONE) !== 0);
}

/** News of one child, consumed unless WNOWAIT. */
function newsOfChild(group: ThreadGroupStruct, options: number): News | undefined {
  const keep = (options & WNOWAIT) !== 0;
  if (group.isDead && group.leader.state === "zombie") {
    if ((options & WEXITED) === 0) return undefined;
    const news = exitNews(group);
    if (!keep) reap(group);
    return news;
  }
  if ((options & WUNTRACED) !== 0 && group.stopNotice === "stopped") {
    if (!keep) group.stopNotice = undefined;
    return newsOf(group.leader, group.stopCode, CLD_STOPPED);
  }
  if ((options & WCONTINUED) !== 0 && group.stopNotice === "continued") {
    if (!keep) {
      group.stopNotice = undefined;
      group.stopCode = 0;
    }
    return newsOf(group.leader, 0xffff, CLD_CONTINUED);
  }
  return undefined;
}

function exitNews(group: ThreadGroupStruct): News {
  const { exitCode } = group;
  const code = (exitCode & 0x7f) === 0 ? CLD_EXITED : (exitCode & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED;
  return newsOf(group.leader, exitCode, code);
}

function newsOf(task: TaskStruct, status: number, code: number): News {
  return { pid: task.pid, uid: task.cred.uid, status, code, group: task.group };
}

/** News of a traced thread. */
function newsOfTracee(tracee: TaskStruct, options: number): News | undefined {
  const { trace, group } = tracee;
  if (trace === undefined) return undefined;
  if (trace.isStopped && !trace.isReported) {
    if ((options & WNOWAIT) === 0) trace.isReported = true;
    return newsOf(tracee, trace.stopStatus, CLD_TRAPPED);
  }
  if (tracee.state === "zombie" && group.isDead && (options & WEXITED) !== 0) {
    const news = exitNews(group);
    if ((options & WNOWAIT) === 0) releaseTracee(tracee);
    return news;
  }
  return undefined;
}

/** The tracer has heard of the end; a child of its own is reaped, another's goes to its parent. */
function releaseTracee(tracee: TaskStruct): void {
  const tracer = tracee.trace?.tracer;
  tracer?.tracees.delete(tracee);
  tracee.trace = undefined;
  const { parentGroup } = tracee.group;
  if (parentGroup === undefined || parentGroup === tracer?.group || parentGroup.reapsByItself) {
    reap(tracee.group);
  } else parentGroup.waitQueue.wakeAll(0);
}

/** One attempt over all children and tracees. Throws ECHILD when there is none that could ever match. */
function attempt(task: TaskStruct, filter: Filter): Try<News> {
  let hasCandidate = false;
  for (const thread of task.group.threads) {
    for (const tracee of thread.tracees) {
      if (!filter.matches(tracee.group) && !matchesThread(tracee, filter)) continue;
      hasCandidate = true;
      const news = newsOfTracee(tracee, filter.options);
      if (news !== undefined) return news;
    }
  }
  for (const group of task.group.children) {
    if (!isEligible(group, filter)) continue;
    hasCandidate = true;
    // A traced leader's end is first the tracer's to hear.
    if (group.leader.trace !== undefined && group.leader.trace.tracer.group !== task.group) continue;
    const news = newsOfChild(group, filter.options);
    if (news !== undefined) return news;
  }
  if (!hasCandidate) throw ECHILD;
  return WOULD_BLOCK;
}

function matchesThread(tracee: TaskStruct, filter: Filter): boolean {
  return filter.matches(tracee.group);
}

/** News, or undefined with WNOHANG and none. */
function* waitForNews(task: TaskStruct, filter: Filter): Sleeps<News | undefined> {
  if ((filter.options & WNOHANG) !== 0) {
    const news = attempt(task, filter);
    return news === WOULD_BLOCK ? undefined : news;
  }
  return yield* waitUntil(task, task.group.waitQueue, 0, () => attempt(task, filter));
}

function filterByPid(task: TaskStruct, id: number, options: number): Filter {
  const { pgid } = task.group;
  if (id === -0x8000_0000) throw ESRCH;
  if (id > 0) return { matches: (group) => group.tgid === id || isTracedThread(task, group, id), options };
  if (id === -1) return { matches: () => true, options };
  const wanted = id === 0 ? pgid : -id;
  return { matches: (group) => group.pgid === wanted, options };
}

/** wait4(tid) by a tracer names a thread, not a process. */
function isTracedThread(task: TaskStruct, group: ThreadGroupStruct, id: number): boolean {
  for (const tracee of task.tracees) if (tracee.group === group && tracee.pid === id) return true;
  return false;
}

const waitFlags = flagsOf({ WNOHANG, WUNTRACED, WCONTINUED, __WNOTHREAD, __WALL, __WCLONE });

function* wait4(
  task: TaskStruct,
  id: number,
  statusAt: number,
  options: number,
  rusageAt: number,
): Sleeps<number> {
  const filter = filterByPid(task, id, options | WEXITED);
  const news = yield* waitForNews(task, filter);
  if (news === undefined) return 0;
  const { user } = mmOf(task);
  if (statusAt !== 0 && !user.tryWriteU32(statusAt, news.status)) yield* user.writeU32(statusAt, news.status);
  if (rusageAt !== 0) yield* user.copyOut(rusageAt, rusageOf(news.group, "both"));
  return news.pid;
}

function filterByType(task: TaskStruct, type: number, id: number, options: number): Filter {
  switch (type) {
    case P_ALL:
      return { matches: () => true, options };
    case P_PID:
      if (id <= 0) throw EINVAL;
      return filterByPid(task, id, options);
    case P_PGID: {
      if (id < 0) throw EINVAL;
      const pgid = id === 0 ? task.group.pgid : id;
      return { matches: (group) => group.pgid === pgid, options };
    }
    case P_PIDFD: {
      const wanted = pidfdGroup(task, id);
      return { matches: (group) => group === wanted, options };
    }
    default:
      throw EINVAL;
  }
}

const WAITID_OPTIONS = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WALL | __WCLONE;

function* waitid(
  task: TaskStruct,
  type: number,
  id: number,
  infoAt: number,
  options: number,
  rusageAt: number,
): Sleeps<number> {
  if ((options & ~WAITID_OPTIONS) !== 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) === 0) throw EINVAL;
  const news = yield* waitForNews(task, filterByType(task, type, id, options));
  const { user } = mmOf(task);
  if (news !== undefined && rusageAt !== 0) yield* user.copyOut(rusageAt, rusageOf(news.group, "both"));
  if (infoAt === 0) return 0;
  const info = news === undefined
    ? new Uint8Array(128)
    : encodeSignalInfo({
      signal: SIGCHLD,
      code: news.code,
      pid: news.pid,
      uid: news.uid,
      status: statusOf(news),
    });
  yield* user.copyOut(infoAt, info.subarray(0, 48));
  return 0;
}

function statusOf(news: News): number {
  if (news.code === CLD_EXITED || news.code === CLD_STOPPED) return (news.status >> 8) & 0xff;
  if (news.code === CLD_CONTINUED) return SIGCONT;
  return news.code === CLD_TRAPPED ? news.status >> 8 : news.status & 0x7f;
}

const WAIT4_OPTIONS = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | __WCLONE;

export const waitSyscalls: readonly Syscall[] = [
  syscall(
    "wait4",
    [pid, bufferOut, waitFlags, bufferOut],
    (task, id, statusAt, options, rusageAt): SyscallAnswer => {
      if ((options & ~WAIT4_OPTIONS) !== 0) throw EINVAL;
      return wait4(self(task), id, statusAt, options, rusageAt);
    },
    { level: "partial", missing: "__WNOTHREAD is taken, and children of all threads count" },
  ),
  syscall(
    "waitid",
    [int, pid, bufferOut, waitFlags, bufferOut],
    (task, type, id, infoAt, options, rusageAt) => waitid(self(task), type, id, infoAt, options, rusageAt),
  ),
];
