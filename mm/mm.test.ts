// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ACCESS_EXEC, ACCESS_READ, ACCESS_WRITE } from "../include/linux/cpu.ts";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_AS,
  RLIMIT_STACK,
} from "../include/uapi/mman.ts";
import { EACCES, EEXIST, EFAULT, EINVAL, ENOMEM } from "../lib/errno.ts";
import { KernelIter } from "../lib/uio.ts";
import {
  CPU_BASE,
  CPU_STATE,
  FRAME_CODE,
  FRAME_FLAGS,
  PAGE_SIZE,
  pageOffset,
  pageStart,
} from "../virt/layout.ts";
import { adviseRegion, residency } from "./madvise.ts";
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR } from "./memory.ts";
import { absentEnd, LEAF_SPAN } from "./pgtable.ts";
import { createMm, mmStruct, type ProcessMm } from "./mm.ts";
import { createShmemFile } from "./shmem_file.ts";
import { VmaArea, VmaList } from "./vma.ts";
import { run, type TestKernel, testKernel } from "./testing.ts";

const RW = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;

function start(pages = 256): TestKernel & { mm: ProcessMm } {
  const test = testKernel(pages);
  const mm = createMm(test.kernel);
  test.task.mm = mm;
  return { ...test, mm };
}
function map(t: TestKernel & { mm: ProcessMm }, length: number, prot = RW, flags = PRIVATE, at = 0): number {
  return run(t.mm.mmap(t.task, at, length, prot, flags, undefined, 0));
}
function layout(mm: ProcessMm): string[] {
  return [...mm.vmas()].map((a) => `${a.start.toString(16)}-${a.end.toString(16)} ${a.prot}`);
}

test("anonymous memory is zero, keeps bytes, crosses pages", () => {
  const t = start();
  const at = map(t, 4 * PAGE_SIZE);
  assert.equal(t.mm.user.tryCopyOut(at, new Uint8Array(8)), false);
  run(t.mm.user.copyOut(at + PAGE_SIZE - 3, new Uint8Array([1, 2, 3, 4, 5, 6])));
  assert.deepEqual([...run(t.mm.user.copyIn(at + PAGE_SIZE - 4, 8))], [0, 1, 2, 3, 4, 5, 6, 0]);
  assert.equal(run(t.mm.user.readU32(at + PAGE_SIZE - 2)), 0x0504_0302);
  assert.equal(run(t.mm.user.readU64(at + 3 * PAGE_SIZE)), 0);
});

test("a read fault takes the shared zero page, a write then a page of its own", () => {
  const t = start();
  const at = map(t, PAGE_SIZE);
  run(t.mm.user.prepare(at, 1, ACCESS_READ));
  assert.equal(t.mm.residentPages, 0);
  run(t.mm.user.writeU32(at, 42));
  assert.equal(t.mm.residentPages, 1);
  assert.equal(run(t.mm.user.readU32(at)), 42);
});

test("faults tell a hole from a missing right", () => {
  const t = start();
  const at = map(t, PAGE_SIZE, PROT_READ);
  assert.equal(t.mm.handleFault(t.task, at - PAGE_SIZE, ACCESS_READ), SEGV_MAPERR);
  assert.equal(t.mm.handleFault(t.task, 2 ** 63, ACCESS_READ), SEGV_MAPERR);
  assert.equal(t.mm.handleFault(t.task, at, ACCESS_WRITE), SEGV_ACCERR);
  assert.equal(t.mm.handleFault(t.task, at, ACCESS_EXEC), SEGV_ACCERR);
  assert.throws(() => run(t.mm.user.copyOut(at, new Uint8Array(1))), (e) => e === EFAULT);
  assert.throws(() => run(t.mm.user.copyIn(-1, 1)), (e) => e === EFAULT);
});

