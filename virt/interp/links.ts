// SPDX-License-Identifier: Apache-2.0
// Where bytecode goes on: links from block to block within a page, by which a direct jump goes on in the interpreter without asking anybody; and where
// indirect jumps were seen to go.
//
// Invariants: both ends lie in the same frame and mode, so that a link holds wherever the page is mapped; none leads to the entry of a region,
// which the jump cache is to find.

import type { Ram } from "../../lib/ram.ts";
import type { Block, CodeCache } from "../cache.ts";
import { JUMP_RETURN, TERM_BRANCH, TERM_INDIRECT, TERM_JUMP } from "../ir/terminators.ts";
import { PAGE_SIZE } from "../layout.ts";
import type { IrBlock } from "../translate/ir-block.ts";
import { LINK_NEVER, LINK_NONE, RECORD_BYTES, TARGETS, TARGETS_BYTES } from "./bytecode.ts";

/** A side of a jump, {i32 delta, u32 link}: half a record. */
const SIDE_BYTES = RECORD_BYTES / 2;

/** The addresses of the sides that a block ends in are `end` less these. */
const NO_SIDES: readonly number[] = [];
const JUMP_SIDES: readonly number[] = [SIDE_BYTES];
const BRANCH_SIDES: readonly number[] = [2 * SIDE_BYTES, SIDE_BYTES];

/** How far before its end the sides of a block lie. */
export function sidesOf(terminator: number): readonly number[] {
  if (terminator === TERM_JUMP) return JUMP_SIDES;
  return terminator === TERM_BRANCH ? BRANCH_SIDES : NO_SIDES;
}

/** Links a block to those of its page that are known. */
export function linkBlock(ram: Ram, cache: CodeCache, block: Block): void {
  for (const before of sidesOf(block.terminator)) {
    const at = (block.end - before) >>> 2;
    if (ram.u32[at + 1] !== LINK_NONE) continue;
    const offset = block.offset + ram.i32[at]!;
    if (offset < 0 || offset >= PAGE_SIZE) continue;
    const to = cache.find(block.frame, offset, block.mode);
    if (to !== undefined && to.record !== 0) ram.u32[at + 1] = linkTo(to);
  }
}

/** What the link word of a jump to a block of the same page is. */
export function linkTo(block: Block): number {
  return block.secondFrame < 0 && block.entry === 0 ? block.record : LINK_NEVER;
}

/** Undoes the links that lead from some blocks to one. */
export function unlinkBlock(ram: Ram, block: Block, others: Iterable<Block>): void {
  for (const from of others) {
    for (const before of sidesOf(from.terminator)) {
      const at = (from.end - before) >>> 2;
      if (ram.u32[at + 1] === block.record) ram.u32[at + 1] = LINK_NEVER;
    }
  }
}

/** Where the indirect jump at the end of a block went lately, as guest addresses. */
export function notedTargets(ram: Ram, block: Block, { terminator, termKind }: IrBlock): number[] {
  if (block.record === 0 || terminator !== TERM_INDIRECT || termKind === JUMP_RETURN) return [];
  const at = block.end - TARGETS_BYTES;
  const targets = Array.from({ length: TARGETS }, (_, n) => ram.readU64(at + n * 8));
  return targets.filter((pc) => pc !== 0); // 0: none was noted
}
