// SPDX-License-Identifier: Apache-2.0
// The x87 unit without a guest: the short way of x87-fast.ts against the general one, and fixtures taken from the
// manual. The processor itself is asked by tools/testing/isa.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import {
  ADD,
  arithmeticRegisters,
  compareFlags,
  MUL,
  partialRemainderTop,
  pushConstant,
  SUB,
  SUBR,
} from "./x87-arithmetic.ts";
import { fastCompare, fastLoad64, fastLoadInteger, fastRegisters, fastStore64 } from "./x87-fast.ts";
import { arcTangent, sine } from "./x87-functions.ts";
import { fxsaveImage, loadFxsaveImage } from "./x87-fxsave.ts";
import { commit, initialize, loadFloat64, loadInteger, storeDecimal, storeFloat } from "./x87-memory.ts";
import { C0, C1, C2, C3, STACK_FAULT, X87 } from "./x87-state.ts";

const view = new DataView(new ArrayBuffer(8));

function words(value: number): [low: number, high: number] {
  view.setFloat64(0, value);
  return [view.getInt32(4), view.getInt32(0)];
}

function newUnit(): X87 {
  const unit = new X87(new Ram(16 << 20));
  initialize(unit);
  return unit;
}

function pushDouble(unit: X87, value: number): void {
  loadFloat64(unit, ...words(value));
}

function topAsDouble(unit: X87): number {
  const bytes = storeFloat(unit, 8)!.bytes;
  return new DataView(bytes.buffer).getFloat64(0, true);
}

function snapshot(unit: X87): string {
  const from = CPU_BASE + CPU_STATE.st;
  return Buffer.from(unit.ram.u8.subarray(from, from + 0x90)).toString("hex");
}

/** A fixed sequence of full 64-bit significands with exponents near each other. */
function* operands(count: number): Generator<[bigint, number]> {
  let state = 99;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) | 0) >>> 0;
  for (let n = 0; n < count; n++) {
    const tail = [0, 0x400, 0x7ff, 0x800, next()][next() % 5]!;
    const high = (next() | 0x8000_0000) >>> 0;
    const spread = n % 3 === 0 ? 2 : 140;
    yield [
      (BigInt(high) << 32n) | BigInt(tail),
      ((next() & 0x8000) | (16383 + (next() % spread) - spread / 2)) >>> 0,
    ];
  }
}

test("the short way of arithmetic gives what the general one gives", () => {
  const values = [...operands(60)];
  let taken = 0;
  for (const [a, aWord] of values) {
    for (const [b, bWord] of values) {
      for (const operation of [ADD, MUL, SUB, SUBR]) {
        const [fast, general] = [newUnitOnce(0), newUnitOnce(1)];
        for (const unit of [fast, general]) {
          initialize(unit);
          unit.top = 6;
          unit.writeRaw(0, a, aWord);
          unit.writeRaw(1, b, bWord);
        }
        if (!fastRegisters(fast.ram, operation, 0, 1)) continue;
        taken++;
        arithmeticRegisters(general, operation, 0, 1, 0);
        assert.equal(snapshot(fast), snapshot(general), `${operation}: ${aWord}:${a} ${bWord}:${b}`);
      }
    }
  }
  assert.ok(taken > 13_000, `${taken}`);
});

const units: X87[] = [];
function newUnitOnce(n: number): X87 {
  return (units[n] ??= newUnit());
}

test("the short way of loads, stores and comparisons gives what the general one gives", () => {
  const values = [0, -0, 1, -1.5, 0.1, 1e300, -1e-300, 2 ** 52 + 1, 1 / 3];
  for (const value of values) {
    const [fast, general] = [newUnit(), newUnit()];
    assert.ok(fastLoad64(fast.ram, ...words(value)));
    pushDouble(general, value);
    assert.equal(snapshot(fast), snapshot(general));
    const host = 0x20_0000;
    assert.ok(fastStore64(fast.ram, host));
    assert.ok(Object.is(fast.ram.view.getFloat64(host, true), value));
    for (const other of values) {
      const [a, b] = [newUnit(), newUnit()];
      for (const unit of [a, b]) {
        pushDouble(unit, other);
        pushDouble(unit, value);
      }
      const short = fastCompare(a.ram, 1);
      if (short >= 0) assert.equal(short, compareFlags(b, 1, "signal", 0), `${value} ${other}`);
    }
  }
  for (const value of [0n, 1n, -1n, -(1n << 63n), (1n << 63n) - 1n, 0x1_0000_0000n, -12345678901234n]) {
    const [fast, general] = [newUnit(), newUnit()];
    fastLoadInteger(fast.ram, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    loadInteger(general, value);
    assert.equal(snapshot(fast), snapshot(general), `${value}`);
  }
});

test("a full stack and an empty one are stack faults that C1 tells apart", () => {
  const unit = newUnit();
  for (let n = 0; n < 8; n++) pushConstant(unit, 0);
  assert.equal(unit.status & STACK_FAULT, 0);
  pushConstant(unit, 0);
  assert.equal(unit.status & (STACK_FAULT | C1 | 1), STACK_FAULT | C1 | 1);
  initialize(unit);
  arithmeticRegisters(unit, ADD, 0, 1, 0);
  assert.equal(unit.status & (STACK_FAULT | C1 | 1), STACK_FAULT | 1);
});

test("FPREM delivers the low bits of the quotient", () => {
  const unit = newUnit();
  pushDouble(unit, 3);
  pushDouble(unit, 17); // 17 = 5 * 3 + 2
  partialRemainderTop(unit, "truncate");
  assert.equal(unit.status & (C0 | C1 | C2 | C3), C0 | C1); // 101
  assert.equal(topAsDouble(unit), 2);
});

test("FBSTP writes packed decimal with a sign", () => {
  const unit = newUnit();
  loadInteger(unit, -1234567890123n);
  const store = storeDecimal(unit)!;
  commit(unit, store, 1);
  assert.equal(Buffer.from(store.bytes).toString("hex"), "23018967452301000080");
  assert.equal(unit.tags, 0);
});

test("functions agree with the host to the precision of a double", () => {
  for (const value of [1e-10, 0.3, 1, 2.5, 100, 12345.678]) {
    const unit = newUnit();
    pushDouble(unit, value);
    sine(unit);
    assert.ok(Math.abs(topAsDouble(unit) - Math.sin(value)) <= 2 ** -52, `sin ${value}`);
    initialize(unit);
    pushDouble(unit, value);
    pushDouble(unit, -3);
    arcTangent(unit);
    assert.ok(Math.abs(topAsDouble(unit) - Math.atan2(value, -3)) <= 2 ** -51, `atan ${value}`);
  }
});

test("an FXSAVE image restores what it was made from", () => {
  const unit = newUnit();
  pushDouble(unit, 0.1);
  pushConstant(unit, 3);
  const image = fxsaveImage(unit.ram, "wide");
  const before = snapshot(unit);
  initialize(unit);
  const whole = new Uint8Array(512);
  whole.set(image);
  loadFxsaveImage(unit.ram, whole, "wide");
  assert.equal(snapshot(unit), before);
});