test("a free range is found where a look at all areas finds it", () => {
  const areas = new VmaList();
  const { mm } = start();
  const high = 4096 * PAGE_SIZE;
  const search = (length: number): number => {
    let top = high;
    for (const { start: from, end } of [...areas].reverse()) {
      if (top - end >= length) break;
      top = Math.min(top, from);
    }
    return top - length >= PAGE_SIZE ? top - length : -1;
  };
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let step = 0; step < 5000; step++) {
    const all = [...areas];
    if (random(5) < 2 && all.length > 0) areas.remove(all[random(all.length)]!);
    const length = (1 + random(2 ** (1 + random(7)))) * PAGE_SIZE;
    const at = areas.findGapBelow(length, PAGE_SIZE, high);
    assert.equal(at, search(length), `step ${step}`);
    if (at >= 0) areas.insert(new VmaArea(mm, at, at + length, RW, RW, PRIVATE));
  }
});

test("areas split, change and merge again", () => {
  const t = start();
  const at = map(t, 4 * PAGE_SIZE, RW, PRIVATE | MAP_FIXED, 0x10_0000);
  t.mm.mprotect(at + PAGE_SIZE, PAGE_SIZE, PROT_READ);
  assert.deepEqual(layout(t.mm), ["100000-101000 3", "101000-102000 1", "102000-104000 3"]);
  t.mm.mprotect(at + PAGE_SIZE, PAGE_SIZE, RW);
  assert.deepEqual(layout(t.mm), ["100000-104000 3"]);
  t.mm.munmap(at + PAGE_SIZE, PAGE_SIZE);
  assert.deepEqual(layout(t.mm), ["100000-101000 3", "102000-104000 3"]);
  assert.throws(() => t.mm.mprotect(at, 4 * PAGE_SIZE, PROT_READ), (e) => e === ENOMEM);
  assert.throws(() => map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED_NOREPLACE, at), (e) => e === EEXIST);
  assert.equal(map(t, PAGE_SIZE, RW, PRIVATE, at + PAGE_SIZE), at + PAGE_SIZE);
  assert.equal(t.mm.totalPages, 4);
});

test("PROT_NONE hides pages and gives them back", () => {
  const t = start();
  const at = map(t, PAGE_SIZE);
  run(t.mm.user.writeU32(at, 7));
  t.mm.mprotect(at, PAGE_SIZE, PROT_NONE);
  assert.equal(t.mm.user.translate(at, ACCESS_READ), 0);
  assert.equal(t.mm.handleFault(t.task, at, ACCESS_READ), SEGV_ACCERR);
  t.mm.mprotect(at, PAGE_SIZE, PROT_READ | PROT_EXEC);
  assert.equal(run(t.mm.user.readU32(at)), 7);
  assert.notEqual(t.mm.user.translate(at, ACCESS_EXEC), 0);
});

test("fork shares until one side writes, and frees everything at the end", () => {
  const t = start();
  const before = t.kernel.frames.freePages;
  const mm = createMm(t.kernel);
  const at = run(mm.mmap(t.task, 0, 8 * PAGE_SIZE, RW, PRIVATE, undefined, 0));
  run(mm.user.copyOut(at, new Uint8Array([1, 2, 3])));
  t.kernel.ram.u32[(CPU_BASE + CPU_STATE.pageTableRoot) >>> 2] = mm.root;
  t.flushed.length = 0;
  const child = mmStruct(mm.clone(t.task));
  assert.deepEqual(t.flushed, [[at, at + 8 * PAGE_SIZE]], "the machine forgets that the parent may write");
  assert.equal(child.user.translate(at, ACCESS_READ), mm.user.translate(at, ACCESS_READ));
  run(child.user.copyOut(at, new Uint8Array([9])));
  assert.deepEqual([...run(mm.user.copyIn(at, 3))], [1, 2, 3]);
  assert.deepEqual([...run(child.user.copyIn(at, 3))], [9, 2, 3]);
  const frame = mm.user.translate(at, ACCESS_READ);
  run(mm.user.copyOut(at, new Uint8Array([5])));
  assert.equal(mm.user.translate(at, ACCESS_READ), frame, "the last owner writes in place");
  child.put();
  mm.put();
  assert.equal(t.kernel.frames.freePages, before);
});

