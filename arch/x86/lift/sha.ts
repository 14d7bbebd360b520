// SPDX-License-Identifier: Apache-2.0
// The SHA extensions: rounds and message schedules of SHA-1 and SHA-256.
//
// Schedules are vectors. Rounds go one after the other, each waiting for the one before, so they are taken apart
// into scalars: the builder follows a lane back to the scalar that was put there, and a chain of rounds that hand
// their registers on through xmm registers never waits for one to be put together.
// Source: Intel SDM volume 2, SHA1* and SHA256*; FIPS 180-4, sections 4 and 6 (names of variables too).

import type { Temp } from "../../../virt/ir/builder.ts";
import { Op } from "../../../virt/ir/ops.ts";
import type { Lift, LifterTable } from "./context.ts";
import { lanesOf, readBoth, writeVector, zero128 } from "./vector.ts";

/** State words from the high lane down: the order in which both algorithms name them. */
type Words = readonly [Temp, Temp, Temp, Temp];

function lane(l: Lift, vector: Temp, n: number): Temp {
  return l.b.extractLane(Op.i32x4_extract_lane, vector, n);
}

function wordsOf(l: Lift, vector: Temp): Words {
  return [lane(l, vector, 3), lane(l, vector, 2), lane(l, vector, 1), lane(l, vector, 0)];
}

function vectorOf(l: Lift, [a, b, c, d]: Words): Temp {
  const put = (vector: Temp, n: number, value: Temp): Temp =>
    l.b.replaceLane(Op.i32x4_replace_lane, vector, n, value);
  return put(put(put(l.b.emit(Op.i32x4_splat, d), 1, c), 2, b), 3, a);
}

function sum(l: Lift, first: Temp, ...others: readonly Temp[]): Temp {
  return others.reduce((a, b) => l.b.emit(Op.i32_add, a, b), first);
}

function parity(l: Lift, x: Temp, y: Temp, z: Temp): Temp {
  return l.b.emit(Op.i32_xor, l.b.emit(Op.i32_xor, x, y), z);
}

/** Ch(x, y, z): bits of y where x is set, of z where it is not. */
function choose(l: Lift, x: Temp, y: Temp, z: Temp): Temp {
  const { b } = l;
  return b.emit(Op.i32_xor, z, b.emit(Op.i32_and, x, b.emit(Op.i32_xor, y, z)));
}

/** Maj(x, y, z); x ^ y of one round is y ^ z of the next, and not computed again. */
function majority(l: Lift, x: Temp, y: Temp, z: Temp): Temp {
  const { b } = l;
  const differing = b.emit(Op.i32_and, b.emit(Op.i32_xor, x, y), b.emit(Op.i32_xor, y, z));
  return b.emit(Op.i32_xor, y, differing);
}

function rotateLeft(l: Lift, x: Temp, count: number): Temp {
  return l.b.emit(Op.i32_rotl, x, l.b.const32(count));
}

/** The sum functions of SHA-256: x rotated right by three counts. */
function bigSigma(l: Lift, x: Temp, counts: readonly [number, number, number]): Temp {
  const [a, b, c] = counts.map((count) => l.b.emit(Op.i32_rotr, x, l.b.const32(count)));
  return parity(l, a!, b!, c!);
}

/** The schedule functions of SHA-256 on four words: rotated right by two counts, and shifted. */
function smallSigma(l: Lift, x: Temp, [first, second]: readonly [number, number], shift: number): Temp {
  const { b } = l;
  const xor = (y: Temp, z: Temp): Temp => b.emit(Op.v128_xor, y, z);
  const right = (count: number): Temp => b.emit(Op.i32x4_shr_u, x, b.const32(count));
  const left = (count: number): Temp => b.emit(Op.i32x4_shl, x, b.const32(count));
  const rotate = (count: number): Temp => xor(right(count), left(32 - count));
  return xor(xor(rotate(first), rotate(second)), right(shift));
}

// --- SHA-256 ---

const SIGMA_A = [2, 13, 22] as const;
const SIGMA_E = [6, 11, 25] as const;

