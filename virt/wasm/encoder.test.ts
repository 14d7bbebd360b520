// SPDX-License-Identifier: Apache-2.0
// The module writer, judged by the engine that reads its output.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Assembler } from "./assembler.ts";
import { ByteWriter } from "./bytes.ts";
import { WasmModule } from "./encoder.ts";
import { I32, I64, W } from "./opcodes.ts";

function bytesOf(write: (writer: ByteWriter) => void): number[] {
  const writer = new ByteWriter();
  write(writer);
  return [...writer.take()];
}

test("LEB128 of the specification's examples and edges", () => {
  assert.deepEqual(bytesOf((w) => w.u32(624485)), [0xe5, 0x8e, 0x26]);
  assert.deepEqual(bytesOf((w) => w.s32(-123456)), [0xc0, 0xbb, 0x78]);
  assert.deepEqual(bytesOf((w) => w.s32(63)), [0x3f]);
  assert.deepEqual(bytesOf((w) => w.s32(64)), [0xc0, 0x00]);
  assert.deepEqual(bytesOf((w) => w.s64(-1, -1)), [0x7f]);
  assert.deepEqual(bytesOf((w) => w.u32(0xffff_ffff)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
});

test("64-bit constants come back exactly", () => {
  const values = [
    0n,
    1n,
    -1n,
    63n,
    64n,
    -65n,
    0x7fff_ffffn,
    0x8000_0000n,
    -0x8000_0000n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    0x1234_5678_9abc_def0n,
  ];
  for (const value of values) {
    const module = new WasmModule();
    const f = new Assembler([], [I64]);
    f.i64Halves(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    module.exportFunction("f", module.add(f));
    assert.equal(instantiate(module)["f"]!(), value);
  }
});

function instantiate(
  module: WasmModule,
  imports: Record<string, unknown> = {},
): Record<string, (...args: unknown[]) => unknown> {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { m: imports });
  return instance.exports as Record<string, (...args: unknown[]) => unknown>;
}

test("loops, labels and locals: the sum of 1..n", () => {
  const module = new WasmModule();
  const f = new Assembler([I32], [I32]);
  const sum = f.local(I32);
  const done = f.block();
  const next = f.loop();
  f.get(0);
  f.op(W.i32_eqz);
  f.brIf(done);
  f.get(sum);
  f.get(0);
  f.op(W.i32_add);
  f.set(sum);
  f.get(0);
  f.i32(1);
  f.op(W.i32_sub);
  f.set(0);
  f.br(next);
  f.end();
  f.end();
  f.get(sum);
  module.exportFunction("sum", module.add(f));
  assert.equal(instantiate(module)["sum"]!(1000), 500500);
});

test("imports come first in the index space; equal types are shared", () => {
  const module = new WasmModule();
  const twice = module.importFunction("twice", [I32], [I32]);
  assert.equal(module.typeIndex([I32], [I32]), 0);
  const f = new Assembler([I32], [I32]);
  f.get(0);
  f.call(twice);
  f.call(twice);
  module.exportFunction("four", module.add(f));
  assert.throws(() => module.importFunction("late", [], []));
  assert.equal(instantiate(module, { twice: (n: number) => 2 * n })["four"]!(3), 12);
});
