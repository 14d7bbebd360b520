// SPDX-License-Identifier: Apache-2.0
// What handlers are as steps (steps.ts), and which fields of a record name slots: by number of the handler.

import { HELPERS, Op, OPS } from "../ir/ops.ts";
import type { HandlerRow, Handlers } from "./handlers.ts";

/** What a step computes. Odd ones of the first ten make 32 bits. */
export const FORM = {
  add64: 0,
  add32: 1,
  sub64: 2,
  sub32: 3,
  and64: 4,
  and32: 5,
  or64: 6,
  or32: 7,
  xor64: 8,
  xor32: 9,
  sext8: 10, // to 32 bits
  sext16: 11,
  sext32: 12, // to 64 bits
  sext8_64: 13,
  sext16_64: 14,
  load8: 15,
  load16: 16,
  load32: 17,
  load64: 18,
  store8: 19,
  store16: 20,
  store32: 21,
  store64: 22,
  flags: 23,
  compare: 24,
  scaled: 32, // by 0 to 31
  shl64: 64, // by 0 to 63
  shr64: 128,
  sar64: 192,
  shl32: 256, // by 0 to 31
  shr32: 288,
  sar32: 320,
} as const;

/** How a record is read. */
export const KIND = {
  other: 0,
  /** dst = a (form) b, or a (form) imm. */
  binary: 1,
  binaryImmediate: 2,
  /** dst = form(a). */
  unary: 3,
  /** dst = a shifted by imm: the form is that of 0. */
  shift: 4,
  /** dst = a + (b << imm). */
  scaled: 5,
  load: 6,
  store: 7,
  constant: 8,
  pcConstant: 9,
  setCc: 10,
  setCcImmediate: 11,
  branch: 12,
  branchImmediate: 13,
} as const;

export const READS_A = 1;
export const READS_B = 2;
export const READS_C = 4;
export const WRITES = 8;
/** May write any register. */
export const WRITES_ALL = 16;
export const WRITES_CC = 32;
/** The operands are the low halves of the slots. */
export const NARROW = 64;

export interface Forms {
  readonly kind: Uint8Array;
  readonly form: Uint16Array;
  readonly flags: Uint8Array;
  /** Of a comparison: bit e + 2 * u + 4 * s says whether it holds, where e, u, s are 1 for equal, below, less. */
  readonly holds: Uint8Array;
}

const BINARY: ReadonlyMap<string, number> = new Map([
  ["i64_add", FORM.add64],
  ["i32_add", FORM.add32],
  ["i64_sub", FORM.sub64],
  ["i32_sub", FORM.sub32],
  ["i64_and", FORM.and64],
  ["i32_and", FORM.and32],
  ["i64_or", FORM.or64],
  ["i32_or", FORM.or32],
  ["i64_xor", FORM.xor64],
  ["i32_xor", FORM.xor32],
]);
const SHIFTS: ReadonlyMap<string, number> = new Map([
  ["i64_shl", FORM.shl64],
  ["i64_shr_u", FORM.shr64],
  ["i64_shr_s", FORM.sar64],
  ["i32_shl", FORM.shl32],
  ["i32_shr_u", FORM.shr32],
  ["i32_shr_s", FORM.sar32],
]);
const UNARY: ReadonlyMap<string, number> = new Map([
  ["i32_extend8_s", FORM.sext8],
  ["i32_extend16_s", FORM.sext16],
  ["i64_extend_i32_s", FORM.sext32],
  ["i64_extend32_s", FORM.sext32],
  ["i64_extend8_s", FORM.sext8_64],
  ["i64_extend16_s", FORM.sext16_64],
]);
const LOADS: ReadonlyMap<number, number> = new Map([
  [Op.load8_u, FORM.load8],
  [Op.load16_u, FORM.load16],
  [Op.load32, FORM.load32],
  [Op.load8_u_64, FORM.load8],
  [Op.load16_u_64, FORM.load16],
  [Op.load32_u_64, FORM.load32],
  [Op.load64, FORM.load64],
]);
const STORES: ReadonlyMap<number, number> = new Map([
  [Op.store8, FORM.store8],
  [Op.store16, FORM.store16],
  [Op.store32, FORM.store32],
  [Op.store64, FORM.store64],
]);

const EQUAL = 0xaa; // of eight, those with bit 0 set
const BELOW = 0xcc;
const LESS = 0xf0;
const HOLDS: { readonly [name: string]: number } = {
  eq: EQUAL,
  ne: ~EQUAL,
  lt_u: BELOW,
  ge_u: ~BELOW,
  le_u: BELOW | EQUAL,
  gt_u: ~(BELOW | EQUAL),
  lt_s: LESS,
  ge_s: ~LESS,
  le_s: LESS | EQUAL,
  gt_s: ~(LESS | EQUAL),
};

