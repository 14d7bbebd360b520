// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ACCESS_READ, ACCESS_WRITE } from "../include/linux/cpu.ts";
import { Inode, type SuperBlock } from "../include/linux/fs.ts";
import { type Sleeps, WAIT_RESCHEDULE } from "../include/linux/wait.ts";
import { MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from "../include/uapi/mman.ts";
import { EIO, ENOMEM, ENOSPC, ENXIO, EROFS } from "../lib/errno.ts";
import { KernelIter } from "../lib/uio.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { type PageBacking, PageCache } from "./filemap.ts";
import { CachedFile } from "./generic_file.ts";
import { createMm } from "./mm.ts";
import { MAX_ORDER } from "./page_alloc.ts";
import { ShmemMapping } from "./shmem.ts";
import { run, type TestKernel, testKernel } from "./testing.ts";

const O_RDWR = 2;
const O_APPEND = 0o2000;

class DiskInode extends Inode {
  readonly superBlock = { isReadOnly: false } as SuperBlock;
  readonly ino = 1;
}

/** A file on a disk that takes a turn for every access and counts them. */
class Disk implements PageBacking {
  readonly t: TestKernel;
  readonly bytes: Uint8Array;
  readonly log: string[] = [];
  broken = false;
  constructor(t: TestKernel, bytes: Uint8Array) {
    this.t = t;
    this.bytes = bytes;
  }
  *readPage(index: number, frame: number): Sleeps<void> {
    this.log.push(`r${index}`);
    yield WAIT_RESCHEDULE;
    if (this.broken) throw EIO;
    this.t.kernel.ram.u8.set(this.bytes.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE), frame);
  }
  *writePage(index: number, frame: number): Sleeps<void> {
    this.log.push(`w${index}`);
    yield WAIT_RESCHEDULE;
    if (this.broken) throw EIO;
    this.bytes.set(this.t.kernel.ram.u8.subarray(frame, frame + PAGE_SIZE), index * PAGE_SIZE);
  }
}

function open(sizeBytes: number, pages = 256) {
  const t = testKernel(pages);
  const disk = new Disk(t, new Uint8Array(64 * PAGE_SIZE).map((_, i) => (i >>> 12) + 1));
  const inode = new DiskInode();
  inode.size = sizeBytes;
  const cache = new PageCache(t.kernel, inode, disk);
  const file = new CachedFile(undefined, O_RDWR, cache);
  const read = (length: number, position?: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, run(file.read(new KernelIter(t.kernel.ram, bytes), position)));
  };
  const write = (bytes: Uint8Array, position?: number): number =>
    run(file.write(new KernelIter(t.kernel.ram, bytes), position));
  return { t, disk, inode, cache, file, read, write };
}

test("reads come from the disk once, stop at the end of file, move the position", () => {
  const f = open(PAGE_SIZE + 10);
  assert.deepEqual([...f.read(3)], [1, 1, 1]);
  assert.deepEqual([...f.read(20, PAGE_SIZE - 2)], [1, 1, ...Array<number>(10).fill(2)]);
  assert.equal(f.file.pos, 3);
  assert.equal(f.read(5, PAGE_SIZE + 10).length, 0);
  f.read(5, 0);
  assert.deepEqual(f.disk.log, ["r0", "r1"]);
});

test("two readers of one page wait for one read", () => {
  const f = open(PAGE_SIZE);
  const one = f.cache.read(0) as Sleeps<number>;
  const two = f.cache.read(0) as Sleeps<number>;
  one.next();
  two.next();
  assert.equal(run(one), run(two));
  assert.deepEqual(f.disk.log, ["r0"]);
});

test("a whole page is replaced without reading it, a part is not", () => {
  const f = open(4 * PAGE_SIZE);
  f.write(new Uint8Array(PAGE_SIZE).fill(9), 0);
  f.write(new Uint8Array([7]), PAGE_SIZE + 1);
  assert.deepEqual(f.disk.log, ["r1"]);
  assert.deepEqual([...f.read(3, PAGE_SIZE)], [2, 7, 2]);
  run(f.file.fsync(false));
  assert.deepEqual(f.disk.log, ["r1", "w0", "w1"]);
  assert.equal(f.disk.bytes[0], 9);
  assert.equal(f.cache.dirtyCount, 0);
});

test("a store to a shared mapping is seen by read and written back; a clean page is protected again", () => {
  const f = open(2 * PAGE_SIZE);
  const mm = createMm(f.t.kernel);
  const at = run(mm.mmap(f.t.task, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.file, PAGE_SIZE));
  run(mm.user.prepare(at, 1, ACCESS_READ));
  assert.equal(mm.user.translate(at, ACCESS_WRITE), 0);
  run(mm.user.writeU32(at, 0x05050505));
  assert.equal(f.read(1, PAGE_SIZE)[0], 5);
  run(f.file.fsync(false));
  assert.equal(f.disk.bytes[PAGE_SIZE], 5);
  assert.equal(mm.user.translate(at, ACCESS_WRITE), 0);
  assert.notEqual(mm.user.translate(at, ACCESS_READ), 0);
});

test("errors of the disk: EIO to the reader, a dirty page stays dirty", () => {
  const f = open(2 * PAGE_SIZE);
  f.disk.broken = true;
  assert.throws(() => f.read(1, 0), (e) => e === EIO);
  f.disk.broken = false;
  assert.equal(f.read(1, 0)[0], 1);
  f.write(new Uint8Array([3]), 0);
  f.disk.broken = true;
  assert.throws(() => run(f.file.fsync(false)), (e) => e === EIO);
  assert.equal(f.cache.dirtyCount, 1);
});

