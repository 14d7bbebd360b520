// SPDX-License-Identifier: Apache-2.0
// Random start states: registers, flags, x87 stack and control, xmm, MXCSR.

import type { Random } from "./random.ts";
import {
  DATA_BASE,
  FX,
  FX_CONTROL,
  FX_FDP,
  FX_FIP,
  FX_MXCSR,
  FX_ST,
  FX_TAG,
  FX_XMM,
  GPR,
  INSTANCE_WORDS,
  PAGE,
  RFLAGS,
  RIP,
  WINDOW_ADDRESS,
  WINDOW_BYTES,
} from "./records.ts";

const ARITHMETIC_FLAGS = 0x8d5;
const DIRECTION = 0x400;
const ALWAYS = 0x202; // bit 1 and IF
export const RSP = 4;

/** An instance under construction. */
export class StartState {
  readonly words: Uint32Array = new Uint32Array(INSTANCE_WORDS);
  window: Uint8Array = new Uint8Array(0);

  setGpr(n: number, low: number, high: number = 0): void {
    this.words[GPR + 2 * n] = low;
    this.words[GPR + 2 * n + 1] = high;
  }

  /** A safe integer, negative allowed. */
  setGprNumber(n: number, value: number): void {
    this.setGpr(n, value % 0x1_0000_0000, Math.floor(value / 0x1_0000_0000));
  }

  gprLow(n: number): number {
    return this.words[GPR + 2 * n]!;
  }
  gprHigh(n: number): number {
    return this.words[GPR + 2 * n + 1]!;
  }

  setEntry(pc: number): void {
    this.words[RIP] = pc;
    this.words[RIP + 1] = 0;
  }

  setWindow(address: number, bytes: Uint8Array): void {
    this.words[WINDOW_ADDRESS] = address % 0x1_0000_0000;
    this.words[WINDOW_ADDRESS + 1] = Math.floor(address / 0x1_0000_0000);
    this.words[WINDOW_BYTES] = bytes.length;
    this.window = bytes;
  }

  get flags(): number {
    return this.words[RFLAGS]!;
  }
  set flags(value: number) {
    this.words[RFLAGS] = value;
  }

  get mxcsr(): number {
    return this.words[FX + FX_MXCSR]!;
  }
  set mxcsr(value: number) {
    this.words[FX + FX_MXCSR] = value;
  }

  /** `bytes`: 16 of them. */
  setVector(n: number, bytes: Uint8Array): void {
    new Uint8Array(this.words.buffer, this.words.byteOffset).set(bytes, (FX + FX_XMM + 4 * n) * 4);
  }

  setX87(control: number, status: number, tags: number): void {
    this.words[FX + FX_CONTROL] = control | status << 16;
    this.words[FX + FX_TAG] = tags;
    this.words.fill(0, FX + FX_FIP, FX + FX_FDP + 2);
  }
  setPointers(fop: number, fip: number, fdp: number): void {
    this.words[FX + FX_TAG] = this.words[FX + FX_TAG]! & 0xffff | fop << 16;
    this.words[FX + FX_FIP] = fip;
    this.words[FX + FX_FDP] = fdp;
  }
}

/** General registers and flags; rsp points into the data area. */
export function randomIntegers(state: StartState, random: Random): void {
  for (let n = 0; n < 16; n++) random.word64(state.words, GPR + 2 * n);
  const page = random.pick([1, 2, 6]);
  state.setGprNumber(
    RSP,
    DATA_BASE + page * PAGE + (random.oneIn(4) ? random.below(PAGE) : 256 + 8 * random.below(400)),
  );
  const direction = random.oneIn(6) ? DIRECTION : 0;
  state.flags = ALWAYS | (random.u32() & ARITHMETIC_FLAGS) | direction;
}

/** MXCSR: the default, or anything whose exceptions are masked, or (`unmasked`) one that may trap. */
export function randomMxcsr(random: Random): number {
  const kind = random.below(8);
  if (kind < 2) return 0x1f80;
  if (kind === 2) { // tracked, with some of the flags that may be set
    const modes = random.oneIn(2) ? random.below(2) << 15 | random.below(2) << 6 : 0;
    const masks = random.oneIn(2) ? random.u32() & 0xf80 : 0xf80;
    return 0x1020 | random.below(32) | masks | modes;
  }
  const base = 0x1f80 | random.below(4) << 13 | random.below(64);
  if (kind < 5) return base;
  const modes = (random.oneIn(2) ? 0x8000 : 0) | (random.oneIn(2) ? 0x40 : 0);
  if (kind < 7) return base | modes;
  const masks = random.u32() & 0x1f80;
  // Flags of unmasked exceptions may be set from the start without a trap.
  return 0x1f80 & masks | base & 0x603f | modes;
}

export function randomVectors(state: StartState, random: Random): void {
  for (let n = 0; n < 16; n++) random.vector(state.words, FX + FX_XMM + 4 * n);
  state.mxcsr = 0x1f80;
}

/** x87 registers in a quiet state: no exception pending. */
export function randomX87(state: StartState, random: Random): void {
  for (let n = 0; n < 8; n++) {
    random.extended(state.words, FX + FX_ST + 4 * n);
    state.words[FX + FX_ST + 4 * n + 3] = 0;
  }
  const control = random.oneIn(2) ? 0x37f : 0x7f | random.below(4) << 8 | random.below(4) << 10;
  const status = (random.u32() & 0x4700) | random.below(8) << 11
    | (random.oneIn(3) ? random.u32() & 0x7f : 0);
  state.setX87(control, status, randomTags(random));
}

function randomTags(random: Random): number {
  const kind = random.below(4);
  if (kind === 0) return random.u32() & 0xff;
  if (kind === 1) return 0xff;
  return (random.u32() | random.u32() | random.u32()) & 0xff;
}

/** Also unmasked exceptions, pending ones among them. */
export function riskyX87(state: StartState, random: Random): void {
  const masks = random.oneIn(2) ? 0 : random.u32() & 0x3f;
  const control = 0x40 | masks | random.pick([0, 2, 3, 3]) << 8 | random.below(4) << 10;
  const pending = random.oneIn(4) ? random.u32() & 0x7f : random.u32() & masks;
  const summary = (pending & ~masks & 0x3f) !== 0 ? 0x8080 : 0;
  const status = (random.u32() & 0x4700) | random.below(8) << 11 | pending | summary;
  state.setX87(control, status, randomTags(random));
  // Pointers are kept by the processor only while an exception is pending.
  if (summary !== 0) state.setPointers(random.below(0x800), 0x1234_5678, 0x2345_6789);
}
