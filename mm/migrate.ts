// SPDX-License-Identifier: Apache-2.0
// Moves private pages to where they lie in a row in RAM (MmStruct.frameFor), out of which fork and copies on write bring them, and into which the pages of a
// file never come that a private mapping has only read.
//
// After a fork both sides have the frames of one. Whichever writes first would get a copy elsewhere, and the parent, whose frames those are, would lose its row page
// by page, with each child anew. Translated code takes two pages for one where they lie in a row, and leaves for the interpreter where they do not.
// Pages of which code was made stay: it is found by their frames. No program can tell, but by what /proc says of its memory. Source: Linux's Documentation/mm/page_migration.rst for what a page may be moved for.

import { PAGE_SIZE, pageStart, PTE_DIRTY, PTE_PRESENT, PTE_WRITE } from "../virt/layout.ts";
import { PROT_WRITE } from "../include/uapi/mman.ts";
import type { MmStruct } from "./mm_struct.ts";
import { frameOf, leafTable, PTE_FILE } from "./pgtable.ts";
import type { VmaArea } from "./vma.ts";

/** Children of a process that are looked at for those that share a page with it. */
const CHILDREN_MAX = 16;

/**
 * Before a store to a page that this address space shares with children of its own alone, in the frame where it lies in a row here: gives those another frame, so that
 * this one's is its own. False when it is not so. Throws ENOMEM.
 */
export function copyForChildren(mm: MmStruct, page: number, entry: number): boolean {
  const { frames } = mm.kernel;
  const frame = frameOf(entry);
  const others = frames.references(frame) - 1;
  if (others > mm.children.size || mm.children.size > CHILDREN_MAX || !mm.isInRow(page, frame)) return false;
  if (frames.hasCode(frame)) return false;
  const sharers = [...mm.children].filter((child) => {
    const theirs = mm.ram.u32[presentPte(child, page)]!;
    return frameOf(theirs) === frame && (theirs & (PTE_PRESENT | PTE_FILE)) === PTE_PRESENT;
  });
  const area = sharers[0]?.areas.find(page);
  if (area === undefined || sharers.length !== others) return false;
  // One child gets it where it lies in a row there. Several share it once more, where it is in nobody's place.
  const copy = others === 1 ? sharers[0]!.frameFor(page, area, "any") : frames.allocDirty();
  mm.ram.u8.copyWithin(copy, frame, frame + PAGE_SIZE);
  for (const [n, child] of sharers.entries()) {
    if (n > 0) frames.get(copy);
    const pte = presentPte(child, page);
    const theirs = mm.ram.u32[pte]!;
    child.dropPage(theirs);
    child.install(pte, copy, theirs & (PAGE_SIZE - 1));
  }
  return true;
}

/** Brings the pages around an address into a row, those that can be. Whether any was moved. */
export function gatherPages(mm: MmStruct, address: number): boolean {
  const page = pageStart(address);
  const moved = [page - PAGE_SIZE, page, page + PAGE_SIZE].filter((each) => movePage(mm, each));
  return moved.length > 0;
}

function movePage(mm: MmStruct, page: number): boolean {
  const area = mm.areas.find(page);
  if (area === undefined || area.isShared || area.operations !== undefined) return false;
  const { frames } = mm.kernel;
  const pte = presentPte(mm, page);
  const entry = mm.ram.u32[pte]!;
  const frame = frameOf(entry);
  if (pte === 0 || frames.hasCode(frame) || frame === mm.memory.zeroFrame) return false;
  if ((entry & PTE_FILE) !== 0 && !mayBeCopied(area)) return false;
  // What may be written and is not this space's alone is used by somebody who is to see what is written.
  if ((entry & PTE_WRITE) !== 0 && frames.references(frame) !== 1) return false;
  const place = mm.rowFrameFor(page, area, "any");
  if (place < 0) return false;
  mm.ram.u8.copyWithin(place, frame, frame + PAGE_SIZE);
  mm.dropPage(entry);
  const isWritable = (area.prot & PROT_WRITE) !== 0;
  const bits = entry & (PAGE_SIZE - 1) & ~PTE_FILE;
  mm.install(pte, place, bits | (isWritable ? PTE_WRITE | PTE_DIRTY : 0));
  mm.flush(page, page + PAGE_SIZE);
  return true;
}

/** Whether pages of a file in a private area may be copied before the first store, as nobody can change the file: initialised data, beside what was written of it. */
function mayBeCopied({ mapping, prot }: VmaArea): boolean {
  return (prot & PROT_WRITE) !== 0 && mapping?.inode.superBlock.isConstant === true;
}

/** Index into ram.u32 of the entry of a page that is present, or 0. */
function presentPte(mm: MmStruct, page: number): number {
  const { u32 } = mm.ram;
  const table = leafTable(u32, mm.root, page);
  const pte = table === 0 ? 0 : table + ((page >>> 12) & 1023);
  return (u32[pte]! & PTE_PRESENT) !== 0 ? pte : 0;
}
