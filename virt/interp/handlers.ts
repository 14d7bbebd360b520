// SPDX-License-Identifier: Apache-2.0
// The numbers of the interpreter's handlers.
//
// Handlers come from the table of operations: [variant][op], and from sequences.ts. Numbers below hotCount live in the main
// function, others (floats, vectors, calls) in a second one, so that the hot loop stays small. Most of what a block is lowered to is packed into steps
// then (pack.ts, steps.ts), whose handlers are among the special ones; the numbers of what always is come last, and have no code.

import { becomesStep } from "./forms.ts";
import { SEQUENCES, SequenceTree } from "./sequences.ts";
import { FLAG_LANE, FLAG_POOL, HELPERS, Op, type OpInfo, OPS } from "../ir/ops.ts";

/** Handlers that are not one IR operation. */
export const SPECIALS = [
  "exit", // leaves to the dispatcher: this block is now the entry of a region
  "jump", // dst count, {imm delta, link}
  "indirect", // dst count, a address; then INDIRECT_BYTES
  "syscall", // dst count, imm delta
  "trap", // dst count retired, a kind, imm delta
  "branch", // dst count, a condition; second record: {delta, link} taken, {delta, link} not
  // Steps: see steps.ts.
  "add",
  "add_more",
  "logic",
  "shift",
  "scaled",
  "flags",
  "load_8",
  "load_16",
  "load_32",
  "load_64",
  "store_8",
  "store_16",
  "store_32",
  "store_64",
  "compare_32",
  "compare_64",
  "canonical", // a address, imm kind of the trap when it is none
  "return", // an indirect jump after that check and after imm was added to rsp; b kind of the trap
  "mov32", // the upper half of dst becomes 0, as of every i32 result
  "mov64",
  "const64",
  "pc_const",
  "mov128",
  "mov32_narrow", // leaves the upper half of dst alone
  "set_cc_imm", // becomes a step, as some operations do (forms.ts): nothing runs it
] as const;
export type Special = (typeof SPECIALS)[number];

export interface Handlers {
  readonly special: { readonly [Name in Special]: number };
  /** By operation: operands in slots; right operand an int32 (sign-extended) in imm; branch on a comparison. */
  readonly plain: Int16Array;
  readonly immediate: Int16Array;
  readonly branch: Int16Array;
  readonly branchImmediate: Int16Array;
  /** By helper number. */
  readonly helper: Int16Array;
  /** Handlers of sequences, and the handlers that each stands for. */
  readonly sequences: SequenceTree;
  readonly parts: readonly (readonly number[])[];
  /** Numbers below are those of the main function; those from `count` on become steps before anything runs them. */
  readonly hotCount: number;
  readonly count: number;
  /** What each number is, for the generator and the printer. */
  readonly rows: readonly HandlerRow[];
}

export type Variant =
  | "special"
  | "plain"
  | "immediate"
  | "branch"
  | "branchImmediate"
  | "helper"
  | "sequence";
export interface HandlerRow {
  readonly variant: Variant;
  /** Number of the operation, helper, special or sequence. */
  readonly id: number;
  readonly name: string;
}

const COMPARISON = /^i(32|64)_(eq|ne|lt_s|lt_u|gt_s|gt_u|le_s|le_u|ge_s|ge_u)$/;
const HOT_KEYS: ReadonlySet<string> = new Set([
  "load",
  "store",
  "probe_write",
  "scaled_add",
  "insert8",
  "insert8h",
  "insert16",
  "trap_if",
  "set_cc",
  "set_cc_dynamic",
  "cc_cond",
  "cc_flags",
  "mul_hi_u64",
  "mul_hi_s64",
]);
/** Lowered to moves, constants or nothing. */
const NO_HANDLER_KEYS: ReadonlySet<string> = new Set([
  "const32",
  "const64",
  "pc_const",
  "get_gpr",
  "set_gpr",
  "get_xmm",
  "set_xmm",
  "get_state32",
  "get_state64",
  "get_statef32",
  "get_statef64",
  "get_state128",
  "set_state32",
  "set_state64",
  "set_statef32",
  "set_statef64",
  "set_state128",
  "get_cc_op",
  "get_cc_a",
  "get_cc_b",
  "call",
  "insn",
]);

