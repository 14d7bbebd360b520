// SPDX-License-Identifier: Apache-2.0
// Classic BPF as seccomp(2) uses it: checks a program, runs it over struct seccomp_data.
// An instruction is { u16 code, u8 jt, u8 jf, u32 k }; all arithmetic is on 32 bits. Source: seccomp(2), bpf(4).

import { EINVAL } from "../lib/errno.ts";
import { type LittleView, viewOf } from "../lib/little-view.ts";

export const SECCOMP_DATA_BYTES = 64;
const INSTRUCTIONS_MAX = 4096;
const SCRATCH_WORDS = 16;

const LD_ABS = 0x20;
const LD_LEN = 0x80;
const LDX_LEN = 0x81;
const LD_IMM = 0x00;
const LDX_IMM = 0x01;
const LD_MEM = 0x60;
const LDX_MEM = 0x61;
const ST = 0x02;
const STX = 0x03;
const JA = 0x05;
const RET_K = 0x06;
const RET_A = 0x16;
const TAX = 0x07;
const TXA = 0x87;
const NEG = 0x84;
const CLASS_ALU = 0x04;
const CLASS_JMP = 0x05;
const SOURCE_X = 0x08;

export interface BpfInstruction {
  readonly code: number;
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly k: number;
}

/** A program that was checked: every jump is inside, every path ends in a return. */
export type BpfProgram = readonly BpfInstruction[];

const ALU_OPERATIONS: ReadonlySet<number> = new Set([0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0]);
const JUMP_OPERATIONS: ReadonlySet<number> = new Set([0x10, 0x20, 0x30, 0x40]);
const PLAIN: ReadonlySet<number> = new Set([LD_LEN, LDX_LEN, LD_IMM, LDX_IMM, RET_K, RET_A, TAX, TXA, NEG]);

/** Throws EINVAL for a program that seccomp(2) would refuse. */
export function decodeProgram(bytes: Uint8Array): BpfProgram {
  const count = bytes.length / 8;
  if (count < 1 || count > INSTRUCTIONS_MAX) throw EINVAL;
  const view = viewOf(bytes);
  const program = Array.from({ length: count }, (_, index) => ({
    code: view.getUint16(index * 8),
    jumpTrue: view.getUint8(index * 8 + 2),
    jumpFalse: view.getUint8(index * 8 + 3),
    k: view.getUint32(index * 8 + 4),
  }));
  program.forEach((instruction, index) => checkInstruction(instruction, count - index - 1));
  const last = program[count - 1]!.code;
  if (last !== RET_K && last !== RET_A) throw EINVAL;
  return program;
}

/** `after`: how many instructions follow. */
function checkInstruction({ code, jumpTrue, jumpFalse, k }: BpfInstruction, after: number): void {
  if (code === LD_ABS) {
    if (k % 4 !== 0 || k >= SECCOMP_DATA_BYTES) throw EINVAL;
  } else if (code === LD_MEM || code === LDX_MEM || code === ST || code === STX) {
    if (k >= SCRATCH_WORDS) throw EINVAL;
  } else if (code === JA) {
    if (k >= after) throw EINVAL;
  } else if ((code & 7) === CLASS_JMP) {
    if (!JUMP_OPERATIONS.has(code & 0xf0) || jumpTrue >= after || jumpFalse >= after) throw EINVAL;
  } else if ((code & 7) === CLASS_ALU && code !== NEG) {
    if (!ALU_OPERATIONS.has(code & 0xf0)) throw EINVAL;
    if ((code & SOURCE_X) === 0 && (code & 0xf0) === 0x30 && k === 0) throw EINVAL;
  } else if (!PLAIN.has(code)) {
    throw EINVAL;
  }
}

/** Runs the program. The answer is SECCOMP_RET_* with its data. */
export function runProgram(program: BpfProgram, data: Uint8Array): number {
  const view = viewOf(data);
  const scratch = new Uint32Array(SCRATCH_WORDS);
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < program.length; pc++) {
    const { code, jumpTrue, jumpFalse, k } = program[pc]!;
    switch (code) {
      case LD_ABS:
        a = loadWord(view, k);
        break;
      case LD_LEN:
        a = SECCOMP_DATA_BYTES;
        break;
      case LDX_LEN:
        x = SECCOMP_DATA_BYTES;
        break;
      case LD_IMM:
        a = k;
        break;
      case LDX_IMM:
        x = k;
        break;
      case LD_MEM:
        a = scratch[k]!;
        break;
      case LDX_MEM:
        x = scratch[k]!;
        break;
      case ST:
        scratch[k] = a;
        break;
      case STX:
        scratch[k] = x;
        break;
      case JA:
        pc += k;
        break;
      case RET_K:
        return k;
      case RET_A:
        return a;
      case TAX:
        x = a;
        break;
      case TXA:
        a = x;
        break;
      case NEG:
        a = -a >>> 0;
        break;
      default: {
        const operand = (code & SOURCE_X) === 0 ? k : x;
        if ((code & 7) === CLASS_JMP) pc += jumps(code & 0xf0, a, operand) ? jumpTrue : jumpFalse;
        else if ((code & 0xf0) === 0x30 && operand === 0) return 0;
        else a = compute(code & 0xf0, a, operand);
      }
    }
  }
  return 0;
}

function loadWord(view: LittleView, offset: number): number {
  return view.getUint32(offset);
}

function jumps(operation: number, a: number, operand: number): boolean {
  switch (operation) {
    case 0x10:
      return a === operand;
    case 0x20:
      return a > operand;
    case 0x30:
      return a >= operand;
    default:
      return (a & operand) !== 0;
  }
}

function compute(operation: number, a: number, operand: number): number {
  switch (operation) {
    case 0x00:
      return (a + operand) >>> 0;
    case 0x10:
      return (a - operand) >>> 0;
    case 0x20:
      return Math.imul(a, operand) >>> 0;
    case 0x30:
      return Math.floor(a / operand) >>> 0;
    case 0x40:
      return (a | operand) >>> 0;
    case 0x50:
      return (a & operand) >>> 0;
    case 0x60:
      return operand > 31 ? 0 : (a << operand) >>> 0;
    case 0x70:
      return operand > 31 ? 0 : a >>> operand;
    default:
      return (a ^ operand) >>> 0;
  }
}
