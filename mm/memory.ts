// SPDX-License-Identifier: Apache-2.0
// Page faults: demand paging, copy on write, shared file pages, stack growth; and the copy of page tables for fork.
//
// A fault answers at once when everything it needs is in memory; else it is a generator that brings the page
// in and then starts again from the area, which may have changed while it slept.
// Sources: mmap(2), sigaction(2) (SEGV_*, BUS_*), Intel SDM 3A chapter 4 for what a fault means.

import { ACCESS_EXEC, ACCESS_WRITE } from "../include/linux/cpu.ts";
import type { AddressSpace } from "../include/linux/fs.ts";
import type { FaultSignal, Mm } from "../include/linux/mm_types.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { PROT_EXEC, PROT_NONE, PROT_WRITE, RLIMIT_AS, RLIMIT_STACK } from "../include/uapi/mman.ts";
import { ENOMEM, Errno } from "../lib/errno.ts";
import { PAGE_SIZE, pageStart, PTE_DIRTY, PTE_WRITE, TASK_SIZE } from "../virt/layout.ts";
import { ShmemMapping } from "./shmem.ts";
import { type FaultAnswer, type MmStruct, VM_LOCKED } from "./mm_struct.ts";
import { copyForChildren } from "./migrate.ts";
import { outOfMemory } from "./oom_kill.ts";
import { frameOf, LEAF_SPAN, leafEnd, PTE_FILE } from "./pgtable.ts";
import { ADVICE_DONTFORK, ADVICE_WIPEONFORK, STACK_GUARD_GAP, type VmaArea } from "./vma.ts";

const SIGSEGV = 11;
const SIGBUS = 7;
export const SEGV_MAPERR: FaultSignal = { signal: SIGSEGV, code: 1 };
export const SEGV_ACCERR: FaultSignal = { signal: SIGSEGV, code: 2 };
export const BUS_ADRERR: FaultSignal = { signal: SIGBUS, code: 2 };

/** Pages of a file mapped around a fault when they are cached. */
const FAULT_AROUND_PAGES = 16;
/** Most pages of anonymous memory given at once to a program that touches one after the other. */
const ANONYMOUS_BATCH_PAGES = 16;
/** Pages of a stack given at once below the one that is touched. */
const STACK_BATCH_PAGES = 7;

/** Serves a page fault. Answers undefined when the access can be made again. */
export function handleFault(
  mm: MmStruct,
  task: Task | undefined,
  address: number,
  access: number,
): FaultAnswer {
  if (!(address >= 0 && address < TASK_SIZE)) return SEGV_MAPERR;
  const page = pageStart(address);
  try {
    const area = mm.areas.find(page) ?? growStack(mm, task, page);
    if (area === undefined) return SEGV_MAPERR;
    if (!isAllowed(area, access)) return SEGV_ACCERR;
    const answer = faultIn(mm, area, page, access);
    if (!isSleeping(answer)) return answer;
    return finishFault(mm, task, answer, address, access);
  } catch (error) {
    if (error === ENOMEM) return retryAfterOom(mm, task, address, access);
    if (error instanceof Errno) return BUS_ADRERR;
    throw error;
  }
}

function isAllowed(area: VmaArea, access: number): boolean {
  if (access === ACCESS_WRITE) return (area.prot & PROT_WRITE) !== 0;
  if (access === ACCESS_EXEC) return (area.prot & PROT_EXEC) !== 0;
  return area.prot !== PROT_NONE;
}

function* finishFault(
  mm: MmStruct,
  task: Task | undefined,
  loading: Sleeps<FaultSignal | undefined>,
  address: number,
  access: number,
): Sleeps<FaultSignal | undefined> {
  mm.memory.majorFaults++;
  try {
    const signal = yield* loading;
    if (signal !== undefined) return signal;
  } catch (error) {
    if (error === ENOMEM) return yield* retryAfterOom(mm, task, address, access);
    if (error instanceof Errno) return BUS_ADRERR;
    throw error;
  }
  const again = handleFault(mm, task, address, access);
  return isSleeping(again) ? yield* again : again;
}

function* retryAfterOom(
  mm: MmStruct,
  task: Task | undefined,
  address: number,
  access: number,
): Sleeps<FaultSignal | undefined> {
  const outcome = yield* outOfMemory(mm.kernel, task);
  if (outcome === "victim") return undefined; // It dies of its pending SIGKILL before it touches anything.
  if (outcome === "hopeless") return BUS_ADRERR;
  const again = handleFault(mm, task, address, access);
  return isSleeping(again) ? yield* again : again;
}

