// SPDX-License-Identifier: Apache-2.0
// Guest RAM: all of it from the start, and less where a host refuses that.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { Ram } from "./ram.ts";

const GIB = 2 ** 30;
const WASM_PAGE = 65536;

/** Until the test's end a memory that begins with more than `pages` is refused, with `error`. */
function refuseAbove(t: TestContext, pages: number, error: Error): void {
  const Memory = WebAssembly.Memory;
  t.after(() => (WebAssembly.Memory = Memory));
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      if (descriptor.initial > pages) throw error;
      super(descriptor);
    }
  };
}

test("all that a memory may have is there from the start", () => {
  const ram = new Ram(3 * WASM_PAGE - 1);
  assert.equal(ram.fixedPages, 3);
  assert.equal(ram.sizeBytes, 3 * WASM_PAGE);
  assert.ok(ram.ensure(3 * WASM_PAGE - 1));
  assert.ok(!ram.ensure(3 * WASM_PAGE + 1));
});

test("one that begins with less grows to its limit", () => {
  const ram = new Ram(5 * WASM_PAGE, WASM_PAGE);
  assert.equal(ram.fixedPages, 0);
  ram.u8[7] = 1;
  assert.ok(ram.ensure(WASM_PAGE + 1));
  assert.equal(ram.sizeBytes, 2 * WASM_PAGE);
  assert.ok(ram.ensure(5 * WASM_PAGE));
  assert.equal(ram.u8[7], 1);
  assert.ok(!ram.ensure(5 * WASM_PAGE + 1));
});

test("where a host refuses it all, a memory begins with a gibibyte, or an eighth of one, and grows", (t) => {
  refuseAbove(t, GIB / WASM_PAGE, new RangeError("could not allocate memory"));
  const ram = new Ram(3 * GIB);
  assert.equal(ram.fixedPages, 0);
  assert.equal(ram.sizeBytes, GIB);
  assert.ok(ram.ensure(GIB + 1));
  refuseAbove(t, GIB / WASM_PAGE / 2, new RangeError("could not allocate memory"));
  assert.equal(new Ram(3 * GIB).sizeBytes, GIB / 8);
});

test("a host that refuses even that says why, and so does one that refuses for another reason", (t) => {
  refuseAbove(t, 0, new RangeError("could not allocate memory"));
  assert.throws(() => new Ram(GIB), /could not allocate memory/);
  refuseAbove(t, 0, new TypeError("no memories today"));
  assert.throws(() => new Ram(GIB), /no memories today/);
});
