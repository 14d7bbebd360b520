// SPDX-License-Identifier: Apache-2.0
// Links from block to block of bytecode within a page: a direct jump that has one goes on in the interpreter without asking anybody.
//
// Invariants: both ends lie in the same frame and mode, so that a link holds wherever the page is mapped; none leads to the entry of a region,
// which the jump cache is to find.

import type { Ram } from "../../lib/ram.ts";
import type { Block, CodeCache } from "../cache.ts";
import { TERM_BRANCH, TERM_JUMP } from "../ir/terminators.ts";
import { PAGE_SIZE } from "../layout.ts";
import { LINK_NEVER, LINK_NONE, RECORD_BYTES } from "./bytecode.ts";

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
