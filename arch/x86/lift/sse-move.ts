// SPDX-License-Identifier: Apache-2.0
// SSE and MMX moves, and moves between vector and general registers.
// Source: AMD64 Architecture Programmer's Manual, volumes 4 and 5.

import { Op } from "../../../virt/ir/ops.ts";
import { EXT } from "../ext.ts";
import { type Lift, type LifterTable, RDI } from "./context.ts";
import { enterMmx, lanesOf, low64, readVector, writeVector, zero128 } from "./vector.ts";

function move(l: Lift): void {
  writeVector(l, 0, readVector(l, 1));
}

/** MOVSS and MOVSD: between registers the rest of the target stays; from memory it becomes 0. */
function moveScalar(l: Lift): void {
  const { b } = l;
  const size = l.size(0) === 16 ? l.size(1) : l.size(0);
  if (!l.insn.isReg) return move(l);
  const source = readVector(l, 1);
  const target = readVector(l, 0);
  const lanes = size === 4 ? lanesOf(4, [4, 1, 2, 3]) : lanesOf(8, [2, 1]);
  writeVector(l, 0, b.shuffle(target, source, lanes));
}

/** MOVLPS, MOVHPS and their PD forms. */
function moveHalf(l: Lift, half: 0 | 1): void {
  const { b } = l;
  if (l.isMemory(0)) {
    l.store(8, b.extractLane(Op.i64x2_extract_lane, readVector(l, 1), half));
    return;
  }
  const value = l.load(8);
  writeVector(l, 0, b.replaceLane(Op.i64x2_replace_lane, readVector(l, 0), half, value));
}

function shuffleBoth(l: Lift, lanes: readonly number[]): void {
  const source = readVector(l, 1);
  writeVector(l, 0, l.b.shuffle(readVector(l, 0), source, lanes));
}

function shuffleSource(l: Lift, lanes: readonly number[]): void {
  const source = readVector(l, 1);
  writeVector(l, 0, l.b.shuffle(source, source, lanes));
}

/** MOVD and MOVQ between a vector register and a general register or memory. */
function moveGeneral(l: Lift): void {
  const { b } = l;
  const first = l.operand(0).text;
  if (first === "Ey") {
    const value = readVector(l, 1);
    const size = l.size(0);
    l.write(0, b.extractLane(size === 8 ? Op.i64x2_extract_lane : Op.i32x4_extract_lane, value, 0));
    return;
  }
  const size = l.size(1);
  writeVector(l, 0, low64(l, l.wide(l.read(1), size, "unsigned")));
}

/** MOVQ: 64 bits, the rest of a register target becomes 0. */
function moveQuad(l: Lift): void {
  const { b } = l;
  const source = readVector(l, 1);
  if (l.isMemory(0) || l.isMemory(1) || l.isMmx(0)) return writeVector(l, 0, source);
  writeVector(l, 0, b.shuffle(source, zero128(l), lanesOf(8, [0, 2])));
}

function moveMask(l: Lift, op: number): void {
  const { b } = l;
  const mask = b.emit(op, readVector(l, 1));
  l.write(0, l.isMmx(1) ? b.emit(Op.i32_and, mask, b.const32(0xff)) : mask);
}

/** MASKMOVDQU and MASKMOVQ: stores the bytes whose mask bit is set at rDI. */
function maskMove(l: Lift): void {
  const { b } = l;
  let address = b.getGpr(RDI);
  if (l.insn.addr32) address = b.emit(Op.i64_extend_i32_u, l.narrow(address));
  const value = readVector(l, 0);
  const mask = readVector(l, 1);
  // The whole operand must be writable, whatever the mask; the processor looks at one half after the other.
  const place = l.withSegment(address);
  if (l.isMmx(0)) enterMmx(l);
  b.probeWrite(8, place);
  if (!l.isMmx(0)) b.probeWrite(8, place, 8);
  b.ext(EXT.maskMove, [place, value, mask, b.const32(l.isMmx(0) ? 8 : 16)]);
}

function moveMmxToXmm(l: Lift): void {
  writeVector(l, 0, readVector(l, 1));
}

export const SSE_MOVES: LifterTable = {
  MOVA: move,
  MOVU: move,
  MOVSS: moveScalar,
  MOVSD: moveScalar,
  MOVLP: (l) => moveHalf(l, 0),
  MOVHP: (l) => moveHalf(l, 1),
  MOVHLPS: (l) => shuffleBoth(l, lanesOf(8, [3, 1])),
  MOVLHPS: (l) => shuffleBoth(l, lanesOf(8, [0, 2])),
  MOVSLDUP: (l) => shuffleSource(l, lanesOf(4, [0, 0, 2, 2])),
  MOVSHDUP: (l) => shuffleSource(l, lanesOf(4, [1, 1, 3, 3])),
  MOVDDUP: (l) => shuffleSource(l, lanesOf(8, [0, 0])),
  MOVD: moveGeneral,
  MOVQ: moveQuad,
  MOVQ2DQ: moveMmxToXmm,
  MOVDQ2Q: move,
  MOVMSKPS: (l) => moveMask(l, Op.i32x4_bitmask),
  MOVMSKPD: (l) => moveMask(l, Op.i64x2_bitmask),
  PMOVMSKB: (l) => moveMask(l, Op.i8x16_bitmask),
  MASKMOVDQU: maskMove,
  MASKMOVQ: maskMove,
  EMMS: () => {},
};
