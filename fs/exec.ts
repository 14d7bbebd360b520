// SPDX-License-Identifier: Apache-2.0
// execve(2): a program takes the place of another.
//
// Order, as on Linux: open and check the file (and its interpreters), build a fresh address space with the
// strings, compute credentials; then the point of no return (other threads die, the new memory is installed);
// then map the program. What fails before returns an errno to the old program; what fails after kills the task
// with SIGSEGV, for there is nothing left to return to. Sources: execve(2), execveat(2).

import type { File, Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  cstring,
  fd,
  flagsOf,
  path as pathArgument,
  pointer,
  type Syscall,
  syscall,
} from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { E2BIG, EACCES, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC } from "../lib/errno.ts";
import { createMm, type ProcessMm } from "../mm/mm.ts";
import { ELF_START_BYTES, type ElfProgram, isElf, type LoadedElf, loadElf, readElf } from "./binfmt_elf.ts";
import { BINPRM_BUF_BYTES, isScript, parseScript } from "./binfmt_script.ts";
import { credentialsAfterExec, type ExecCred } from "./exec-cred.ts";
import { openForExec, openPathForExec, readFully } from "./exec-file.ts";
import { LayoutRandom, mmapBase } from "./exec-layout.ts";
import { ARGUMENT_BYTES_MAX, checkArgumentSizes, finishStack, makeStack } from "./exec-stack.ts";
import { mapVdso } from "./exec-vdso.ts";

const PATH_MAX = 4096;
const COMM_BYTES = 15;
const SIGSEGV = 11;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
/** Most argument pointers that are read: what a 6 MiB area could hold. */
const POINTERS_MAX = (6 << 20) / 8;
const SCRIPT_DEPTH_MAX = 5;
const PER_CLEAR_ON_SETID = 0x0d4_0000; // ADDR_COMPAT_LAYOUT, ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC and kin

/** A program on its way to run. */
interface BinaryProgram {
  readonly file: File; // counted against writers while it is here
  readonly elf: ElfProgram;
  readonly argv: readonly string[];
}

/** Opens for writing are refused from here on until `allow`. */
function deny(file: File): File {
  if (file.inode !== undefined) file.inode.writeCount--;
  return file;
}
function allow(file: File): void {
  if (file.inode !== undefined) file.inode.writeCount++;
  file.put();
}

/** Makes `task` run the program at `path`; for the first program of a kernel and for those that the host starts. */
export function* execInit(
  task: Task,
  path: string,
  argv: readonly string[],
  envp: readonly string[],
): Sleeps<void> {
  const file = yield* openForExec(task, path, undefined, true);
  yield* execute(task, file, path, argv, envp, "reachable");
}

/** Executes an opened file, whose reference it takes over. Returns with fresh registers set; throws an errno while
 *  the old program lives. `name` is what AT_EXECFN and "#!" scripts see. */
export function* execute(
  task: Task,
  file: File,
  name: string,
  argvGiven: readonly string[],
  envp: readonly string[],
  reach: "reachable" | "lost",
): Sleeps<void> {
  const argv = argvGiven.length === 0 ? [""] : argvGiven;
  let binary: BinaryProgram | undefined;
  let mm: ProcessMm | undefined;
  try {
    checkArgumentSizes(task, argv, envp, name.length + 1);
    binary = yield* findBinary(task, deny(file), name, argv, reach);
    const change = yield* credentialsAfterExec(task, binary.file);
    mm = createMm(task.kernel);
    const random = new LayoutRandom(task);
    mm.mmapBase = mmapBase(task, random);
    const strings = yield* makeStack(task, mm, random, name, binary.argv, envp, binary.elf.stackIsExecutable);
    yield* task.kernel.control.deThread(task);
    const fresh = mm;
    const program = binary;
    mm = undefined;
    binary = undefined;
    yield* pastNoReturn(
      task,
      fresh,
      program,
      change,
      name,
      random,
      (loaded, vdso) =>
        finishStack(task, fresh, random, strings, program.argv, envp, loaded, vdso, change.isSecure),
    );
  } finally {
    mm?.put();
    if (binary !== undefined) {
      binary.elf.interpreter?.file.put();
      allow(binary.file);
    }
  }
}

/** Installs the new memory and maps the program; any error is the end of the task. */
function* pastNoReturn(
  task: Task,
  mm: ProcessMm,
  program: BinaryProgram,
  change: ExecCred,
  name: string,
  random: LayoutRandom,
  finish: (loaded: LoadedElf, vdso: number) => Sleeps<number>,
): Sleeps<void> {
  const { control } = task.kernel;
  try {
    mm.setExeFile(program.file.get());
    const installed = control.replaceMm(task, mm);
    if (isSleeping(installed)) yield* installed;
    mm.dumpable = change.isPrivileged || !isReadableBy(task, program.file) ? 0 : 1;
    if (change.isPrivileged) task.personality &= ~PER_CLEAR_ON_SETID;
    task.comm = name.slice(name.lastIndexOf("/") + 1).slice(0, COMM_BYTES);
    closeOnExec(task);
    task.cred = change.cred;
    const loaded = yield* loadElf(task, mm, program.elf, random);
    const vdso = mapVdso(task, mm);
    const sp = yield* finish(loaded, vdso);
    control.startThread(task, loaded.entry, sp);
  } catch (error) {
    if (!(error instanceof Error) || !("errno" in error)) throw error;
    control.forceFatalSignal(task, SIGSEGV);
  } finally {
    program.elf.interpreter?.file.put();
    allow(program.file);
  }
}

