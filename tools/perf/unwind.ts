// SPDX-License-Identifier: Apache-2.0
// From the registers and the stack of a sample to its call chain, by the frame tables that compilers write for
// exceptions. No frame pointers are needed, and nothing is guessed: where the tables end, so does the chain.

import {
  type CfaRule,
  DWARF_RIP,
  DWARF_RSP,
  DwarfReader,
  type FrameRow,
  type RegisterRule,
} from "./frame-table.ts";
import type { ElfFile } from "./elf.ts";

const DEPTH_MAX = 128;

/** Where an address of a process comes from. */
export interface CodePlace {
  readonly elf: ElfFile | undefined;
  /** As the file counts. */
  readonly address: number;
}

export interface UnwindInput {
  /** By DWARF's numbers, 0 to 16. */
  readonly registers: readonly number[];
  /** The 8 bytes at an address of the stack, if they were kept. */
  readonly word: (address: number) => number | undefined;
  readonly place: (pc: number) => CodePlace | undefined;
}

export interface CallChain {
  /** Innermost first. A caller's is its return address less one: within the call. */
  readonly pcs: readonly number[];
  /** The outermost frame was reached. */
  readonly isWhole: boolean;
}

/** Never fails: what cannot be unwound further is the end. */
export function unwind(input: UnwindInput): CallChain {
  let registers = [...input.registers];
  let pc = registers[DWARF_RIP]!;
  const pcs = [pc];
  while (pcs.length < DEPTH_MAX) {
    const place = input.place(pc);
    const frames = place?.elf?.frames;
    if (place === undefined || frames === undefined) return { pcs, isWhole: false };
    const entry = frames.find(place.address);
    if (entry === undefined) return { pcs, isWhole: false };
    let next: number[] | undefined;
    try {
      next = callerOf(frames.row(entry, place.address), registers, input.word);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { pcs, isWhole: false };
    }
    if (next === undefined) return { pcs, isWhole: true };
    const returnAddress = next[DWARF_RIP]!;
    // The program's first frame may say so with a return address of 0.
    if (returnAddress === 0) return { pcs, isWhole: true };
    if (Number.isNaN(returnAddress) || !(next[DWARF_RSP]! > registers[DWARF_RSP]!)) {
      return { pcs, isWhole: false };
    }
    registers = next;
    // A signal frame leads to an instruction that was about to run, all others to behind a call.
    pc = entry.isSignalFrame ? returnAddress : returnAddress - 1;
    pcs.push(pc);
  }
  return { pcs, isWhole: false };
}

type Word = UnwindInput["word"];

/** The caller's registers, NaN for what is not known; undefined for an outermost frame. */
function callerOf(row: FrameRow, registers: readonly number[], word: Word): number[] | undefined {
  const cfa = cfaOf(row.cfa, registers, word);
  const next = [...registers];
  next[DWARF_RSP] = cfa;
  // Without a rule the return address would be the pc itself: an outermost frame, too.
  if ((row.registers.get(DWARF_RIP)?.kind ?? "undefined") === "undefined") return undefined;
  for (const [register, rule] of row.registers) next[register] = valueOf(rule, cfa, registers, word);
  return next;
}

function cfaOf(rule: CfaRule, registers: readonly number[], word: Word): number {
  return rule.kind === "register"
    ? (registers[rule.register] ?? NaN) + rule.offset
    : evaluate(rule.code, registers, word, undefined);
}

function valueOf(rule: RegisterRule, cfa: number, registers: readonly number[], word: Word): number {
  switch (rule.kind) {
    case "undefined":
      return NaN;
    case "offset":
      return word(cfa + rule.offset) ?? NaN;
    case "value-offset":
      return cfa + rule.offset;
    case "register":
      return registers[rule.register] ?? NaN;
    case "expression":
      return word(evaluate(rule.code, registers, word, cfa)) ?? NaN;
    case "value-expression":
      return evaluate(rule.code, registers, word, cfa);
  }
}

const BINARY: Readonly<Record<number, (a: number, b: number) => number>> = {
  0x1a: (a, b) => Number(BigInt.asUintN(64, BigInt(a) & BigInt(b))),
  0x1c: (a, b) => a - b,
  0x1e: (a, b) => a * b,
  0x21: (a, b) => Number(BigInt.asUintN(64, BigInt(a) | BigInt(b))),
  0x22: (a, b) => a + b,
  0x24: (a, b) => a * 2 ** b,
  0x25: (a, b) => Math.floor(a / 2 ** b),
  0x29: (a, b) => Number(a === b),
  0x2a: (a, b) => Number(a >= b),
  0x2b: (a, b) => Number(a > b),
  0x2c: (a, b) => Number(a <= b),
  0x2d: (a, b) => Number(a < b),
  0x2e: (a, b) => Number(a !== b),
};

/** The part of DWARF expressions that frame tables use (procedure linkage, signal frames, realigned stacks). */
function evaluate(
  code: Uint8Array,
  registers: readonly number[],
  word: Word,
  first: number | undefined,
): number {
  const reader = new DwarfReader(code);
  const stack: number[] = first === undefined ? [] : [first];
  const pop = (): number => stack.pop() ?? NaN;
  while (!reader.isAtEnd) {
    const op = reader.u8();
    const binary = BINARY[op];
    if (binary !== undefined) {
      const b = pop();
      const a = pop();
      stack.push(Number.isNaN(a + b) ? NaN : binary(a, b));
    } else if (op >= 0x30 && op <= 0x4f) stack.push(op - 0x30);
    else if (op >= 0x70 && op <= 0x8f) stack.push((registers[op - 0x70] ?? NaN) + reader.sleb());
    else if (op === 0x06) stack.push(word(pop()) ?? NaN);
    else if (op === 0x08) stack.push(reader.u8());
    else if (op === 0x09) stack.push(reader.u8() << 24 >> 24);
    else if (op === 0x0a) stack.push(reader.u16());
    else if (op === 0x0c) stack.push(reader.u32());
    else if (op === 0x10) stack.push(reader.uleb());
    else if (op === 0x11) stack.push(reader.sleb());
    else if (op === 0x12) stack.push(stack.at(-1) ?? NaN);
    else if (op === 0x23) stack.push(pop() + reader.uleb());
    else throw new RangeError(`expression operation 0x${op.toString(16)} is unknown`);
  }
  return pop();
}