/** An access just below a stack: the stack grows over it when the limits allow. */
function growStack(mm: MmStruct, task: Task | undefined, page: number): VmaArea | undefined {
  const area = mm.areas.findAtOrAbove(page);
  if (area === undefined || !area.isStack) return undefined;
  const limits = task?.group.rlimits;
  if (area.end - page > (limits?.[RLIMIT_STACK]?.soft ?? Infinity)) return undefined;
  const pages = (area.start - page) / PAGE_SIZE;
  if ((mm.totalPages + pages) * PAGE_SIZE > (limits?.[RLIMIT_AS]?.soft ?? Infinity)) return undefined;
  const below = mm.areas.below(area);
  if (below !== undefined && below.prot !== PROT_NONE && page - below.end < STACK_GUARD_GAP) return undefined;
  if (below !== undefined && page < below.end) return undefined;
  area.start = page;
  if (area.mapping === undefined && area.operations === undefined) area.offset = 0;
  mm.accountPages(area, pages);
  return area;
}

/** The area allows the access: makes the entry do so too. A generator brings in what is missing and then
 *  answers undefined; the fault is then taken again. */
function faultIn(mm: MmStruct, area: VmaArea, page: number, access: number): FaultAnswer {
  const pte = mm.pteFor(page);
  const entry = mm.ram.u32[pte]!;
  if (entry !== 0) return faultPresent(mm, area, page, pte, entry, access);
  mm.memory.minorFaults++;
  if (area.operations !== undefined) return faultOperations(mm, area, page, access);
  if (area.mapping === undefined) return faultAnonymous(mm, area, page, pte, access);
  return faultFile(mm, area, area.mapping, page, access);
}

function faultPresent(
  mm: MmStruct,
  area: VmaArea,
  page: number,
  pte: number,
  entry: number,
  access: number,
): FaultAnswer {
  const { ram } = mm;
  if (access !== ACCESS_WRITE || (entry & PTE_WRITE) !== 0) {
    // The machine holds an older translation, or the entry lacks a right that the area has gained.
    ram.u32[pte] = (entry & ~0xfff) | (entry & (PTE_FILE | PTE_WRITE | PTE_DIRTY)) | mm.readBits(area.prot);
    mm.flush(page, page + PAGE_SIZE);
    return undefined;
  }
  mm.memory.minorFaults++;
  if (area.isShared && area.mapping !== undefined) return makeShared(mm, area, area.mapping, page);
  if (area.isShared) {
    ram.u32[pte] = entry | PTE_WRITE | PTE_DIRTY;
    return undefined;
  }
  copyOnWrite(mm, area, page, pte, entry);
  return undefined;
}

/** A store to a private page: takes the page over when no one else has it, else a copy. */
function copyOnWrite(mm: MmStruct, area: VmaArea, page: number, pte: number, entry: number): void {
  const { frames } = mm.kernel;
  const frame = frameOf(entry);
  const bits = mm.readBits(area.prot) | PTE_WRITE | PTE_DIRTY;
  if ((entry & PTE_FILE) === 0 && (frames.references(frame) === 1 || copyForChildren(mm, page, entry))) {
    mm.ram.u32[pte] = frame | bits;
    return;
  }
  frames.get(frame); // Reclaim for the copy may take the entry away, but not the page.
  try {
    const copy = mm.frameFor(page, area, frame === mm.memory.zeroFrame ? "zero" : "any");
    if (frame !== mm.memory.zeroFrame) mm.ram.u8.copyWithin(copy, frame, frame + PAGE_SIZE);
    if (mm.ram.u32[pte] !== 0) mm.dropPage(entry);
    mm.install(pte, copy, bits);
  } finally {
    frames.put(frame);
  }
  mm.flush(page, page + PAGE_SIZE);
}

function faultAnonymous(mm: MmStruct, area: VmaArea, page: number, pte: number, access: number): undefined {
  const { frames } = mm.kernel;
  const bits = mm.readBits(area.prot);
  if (access !== ACCESS_WRITE) {
    frames.get(mm.memory.zeroFrame);
    mm.install(pte, mm.memory.zeroFrame, bits);
    return;
  }
  let first = page;
  let last = page + PAGE_SIZE;
  if (frames.freePages > 8 * ANONYMOUS_BATCH_PAGES) {
    if (area.isStack) {
      first = Math.max(area.start, leafEnd(page) - LEAF_SPAN, page - STACK_BATCH_PAGES * PAGE_SIZE);
    }
    area.batch = page === area.nextFault ? Math.min(area.batch * 2, ANONYMOUS_BATCH_PAGES) : 1;
    last = Math.min(area.end, leafEnd(page), page + area.batch * PAGE_SIZE);
  }
  installAnonymous(mm, area, page, pte, bits);
  // A stack grows downwards, all else upwards.
  for (let at = page - PAGE_SIZE, i = pte - 1; at >= first && mm.ram.u32[i] === 0; i--, at -= PAGE_SIZE) {
    installAnonymous(mm, area, at, i, bits);
  }
  area.nextFault = page + PAGE_SIZE;
  for (let i = pte + 1; area.nextFault < last && mm.ram.u32[i] === 0; i++) {
    installAnonymous(mm, area, area.nextFault, i, bits);
    area.nextFault += PAGE_SIZE;
  }
}

