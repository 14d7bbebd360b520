// SPDX-License-Identifier: Apache-2.0
// madvise, msync, mincore, mlock: what a program says about its pages, and asks about them.
// Sources: madvise(2), msync(2), mincore(2), mlock(2).

import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  PROT_WRITE,
} from "../include/uapi/mman.ts";
import { EACCES, EBUSY, EFAULT, EINVAL, ENOMEM, EPERM } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset, pageStart, TASK_SIZE } from "../virt/layout.ts";
import { checkLocked, type FullMm, pageUp, populate } from "./mmap.ts";
import { VM_LOCKED } from "./mm_struct.ts";
import { readPte } from "./pgtable.ts";
import { ShmemMapping } from "./shmem.ts";
import {
  ADVICE_DONTDUMP,
  ADVICE_DONTFORK,
  ADVICE_RANDOM,
  ADVICE_SEQUENTIAL,
  ADVICE_WIPEONFORK,
  type VmaArea,
} from "./vma.ts";

const CAP_IPC_LOCK = 1n << 14n;
const RLIMIT_MEMLOCK = 8;

/** Calls `act` for the parts of areas in the range, in order; answers whether there was a hole. */
function forEachPart(
  mm: FullMm,
  start: number,
  end: number,
  act: (area: VmaArea, from: number, to: number) => void,
): boolean {
  let expected = start;
  let hasHole = false;
  for (const area of mm.areas.intersecting(start, end)) {
    if (area.start > expected) hasHole = true;
    expected = area.end;
    act(area, Math.max(start, area.start), Math.min(end, area.end));
  }
  return hasHole || expected < end;
}

/** Cuts areas so that [from, to) is one of its own, changes it, joins it again. */
function changeArea(mm: FullMm, from: number, to: number, change: (area: VmaArea) => void): void {
  mm.areas.splitAt(from);
  mm.areas.splitAt(to);
  const area = mm.areas.find(from)!;
  mm.account(area, -1);
  change(area);
  mm.account(area, 1);
  mm.areas.mergeAround(from, to);
}

function checkRange(address: number, lengthBytes: number): number {
  if (pageOffset(address) !== 0) throw EINVAL;
  const length = pageUp(lengthBytes);
  if (!(address + length <= TASK_SIZE)) throw EINVAL;
  return address + length;
}

export function* adviseRegion(
  mm: FullMm,
  task: Task,
  address: number,
  length: number,
  advice: number,
): Sleeps<number> {
  const action = actionFor(mm, advice);
  const end = checkRange(address, length);
  if (end === address) return 0;
  if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
    return yield* populateStrictly(mm, task, address, end, advice === MADV_POPULATE_WRITE ? 1 : 0);
  }
  if (advice === MADV_WILLNEED) yield* readAhead(mm, address, end);
  if (forEachPart(mm, address, end, action)) throw ENOMEM;
  return 0;
}

type PartAction = (area: VmaArea, from: number, to: number) => void;

function actionFor(mm: FullMm, advice: number): PartAction {
  const set = (bits: number, clear: number): PartAction => (_area, from, to) =>
    changeArea(mm, from, to, (part) => {
      part.advice = (part.advice & ~clear) | bits;
    });
  switch (advice) {
    case MADV_NORMAL:
      return set(0, ADVICE_SEQUENTIAL | ADVICE_RANDOM);
    case MADV_RANDOM:
      return set(ADVICE_RANDOM, ADVICE_SEQUENTIAL);
    case MADV_SEQUENTIAL:
      return set(ADVICE_SEQUENTIAL, ADVICE_RANDOM);
    case MADV_DONTFORK:
      return set(ADVICE_DONTFORK, 0);
    case MADV_DOFORK:
      return set(0, ADVICE_DONTFORK);
    case MADV_DONTDUMP:
      return set(ADVICE_DONTDUMP, 0);
    case MADV_DODUMP:
      return set(0, ADVICE_DONTDUMP);
    case MADV_KEEPONFORK:
      return set(0, ADVICE_WIPEONFORK);
    case MADV_WIPEONFORK:
      return (area, from, to) => {
        if (area.mapping !== undefined || area.isShared) throw EINVAL;
        set(ADVICE_WIPEONFORK, 0)(area, from, to);
      };
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      return (area, from, to) => {
        if ((area.flags & VM_LOCKED) !== 0 && advice === MADV_DONTNEED) throw EINVAL;
        mm.zap(from, to);
      };
    case MADV_FREE:
      return (area, from, to) => {
        if (area.mapping !== undefined || area.operations !== undefined) throw EINVAL;
        mm.zap(from, to); // Lazily on Linux; a program may not count on either.
      };
    case MADV_REMOVE:
      return (area, from, to) => punch(area, from, to);
    case MADV_WILLNEED:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case MADV_COLLAPSE:
      return () => {};
    default:
      throw EINVAL;
  }
}

