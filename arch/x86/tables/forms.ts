// SPDX-License-Identifier: Apache-2.0
// The encoding forms of x86-64 as data: the decoder's arrays and the instruction generator of the tests
// are both made from X86_FORMS.
//
// A row is "opcode[/digit][:mod] prefix mnemonic operands attributes".
//   opcode    hex; "0f." and "0f.38." "0f.3a." name the maps; "+r" eight opcodes with a register in the low
//             bits, "+c" sixteen with a condition
//   mod       :m memory only, :r register only, :rN register form with ModRM.rm equal to N
//   prefix    "-" any, NP none, 66, F3, F2 (F3 and F2 win over 66). A specific row wins over an any row.
//   operands  comma-separated, or "-". Kinds are those of the manual's opcode maps: E G M R(Z) I J O V W U P Q N S
//             X Y with a size: b w d q x(16 bytes) v(operand size) y(4, or 8 with REX.W) z(2 or 4) s(imm8,
//             sign-extended; as M size: float) l t(x87). Fixed: AL rAX CL DX AX 1 ST Ti or a digit.
//   attributes lock (LOCK is allowed with memory), d64 (operand size 8 unless 66), f64 (always 8), priv (#GP in
//             user mode), mmx, x87, sse3 (needs the bit of CPUID), regonly, pause, tzcnt, lzcnt,
//             lockreg (LOCK is allowed with registers: LOCK MOV CR0 is another name of MOV CR8).
// Source: AMD64 Architecture Programmer's Manual, volume 3, appendix A.

import { ONE_BYTE_ROWS } from "./onebyte.ts";
import { SSE_ROWS, UNALIGNED } from "./sse.ts";
import { TWO_BYTE_ROWS } from "./twobyte.ts";
import { X87_ROWS } from "./x87.ts";

/** Operand kinds. */
export const KIND_E = 1; // general register or memory by ModRM.rm
export const KIND_G = 2; // general register by ModRM.reg
export const KIND_Z = 3; // general register by the opcode
export const KIND_A = 4; // rAX or AL
export const KIND_IMM = 5;
export const KIND_REL = 6;
export const KIND_OFFSET = 7; // absolute address in the instruction
export const KIND_M = 8; // memory by ModRM.rm
export const KIND_V = 9; // xmm by ModRM.reg
export const KIND_W = 10; // xmm or memory by ModRM.rm
export const KIND_U = 11; // xmm by ModRM.rm
export const KIND_P = 12; // mmx by ModRM.reg
export const KIND_Q = 13; // mmx or memory by ModRM.rm
export const KIND_N = 14; // mmx by ModRM.rm
export const KIND_S = 15; // segment register by ModRM.reg
export const KIND_X = 16; // memory at rsi
export const KIND_Y = 17; // memory at rdi
export const KIND_CL = 18;
export const KIND_ONE = 19;
export const KIND_NUMBER = 20; // a digit of the row itself: a segment register
export const KIND_ST = 21;
export const KIND_STI = 22;
export const KIND_AX = 23;

/** Sizes in bytes, or one of these. */
export const SIZE_V = -1; // operand size: 2, 4, 8
export const SIZE_Y = -2; // 4, or 8 with REX.W
export const SIZE_Z = -3; // 2 or 4

export const IMM_NONE = 0;
export const IMM_8U = 1;
export const IMM_8S = 2;
export const IMM_16 = 3;
export const IMM_Z = 4; // 2 or 4 bytes, sign-extended
export const IMM_V = 5; // the operand size, 8 bytes included
export const IMM_ENTER = 6; // 16 bits, then 8
export const IMM_OFFSET = 7; // 8 bytes, 4 with address size 32
export const IMM_REL32 = 8;

export const PREFIXES = ["NP", "66", "F3", "F2"] as const;

export interface X86Operand {
  readonly text: string;
  readonly kind: number;
  /** Bytes, or SIZE_*; 0 when it does not apply. */
  readonly size: number;
}

export interface X86Form {
  readonly id: number;
  /** Stable and unique: the row without its attributes. */
  readonly name: string;
  readonly mnemonic: string;
  readonly map: 0 | 1 | 2 | 3; // one-byte, 0F, 0F38, 0F3A
  readonly opcode: number;
  /** How many opcodes from `opcode` on the form covers: 1, 8 (+r) or 16 (+c). */
  readonly span: number;
  /** -1 any, else an index of PREFIXES. */
  readonly prefix: number;
  /** ModRM.reg, or -1. */
  readonly digit: number;
  readonly mod: "any" | "mem" | "reg";
  /** ModRM.rm of a register form, or -1. */
  readonly rm: number;
  readonly hasModrm: boolean;
  readonly operands: readonly X86Operand[];
  readonly imm: number;
  readonly attributes: ReadonlySet<string>;
  readonly lock: boolean;
  /** LOCK is allowed whatever the operands. */
  readonly lockAnywhere: boolean;
  readonly operandSize: "" | "d64" | "f64";
  readonly privileged: boolean;
  /** The 16-byte memory operand must be aligned. */
  readonly aligned: boolean;
}

