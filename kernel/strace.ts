// SPDX-License-Identifier: Apache-2.0
// System calls as lines of text, in the words of strace(1) -f.
//
// A line is written when its call ends. When another task does something meanwhile, the line is cut ("<unfinished
// ...>") and taken up again ("<... read resumed>"). The prefix "[pid N]" appears once there is more than one task.

import type { SignalInfo } from "../include/linux/sched.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import * as signals from "../include/uapi/signal.ts";
import { Errno, RestartError } from "../lib/errno.ts";
import { errnoMessage } from "../lib/strerror.ts";
import type { LinuxKernel } from "./kernel.ts";
import { type CallArguments, formatArgument, hexText, signalName } from "./strace-format.ts";
import { ADDRESS_RESULTS, NO_RESULT, SPECIAL } from "./strace-special.ts";
import type { TaskStruct } from "./task.ts";

export interface StraceOptions {
  /** One line with its newline. */
  readonly write: (line: string) => void;
  /** Only these calls; all when undefined. */
  readonly names?: readonly string[] | undefined;
}

interface Pending extends CallArguments {
  readonly name: string;
  /** Texts of arguments known at the start, by index. */
  readonly texts: (string | undefined)[];
  /** The first part of the line is out already, with so many arguments. */
  shown: number | undefined;
}

const RESTARTS: Readonly<Record<RestartError["when"], string>> = {
  sys: "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
  nohand: "? ERESTARTNOHAND (To be restarted if no handler)",
  nointr: "? ERESTARTNOINTR (To be restarted)",
  block: "? ERESTART_RESTARTBLOCK (Interrupted by signal)",
};

class Strace {
  readonly #kernel: LinuxKernel;
  readonly #options: StraceOptions;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #pending = new Map<TaskStruct, Pending>();
  readonly #seen = new Set<TaskStruct>();
  /** The task whose line stands open. */
  #open: TaskStruct | undefined;

  constructor(kernel: LinuxKernel, options: StraceOptions) {
    this.#kernel = kernel;
    this.#options = options;
    this.#names = options.names === undefined ? undefined : new Set(options.names);
  }

  enter(task: TaskStruct, number: number, call: Syscall | undefined): void {
    this.#seen.add(task);
    this.#cutOpenLine(task);
    const { arch, ram } = this.#kernel;
    const name = call?.name ?? arch.syscallNames[number] ?? `syscall_0x${number.toString(16)}`;
    if (this.#names !== undefined && !this.#names.has(name)) return;
    const indices = call === undefined ? [0, 1, 2, 3, 4, 5] : call.arguments.map((_, index) => index);
    const pending: Pending = {
      call,
      name,
      words: indices.map((index) => arch.syscallArgument(ram, index)),
      ints: indices.map((index) => arch.syscallArgument32(ram, index)),
      texts: [],
      shown: undefined,
    };
    pending.texts.push(...indices.map((index) => argumentText(task, pending, index, undefined)));
    this.#pending.set(task, pending);
    this.#open = task;
  }

  exit(task: TaskStruct, result: number | bigint | Error): void {
    const pending = this.#pending.get(task);
    if (pending === undefined) return;
    this.#cutOpenLine(task);
    const value = typeof result === "object" ? NaN : Number(result);
    const texts = pending.words.map((_, index) =>
      isLate(pending, index) ? argumentText(task, pending, index, value) ?? "" : pending.texts[index] ?? ""
    );
    this.#finish(task, pending, texts, this.#resultText(pending.name, result));
  }

  signal(task: TaskStruct, info: SignalInfo): void {
    this.#cutOpenLine(undefined);
    this.#line(task, `--- ${signalName(info.signal)} {${signalFields(info)}} ---`);
  }

  exited(task: TaskStruct, status: number): void {
    this.#cutOpenLine(task);
    const pending = this.#pending.get(task);
    if (pending !== undefined) {
      const texts = pending.words.map((_, index) =>
        pending.texts[index] ?? hexText(pending.words[index] ?? 0)
      );
      if (NO_RESULT.has(pending.name) || pending.shown !== undefined) this.#finish(task, pending, texts, "?");
      this.#pending.delete(task);
      if (this.#open === task) this.#open = undefined;
    }
    const signal = status & 0x7f;
    const core = (status & 0x80) === 0 ? "" : " (core dumped)";
    this.#line(
      task,
      signal === 0
        ? `+++ exited with ${String((status >> 8) & 0xff)} +++`
        : `+++ killed by ${signalName(signal)}${core} +++`,
    );
    this.#seen.delete(task);
  }

  #finish(task: TaskStruct, pending: Pending, texts: readonly string[], result: string): void {
    this.#pending.delete(task);
    if (this.#open === task) this.#open = undefined;
    const { name, shown } = pending;
    const head = shown === undefined
      ? `${name}(${said(texts)}`
      : `<... ${name} resumed>${rest(texts, shown)}`;
    // strace pads the result to column 40, counted without the prefix.
    this.#line(task, `${`${head})`.padEnd(39)} = ${result}`);
  }

  /** Someone else speaks: the open line ends here for now. */
  #cutOpenLine(speaker: TaskStruct | undefined): void {
    const task = this.#open;
    if (task === undefined || task === speaker) return;
    this.#open = undefined;
    const pending = this.#pending.get(task);
    if (pending === undefined || pending.shown !== undefined) return;
    let shown = 0;
    while (shown < pending.words.length && pending.texts[shown] !== undefined) shown++;
    pending.shown = shown;
    const more = shown < pending.words.length && shown > 0 ? ", " : "";
    this.#line(task, `${pending.name}(${pending.texts.slice(0, shown).join(", ")}${more} <unfinished ...>`);
  }