function installAnonymous(mm: MmStruct, area: VmaArea, page: number, pte: number, bits: number): void {
  mm.install(pte, mm.frameFor(page, area, "zero"), bits | PTE_WRITE | PTE_DIRTY);
}

function faultOperations(mm: MmStruct, area: VmaArea, page: number, access: number): FaultAnswer {
  const offset = area.offset + (page - area.start);
  const answer = area.operations!.fault(
    area,
    offset,
    access === ACCESS_WRITE ? 1 : access === ACCESS_EXEC ? 2 : 0,
  );
  if (isSleeping(answer)) return awaitOperations(answer);
  if (answer === 0) return BUS_ADRERR;
  installBacked(mm, area, page, answer, access);
  return undefined;
}
function* awaitOperations(loading: Sleeps<number>): Sleeps<FaultSignal | undefined> {
  return (yield* loading) === 0 ? BUS_ADRERR : undefined;
}

/** Maps a frame of a device, or copies it for a store to a private mapping. */
function installBacked(mm: MmStruct, area: VmaArea, page: number, frame: number, access: number): void {
  const { frames } = mm.kernel;
  const pte = mm.pteFor(page);
  const bits = mm.readBits(area.prot);
  if (!area.isShared && access === ACCESS_WRITE) {
    const copy = frames.allocDirty();
    mm.ram.u8.copyWithin(copy, frame, frame + PAGE_SIZE);
    mm.install(pte, copy, bits | PTE_WRITE | PTE_DIRTY);
    return;
  }
  frames.get(frame);
  const isWritable = area.isShared && (area.prot & PROT_WRITE) !== 0;
  mm.install(pte, frame, bits | PTE_FILE | (isWritable ? PTE_WRITE | PTE_DIRTY : 0));
}

function faultFile(
  mm: MmStruct,
  area: VmaArea,
  mapping: AddressSpace,
  page: number,
  access: number,
): FaultAnswer {
  const index = (area.offset + (page - area.start)) / PAGE_SIZE;
  if (index * PAGE_SIZE >= mapping.inode.size) return BUS_ADRERR;
  if (area.isShared && access === ACCESS_WRITE) return makeShared(mm, area, mapping, page);
  const cached = mapping.find(index);
  if (cached === 0) {
    const answer = mapping.read(index);
    if (isSleeping(answer)) return awaitPage(answer);
    if (answer === 0) return BUS_ADRERR;
    return installFile(mm, area, mapping, page, answer, access);
  }
  return installFile(mm, area, mapping, page, cached, access);
}

function* awaitPage(loading: Sleeps<number>): Sleeps<FaultSignal | undefined> {
  return (yield* loading) === 0 ? BUS_ADRERR : undefined;
}

function installFile(
  mm: MmStruct,
  area: VmaArea,
  mapping: AddressSpace,
  page: number,
  frame: number,
  access: number,
): undefined {
  const { frames } = mm.kernel;
  frames.get(frame); // Reclaim for a table or a copy must not take it away.
  let pte: number;
  try {
    pte = mm.pteFor(page);
    if (access === ACCESS_WRITE) {
      const copy = mm.frameFor(page, area, "any");
      mm.ram.u8.copyWithin(copy, frame, frame + PAGE_SIZE);
      mm.install(pte, copy, mm.readBits(area.prot) | PTE_WRITE | PTE_DIRTY);
      frames.put(frame);
      return;
    }
  } catch (error) {
    frames.put(frame);
    throw error;
  }
  mm.install(pte, frame, fileBits(mm, area, mapping));
  faultAround(mm, area, mapping, page);
}

/** Pages of memory files never need to be cleaned, so they are writable from the first touch. */
function fileBits(mm: MmStruct, area: VmaArea, mapping: AddressSpace): number {
  const isWritable = area.isShared && (area.prot & PROT_WRITE) !== 0 && mapping instanceof ShmemMapping;
  return mm.readBits(area.prot) | PTE_FILE | (isWritable ? PTE_WRITE | PTE_DIRTY : 0);
}