test("who writes first after a fork leaves the pages of both in a row", () => {
  const t = start(16 * (LEAF_SPAN / PAGE_SIZE));
  const at = map(t, 8 * PAGE_SIZE);
  const frameAt = (mm: ProcessMm, page: number): number =>
    mm.user.translate(at + page * PAGE_SIZE, ACCESS_READ);
  const write = (mm: ProcessMm, page: number, byte: number): void =>
    run(mm.user.copyOut(at + page * PAGE_SIZE, new Uint8Array([byte])));
  for (let page = 0; page < 8; page++) write(t.mm, page, page);
  const rowOf = frameAt(t.mm, 0);
  const child = mmStruct(t.mm.clone(t.task));
  write(t.mm, 2, 12);
  write(child, 3, 23);
  write(t.mm, 3, 13);
  assert.equal(frameAt(t.mm, 2), rowOf + 2 * PAGE_SIZE, "the parent keeps its frame");
  assert.equal(frameAt(child, 3) - frameAt(child, 2), PAGE_SIZE, "the child's copies lie in a row");
  const firstBytes = (mm: ProcessMm): number[] =>
    [0, 1, 2, 3].map((page) => run(mm.user.copyIn(at + page * PAGE_SIZE, 1))[0]!);
  assert.deepEqual(firstBytes(t.mm), [0, 1, 12, 13]);
  assert.deepEqual(firstBytes(child), [0, 1, 2, 23]);
  assert.equal(child.gatherPages(at + PAGE_SIZE), true);
  assert.equal(
    frameAt(child, 0),
    frameAt(child, 2) - 2 * PAGE_SIZE,
    "what the child only reads comes to them",
  );
  assert.equal(child.gatherPages(at + PAGE_SIZE), false, "there is nothing left to be moved");
  write(child, 0, 20);
  write(t.mm, 1, 11);
  assert.deepEqual(firstBytes(t.mm), [0, 11, 12, 13]);
  assert.deepEqual(firstBytes(child), [20, 1, 2, 23]);
  child.put();
  for (let page = 0; page < 8; page++) write(t.mm, page, page);
  assert.equal(frameAt(t.mm, 7), rowOf + 7 * PAGE_SIZE);
});

test("several children share one copy of a page that their parent writes", () => {
  const t = start(16 * (LEAF_SPAN / PAGE_SIZE));
  const at = map(t, 2 * PAGE_SIZE);
  run(t.mm.user.copyOut(at, new Uint8Array(2 * PAGE_SIZE).fill(1)));
  const frame = t.mm.user.translate(at, ACCESS_READ);
  const before = t.kernel.frames.freePages;
  const children = [1, 2, 3].map(() => mmStruct(t.mm.clone(t.task)));
  run(t.mm.user.copyOut(at, new Uint8Array([9])));
  assert.equal(t.mm.user.translate(at, ACCESS_READ), frame, "the parent keeps its frame");
  const copy = children[0]!.user.translate(at, ACCESS_READ);
  for (const child of children) {
    assert.equal(child.user.translate(at, ACCESS_READ), copy);
    assert.deepEqual([...run(child.user.copyIn(at, 2))], [1, 1]);
  }
  run(children[1]!.user.copyOut(at, new Uint8Array([7, 7])));
  assert.deepEqual([...run(children[2]!.user.copyIn(at, 2))], [1, 1]);
  assert.deepEqual([...run(t.mm.user.copyIn(at, 2))], [9, 1]);
  for (const child of children) child.put();
  assert.equal(t.kernel.frames.freePages, before);
});

test("a page that somebody else uses, of a file, shared or with code stays where it is", () => {
  const t = start(16 * (LEAF_SPAN / PAGE_SIZE));
  const at = map(t, 3 * PAGE_SIZE);
  const other = createMm(t.kernel);
  run(t.mm.user.copyOut(at + PAGE_SIZE, new Uint8Array(2 * PAGE_SIZE).fill(1)));
  const child = mmStruct(t.mm.clone(t.task));
  const code = child.user.translate(at + 2 * PAGE_SIZE, ACCESS_READ);
  t.kernel.ram.u8[FRAME_FLAGS + code / PAGE_SIZE] = FRAME_CODE;
  t.mm.put();
  const frame = child.user.translate(at + PAGE_SIZE, ACCESS_READ);
  run(child.user.copyOut(at + PAGE_SIZE, new Uint8Array([2])));
  t.kernel.frames.get(frame); // as a pipe does
  assert.equal(child.gatherPages(at + PAGE_SIZE), false);
  t.kernel.frames.put(frame);
  assert.equal(child.gatherPages(at + PAGE_SIZE), true);
  assert.equal(child.user.translate(at + 2 * PAGE_SIZE, ACCESS_READ), code);
  const file = createShmemFile(t.kernel, "f", 2 * PAGE_SIZE);
  for (const flags of [MAP_SHARED, MAP_PRIVATE]) {
    const mapped = run(other.mmap(t.task, 0, 2 * PAGE_SIZE, RW, flags, file, 0));
    run(other.user.copyIn(mapped, 2 * PAGE_SIZE));
    assert.equal(other.gatherPages(mapped), false);
  }
});