  #line(task: TaskStruct, text: string): void {
    const prefix = this.#seen.size > 1 ? `[pid ${String(task.pid).padStart(5)}] ` : "";
    this.#options.write(`${prefix}${text}\n`);
  }

  #resultText(name: string, result: number | bigint | Error): string {
    if (result instanceof Errno) return `-1 ${result.code} (${errnoMessage(result.code)})`;
    if (result instanceof RestartError) return RESTARTS[result.when];
    if (typeof result === "object") return "?";
    if (typeof result === "number" && result < 0 && result > -4096) return `-1 (errno ${String(-result)})`;
    if (ADDRESS_RESULTS.has(name)) return `0x${result.toString(16)}`;
    return name === "umask" ? `0${result.toString(8)}` : String(result);
  }
}

/** Shown after the call, because the call fills it or because it could not be read before. */
function isLate(pending: Pending, index: number): boolean {
  const kind = pending.call?.arguments[index]?.kind;
  if (pending.texts[index] === undefined || kind === "buffer-out") return true;
  const isText = kind === "path" || kind === "string" || kind === "buffer-in";
  return isText && pending.name !== "execve" && pending.texts[index]?.startsWith("0x") === true;
}

function argumentText(
  task: TaskStruct,
  pending: CallArguments & { readonly name: string },
  index: number,
  result: number | undefined,
): string | undefined {
  const special = SPECIAL[pending.name]?.[index];
  if (special !== undefined) {
    if (Number.isNaN(result)) return hexText(pending.words[index] ?? 0);
    return special(task, pending, index, result !== undefined);
  }
  return formatArgument(task, pending, index, result);
}

function rest(texts: readonly string[], shown: number): string {
  return said(texts.slice(shown));
}

/** Arguments in a row; those that do not count are left out. */
function said(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(", ");
}

const CLD_NAMES = [
  "",
  "CLD_EXITED",
  "CLD_KILLED",
  "CLD_DUMPED",
  "CLD_TRAPPED",
  "CLD_STOPPED",
  "CLD_CONTINUED",
];
const CODE_NAMES: Readonly<Record<number, string>> = {
  0: "SI_USER",
  [-1]: "SI_QUEUE",
  [-2]: "SI_TIMER",
  [-3]: "SI_MESGQ",
  [-5]: "SI_SIGIO",
  [-6]: "SI_TKILL",
  0x80: "SI_KERNEL",
};

function codeName(info: SignalInfo): string {
  const { signal, code } = info;
  if (code <= 0 || code === signals.SI_KERNEL) return CODE_NAMES[code] ?? String(code);
  if (signal === signals.SIGCHLD) return CLD_NAMES[code] ?? String(code);
  if (signal === signals.SIGSEGV) {
    return code === 1
      ? "SEGV_MAPERR"
      : code === 2
      ? "SEGV_ACCERR"
      : String(code);
  }
  if (signal === signals.SIGBUS) return ["", "BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR"][code] ?? String(code);
  if (signal === signals.SIGFPE) return code === 1 ? "FPE_INTDIV" : `FPE_${String(code)}`;
  if (signal === signals.SIGILL) return code === 2 ? "ILL_ILLOPN" : `ILL_${String(code)}`;
  if (signal === signals.SIGTRAP) return ["", "TRAP_BRKPT", "TRAP_TRACE"][code] ?? String(code);
  return String(code);
}

function signalFields(info: SignalInfo): string {
  const fields = [`si_signo=${signalName(info.signal)}`, `si_code=${codeName(info)}`];
  if (info.signal === signals.SIGCHLD && info.code > 0) {
    const status = info.status ?? 0;
    fields.push(
      `si_pid=${String(info.pid)}`,
      `si_uid=${String(info.uid)}`,
      `si_status=${info.code === signals.CLD_EXITED ? String(status) : signalName(status)}`,
      `si_utime=${String(info.userTicks ?? 0)}`,
      `si_stime=${String(info.systemTicks ?? 0)}`,
    );
  } else if (info.address !== undefined) {
    fields.push(`si_addr=${hexText(info.address)}`);
  } else if (info.code !== signals.SI_KERNEL && info.pid !== undefined) {
    fields.push(`si_pid=${String(info.pid)}`, `si_uid=${String(info.uid)}`);
  }
  return fields.join(", ");
}

/** Writes a line for each call from now on. Returns what ends it. */
export function startStrace(kernel: LinuxKernel, options: StraceOptions): () => void {
  const strace = new Strace(kernel, options);
  return kernel.hooks.use({
    enter: (task, number, call) => strace.enter(task, number, call),
    exit: (task, _number, _call, result) => strace.exit(task, result),
    signal: (task, info) => strace.signal(task, info),
    exited: (task, status) => strace.exited(task, status),
  });
}
