// SPDX-License-Identifier: Apache-2.0
// Page tables in guest RAM, in the form that the machine walks (virt/layout.ts).
//
// A position in a table is an index into ram.u32 (host address / 4); 0 stands for "no table". Growing RAM
// replaces the views, so nothing here keeps `ram.u32` across an allocation.
//
// Entries of mm: a present leaf as the machine reads it; an entry without PTE_PRESENT but with a frame is a page
// that PROT_NONE hides (PTE_HIDDEN). PTE_FILE marks a frame that belongs to a page cache or device, so that
// counts stay exact when it goes.

import type { PageAllocator } from "../include/linux/mm_types.ts";
import type { Ram } from "../lib/ram.ts";
import { PAGE_SIZE, PTE_PRESENT, PTE_SOFT1, PTE_SOFT2 } from "../virt/layout.ts";

export const PTE_FILE: number = PTE_SOFT1;
export const PTE_HIDDEN: number = PTE_SOFT2;
/** Bytes that one leaf table maps: 4 MiB. */
export const LEAF_SPAN: number = 1024 * PAGE_SIZE;
const SECOND_SPAN = 2 ** 32;
const TOP_SPAN = 2 ** 42;

/** Frame of an entry as an unsigned host address. */
export function frameOf(entry: number): number {
  return (entry & ~0xfff) >>> 0;
}

/** Index into u32 of the leaf table's first entry for `address` (< TASK_SIZE), or 0 when there is no table. */
export function leafTable(u32: Uint32Array, root: number, address: number): number {
  const upper = (address / SECOND_SPAN) | 0;
  const third = u32[(root >>> 2) + (upper >>> 10)]!;
  if (third === 0) return 0;
  const second = u32[((third & ~0xfff) >>> 2) + (upper & 1023)]!;
  if (second === 0) return 0;
  return (u32[((second & ~0xfff) >>> 2) + ((address >>> 0) >>> 22)]! & ~0xfff) >>> 2;
}

/** The leaf entry of `address`, 0 when there is none. */
export function readPte(u32: Uint32Array, root: number, address: number): number {
  const table = leafTable(u32, root, address);
  return table === 0 ? 0 : u32[table + ((address >>> 12) & 1023)]!;
}

/** Where the stretch without a leaf table that holds `address` ends, or where it is known to reach past `end`.
 *  Precondition: there is no leaf table for `address`. */
export function absentEnd(u32: Uint32Array, root: number, address: number, end: number): number {
  const upper = (address / SECOND_SPAN) | 0;
  const third = u32[(root >>> 2) + (upper >>> 10)]!;
  if (third === 0) return (Math.floor(address / TOP_SPAN) + 1) * TOP_SPAN;
  const second = u32[((third & ~0xfff) >>> 2) + (upper & 1023)]!;
  if (second === 0) return (upper + 1) * SECOND_SPAN;
  const table = (second & ~0xfff) >>> 2;
  const start = upper * SECOND_SPAN;
  const last = Math.min(1024, (end - start) / LEAF_SPAN);
  let index = ((address >>> 0) >>> 22) + 1;
  while (index < last && u32[table + index] === 0) index++;
  return start + index * LEAF_SPAN;
}

/** Where the leaf table of `address` stops mapping. */
export function leafEnd(address: number): number {
  return (Math.floor(address / LEAF_SPAN) + 1) * LEAF_SPAN;
}

/** Makes the tables that `address` needs; index into u32 of its leaf entry. `tables` collects new ones. Throws ENOMEM. */
export function makePte(
  ram: Ram,
  frames: PageAllocator,
  root: number,
  address: number,
  tables: Set<number>,
): number {
  const upper = (address / SECOND_SPAN) | 0;
  const third = descend(ram, frames, (root >>> 2) + (upper >>> 10), tables);
  const second = descend(ram, frames, third + (upper & 1023), tables);
  const leaf = descend(ram, frames, second + ((address >>> 0) >>> 22), tables);
  return leaf + ((address >>> 12) & 1023);
}

function descend(ram: Ram, frames: PageAllocator, position: number, tables: Set<number>): number {
  const entry = ram.u32[position]!;
  if (entry !== 0) return (entry & ~0xfff) >>> 2;
  const table = frames.alloc();
  tables.add(table);
  ram.u32[position] = table | PTE_PRESENT;
  return table >>> 2;
}

/** Frees the leaf table of `address`, whose entries are all 0, if there is one. */
export function freeLeafTable(
  ram: Ram,
  frames: PageAllocator,
  root: number,
  address: number,
  tables: Set<number>,
): void {
  const upper = (address / SECOND_SPAN) | 0;
  const third = ram.u32[(root >>> 2) + (upper >>> 10)]!;
  if (third === 0) return;
  const second = ram.u32[((third & ~0xfff) >>> 2) + (upper & 1023)]!;
  if (second === 0) return;
  const position = ((second & ~0xfff) >>> 2) + ((address >>> 0) >>> 22);
  const entry = ram.u32[position]!;
  if (entry === 0) return;
  ram.u32[position] = 0;
  tables.delete(frameOf(entry));
  frames.put(frameOf(entry));
}
