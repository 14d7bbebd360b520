// SPDX-License-Identifier: Apache-2.0
// The first stack of a program: strings at the top, then the platform name and random bytes, then the auxiliary
// vector, the environment and argument pointers, and argc at the stack pointer.
// Sources: execve(2) on limits, getauxval(3); System V ABI for x86-64, "Process Initialization".

import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_HWCAP2,
  AT_MINSIGSTKSZ,
  AT_NULL,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_PLATFORM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO_EHDR,
  AT_UID,
} from "../include/uapi/auxvec.ts";
import { ELF64_PHDR_BYTES } from "../include/uapi/elf.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_STACK,
} from "../include/uapi/mman.ts";
import { E2BIG } from "../lib/errno.ts";
import { stringToBytes } from "../lib/byte-string.ts";
import type { ProcessMm } from "../mm/mm.ts";
import { pageDown, pageUp } from "../mm/mmap.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import type { LoadedElf } from "./binfmt_elf.ts";
import { type LayoutRandom, stackTop } from "./exec-layout.ts";

/** MAX_ARG_STRLEN: one string with its NUL. */
export const ARGUMENT_BYTES_MAX: number = 32 * PAGE_SIZE;
const ARG_MAX = 128 << 10;
/** Three quarters of the usual stack limit of 8 MiB. */
const ARGUMENTS_TOTAL_MAX = 6 << 20;
/** How much room beyond the strings a fresh stack has. */
const STACK_EXPAND = 128 << 10;
const CLOCK_TICKS = 100;

/** Throws E2BIG when the strings and their pointers take more than a quarter of the stack limit. */
export function checkArgumentSizes(
  task: Task,
  argv: readonly string[],
  envp: readonly string[],
  extra: number,
): void {
  const stack = task.group.rlimits[RLIMIT_STACK]!.soft;
  const limit = Math.max(ARG_MAX, Math.min(stack / 4, ARGUMENTS_TOTAL_MAX));
  let total = extra + (argv.length + envp.length) * 8;
  for (const list of [argv, envp]) {
    for (const text of list) {
      if (text.length + 1 > ARGUMENT_BYTES_MAX) throw E2BIG;
      total += text.length + 1;
    }
  }
  if (total > limit) throw E2BIG;
}

/** Where the strings lie once the stack is made. */
export interface StackStrings {
  readonly executable: number; // address of AT_EXECFN's string
  readonly arguments: number;
  readonly environment: number;
  readonly end: number;
}

/** Maps the stack and copies the strings to its top. */
export function* makeStack(
  task: Task,
  mm: ProcessMm,
  random: LayoutRandom,
  name: string,
  argv: readonly string[],
  envp: readonly string[],
  isExecutable: boolean,
): Sleeps<StackStrings> {
  const top = stackTop(random);
  const parts = [...argv, ...envp, name].map((text) => `${text}\0`).join("");
  const end = top - 8; // A null pointer ends the stack.
  const start = end - parts.length;
  const soft = task.group.rlimits[RLIMIT_STACK]!.soft;
  const room = Math.min(
    pageUp(top - start) + STACK_EXPAND,
    Math.max(pageDown(Math.min(soft, 2 ** 46)), pageUp(top - start)),
  );
  const prot = PROT_READ | PROT_WRITE | (isExecutable ? PROT_EXEC : 0);
  const low = pageDown(start) - (room - pageUp(top - start));
  yield* mm.mmap(
    task,
    low,
    top - low,
    prot,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
    undefined,
    0,
  );
  const area = mm.findVma(low);
  if (area !== undefined) area.name = "[stack]";
  yield* mm.user.copyOut(start, stringToBytes(parts));
  mm.argStart = start;
  mm.argEnd = mm.envStart = start + stringsLength(argv);
  mm.envEnd = mm.envStart + stringsLength(envp);
  return { executable: mm.envEnd, arguments: mm.argStart, environment: mm.envStart, end: start };
}

function stringsLength(list: readonly string[]): number {
  return list.reduce((sum, text) => sum + text.length + 1, 0);
}

/** Writes everything below the strings. Returns the stack pointer. */
export function* finishStack(
  task: Task,
  mm: ProcessMm,
  random: LayoutRandom,
  strings: StackStrings,
  argv: readonly string[],
  envp: readonly string[],
  loaded: LoadedElf,
  vdso: number,
  isSecure: boolean,
): Sleeps<number> {
  const { kernel } = task;
  const { arch } = kernel;
  let low = strings.end;
  low -= random.bits(13); // Up to 8 KiB of chance within the page.
  low -= low & 15;
  const platform = stringToBytes(`${arch.platform}\0`);
  const platformAt = low - platform.length;
  const randomAt = platformAt - random.bytes.length;
  const auxv = auxiliaryVector(task, loaded, {
    vdso,
    isSecure,
    randomAt,
    platformAt,
    executable: strings.executable,
  });
  const words: number[] = [argv.length];
  let at = strings.arguments;
  for (const text of argv) {
    words.push(at);
    at += text.length + 1;
  }
  words.push(0);
  at = strings.environment;
  for (const text of envp) {
    words.push(at);
    at += text.length + 1;
  }
  words.push(0);
  const table = encodeWords([...words, ...auxv]);
  let sp = randomAt - table.length;
  sp -= sp & 15;
  yield* mm.user.copyOut(platformAt, platform);
  yield* mm.user.copyOut(randomAt, random.bytes);
  yield* mm.user.copyOut(sp, table);
  mm.auxv = encodeWords(auxv);
  mm.startStack = sp;
  return sp;
}

interface AuxiliaryFacts {
  readonly vdso: number;
  readonly isSecure: boolean;
  readonly randomAt: number;
  readonly platformAt: number;
  readonly executable: number;
}

function auxiliaryVector(task: Task, loaded: LoadedElf, facts: AuxiliaryFacts): number[] {
  const { arch, ram } = task.kernel;
  const { cred } = task;
  const words = facts.vdso === 0 ? [] : [AT_SYSINFO_EHDR, facts.vdso];
  words.push(
    AT_MINSIGSTKSZ,
    Math.ceil(arch.signalFrameBytes(ram) / 16) * 16,
    AT_HWCAP,
    arch.hwcap,
    AT_PAGESZ,
    PAGE_SIZE,
    AT_CLKTCK,
    CLOCK_TICKS,
    AT_PHDR,
    loaded.programHeaders,
    AT_PHENT,
    ELF64_PHDR_BYTES,
    AT_PHNUM,
    loaded.programHeaderCount,
    AT_BASE,
    loaded.interpreterBase,
    AT_FLAGS,
    0,
    AT_ENTRY,
    loaded.programEntry,
    AT_UID,
    cred.uid,
    AT_EUID,
    cred.euid,
    AT_GID,
    cred.gid,
    AT_EGID,
    cred.egid,
    AT_SECURE,
    facts.isSecure ? 1 : 0,
    AT_RANDOM,
    facts.randomAt,
    AT_HWCAP2,
    arch.hwcap2,
    AT_EXECFN,
    facts.executable,
    AT_PLATFORM,
    facts.platformAt,
    AT_NULL,
    0,
  );
  return words;
}

function encodeWords(words: readonly number[]): Uint8Array {
  const halves = new Uint32Array(words.length * 2);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    halves[2 * index] = word >>> 0;
    halves[2 * index + 1] = Math.floor(word / 0x1_0000_0000);
  }
  return new Uint8Array(halves.buffer);
}
