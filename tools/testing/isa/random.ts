// SPDX-License-Identifier: Apache-2.0
// Seeded random values, rich in the edges where instructions differ: extremes of every width, carries,
// floats of every class, neighbours of rounding boundaries.

/** xorshift128: small, fast, the same everywhere. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number, stream: number = 0) {
    this.#a = seed | 0;
    this.#b = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
    this.#c = Math.imul(stream ^ 0x7f4a7c15, 0xc2b2ae35) ^ 0x2545f491;
    this.#d = stream ^ 0x6c078965;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    let t = this.#d;
    const s = this.#a;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = t ^ s ^ (s >>> 19);
    return this.#a >>> 0;
  }

  /** 0 .. limit - 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * limit);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Writes an edge-rich 64-bit value as two words. */
  word64(to: Uint32Array, at: number): void {
    const kind = this.below(8);
    if (kind < 2) {
      to[at] = this.u32();
      to[at + 1] = this.u32();
    } else if (kind === 2) {
      this.#powerOfTwo(to, at);
    } else if (kind === 3) {
      const value = this.word32();
      to[at] = value;
      to[at + 1] = this.pick([0, value >> 31, this.u32()]);
    } else if (kind === 4) {
      const byte = this.pick(BYTES);
      to[at] = byte << 24 >> 24;
      to[at + 1] = byte << 24 >> 31;
    } else if (kind === 5) {
      for (let i = 0; i < 2; i++) to[at + i] = this.lanes8();
    } else if (kind === 6) {
      for (let i = 0; i < 2; i++) to[at + i] = this.lanes16();
    } else {
      to[at] = this.word32();
      to[at + 1] = this.word32();
    }
  }

  /** An edge-rich 32-bit value. */
  word32(): number {
    const kind = this.below(4);
    if (kind === 0) return this.u32();
    if (kind === 1) return this.pick(WORDS);
    if (kind === 2) return (1 << this.below(32)) - this.below(3);
    return this.below(256) - 128;
  }

  lanes8(): number {
    let value = 0;
    for (let i = 0; i < 4; i++) value = value << 8 | (this.oneIn(2) ? this.below(256) : this.pick(BYTES));
    return value >>> 0;
  }

  lanes16(): number {
    const lane = (): number => this.oneIn(2) ? this.below(65536) : this.pick(SHORTS);
    return (lane() << 16 | lane()) >>> 0;
  }

  #powerOfTwo(to: Uint32Array, at: number): void {
    const value = (1n << BigInt(this.below(64))) + BigInt(this.below(3) - 1);
    const signed = this.oneIn(2) ? value : -value;
    to[at] = Number(signed & 0xffff_ffffn);
    to[at + 1] = Number(signed >> 32n & 0xffff_ffffn);
  }

  /** Bits of a float32 of some class. */
  float32(): number {
    const sign = this.u32() & 0x8000_0000;
    const fraction = this.#fraction(23);
    return (sign | this.#exponent(8) << 23 | fraction) >>> 0;
  }

  /** Bits of a float64 of some class, as two words. */
  float64(to: Uint32Array, at: number): void {
    const sign = this.u32() & 0x8000_0000;
    to[at] = this.pick([0, 0, this.u32(), this.u32(), 0xffff_ffff, 1, 0x8000_0000, 0xe000_0000, 0x1000_0000]);
    to[at + 1] = sign | this.#exponent(11) << 20 | this.#fraction(20);
  }

  #fraction(bits: number): number {
    const all = 2 ** bits - 1;
    return this.pick([
      0,
      0,
      1,
      all,
      2 ** (bits - 1),
      2 ** (bits - 1) - 1,
      this.u32() & all,
      this.u32() & all,
      this.u32() & all,
      (this.u32() & all) >>> this.below(bits),
      (all << this.below(bits)) & all,
    ]);
  }

  /** Biased exponents: mostly near one (so that sums meet), else integers' range, else the extremes. */
  #exponent(bits: number): number {
    const bias = 2 ** (bits - 1) - 1;
    const kind = this.below(16);
    if (kind < 7) return bias + this.below(12) - 6;
    if (kind < 10) return bias + this.below(70) - 3;
    if (kind === 10) return 0;
    if (kind === 11) return 2 * bias + 1;
    if (kind === 12) return 1 + this.below(3);
    if (kind === 13) return 2 * bias - this.below(3);
    return this.below(2 * bias + 1);
  }

  /** Fills one 128-bit vector with lanes of one kind. */
  vector(to: Uint32Array, at: number): void {
    const kind = this.below(6);
    if (kind === 0) {
      for (let i = 0; i < 4; i++) to[at + i] = this.lanes8();
    } else if (kind === 1) {
      for (let i = 0; i < 4; i++) to[at + i] = this.lanes16();
    } else if (kind === 2) {
      this.word64(to, at);
      this.word64(to, at + 2);
    } else if (kind === 3) {
      this.float64(to, at);
      this.float64(to, at + 2);
    } else {
      for (let i = 0; i < 4; i++) to[at + i] = this.float32();
    }
  }

  /** An 80-bit x87 value in three words (the third holds 16 bits): all classes, invalid encodings included. */
  extended(to: Uint32Array, at: number): void {
    const kind = this.below(16);
    to[at] = this.pick([
      0,
      0,
      1,
      0xffff_ffff,
      0x400,
      0x800,
      0xc00,
      0x7ff,
      this.u32(),
      this.u32(),
      this.u32(),
    ]);
    to[at + 1] = (this.#fraction(31) | 0x8000_0000) >>> 0;
    let exponent = this.#exponent(15);
    if (kind === 0) exponent = 16383 + this.below(66);
    else if (kind === 1) {
      exponent = 16383 + this.pick([127, 128, 1023, 1024, -126, -127, -149, -150, -1022, -1074]);
    } else if (kind === 2) to[at] = to[at + 1] = 0;
    if (exponent === 0 && !this.oneIn(4) || this.oneIn(40)) to[at + 1] = to[at + 1]! & 0x7fff_ffff;
    if (kind === 2) exponent = this.pick([0, 0, 0, exponent]);
    if (kind === 3) {
      const value = this.pick([1, 2, 3, 10, 0.5, 100, 0.1, 1e18, 1e17]);
      this.#fromDouble(to, at, value);
      exponent = to[at + 2]!;
    }
    to[at + 2] = exponent & 0x7fff | this.below(2) << 15;
  }

  #fromDouble(to: Uint32Array, at: number, value: number): void {
    const bits = new DataView(new ArrayBuffer(8));
    bits.setFloat64(0, value);
    const all = bits.getBigUint64(0);
    const significand = (all & 0xf_ffff_ffff_ffffn | 1n << 52n) << 11n;
    to[at] = Number(significand & 0xffff_ffffn);
    to[at + 1] = Number(significand >> 32n);
    to[at + 2] = Number(all >> 52n & 0x7ffn) + 16383 - 1023;
  }
}

const BYTES = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x55, 0xaa, 0x10, 0x99];
const SHORTS = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0x8001, 0xffff, 0xff00, 0xff80];
const WORDS = [
  0,
  1,
  0xffff_ffff,
  0x7fff_ffff,
  0x8000_0000,
  0x7fff,
  0x8000,
  0xffff,
  0x1_0000,
  0x7f,
  0x80,
  0xff,
  0xffff_8000,
  0xffff_ff80,
  2,
  31,
  32,
  33,
  63,
  64,
  65,
];
