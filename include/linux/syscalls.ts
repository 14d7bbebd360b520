// SPDX-License-Identifier: Apache-2.0
// A system call is a declaration: name, typed arguments, body, support level. The dispatch tables of every ISA, strace
// and the support table in Documentation/ are made from these values.

import { EBADF } from "../../lib/errno.ts";
import type { File } from "./fs.ts";
import type { Task } from "./sched.ts";
import type { Sleeps } from "./wait.ts";

/** How strace shows an argument. "out" kinds are shown after the call. */
export type ArgumentKind =
  | "int"
  | "uint"
  | "long"
  | "hex"
  | "octal"
  | "fd"
  | "pointer"
  | "path"
  | "string"
  | "size"
  | "signal"
  | "buffer-in"
  | "buffer-out"
  | "flags"
  | "pid"
  | "i64";

/** Turns raw register contents into a value of type T. Never touches user memory and never sleeps. */
export interface Argument<T> {
  readonly kind: ArgumentKind;
  decode(task: Task, index: number): T;
  /** For kind "flags": names of bits or values, for strace. */
  readonly names?: Readonly<Record<string, number>>;
}

export interface Support {
  readonly level: "full" | "partial";
  /** What is missing, in words, when partial. */
  readonly missing?: string;
}

/** What a body answers: a result, or a generator that ends in one. bigint only for results that need 64 bits. */
export type SyscallAnswer = number | bigint | Sleeps<number> | Sleeps<number | bigint>;

export interface Syscall {
  readonly name: string;
  readonly arguments: readonly Argument<unknown>[];
  readonly support: Support;
  /** Decodes and calls. Throws Errno or RestartError. */
  readonly invoke: (task: Task) => SyscallAnswer;
}

type Values<A extends readonly Argument<unknown>[]> = {
  [I in keyof A]: A[I] extends Argument<infer T> ? T : never;
};

/** Declares a system call. */
export function syscall<const A extends readonly Argument<unknown>[]>(
  name: string,
  args: A,
  body: (task: Task, ...values: Values<A>) => SyscallAnswer,
  support: Support = { level: "full" },
): Syscall {
  return { name, arguments: args, support, invoke: bind(args, body) };
}

/** A body by number of arguments, so that a call makes no array. */
function bind<A extends readonly Argument<unknown>[]>(
  args: A,
  body: (task: Task, ...values: Values<A>) => SyscallAnswer,
): (task: Task) => SyscallAnswer {
  const f = body as (task: Task, ...values: unknown[]) => SyscallAnswer;
  const [a, b, c, d, e, g] = args;
  if (a === undefined) return f;
  if (b === undefined) return (task) => f(task, a.decode(task, 0));
  if (c === undefined) return (task) => f(task, a.decode(task, 0), b.decode(task, 1));
  if (d === undefined) return (task) => f(task, a.decode(task, 0), b.decode(task, 1), c.decode(task, 2));
  if (e === undefined) {
    return (task) => f(task, a.decode(task, 0), b.decode(task, 1), c.decode(task, 2), d.decode(task, 3));
  }
  if (g === undefined) {
    return (task) =>
      f(task, a.decode(task, 0), b.decode(task, 1), c.decode(task, 2), d.decode(task, 3), e.decode(task, 4));
  }
  return (task) =>
    f(
      task,
      a.decode(task, 0),
      b.decode(task, 1),
      c.decode(task, 2),
      d.decode(task, 3),
      e.decode(task, 4),
      g.decode(task, 5),
    );
}

function signed(kind: ArgumentKind): Argument<number> {
  return { kind, decode: (task, index) => task.kernel.arch.syscallArgument32(task.kernel.ram, index) };
}
function word(kind: ArgumentKind): Argument<number> {
  return { kind, decode: (task, index) => task.kernel.arch.syscallArgument(task.kernel.ram, index) };
}

/** C int. */
export const int: Argument<number> = signed("int");
export const fd: Argument<number> = signed("fd");
export const pid: Argument<number> = signed("pid");
export const signalNumber: Argument<number> = signed("signal");
/** C unsigned int. */
export const uint: Argument<number> = {
  kind: "uint",
  decode: (task, index) => int.decode(task, index) >>> 0,
};
export const mode: Argument<number> = {
  kind: "octal",
  decode: (task, index) => int.decode(task, index) & 0o7777,
};
export const hex: Argument<number> = { kind: "hex", decode: (task, index) => int.decode(task, index) >>> 0 };
/** size_t or unsigned long: exact below 2^53, otherwise rounded (and so too large for anything). */
export const size: Argument<number> = word("size");
/** User address. */
export const pointer: Argument<number> = word("pointer");
/** Pointer to a path; the body reads it. */
export const path: Argument<number> = word("path");
export const cstring: Argument<number> = word("string");
export const bufferIn: Argument<number> = word("buffer-in");
export const bufferOut: Argument<number> = word("buffer-out");
/** long or off_t: signed, exact within +-2^53. */
export const long: Argument<number> = {
  kind: "long",
  decode: (task, index) => task.kernel.arch.syscallArgumentSigned(task.kernel.ram, index),
};
/** All 64 bits, signed. Allocates. */
export const i64: Argument<bigint> = {
  kind: "i64",
  decode: (task, index) => task.kernel.arch.syscallArgument64(task.kernel.ram, index),
};
/** int made of named bits. */
export function flagsOf(names: Readonly<Record<string, number>>): Argument<number> {
  return { kind: "flags", names, decode: (task, index) => int.decode(task, index) };
}
/** An open file by descriptor: EBADF before anything else. */
export const openFile: Argument<File> = {
  kind: "fd",
  decode: (task, index) => {
    const file = task.files.find(int.decode(task, index));
    if (file === undefined) throw EBADF;
    return file;
  },
};
