// SPDX-License-Identifier: Apache-2.0
// Machine code of the engine's, there and back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Assembler } from "../../wasm/assembler.ts";
import { WasmModule } from "../../wasm/encoder.ts";
import { I32 } from "../../wasm/opcodes.ts";
import { type NativeCode, nativeCode } from "./native-code.ts";

/** A module with a function that gives `value`, and one that does nothing. */
function giving(value: number): Uint8Array<ArrayBuffer> {
  const module = new WasmModule();
  const f = new Assembler([], [I32]);
  f.i32(value);
  module.exportFunction("value", module.add(f));
  module.exportFunction("trifle", module.add(new Assembler([], [])));
  return module.finish();
}

function taken(native: NativeCode, module: WebAssembly.Module): Uint8Array<ArrayBuffer> {
  return native.take(module, new WebAssembly.Instance(module).exports["trifle"]);
}

function valueOf(module: WebAssembly.Module | undefined): unknown {
  assert.ok(module !== undefined, "the code is accepted");
  const { value } = new WebAssembly.Instance(module).exports;
  assert.ok(typeof value === "function");
  return value();
}

test("code from before and after a module was optimised as a whole is accepted", () => {
  const native = nativeCode();
  if (native === undefined) { // Nothing depends on it: an engine that does not give it compiles as usual.
    assert.ok(Number.parseInt(process.versions.v8, 10) > 13, "V8 up to 13 gives machine code");
    return;
  }
  const [first, second] = [giving(1), giving(2)];
  const before = taken(native, new WebAssembly.Module(first));
  const whole = native.compileOptimised(second);
  assert.ok(whole !== undefined);
  const after = taken(native, whole);
  assert.ok(after.length > before.length, "the function is optimised as well");
  assert.equal(valueOf(native.give(before, first)), 1);
  assert.equal(valueOf(native.give(after, second)), 2);
});
