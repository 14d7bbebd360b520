// SPDX-License-Identifier: Apache-2.0
// System calls about signals: actions, masks, sending, waiting for them, the alternate stack, the way back.
// struct kernel_sigaction is { handler, flags, restorer, mask }, 8 bytes each.

import {
  bufferIn,
  bufferOut,
  fd,
  flagsOf,
  pid,
  pointer,
  signalNumber,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import type { Cred, SignalInfo, Task } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import {
  MINSIGSTKSZ,
  NSIG,
  SA_EXPOSE_TAGBITS,
  SA_UNSUPPORTED,
  SI_TKILL,
  SIG_BLOCK,
  SIG_DFL,
  SIG_IGN,
  SIG_SETMASK,
  SIG_UNBLOCK,
  SIGKILL,
  SIGSEGV,
  SIGSTOP,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
} from "../include/uapi/signal.ts";
import { RLIMIT_SIGPENDING } from "../include/uapi/resource.ts";
import { EAGAIN, EBADF, EINTR, EINVAL, ENOMEM, EPERM, ERESTARTNOHAND, ESRCH } from "../lib/errno.ts";
import { installPidfd, pidfdGroup, PidFile } from "./pidfd.ts";
import { SigSet, sigSetFromBytes, sigSetToBytes } from "./signal-set.ts";
import { isOnAltStack, setBlocked } from "./signal-deliver.ts";
import {
  checkSignalPermission,
  defaultAction,
  forceSignal,
  kernelSignal,
  sendToGroup,
  sendToTask,
  userSignal,
} from "./signal.ts";
import { recalcSignal } from "./signal-state.ts";
import { decodeSignalInfo, encodeSignalInfo } from "./siginfo.ts";
import { mmOf, self, type SigAction, type TaskStruct, type ThreadGroupStruct } from "./task.ts";
import { readTimespecNs } from "./time/timespec.ts";
import { copyOutResult, finish, readU64, viewOf, withBytes, writeS64 } from "./uaccess.ts";

const SIGSET_BYTES = 8;
const ACTION_BYTES = 32;

function checkSignal(signal: number): void {
  if (signal < 0 || signal > NSIG) throw EINVAL;
}

function encodeAction(action: SigAction): Uint8Array {
  const bytes = new Uint8Array(ACTION_BYTES);
  const view = viewOf(bytes);
  writeS64(view, 0, action.handler);
  view.setInt32(8, action.flags >>> 0);
  writeS64(view, 16, action.restorer);
  bytes.set(sigSetToBytes(action.mask), 24);
  return bytes;
}

function decodeAction(bytes: Uint8Array): SigAction {
  const view = viewOf(bytes);
  const mask = sigSetFromBytes(bytes.subarray(24, 32));
  mask.delete(SIGKILL);
  mask.delete(SIGSTOP);
  return {
    handler: readU64(view, 0),
    flags: view.getUint32(8) & ~(SA_UNSUPPORTED | SA_EXPOSE_TAGBITS),
    restorer: readU64(view, 16),
    mask,
  };
}

function setAction(task: TaskStruct, signal: number, action: SigAction): void {
  task.sighand.set(signal, action);
  const { handler } = action;
  if (handler !== SIG_IGN && !(handler === SIG_DFL && defaultAction(signal) === "ignore")) return;
  task.group.pending.discard(signal);
  for (const thread of task.group.threads) {
    thread.pending.discard(signal);
    recalcSignal(thread);
  }
}

function sigaction(task: Task, signal: number, newAt: number, oldAt: number, bytes: number): SyscallAnswer {
  if (bytes !== SIGSET_BYTES) throw EINVAL;
  if (signal < 1 || signal > NSIG) throw EINVAL;
  if (newAt !== 0 && (signal === SIGKILL || signal === SIGSTOP)) throw EINVAL;
  const target = self(task);
  const change = (action: SigAction | undefined): SyscallAnswer => {
    const old = target.sighand.get(signal);
    if (action !== undefined) setAction(target, signal, action);
    return oldAt === 0 ? 0 : copyOutResult(task, oldAt, encodeAction(old));
  };
  if (newAt === 0) return change(undefined);
  return withBytes(task, newAt, ACTION_BYTES, (raw) => change(decodeAction(raw)));
}

function changeMask(task: TaskStruct, how: number, set: SigSet): void {
  const mask = task.blocked.copy();
  if (how === SIG_BLOCK) mask.union(set);
  else if (how === SIG_UNBLOCK) mask.subtract(set);
  else if (how === SIG_SETMASK) mask.assign(set);
  else throw EINVAL;
  setBlocked(task, mask);
}

function sigprocmask(task: Task, how: number, newAt: number, oldAt: number, bytes: number): SyscallAnswer {
  if (bytes !== SIGSET_BYTES) throw EINVAL;
  const target = self(task);
  const old = oldAt === 0 ? undefined : sigSetToBytes(target.blocked);
  const answer = (): SyscallAnswer => old === undefined ? 0 : copyOutResult(task, oldAt, old);
  if (newAt === 0) return answer();
  return withBytes(task, newAt, SIGSET_BYTES, (raw) => {
    changeMask(target, how, sigSetFromBytes(raw));
    return answer();
  });
}

/** Sleeps with another mask until a handler has run. */
function* sigsuspend(task: TaskStruct, mask: SigSet): Sleeps<number> {
  task.savedMask = task.blocked.copy();
  setBlocked(task, mask);
  while (!task.hasSignal) yield WAIT_BLOCKED;
  throw ERESTARTNOHAND;
}

function* pause(task: TaskStruct): Sleeps<number> {
  while (!task.hasSignal) yield WAIT_BLOCKED;
  throw ERESTARTNOHAND;
}

/** Takes a signal of `set`, waiting for one until the deadline. */
function* sigtimedwait(
  task: TaskStruct,
  set: SigSet,
  infoAt: number,
  timeoutNs: number | undefined,
): Sleeps<number> {
  set.delete(SIGKILL);
  set.delete(SIGSTOP);
  const unwanted = SigSet.fromBigint(~set.toBigint());
  const take = (): SignalInfo | undefined =>
    task.pending.dequeue(unwanted) ?? task.group.pending.dequeue(unwanted);
  let info = take();
  if (info === undefined && timeoutNs !== 0) {
    const { time } = task.kernel;
    const deadlineNs = timeoutNs === undefined ? Infinity : time.monotonicNs() + timeoutNs;
    const timer = timeoutNs === undefined ? undefined : time.addTimer(deadlineNs, () => task.wake());
    // While it sleeps, what it waits for must wake it, though the program has it blocked.
    const blocked = task.blocked.copy();
    task.blocked.subtract(set);
    task.awaited = set;
    try {
      for (;;) {
        recalcSignal(task);
        info = take();
        if (info !== undefined || task.hasSignal || time.monotonicNs() >= deadlineNs) break;
        yield WAIT_BLOCKED;
      }
    } finally {
      timer?.cancel();
      task.awaited = undefined;
      task.blocked.assign(blocked);
    }
  }
  recalcSignal(task);
  if (info === undefined) throw task.hasSignal ? EINTR : EAGAIN;
  if (infoAt !== 0) yield* mmOf(task).user.copyOut(infoAt, encodeSignalInfo(info));
  return info.signal;
}

/** kill(2): to a process, a group, or all. */
function kill(task: TaskStruct, id: number, signal: number): number {
  checkSignal(signal);
  if (id > 0) {
    const group = processOf(task, id);
    checkSignalPermission(task, group.leader, signal);
    sendToGroup(group, userSignal(task, signal));
    return 0;
  }
  if (id === -0x8000_0000) throw ESRCH;
  const { tasks, init } = task.kernel;
  const targets = id === -1
    ? [...tasks.groups()].filter((group) => group !== init && group !== task.group)
    : [...tasks.groupsOf(id === 0 ? task.group.pgid : -id)];
  return killMany(task, targets, signal);
}

function killMany(task: TaskStruct, groups: readonly ThreadGroupStruct[], signal: number): number {
  let isSent = false;
  let isDenied = false;
  for (const group of groups) {
    try {
      checkSignalPermission(task, group.leader, signal);
      sendToGroup(group, userSignal(task, signal));
      isSent = true;
    } catch {
      isDenied = true;
    }
  }
  if (isSent) return 0;
  throw isDenied ? EPERM : ESRCH;
}

/** A process by the pid of any of its threads, zombies included. */
function processOf(task: TaskStruct, id: number): ThreadGroupStruct {
  const group = task.kernel.tasks.findGroup(id) ?? task.kernel.tasks.find(id)?.group;
  if (group === undefined) throw ESRCH;
  return group;
}

function threadOf(task: TaskStruct, tgid: number, tid: number): TaskStruct {
  if (tid <= 0 || tgid === 0 || tgid < -1) throw EINVAL;
  const target = task.kernel.tasks.find(tid);
  if (target === undefined || (tgid !== -1 && target.tgid !== tgid)) throw ESRCH;
  return target;
}

function tkill(task: TaskStruct, tgid: number, tid: number, signal: number): number {
  checkSignal(signal);
  const target = threadOf(task, tgid, tid);
  checkSignalPermission(task, target, signal);
  sendToTask(target, { signal, code: SI_TKILL, pid: task.tgid, uid: task.cred.uid });
  return 0;
}

/** Throws EAGAIN when the sender's user has as many signals queued as RLIMIT_SIGPENDING allows. */
function checkQueueLimit(task: TaskStruct, target: TaskStruct): void {
  const limit = task.group.rlimits[RLIMIT_SIGPENDING]?.soft ?? Infinity;
  if (target.pending.count + target.group.pending.count >= limit) throw EAGAIN;
}

/** Only the kernel and tkill may claim to be themselves, except towards oneself. */
function checkForgery(task: TaskStruct, target: TaskStruct, info: SignalInfo): void {
  if ((info.code >= 0 || info.code === SI_TKILL) && target.group !== task.group) throw EPERM;
}

function queueInfo(
  task: TaskStruct,
  target: TaskStruct,
  signal: number,
  infoAt: number,
  send: (info: SignalInfo) => void,
): SyscallAnswer {
  checkSignal(signal);
  return withBytes(task, infoAt, 128, (bytes) => {
    const info = decodeSignalInfo(signal, bytes);
    checkForgery(task, target, info);
    checkSignalPermission(task, target, signal);
    checkQueueLimit(task, target);
    send(info);
    return 0;
  });
}

function altStackBytes(task: TaskStruct): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = viewOf(bytes);
  const { sp, size: length, flags } = task.altStack;
  writeS64(view, 0, sp);
  view.setInt32(8, flags | (isOnAltStack(task) ? SS_ONSTACK : 0));
  writeS64(view, 16, length);
  return bytes;
}