test("a private page of a file that nobody can change comes into a row with those that were written", () => {
  const t = start(16 * (LEAF_SPAN / PAGE_SIZE));
  const file = createShmemFile(t.kernel, "f", 3 * PAGE_SIZE);
  const at = run(t.mm.mmap(t.task, 0, 3 * PAGE_SIZE, RW, MAP_PRIVATE, file, 0));
  const frameAt = (page: number): number => t.mm.user.translate(at + page * PAGE_SIZE, ACCESS_READ);
  run(t.mm.user.copyOut(at + PAGE_SIZE, new Uint8Array([1])));
  assert.equal(run(t.mm.user.readU32(at)), 0);
  assert.equal(t.mm.gatherPages(at), false);
  Object.assign(file.inode.superBlock, { isConstant: true });
  assert.equal(t.mm.gatherPages(at), true);
  assert.equal(frameAt(1) - frameAt(0), PAGE_SIZE);
  run(t.mm.user.copyOut(at, new Uint8Array([7])));
  assert.equal(file.cache.find(0) === frameAt(0), false, "the file keeps its own");
  assert.equal(run(t.mm.user.readU32(at)), 7);
  t.mm.mprotect(at, 3 * PAGE_SIZE, PROT_READ);
  run(t.mm.user.readU32(at + 2 * PAGE_SIZE));
  assert.equal(t.mm.gatherPages(at + 2 * PAGE_SIZE), false, "what may not be written is not copied for it");
});

test("shared anonymous memory is seen by both sides of a fork", () => {
  const t = start();
  const at = map(t, 2 * PAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS);
  const child = mmStruct(t.mm.clone(t.task));
  run(child.user.writeU32(at + PAGE_SIZE, 77));
  assert.equal(run(t.mm.user.readU32(at + PAGE_SIZE)), 77);
  child.put();
  assert.equal(run(t.mm.user.readU32(at + PAGE_SIZE)), 77);
});

test("a large area lies in a row wherever it is touched first", () => {
  const t = start(16 * (LEAF_SPAN / PAGE_SIZE));
  const frameAt = (address: number): number => t.kernel.ram.u32[t.mm.pteFor(address)]! & -PAGE_SIZE;
  const touch = (address: number): void => run(t.mm.user.copyOut(address, new Uint8Array([1])));
  const area = map(t, 6 * LEAF_SPAN);
  const places = [3.5, 5.25, 0, 1.75].map((spans) => area + spans * LEAF_SPAN);
  places.forEach(touch);
  for (const place of places) assert.equal(frameAt(place) - frameAt(area), place - area);
});

test("a private file page is the cache's until it is written", () => {
  const t = start();
  const file = createShmemFile(t.kernel, "f", PAGE_SIZE + 10);
  const cache = file.cache;
  const shared = run(t.mm.mmap(t.task, 0, 3 * PAGE_SIZE, RW, MAP_SHARED, file, 0));
  const own = run(t.mm.mmap(t.task, 0, 3 * PAGE_SIZE, RW, MAP_PRIVATE, file, 0));
  run(t.mm.user.writeU32(shared, 1));
  assert.equal(run(t.mm.user.readU32(own)), 1);
  assert.equal(t.mm.user.translate(own, ACCESS_READ), cache.find(0));
  run(t.mm.user.writeU32(own, 2));
  assert.equal(run(t.mm.user.readU32(shared)), 1);
  assert.equal(t.mm.handleFault(t.task, own + 2 * PAGE_SIZE, ACCESS_READ), BUS_ADRERR);
  cache.inode.setAttributes({ size: 5 });
  assert.equal(t.mm.user.translate(shared + PAGE_SIZE, ACCESS_READ), 0, "truncation unmaps");
  assert.equal(t.mm.handleFault(t.task, shared + PAGE_SIZE, ACCESS_WRITE), BUS_ADRERR);
});

