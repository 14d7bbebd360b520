// SPDX-License-Identifier: Apache-2.0
// The store in a directory: what was kept comes back whole or not at all.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "node:test";

import type { StoredRegion } from "../../../include/host/translations.ts";
import { storedRegion } from "../../testing/stored-region.ts";
import { Assembler } from "../../wasm/assembler.ts";
import { WasmModule } from "../../wasm/encoder.ts";
import { I32 } from "../../wasm/opcodes.ts";
import { setPatience } from "./engine.ts";
import { nativeCode } from "./native-code.ts";
import { directoryStore, ship, shipRuntime } from "./translations.ts";

const HASH = "0123456789abcdef0123456789abcdef";
const MEMORY_PAGES = 18_432;

function region(name: string): StoredRegion {
  return storedRegion(name, [[0, HASH]]);
}

/** A module with a function that gives 42. */
function answer(): Uint8Array<ArrayBuffer> {
  const module = new WasmModule();
  const f = new Assembler([], [I32]);
  f.i32(42);
  module.exportFunction("region0", module.add(f));
  module.exportFunction("trifle", module.add(new Assembler([], [])));
  return module.finish();
}

function withDirectory(body: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "rookery-translations-"));
  try {
    body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The same with a custom section of 2 MiB, of which engines do not look at what is in it. */
function largeAnswer(): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(2 ** 21 - 1); // LEB128: ff ff 7f; its first byte is the length of an empty name
  return new Uint8Array([...answer(), 0, 0xff, 0xff, 0x7f, ...content]);
}

function keep(directory: string, bytes: Uint8Array<ArrayBuffer> = answer()): void {
  const module = new WebAssembly.Module(bytes);
  const { region0, trifle } = new WebAssembly.Instance(module).exports;
  directoryStore(directory, "build").save([{
    used: {
      bytes,
      module,
      functions: [region0],
      trifle,
      memoryPages: MEMORY_PAGES,
      isSettled: false,
      regions: [region("region0")],
    },
    from: undefined,
  }]);
}

function run(module: WebAssembly.Module | undefined): unknown {
  assert.ok(module !== undefined);
  const { region0 } = new WebAssembly.Instance(module).exports;
  assert.ok(typeof region0 === "function");
  return region0();
}

/** The one file of a module in the store. */
function moduleFile(directory: string): string {
  return fileIn(directory, ".module");
}

function pathsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" });
}

/** The one file in the store whose path ends so. */
function fileIn(directory: string, end: string): string {
  const path = pathsIn(directory).find((name) => name.endsWith(end));
  assert.ok(path !== undefined);
  return join(directory, path);
}

test("a module comes back, also after it was optimised and written again", () => {
  withDirectory((directory) => {
    keep(directory);
    for (let n = 0; n < 3; n++) {
      const store = directoryStore(directory, "build");
      const [stored] = store.modulesFor(HASH, MEMORY_PAGES, true);
      assert.deepEqual(stored?.regions, [region("region0")]);
      const module = stored.compile();
      assert.equal(run(module), 42);
      const { region0, trifle } = new WebAssembly.Instance(module!).exports;
      const bytes = new Uint8Array();
      store.save([{
        used: {
          bytes,
          module: module!,
          functions: [region0],
          trifle,
          memoryPages: MEMORY_PAGES,
          isSettled: false,
          regions: stored.regions,
        },
        from: stored,
      }]);
    }
  });
});

test("a module that settles is optimised as it is made, and comes back with that code", () => {
  const lengthOf = (isOptimised: boolean): number => {
    let length = 0;
    withDirectory((directory) => {
      const store = directoryStore(directory, "build");
      // With a custom section that tells them apart: an engine knows a module that it has compiled.
      const bytes = new Uint8Array([...answer(), 0, 2, 0, Number(isOptimised)]);
      const module = (isOptimised ? store.compileSettled?.(bytes) : undefined)
        ?? new WebAssembly.Module(bytes);
      const { trifle } = new WebAssembly.Instance(module).exports;
      const used = {
        bytes,
        module,
        functions: [],
        trifle,
        memoryPages: MEMORY_PAGES,
        isSettled: true,
        regions: [region("region0")],
      };
      store.save([{ used, from: undefined }]);
      const [stored] = directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true);
      assert.equal(run(stored?.compile()), 42);
      length = statSync(moduleFile(directory)).size;
    });
    return length;
  };
  assert.equal(lengthOf(true) > lengthOf(false), nativeCode() !== undefined, "where the engine has it");
});

test("a module is not read before it is worth it", () => {
  withDirectory((directory) => {
    keep(directory);
    const store = directoryStore(directory, "build");
    assert.deepEqual(store.modulesFor(HASH, MEMORY_PAGES, false), []);
    const read = store.modulesFor(HASH, MEMORY_PAGES, true);
    assert.equal(read.length, 1);
    assert.deepEqual(store.modulesFor(HASH, MEMORY_PAGES, false), read);
  });
});

