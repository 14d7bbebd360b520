// SPDX-License-Identifier: Apache-2.0
// ptrace(2): what a tracer asks of its tracee. The stops themselves are in ptrace-stop.ts and ptrace-syscall.ts.
//
// A tracee that stands still has its registers in `task.registers`; the tracer reads and writes them there.

import { flagsOf, long, pid, type Syscall, syscall, type SyscallAnswer } from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { NSIG, SIGKILL, SIGSTOP } from "../include/uapi/signal.ts";
import { EFAULT, EINVAL, EIO, EPERM, ESRCH } from "../lib/errno.ts";
import { readU64, viewOf, words64, writeS64 } from "../lib/little-view.ts";
import { mayInspect } from "./ptrace-access.ts";
import { attachTracer, detachTracer } from "./ptrace-attach.ts";
import { kernelSignal, killGroup, sendToTask } from "./signal.ts";
import { sigSetFromBytes, sigSetToBytes } from "./signal-set.ts";
import { recalcSignal } from "./signal-state.ts";
import { decodeSignalInfo, encodeSignalInfo, SIGINFO_BYTES } from "./siginfo.ts";
import { mmOf, self, SYSCALL_TRACE, type TaskStruct, type TraceState, WORK_STEP } from "./task.ts";
import { copyOutResult } from "./uaccess.ts";

const PTRACE_TRACEME = 0;
const PTRACE_PEEKTEXT = 1;
const PTRACE_PEEKDATA = 2;
const PTRACE_PEEKUSER = 3;
const PTRACE_POKETEXT = 4;
const PTRACE_POKEDATA = 5;
const PTRACE_POKEUSER = 6;
const PTRACE_CONT = 7;
const PTRACE_KILL = 8;
const PTRACE_SINGLESTEP = 9;
const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_GETFPREGS = 14;
const PTRACE_SETFPREGS = 15;
const PTRACE_ATTACH = 16;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_SETOPTIONS = 0x4200;
const PTRACE_GETEVENTMSG = 0x4201;
const PTRACE_GETSIGINFO = 0x4202;
const PTRACE_SETSIGINFO = 0x4203;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_LISTEN = 0x4208;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;
const PTRACE_GET_SYSCALL_INFO = 0x420e;

const OPTIONS_MASK = 0x30_00ff;
const NT_PRSTATUS = 1;
const NT_PRFPREG = 2;
const SYSCALL_INFO_ENTRY = 1;
const SYSCALL_INFO_EXIT = 2;
/** Places in user_regs_struct of x86-64, in words: there the number of the call stands beside the result. */
const X86_RAX = 10;
const X86_ORIG_RAX = 15;
const EM_X86_64 = 62;
const ENOSYS_RESULT = -38;
/** struct user: after the registers come debug registers and the like, which are zero here. */
const USER_BYTES = 912;

function traceMe(task: TaskStruct): number {
  if (task.trace !== undefined) throw EPERM;
  const tracer = task.group.parentGroup?.leader;
  if (tracer === undefined) throw EPERM;
  attachTracer(tracer, task, false, 0);
  return 0;
}

function attach(task: TaskStruct, target: TaskStruct, isSeize: boolean, options: number): number {
  if (target.group === task.group || target.trace !== undefined || !mayInspect(task, target)) throw EPERM;
  if (target.isKernelThread || target.state === "zombie") throw EPERM;
  if (isSeize && (options & ~OPTIONS_MASK) !== 0) throw EIO;
  const trace = attachTracer(task, target, isSeize, isSeize ? options : 0);
  if (!isSeize) sendToTask(target, kernelSignal(SIGSTOP));
  if (target.state === "stopped") {
    // It stands in a group stop: that becomes a ptrace stop.
    trace.interrupt = true;
    recalcSignal(target);
    target.kernel.sched.wakeStopped(target);
  }
  return 0;
}

/** The tracee, which must be this task's and stand still. */
function stopped(task: TaskStruct, id: number): { target: TaskStruct; trace: TraceState } {
  const { target, trace } = traced(task, id);
  if (!trace.isStopped) throw ESRCH;
  return { target, trace };
}

function traced(task: TaskStruct, id: number): { target: TaskStruct; trace: TraceState } {
  const target = task.kernel.tasks.find(id);
  const trace = target?.trace;
  if (target === undefined || trace === undefined || trace.tracer.group !== task.group) throw ESRCH;
  return { target, trace };
}

