// SPDX-License-Identifier: Apache-2.0
// Calls whose arguments strace(1) shows in a way that no kind says: structures, status words, arrays.

import { viewOf } from "../lib/little-view.ts";
import {
  type CallArguments,
  countStrings,
  formatFlags,
  formatSigset,
  formatStrings,
  formatTimespec,
  hexText,
  readBytes,
  signalName,
} from "./strace-format.ts";
import type { TaskStruct } from "./task.ts";

/** Text of argument `index` of a call, or undefined when its kind says all. `isDone`: after the call. */
export type SpecialArgument = (task: TaskStruct, args: CallArguments, index: number, isDone: boolean) =>
  | string
  | undefined;

function waitStatus(task: TaskStruct, address: number): string {
  const bytes = address === 0 ? undefined : readBytes(task, address, 4);
  if (bytes === undefined) return hexText(address);
  const status = viewOf(bytes).getInt32(0);
  if ((status & 0x7f) === 0) return `[{WIFEXITED(s) && WEXITSTATUS(s) == ${String((status >> 8) & 0xff)}}]`;
  if ((status & 0xff) === 0x7f) {
    return `[{WIFSTOPPED(s) && WSTOPSIG(s) == ${signalName((status >> 8) & 0xff)}}]`;
  }
  if (status === 0xffff) return "[{WIFCONTINUED(s)}]";
  const core = (status & 0x80) === 0 ? "" : " && WCOREDUMP(s)";
  return `[{WIFSIGNALED(s) && WTERMSIG(s) == ${signalName(status & 0x7f)}${core}}]`;
}

function descriptorPair(task: TaskStruct, address: number): string {
  const bytes = readBytes(task, address, 8);
  if (bytes === undefined) return hexText(address);
  const view = viewOf(bytes);
  return `[${String(view.getInt32(0))}, ${String(view.getInt32(4))}]`;
}

function sigaction(task: TaskStruct, address: number): string {
  const bytes = address === 0 ? undefined : readBytes(task, address, 32);
  if (bytes === undefined) return hexText(address);
  const view = viewOf(bytes);
  const handler = view.getUint32(0) + view.getUint32(4) * 2 ** 32;
  const name = handler === 0 ? "SIG_DFL" : handler === 1 ? "SIG_IGN" : hexText(handler);
  const flags = view.getUint32(8);
  return `{sa_handler=${name}, sa_mask=${formatSigset(task, address + 24)}, sa_flags=${hexFlags(flags)}}`;
}

const SA_NAMES: readonly (readonly [number, string])[] = [
  [0x0400_0000, "SA_RESTORER"],
  [0x0800_0000, "SA_ONSTACK"],
  [0x1000_0000, "SA_RESTART"],
  [0x4, "SA_SIGINFO"],
  [0x1, "SA_NOCLDSTOP"],
  [0x2, "SA_NOCLDWAIT"],
  [0x4000_0000, "SA_NODEFER"],
  [0x8000_0000, "SA_RESETHAND"],
];

function hexFlags(flags: number): string {
  const names = SA_NAMES.filter(([bit]) => ((flags & bit) >>> 0) !== 0).map(([, name]) => name);
  return names.length === 0 ? String(flags) : names.join("|");
}

const after =
  (format: (task: TaskStruct, address: number) => string): SpecialArgument => (task, args, index, isDone) =>
    isDone ? format(task, args.words[index] ?? 0) : undefined;
const before =
  (format: (task: TaskStruct, address: number) => string): SpecialArgument => (task, args, index) =>
    format(task, args.words[index] ?? 0);

const environment: SpecialArgument = (task, args, index) => {
  const address = args.words[index] ?? 0;
  const count = countStrings(task, address);
  return `${hexText(address)} /* ${String(count)} var${count === 1 ? "" : "s"} */`;
};

const ACCESS_NAMES = { R_OK: 4, W_OK: 2, X_OK: 1 } as const;
const access: SpecialArgument = (_task, args, index) => {
  const mode = args.ints[index] ?? 0;
  return mode === 0 ? "F_OK" : formatFlags(mode, ACCESS_NAMES);
};

const O_CREAT = 0o100;
const O_TMPFILE = 0o20000000;
/** A mode is looked at only when a file may be made. */
const modeOf = (flagsIndex: number): SpecialArgument => (_task, args, index) =>
  ((args.ints[flagsIndex] ?? 0) & (O_CREAT | O_TMPFILE)) === 0
    ? ""
    : `0${((args.ints[index] ?? 0) & 0o7777).toString(8)}`;

const FCNTL_WITHOUT_ARGUMENT: ReadonlySet<number> = new Set([1, 3, 9, 11, 1025, 1032, 1034]);
const fcntlArgument: SpecialArgument = (_task, args, index) => {
  const command = args.ints[1] ?? 0;
  if (FCNTL_WITHOUT_ARGUMENT.has(command)) return "";
  if (command === 2) return formatFlags(args.ints[index] ?? 0, { FD_CLOEXEC: 1 });
  return command === 0 || command === 1030
    ? String(args.ints[index] ?? 0)
    : `0x${(args.words[index] ?? 0).toString(16)}`;
};

/** By name, then by argument. An empty text leaves the argument out. */
export const SPECIAL: Readonly<Record<string, Readonly<Record<number, SpecialArgument>>>> = {
  execve: { 1: before(formatStrings), 2: environment },
  execveat: { 2: before(formatStrings), 3: environment },
  wait4: { 1: after(waitStatus) },
  pipe: { 0: after(descriptorPair) },
  pipe2: { 0: after(descriptorPair) },
  socketpair: { 3: after(descriptorPair) },
  rt_sigaction: { 1: before(sigaction), 2: after(sigaction) },
  rt_sigprocmask: { 1: before(formatSigset), 2: after(formatSigset) },
  rt_sigsuspend: { 0: before(formatSigset) },
  rt_sigtimedwait: { 0: before(formatSigset), 2: before(formatTimespec) },
  nanosleep: { 0: before(formatTimespec), 1: before((_task, address) => hexText(address)) },
  clock_nanosleep: { 2: before(formatTimespec), 3: before((_task, address) => hexText(address)) },
  clock_gettime: { 1: after(formatTimespec) },
  clock_getres: { 1: after(formatTimespec) },
  access: { 1: access },
  faccessat: { 2: access },
  faccessat2: { 2: access },
  open: { 2: modeOf(1) },
  openat: { 3: modeOf(2) },
  fcntl: { 2: fcntlArgument },
};

/** These answer an address. */
export const ADDRESS_RESULTS: ReadonlySet<string> = new Set(["mmap", "brk", "mremap", "shmat"]);
/** These do not come back. */
export const NO_RESULT: ReadonlySet<string> = new Set(["exit", "exit_group"]);