/** Whether records of a handler are always steps when a block has been packed. */
export function becomesStep({ variant, id, name }: HandlerRow): boolean {
  switch (variant) {
    case "special":
      return name === "set_cc_imm";
    case "plain":
      return id === Op.scaled_add || id === Op.set_cc || LOADS.has(id) || STORES.has(id)
        || BINARY.has(name) || UNARY.has(name);
    case "immediate":
      return BINARY.has(OPS[id]!.name) || SHIFTS.has(OPS[id]!.name);
    default:
      return variant === "branch" || variant === "branchImmediate";
  }
}

export function makeForms({ rows, special }: Handlers): Forms {
  const kind = new Uint8Array(rows.length);
  const form = new Uint16Array(rows.length);
  const flags = new Uint8Array(rows.length);
  const holds = new Uint8Array(rows.length);
  const set = (n: number, k: number, f: number, bits: number): void => {
    kind[n] = k;
    form[n] = f;
    flags[n] = bits;
  };
  rows.forEach(({ variant, id }, n) => {
    switch (variant) {
      case "special":
      case "sequence":
        break;
      case "helper":
        flags[n] = readsOf(HELPERS[id]!.operands.length) | WRITES;
        break;
      case "branch":
      case "branchImmediate": {
        const { name } = OPS[id]!;
        holds[n] = HOLDS[name.slice(4)]!;
        const isImmediate = variant === "branchImmediate";
        set(
          n,
          isImmediate ? KIND.branchImmediate : KIND.branch,
          FORM.compare,
          (isImmediate ? READS_A : READS_A | READS_B) | (name.startsWith("i32") ? NARROW : 0),
        );
        break;
      }
      case "immediate": {
        const { name } = OPS[id]!;
        const [binary, shift] = [BINARY.get(name), SHIFTS.get(name)];
        flags[n] = READS_A | WRITES;
        if (binary !== undefined) set(n, KIND.binaryImmediate, binary, READS_A | WRITES);
        if (shift !== undefined) set(n, KIND.shift, shift, READS_A | WRITES);
        break;
      }
      case "plain":
        plain(n, id);
    }
  });
  function plain(n: number, id: number): void {
    const { name, operands, result } = OPS[id]!;
    let bits = readsOf(operands.length) | (result === "" ? 0 : WRITES);
    if (id === Op.ext) bits |= WRITES_ALL;
    if (id === Op.set_cc_dynamic) bits |= WRITES_CC;
    flags[n] = bits;
    for (
      const [k, found] of [
        [KIND.binary, BINARY.get(name)],
        [KIND.unary, UNARY.get(name)],
        [KIND.load, LOADS.get(id)],
        [KIND.store, STORES.get(id)],
      ] as const
    ) {
      if (found !== undefined) set(n, k, found, bits);
    }
    if (id === Op.scaled_add) set(n, KIND.scaled, FORM.scaled, bits);
    if (id === Op.set_cc) set(n, KIND.setCc, FORM.flags, READS_A | READS_B | WRITES_CC);
  }
  const mov = READS_A | WRITES;
  set(special.mov64, KIND.unary, FORM.add64, mov);
  set(special.mov32, KIND.unary, FORM.add32, mov);
  set(special.const64, KIND.constant, FORM.add64, WRITES);
  set(special.pc_const, KIND.pcConstant, FORM.add64, WRITES);
  set(special.set_cc_imm, KIND.setCcImmediate, FORM.flags, READS_A | WRITES_CC);
  flags[special.mov128] = mov;
  flags[special.mov32_narrow] = mov;
  flags[special.branch] = READS_A;
  flags[special.indirect] = READS_A;
  return { kind, form, flags, holds };
}

function readsOf(operands: number): number {
  return (1 << operands) - 1;
}

export function isStore(form: number): boolean {
  return form >= FORM.store8 && form <= FORM.store64;
}

export function mayTrap(form: number): boolean {
  return form >= FORM.load8 && form <= FORM.store64;
}

export interface Shift {
  readonly left: number;
  readonly right: number;
  /** How many bits stay. */
  readonly mask: number;
}

/** As two shifts, the second a signed one, and how many of the lowest bits stay. */
export function shiftOf(form: number): Shift {
  switch (form) {
    case FORM.sext8:
      return { left: 56, right: 56, mask: 32 };
    case FORM.sext16:
      return { left: 48, right: 48, mask: 32 };
    case FORM.sext32:
      return { left: 32, right: 32, mask: 64 };
    case FORM.sext8_64:
      return { left: 56, right: 56, mask: 64 };
    case FORM.sext16_64:
      return { left: 48, right: 48, mask: 64 };
  }
  if (form < FORM.shr64) return { left: form - FORM.shl64, right: 0, mask: 64 };
  if (form < FORM.sar64) return { left: 0, right: form - FORM.shr64, mask: 64 - (form - FORM.shr64) };
  if (form < FORM.shl32) return { left: 0, right: form - FORM.sar64, mask: 64 };
  if (form < FORM.shr32) return { left: form - FORM.shl32, right: 0, mask: 32 };
  if (form < FORM.sar32) {
    return { left: 32, right: 32 + form - FORM.shr32, mask: 32 - (form - FORM.shr32) };
  }
  return { left: 32, right: 32 + form - FORM.sar32, mask: 32 };
}
