// SPDX-License-Identifier: Apache-2.0
// mremap(2): growing, shrinking and moving an area by moving its page-table entries.

import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from "../include/uapi/mman.ts";
import { EFAULT, EINVAL, ENOMEM } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset, TASK_SIZE } from "../virt/layout.ts";
import {
  checkAddressSpace,
  checkCommit,
  checkLocked,
  findFree,
  type FullMm,
  insertArea,
  pageUp,
  populate,
  unmapRegion,
} from "./mmap.ts";
import { VM_LOCKED } from "./mm_struct.ts";
import type { VmaArea } from "./vma.ts";

export function* remapRegion(
  mm: FullMm,
  task: Task,
  address: number,
  oldBytes: number,
  newBytes: number,
  flags: number,
  newAddress: number,
): Sleeps<number> {
  checkArguments(address, newBytes, flags, newAddress);
  const oldLength = pageUp(oldBytes);
  const newLength = pageUp(newBytes);
  if (newLength > TASK_SIZE || oldLength > TASK_SIZE) throw ENOMEM;
  const isFixed = (flags & MREMAP_FIXED) !== 0;
  if (isFixed) {
    if (pageOffset(newAddress) !== 0 || newAddress > TASK_SIZE - newLength) throw EINVAL;
    if (newAddress < address + oldLength && address < newAddress + newLength) throw EINVAL;
  }
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldLength !== newLength) throw EINVAL;
  const area = mm.areas.find(address);
  if (area === undefined) throw EFAULT;
  if (oldLength === 0) {
    if (!area.isShared || (flags & MREMAP_MAYMOVE) === 0) throw EINVAL;
  } else if (address + oldLength > area.end) {
    if (!isFixed && newLength <= oldLength) return shrinkAcross(mm, address, oldLength, newLength);
    throw EFAULT;
  }
  const isMoved = isFixed || (flags & MREMAP_DONTUNMAP) !== 0;
  if (!isMoved && newLength <= oldLength && oldLength !== 0) {
    if (newLength < oldLength) unmapRegion(mm, address + newLength, oldLength - newLength);
    return address;
  }
  checkGrowth(mm, task, area, Math.max(0, newLength - oldLength) / PAGE_SIZE);
  if (!isMoved && oldLength !== 0 && growInPlace(mm, area, address, oldLength, newLength)) {
    if ((area.flags & VM_LOCKED) !== 0) yield* populate(mm, task, address + oldLength, address + newLength);
    return address;
  }
  if ((flags & MREMAP_MAYMOVE) === 0) throw ENOMEM;
  return yield* move(mm, task, address, oldLength, newLength, flags, newAddress);
}

function checkArguments(address: number, newBytes: number, flags: number, newAddress: number): void {
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) throw EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 && (flags & MREMAP_MAYMOVE) === 0) throw EINVAL;
  if (pageOffset(address) !== 0 || newBytes === 0) throw EINVAL;
  if ((flags & MREMAP_FIXED) !== 0 && !(newAddress >= 0)) throw EINVAL;
}

function shrinkAcross(mm: FullMm, address: number, oldLength: number, newLength: number): number {
  if (newLength < oldLength) unmapRegion(mm, address + newLength, oldLength - newLength);
  return address;
}

function checkGrowth(mm: FullMm, task: Task, area: VmaArea, pages: number): void {
  checkAddressSpace(mm, task, pages);
  if (area.isAccounted) checkCommit(mm, pages);
  if ((area.flags & VM_LOCKED) !== 0) checkLocked(mm, task, pages);
}

function growInPlace(
  mm: FullMm,
  area: VmaArea,
  address: number,
  oldLength: number,
  newLength: number,
): boolean {
  if (address + oldLength !== area.end) return false;
  const end = address + newLength;
  if (end > TASK_SIZE || mm.areas.intersects(area.end, end)) return false;
  const added = (end - area.end) / PAGE_SIZE;
  area.end = end;
  mm.accountPages(area, added);
  mm.areas.mergeAround(area.start, area.end);
  return true;
}

function* move(
  mm: FullMm,
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress: number,
): Sleeps<number> {
  const isFixed = (flags & MREMAP_FIXED) !== 0;
  if (isFixed) unmapRegion(mm, newAddress, newLength);
  if (newLength < oldLength) {
    unmapRegion(mm, address + newLength, oldLength - newLength);
    return yield* move(mm, task, address, newLength, newLength, flags, newAddress);
  }
  const target = isFixed ? newAddress : findFree(mm, task, newAddress, newLength, 0);
  const area = mm.areas.find(address);
  if (area === undefined) throw EFAULT;
  const moved = area.copy(mm, address, address + newLength); // Rights and offset of the old place...
  moved.start = target; // ...at the new one.
  moved.end = target + newLength;
  if (oldLength === 0) {
    insertArea(mm, moved);
    return target;
  }
  mm.areas.splitAt(address);
  mm.areas.splitAt(address + oldLength);
  moveEntries(mm, address, target, oldLength);
  insertArea(mm, moved);
  if ((flags & MREMAP_DONTUNMAP) === 0) unmapRegion(mm, address, oldLength);
  if ((moved.flags & VM_LOCKED) !== 0) yield* populate(mm, task, target, target + newLength);
  return target;
}

function moveEntries(mm: FullMm, from: number, to: number, length: number): void {
  mm.eachTable(from, from + length, (table, first, last, address) => {
    for (let i = first; i < last; i++) {
      if (mm.ram.u32[table + i] === 0) continue;
      const pte = mm.pteFor(address + (i - first) * PAGE_SIZE - from + to); // Before the entry is read: may reclaim.
      const entry = mm.ram.u32[table + i]!;
      mm.ram.u32[table + i] = 0;
      mm.ram.u32[pte] = entry;
    }
  });
  mm.flush(from, from + length);
}
