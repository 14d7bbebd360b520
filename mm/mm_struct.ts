// SPDX-License-Identifier: Apache-2.0
// What an address space is made of: its areas, its page tables, its counts, and the operations on pages that
// the mapping calls and the fault handler share.
//
// Invariants: every non-zero leaf entry holds one reference to its frame and lies in an area; rights are never
// reduced in a table without telling the CPU before the guest runs again.

import type { FaultSignal } from "../include/linux/mm_types.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { File } from "../include/linux/fs.ts";
import { PROT_EXEC, PROT_NONE, PROT_WRITE } from "../include/uapi/mman.ts";
import type { Ram } from "../lib/ram.ts";
import {
  CPU_BASE,
  CPU_STATE,
  PAGE_SIZE,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_EXEC,
  PTE_PRESENT,
  PTE_WRITE,
  TASK_SIZE,
} from "../virt/layout.ts";
import {
  absentEnd,
  frameOf,
  freeLeafTable,
  LEAF_SPAN,
  leafEnd,
  leafTable,
  makePte,
  PTE_FILE,
  PTE_HIDDEN,
} from "./pgtable.ts";
import { type VmaArea, VmaList } from "./vma.ts";
import { type MemoryState, memoryState } from "./vmstat.ts";

/** Areas of so many spans have blocks in a row, as far as this on each side of where they are touched first. */
const ROW_SPANS_MIN = 4;
const ROW_SPANS_MAX = 64;

