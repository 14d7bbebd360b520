// SPDX-License-Identifier: Apache-2.0
// mmap, munmap, mprotect, brk: making, cutting and changing areas.
//
// Every check comes before the first change, so a call that fails leaves the address space as it was; the
// exception is Linux's own: MAP_FIXED unmaps what it replaces before the file is asked.
// Sources: mmap(2), munmap(2), mprotect(2), brk(2), getrlimit(2), proc(5) on overcommit_memory.

import type { File } from "../include/linux/fs.ts";
import type { Mm } from "../include/linux/mm_types.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  MAP_32BIT,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_AS,
  RLIMIT_DATA,
  RLIMIT_MEMLOCK,
} from "../include/uapi/mman.ts";
import { EACCES, EAGAIN, EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset, pageStart, TASK_SIZE } from "../virt/layout.ts";
import { type MmStruct, VM_LOCKED } from "./mm_struct.ts";
import { createSharedAnonymous } from "./shmem_file.ts";
import { STACK_GUARD_GAP, VmaArea } from "./vma.ts";

/** vm.mmap_min_addr: only CAP_SYS_RAWIO may map below. */
export const MMAP_MIN_ADDRESS = 0x1_0000;
/** vm.max_map_count. */
export const MAX_MAP_COUNT = 65530;
/** The kernel's loff_t ends here. An offset beyond 2^53 is rounded, and beyond the end of any file either way. */
const OFFSET_END = 2 ** 63;
const MS_NOEXEC = 8;
const CAP_SYS_RAWIO = 1n << 17n;
const CAP_IPC_LOCK = 1n << 14n;
/** What an area's flags keep of mmap's. */
const KEPT_FLAGS = MAP_SHARED | MAP_PRIVATE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE;

export type FullMm = MmStruct & Mm;

export function pageUp(value: number): number {
  return Math.ceil(value / PAGE_SIZE) * PAGE_SIZE;
}
export function pageDown(value: number): number {
  return pageStart(value);
}

export function* mmapRegion(
  mm: FullMm,
  task: Task,
  hint: number,
  lengthBytes: number,
  prot: number,
  flags: number,
  file: File | undefined,
  offset: number,
): Sleeps<number> {
  if (lengthBytes === 0) throw EINVAL;
  const length = pageUp(lengthBytes);
  if (length > TASK_SIZE) throw ENOMEM;
  if (pageOffset(offset) !== 0) throw EINVAL;
  if (offset + length >= OFFSET_END) throw EOVERFLOW;
  if (mm.areas.count >= MAX_MAP_COUNT) throw ENOMEM;
  const area = describe(mm, task, length, prot, flags, file);
  area.offset = file === undefined ? 0 : offset;
  const address = chooseAddress(mm, task, hint, length, flags);
  checkLimits(mm, task, area, length, flags, address);
  area.end = address + length;
  area.start = address;
  if (mm.areas.intersects(address, address + length)) unmapRegion(mm, address, length);
  if (file !== undefined) {
    area.file = file.get();
    try {
      const answer = file.mmap(task, area);
      if (isSleeping(answer)) yield* answer;
    } catch (error) {
      file.put();
      throw error;
    }
  } else if (area.isShared) {
    area.file = createSharedAnonymous(mm.kernel, length);
    area.file.mmap(task, area);
  }
  insertArea(mm, area);
  if ((area.flags & VM_LOCKED) !== 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE) {
    yield* populate(mm, task, address, address + length);
  }
  return address;
}

/** Enters an area into the books and the list; joins it with its neighbours. */
export function insertArea(mm: FullMm, area: VmaArea): void {
  mm.areas.insert(area);
  mm.account(area, 1);
  mm.areas.mergeAround(area.start, area.end);
}

/** The area that mmap(2) asks for, without its place. Throws for rights that the file does not give. */
function describe(
  mm: FullMm,
  task: Task,
  length: number,
  protAsked: number,
  flags: number,
  file: File | undefined,
): VmaArea {
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) throw EINVAL;
  if ((flags & MAP_HUGETLB) !== 0 && file === undefined) throw ENOMEM; // There is no pool of huge pages.
  const isShared = type !== MAP_PRIVATE;
  let prot = protAsked & (PROT_READ | PROT_WRITE | PROT_EXEC);
  if ((task.personality & READ_IMPLIES_EXEC) !== 0 && (prot & PROT_READ) !== 0) prot |= PROT_EXEC;
  let maxProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  if (file !== undefined) {
    if (!file.isReadable) throw EACCES;
    if (isShared && !file.isWritable) {
      if ((prot & PROT_WRITE) !== 0) throw EACCES;
      maxProt &= ~PROT_WRITE;
    }
    if (file.path !== undefined && (file.path.mount.flags & MS_NOEXEC) !== 0) {
      if ((protAsked & PROT_EXEC) !== 0) throw EPERM;
      maxProt &= ~PROT_EXEC;
      prot &= ~PROT_EXEC;
    }
    if ((flags & MAP_GROWSDOWN) !== 0) throw EINVAL;
  } else if (isShared && (flags & MAP_GROWSDOWN) !== 0) {
    throw EINVAL;
  } else if (type === MAP_SHARED_VALIDATE) {
    throw EINVAL;
  }
  const kept = (flags & KEPT_FLAGS & ~MAP_TYPE) | (isShared ? MAP_SHARED : MAP_PRIVATE) | mm.lockFuture;
  const area = new VmaArea(mm, 0, length, prot, maxProt, kept);
  area.isAccounted = (flags & MAP_NORESERVE) === 0 && isCommitted(area, file === undefined);
  return area;
}