test("the runtime module comes back, as bytes and then with its code; a torn one does not", () => {
  withDirectory((directory) => {
    assert.equal(directoryStore(directory, "build").runtime(), undefined);
    const bytes = answer();
    for (let n = 0; n < 4; n++) {
      const store = directoryStore(directory, "build");
      const from = store.runtime();
      assert.equal(from === undefined, n === 0);
      const module = from?.compile() ?? new WebAssembly.Module(bytes);
      const { region0, trifle } = new WebAssembly.Instance(module).exports;
      assert.equal(run(module), 42);
      store.saveRuntime(
        { bytes: from === undefined ? bytes : undefined, module, functions: [trifle, region0] },
        from,
      );
    }
    assert.equal(directoryStore(directory, "other").runtime(), undefined);
    const path = fileIn(directory, "/runtime");
    writeFileSync(path, readFileSync(path).subarray(1));
    assert.equal(directoryStore(directory, "build").runtime(), undefined);
  });
});

test("the runtime module that came with the build serves as long as there is no other", () => {
  withDirectory((directory) => {
    const [made, built] = [join(directory, "made"), join(directory, "built")];
    const bytes = answer();
    const module = new WebAssembly.Module(bytes);
    const functions = Object.values(new WebAssembly.Instance(module).exports);
    directoryStore(made, "build").saveRuntime({ bytes, module, functions }, undefined);
    shipRuntime(made, built);
    const own = join(directory, "own");
    const from = directoryStore(own, "build", { runtime: built }).runtime();
    assert.equal(run(from!.compile()), 42);
    assert.equal(directoryStore(own, "other", { runtime: built }).runtime(), undefined);
    assert.equal(directoryStore(own, "build").runtime(), undefined);
  });
});

test("another build, another page, another memory and a torn file find nothing", () => {
  withDirectory((directory) => {
    keep(directory);
    assert.deepEqual(directoryStore(directory, "other").modulesFor(HASH, MEMORY_PAGES, true), []);
    assert.deepEqual(
      directoryStore(directory, "build").modulesFor(HASH.replace("0", "f"), MEMORY_PAGES, true),
      [],
    );
    assert.deepEqual(directoryStore(directory, "build").modulesFor(HASH, 0, true), []);
    const path = moduleFile(directory);
    const content = readFileSync(path);
    writeFileSync(path, content.subarray(0, content.length - 1));
    assert.deepEqual(directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true), []);
    content[content.length - 40]! ^= 1;
    writeFileSync(path, content);
    assert.deepEqual(directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true), []);
  });
});

test("a module that is used is younger than one that was only written", () => {
  withDirectory((directory) => {
    keep(directory);
    const path = moduleFile(directory);
    const written = 1_000_000;
    utimesSync(path, written, written);
    directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, false);
    assert.equal(statSync(path).mtimeMs, written * 1000, "asked about, and not read");
    directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true);
    assert.ok(statSync(path).mtimeMs > Date.now() - 60_000);
    const others = ["0", "1"].map((digit) => join(dirname(path), `${digit.repeat(32)}.module`));
    others.forEach((other, n) => {
      writeFileSync(other, "");
      truncateSync(other, 140 * 2 ** 20); // without blocks on the disk
      utimesSync(other, written + n + 1, written + n + 1);
    });
    keep(directory, largeAnswer());
    assert.deepEqual([path, ...others].map(existsSync), [true, false, true]);
  });
});

test("with other settings of the engine modules are others, and bytecode is the same", () => {
  withDirectory((directory) => {
    keep(directory);
    directoryStore(directory, "build").saveBytecode([{ hash: HASH, bytes: Uint8Array.of(1, 2, 3) }]);
    const modules = (): number =>
      directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true).length;
    setFlagsFromString("--max-lazy");
    try {
      assert.equal(modules(), 0);
      assert.deepEqual(bytecodeIn(directory), Uint8Array.of(1, 2, 3));
      keep(directory);
      assert.equal(modules(), 1);
    } finally {
      setFlagsFromString("--no-max-lazy");
    }
    assert.equal(modules(), 1);
    assert.equal(pathsIn(directory).filter((path) => path.endsWith(".module")).length, 2);
  });
});

test("a large module comes back, and one with a wrong bit in the middle does not", () => {
  withDirectory((directory) => {
    keep(directory, largeAnswer());
    assert.equal(
      run(directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true)[0]?.compile()),
      42,
    );
    const path = moduleFile(directory);
    const content = readFileSync(path);
    content[content.length >> 1]! ^= 1;
    writeFileSync(path, content);
    assert.deepEqual(directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true), []);
  });
});