const KINDS: Readonly<Record<string, number>> = {
  E: KIND_E,
  G: KIND_G,
  Z: KIND_Z,
  I: KIND_IMM,
  J: KIND_REL,
  O: KIND_OFFSET,
  M: KIND_M,
  V: KIND_V,
  W: KIND_W,
  U: KIND_U,
  P: KIND_P,
  Q: KIND_Q,
  N: KIND_N,
  S: KIND_S,
  X: KIND_X,
  Y: KIND_Y,
};
const SIZES: Readonly<Record<string, number>> = {
  b: 1,
  s: 1,
  w: 2,
  d: 4,
  q: 8,
  x: 16,
  v: SIZE_V,
  y: SIZE_Y,
  z: SIZE_Z,
};
const FIXED: Readonly<Record<string, readonly [number, number]>> = {
  AL: [KIND_A, 1],
  rAX: [KIND_A, SIZE_V],
  AX: [KIND_AX, 2],
  CL: [KIND_CL, 1],
  "1": [KIND_ONE, 1],
  ST: [KIND_ST, 0],
  Ti: [KIND_STI, 0],
  "2": [KIND_NUMBER, 2],
  "4": [KIND_NUMBER, 4],
  "5": [KIND_NUMBER, 5],
  Ms: [KIND_M, 4],
  Ml: [KIND_M, 8],
  Mt: [KIND_M, 10],
  M: [KIND_M, 0],
};
const MODRM_KINDS: ReadonlySet<number> = new Set([
  KIND_E,
  KIND_G,
  KIND_M,
  KIND_V,
  KIND_W,
  KIND_U,
  KIND_P,
  KIND_Q,
  KIND_N,
  KIND_S,
  KIND_STI,
]);
const MAPS: Readonly<Record<string, 1 | 2 | 3>> = { "0f": 1, "0f.38": 2, "0f.3a": 3 };

function parseOperand(text: string): X86Operand {
  const fixed = FIXED[text];
  if (fixed !== undefined) return { text, kind: fixed[0], size: fixed[1] };
  const kind = KINDS[text.charAt(0)];
  const size = SIZES[text.charAt(1)];
  if (kind === undefined || size === undefined) throw new RangeError(`forms: bad operand ${text}`);
  return { text, kind, size };
}

function immediateOf(operands: readonly X86Operand[], mnemonic: string): number {
  if (mnemonic === "ENTER") return IMM_ENTER;
  for (const { text, kind } of operands) {
    if (kind === KIND_OFFSET) return IMM_OFFSET;
    if (kind === KIND_REL) return text === "Jb" ? IMM_8S : IMM_REL32;
    if (kind !== KIND_IMM) continue;
    if (text === "Ib") return IMM_8U;
    if (text === "Is") return IMM_8S;
    if (text === "Iw") return IMM_16;
    return text === "Iz" ? IMM_Z : IMM_V;
  }
  return IMM_NONE;
}

const OPCODE = /^(?:(0f(?:\.38|\.3a)?)\.)?([0-9a-f]{2})(\+[rc])?(?:\/([0-7]))?(?::([mr])([0-7])?)?$/;

function parseRow(row: string, id: number): X86Form {
  const [spec = "", prefix = "", mnemonic = "", operandText = "-", ...words] = row.trim().split(" ");
  const match = OPCODE.exec(spec);
  if (match === null) throw new RangeError(`forms: bad row ${row}`);
  const [, map, opcode = "", plus, digit, mod, rm] = match;
  // Rows without operands may leave out the dash before their attributes end.
  const operands = operandText === "-" ? [] : operandText.split(",").map(parseOperand);
  const attributes = new Set(words);
  const prefixIndex = prefix === "-" ? -1 : PREFIXES.indexOf(prefix as (typeof PREFIXES)[number]);
  if (prefix !== "-" && prefixIndex < 0) throw new RangeError(`forms: bad prefix in ${row}`);
  return {
    id,
    name: `${spec} ${prefix} ${mnemonic} ${operandText}`,
    mnemonic,
    map: map === undefined ? 0 : MAPS[map]!,
    opcode: parseInt(opcode, 16),
    span: plus === undefined ? 1 : plus === "+r" ? 8 : 16,
    prefix: prefixIndex,
    digit: digit === undefined ? -1 : Number(digit),
    mod: mod === undefined ? "any" : mod === "m" ? "mem" : "reg",
    rm: rm === undefined ? -1 : Number(rm),
    hasModrm: digit !== undefined || mod !== undefined || attributes.has("regonly")
      || operands.some((o) => MODRM_KINDS.has(o.kind)),
    operands,
    imm: immediateOf(operands, mnemonic),
    attributes,
    lock: attributes.has("lock"),
    lockAnywhere: attributes.has("lockreg"),
    operandSize: attributes.has("d64") ? "d64" : attributes.has("f64") ? "f64" : "",
    privileged: attributes.has("priv"),
    aligned: operands.some((o) => o.size === 16 && (o.kind === KIND_W || o.kind === KIND_M))
      && !UNALIGNED.has(mnemonic),
  };
}

/** Every encoding form that the decoder knows, in the order of their ids. */
export const X86_FORMS: readonly X86Form[] = [
  ...ONE_BYTE_ROWS,
  ...TWO_BYTE_ROWS,
  ...SSE_ROWS,
  ...X87_ROWS,
].map(parseRow);