const READ_IMPLIES_EXEC = 0x040_0000;
const ADDR_COMPAT_LAYOUT = 0x020_0000;

function isCommitted(area: VmaArea, isAnonymous: boolean): boolean {
  return area.isShared ? isAnonymous : (area.prot & PROT_WRITE) !== 0;
}

/** Where the area goes: the fixed place, the hint when it is free, or a gap below mmapBase. */
function chooseAddress(mm: FullMm, task: Task, hint: number, length: number, flags: number): number {
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    if (pageOffset(hint) !== 0) throw EINVAL;
    if (hint + length > TASK_SIZE) throw ENOMEM;
    if (hint < MMAP_MIN_ADDRESS && (task.cred.capEffective & CAP_SYS_RAWIO) === 0n) throw EPERM;
    if ((flags & MAP_FIXED_NOREPLACE) !== 0 && mm.areas.intersects(hint, hint + length)) throw EEXIST;
    return hint;
  }
  return findFree(mm, task, hint, length, flags);
}

/** A free range: at the hint if it is free, else below mmapBase, else anywhere. Throws ENOMEM. */
export function findFree(mm: FullMm, task: Task, hint: number, length: number, flags: number): number {
  if (hint !== 0) {
    const wanted = pageUp(Math.max(pageDown(Math.min(hint, TASK_SIZE)), MMAP_MIN_ADDRESS));
    if (wanted + length <= TASK_SIZE && isFree(mm, wanted, length)) return wanted;
  }
  let address: number;
  if ((flags & MAP_32BIT) !== 0) {
    address = mm.areas.findGapAbove(length, 0x4000_0000, 0x8000_0000);
  } else if ((task.personality & ADDR_COMPAT_LAYOUT) !== 0) {
    address = mm.areas.findGapAbove(length, pageUp(TASK_SIZE / 3), TASK_SIZE);
  } else {
    address = mm.areas.findGapBelow(length, MMAP_MIN_ADDRESS, mm.mmapBase);
    if (address < 0) address = mm.areas.findGapAbove(length, pageUp(TASK_SIZE / 3), TASK_SIZE);
  }
  if (address < 0) throw ENOMEM;
  return address;
}

function isFree(mm: FullMm, address: number, length: number): boolean {
  const next = mm.areas.findAtOrAbove(address);
  if (next === undefined) return true;
  return address + length <= (next.isStack ? next.start - STACK_GUARD_GAP : next.start);
}

function checkLimits(
  mm: FullMm,
  task: Task,
  area: VmaArea,
  length: number,
  flags: number,
  address: number,
): void {
  const replaced = (flags & MAP_FIXED) === 0 ? 0 : mappedPages(mm, address, address + length);
  checkAddressSpace(mm, task, length / PAGE_SIZE - replaced);
  if (!area.isShared && (area.prot & PROT_WRITE) !== 0 && !area.isStack) {
    checkData(mm, task, length / PAGE_SIZE);
  }
  if (area.isAccounted) checkCommit(mm, length / PAGE_SIZE);
  if ((area.flags & VM_LOCKED) !== 0) checkLocked(mm, task, length / PAGE_SIZE);
}

export function checkAddressSpace(mm: MmStruct, task: Task, pages: number): void {
  if ((mm.totalPages + pages) * PAGE_SIZE > task.group.rlimits[RLIMIT_AS]!.soft) throw ENOMEM;
}
function checkData(mm: MmStruct, task: Task, pages: number): void {
  if ((mm.dataPages + pages) * PAGE_SIZE > task.group.rlimits[RLIMIT_DATA]!.soft) throw ENOMEM;
}
export function checkLocked(mm: MmStruct, task: Task, pages: number): void {
  if ((task.cred.capEffective & CAP_IPC_LOCK) !== 0n) return;
  if ((mm.lockedPages + pages) * PAGE_SIZE > task.group.rlimits[RLIMIT_MEMLOCK]!.soft) throw EAGAIN;
}

/** vm.overcommit_memory: 0 refuses what could never be, 1 nothing, 2 what exceeds the ratio. */
export function checkCommit(mm: MmStruct, pages: number): void {
  const { memory } = mm;
  const total = mm.kernel.frames.totalPages;
  if (memory.overcommitMode === 1) return;
  if (memory.overcommitMode === 0) {
    if (pages > total) throw ENOMEM;
    return;
  }
  if (memory.committedPages + pages > total * memory.overcommitRatio / 100) throw ENOMEM;
}

function mappedPages(mm: MmStruct, start: number, end: number): number {
  let pages = 0;
  for (const area of mm.areas.intersecting(start, end)) {
    pages += (Math.min(area.end, end) - Math.max(area.start, start)) / PAGE_SIZE;
  }
  return pages;
}

