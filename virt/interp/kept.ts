// SPDX-License-Identifier: Apache-2.0
// Bytecode of a page of guest code as a host's store keeps it.
//
//   u32 count of blocks, then by block: u16 offset in the page, u8 mode, u8 terminator, u16 guest instructions, u8 flags, u8 bytes in
//   the next page, u32 bytes of bytecode; for each block with bytes in the next page 16 bytes that begin with those; then the blocks'
//   headers and records as they lie in the arena, one after the other.
//
// Bytecode names no address but by links and noted targets: links are kept as never made, targets as never seen.

import type { Ram } from "../../lib/ram.ts";
import { TERM_INDIRECT } from "../ir/ops.ts";
import { PAGE_SIZE } from "../layout.ts";
import { HEADER_BYTES, LINK_NEVER, LINK_NONE, TARGETS_BYTES } from "./bytecode.ts";
import { sidesOf } from "./links.ts";

const ROW_BYTES = 12;
const TAIL_BYTES = 16;
const FLAG_TARGET = 1;
export const NO_TAIL: Uint8Array = new Uint8Array();

/** What describes the bytecode of a block. */
export interface KeptBlock {
  readonly offset: number;
  readonly mode: number;
  readonly terminator: number;
  readonly instructions: number;
  readonly record: number;
  readonly end: number;
  readonly isTarget: boolean;
  /** Those of its bytes that lie in the next page: it is good for no others. */
  readonly tail: Uint8Array;
}

/** `entriesLeft`: until a block is hot, by its present count. */
export function encodePage(
  ram: Ram,
  blocks: readonly KeptBlock[],
  entriesLeft: (now: number) => number,
): Uint8Array {
  const sizes = blocks.map((block) => block.end - block.record + HEADER_BYTES);
  const tails = blocks.filter(({ tail }) => tail.length > 0);
  const codeAt = codeStart(blocks.length, tails.length);
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
    view.setUint8(row + 6, block.isTarget ? FLAG_TARGET : 0);
    view.setUint8(row + 7, block.tail.length);
    view.setUint32(row + 8, sizes[n]!, true);
    bytes.set(ram.u8.subarray(block.record - HEADER_BYTES, block.end), at);
    view.setInt32(at + 8, entriesLeft(view.getInt32(at + 8, true)), true);
    clean(view, at + sizes[n]!, block);
    at += sizes[n]!;
  });
  tails.forEach(({ tail }, n) => bytes.set(tail, 4 + blocks.length * ROW_BYTES + n * TAIL_BYTES));
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
  return bytes.length - measure(bytes).codeAt;
}

/** Copies the page's bytecode to `address` (16-byte aligned) of the arena and tells of each block, where it now lies. */
export function decodePage(
  ram: Ram,
  bytes: Uint8Array,
  address: number,
  onBlock: (block: KeptBlock) => void,
): void {
  const { view, count, codeAt } = measure(bytes);
  ram.u8.set(bytes.subarray(codeAt), address);
  let at = address;
  let tailAt = 4 + count * ROW_BYTES;
  for (let n = 0; n < count; n++) {
    const row = 4 + n * ROW_BYTES;
    const size = view.getUint32(row + 8, true);
    const tailLength = view.getUint8(row + 7);
    onBlock({
      offset: view.getUint16(row, true),
      mode: view.getUint8(row + 2),
      terminator: view.getUint8(row + 3),
      instructions: view.getUint16(row + 4, true),
      record: at + HEADER_BYTES,
      end: at + size,
      isTarget: (view.getUint8(row + 6) & FLAG_TARGET) !== 0,
      tail: tailLength === 0 ? NO_TAIL : bytes.subarray(tailAt, tailAt + tailLength),
    });
    at += size;
    if (tailLength > 0) tailAt += TAIL_BYTES;
  }
}

function measure(
  bytes: Uint8Array,
): { readonly view: DataView; readonly count: number; readonly codeAt: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  let tails = 0;
  for (let n = 0; n < count; n++) if (view.getUint8(4 + n * ROW_BYTES + 7) > 0) tails++;
  return { view, count, codeAt: codeStart(count, tails) };
}

function codeStart(blocks: number, tails: number): number {
  return (4 + blocks * ROW_BYTES + tails * TAIL_BYTES + 15) & ~15;
}