function resume(target: TaskStruct, trace: TraceState, mode: TraceState["mode"], signal: number): number {
  if (signal < 0 || signal > NSIG) throw EIO;
  trace.mode = mode;
  trace.resumeSignal = signal;
  trace.isReported = true;
  if (mode === "syscall") target.syscallWork |= SYSCALL_TRACE;
  else target.syscallWork &= ~SYSCALL_TRACE;
  if (mode === "step") target.pendingWork |= WORK_STEP;
  else target.pendingWork &= ~WORK_STEP;
  if (mode !== "listen") letGo(target, trace);
  return 0;
}

function letGo(target: TaskStruct, trace: TraceState): void {
  trace.isStopped = false;
  target.kernel.sched.wakeStopped(target);
}

function detach(target: TaskStruct, trace: TraceState, signal: number): number {
  if (signal < 0 || signal > NSIG) throw EIO;
  trace.resumeSignal = signal;
  target.pendingWork &= ~WORK_STEP;
  detachTracer(target);
  letGo(target, trace);
  return 0;
}

/** user_regs_struct of a tracee that stands still. */
function getRegisters(target: TaskStruct): Uint8Array {
  const { arch } = target.kernel;
  const bytes = arch.getRegset(target.registers, "prstatus");
  const info = target.trace?.syscallInfo;
  if (arch.elfMachine === EM_X86_64 && info !== undefined) {
    const view = viewOf(bytes);
    writeS64(view, X86_ORIG_RAX * 8, target.syscall);
    if (info.op === SYSCALL_INFO_ENTRY) writeS64(view, X86_RAX * 8, ENOSYS_RESULT);
  }
  return bytes;
}

function setRegisters(target: TaskStruct, bytes: Uint8Array): void {
  const { arch } = target.kernel;
  const given = bytes.slice();
  if (arch.elfMachine === EM_X86_64 && target.trace?.syscallInfo?.op === SYSCALL_INFO_ENTRY) {
    // The number of the call to make is what stands in orig_rax.
    given.copyWithin(X86_RAX * 8, X86_ORIG_RAX * 8, X86_ORIG_RAX * 8 + 8);
  }
  arch.setRegset(target.registers, "prstatus", given);
}

function* peek(task: TaskStruct, target: TaskStruct, address: number, to: number): Sleeps<number> {
  let bytes: Uint8Array;
  try {
    bytes = yield* mmOf(target).user.copyIn(address, 8);
  } catch {
    throw EIO;
  }
  yield* mmOf(task).user.copyOut(to, bytes);
  return 0;
}

function* poke(target: TaskStruct, address: number, word: bigint): Sleeps<number> {
  try {
    yield* mmOf(target).forceCopyOut(address, words64(word));
  } catch {
    throw EIO;
  }
  return 0;
}

function peekUser(task: TaskStruct, target: TaskStruct, offset: number, to: number): SyscallAnswer {
  if (offset < 0 || offset % 8 !== 0 || offset >= USER_BYTES) throw EIO;
  const registers = getRegisters(target);
  const word = offset + 8 <= registers.length ? registers.slice(offset, offset + 8) : new Uint8Array(8);
  return copyOutResult(task, to, word);
}

function pokeUser(target: TaskStruct, offset: number, word: bigint): number {
  if (offset < 0 || offset % 8 !== 0 || offset >= USER_BYTES) throw EIO;
  const registers = getRegisters(target);
  if (offset + 8 > registers.length) {
    if (word !== 0n) throw EIO; // no debug registers
    return 0;
  }
  viewOf(registers).setBigInt64(offset, word);
  setRegisters(target, registers);
  return 0;
}

