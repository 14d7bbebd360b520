// SPDX-License-Identifier: Apache-2.0
// The x87 unit without a guest, by fixtures taken from the manual. The processor itself is asked by tools/testing/isa.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { ADD, arithmeticRegisters, partialRemainderTop, pushConstant } from "./x87-arithmetic.ts";
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
