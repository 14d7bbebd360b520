// SPDX-License-Identifier: Apache-2.0
// Static data: what code reads and writes at a distance from itself. All such accesses of a block are made to be off one value,
// the start of the page of the region's anchor, which groups.ts takes for a register that never changes: those to one page of
// data then share checks, from block to block as well.
//
// Invariant: pages of code keep their distance from those of its data, so that which accesses lie in one page is known when the
// region is made.

import { Op } from "../ir/ops.ts";
import { PAGE_SIZE } from "../layout.ts";
import { accessBytes } from "./groups.ts";
import type { IrBlock } from "./ir-block.ts";
import { pcOffset } from "./terminators.ts";

/** Displacements have 32 bits, and are added to each other. */
const REACH = 0x4000_0000;
const TWO_32 = 0x1_0000_0000;

/** The block with its accesses off the start of the page of `anchorPc`; itself when it has none. */
export function takeCodeBase(ir: IrBlock, anchorPc: number): IrBlock {
  const start = Math.floor(anchorPc / PAGE_SIZE) * PAGE_SIZE - ir.basePc;
  const places = findPlaces(ir, start);
  const codeBase = places.keys().next().value;
  if (codeBase === undefined) return ir;
  const [a, imm, imm2] = [ir.a.slice(), ir.imm.slice(), ir.imm2.slice()];
  for (let i = 0; i < ir.length; i++) {
    const place = accessBytes(ir, i) === 0 ? undefined : places.get(ir.a[i]!);
    if (place === undefined) continue;
    a[i] = codeBase;
    imm[i] = place + ir.imm[i]!;
  }
  imm[codeBase] = start | 0;
  imm2[codeBase] = Math.floor(start / TWO_32) | 0;
  return { ...ir, a, imm, imm2, codeBase };
}

/** Temps that are places in relation to the code and nothing but bases of accesses: how far they are from `start`. The first comes first. */
function findPlaces(ir: IrBlock, start: number): Map<number, number> {
  const places = new Map<number, number>();
  const bases = new Set<number>();
  for (let i = 0; i < ir.length; i++) {
    if (ir.op[i] === Op.pc_const) places.set(i, pcOffset(ir, i) - start);
    for (const temp of [ir.b[i]!, ir.c[i]!]) places.delete(temp);
    const base = ir.a[i]!;
    const place = places.get(base);
    if (place === undefined) continue;
    if (accessBytes(ir, i) === 0 || Math.abs(place + ir.imm[i]!) >= REACH) places.delete(base);
    else bases.add(base);
  }
  places.delete(ir.termTemp);
  // What is a base nowhere would only lengthen the life of the value.
  for (const temp of places.keys()) if (!bases.has(temp)) places.delete(temp);
  return places;
}