export abstract class MmStruct {
  readonly kernel: Kernel;
  readonly id: number;
  readonly root: number;
  readonly memory: MemoryState;
  readonly areas: VmaList = new VmaList();
  users = 1;
  startCode = 0;
  endCode = 0;
  startData = 0;
  endData = 0;
  startBrk = 0;
  brk = 0;
  startStack = 0;
  argStart = 0;
  argEnd = 0;
  envStart = 0;
  envEnd = 0;
  auxv: Uint8Array = new Uint8Array(0);
  exeFile: File | undefined = undefined;
  dumpable = 1;
  /** Top of the area in which mmap chooses addresses, downwards. */
  mmapBase: number = TASK_SIZE - 0x800_0000;
  /** MCL_FUTURE: flags that new areas get. */
  lockFuture = 0;
  anonymousPages = 0;
  filePages = 0;
  peakResidentPages = 0;
  totalPages = 0;
  peakTotalPages = 0;
  lockedPages = 0;
  /** Private writable pages, for RLIMIT_DATA and VmData. */
  dataPages = 0;
  /** Every page table but the top one. */
  readonly #tables = new Set<number>();
  /** Address spaces that came from this one by fork(2) and still are. */
  readonly children: Set<MmStruct> = new Set();
  #parent: MmStruct | undefined = undefined;
  /** By number of 4 MiB of addresses: the frames that its private pages are to have, or -1. */
  readonly #reserved = new Map<number, number>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.memory = memoryState(kernel);
    this.id = this.memory.nextMmId++;
    this.root = kernel.frames.alloc();
    this.memory.addressSpaces.add(this);
  }

  get ram(): Ram {
    return this.kernel.ram;
  }
  /** Pages that page tables take. */
  get tablePages(): number {
    return this.#tables.size + 1;
  }
  get residentPages(): number {
    return this.anonymousPages + this.filePages;
  }
  /** Whether the CPU's current address space is this one. */
  get isCurrent(): boolean {
    return this.ram.u32[(CPU_BASE + CPU_STATE.pageTableRoot) >>> 2] === this.root;
  }

  /** Index into ram.u32 of the leaf entry for `address`; tables are made. Throws ENOMEM. */
  pteFor(address: number): number {
    return makePte(this.ram, this.kernel.frames, this.root, address, this.#tables);
  }

  /** Leaf bits that give the rights of `prot`, without the right to write. */
  readBits(prot: number): number {
    if (prot === PROT_NONE) return PTE_HIDDEN;
    return PTE_PRESENT | PTE_ACCESSED | ((prot & PROT_EXEC) !== 0 ? PTE_EXEC : 0);
  }

  /** Stores a leaf entry where there was none; takes over the caller's reference to the frame. */
  install(pte: number, frame: number, bits: number): void {
    this.ram.u32[pte] = frame | bits;
    if (frame === this.memory.zeroFrame) return;
    if ((bits & PTE_FILE) !== 0) this.filePages++;
    else this.anonymousPages++;
    if (this.residentPages > this.peakResidentPages) this.peakResidentPages = this.residentPages;
  }

  /** A frame for a private page of an area: the one that lies as far from those of its neighbours as the page does, where it can be had, so
   *  that what lies in a row in the address space does so in RAM. Throws ENOMEM. */
  frameFor(page: number, area: Pick<VmaArea, "start" | "end">, contents: "zero" | "any"): number {
    const { frames } = this.kernel;
    const frame = this.rowFrameFor(page, area, contents);
    if (frame >= 0) return frame;
    return contents === "zero" ? frames.alloc() : frames.allocDirty();
  }

  /** That frame and no other: -1 where it cannot be had. */
  rowFrameFor(page: number, area: Pick<VmaArea, "start" | "end">, contents: "zero" | "any"): number {
    const block = this.#reserved.get(Math.floor(page / LEAF_SPAN)) ?? this.#reserve(page, area);
    return block < 0 ? -1 : this.kernel.frames.takeReserved(block + (page & (LEAF_SPAN - 1)), contents);
  }

  /** Whether a frame is the one that frameFor gives a page where it can. */
  isInRow(page: number, frame: number): boolean {
    const block = this.#reserved.get(Math.floor(page / LEAF_SPAN)) ?? -1;
    return block >= 0 && block + (page & (LEAF_SPAN - 1)) === frame;
  }

  /** A child of fork(2), which has this space's frames until one of both writes. */
  addChild(child: MmStruct): void {
    this.children.add(child);
    child.#parent = this;
  }

  /**
   * A block for the span of a page that has none. Those of a large area are had at once, wherever it is touched first, or as many around the page
   * as lie in a row; what is small takes a block that was in use lately, whose memory the host has at hand.
   */
  #reserve(page: number, { start, end }: Pick<VmaArea, "start" | "end">): number {
    const span = Math.floor(page / LEAF_SPAN);
    const [areaFirst, areaEnd] = [Math.floor(start / LEAF_SPAN), Math.ceil(end / LEAF_SPAN)];
    for (let far = areaEnd - areaFirst < ROW_SPANS_MIN ? 0 : ROW_SPANS_MAX;; far >>= 1) {
      let [first, last] = [span, span];
      while (first > Math.max(areaFirst, span - far) && this.#giveUpUnused(first - 1)) first--;
      while (last < Math.min(areaEnd - 1, span + far) && this.#giveUpUnused(last + 1)) last++;
      const count = last - first + 1;
      const block = this.kernel.frames.reserve(count, this.#wantedFor(first, count));
      if (block < 0 && far > 0) continue;
      for (let n = first; n <= last; n++) {
        this.#reserved.set(n, block < 0 ? -1 : block + (n - first) * LEAF_SPAN);
      }
      return block < 0 ? -1 : block + (span - first) * LEAF_SPAN;
    }
  }

  /** Whether a span has no block: one of which nothing was taken is given up. */
  #giveUpUnused(span: number): boolean {
    const block = this.#reserved.get(span) ?? -1;
    if (block < 0) return true;
    if (!this.kernel.frames.isUnused(block)) return false;
    this.kernel.frames.unreserve(block);
    this.#reserved.delete(span);
    return true;
  }

  /** Where the blocks of spans would lie in a row with those before or after them. */
  #wantedFor(first: number, count: number): number {
    const before = this.#reserved.get(first - 1) ?? -1;
    if (before >= 0) return before + LEAF_SPAN;
    const after = this.#reserved.get(first + count) ?? -1;
    return after < 0 ? -1 : after - count * LEAF_SPAN;
  }

  /** Translations of [start, end) may be stale. */
  flush(start: number, end: number): void {
    if (this.isCurrent) this.kernel.cpu.flushRange(start, end);
    else this.kernel.cpu.flushAll();
  }

  zap(start: number, end: number): void {
    if (this.#zap(start, end)) this.flush(start, end);
  }

  zapCached(start: number, end: number): void {
    const { u32 } = this.ram;
    let isChanged = false;
    this.eachTable(start, end, (table, from, to) => {
      for (let i = table + from; i < table + to; i++) {
        const entry = u32[i]!;
        if ((entry & PTE_FILE) === 0) continue;
        u32[i] = 0;
        this.dropPage(entry);
        isChanged = true;
      }
    });
    if (isChanged) this.flush(start, end);
  }

  /** Forgets an entry's page in the counts and drops its reference. */
  dropPage(entry: number): void {
    const frame = frameOf(entry);
    if (frame !== this.memory.zeroFrame) {
      if ((entry & PTE_FILE) !== 0) this.filePages--;
      else this.anonymousPages--;
    }
    this.kernel.frames.put(frame);
  }

  clean(start: number, end: number): void {
    const { u32 } = this.ram;
    let isChanged = false;
    this.eachTable(start, end, (table, from, to) => {
      for (let i = table + from; i < table + to; i++) {
        const entry = u32[i]!;
        if ((entry & PTE_WRITE) === 0 || (entry & PTE_FILE) === 0) continue;
        u32[i] = entry & ~(PTE_WRITE | PTE_DIRTY);
        isChanged = true;
      }
    });
    if (isChanged) this.flush(start, end);
  }

  /** Gives the pages of [start, end) the rights of `prot`. A page that may be written later is written through a
   *  fault first, which knows whether it is shared. */
  protect(start: number, end: number, prot: number): void {
    const { u32 } = this.ram;
    const bits = this.readBits(prot);
    const keep = (prot & PROT_WRITE) !== 0 ? PTE_WRITE | PTE_DIRTY : 0;
    let isChanged = false;
    this.eachTable(start, end, (table, from, to) => {
      for (let i = table + from; i < table + to; i++) {
        const entry = u32[i]!;
        if (entry === 0) continue;
        u32[i] = (entry & ~0xfff) | (entry & (PTE_FILE | keep)) | bits;
        isChanged = true;
      }
    });
    if (isChanged) this.flush(start, end);
  }

  /** Calls `visit(table, from, to, address)` for each stretch of a leaf table in [start, end): `table` indexes
   *  u32, entries from..to (exclusive) are within the range, `address` is that of entry `from`. */
  eachTable(
    start: number,
    end: number,
    visit: (table: number, from: number, to: number, address: number) => void,
  ): void {
    for (let address = start; address < end;) {
      const table = leafTable(this.ram.u32, this.root, address);
      if (table === 0) {
        address = absentEnd(this.ram.u32, this.root, address, end);
        continue;
      }
      const stop = Math.min(end, leafEnd(address));
      const from = (address >>> 12) & 1023;
      visit(table, from, from + (stop - address) / PAGE_SIZE, address);
      address = stop;
    }
  }

  /** An area appears or goes: totals for /proc and limits. `sign` is 1 or -1. */
  account(area: VmaArea, sign: number): void {
    this.accountPages(area, area.pages * sign);
  }
  accountPages(area: VmaArea, pages: number): void {
    this.totalPages += pages;
    this.peakTotalPages = Math.max(this.peakTotalPages, this.totalPages);
    if (isData(area)) this.dataPages += pages;
    if (area.isAccounted) this.memory.committedPages += pages;
    if ((area.flags & VM_LOCKED) !== 0) {
      this.lockedPages += pages;
      this.memory.lockedPages += pages;
    }
  }

  /** Frees everything; the CPU forgets the tables. */
  protected destroy(): void {
    this.#parent?.children.delete(this);
    for (const child of this.children) child.#parent = undefined;
    for (const area of this.areas.snapshot()) {
      this.#zap(area.start, area.end);
      this.account(area, -1);
      this.areas.remove(area);
    }
    if (this.isCurrent) this.kernel.cpu.flushAll();
    this.kernel.cpu.endAddressSpace(this.id);
    for (const block of this.#reserved.values()) if (block >= 0) this.kernel.frames.unreserve(block);
    this.#reserved.clear();
    for (const table of this.#tables) this.kernel.frames.put(table);
    this.#tables.clear();
    this.kernel.frames.put(this.root);
    this.memory.addressSpaces.delete(this);
  }

  #zap(start: number, end: number): boolean {
    let isChanged = false;
    for (let address = start; address < end;) {
      const { u32 } = this.ram;
      const table = leafTable(u32, this.root, address);
      if (table === 0) {
        address = absentEnd(u32, this.root, address, end);
        continue;
      }
      const stop = Math.min(end, leafEnd(address));
      const first = table + ((address >>> 12) & 1023);
      for (let i = first, last = first + (stop - address) / PAGE_SIZE; i < last; i++) {
        const entry = u32[i]!;
        if (entry === 0) continue;
        u32[i] = 0;
        isChanged = true;
        this.dropPage(entry);
      }
      if (stop - address === LEAF_SPAN) {
        freeLeafTable(this.ram, this.kernel.frames, this.root, address, this.#tables);
      }
      address = stop;
    }
    return isChanged;
  }

  /** Serves a fault; see mm/memory.ts. */
  abstract handleFault(task: Task | undefined, address: number, access: number): FaultAnswer;
}

export type FaultAnswer = FaultSignal | undefined | Generator<1 | 2, FaultSignal | undefined, void>;

/** MAP_LOCKED doubles as the mark of a locked area. */
export const VM_LOCKED = 0x2000;

export function isData(area: VmaArea): boolean {
  return !area.isShared && (area.prot & PROT_WRITE) !== 0 && !area.isStack;
}