/** munmap(2) after its argument checks. */
export function unmapRegion(mm: FullMm, address: number, length: number): void {
  const end = address + length;
  const touched = mm.areas.intersecting(address, end);
  if (touched.length === 0) return;
  const cuts = Number(touched[0]!.start < address) + Number(touched.at(-1)!.end > end);
  if (cuts > 0 && mm.areas.count + cuts > MAX_MAP_COUNT + 1) throw ENOMEM;
  mm.areas.splitAt(address);
  mm.areas.splitAt(end);
  mm.zap(address, end);
  for (const area of mm.areas.intersecting(address, end)) {
    mm.account(area, -1);
    mm.areas.remove(area);
  }
}

export function munmapChecked(mm: FullMm, address: number, lengthBytes: number): void {
  if (pageOffset(address) !== 0 || lengthBytes === 0) throw EINVAL;
  const length = pageUp(lengthBytes);
  if (length > TASK_SIZE || address > TASK_SIZE - length) throw EINVAL;
  unmapRegion(mm, address, length);
}

/** mprotect(2). Areas before a hole are changed even though the call then fails, as on Linux. */
export function protectRegion(mm: FullMm, address: number, lengthBytes: number, protAsked: number): void {
  const length = pageUp(lengthBytes);
  if (pageOffset(address) !== 0) throw EINVAL;
  if (length === 0) return;
  const end = address + length;
  if (!(end <= TASK_SIZE)) throw ENOMEM;
  const prot = protAsked & (PROT_READ | PROT_WRITE | PROT_EXEC);
  let expected = address;
  for (const area of mm.areas.intersecting(address, end)) {
    if (area.start > expected) throw ENOMEM;
    expected = area.end;
    if ((prot & ~area.maxProt) !== 0) throw EACCES;
    const from = Math.max(area.start, address);
    const to = Math.min(area.end, end);
    protectArea(mm, from, to, prot);
  }
  if (expected < end) throw ENOMEM;
}

function protectArea(mm: FullMm, from: number, to: number, prot: number): void {
  if (mm.areas.find(from)?.prot === prot) return;
  if (mm.areas.count + 2 > MAX_MAP_COUNT) throw ENOMEM;
  mm.areas.splitAt(from);
  mm.areas.splitAt(to);
  const area = mm.areas.find(from)!;
  const becomesCommitted = !area.isAccounted && !area.isShared && (prot & PROT_WRITE) !== 0
    && (area.flags & MAP_NORESERVE) === 0;
  if (becomesCommitted) checkCommit(mm, area.pages);
  mm.account(area, -1);
  area.prot = prot;
  if (becomesCommitted) area.isAccounted = true;
  mm.account(area, 1);
  mm.protect(from, to, prot);
  mm.areas.mergeAround(from, to);
}

/** brk(2): the new end, or the old one when it cannot be. */
export function moveBreak(mm: FullMm, task: Task, brk: number): number {
  if (!(brk >= mm.startBrk)) return mm.brk;
  const from = pageUp(mm.brk);
  const to = pageUp(brk);
  if (to <= from) {
    if (to < from) unmapRegion(mm, to, from - to);
    mm.brk = brk;
    return brk;
  }
  try {
    const limit = task.group.rlimits[RLIMIT_DATA]!.soft;
    if (brk - mm.startBrk + (mm.endData - mm.startData) > limit) return mm.brk;
    if (to > TASK_SIZE || !isFree(mm, from, to - from + PAGE_SIZE)) return mm.brk;
    addHeap(mm, task, from, to);
  } catch (error) {
    if (error !== ENOMEM && error !== EAGAIN) throw error;
    return mm.brk;
  }
  mm.brk = brk;
  return brk;
}

function addHeap(mm: FullMm, task: Task, from: number, to: number): void {
  const pages = (to - from) / PAGE_SIZE;
  const area = new VmaArea(mm, from, to, PROT_READ | PROT_WRITE, 7, MAP_PRIVATE | mm.lockFuture);
  area.name = "[heap]";
  area.isAccounted = true;
  checkAddressSpace(mm, task, pages);
  checkData(mm, task, pages);
  checkCommit(mm, pages);
  if ((area.flags & VM_LOCKED) !== 0) checkLocked(mm, task, pages);
  insertArea(mm, area);
}

/** Faults in every page of [start, end) that an area allows; stops silently at what cannot be had. */
export function* populate(mm: FullMm, task: Task, start: number, end: number): Sleeps<void> {
  for (const area of mm.areas.intersecting(start, end)) {
    if (area.prot === PROT_NONE) continue;
    const access = !area.isShared && (area.prot & PROT_WRITE) !== 0 ? 1 : 0;
    const to = Math.min(end, area.end);
    for (let page = Math.max(start, area.start); page < to; page += PAGE_SIZE) {
      if (mm.user.translate(page, access) !== 0) continue;
      const answer = mm.handleFault(task, page, access);
      const signal = isSleeping(answer) ? yield* answer : answer;
      if (signal !== undefined) break;
    }
  }
}
