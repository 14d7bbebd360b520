// SPDX-License-Identifier: Apache-2.0
// The store of a browser on a file in memory; tools/testing/system/browser.test.ts has it on a real one.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { StoredRegion, UsedModule } from "../../../include/host/translations.ts";
import { MemoryFile } from "./testing/memory-file.ts";
import { storedRegion } from "../../testing/stored-region.ts";
import { Assembler } from "../../wasm/assembler.ts";
import { WasmModule } from "../../wasm/encoder.ts";
import { I32 } from "../../wasm/opcodes.ts";
import { TranslationFile } from "./opfs-translations.ts";

const BUILD = "a build";
const MEMORY_PAGES = 18_432;

function region(name: string, hash: string): StoredRegion {
  return storedRegion(name, [[0, hash], [1, "another page"]]);
}

/** A module with a function that gives `value`. */
function used(value: number, regions: readonly StoredRegion[]): UsedModule {
  const assembly = new WasmModule();
  const f = new Assembler([], [I32]);
  f.i32(value);
  assembly.exportFunction("f", assembly.add(f));
  const bytes = assembly.finish();
  return {
    bytes,
    module: new WebAssembly.Module(bytes),
    functions: [],
    trifle: undefined,
    memoryPages: MEMORY_PAGES,
    isSettled: true,
    regions,
  };
}

function call(module: WebAssembly.Module | undefined): unknown {
  assert.ok(module !== undefined);
  const { f } = new WebAssembly.Instance(module).exports;
  assert.ok(typeof f === "function");
  return f();
}

test("modules, bytecode and the runtime are there at the next start, for the same build", () => {
  const disk = new MemoryFile();
  const store = new TranslationFile(disk, BUILD);
  const page = new Uint8Array(4096).fill(7);
  const hash = store.hash(page);
  // SHA-256 of 4,096 bytes 0x07, as sha256sum has it.
  assert.equal(hash, "c9ac7b0624824f844f6c7f3d50fab974");
  const regions = [region("region0", hash), region("region1", hash)];
  store.save([{ used: used(42, regions), from: undefined }]);
  store.saveBytecode([{ hash, bytes: new Uint8Array([1, 2, 3]) }]);
  const { bytes, module } = used(43, []);
  store.saveRuntime({ bytes, module, functions: [] });

  const next = new TranslationFile(disk, BUILD);
  const [found, ...others] = next.modulesFor(hash, MEMORY_PAGES, true);
  assert.equal(others.length, 0);
  assert.deepEqual(found!.regions, regions);
  assert.equal(found!.isSettled, true);
  assert.equal(call(found!.compile()), 42);
  assert.equal(call(next.runtime()?.compile()), 43);
  const into = new Uint8Array(next.bytecodeLength(hash));
  assert.ok(next.readBytecode(hash, into));
  assert.deepEqual([...into], [1, 2, 3]);
  assert.deepEqual(next.modulesFor("another page", MEMORY_PAGES, true), []);
  assert.deepEqual(next.modulesFor(hash, 0, true), []);

  const other = new TranslationFile(disk, "another build");
  assert.deepEqual(other.modulesFor(hash, MEMORY_PAGES, true), []);
  assert.equal(other.bytecodeLength(hash), 0);
  assert.equal(other.runtime(), undefined);
});

test("a module loses regions that were replaced, and goes with the last, whether it came from the store or from this run", () => {
  const disk = new MemoryFile();
  const module = used(42, [region("region0", "a page"), region("region1", "a page")]);
  const store = new TranslationFile(disk, BUILD);
  store.save([{ used: module, from: undefined }]);
  store.save([{ used: { ...module, regions: module.regions.slice(0, 1) }, from: undefined }]);
  const next = new TranslationFile(disk, BUILD);
  const [from] = next.modulesFor("a page", MEMORY_PAGES, true);
  assert.deepEqual(from!.regions.map(({ name }) => name), ["region0"]);
  const operations = disk.operations.length;
  next.save([{ used: { ...module, regions: from!.regions }, from }]);
  assert.equal(disk.operations.length, operations, "nothing new, and something was written");
  next.save([{ used: { ...module, bytes: new Uint8Array(), regions: [] }, from }]);
  assert.deepEqual(new TranslationFile(disk, BUILD).modulesFor("a page", MEMORY_PAGES, true), []);
});

test("a store that cannot be written goes on with what it has", () => {
  const disk = new MemoryFile();
  const store = new TranslationFile(disk, BUILD);
  store.saveBytecode([{ hash: "a page", bytes: new Uint8Array(10) }]);
  disk.quota = disk.getSize();
  store.saveBytecode([{ hash: "another page", bytes: new Uint8Array(1000) }]);
  store.save([{ used: used(42, [region("region0", "a page")]), from: undefined }]);
  assert.equal(store.bytecodeLength("a page"), 10);
  assert.equal(new TranslationFile(disk, BUILD).bytecodeLength("a page"), 10);
});