test("a module all of whose regions were replaced is forgotten", () => {
  withDirectory((directory) => {
    keep(directory);
    const store = directoryStore(directory, "build");
    const [stored] = store.modulesFor(HASH, MEMORY_PAGES, true);
    const module = stored!.compile()!;
    const { trifle } = new WebAssembly.Instance(module).exports;
    store.save([{
      used: {
        bytes: new Uint8Array(),
        module,
        functions: [],
        trifle,
        memoryPages: MEMORY_PAGES,
        isSettled: false,
        regions: [],
      },
      from: stored,
    }]);
    assert.deepEqual(directoryStore(directory, "build").modulesFor(HASH, MEMORY_PAGES, true), []);
  });
});

function bytecodeIn(directory: string): Uint8Array | undefined {
  const store = directoryStore(directory, "build");
  const into = new Uint8Array(store.bytecodeLength(HASH));
  return store.readBytecode(HASH, into) ? into : undefined;
}

test("bytecode of pages comes back, the latest of a page; a damaged one does not", () => {
  withDirectory((directory) => {
    const [one, two] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6, 7)];
    directoryStore(directory, "build").saveBytecode([{ hash: HASH, bytes: one }]);
    assert.deepEqual(bytecodeIn(directory), one);
    directoryStore(directory, "build").saveBytecode([{ hash: HASH, bytes: two }]);
    assert.deepEqual(bytecodeIn(directory), two);
    const pack = fileIn(directory, "/pages");
    const content = readFileSync(pack);
    content[content.length - 1]! ^= 1;
    writeFileSync(pack, content);
    assert.equal(bytecodeIn(directory), undefined);
  });
});

test("the engine's code of a module goes there and back where the engine has it", () => {
  const native = nativeCode();
  if (native === undefined) return; // an engine without: the store keeps WebAssembly alone
  const bytes = answer();
  const module = new WebAssembly.Module(bytes);
  const { region0, trifle } = new WebAssembly.Instance(module).exports;
  native.optimise([region0]);
  const code = native.take(module, trifle);
  assert.ok(code.length > 0);
  assert.equal(run(native.give(code, bytes)), 42);
  assert.equal(native.give(code.slice(0, 8), bytes), undefined);
});

test("code is kept under settings of its own, and when the engine has forgotten how", () => {
  const native = nativeCode();
  if (native === undefined) return;
  const bytes = answer();
  const module = new WebAssembly.Module(bytes);
  const { region0, trifle } = new WebAssembly.Instance(module).exports;
  native.optimise([region0]);
  setPatience(true);
  const code = native.take(module, trifle);
  setPatience(false);
  assert.equal(run(native.give(code, bytes)), 42, "taken and given at different times of a run");
  // Stress makes the collector drop the bytecode of every function that is not running.
  setFlagsFromString("--stress-flush-code");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // defined by the setting above
  for (let n = 0; n < 4; n++) collect();
  setFlagsFromString("--no-stress-flush-code");
  setFlagsFromString("--no-expose-gc");
  assert.equal(run(native.give(native.take(module, trifle), bytes)), 42);
});

test("bytecode that came with an image serves as long as there is none of one's own; nothing else comes with it", () => {
  withDirectory((directory) => {
    const [made, image, own] = ["made", "image", "own"].map((name) => join(directory, name));
    keep(made!);
    const page = (byte: number): Uint8Array => new Uint8Array(100).fill(byte);
    directoryStore(made!, "build").saveBytecode([{ hash: HASH, bytes: page(1) }]);
    ship(made!, image!);
    const bytecode = (build: string): number | undefined => {
      const store = directoryStore(own!, build, { image });
      const into = new Uint8Array(store.bytecodeLength(HASH));
      assert.deepEqual(store.modulesFor(HASH, MEMORY_PAGES, true), []);
      return store.readBytecode(HASH, into) ? into[99] : undefined;
    };
    assert.equal(bytecode("build"), 1);
    assert.equal(bytecode("other"), undefined);
    directoryStore(own!, "build", { image }).saveBytecode([{ hash: HASH, bytes: page(2) }]);
    assert.equal(bytecode("build"), 2);
    rmSync(own!, { recursive: true });
    assert.equal(bytecode("build"), 1);
  });
});

test("of folders of other builds and engines those used last stay", () => {
  withDirectory((directory) => {
    const others = ["0", "1", "2", "3", "4"].map((digit) => digit.repeat(16));
    others.forEach((folder, n) => {
      mkdirSync(join(directory, folder));
      writeFileSync(join(directory, folder, "pages"), "");
      utimesSync(join(directory, folder, "pages"), 1_000 * n, 1_000 * n);
      utimesSync(join(directory, folder), 0, 0);
    });
    mkdirSync(join(directory, "another"));
    directoryStore(directory, "build").saveBytecode([]);
    assert.equal(readdirSync(directory).length, 6, "nothing is written, and nothing goes");
    keep(directory);
    const left = readdirSync(directory);
    assert.equal(left.length, 5);
    assert.deepEqual(left.filter((entry) => others.includes(entry)), others.slice(2));
    assert.ok(left.includes("another"));
  });
});