/** PTRACE_GETREGSET and SETREGSET: `data` is a struct iovec that is shortened to what there is. */
function* regset(
  task: TaskStruct,
  target: TaskStruct,
  type: number,
  iovAt: number,
  isSet: boolean,
): Sleeps<number> {
  if (type !== NT_PRSTATUS && type !== NT_PRFPREG) throw EINVAL;
  const { user } = mmOf(task);
  const iov = viewOf(yield* user.copyIn(iovAt, 16));
  const base = readU64(iov, 0);
  const { arch } = target.kernel;
  const current = type === NT_PRSTATUS ? getRegisters(target) : arch.getRegset(target.registers, "fpregset");
  const length = Math.min(readU64(iov, 8), current.length);
  if (isSet) {
    current.set(yield* user.copyIn(base, length));
    if (type === NT_PRSTATUS) setRegisters(target, current);
    else arch.setRegset(target.registers, "fpregset", current);
  } else {
    yield* user.copyOut(base, current.subarray(0, length));
  }
  yield* user.copyOut(iovAt + 8, words64(length));
  return 0;
}

/** struct ptrace_syscall_info. Answers its whole size, stores as much as `room` holds. */
function* syscallInfo(task: TaskStruct, target: TaskStruct, room: number, address: number): Sleeps<number> {
  const { arch } = target.kernel;
  const info = target.trace?.syscallInfo;
  const registers = viewOf(getRegisters(target));
  const bytes = new Uint8Array(
    info?.op === SYSCALL_INFO_ENTRY ? 80 : info?.op === SYSCALL_INFO_EXIT ? 33 : 24,
  );
  const view = viewOf(bytes);
  view.setUint8(0, info?.op ?? 0);
  view.setInt32(4, 0xc000_0000 + arch.elfMachine);
  // rip and rsp of user_regs_struct.
  view.setBigInt64(8, registers.getBigInt64(16 * 8));
  view.setBigInt64(16, registers.getBigInt64(19 * 8));
  if (info?.op === SYSCALL_INFO_ENTRY) {
    writeS64(view, 24, target.syscall);
    // rdi rsi rdx r10 r8 r9
    [14, 13, 12, 7, 9, 8].forEach((place, index) => {
      view.setBigInt64(32 + index * 8, registers.getBigInt64(place * 8));
    });
  } else if (info?.op === SYSCALL_INFO_EXIT) {
    const result = info.result ?? 0;
    writeS64(view, 24, result);
    view.setUint8(32, result < 0 && result > -4096 ? 1 : 0);
  }
  yield* mmOf(task).user.copyOut(address, bytes.subarray(0, Math.min(room, bytes.length)));
  return bytes.length;
}

function* setSignalInfo(task: TaskStruct, trace: TraceState, address: number): Sleeps<number> {
  const bytes = yield* mmOf(task).user.copyIn(address, SIGINFO_BYTES);
  trace.stopInfo = decodeSignalInfo(viewOf(bytes).getInt32(0), bytes);
  return 0;
}

function* setMask(task: TaskStruct, target: TaskStruct, address: number): Sleeps<number> {
  target.blocked.assign(sigSetFromBytes(yield* mmOf(task).user.copyIn(address, 8)));
  target.blocked.delete(SIGKILL);
  target.blocked.delete(SIGSTOP);
  recalcSignal(target);
  return 0;
}

function interrupt(task: TaskStruct, id: number): number {
  const { target, trace } = traced(task, id);
  if (!trace.isSeized) throw EIO;
  trace.interrupt = true;
  recalcSignal(target);
  if (target.state === "sleeping") target.wake();
  return 0;
}

function setOptions(trace: TraceState, options: number): number {
  if ((options & ~OPTIONS_MASK) !== 0) throw EINVAL;
  trace.options = options;
  return 0;
}

function getRegset(
  task: TaskStruct,
  target: TaskStruct,
  type: "prstatus" | "fpregset",
  to: number,
): SyscallAnswer {
  const bytes = type === "prstatus"
    ? getRegisters(target)
    : target.kernel.arch.getRegset(target.registers, type);
  return copyOutResult(task, to, bytes);
}

function* setRegset(
  task: TaskStruct,
  target: TaskStruct,
  type: "prstatus" | "fpregset",
  from: number,
): Sleeps<number> {
  const { arch } = target.kernel;
  const { length } = arch.getRegset(target.registers, type);
  const bytes = yield* mmOf(task).user.copyIn(from, length);
  if (type === "prstatus") setRegisters(target, bytes);
  else arch.setRegset(target.registers, type, bytes);
  return 0;
}

