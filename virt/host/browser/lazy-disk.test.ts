// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { LazyDisk, type RangeSource } from "./lazy-disk.ts";

const SIZE = 1000;
const byteAt = (offset: number): number => (offset * 7 + (offset >> 8)) & 0xff;

/** Counts requests; those that start at `failing` are refused. */
class CountingSource implements RangeSource {
  readonly sizeBytes = SIZE;
  readonly requests: [number, number][] = [];
  failing = -1;

  fetch(start: number, end: number): Promise<Uint8Array> {
    this.requests.push([start, end]);
    if (start === this.failing) return Promise.reject(new Error("refused"));
    return Promise.resolve(Uint8Array.from({ length: end - start }, (_, at) => byteAt(start + at)));
  }
}

function check(offset: number, bytes: Uint8Array): void {
  assert.deepEqual([...bytes], Array.from(bytes, (_, at) => byteAt(offset + at)));
}

async function read(disk: LazyDisk, offset: number, length: number): Promise<"now" | "later"> {
  const into = new Uint8Array(length);
  const pending = disk.read(offset, into);
  await pending;
  check(offset, into);
  return pending === undefined ? "now" : "later";
}

test("what was fetched answers at once, and a request is made once", async () => {
  const source = new CountingSource();
  const disk = new LazyDisk(source, { chunkBytes: 64 });
  assert.equal(await read(disk, 130, 20), "later");
  assert.equal(await read(disk, 128, 64), "now");
  assert.deepEqual(source.requests, [[128, 192]]);
  await Promise.all([read(disk, 640, 10), read(disk, 650, 60)]);
  assert.deepEqual(source.requests.slice(1), [[640, 704], [704, 768]]);
});

test("reads cross chunks and end with the disk", async () => {
  const source = new CountingSource();
  const disk = new LazyDisk(source, { chunkBytes: 64 });
  assert.equal(await read(disk, 60, 300), "later");
  assert.deepEqual(source.requests, [[0, 384]]);
  assert.equal(await read(disk, 990, 10), "later");
  assert.deepEqual(source.requests[1], [960, 1000]);
  assert.equal(await read(disk, 60, 300), "now");
  assert.equal(disk.read(5, new Uint8Array(0)), undefined);
});

test("reading on fetches ahead, more each time", async () => {
  const source = new CountingSource();
  const disk = new LazyDisk(source, { chunkBytes: 64 });
  for (let at = 0; at < SIZE; at += 40) await read(disk, at, Math.min(40, SIZE - at));
  assert.deepEqual(source.requests, [[0, 64], [64, 192], [192, 384], [384, 704], [704, 1000]]);
});

test("chunks beyond the cache's size are let go, the longest unused first", async () => {
  const source = new CountingSource();
  const disk = new LazyDisk(source, { chunkBytes: 64, cacheBytes: 128 });
  for (const at of [0, 256, 0, 512]) await read(disk, at, 1);
  assert.equal(await read(disk, 0, 1), "now");
  assert.equal(await read(disk, 256, 1), "later");
  await read(disk, 0, SIZE); // More than the cache holds.
});

test("a failure reaches its readers, and the next one asks again", async () => {
  const source = new CountingSource();
  const disk = new LazyDisk(source, { chunkBytes: 64 });
  source.failing = 64;
  const readers = [64, 70].map(async (at) => await disk.read(at, new Uint8Array(8)));
  for (const outcome of await Promise.allSettled(readers)) assert.equal(outcome.status, "rejected");
  assert.equal(source.requests.length, 1);
  source.failing = -1;
  assert.equal(await read(disk, 64, 8), "later");
});