function setAltStack(task: TaskStruct, bytes: Uint8Array): void {
  if (isOnAltStack(task)) throw EPERM;
  const view = viewOf(bytes);
  const flags = view.getInt32(8);
  const mode = flags & ~SS_AUTODISARM;
  if (mode !== 0 && mode !== SS_DISABLE && mode !== SS_ONSTACK) throw EINVAL;
  if (mode === SS_DISABLE) {
    task.altStack = { sp: 0, size: 0, flags };
    return;
  }
  const length = readU64(view, 16);
  if (length < MINSIGSTKSZ) throw ENOMEM;
  task.altStack = { sp: readU64(view, 0), size: length, flags: flags & SS_AUTODISARM };
}

function sigaltstack(task: Task, newAt: number, oldAt: number): SyscallAnswer {
  const target = self(task);
  const old = altStackBytes(target);
  const answer = (): SyscallAnswer => oldAt === 0 ? 0 : copyOutResult(task, oldAt, old);
  if (newAt === 0) return answer();
  return withBytes(task, newAt, 24, (bytes) => {
    setAltStack(target, bytes);
    return answer();
  });
}

/** Back from a handler: registers, mask and alternate stack from the frame. A bad frame is SIGSEGV. */
function sigreturn(task: TaskStruct): SyscallAnswer {
  const { arch, ram } = task.kernel;
  const bytes = new Uint8Array(arch.sigreturnFrameBytes);
  if (mmOf(task).user.tryCopyIn(arch.signalFrameAddress(ram), bytes)) return restoreFrame(task, bytes);
  return sigreturnSlowly(task);
}