test("the stack grows to its limit and keeps its guard gap", () => {
  const t = start();
  const top = 0x7fff_0000_0000;
  map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN, top - PAGE_SIZE);
  t.task.group.rlimits[RLIMIT_STACK]!.soft = 64 * PAGE_SIZE;
  run(t.mm.user.writeU32(top - 20 * PAGE_SIZE, 1));
  assert.deepEqual(layout(t.mm), [`${(top - 20 * PAGE_SIZE).toString(16)}-${top.toString(16)} 3`]);
  assert.equal(t.mm.handleFault(t.task, top - 65 * PAGE_SIZE, ACCESS_WRITE), SEGV_MAPERR);
  t.task.group.rlimits[RLIMIT_STACK]!.soft = Infinity;
  map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED, top - 300 * PAGE_SIZE);
  assert.equal(t.mm.handleFault(t.task, top - 60 * PAGE_SIZE, ACCESS_WRITE), SEGV_MAPERR);
});

test("mremap grows in place, moves, and keeps the bytes", () => {
  const t = start();
  const at = map(t, 2 * PAGE_SIZE, RW, PRIVATE | MAP_FIXED, 0x20_0000);
  run(t.mm.user.writeU32(at + PAGE_SIZE, 5));
  assert.equal(run(t.mm.mremap(t.task, at, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 0, 0)), at);
  map(t, PAGE_SIZE, PROT_READ, PRIVATE | MAP_FIXED, at + 3 * PAGE_SIZE);
  assert.throws(() => run(t.mm.mremap(t.task, at, 3 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0)), (e) => e === ENOMEM);
  const moved = run(t.mm.mremap(t.task, at, 3 * PAGE_SIZE, 8 * PAGE_SIZE, MREMAP_MAYMOVE, 0));
  assert.notEqual(moved, at);
  assert.equal(run(t.mm.user.readU32(moved + PAGE_SIZE)), 5);
  assert.equal(t.mm.findVma(at), undefined);
  assert.equal(t.mm.totalPages, 9);
});

test("brk moves the heap and refuses to run into a neighbour", () => {
  const t = start();
  t.mm.startBrk = t.mm.brk = 0x50_0100;
  assert.equal(t.mm.setBrk(t.task, 0), 0x50_0100);
  assert.equal(t.mm.setBrk(t.task, 0x50_5000), 0x50_5000);
  run(t.mm.user.writeU32(0x50_4000, 1));
  assert.equal(t.mm.setBrk(t.task, 0x50_2000), 0x50_2000);
  assert.equal(t.mm.setBrk(t.task, 0x50_5000), 0x50_5000);
  assert.equal(run(t.mm.user.readU32(0x50_4000)), 0, "memory given back comes again as zeros");
  map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED, 0x50_8000);
  assert.equal(t.mm.setBrk(t.task, 0x50_8000), 0x50_5000);
});

test("limits and bad arguments", () => {
  const t = start();
  assert.throws(() => map(t, 0), (e) => e === EINVAL);
  assert.throws(() => map(t, PAGE_SIZE, RW, MAP_ANONYMOUS), (e) => e === EINVAL);
  assert.throws(() => map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED, 0x10_0001), (e) => e === EINVAL);
  assert.throws(() => map(t, 2 ** 46), (e) => e === ENOMEM, "overcommit refuses the absurd");
  t.task.group.rlimits[RLIMIT_AS]!.soft = 10 * PAGE_SIZE;
  assert.throws(() => map(t, 11 * PAGE_SIZE), (e) => e === ENOMEM);
  map(t, 10 * PAGE_SIZE);
  const readOnly = createShmemFile(t.kernel, "f", PAGE_SIZE);
  readOnly.flags = 0;
  assert.throws(() => run(t.mm.mmap(t.task, 0, PAGE_SIZE, RW, MAP_SHARED, readOnly, 0)), (e) => e === EACCES);
});

