// SPDX-License-Identifier: Apache-2.0
// Tables: accesses at a register plus an index that is known to be small, in loops that leave the register as it is. They are made to be off
// the register, with the index aside: groups.ts takes all that such indexes reach for a range of displacements, one check of which holds
// as long as the register does (facts.ts), so that the address of an access waits for its index and for nothing else.
//
// Invariant: no index is above its greatest value. What it is comes from the operations that make it, and from those of blocks before.

import { Op, OPS } from "../ir/ops.ts";
import { PAGE_SIZE } from "../layout.ts";
import { DISPATCHER, type Graph } from "./graph.ts";
import { accessBytes, CODE_BASE, isApart, registerOf } from "./groups.ts";
import type { IrBlock, TableIndex } from "./ir-block.ts";
import { isCall } from "./terminators.ts";

/** What a check can look at. */
const TABLE_BYTES_MAX = PAGE_SIZE;
/** Wider operands have checks that look at their alignment as well. */
const ACCESS_BYTES_MAX = 8;
const REGISTERS = 16;
const ANY_32 = 2 ** 32 - 1;
const ANY_64 = 2 ** 64;
/** Ways round a loop after which a value that still grows may be any. */
const ROUNDS_MAX = 3;

/** The blocks with their accesses to tables off the register alone, indexes in `c`; themselves where there are none. `apart`: as isApart() has it. */
export function takeTables(
  graph: Graph,
  irs: readonly IrBlock[],
  apart: ReadonlySet<number>,
): readonly IrBlock[] {
  let bounds: Bounds | undefined;
  const findBounds = (n: number): Float64Array => (bounds ??= new Bounds(graph, irs)).inBlock(n);
  const taken = irs.map((ir, n) =>
    isApart(ir, apart)
      ? ir
      : withTables(ir, () => findBounds(n), (register) => isKept(graph, irs, n + 1, register))
  );
  return taken.some((ir, n) => ir !== irs[n]) ? taken : irs;
}

function withTables(
  ir: IrBlock,
  findBounds: () => Float64Array,
  isKeptRegister: (register: number) => boolean,
): IrBlock {
  let bounds: Float64Array | undefined;
  const indexes = new Map<number, TableIndex>();
  let [a, c] = [ir.a, ir.c];
  for (let i = 0; i < ir.length && ir.op[i] !== Op.ext; i++) {
    const bytes = accessBytes(ir, i);
    if (bytes === 0 || bytes > ACCESS_BYTES_MAX) continue;
    for (const { base, index, shift } of sumsOf(ir, ir.a[i]!)) {
      const register = registerOf(ir, base);
      if (register < 0) continue;
      bounds ??= findBounds();
      const max = bounds[index]! * 2 ** shift;
      if (max + bytes > TABLE_BYTES_MAX || !isKeptRegister(register)) continue;
      if (indexes.size === 0) [a, c] = [a.slice(), c.slice()];
      a[i] = base;
      c[i] = index;
      indexes.set(i, { shift, max });
      break;
    }
  }
  return indexes.size === 0 ? ir : { ...ir, a, c, indexes };
}

interface Sum {
  readonly base: number;
  readonly index: number;
  readonly shift: number;
}

/** What a temp may be the sum of. */
function sumsOf(ir: IrBlock, temp: number): readonly Sum[] {
  const [a, b] = [ir.a[temp]!, ir.b[temp]!];
  switch (ir.op[temp]) {
    case Op.scaled_add:
      return [{ base: a, index: b, shift: ir.imm[temp]! }];
    case Op.i64_add:
      return [{ base: a, index: b, shift: 0 }, { base: b, index: a, shift: 0 }];
    default:
      return [];
  }
}

/** Whether a node lies on a loop that neither sets the register nor forgets what was checked. */
function isKept(graph: Graph, irs: readonly IrBlock[], node: number, register: number): boolean {
  const seen = new Set<number>();
  const waiting = [node];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const ir = irs[at - 1];
    if (at === DISPATCHER || (ir !== undefined && changes(ir, register))) continue;
    for (const to of graph.successors[at]!) {
      if (to === node) return true;
      if (seen.has(to)) continue;
      seen.add(to);
      waiting.push(to);
    }
  }
  return false;
}

function changes(ir: IrBlock, register: number): boolean {
  if (isCall(ir)) return true;
  for (let i = 0; i < ir.length; i++) {
    const op = ir.op[i]!;
    if (op === Op.ext || (op === Op.set_gpr && ir.imm[i] === register && register !== CODE_BASE)) return true;
  }
  return false;
}

/** The greatest values that registers and temps may have, as unsigned numbers. */
class Bounds {
  readonly #graph: Graph;
  readonly #irs: readonly IrBlock[];
  /** By node: of the registers at its start; undefined while no way there has been seen. */
  readonly #before: (Float64Array | undefined)[];

  constructor(graph: Graph, irs: readonly IrBlock[]) {
    this.#graph = graph;
    this.#irs = irs;
    this.#before = graph.successors.map(() => undefined);
    this.#settle();
  }

