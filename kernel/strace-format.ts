// SPDX-License-Identifier: Apache-2.0
// Arguments of system calls as strace(1) shows them: by the kinds of their declarations, with memory where it helps.
// Only memory that is present is looked at; what is not is shown as an address.

import type { Argument, Syscall } from "../include/linux/syscalls.ts";
import * as signals from "../include/uapi/signal.ts";
import { bytesToString } from "../lib/byte-string.ts";
import { readS64, readU64, viewOf } from "../lib/little-view.ts";
import type { TaskStruct } from "./task.ts";

/** Bytes of a string or buffer that are shown. */
const SHOWN_BYTES = 32;
const PATH_BYTES = 4096;
const AT_FDCWD = -100;

/** What a call was made with: everything is read when it starts. */
export interface CallArguments {
  readonly call: Syscall | undefined;
  /** As unsigned, and as C int, by index. */
  readonly words: readonly number[];
  readonly ints: readonly number[];
}

const SIGNAL_NAMES: readonly string[] = signalNames();

function signalNames(): string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(signals)) {
    if (/^SIG[A-Z0-9]+$/.test(name) && value >= 1 && value <= 31) names[value] = name;
  }
  return names;
}

export function signalName(signal: number): string {
  if (signal === 0) return "0";
  if (signal === signals.SIGRTMIN) return "SIGRTMIN";
  if (signal > signals.SIGRTMIN && signal <= signals.NSIG) {
    return `SIGRT_${String(signal - signals.SIGRTMIN)}`;
  }
  return SIGNAL_NAMES[signal] ?? String(signal);
}