test("MADV_DONTNEED forgets, mincore tells", () => {
  const t = start();
  const at = map(t, 3 * PAGE_SIZE);
  run(t.mm.user.writeU32(at, 3));
  assert.deepEqual([...residency(t.mm, at, 3)], [1, 0, 0]);
  run(adviseRegion(t.mm, t.task, at, PAGE_SIZE, MADV_DONTNEED));
  assert.deepEqual([...residency(t.mm, at, 3)], [0, 0, 0]);
  assert.equal(run(t.mm.user.readU32(at)), 0);
});

test("out of memory kills the largest process with a line in the log", () => {
  const t = start(64);
  const at = map(t, 60 * PAGE_SIZE);
  map(t, 60 * PAGE_SIZE);
  let signal;
  for (let i = 0; i < 60 && t.signals.length === 0; i++) {
    signal = run(t.mm.handleFault(t.task, at + i * PAGE_SIZE, ACCESS_WRITE));
    if (signal !== undefined) break;
  }
  for (let i = 0; i < 60 && t.signals.length === 0; i++) {
    run(t.mm.handleFault(t.task, at - 60 * PAGE_SIZE + i * PAGE_SIZE, ACCESS_WRITE));
  }
  assert.deepEqual(t.signals.map((s) => s.signal), [9]);
  assert.match(t.log.join("\n"), /Out of memory: Killed process 2 \(test\)/);
  t.mm.put();
});

test("strings end at NUL, at a bound, or at a fault", () => {
  const t = start();
  const at = map(t, 2 * PAGE_SIZE);
  run(t.mm.user.copyOut(at + PAGE_SIZE - 2, new Uint8Array([97, 98, 99, 255, 0, 100])));
  assert.equal(run(t.mm.user.readString(at + PAGE_SIZE - 2, 5, EINVAL)), "abc\u00ff");
  assert.throws(() => run(t.mm.user.readString(at + PAGE_SIZE - 2, 4, EINVAL)), (e) => e === EINVAL);
  run(t.mm.user.copyOut(at + 2 * PAGE_SIZE - 1, new Uint8Array([1])));
  assert.throws(() => run(t.mm.user.readString(at + 2 * PAGE_SIZE - 1, 100, EINVAL)), (e) => e === EFAULT);
});

test("an iterator moves bytes across segments and pages, and goes back", () => {
  const t = start();
  const at = map(t, 4 * PAGE_SIZE);
  const segments = [{ address: at + PAGE_SIZE - 2, length: 5 }, { address: at + 3 * PAGE_SIZE, length: 3 }];
  for (const { address, length } of segments) run(t.mm.user.prepare(address, length, ACCESS_WRITE));
  const iter = t.mm.user.iter(segments);
  iter.copyOut(new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8]), 1, 8);
  assert.equal(iter.remaining, 0);
  iter.revert(4);
  assert.equal(iter.remaining, 4);
  const back = new Uint8Array(4);
  iter.copyIn(back, 0, 4);
  assert.deepEqual([...back], [5, 6, 7, 8]);
});

test("an iterator finds its way over pages that are neighbours in RAM and pages that are not", () => {
  const t = start();
  const at = map(t, 6 * PAGE_SIZE);
  // Touched in an order that makes runs of one, two and three pages.
  for (const page of [0, 3, 4, 5, 1, 2]) {
    run(t.mm.user.prepare(at + page * PAGE_SIZE, 1, ACCESS_WRITE));
  }
  const bytes = Uint8Array.from({ length: 6 * PAGE_SIZE - 100 }, (_, i) => (i * 7 + (i >> 12)) & 0xff);
  const segments = [{ address: at + 50, length: bytes.length }];
  t.mm.user.iter(segments).copyOut(bytes, 0, bytes.length);
  const back = new Uint8Array(bytes.length);
  t.mm.user.iter(segments).copyIn(back, 0, back.length);
  assert.deepEqual(back, bytes);
  assert.deepEqual(run(t.mm.user.copyIn(at + 50, bytes.length)), bytes, "page by page");
  const zeroed = t.mm.user.iter(segments);
  zeroed.zero(2 * PAGE_SIZE);
  assert.equal(zeroed.remaining, bytes.length - 2 * PAGE_SIZE);
  const after = run(t.mm.user.copyIn(at + 50 + 2 * PAGE_SIZE - 1, 2));
  assert.deepEqual([...after], [0, bytes[2 * PAGE_SIZE]]);
});

