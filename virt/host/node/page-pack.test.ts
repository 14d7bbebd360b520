// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { PagePack } from "./page-pack.ts";

const LIMITS = { bytesMax: 8_000, wasteMin: 1_000 };

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "rookery-pack-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function hashOf(n: number): string {
  return n.toString(16).padStart(32, "0");
}

function page(n: number, length: number, fill: number): { hash: string; bytes: Uint8Array } {
  return { hash: hashOf(n), bytes: new Uint8Array(length).fill(fill) };
}

/** What a run finds of a page: its first byte; undefined when there is nothing. */
function found(directory: string, n: number): number | undefined {
  const pack = new PagePack(directory, LIMITS);
  const bytes = new Uint8Array(pack.length(hashOf(n)));
  return bytes.length > 0 && pack.read(hashOf(n), bytes) ? bytes[0] : undefined;
}

function packBytes(directory: string): number {
  return statSync(join(directory, "pages")).size;
}

test("what was replaced is given back when it is more than what is left", (t) => {
  const directory = directoryFor(t);
  new PagePack(directory, LIMITS).append([page(1, 600, 1), page(2, 300, 2)]);
  for (let fill = 3; fill < 100; fill++) {
    new PagePack(directory, LIMITS).append([page(1, 600, fill)]);
    assert.ok(packBytes(directory) <= 3_000, `${packBytes(directory)} bytes for 900`);
    assert.equal(found(directory, 1), fill);
    assert.equal(found(directory, 2), 2);
  }
  assert.deepEqual(readdirSync(directory).sort(), ["pages", "pages.index"]);
});

test("one that has read goes on with what is left", (t) => {
  const directory = directoryFor(t);
  const pack = new PagePack(directory, LIMITS);
  pack.append([page(1, 600, 1), page(2, 300, 2)]);
  const bytes = new Uint8Array(pack.length(hashOf(2)));
  for (let fill = 3; fill < 20; fill++) {
    pack.append([page(1, 600, fill)]);
    assert.ok(pack.read(hashOf(2), bytes));
    assert.equal(bytes[0], 2);
  }
});

test("of too much that is left the latest stays", (t) => {
  const directory = directoryFor(t);
  for (let n = 1; n <= 40; n++) new PagePack(directory, LIMITS).append([page(n, 500, n)]);
  assert.ok(packBytes(directory) <= LIMITS.bytesMax + 1_000, `${packBytes(directory)} bytes`);
  assert.equal(found(directory, 40), 40);
  assert.equal(found(directory, 30), 30);
  assert.equal(found(directory, 1), undefined);
});

test("what another writer has spoilt is left out, and a pack without an index begins anew", (t) => {
  const directory = directoryFor(t);
  new PagePack(directory, LIMITS).append([page(1, 600, 1), page(2, 600, 2)]);
  truncateSync(join(directory, "pages"), 900);
  assert.equal(found(directory, 1), 1);
  assert.equal(found(directory, 2), undefined);
  for (let fill = 3; fill < 20; fill++) new PagePack(directory, LIMITS).append([page(3, 400, fill)]);
  assert.equal(found(directory, 1), 1);
  assert.equal(found(directory, 2), undefined);
  assert.equal(found(directory, 3), 19);
  writeFileSync(join(directory, "pages.index"), "");
  for (let fill = 20; fill < 40; fill++) new PagePack(directory, LIMITS).append([page(3, 400, fill)]);
  assert.equal(found(directory, 3), 39);
  assert.ok(packBytes(directory) <= 2_500, `${packBytes(directory)} bytes`);
});