function* sigreturnSlowly(task: TaskStruct): Sleeps<number | bigint> {
  const { arch, ram } = task.kernel;
  try {
    const bytes = yield* mmOf(task).user.copyIn(arch.signalFrameAddress(ram), arch.sigreturnFrameBytes);
    return restoreFrame(task, bytes);
  } catch {
    forceSignal(task, kernelSignal(SIGSEGV));
    return 0;
  }
}

function restoreFrame(task: TaskStruct, bytes: Uint8Array): bigint {
  const { arch, ram } = task.kernel;
  const { mask, altStack, result } = arch.restoreSignalFrame(ram, bytes);
  setBlocked(task, SigSet.fromBigint(mask));
  task.restart = undefined;
  if (!isOnAltStack(task)) {
    const flags = altStack.flags & ~SS_ONSTACK;
    const isOff = (flags & SS_DISABLE) !== 0;
    if (isOff || altStack.size >= MINSIGSTKSZ) {
      task.altStack = isOff
        ? { sp: 0, size: 0, flags: SS_DISABLE }
        : { sp: altStack.sp, size: altStack.size, flags };
    }
  }
  return result;
}

function pidfdSendSignal(
  task: TaskStruct,
  number: number,
  signal: number,
  infoAt: number,
  flags: number,
): SyscallAnswer {
  if (flags !== 0) throw EINVAL;
  checkSignal(signal);
  const group = pidfdGroup(task, number);
  if (group.isReaped) throw ESRCH;
  if (infoAt !== 0) return queueInfo(task, group.leader, signal, infoAt, (info) => sendToGroup(group, info));
  checkSignalPermission(task, group.leader, signal);
  sendToGroup(group, userSignal(task, signal));
  return 0;
}