function isReadableBy(task: Task, file: File): boolean {
  const { inode } = file;
  if (inode === undefined || task.cred.capEffective !== 0n) return true;
  const shift = inode.uid === task.cred.fsuid ? 6 : inode.gid === task.cred.fsgid ? 3 : 0;
  return ((inode.mode >> shift) & 4) !== 0;
}

/** The descriptor table becomes the task's own, and loses what is marked close-on-exec. */
function closeOnExec(task: Task): void {
  if (task.files.users > 1) {
    const shared = task.files;
    task.files = shared.clone();
    shared.put(task);
  }
  for (const descriptor of task.files.descriptors()) {
    if (!task.files.closeOnExec(descriptor)) continue;
    try {
      task.files.close(task, descriptor);
    } catch (error) {
      if (!(error instanceof Error) || !("errno" in error)) throw error;
    }
  }
}

/** Follows "#!" lines to an ELF program. Owns `file` (write-denied) and gives it back on error. */
function* findBinary(
  task: Task,
  file: File,
  name: string,
  argvGiven: readonly string[],
  reach: "reachable" | "lost",
): Sleeps<BinaryProgram> {
  let current = file;
  let argv = argvGiven;
  let script = name;
  const { ram } = task.kernel;
  try {
    for (let depth = 0;; depth++) {
      const start = yield* readFully(ram, current, 0, ELF_START_BYTES);
      if (isElf(start)) {
        const elf = yield* readElf(task, current, start, (path) => openForExec(task, path, undefined, true));
        return { file: current, elf, argv };
      }
      const head = new Uint8Array(BINPRM_BUF_BYTES);
      head.set(start.subarray(0, BINPRM_BUF_BYTES));
      if (!isScript(head)) throw ENOEXEC;
      const line = parseScript(head);
      if (reach === "lost") throw ENOENT; // The interpreter could not open the script again.
      if (depth >= SCRIPT_DEPTH_MAX) throw ELOOP;
      argv = [
        line.interpreter,
        ...(line.argument === undefined ? [] : [line.argument]),
        script,
        ...argv.slice(1),
      ];
      script = line.interpreter;
      const next = yield* openForExec(task, line.interpreter, undefined, true);
      allow(current);
      current = deny(next);
    }
  } catch (error) {
    allow(current);
    throw error;
  }
}

/** Argument strings of the calling program. */
function* readStrings(task: Task, address: number): Sleeps<string[]> {
  if (address === 0) return [];
  const { mm } = task;
  if (mm === undefined) throw EFAULT;
  const pointers = yield* mm.user.readPointers(address, POINTERS_MAX);
  if (pointers.length >= POINTERS_MAX) throw E2BIG;
  const strings: string[] = [];
  let total = 0;
  for (const at of pointers) {
    const text = yield* mm.user.readString(at, ARGUMENT_BYTES_MAX, E2BIG);
    total += text.length + 9;
    if (total > POINTERS_MAX * 8) throw E2BIG;
    strings.push(text);
  }
  return strings;
}

function* readPath(task: Task, address: number): Sleeps<string> {
  if (task.mm === undefined) throw EFAULT;
  return yield* task.mm.user.readString(address, PATH_MAX, ENAMETOOLONG);
}

const execve = syscall(
  "execve",
  [pathArgument, pointer, pointer],
  function*(task, path, argv, envp): Sleeps<number> {
    const name = yield* readPath(task, path);
    const file = yield* openForExec(task, name, undefined, true);
    yield* executeFor(task, file, name, argv, envp, "reachable");
    return 0;
  },
);

const execveat = syscall(
  "execveat",
  [fd, cstring, pointer, pointer, flagsOf({ AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW })],
  function*(task, directory, path, argv, envp, flags): Sleeps<number> {
    if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) !== 0) throw EINVAL;
    const name = yield* readPath(task, path);
    const isEmpty = name === "";
    if (isEmpty && (flags & AT_EMPTY_PATH) === 0) throw ENOENT;
    const at = directory === AT_FDCWD || name.startsWith("/") ? undefined : directoryPath(task, directory);
    const file = isEmpty
      ? yield* openPathForExec(task, at ?? task.fs.cwd)
      : yield* openForExec(task, name, at, (flags & AT_SYMLINK_NOFOLLOW) === 0);
    if (at === undefined) {
      yield* executeFor(task, file, name, argv, envp, "reachable");
      return 0;
    }
    const shown = isEmpty ? `/dev/fd/${directory}` : `/dev/fd/${directory}/${name}`;
    yield* executeFor(
      task,
      file,
      shown,
      argv,
      envp,
      task.files.closeOnExec(directory) ? "lost" : "reachable",
    );
    return 0;
  },
);

function directoryPath(task: Task, descriptor: number): Path {
  const path = task.files.get(descriptor).path;
  if (path === undefined) throw task.files.find(descriptor) === undefined ? EBADF : EACCES;
  return path;
}

function* executeFor(
  task: Task,
  file: File,
  name: string,
  argv: number,
  envp: number,
  reach: "reachable" | "lost",
): Sleeps<void> {
  let argumentStrings: string[];
  let environment: string[];
  try {
    argumentStrings = yield* readStrings(task, argv);
    environment = yield* readStrings(task, envp);
  } catch (error) {
    file.put();
    throw error;
  }
  yield* execute(task, file, name, argumentStrings, environment, reach);
}

export const execSyscalls: readonly Syscall[] = [execve, execveat];