function isComparison(info: OpInfo): boolean {
  return COMPARISON.test(info.name);
}

function isInteger(info: OpInfo): boolean {
  return /^[il]*$/.test(info.operands) && (info.result === "i" || info.result === "l");
}

function isHotOp(info: OpInfo): boolean {
  if (info.opcode < 0) return HOT_KEYS.has(info.key) && !is128(info);
  return isInteger(info) && info.opcode < 0x100;
}

function is128(info: OpInfo): boolean {
  return info.name === "load128" || info.name === "store128";
}

/** Loads and stores of floats move the same bits as those of integers. */
export const SAME_BITS: ReadonlyMap<number, number> = new Map([
  [Op.loadf32, Op.load32],
  [Op.loadf64, Op.load64],
  [Op.storef32, Op.store32],
  [Op.storef64, Op.store64],
]);

function hasHandler(info: OpInfo): boolean {
  if (SAME_BITS.has(info.id)) return false;
  if (info.opcode < 0) return !NO_HANDLER_KEYS.has(info.key);
  return info.id !== Op.i32_wrap_i64 && info.id !== Op.i64_extend_i32_u;
}

export function makeHandlers(): Handlers {
  const rows: HandlerRow[] = [];
  const table = (): Int16Array => new Int16Array(OPS.length).fill(-1);
  const [plain, immediate, branch, branchImmediate] = [table(), table(), table(), table()];
  const tables = { plain, immediate, branch, branchImmediate };
  const helper = new Int16Array(HELPERS.length);
  const special = {} as { [Name in Special]: number }; // every name is set right below
  const add = (row: HandlerRow): void => {
    const n = rows.push(row) - 1;
    if (row.variant === "special") special[SPECIALS[row.id]!] = n;
    else if (row.variant === "helper") helper[row.id] = n;
    else if (row.variant !== "sequence") tables[row.variant][row.id] = n;
  };
  const all = [...specialRows(), ...OPS.filter(hasHandler).flatMap(rowsOf), ...helperRows()];
  const run = all.filter((row) => !becomesStep(row));
  run.filter(isHot).forEach(add);
  const numbers = new Map(rows.map(({ name }, n) => [name, n]));
  const sequences = new SequenceTree(rows.length);
  const parts = SEQUENCES.map((names) =>
    names.split(" ").map((name) => {
      const part = numbers.get(name);
      if (part === undefined) throw new Error(`no handler ${name} for a sequence`);
      return part;
    })
  );
  parts.forEach((records, id) => {
    add({ variant: "sequence", id, name: SEQUENCES[id]! });
    sequences.add(records, rows.length - 1);
  });
  const hotCount = rows.length;
  run.filter((row) => !isHot(row)).forEach(add);
  const count = rows.length;
  all.filter(becomesStep).forEach(add);
  return { special, ...tables, helper, sequences, parts, hotCount, count, rows };
}

function specialRows(): HandlerRow[] {
  return SPECIALS.map((name, id) => ({ variant: "special", id, name }));
}

function helperRows(): HandlerRow[] {
  return HELPERS.map(({ id, name }) => ({ variant: "helper", id, name: `call_${name}` }));
}

function rowsOf(info: OpInfo): HandlerRow[] {
  const { id, name } = info;
  const rows: HandlerRow[] = [{ variant: "plain", id, name }];
  if (!isHotOp(info)) return rows;
  const binary = info.opcode >= 0 && (info.operands === "ii" || info.operands === "ll");
  if (binary) rows.push({ variant: "immediate", id, name: `${name}#` });
  if (!isComparison(info)) return rows;
  rows.push({ variant: "branch", id, name: `br_${name}` });
  rows.push({ variant: "branchImmediate", id, name: `br_${name}#` });
  return rows;
}

function isHot({ variant, id }: HandlerRow): boolean {
  return variant === "special" || (variant !== "helper" && isHotOp(OPS[id]!));
}

/** Operations whose immediate is part of the record in another way than `imm`. */
export function hasPool(info: OpInfo): boolean {
  return (info.flags & FLAG_POOL) !== 0;
}
export function hasLane(info: OpInfo): boolean {
  return (info.flags & FLAG_LANE) !== 0;
}