/** Maps the neighbours that are cached: programs fault their text in by the dozen. */
function faultAround(mm: MmStruct, area: VmaArea, mapping: AddressSpace, page: number): void {
  const { frames } = mm.kernel;
  const { u32 } = mm.ram;
  const span = FAULT_AROUND_PAGES * PAGE_SIZE;
  const window = page - (page & (span - 1));
  const start = Math.max(area.start, window);
  const end = Math.min(area.end, window + span, area.start - area.offset + mapping.inode.size);
  const bits = fileBits(mm, area, mapping);
  let pte = mm.pteFor(page) - (page - start) / PAGE_SIZE;
  let index = (area.offset + (start - area.start)) / PAGE_SIZE;
  for (let address = start; address < end; address += PAGE_SIZE, pte++, index++) {
    if (u32[pte] !== 0) continue;
    const frame = mapping.find(index);
    if (frame === 0) continue;
    frames.get(frame);
    mm.install(pte, frame, bits);
  }
}

/** A store to a shared file page: the file system hears of it first, then the entry becomes writable. */
function makeShared(mm: MmStruct, area: VmaArea, mapping: AddressSpace, page: number): FaultAnswer {
  const index = (area.offset + (page - area.start)) / PAGE_SIZE;
  if (index * PAGE_SIZE >= mapping.inode.size) return BUS_ADRERR;
  const answer = mapping.makeWritable(index);
  if (isSleeping(answer)) return awaitPage(answer);
  if (answer === 0) return BUS_ADRERR;
  const { frames } = mm.kernel;
  frames.get(answer);
  const pte = mm.pteFor(page);
  const entry = mm.ram.u32[pte]!;
  mm.ram.u32[pte] = 0;
  if (entry !== 0) mm.dropPage(entry);
  mm.install(pte, answer, mm.readBits(area.prot) | PTE_FILE | PTE_WRITE | PTE_DIRTY);
  if (entry !== 0) mm.flush(page, page + PAGE_SIZE);
  else if (mapping instanceof ShmemMapping) faultAround(mm, area, mapping, page);
  return undefined;
}

/** A debugger's write: gives a page that the process may not write its own copy, still not writable by the process.
 *  Host address of the page, or 0 when even a debugger may not (a shared mapping without write permission).
 *  Precondition: the page is present. */
export function breakProtection(mm: MmStruct, page: number): number {
  const area = mm.areas.find(page);
  if (area === undefined || area.isShared || (area.maxProt & PROT_WRITE) === 0) return 0;
  const pte = mm.pteFor(page);
  const entry = mm.ram.u32[pte]!;
  if (entry === 0) return 0;
  if ((entry & PTE_WRITE) === 0) {
    copyOnWrite(mm, area, page, pte, entry);
    if ((area.prot & PROT_WRITE) === 0) mm.ram.u32[pte] = mm.ram.u32[pte]! & ~(PTE_WRITE | PTE_DIRTY);
  }
  return frameOf(mm.ram.u32[pte]!);
}

/** fork(2): fills `child` with copies of the areas of `parent`; private pages are shared until one side writes. */
export function copyAddressSpace(parent: MmStruct, child: MmStruct & Mm): void {
  parent.addChild(child);
  for (const area of parent.areas) {
    if ((area.advice & ADVICE_DONTFORK) !== 0) continue;
    const copy = area.copy(child, area.start, area.end);
    copy.offset = area.offset;
    copy.flags &= ~VM_LOCKED; // Locks are not inherited.
    child.areas.insert(copy);
    child.account(copy, 1);
    if ((area.advice & ADVICE_WIPEONFORK) !== 0) continue;
    // Area by area, so that the CPU keeps what it knows of pages of code.
    if (copyPages(parent, child, area)) parent.flush(area.start, area.end);
  }
}

/** True when pages of the parent were write-protected. */
function copyPages(parent: MmStruct, child: MmStruct, area: VmaArea): boolean {
  const { frames } = parent.kernel;
  const { zeroFrame } = parent.memory;
  const isPrivate = !area.isShared;
  let isChanged = false;
  parent.eachTable(area.start, area.end, (table, from, to, address) => {
    let target = 0;
    for (let i = from; i < to; i++) {
      if (parent.ram.u32[table + i] === 0) continue;
      // A new table may cost a reclaim, which may take the entry away: look at it afterwards.
      if (target === 0) target = child.pteFor(address) - from;
      let entry = parent.ram.u32[table + i]!;
      if (entry === 0) continue;
      if (isPrivate && (entry & PTE_WRITE) !== 0) {
        entry &= ~(PTE_WRITE | PTE_DIRTY);
        parent.ram.u32[table + i] = entry;
        isChanged = true;
      }
      const frame = frameOf(entry);
      frames.get(frame);
      parent.ram.u32[target + i] = entry;
      if (frame === zeroFrame) continue;
      if ((entry & PTE_FILE) !== 0) child.filePages++;
      else child.anonymousPages++;
    }
  });
  child.peakResidentPages = child.residentPages;
  return isChanged;
}