test("append writes at the end; truncation zeroes the tail", () => {
  const f = open(10);
  f.file.flags |= O_APPEND;
  f.write(new Uint8Array([8, 8]));
  assert.equal(f.inode.size, 12);
  assert.deepEqual([...f.read(12, 0)], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8, 8]);
  f.inode.size = 5;
  f.cache.truncate(5);
  f.inode.size = 12;
  assert.deepEqual([...f.read(12, 0)], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
});

test("under pressure idle pages go first, mapped ones last, dirty ones and private copies never", () => {
  const f = open(40 * PAGE_SIZE, 60);
  const { frames } = f.t.kernel;
  const mm = createMm(f.t.kernel);
  const at = run(mm.mmap(f.t.task, 0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, f.file, 0));
  run(mm.user.prepare(at, 1, ACCESS_READ));
  run(mm.user.writeU32(at + PAGE_SIZE, 77));
  f.write(new Uint8Array([1]), 5 * PAGE_SIZE);
  f.read(40 * PAGE_SIZE, 0);
  assert.equal(f.cache.pageCount, 40);
  const taken: number[] = [];
  while (f.cache.pageCount > 2) taken.push(frames.alloc());
  assert.notEqual(f.cache.find(0), 0, "the mapped page is still there");
  assert.notEqual(f.cache.find(5), 0, "and the dirty one");
  assert.throws(() => {
    for (;;) taken.push(frames.alloc());
  }, (e) => e === ENOMEM);
  assert.equal(f.cache.pageCount, 1);
  assert.equal(mm.user.translate(at, ACCESS_READ), 0);
  for (const frame of taken) frames.put(frame);
  assert.equal(run(mm.user.readU32(at)), 0x01010101, "it comes back from the disk");
  assert.equal(run(mm.user.readU32(at + PAGE_SIZE)), 77);
  mm.put();
});

test("a store to a private page that reclaim takes at that moment still gets its copy", () => {
  const f = open(PAGE_SIZE, 30);
  const mm = createMm(f.t.kernel);
  const { frames } = f.t.kernel;
  const at = run(mm.mmap(f.t.task, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, f.file, 0));
  run(mm.user.prepare(at, 1, ACCESS_READ));
  const page = f.cache.find(0);
  const taken: number[] = [];
  while (frames.freePages > 0) taken.push(frames.alloc());
  frames.put(taken.pop()!);
  run(mm.user.copyOut(at, new Uint8Array([9])));
  assert.deepEqual([...run(mm.user.copyIn(at, 2))], [9, 1]);
  taken.push(frames.alloc());
  assert.equal(f.cache.find(0), 0, "the last frame was the page's");
  assert.ok(taken.includes(page));
  mm.put();
});

test("a cache without a writer is read-only", () => {
  const t = testKernel(64);
  const inode = new DiskInode();
  inode.size = 100;
  const cache = new PageCache(t.kernel, inode, { readPage: () => {} });
  assert.throws(() => run(cache.makeWritable(0)), (e) => e === EROFS);
});

test("memory files have holes, limits and seeks for both", () => {
  const t = testKernel(256);
  const inode = new DiskInode();
  inode.size = 10 * PAGE_SIZE;
  let used = 0;
  const mapping = new ShmemMapping(t.kernel, inode, {
    charge: (pages) => {
      if (used + pages > 3) throw ENOSPC;
      used += pages;
    },
    uncharge: (pages) => {
      used -= pages;
    },
  });
  const file = new CachedFile(undefined, O_RDWR, mapping);
  const bytes = new Uint8Array(4).fill(1);
  assert.equal(run(file.read(new KernelIter(t.kernel.ram, bytes), 0)), 4);
  assert.deepEqual([...bytes], [0, 0, 0, 0]);
  assert.equal(used, 0, "reading a hole takes no page");
  run(file.write(new KernelIter(t.kernel.ram, new Uint8Array(2 * PAGE_SIZE).fill(4)), 2 * PAGE_SIZE));
  assert.deepEqual([file.seek(0, 3), file.seek(0, 4), file.seek(2 * PAGE_SIZE, 4)], [
    2 * PAGE_SIZE,
    0,
    4 * PAGE_SIZE,
  ]);
  assert.throws(() => file.seek(5 * PAGE_SIZE, 3), (e) => e === ENXIO);
  assert.equal(inode.blocks, 16);
  assert.throws(() => mapping.preallocate(0, 10 * PAGE_SIZE), (e) => e === ENOSPC);
  assert.equal(used, 2);
  mapping.punchHole(2 * PAGE_SIZE + 1, 4 * PAGE_SIZE);
  assert.equal(used, 1);
  run(file.read(new KernelIter(t.kernel.ram, bytes), 2 * PAGE_SIZE - 2));
  assert.deepEqual([...bytes], [0, 0, 4, 0]);
});

test("frames: runs from below, zeroed when used again, freed twice is an error", () => {
  const { kernel } = testKernel(3000);
  const { frames, ram } = kernel;
  const one = frames.alloc();
  const two = frames.alloc();
  assert.equal(two, one + PAGE_SIZE);
  ram.u8[one] = 5;
  frames.get(one);
  frames.put(one);
  assert.equal(ram.u8[one], 5);
  frames.put(one);
  assert.equal(frames.alloc(), one);
  assert.equal(ram.u8[one], 0);
  const before = frames.freePages;
  const block = frames.allocOrder(MAX_ORDER);
  assert.equal(before - frames.freePages, 1 << MAX_ORDER);
  for (let i = 0; i < 1 << MAX_ORDER; i++) frames.put(block + i * PAGE_SIZE);
  assert.equal(frames.allocOrder(MAX_ORDER), block, "freed frames join to the same block");
  assert.throws(() => {
    frames.put(two);
    frames.put(two);
  });
});