function ptrace(
  task: TaskStruct,
  request: number,
  id: number,
  address: number,
  data: number,
  word: bigint,
): SyscallAnswer {
  if (request === PTRACE_TRACEME) return traceMe(task);
  if (request === PTRACE_ATTACH || request === PTRACE_SEIZE) {
    const target = task.kernel.tasks.find(id);
    if (target === undefined) throw ESRCH;
    if (request === PTRACE_SEIZE && address !== 0) throw EIO;
    return attach(task, target, request === PTRACE_SEIZE, data);
  }
  if (request === PTRACE_INTERRUPT) return interrupt(task, id);
  if (request === PTRACE_KILL) {
    killGroup(traced(task, id).target.group, SIGKILL);
    return 0;
  }
  const { target, trace } = stopped(task, id);
  switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA:
      return peek(task, target, address, data);
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA:
      return poke(target, address, word);
    case PTRACE_PEEKUSER:
      return peekUser(task, target, address, data);
    case PTRACE_POKEUSER:
      return pokeUser(target, address, word);
    case PTRACE_CONT:
      return resume(target, trace, "cont", data);
    case PTRACE_SYSCALL:
      return resume(target, trace, "syscall", data);
    case PTRACE_SINGLESTEP:
      return resume(target, trace, "step", data);
    case PTRACE_LISTEN:
      if (!trace.isSeized) throw EIO;
      return resume(target, trace, "listen", 0);
    case PTRACE_DETACH:
      return detach(target, trace, data);
    case PTRACE_GETREGS:
      return getRegset(task, target, "prstatus", data);
    case PTRACE_SETREGS:
      return setRegset(task, target, "prstatus", data);
    case PTRACE_GETFPREGS:
      return getRegset(task, target, "fpregset", data);
    case PTRACE_SETFPREGS:
      return setRegset(task, target, "fpregset", data);
    case PTRACE_GETREGSET:
      return regset(task, target, address, data, false);
    case PTRACE_SETREGSET:
      return regset(task, target, address, data, true);
    case PTRACE_SETOPTIONS:
      return setOptions(trace, data);
    case PTRACE_GETEVENTMSG:
      return copyOutResult(task, data, words64(trace.eventMessage));
    case PTRACE_GETSIGINFO:
      if (trace.stopInfo === undefined) throw EINVAL;
      return copyOutResult(task, data, encodeSignalInfo(trace.stopInfo));
    case PTRACE_SETSIGINFO:
      return setSignalInfo(task, trace, data);
    case PTRACE_GETSIGMASK:
      if (address !== 8) throw EINVAL;
      return copyOutResult(task, data, sigSetToBytes(target.blocked));
    case PTRACE_SETSIGMASK:
      if (address !== 8) throw EINVAL;
      return setMask(task, target, data);
    case PTRACE_GET_SYSCALL_INFO:
      if (data === 0) throw EFAULT;
      return syscallInfo(task, target, address, data);
    default:
      throw EIO;
  }
}

const request = flagsOf({
  PTRACE_TRACEME,
  PTRACE_PEEKTEXT,
  PTRACE_PEEKDATA,
  PTRACE_PEEKUSER,
  PTRACE_POKETEXT,
  PTRACE_POKEDATA,
  PTRACE_POKEUSER,
  PTRACE_CONT,
  PTRACE_KILL,
  PTRACE_SINGLESTEP,
  PTRACE_GETREGS,
  PTRACE_SETREGS,
  PTRACE_ATTACH,
  PTRACE_DETACH,
  PTRACE_SYSCALL,
  PTRACE_SETOPTIONS,
  PTRACE_GETEVENTMSG,
  PTRACE_GETSIGINFO,
  PTRACE_GETREGSET,
  PTRACE_SEIZE,
  PTRACE_INTERRUPT,
  PTRACE_GET_SYSCALL_INFO,
});

export const ptraceSyscalls: readonly Syscall[] = [
  syscall("ptrace", [request, pid, long, long], (task, what, id, address, data) => {
    const { arch, ram } = task.kernel;
    const isPoke = what === PTRACE_POKETEXT || what === PTRACE_POKEDATA || what === PTRACE_POKEUSER;
    const word = isPoke ? arch.syscallArgument64(ram, 3) : 0n;
    return ptrace(self(task), what, id, address, data, word);
  }, {
    level: "partial",
    missing: "PTRACE_PEEKSIGINFO, debug registers, PTRACE_SECCOMP_GET_FILTER, PTRACE_SYSEMU",
  }),
];