export function hexText(value: number | bigint): string {
  return value === 0 ? "NULL" : `0x${value.toString(16)}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\t": "\\t",
  "\r": "\\r",
  "\v": "\\v",
  "\f": "\\f",
  "\"": "\\\"",
  "\\": "\\\\",
};

/** Bytes in quotes, with C escapes; octal ones as short as what follows allows. */
export function quote(text: string): string {
  let out = "";
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    const code = char.charCodeAt(0);
    const escape = ESCAPES[char];
    if (escape !== undefined) {
      out += escape;
    } else if (code >= 32 && code < 127) {
      out += char;
    } else {
      const next = text[index + 1] ?? "";
      out += `\\${next >= "0" && next <= "9" ? code.toString(8).padStart(3, "0") : code.toString(8)}`;
    }
  }
  return `"${out}"`;
}

export function readBytes(task: TaskStruct, address: number, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  return task.mm?.user.tryCopyIn(address, bytes) === true ? bytes : undefined;
}

/** A NUL-terminated string, page by page as far as it is present. */
export function readText(task: TaskStruct, address: number): string | undefined {
  let text = "";
  for (let at = address; text.length < PATH_BYTES;) {
    const length = 4096 - (at % 4096);
    const bytes = readBytes(task, at, length);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    text += bytesToString(bytes, 0, end < 0 ? length : end);
    if (end >= 0) return text;
    at += length;
  }
  return text;
}

function formatText(task: TaskStruct, address: number): string {
  if (address === 0) return "NULL";
  const text = readText(task, address);
  return text === undefined ? hexText(address) : quote(text);
}

function formatBuffer(task: TaskStruct, address: number, length: number): string {
  if (address === 0) return "NULL";
  const shown = Math.min(length, SHOWN_BYTES);
  if (shown === 0) return "\"\"";
  const bytes = readBytes(task, address, shown);
  if (bytes === undefined) return hexText(address);
  return quote(bytesToString(bytes)) + (length > SHOWN_BYTES ? "..." : "");
}

/** Named bits or values; what has no name is shown as a number. */
export function formatFlags(value: number, names: Readonly<Record<string, number>>): string {
  const entries = Object.entries(names);
  const exact = entries.find(([, bits]) => bits === value);
  if (exact !== undefined && !("O_WRONLY" in names && (value & 3) === 0)) return exact[0];
  const parts: string[] = [];
  // The access modes of open(2) are a number, not bits: the one that is 0 is said, too.
  if ("O_WRONLY" in names && (value & 3) === 0) parts.push("O_RDONLY");
  let rest = value >>> 0;
  for (const [name, bits] of [...entries].sort((a, b) => bitCount(b[1]) - bitCount(a[1]))) {
    const mask = bits >>> 0;
    if (mask === 0 || ((rest & mask) >>> 0) !== mask) continue;
    parts.push(name);
    rest = (rest & ~mask) >>> 0;
  }
  if (parts.length === 0) {
    return value < 0 && value > -4096
      ? String(value)
      : value === 0
      ? "0"
      : `0x${(value >>> 0).toString(16)}`;
  }
  if (rest !== 0) parts.push(`0x${rest.toString(16)}`);
  return parts.sort((a, b) => order(a, names) - order(b, names)).join("|");
}

function order(part: string, names: Readonly<Record<string, number>>): number {
  if (part === "O_RDONLY") return -1;
  const bits = names[part];
  return bits === undefined ? 2 ** 33 : bits >>> 0;
}

function bitCount(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

/** The length of the buffer at `index`: what the next size argument says, or the result of a call that fills it. */
function bufferLength(args: CallArguments, index: number, result: number | undefined): number | undefined {
  const next = args.call?.arguments[index + 1];
  if (next?.kind !== "size") return undefined;
  const length = args.words[index + 1] ?? 0;
  return result === undefined ? length : Math.min(length, Math.max(0, result));
}

/** One argument. `result` is undefined before the call, NaN when it failed. Undefined: not to be said yet. */
export function formatArgument(
  task: TaskStruct,
  args: CallArguments,
  index: number,
  result: number | undefined,
): string | undefined {
  const argument = args.call?.arguments[index];
  const word = args.words[index] ?? 0;
  const int = args.ints[index] ?? 0;
  if (argument === undefined) return `0x${word.toString(16)}`;
  return formatKind(task, args, index, argument, word, int, result);
}

function formatKind(
  task: TaskStruct,
  args: CallArguments,
  index: number,
  argument: Argument<unknown>,
  word: number,
  int: number,
  result: number | undefined,
): string | undefined {
  switch (argument.kind) {
    case "fd":
      return int === AT_FDCWD ? "AT_FDCWD" : String(int);
    case "int":
    case "pid":
      return String(int);
    case "uint":
      return String(int >>> 0);
    case "long":
    case "i64":
    case "size":
      return word >= 2 ** 63 ? String(word - 2 ** 64) : String(word);
    case "hex":
      return `0x${(int >>> 0).toString(16)}`;
    case "octal":
      return int === 0 ? "000" : `0${(int & 0o7777).toString(8)}`;
    case "signal":
      return signalName(int);
    case "flags":
      return formatFlags(int, argument.names ?? {});
    case "path":
    case "string":
      return formatText(task, word);
    case "buffer-in": {
      const length = bufferLength(args, index, undefined);
      return length === undefined ? hexText(word) : formatBuffer(task, word, length);
    }
    case "buffer-out": {
      if (result === undefined) return undefined;
      if (Number.isNaN(result)) return hexText(word);
      const length = bufferLength(args, index, result);
      return length === undefined ? hexText(word) : formatBuffer(task, word, length);
    }
    case "pointer":
      return hexText(word);
  }
}

/** struct timespec. */
export function formatTimespec(task: TaskStruct, address: number): string {
  const bytes = address === 0 ? undefined : readBytes(task, address, 16);
  if (bytes === undefined) return hexText(address);
  const view = viewOf(bytes);
  return `{tv_sec=${String(readS64(view, 0))}, tv_nsec=${String(readS64(view, 8))}}`;
}

/** "[SIGINT TERM]", strace's way with sets. */
export function formatSigset(task: TaskStruct, address: number): string {
  const bytes = address === 0 ? undefined : readBytes(task, address, 8);
  if (bytes === undefined) return hexText(address);
  const names: string[] = [];
  for (let signal = 1; signal <= 64; signal++) {
    if (((bytes[(signal - 1) >> 3]! >> ((signal - 1) & 7)) & 1) === 1) {
      names.push(signalName(signal).replace(/^SIG/, ""));
    }
  }
  if (names.length > 40) {
    const absent: string[] = [];
    for (let signal = 1; signal <= 64; signal++) {
      if (((bytes[(signal - 1) >> 3]! >> ((signal - 1) & 7)) & 1) === 0) {
        absent.push(signalName(signal).replace(/^SIG/, ""));
      }
    }
    return `~[${absent.join(" ")}]`;
  }
  return `[${names.join(" ")}]`;
}

/** NULL-terminated array of strings, as execve(2) takes. */
export function formatStrings(task: TaskStruct, address: number): string {
  if (address === 0) return "NULL";
  const parts: string[] = [];
  for (let index = 0; index < 32; index++) {
    const bytes = readBytes(task, address + index * 8, 8);
    if (bytes === undefined) return hexText(address);
    const pointer = readU64(viewOf(bytes), 0);
    if (pointer === 0) return `[${parts.join(", ")}]`;
    parts.push(formatText(task, pointer));
  }
  return `[${parts.join(", ")}, ...]`;
}

/** How many strings the array has, "12 vars". */
export function countStrings(task: TaskStruct, address: number): number {
  for (let count = 0;; count++) {
    const bytes = readBytes(task, address + count * 8, 8);
    if (bytes === undefined || readU64(viewOf(bytes), 0) === 0) return count;
  }
}