const PIDFD_NONBLOCK = 0o4000;
const how = flagsOf({ SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK });

export const signalSyscalls: readonly Syscall[] = [
  syscall("rt_sigaction", [signalNumber, pointer, pointer, size], sigaction),
  syscall("rt_sigprocmask", [how, pointer, pointer, size], sigprocmask),
  syscall("rt_sigpending", [bufferOut, size], (task, address, bytes) => {
    if (bytes > SIGSET_BYTES) throw EINVAL;
    const target = self(task);
    const set = target.pending.set.copy();
    set.union(target.group.pending.set);
    set.low &= target.blocked.low;
    set.high &= target.blocked.high;
    return copyOutResult(task, address, sigSetToBytes(set).subarray(0, bytes));
  }),
  syscall("rt_sigsuspend", [bufferIn, size], (task, address, bytes) => {
    if (bytes !== SIGSET_BYTES) throw EINVAL;
    return withBytes(task, address, bytes, (raw) => sigsuspend(self(task), sigSetFromBytes(raw)));
  }),
  syscall("pause", [], (task) => pause(self(task))),
  syscall(
    "rt_sigtimedwait",
    [bufferIn, bufferOut, bufferIn, size],
    (task, setAt, infoAt, timeoutAt, bytes) => {
      if (bytes !== SIGSET_BYTES) throw EINVAL;
      return withBytes(task, setAt, bytes, (raw) => {
        const set = sigSetFromBytes(raw);
        if (timeoutAt === 0) return sigtimedwait(self(task), set, infoAt, undefined);
        return withBytes(
          task,
          timeoutAt,
          16,
          (time) => sigtimedwait(self(task), set, infoAt, readTimespecNs(viewOf(time), 0)),
        );
      });
    },
  ),
  syscall("rt_sigreturn", [], (task) => sigreturn(self(task))),
  syscall("sigaltstack", [pointer, pointer], sigaltstack),
  syscall("kill", [pid, signalNumber], (task, id, signal) => kill(self(task), id, signal)),
  syscall("tkill", [pid, signalNumber], (task, tid, signal) => tkill(self(task), -1, tid, signal)),
  syscall("tgkill", [pid, pid, signalNumber], (task, tgid, tid, signal) => {
    if (tgid <= 0) throw EINVAL;
    return tkill(self(task), tgid, tid, signal);
  }),
  syscall("rt_sigqueueinfo", [pid, signalNumber, bufferIn], (task, id, signal, infoAt) => {
    if (id <= 0) throw ESRCH;
    const group = processOf(self(task), id);
    return queueInfo(self(task), group.leader, signal, infoAt, (info) => sendToGroup(group, info));
  }),
  syscall("rt_tgsigqueueinfo", [pid, pid, signalNumber, bufferIn], (task, tgid, tid, signal, infoAt) => {
    if (tgid <= 0) throw EINVAL;
    const target = threadOf(self(task), tgid, tid);
    return queueInfo(self(task), target, signal, infoAt, (info) => sendToTask(target, info));
  }),
  syscall("pidfd_open", [pid, uint], (task, id, flags) => {
    if (id <= 0 || (flags & ~PIDFD_NONBLOCK) !== 0) throw EINVAL;
    const target = self(task).kernel.tasks.find(id);
    if (target === undefined) throw ESRCH;
    if (target.group.leader !== target) throw EINVAL;
    return installPidfd(task, target.group, (flags & PIDFD_NONBLOCK) !== 0);
  }, { level: "partial", missing: "PIDFD_THREAD" }),
  syscall(
    "pidfd_send_signal",
    [fd, signalNumber, pointer, uint],
    (task, number, signal, infoAt, flags) => pidfdSendSignal(self(task), number, signal, infoAt, flags),
  ),
  syscall("pidfd_getfd", [fd, fd, uint], (task, number, targetFd, flags) => {
    if (flags !== 0) throw EINVAL;
    const file = task.files.find(number);
    if (!(file instanceof PidFile)) throw EBADF;
    const { leader } = file.group;
    if (file.group.isDead) throw ESRCH;
    if (!canTrace(task.cred, leader.cred)) throw EPERM;
    return task.files.install(task, leader.files.get(targetFd).get(), true);
  }),
  syscall("restart_syscall", [], (task) => {
    const target = self(task);
    const again = target.restartBlock;
    target.restartBlock = undefined;
    if (again === undefined) throw EINTR;
    return again();
  }),
];

function canTrace(own: Cred, other: Cred): boolean {
  return own.euid === 0 || (own.uid === other.uid && own.uid === other.suid && own.uid === other.euid);
}

/** For ppoll(2), pselect(2), epoll_pwait(2): sleeps in `body` with another mask, and puts the old one back. */
export function* withSignalMask<T>(task: Task, mask: SigSet, body: T | Sleeps<T>): Sleeps<T> {
  const target = self(task);
  const saved = target.blocked.copy();
  setBlocked(target, mask);
  let isInterrupted = true;
  try {
    const answer = yield* finish(body);
    isInterrupted = false;
    return answer;
  } finally {
    // A handler that ends the sleep must run under the new mask; the old one comes back with its frame.
    if (isInterrupted && target.hasSignal) target.savedMask = saved;
    else setBlocked(target, saved);
  }
}
