// SPDX-License-Identifier: Apache-2.0
// Where memory operands of generated instructions lie, and how they are addressed.

import type { Random } from "./random.ts";
import { CODE_BASE, DATA_BASE, PAGE } from "./records.ts";
import { RSP, type StartState } from "./state.ts";

/** Boundaries between data pages (see DATA_PAGES) that an access may cross. */
const RW_RW = DATA_BASE + 2 * PAGE;
const RW_RO = DATA_BASE + 3 * PAGE;
const RO_UNMAPPED = DATA_BASE + 4 * PAGE;
const UNMAPPED_RO = DATA_BASE + 5 * PAGE;
const RO_RW = DATA_BASE + 6 * PAGE;
const RW_UNMAPPED = DATA_BASE + 7 * PAGE;
const UNMAPPED_RW = DATA_BASE + PAGE;

/** Address for an operand of `bytes`: mostly writable memory, aligned or not, else every kind of edge. */
export function randomAddress(random: Random, bytes: number): number {
  const kind = random.below(64);
  if (kind < 52) return withinWritable(random, bytes);
  const crossing = (boundary: number): number => boundary - 1 - random.below(Math.max(1, bytes - 1));
  switch (kind) {
    case 52:
    case 53:
    case 54:
      return crossing(RW_RW);
    case 55:
      return crossing(RW_RO);
    case 56:
      return crossing(RW_UNMAPPED);
    case 57:
      return crossing(UNMAPPED_RO);
    case 58:
      return crossing(RO_UNMAPPED);
    case 59:
      return crossing(RO_RW);
    case 60:
      return DATA_BASE + 3 * PAGE + random.below(PAGE - bytes);
    case 61:
      return crossing(UNMAPPED_RW);
    case 62:
      return DATA_BASE + 4 * PAGE + random.below(PAGE - bytes);
    default:
      return random.pick([
        8,
        CODE_BASE + 64,
        0x8000_0000_0000,
        0x7fff_ffff_fff8,
        DATA_BASE - 3,
        0x7fff_ffff_f000,
      ]);
  }
}

function withinWritable(random: Random, bytes: number): number {
  const pages = random.pick([1, 1, 2, 6]);
  const room = (pages === 1 ? 2 * PAGE : PAGE) - bytes;
  const address = DATA_BASE + pages * PAGE + random.below(room);
  if (random.oneIn(2)) return address & ~15;
  return random.oneIn(2) ? address & ~7 : address;
}

/** The same, mostly aligned to `alignment`. */
export function randomAligned(random: Random, bytes: number, alignment: number): number {
  const address = randomAddress(random, bytes);
  return random.oneIn(10) || address >= 0x8000_0000 ? address : address & ~(alignment - 1);
}

export interface Addressing {
  /** mod and rm fields; reg is left 0. */
  readonly modrm: number;
  readonly sib: number; // -1 when absent
  readonly dispBytes: number;
  /** The displacement; for RIP-relative ones the target address, to be made relative by the caller. */
  readonly disp: number;
  readonly ripRelative: boolean;
  readonly rexX: number;
  readonly rexB: number;
}

const absolute = (address: number, long: boolean): Addressing => ({
  modrm: long ? 0x04 : 0x05,
  sib: long ? 0x25 : -1,
  dispBytes: 4,
  disp: address,
  ripRelative: !long,
  rexX: 0,
  rexB: 0,
});

/** Sets registers so that an operand at `offset` (before the segment base) is addressed. */
export function randomAddressing(
  random: Random,
  state: StartState,
  offset: number,
  avoid: ReadonlySet<number>,
  addressBits: number,
): Addressing {
  const kind = random.below(12);
  const near = offset >= 0 && offset < 0x7fff_0000;
  if (kind === 0 && near && addressBits === 64) return absolute(offset, false);
  if (kind === 1 && near) return absolute(offset, true);
  const dispBytes = random.pick([0, 1, 4]);
  const disp = dispBytes === 0 ? 0 : dispBytes === 1 ? random.below(256) - 128 : randomDisp32(random);
  const base = pickBase(random, avoid, dispBytes);
  if (kind < 7 && (base & 7) !== RSP) {
    setAddress(random, state, base, offset - disp, addressBits);
    return {
      modrm: modOf(dispBytes) | base & 7,
      sib: -1,
      dispBytes,
      disp,
      ripRelative: false,
      rexX: 0,
      rexB: base >> 3,
    };
  }
  return withIndex(random, state, offset, avoid, addressBits, base, dispBytes, disp);
}

function randomDisp32(random: Random): number {
  return random.oneIn(2) ? random.below(4096) - 2048 : random.u32() | 0;
}

function modOf(dispBytes: number): number {
  return dispBytes === 0 ? 0 : dispBytes === 1 ? 0x40 : 0x80;
}

/** rbp and r13 as base need a displacement. */
function pickBase(random: Random, avoid: ReadonlySet<number>, dispBytes: number): number {
  for (;;) {
    const base = random.below(16);
    if (avoid.has(base) || (dispBytes === 0 && (base & 7) === 5) || base === RSP && !random.oneIn(2)) {
      continue;
    }
    return base;
  }
}

function setAddress(
  random: Random,
  state: StartState,
  register: number,
  value: number,
  addressBits: number,
): void {
  state.setGprNumber(register, value);
  // With 32-bit addresses the upper half does not count.
  if (addressBits === 32) state.setGpr(register, state.gprLow(register), random.u32());
}

function withIndex(
  random: Random,
  state: StartState,
  offset: number,
  avoid: ReadonlySet<number>,
  addressBits: number,
  base: number,
  dispBytes: number,
  disp: number,
): Addressing {
  const scale = random.below(4);
  let index = random.below(16);
  if (index === base || avoid.has(index)) index = RSP; // no index
  let scaled = 0;
  if (index !== RSP) {
    const value = random.pick([0, 1, random.below(256), -random.below(256), random.u32() | 0]);
    state.setGprNumber(index, value);
    scaled = value * 2 ** scale;
  }
  setAddress(random, state, base, offset - disp - scaled, addressBits);
  return {
    modrm: modOf(dispBytes) | 4,
    sib: scale << 6 | (index & 7) << 3 | base & 7,
    dispBytes,
    disp,
    ripRelative: false,
    rexX: index >> 3,
    rexB: base >> 3,
  };
}
