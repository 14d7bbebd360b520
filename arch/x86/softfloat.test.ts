// SPDX-License-Identifier: Apache-2.0
// The software float core against the host's doubles, and the cases that doubles do not show.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  add,
  BINARY32,
  BINARY64,
  compare,
  convert,
  div,
  EXTENDED80,
  FLAG_DENORMAL,
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_PRECISION,
  FLAG_UNDERFLOW,
  FLAG_ZERO_DIVIDE,
  type Float,
  type FloatContext,
  integerSqrt,
  LESS,
  mul,
  newFloatContext,
  ROUND_DOWN,
  ROUND_UP,
  ROUND_ZERO,
  sqrt,
  sub,
  toInteger,
  UNORDERED,
} from "./softfloat.ts";
import {
  pack32,
  pack64,
  signExponent80,
  significand80,
  unpack32,
  unpack64,
  unpack80,
} from "./softfloat-pack.ts";

const view = new DataView(new ArrayBuffer(8));

function fromDouble(value: number): Float {
  view.setFloat64(0, value);
  return unpack64(view.getUint32(4), view.getUint32(0));
}
function toDouble(value: Float): number {
  view.setBigUint64(0, pack64(value));
  return view.getFloat64(0);
}

/** A fixed sequence of doubles of all sizes, denormals included. */
function samples(count: number): number[] {
  let state = 12345;
  const next = (): number => (state = Math.imul(state, 1103515245) + 12345 | 0) >>> 0;
  const out = [
    0,
    -0,
    1,
    -1,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    Infinity,
    -Infinity,
    0.1,
    3,
  ];
  while (out.length < count) {
    const wide = (next() & 3) === 0;
    view.setUint32(0, wide ? next() : (next() & 0x800f_ffff) | (1000 + (next() >>> 20) % 48) << 20);
    view.setUint32(4, next());
    const value = view.getFloat64(0);
    if (!Number.isNaN(value)) out.push(value);
  }
  return out;
}

test("arithmetic on 64-bit floats rounds as the host does", () => {
  const values = samples(120);
  const operations: [(a: Float, b: Float, c: FloatContext) => Float, (a: number, b: number) => number][] = [
    [add, (a, b) => a + b],
    [sub, (a, b) => a - b],
    [mul, (a, b) => a * b],
    [div, (a, b) => a / b],
  ];
  for (const [soft, hard] of operations) {
    for (const a of values) {
      for (const b of values) {
        const context = newFloatContext(BINARY64, "first");
        const got = toDouble(soft(fromDouble(a), fromDouble(b), context));
        assert.ok(Object.is(got, hard(a, b)), `${hard.toString()} ${a} ${b}: ${got}`);
      }
    }
  }
  for (const a of values) {
    assert.ok(
      Object.is(toDouble(sqrt(fromDouble(a), newFloatContext(BINARY64, "first"))), Math.sqrt(a)),
      `sqrt ${a}`,
    );
  }
});

test("narrowing to 32 bits rounds as the host does", () => {
  for (const a of samples(400)) {
    const got = pack32(convert(fromDouble(a), newFloatContext(BINARY32, "first")));
    view.setFloat32(0, a);
    assert.equal(got, view.getUint32(0), `${a}`);
  }
});

test("directed rounding lands on either side of an inexact result", () => {
  const third = (mode: number): number => {
    const context = newFloatContext(BINARY64, "first");
    context.mode = mode;
    return toDouble(div(fromDouble(1), fromDouble(3), context));
  };
  assert.equal(third(ROUND_DOWN), third(ROUND_ZERO));
  assert.ok(third(ROUND_UP) > third(ROUND_DOWN));
});

test("flags tell what happened", () => {
  const flags = (operation: (a: Float, b: Float, c: FloatContext) => Float, a: number, b: number): number => {
    const context = newFloatContext(BINARY64, "first");
    operation(fromDouble(a), fromDouble(b), context);
    return context.flags;
  };
  assert.equal(flags(add, 1, 2), 0);
  assert.equal(flags(div, 1, 0), FLAG_ZERO_DIVIDE);
  assert.equal(flags(div, 0, 0), FLAG_INVALID);
  assert.equal(flags(sub, Infinity, Infinity), FLAG_INVALID);
  assert.equal(flags(mul, 1e308, 10), FLAG_OVERFLOW | FLAG_PRECISION);
  assert.equal(flags(mul, 5e-324, 0.25), FLAG_DENORMAL | FLAG_UNDERFLOW | FLAG_PRECISION);
  assert.equal(flags(mul, 5e-324, 2), FLAG_DENORMAL, "an exact denormal is no underflow while masked");
});

test("the first NaN wins for SSE, the larger significand for x87", () => {
  const small = unpack64(1, 0x7ff8_0000);
  const large = unpack64(2, 0x7ff8_0000);
  assert.equal(add(small, large, newFloatContext(BINARY64, "first")).significand, small.significand);
  assert.equal(add(small, large, newFloatContext(BINARY64, "larger")).significand, large.significand);
  const signaling = unpack64(1, 0x7ff0_0000);
  const context = newFloatContext(BINARY64, "first");
  assert.equal(pack64(add(signaling, small, context)), 0x7ff8_0000_0000_0001n);
  assert.equal(context.flags, FLAG_INVALID);
});

test("80-bit encodings survive, pseudo-denormals become normal", () => {
  for (
    const [significand, word] of [[1n << 63n, 0x3fff], [3n, 0], [0n, 0x8000], [
      (1n << 64n) - 1n,
      0xfffe,
    ]] as const
  ) {
    const a = unpack80(significand, word);
    assert.equal(significand80(a), significand);
    assert.equal(signExponent80(a), word);
  }
  const pseudo = unpack80(1n << 63n, 0);
  assert.equal(signExponent80(pseudo), 1);
});

test("comparison and conversion to integers", () => {
  const context = newFloatContext(EXTENDED80, "larger");
  assert.equal(compare(fromDouble(-1), fromDouble(2), "signal", context), LESS);
  assert.equal(context.flags, 0);
  assert.equal(compare(fromDouble(NaN), fromDouble(2), "pass", context), UNORDERED);
  assert.equal(context.flags, 0);
  assert.equal(compare(fromDouble(NaN), fromDouble(2), "signal", context), UNORDERED);
  assert.equal(context.flags, FLAG_INVALID);
  context.flags = 0;
  assert.equal(toInteger(fromDouble(2.5), 32, context), 2n);
  assert.equal(context.flags, FLAG_PRECISION);
  assert.equal(toInteger(fromDouble(3e9), 32, context), undefined);
  assert.equal(toInteger(unpack32(0xcf00_0000), 32, newFloatContext(EXTENDED80, "larger")), -(1n << 31n));
});

test("integer square roots are exact", () => {
  for (const root of [0n, 1n, 2n, 3n, 0xffff_ffffn, (1n << 67n) - 1n, 12345678901234567890n]) {
    assert.equal(integerSqrt(root * root), root);
    if (root > 0n) assert.equal(integerSqrt(root * root + root), root);
    if (root > 1n) assert.equal(integerSqrt(root * root - 1n), root - 1n);
  }
});