function punch(area: VmaArea, from: number, to: number): void {
  if (!(area.mapping instanceof ShmemMapping) || (area.flags & VM_LOCKED) !== 0) throw EINVAL;
  if (!area.isShared || (area.maxProt & PROT_WRITE) === 0) throw EACCES;
  area.mapping.punchHole(area.offset + from - area.start, area.offset + to - area.start);
}

function* readAhead(mm: FullMm, start: number, end: number): Sleeps<void> {
  for (const area of mm.areas.intersecting(start, end)) {
    const { mapping } = area;
    if (mapping === undefined || mapping instanceof ShmemMapping) continue;
    const first = (area.offset + Math.max(start, area.start) - area.start) / PAGE_SIZE;
    const last = first + (Math.min(end, area.end) - Math.max(start, area.start)) / PAGE_SIZE;
    for (let index = first; index < last && index * PAGE_SIZE < mapping.inode.size; index++) {
      const answer = mapping.read(index);
      if (isSleeping(answer)) yield* answer;
    }
  }
}

function* populateStrictly(
  mm: FullMm,
  task: Task,
  start: number,
  end: number,
  access: 0 | 1,
): Sleeps<number> {
  for (let page = start; page < end; page += PAGE_SIZE) {
    if (mm.user.translate(page, access) !== 0) continue;
    const answer = mm.handleFault(task, page, access);
    const signal = isSleeping(answer) ? yield* answer : answer;
    if (signal === undefined) continue;
    if (mm.areas.find(page) === undefined) throw ENOMEM;
    throw signal.signal === 7 ? EFAULT : EINVAL;
  }
  return 0;
}

/** msync(2). */
export function syncRegion(
  mm: FullMm,
  address: number,
  lengthBytes: number,
  flags: number,
): number | Sleeps<number> {
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0) throw EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) throw EINVAL;
  if (pageOffset(address) !== 0) throw EINVAL;
  const end = address + pageUp(lengthBytes);
  if (!(end <= TASK_SIZE)) throw ENOMEM;
  return syncAreas(mm, address, end, flags, false);
}

/** `hadHole`: something before `start` was not mapped, which is said when the rest is done. */
function syncAreas(
  mm: FullMm,
  start: number,
  end: number,
  flags: number,
  hadHole: boolean,
): number | Sleeps<number> {
  let expected = start;
  let hasHole = hadHole;
  for (const area of mm.areas.intersecting(start, end)) {
    if (area.start > expected) hasHole = true;
    expected = area.end;
    if ((flags & MS_INVALIDATE) !== 0 && (area.flags & VM_LOCKED) !== 0) throw EBUSY;
    if ((flags & MS_SYNC) === 0 || !area.isShared || area.mapping === undefined) continue;
    const from = Math.max(start, area.start);
    const answer = area.mapping.writeBack(
      area.offset + from - area.start,
      area.offset + Math.min(end, area.end) - area.start,
    );
    if (isSleeping(answer)) return syncAfter(answer, mm, area.end, end, flags, hasHole);
  }
  if (hasHole || expected < end) throw ENOMEM;
  return 0;
}

