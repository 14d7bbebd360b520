// SPDX-License-Identifier: Apache-2.0
// Records come back whole or not at all, whenever the power goes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MemoryFile } from "./testing/memory-file.ts";
import { RecordFile } from "./record-file.ts";

const KEY = "a build";
const encoder = new TextEncoder();

function commit(
  file: RecordFile,
  records: Readonly<Record<string, string>>,
  gone: readonly string[] = [],
): void {
  file.commit(
    Object.entries(records).map(([name, text]) => ({ name, parts: [encoder.encode(text)] })),
    gone,
  );
}

function textOf(file: RecordFile, name: string): string | undefined {
  const length = file.length(name);
  if (length === undefined) return undefined;
  const bytes = new Uint8Array(length);
  return file.read(name, bytes) ? new TextDecoder().decode(bytes) : undefined;
}

/** What a new start finds. */
function contents(disk: MemoryFile, names: readonly string[], key: string = KEY): Record<string, string> {
  const file = new RecordFile(disk, key);
  const found = names.map((name) => [name, textOf(file, name)] as const);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

test("records, their notes and their replacements are there at the next start", () => {
  const disk = new MemoryFile();
  const file = new RecordFile(disk, KEY);
  commit(file, { a: "one", b: "" });
  file.commit([{ name: "c", parts: [encoder.encode("th"), encoder.encode("ree")], note: ["x", "y"] }]);
  commit(file, { a: "another" });
  commit(file, {}, ["b"]);
  assert.deepEqual(contents(disk, ["a", "b", "c"]), { a: "another", c: "three" });
  assert.deepEqual([...new RecordFile(disk, KEY).notes()], [["c", ["x", "y"]]]);
  assert.equal(file.length("a"), 7);
});

test("a file of another key is empty, and so is what is no such file", () => {
  const disk = new MemoryFile();
  commit(new RecordFile(disk, KEY), { a: "one" });
  assert.deepEqual(contents(disk, ["a"], "another build"), {});
  assert.equal(disk.getSize(), 0);
  const noise = new MemoryFile();
  noise.write(new Uint8Array(1000).fill(0xa5), { at: 0 });
  assert.deepEqual(contents(noise, ["a"]), {});
});

test("a record, an index or a slot with a wrong bit is not taken", () => {
  const disk = new MemoryFile();
  const at = 128; // the first record, and its index behind it
  commit(new RecordFile(disk, KEY), { a: "one", b: "two" });
  disk.damage(at);
  assert.deepEqual(contents(disk, ["a", "b"]), { b: "two" });
  disk.damage(at + 6);
  assert.deepEqual(contents(disk, ["a", "b"]), {});
  commit(new RecordFile(disk, KEY), { a: "one" });
  disk.damage(64 + 20);
  assert.deepEqual(contents(disk, ["a"]), {});
});

test("whenever the power goes, the records are those of one commit, or none while the file is made smaller", () => {
  const disk = new MemoryFile();
  const file = new RecordFile(disk, KEY);
  const names = ["a", "b", "c"];
  const states: Record<string, string>[] = [{}];
  for (let n = 0; n < 6; n++) {
    commit(file, { [names[n % 3]!]: `text ${n}`.repeat(n + 1) }, n === 4 ? ["a"] : []);
    states.push(contents(disk, names));
  }
  const large = "*".repeat(6 << 20);
  for (const last of ["+", "-"]) { // leaves more than half of the file to nobody
    commit(file, { a: large + last });
    commit(file, { a: last });
    states.push(contents(disk, names));
  }
  assert.ok(disk.getSize() < large.length);
  const known = new Set(
    [...states, { a: "+", b: states.at(-1)!["b"]! }].map((state) => JSON.stringify(state)),
  );
  let emptied = 0;
  for (let count = 0; count <= disk.operations.length; count++) {
    for (
      const survives of [() => true, () => false, (n: number) => n % 2 === 0, (n: number) => n % 2 === 1]
    ) {
      const found = contents(disk.cutAfter(count, survives), names);
      if (Object.keys(found).length === 0) emptied++;
      if (found["a"]?.startsWith("*") !== true) {
        assert.ok(known.has(JSON.stringify(found)), `${count}: ${JSON.stringify(found).slice(0, 99)}`);
      }
    }
  }
  assert.ok(emptied > 0);
});

test("when the quota is used up a commit throws, and what was there stays", () => {
  const disk = new MemoryFile(1000);
  const file = new RecordFile(disk, KEY);
  commit(file, { a: "one" });
  assert.throws(() => commit(file, { a: "two", b: "*".repeat(1000) }), /quota/);
  assert.equal(textOf(file, "a"), "one");
  assert.deepEqual(contents(disk, ["a", "b"]), { a: "one" });
  commit(file, { b: "two" });
  assert.deepEqual(contents(disk, ["a", "b"]), { a: "one", b: "two" });
});

test("of more than is to be kept, what was used longest ago goes", () => {
  const disk = new MemoryFile();
  const file = new RecordFile(disk, KEY, 100);
  commit(file, { a: "a".repeat(30), b: "b".repeat(30), c: "c".repeat(30) });
  textOf(file, "a");
  commit(file, { d: "d".repeat(30) });
  assert.deepEqual(Object.keys(contents(disk, ["a", "b", "c", "d"])), ["a", "d"]);
});
