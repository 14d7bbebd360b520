// SPDX-License-Identifier: Apache-2.0
// Compares what Rookery did with what the processor did, and says where they differ.

import { APPROXIMATE, ULP_BOUND } from "./exclusions.ts";
import type { Case } from "./generate.ts";
import { isOtherOperandFirst, isRefusedBeforeOperands, PAGE_FAULT, pointerHigh } from "./processor-models.ts";
import {
  FX_CONTROL,
  FX_FDP,
  FX_FIP,
  FX_MXCSR,
  FX_ST,
  FX_TAG,
  FX_XMM,
  GPR,
  type Result,
  RESULT_FX,
  RFLAGS,
  RIP,
  SIGNAL,
  SIGNAL_ADDRESS,
  TRAP_ERROR,
  TRAP_NUMBER,
} from "./records.ts";
import type { Outcome } from "./rookery.ts";

const NAMES = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];
const SIGBUS = 7;
const SIGSEGV = 11;
const SIGTRAP = 5;
const STACK_FAULT = 12;
/** RF is set in the image of a fault; IOPL, VM and the like never. */
const FLAGS_MASK = 0x24_0ed5;
const STATUS_C1 = 0x200;
const MXCSR_FLAGS = 0x3f;

function word64(words: Uint32Array, at: number): string {
  return words[at + 1]!.toString(16).padStart(8, "0") + words[at]!.toString(16).padStart(8, "0");
}

/** Differences, one short line each; empty when all agrees. `mxcsrFlags`: whether they are tracked. */
export function differences(item: Case, native: Result, outcome: Outcome, mxcsrFlags: boolean): string[] {
  const out: string[] = [];
  compareEnd(item, native.words, outcome.words, out);
  if (item.undefinedResult) return out;
  const n = native.words;
  const r = outcome.words;
  for (let at = 0; at < 16; at++) {
    const word = GPR + 2 * at;
    if (n[word] !== r[word] || n[word + 1] !== r[word + 1]) {
      out.push(`${NAMES[at]!} ${word64(r, word)} expected ${word64(n, word)}`);
    }
  }
  const flags = (n[RFLAGS]! ^ r[RFLAGS]!) & FLAGS_MASK & ~faultingFlags(item, n);
  if (flags !== 0) {
    out.push(
      `flags ${(r[RFLAGS]! & FLAGS_MASK).toString(16)} expected ${(n[RFLAGS]! & FLAGS_MASK).toString(16)} (${
        flags.toString(16)
      })`,
    );
  }
  compareX87(item, n, r, out);
  compareVectors(item, n, r, mxcsrFlags, out);
  if (outcome.memoryOffset >= 0) {
    out.push(`memory +${outcome.memoryOffset.toString(16)} ${outcome.memoryText}`);
  }
  return out;
}

/** Nothing is undefined after an instruction that did not complete; in a sequence anything may be. */
function faultingFlags(item: Case, n: Uint32Array): number {
  if (n[SIGNAL] === SIGTRAP) return item.undefinedFlags;
  return item.form === undefined ? item.undefinedOnFault : 0;
}

function compareEnd(item: Case, n: Uint32Array, r: Uint32Array, out: string[]): void {
  let signal = n[SIGNAL]!;
  // Linux sends SIGBUS for a non-canonical address of the stack; the machine reports a protection fault.
  if (signal === SIGBUS && n[TRAP_NUMBER] === STACK_FAULT) signal = SIGSEGV;
  if (signal !== r[SIGNAL] && !isRefusedBeforeOperands(item, n, r)) {
    out.push(`signal ${r[SIGNAL]!} (trap ${r[TRAP_NUMBER]!}) expected ${signal} (vector ${n[TRAP_NUMBER]!})`);
  }
  // A virtual machine reports INT1 at the instruction, a bare processor behind it.
  const anyRip = item.form?.mnemonic === "INT1";
  if (!anyRip && (n[RIP] !== r[RIP] || n[RIP + 1] !== r[RIP + 1])) {
    out.push(`rip ${word64(r, RIP)} expected ${word64(n, RIP)}`);
  }
  if (signal !== SIGSEGV || r[SIGNAL] !== SIGSEGV) return;
  if (isOtherOperandFirst(item, n, r)) return;
  const fault = n[TRAP_NUMBER] === PAGE_FAULT;
  if (fault !== (r[TRAP_NUMBER] === 2)) {
    out.push(`trap ${r[TRAP_NUMBER]!} expected vector ${n[TRAP_NUMBER]!}`);
  }
  if (!fault || r[TRAP_NUMBER] !== 2) return;
  if (n[SIGNAL_ADDRESS] !== r[SIGNAL_ADDRESS] || n[SIGNAL_ADDRESS + 1] !== r[SIGNAL_ADDRESS + 1]) {
    out.push(`fault at ${word64(r, SIGNAL_ADDRESS)} expected ${word64(n, SIGNAL_ADDRESS)}`);
  }
  const access = n[TRAP_ERROR]! & 0x12;
  if (access !== r[TRAP_ERROR]) out.push(`fault access ${r[TRAP_ERROR]!} expected ${access}`);
}