  /** By temp of the block with this number (node - 1). */
  inBlock(n: number): Float64Array {
    return follow(this.#irs[n]!, this.#before[n + 1]?.slice() ?? anything());
  }

  #settle(): void {
    const { order, successors } = this.#graph;
    const nodes = [...successors.keys()].toSorted((a, b) => order[a]! - order[b]!);
    const grew = new Uint8Array(nodes.length);
    const isStale = new Uint8Array(nodes.length).fill(1);
    this.#before[DISPATCHER] = anything();
    for (let changed = true; changed;) {
      changed = false;
      for (const node of nodes) {
        const before = this.#before[node];
        if (isStale[node] === 0 || before === undefined) continue;
        isStale[node] = 0;
        const after = this.#after(node, before);
        for (const to of successors[node]!) {
          if (!this.#join(to, after, grew[to]! >= ROUNDS_MAX)) continue;
          grew[to]!++;
          isStale[to] = 1;
          changed = true;
        }
      }
    }
  }

  #after(node: number, before: Float64Array): Float64Array {
    const ir = this.#irs[node - 1];
    if (ir === undefined) return before;
    const registers = before.slice();
    follow(ir, registers);
    return isCall(ir) ? anything() : registers;
  }

  /** Whether that made any bound of the node greater; at once the greatest, where it `leaps`. */
  #join(node: number, registers: Float64Array, leaps: boolean): boolean {
    const before = this.#before[node];
    if (before === undefined) {
      this.#before[node] = registers.slice();
      return true;
    }
    let grows = false;
    for (let n = 0; n < REGISTERS; n++) {
      if (registers[n]! <= before[n]!) continue;
      before[n] = leaps ? ANY_64 : registers[n]!;
      grows = true;
    }
    return grows;
  }
}

function anything(): Float64Array {
  return new Float64Array(REGISTERS).fill(ANY_64);
}

/** By temp; `registers` are those of the block's start, and become those of its end. */
function follow(ir: IrBlock, registers: Float64Array): Float64Array {
  const bounds = new Float64Array(ir.length);
  for (let i = 0; i < ir.length; i++) {
    const op = ir.op[i]!;
    if (op === Op.get_gpr) bounds[i] = registers[ir.imm[i]!]!;
    else if (op === Op.set_gpr) registers[ir.imm[i]!] = bounds[ir.a[i]!]!;
    else if (op === Op.ext) registers.fill(ANY_64);
    else bounds[i] = Math.min(boundOf(ir, i, bounds), OPS[op]!.result === "i" ? ANY_32 : ANY_64);
  }
  return bounds;
}

function boundOf(ir: IrBlock, i: number, bounds: Float64Array): number {
  const [x, y] = [ir.a[i]!, ir.b[i]!];
  switch (ir.op[i]) {
    case Op.const32:
      return ir.imm[i]! >>> 0;
    case Op.const64:
      return (ir.imm2[i]! >>> 0) * 2 ** 32 + (ir.imm[i]! >>> 0);
    case Op.load8_u:
    case Op.load8_u_64:
      return 2 ** 8 - 1;
    case Op.load16_u:
    case Op.load16_u_64:
      return 2 ** 16 - 1;
    case Op.load32_u_64:
      return ANY_32;
    case Op.i64_extend_i32_u:
      return bounds[x]!;
    case Op.i32_wrap_i64:
      return fits(ir, i, bounds[x]!);
    case Op.i32_and:
    case Op.i64_and:
      return Math.min(bounds[x]!, bounds[y]!);
    case Op.i32_or:
    case Op.i64_or:
    case Op.i32_xor:
    case Op.i64_xor:
      return allOnes(Math.max(bounds[x]!, bounds[y]!));
    case Op.i32_add:
    case Op.i64_add:
      return fits(ir, i, bounds[x]! + bounds[y]!);
    case Op.scaled_add:
      return fits(ir, i, bounds[x]! + bounds[y]! * 2 ** ir.imm[i]!);
    case Op.insert8:
      return allOnes(Math.max(bounds[x]!, 255));
    case Op.i32_shl:
    case Op.i64_shl:
      return fits(ir, i, bounds[x]! * 2 ** (shiftBy(ir, i) ?? Infinity));
    case Op.i32_shr_u:
    case Op.i64_shr_u:
      return Math.floor(bounds[x]! / 2 ** (shiftBy(ir, i) ?? 0));
    case Op.select_i32:
    case Op.select_i64:
      return Math.max(bounds[x]!, bounds[y]!);
    default:
      return ANY_64;
  }
}

/** A result that may be too large for its type may be anything. */
function fits(ir: IrBlock, i: number, bound: number): number {
  return bound > (OPS[ir.op[i]!]!.result === "i" ? ANY_32 : Number.MAX_SAFE_INTEGER) ? ANY_64 : bound;
}

/** The greatest number with as many bits. */
function allOnes(bound: number): number {
  return bound > ANY_32 ? ANY_64 : 2 ** (32 - Math.clz32(bound)) - 1;
}

/** By how much a record shifts, when that is known. */
function shiftBy(ir: IrBlock, i: number): number | undefined {
  const count = ir.b[i]!;
  if (ir.op[count] !== Op.const32 && ir.op[count] !== Op.const64) return undefined;
  return ir.imm[count]! & (OPS[ir.op[i]!]!.result === "i" ? 31 : 63);
}
