// SPDX-License-Identifier: Apache-2.0
// Memory management as other folders see it: page frames, address spaces, user access. Implemented in mm/.

import type { Access } from "./cpu.ts";
import type { AddressSpace, File } from "./fs.ts";
import type { Task } from "./sched.ts";
import type { IovIter } from "./uio.ts";
import type { Sleeps } from "./wait.ts";

/** Frames of 4 KiB in RAM, named by host address. Reference-counted: the page cache and each PTE hold one. */
export interface PageAllocator {
  readonly totalPages: number;
  readonly freePages: number;
  /** A zeroed frame with one reference. Throws ENOMEM after reclaim found nothing. */
  alloc(): number;
  /** The same, contents undefined. */
  allocDirty(): number;
  /** 2^order contiguous frames, zeroed. */
  allocOrder(order: number): number;
  /** That many frames, zeroed, with one reference each: one behind the other while there are blocks of such a size, which nobody is
   *  asked to give back. All or none: throws ENOMEM. */
  allocRun(count: number): number[];
  /** Host address of `count` blocks of 4 MiB, one behind the other, of which this caller alone is to take frames; -1 when there are none. Those
   *  from `wanted` on when they can be had; -1 to say nothing. */
  reserve(count: number, wanted: number): number;
  /** One frame of a reserved block, with one reference: itself, or -1 when it is taken or the block reserved no longer. */
  takeReserved(frame: number, contents: "zero" | "any"): number;
  /** Whether a block is reserved and no frame of it taken. */
  isUnused(block: number): boolean;
  /** What is not taken of a block is free again, for everybody. */
  unreserve(block: number): void;
  get(frame: number): void;
  put(frame: number): void;
  references(frame: number): number;
  /** The kernel changed bytes of the frame: drops code made from it. Cheap when there is none. */
  invalidate(frame: number): void;
  /** Whether code was made from the frame. */
  hasCode(frame: number): boolean;
  /** `shrinker(pages)` is asked for memory under pressure; returns how many frames it freed. Must not sleep. */
  addShrinker(shrinker: (pages: number) => number): void;
}

/** A virtual memory area [start, end) of one address space: page-aligned, same rights and backing throughout. */
export interface Vma {
  readonly mm: Mm;
  start: number;
  end: number;
  prot: number; // PROT_*
  maxProt: number; // what mprotect may give
  flags: number; // MAP_SHARED or MAP_PRIVATE, MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE
  file: File | undefined;
  /** Offset in the file of `start`, bytes. */
  offset: number;
  /** Page source of file mappings and of shared anonymous memory; undefined for private anonymous memory. */
  mapping: AddressSpace | undefined;
  /** "[heap]", "[stack]", "[vdso]" or undefined. */
  name: string | undefined;
  /** Fault behaviour of its own (devices, perf rings); the default serves `mapping`. */
  operations: VmaOperations | undefined;
}

export interface VmaOperations {
  /** Returns the frame for the page at `offset` bytes into the backing object; 0 means SIGBUS. */
  fault(vma: Vma, offset: number, access: Access): number | Sleeps<number>;
}

/** Result of Mm.handleFault: 0, or the signal with its si_code. */
export interface FaultSignal {
  readonly signal: number;
  readonly code: number;
}

/** An address space (mm_struct), shared by threads. */
export interface Mm {
  readonly id: number;
  /** Host address of the top page table. */
  readonly root: number;
  readonly user: UserAccess;
  users: number; // tasks that use it
  // Set by exec, read by /proc and prctl.
  startCode: number;
  endCode: number;
  startData: number;
  endData: number;
  startBrk: number;
  brk: number;
  startStack: number;
  argStart: number;
  argEnd: number;
  envStart: number;
  envEnd: number;
  auxv: Uint8Array;
  exeFile: File | undefined;
  dumpable: number;
  /** Resident and total pages, for /proc and RLIMIT_AS. */
  readonly residentPages: number;
  readonly peakResidentPages: number;
  readonly totalPages: number;

  findVma(address: number): Vma | undefined;
  vmas(): Iterable<Vma>;
  /** mmap(2) after argument checks; `address` is a hint or fixed by flags. Returns the address. */
  mmap(
    task: Task,
    address: number,
    length: number,
    prot: number,
    flags: number,
    file: File | undefined,
    offset: number,
  ): Sleeps<number>;
  munmap(address: number, length: number): void;
  mprotect(address: number, length: number, prot: number): void;
  mremap(
    task: Task,
    address: number,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddress: number,
  ): Sleeps<number>;
  setBrk(task: Task, brk: number): number;
  /** Serves a page fault of the guest or of uaccess. */
  handleFault(
    task: Task,
    address: number,
    access: Access,
  ): FaultSignal | undefined | Sleeps<FaultSignal | undefined>;
  /** Forgets the pages of [start, end): the next access faults again. */
  zap(start: number, end: number): void;
  /** As zap, but keeps the private copies that the process has made of file pages. */
  zapCached(start: number, end: number): void;
  /** Write-protects and cleans the pages of [start, end) of a shared file mapping, after write-back. */
  clean(start: number, end: number): void;
  /** A debugger's store: also into private pages that the program may not write. Throws EFAULT. */
  forceCopyOut(address: number, bytes: Uint8Array): Sleeps<void>;
  /** Brings private pages around an address into a row in RAM, as far as they can be. Whether any was moved. */
  gatherPages(address: number): boolean;
  /** fork(2): a copy with copy-on-write pages. */
  clone(task: Task): Mm;
  /** One user less; frees everything at zero. */
  put(): void;
}

/**
 * The one door to user memory. The try* forms are synchronous: they succeed when every page is present with the
 * right access, else do nothing and return false / undefined. The others fault pages in (and sleep) and throw EFAULT.
 * Addresses may be any number that came from a register; what is not a user address is EFAULT.
 */
export interface UserAccess {
  tryCopyIn(address: number, into: Uint8Array): boolean;
  tryCopyOut(address: number, from: Uint8Array): boolean;
  tryReadU32(address: number): number | undefined;
  tryWriteU32(address: number, value: number): boolean;
  copyIn(address: number, length: number): Sleeps<Uint8Array>;
  copyOut(address: number, bytes: Uint8Array): Sleeps<void>;
  readU32(address: number): Sleeps<number>;
  writeU32(address: number, value: number): Sleeps<void>;
  readU64(address: number): Sleeps<number>;
  writeU64(address: number, value: number): Sleeps<void>;
  clear(address: number, length: number): Sleeps<void>;
  /** NUL-terminated bytes as a latin-1 string; `errorIfLong` is thrown past `maxBytes` (ENAMETOOLONG, E2BIG). */
  readString(address: number, maxBytes: number, errorIfLong: Error): Sleeps<string>;
  /** NULL-terminated array of 64-bit pointers. */
  readPointers(address: number, maxCount: number): Sleeps<number[]>;
  /** Makes [address, address + length) present for `access`. True at once when it is. */
  tryPrepare(address: number, length: number, access: Access): boolean;
  prepare(address: number, length: number, access: Access): Sleeps<void>;
  /** An iterator over prepared memory; kernel memory has kernelIter in lib/uio.ts. */
  iter(segments: readonly { address: number; length: number }[]): IovIter;
  /** Host address behind a user address that is present for `access`, else 0. For futexes (frame identity) and tests. */
  translate(address: number, access: Access): number;
}