function compareX87(item: Case, n: Uint32Array, r: Uint32Array, out: string[]): void {
  const bound = item.form === undefined ? undefined : ULP_BOUND.get(item.form.mnemonic);
  const ignored = bound === undefined ? 0 : STATUS_C1 << 16;
  const control = RESULT_FX + FX_CONTROL;
  if (((n[control]! ^ r[control]!) & ~ignored) !== 0) {
    out.push(`fsw:fcw ${r[control]!.toString(16)} expected ${n[control]!.toString(16)}`);
  }
  const tag = RESULT_FX + FX_TAG;
  if (n[tag] !== r[tag]) out.push(`fop:tags ${r[tag]!.toString(16)} expected ${n[tag]!.toString(16)}`);
  for (const [name, at] of [["fip", RESULT_FX + FX_FIP], ["fdp", RESULT_FX + FX_FDP]] as const) {
    if (n[at] !== r[at] || pointerHigh(n[at + 1]!) !== r[at + 1]) {
      out.push(`${name} ${word64(r, at)} expected ${word64(n, at)}`);
    }
  }
  for (let i = 0; i < 8; i++) {
    const at = RESULT_FX + FX_ST + 4 * i;
    if (n[at] === r[at] && n[at + 1] === r[at + 1] && n[at + 2] === r[at + 2]) continue;
    if (bound !== undefined && ulpDistance(n, r, at) <= bound) continue;
    out.push(`st${i} ${extendedText(r, at)} expected ${extendedText(n, at)}`);
  }
}

function extendedText(words: Uint32Array, at: number): string {
  return `${(words[at + 2]! & 0xffff).toString(16).padStart(4, "0")}:${word64(words, at)}`;
}

function ulpDistance(n: Uint32Array, r: Uint32Array, at: number): number {
  const position = (words: Uint32Array): bigint => {
    const exponent = BigInt(words[at + 2]! & 0x7fff);
    const magnitude = (exponent << 63n) + (BigInt(words[at + 1]! & 0x7fff_ffff) << 32n | BigInt(words[at]!));
    return (words[at + 2]! & 0x8000) !== 0 ? -magnitude : magnitude;
  };
  const distance = position(n) - position(r);
  return Number(distance < 0n ? -distance : distance);
}

function compareVectors(
  item: Case,
  n: Uint32Array,
  r: Uint32Array,
  mxcsrFlags: boolean,
  out: string[],
): void {
  const mxcsr = RESULT_FX + FX_MXCSR;
  const mask = mxcsrFlags ? 0xffff : 0xffff & ~MXCSR_FLAGS;
  if (((n[mxcsr]! ^ r[mxcsr]!) & mask) !== 0) {
    out.push(`mxcsr ${r[mxcsr]!.toString(16)} expected ${n[mxcsr]!.toString(16)}`);
  }
  const tolerance = item.form === undefined ? undefined : APPROXIMATE.get(item.form.mnemonic);
  for (let i = 0; i < 16; i++) {
    const at = RESULT_FX + FX_XMM + 4 * i;
    if (equalLanes(n, r, at, tolerance)) continue;
    out.push(`xmm${i} ${word64(r, at + 2)}${word64(r, at)} expected ${word64(n, at + 2)}${word64(n, at)}`);
  }
}

const float = new DataView(new ArrayBuffer(4));
function asFloat(bits: number): number {
  float.setUint32(0, bits);
  return float.getFloat32(0);
}

function equalLanes(n: Uint32Array, r: Uint32Array, at: number, tolerance: number | undefined): boolean {
  for (let lane = at; lane < at + 4; lane++) {
    if (n[lane] === r[lane]) continue;
    if (tolerance === undefined) return false;
    const wanted = asFloat(n[lane]!);
    const got = asFloat(r[lane]!);
    if (!(Math.abs(got - wanted) <= tolerance * Math.abs(wanted))) return false;
  }
  return true;
}