test("a debugger writes into read-only text without changing the file", () => {
  const t = start();
  const file = createShmemFile(t.kernel, "f", PAGE_SIZE);
  run(file.write(new KernelIter(t.kernel.ram, new Uint8Array([1, 2, 3])), 0));
  const at = run(t.mm.mmap(t.task, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0));
  run(t.mm.forceCopyOut(at + 1, new Uint8Array([0xcc])));
  assert.deepEqual([...run(t.mm.user.copyIn(at, 3))], [1, 0xcc, 3]);
  assert.equal(t.kernel.ram.u8[file.cache.find(0) + 1], 2);
  assert.equal(t.mm.user.translate(at, ACCESS_WRITE), 0);
  assert.equal(t.mm.handleFault(t.task, at, ACCESS_WRITE), SEGV_ACCERR);
  const shared = run(t.mm.mmap(t.task, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, file, 0));
  assert.throws(() => run(t.mm.forceCopyOut(shared, new Uint8Array(1))), (e) => e === EFAULT);
});

test("mmap fills the highest gap that fits, and leaves the one below a stack", () => {
  const t = start();
  t.mm.mmapBase = 0x7000_0000;
  const at = (page: number): number => 0x7000_0000 - page * PAGE_SIZE;
  assert.equal(map(t, 2 * PAGE_SIZE), at(2));
  assert.equal(map(t, PAGE_SIZE, PROT_READ), at(3));
  map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED, at(8));
  assert.equal(map(t, 4 * PAGE_SIZE, PROT_READ), at(7), "between two areas");
  assert.equal(map(t, 4 * PAGE_SIZE, PROT_NONE), at(12), "below all");
  t.mm.munmap(at(2), PAGE_SIZE);
  assert.equal(map(t, PAGE_SIZE, PROT_NONE), at(2), "the hole");
  map(t, PAGE_SIZE, RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN, at(20));
  assert.equal(map(t, 8 * PAGE_SIZE, PROT_NONE), at(20) - (256 + 8) * PAGE_SIZE);
});

test("an address of any size is divided into page and offset", () => {
  for (
    const address of [
      0,
      4095,
      4096,
      2 ** 31 + 17,
      2 ** 32 - 1,
      2 ** 47 - 1,
      2 ** 52 + 4095,
      2 ** 63,
      2 ** 64 - 2048,
    ]
  ) {
    assert.equal(pageOffset(address), address % PAGE_SIZE);
    assert.equal(pageStart(address), address - address % PAGE_SIZE);
  }
});

test("a stretch without page tables ends at the next table, at the end that is asked for, or at the coarsest that is absent", () => {
  const { mm } = start();
  const GB4 = 2 ** 32;
  const base = 5 * GB4;
  const end = (from: number, to: number): number => absentEnd(mm.ram.u32, mm.root, from, to);
  assert.equal(end(base, base + 1), 2 ** 42);
  mm.pteFor(base);
  mm.pteFor(base + 300 * LEAF_SPAN);
  assert.equal(end(base + LEAF_SPAN, base + GB4), base + 300 * LEAF_SPAN);
  assert.equal(end(base + LEAF_SPAN, base + 2 * LEAF_SPAN), base + 2 * LEAF_SPAN);
  assert.ok(end(base + 2 * LEAF_SPAN, base + 2 * LEAF_SPAN + PAGE_SIZE) >= base + 2 * LEAF_SPAN + PAGE_SIZE);
  assert.equal(end(base + 301 * LEAF_SPAN, base + 3 * GB4), base + GB4);
  assert.equal(end(base + GB4, base + 3 * GB4), base + 2 * GB4);
});
