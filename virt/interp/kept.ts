// SPDX-License-Identifier: Apache-2.0
// Bytecode of a page of guest code as a host's store keeps it.
//
//   u32 count of blocks, then by block: u16 offset in the page, u8 mode, u8 terminator, u16 guest instructions, u16 spare,
//   u32 bytes; then the blocks' headers and records as they lie in the arena, one after the other.
//
// Bytecode names no address but by links and noted targets: links are kept as never made, targets as never seen.
// Blocks whose last instruction ends in another page are left out: they are that page's content, too.

import type { Ram } from "../../lib/ram.ts";
import { TERM_INDIRECT } from "../ir/ops.ts";
import { PAGE_SIZE } from "../layout.ts";
import { HEADER_BYTES, LINK_NEVER, LINK_NONE, TARGETS_BYTES } from "./bytecode.ts";
import { sidesOf } from "./links.ts";

const ROW_BYTES = 12;

/** What describes the bytecode of a block. */
export interface KeptBlock {
  readonly offset: number;
  readonly mode: number;
  readonly terminator: number;
  readonly instructions: number;
  readonly record: number;
  readonly end: number;
}

/** `entriesLeft`: until a block is hot, by its present count. */
export function encodePage(
  ram: Ram,
  blocks: readonly KeptBlock[],
  entriesLeft: (now: number) => number,
): Uint8Array {
  const sizes = blocks.map((block) => block.end - block.record + HEADER_BYTES);
  const codeAt = (4 + blocks.length * ROW_BYTES + 15) & ~15;
  const bytes = new Uint8Array(codeAt + sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, blocks.length, true);
  let at = codeAt;
  blocks.forEach((block, n) => {
    const row = 4 + n * ROW_BYTES;
    view.setUint16(row, block.offset, true);
    view.setUint8(row + 2, block.mode);
    view.setUint8(row + 3, block.terminator);
    view.setUint16(row + 4, block.instructions, true);
    view.setUint32(row + 8, sizes[n]!, true);
    bytes.set(ram.u8.subarray(block.record - HEADER_BYTES, block.end), at);
    view.setInt32(at + 8, entriesLeft(view.getInt32(at + 8, true)), true);
    clean(view, at + sizes[n]!, block);
    at += sizes[n]!;
  });
  return bytes;
}

/** Undoes links and targets at the end of a block. */
function clean(view: DataView, end: number, block: KeptBlock): void {
  for (const before of sidesOf(block.terminator)) {
    const target = block.offset + view.getInt32(end - before, true);
    view.setUint32(end - before + 4, target >= 0 && target < PAGE_SIZE ? LINK_NONE : LINK_NEVER, true);
  }
  if (block.terminator === TERM_INDIRECT) {
    for (let at = end - TARGETS_BYTES; at < end; at += 4) view.setUint32(at, 0, true);
  }
}

/** Bytes of arena that the page needs. */
export function arenaBytesOf(bytes: Uint8Array): number {
  return bytes.length - codeStart(bytes);
}

/** Copies the page's bytecode to `address` (16-byte aligned) of the arena and tells of each block, where it now lies. */
export function decodePage(
  ram: Ram,
  bytes: Uint8Array,
  address: number,
  onBlock: (block: KeptBlock) => void,
): void {
  const start = codeStart(bytes);
  ram.u8.set(bytes.subarray(start), address);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  let at = address;
  for (let n = 0; n < count; n++) {
    const row = 4 + n * ROW_BYTES;
    const size = view.getUint32(row + 8, true);
    onBlock({
      offset: view.getUint16(row, true),
      mode: view.getUint8(row + 2),
      terminator: view.getUint8(row + 3),
      instructions: view.getUint16(row + 4, true),
      record: at + HEADER_BYTES,
      end: at + size,
    });
    at += size;
  }
}

function codeStart(bytes: Uint8Array): number {
  const count = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  return (4 + count * ROW_BYTES + 15) & ~15;
}