/** SHA256RNDS2: two rounds; C, D, G, H in the target, A, B, E, F in the source, W + K of both in xmm0. */
function rounds256(l: Lift): void {
  const [target, source] = readBoth(l);
  const added = l.b.getXmm(0);
  let [c, d, g, h] = wordsOf(l, target);
  let [a, b, e, f] = wordsOf(l, source);
  for (const n of [0, 1]) {
    const one = sum(l, h, lane(l, added, n), choose(l, e, f, g), bigSigma(l, e, SIGMA_E));
    const two = sum(l, bigSigma(l, a, SIGMA_A), majority(l, a, b, c));
    [h, g, f, e] = [g, f, e, sum(l, d, one)];
    [d, c, b, a] = [c, b, a, sum(l, one, two)];
  }
  writeVector(l, 0, vectorOf(l, [a, b, e, f]));
}

/** SHA256MSG1: the words of the target and sigma 0 of the word after each. */
function message256First(l: Lift): void {
  const [target, source] = readBoth(l);
  const next = l.b.shuffle(target, source, lanesOf(4, [1, 2, 3, 4]));
  writeVector(l, 0, l.b.emit(Op.i32x4_add, target, smallSigma(l, next, [7, 18], 3)));
}

/** SHA256MSG2: the words of the target and sigma 1 of the word two before each, of which two come from the source. */
function message256Second(l: Lift): void {
  const { b } = l;
  const [target, source] = readBoth(l);
  const zero = zero128(l);
  const add = (x: Temp, before: Temp): Temp => b.emit(Op.i32x4_add, x, smallSigma(l, before, [17, 19], 10));
  const low = add(target, b.shuffle(source, zero, lanesOf(4, [2, 3, 4, 4])));
  writeVector(l, 0, add(low, b.shuffle(low, zero, lanesOf(4, [4, 4, 0, 1]))));
}

// --- SHA-1 ---

/** The function and the constant of each of the four groups of twenty rounds. */
const GROUPS = [
  [choose, 0x5a82_7999],
  [parity, 0x6ed9_eba1],
  [majority, 0x8f1b_bcdc],
  [parity, 0xca62_c1d6],
] as const;

/** SHA1RNDS4: four rounds; A to D in the target, the words in the source, the first with E added to it. */
function rounds1(l: Lift): void {
  const [target, source] = readBoth(l);
  const [mix, constant] = GROUPS[l.insn.imm & 3]!;
  const key = l.b.const32(constant | 0);
  let [a, b, c, d] = wordsOf(l, target);
  let e: Temp | undefined;
  for (const word of wordsOf(l, source)) {
    const known = e === undefined ? sum(l, word, key) : sum(l, word, key, e);
    const first = sum(l, known, mix(l, b, c, d), rotateLeft(l, a, 5));
    [e, d, c, b, a] = [d, c, rotateLeft(l, b, 30), a, first];
  }
  writeVector(l, 0, vectorOf(l, [a, b, c, d]));
}

/** SHA1NEXTE: E of four rounds on, which is A rotated, added to the first word. */
function nextE(l: Lift): void {
  const [target, source] = readBoth(l);
  const e = rotateLeft(l, lane(l, target, 3), 30);
  writeVector(l, 0, l.b.replaceLane(Op.i32x4_replace_lane, source, 3, sum(l, lane(l, source, 3), e)));
}

/** SHA1MSG1: each word of the target and the word two after it, of which two come from the source. */
function message1First(l: Lift): void {
  const [target, source] = readBoth(l);
  const later = l.b.shuffle(target, source, lanesOf(4, [6, 7, 0, 1]));
  writeVector(l, 0, l.b.emit(Op.v128_xor, target, later));
}

/** SHA1MSG2: four words, of which the last waits for the first, and is rotated for itself meanwhile. */
function message1Second(l: Lift): void {
  const { b } = l;
  const [target, source] = readBoth(l);
  const zero = zero128(l);
  const xor = (x: Temp, y: Temp): Temp => b.emit(Op.v128_xor, x, y);
  const rotate = (x: Temp): Temp =>
    xor(b.emit(Op.i32x4_shl, x, b.const32(1)), b.emit(Op.i32x4_shr_u, x, b.const32(31)));
  const words = rotate(xor(target, b.shuffle(source, zero, lanesOf(4, [4, 0, 1, 2]))));
  const first = b.shuffle(words, zero, lanesOf(4, [3, 4, 4, 4]));
  writeVector(l, 0, xor(words, rotate(first)));
}

export const SHA: LifterTable = {
  SHA1NEXTE: nextE,
  SHA1MSG1: message1First,
  SHA1MSG2: message1Second,
  SHA1RNDS4: rounds1,
  SHA256RNDS2: rounds256,
  SHA256MSG1: message256First,
  SHA256MSG2: message256Second,
};