function* syncAfter(
  writing: Sleeps<void>,
  mm: FullMm,
  start: number,
  end: number,
  flags: number,
  hadHole: boolean,
): Sleeps<number> {
  yield* writing;
  const rest = syncAreas(mm, start, end, flags, hadHole);
  return isSleeping(rest) ? yield* rest : rest;
}

/** mincore(2): one byte a page, 1 when it is in memory. Throws ENOMEM for a hole. */
export function residency(mm: FullMm, address: number, pages: number): Uint8Array {
  const bytes = new Uint8Array(pages);
  const isHoley = forEachPart(mm, address, address + pages * PAGE_SIZE, (area, from, to) => {
    for (let page = from; page < to; page += PAGE_SIZE) {
      const isMapped = readPte(mm.ram.u32, mm.root, page) !== 0;
      const index = (area.offset + page - area.start) / PAGE_SIZE;
      bytes[(page - address) / PAGE_SIZE] = isMapped || (area.mapping?.find(index) ?? 0) !== 0 ? 1 : 0;
    }
  });
  if (isHoley) throw ENOMEM;
  return bytes;
}

export function* lockRegion(
  mm: FullMm,
  task: Task,
  address: number,
  lengthBytes: number,
  how: "lock" | "onfault" | "unlock",
): Sleeps<number> {
  const start = pageStart(address);
  const end = pageUp(address + lengthBytes);
  if (!(end <= TASK_SIZE)) throw lengthBytes > TASK_SIZE ? EINVAL : ENOMEM;
  if (start === end) return 0;
  if (how !== "unlock") {
    checkMayLock(task);
    try {
      checkLocked(mm, task, (end - start) / PAGE_SIZE);
    } catch {
      throw ENOMEM;
    }
  }
  const isHoley = forEachPart(mm, start, end, (_area, from, to) => setLocked(mm, from, to, how !== "unlock"));
  if (isHoley) throw ENOMEM;
  if (how === "lock") yield* populate(mm, task, start, end);
  return 0;
}

export function* lockAll(mm: FullMm, task: Task, flags: number): Sleeps<number> {
  if (flags === 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === MCL_ONFAULT) {
    throw EINVAL;
  }
  checkMayLock(task);
  const limit = task.group.rlimits[RLIMIT_MEMLOCK]!.soft;
  const mayExceed = (task.cred.capEffective & CAP_IPC_LOCK) !== 0n;
  if ((flags & MCL_CURRENT) !== 0 && !mayExceed && mm.totalPages * PAGE_SIZE > limit) throw ENOMEM;
  mm.lockFuture = (flags & MCL_FUTURE) !== 0 ? VM_LOCKED : 0;
  if ((flags & MCL_CURRENT) === 0) return 0;
  for (const area of mm.areas.snapshot()) setLocked(mm, area.start, area.end, true);
  if ((flags & MCL_ONFAULT) === 0) yield* populate(mm, task, 0, TASK_SIZE);
  return 0;
}

export function unlockAll(mm: FullMm): number {
  mm.lockFuture = 0;
  for (const area of mm.areas.snapshot()) setLocked(mm, area.start, area.end, false);
  return 0;
}

function checkMayLock(task: Task): void {
  if ((task.cred.capEffective & CAP_IPC_LOCK) !== 0n) return;
  if (task.group.rlimits[RLIMIT_MEMLOCK]!.soft === 0) throw EPERM;
}

function setLocked(mm: FullMm, from: number, to: number, isLocked: boolean): void {
  const area = mm.areas.find(from);
  if (area === undefined || ((area.flags & VM_LOCKED) !== 0) === isLocked) return;
  changeArea(mm, Math.max(from, area.start), Math.min(to, area.end), (part) => {
    part.flags = isLocked ? part.flags | VM_LOCKED : part.flags & ~VM_LOCKED;
  });
}
