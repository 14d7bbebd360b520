// SPDX-License-Identifier: Apache-2.0
// Bytecode of a page of guest code as a host's store keeps it, and as it lies in the arena when it has been taken from there.
//
//   u32 count of blocks, of those with bytes in the next page (the last ones), of links, bytes of bytecode;
//   by block, in the order of their keys: u16 key, u8 terminator, u8 flags, u16 guest instructions, u8 bytes in the next page, u8 0,
//   u32 where its first record is, u32 where its last one ends; by link u32 where its word is; for each block with bytes in the next
//   page 16 bytes that begin with those; from the next multiple of 16 on the blocks' headers and records, one after the other.
//
// Bytecode names no address but by links and noted targets. Links within the page are kept as places in the page's bytecode, or as not made yet,
// and targets as never seen. So a page is read to where it stays, and an addition is made for each link; what TypeScript has to know of a block is
// made when it is asked for: most blocks only ever run.

import type { Ram } from "../../lib/ram.ts";
import { COUNT_BYTES, START_BYTES } from "../heat.ts";
import { TERM_INDIRECT, TERM_JUMP } from "../ir/terminators.ts";
import { PAGE_SIZE } from "../layout.ts";
import {
  FAR_RECORD_AT,
  HEADER_BYTES,
  INDIRECT_BYTES,
  LINK_NEVER,
  LINK_NONE,
  RECORD_BYTES,
} from "./bytecode.ts";
import { sidesOf } from "./links.ts";

const HEAD_BYTES = 16;
const ROW_BYTES = 16;
const ROW_WORDS = ROW_BYTES / 4;
const LINK_BYTES = 4;
const TAIL_BYTES = 16;
/** In the first word of a row. */
const KEY_MASK = 0xffff;
const TERMINATOR_SHIFT = 16;
const FLAG_TARGET = 0x0100_0000;
/** Of a page in the arena: the jump cache may lead there. */
const FLAG_ENTERED = 0x0200_0000;
const NO_TAIL: Uint8Array = new Uint8Array();

/** What describes the bytecode of a block that ends in its page. */
export interface WholeBlock {
  readonly offset: number;
  readonly mode: number;
  readonly terminator: number;
  readonly instructions: number;
  readonly record: number;
  readonly end: number;
  readonly isTarget: boolean;
  /** Of a region; 0 or undefined for none. */
  readonly entry?: number;
}

/** Of any block. */
export interface KeptBlock extends WholeBlock {
  /** Those of its bytes that lie in the next page: it is good for no others. */
  readonly tail: Uint8Array;
}

/** A block of a page in the arena. */
export interface FoundBlock extends KeptBlock {
  /** Whether the jump cache may lead to it. */
  readonly isEntered: boolean;
}

/** Of the blocks of a page. */
export interface KeptCounts {
  readonly blocks: number;
  /** Of these, those that the jump cache was asked for. */
  readonly targets: number;
}

/** What finds a block among those of its frame. */
export function blockKey(offset: number, mode: number): number {
  return offset * 4 + mode;
}

/** `straddling`: blocks that end in the next page. `entriesLeft`: until a block is hot, by its present count and its length too. */
export function encodePage(
  ram: Ram,
  whole: readonly WholeBlock[],
  straddling: readonly KeptBlock[],
  entriesLeft: (block: WholeBlock, now: number, codeBytes: number) => number,
): Uint8Array {
  const tails = straddling.toSorted(byKey);
  const blocks = [...whole.toSorted(byKey), ...tails];
  const starts = placesOf(blocks);
  const codeBytes = starts.at(-1)!;
  const code = new Uint8Array(codeBytes);
  blocks.forEach((block, n) => {
    code.set(ram.u8.subarray(block.record - HEADER_BYTES, block.end), starts[n]);
  });
  const codeView = new DataView(code.buffer);
  blocks.forEach((block, n) => clean(codeView, starts[n]!, starts[n + 1]!, block, entriesLeft));
  const links = encodeLinks(codeView, blocks, starts, whole.length);
  const linksAt = HEAD_BYTES + blocks.length * ROW_BYTES;
  const tailsAt = linksAt + links.length * LINK_BYTES;
  const codeAt = alignUp(tailsAt + tails.length * TAIL_BYTES);
  const bytes = new Uint8Array(codeAt + codeBytes);
  const u32 = new Uint32Array(bytes.buffer);
  u32.set([blocks.length, tails.length, links.length, codeBytes]);
  blocks.forEach(({ offset, mode, terminator, isTarget, instructions }, n) => {
    const row = HEAD_BYTES / 4 + n * ROW_WORDS;
    u32[row] = blockKey(offset, mode) | (terminator << TERMINATOR_SHIFT) | (isTarget ? FLAG_TARGET : 0);
    u32[row + 1] = instructions;
    u32[row + 2] = starts[n]! + HEADER_BYTES;
    u32[row + 3] = starts[n + 1]!;
  });
  u32.set(links, linksAt / 4);
  tails.forEach(({ tail }, n) => {
    u32[HEAD_BYTES / 4 + (whole.length + n) * ROW_WORDS + 1]! |= tail.length << 16;
    bytes.set(tail, tailsAt + n * TAIL_BYTES);
  });
  bytes.set(code, codeAt);
  return bytes;
}

function byKey(a: WholeBlock, b: WholeBlock): number {
  return blockKey(a.offset, a.mode) - blockKey(b.offset, b.mode);
}

/** Where the header of each block comes to lie, and where the last one ends. */
function placesOf(blocks: readonly WholeBlock[]): number[] {
  const starts = [0];
  let end = 0;
  for (const block of blocks) starts.push(end += block.end - block.record + HEADER_BYTES);
  return starts;
}

/** Undoes the count of a block, and where it went. */
function clean(
  view: DataView,
  start: number,
  end: number,
  block: WholeBlock,
  entriesLeft: (block: WholeBlock, now: number, codeBytes: number) => number,
): void {
  const left = entriesLeft(block, view.getInt32(start + 8, true), end - start - HEADER_BYTES);
  view.setInt32(start + 8, left, true);
  view.setInt32(start + 12, left, true);
  if (block.terminator === TERM_JUMP) view.setUint32(end - RECORD_BYTES + FAR_RECORD_AT, 0, true);
  if (block.terminator !== TERM_INDIRECT) return;
  for (let at = end - INDIRECT_BYTES; at < end; at += 4) view.setUint32(at, 0, true);
}

/** Makes links within the page what they are in a store: to one of the first `wholeCount` blocks. Where those are that may lead somewhere. */
function encodeLinks(
  view: DataView,
  blocks: readonly WholeBlock[],
  starts: readonly number[],
  wholeCount: number,
): number[] {
  const links: number[] = [];
  const records = new Map<number, number>();
  for (let n = 0; n < wholeCount; n++) {
    const { offset, mode } = blocks[n]!;
    records.set(blockKey(offset, mode), starts[n]! + HEADER_BYTES);
  }
  blocks.forEach(({ offset, mode, terminator }, n) => {
    for (const before of sidesOf(terminator)) {
      const at = starts[n + 1]! - before;
      const target = offset + view.getInt32(at, true);
      const isInPage = target >= 0 && target < PAGE_SIZE;
      const link = isInPage ? records.get(blockKey(target, mode)) ?? LINK_NONE : LINK_NEVER;
      view.setUint32(at + 4, link, true);
      if (isInPage) links.push(at + 4);
    }
  });
  return links;
}

function alignUp(address: number): number {
  return (address + 15) & ~15;
}

/** Whether what lies at `address` says of itself that it is so many bytes, and has no more blocks that end in the next page than blocks. */
export function isPage(ram: Ram, address: number, length: number): boolean {
  if (length < HEAD_BYTES) return false;
  const word = address >>> 2;
  const [count, tails, links, codeBytes] = ram.u32.subarray(word, word + 4);
  const rest = length - HEAD_BYTES - codeBytes! - count! * ROW_BYTES - links! * LINK_BYTES
    - tails! * TAIL_BYTES;
  return tails! <= count! && rest >= 0 && rest < 16; // the records begin at a multiple of 16
}

/** A page with its bytecode in the arena. */
export class PageBytecode {
  readonly #ram: Ram;
  /** Words: where the rows begin, those of blocks that end in the page come first; where those end; and where the links do. */
  readonly #rows: number;
  readonly #rowsEnd: number;
  readonly #links: number;
  readonly #linksEnd: number;
  /** Bytes: the code of the blocks. */
  readonly #address: number;
  readonly #end: number;
  /** How many of the blocks that end in the page are targets. */
  readonly targets: number;
  /** Blocks that end in the next page: each is good for one content of that. */
  readonly straddling: readonly FoundBlock[];

  /** What encodePage() made lies at `address`, a multiple of 16. */
  constructor(ram: Ram, address: number) {
    const { u8, u32 } = ram;
    const word = address >>> 2;
    const [count, tails, links, codeBytes] = [u32[word]!, u32[word + 1]!, u32[word + 2]!, u32[word + 3]!];
    this.#ram = ram;
    this.#rows = (address + HEAD_BYTES) >>> 2;
    this.#rowsEnd = this.#rows + (count - tails) * ROW_WORDS;
    this.#links = this.#rows + count * ROW_WORDS;
    this.#linksEnd = this.#links + links;
    const tailsAt = this.#linksEnd * 4;
    this.#address = alignUp(tailsAt + tails * TAIL_BYTES);
    this.#end = this.#address + codeBytes;
    this.#placeLinks();
    this.straddling = Array.from({ length: tails }, (_, n) => {
      const row = this.#rowsEnd + n * ROW_WORDS;
      const tailAt = tailsAt + n * TAIL_BYTES;
      return this.#describe(row, u8.slice(tailAt, tailAt + (u32[row + 1]! >>> 16)));
    });
    let targets = 0;
    for (let at = this.#rows; at < this.#rowsEnd; at += ROW_WORDS) {
      if ((u32[at]! & FLAG_TARGET) !== 0) targets++;
    }
    this.targets = targets;
  }

  #placeLinks(): void {
    const { u32 } = this.#ram;
    for (let n = this.#links; n < this.#linksEnd; n++) {
      const at = (this.#address + u32[n]!) >>> 2;
      if (u32[at]! > LINK_NEVER) u32[at]! += this.#address;
    }
  }

  /** How many blocks end in the page. */
  get size(): number {
    return (this.#rowsEnd - this.#rows) / ROW_WORDS;
  }

  /** Keys of the blocks that end in the page. */
  *keys(): Generator<number> {
    for (let at = this.#rows; at < this.#rowsEnd; at += ROW_WORDS) yield this.#ram.u32[at]! & KEY_MASK;
  }

  /** A block that ends in the page. */
  find(key: number): FoundBlock | undefined {
    const row = this.#rowOf(key);
    return row < 0 ? undefined : this.#describe(row, NO_TAIL);
  }

  /** Whether a block that ends in the page is a target; undefined when there is none. */
  isTarget(key: number): boolean | undefined {
    const row = this.#rowOf(key);
    return row < 0 ? undefined : (this.#ram.u32[row]! & FLAG_TARGET) !== 0;
  }

  /** Instructions that ran here, of blocks that end in the page and were entered `least` times and more in this run, but for those that became hot. */
  interpreted(least: number): number {
    const { i32, u32 } = this.#ram;
    let sum = 0;
    for (let at = this.#rows; at < this.#rowsEnd; at += ROW_WORDS) {
      const record = this.#address + u32[at + 2]!;
      const entered = i32[(record - START_BYTES) >>> 2]! - i32[(record - COUNT_BYTES) >>> 2]!;
      if (entered >= least) sum += entered * (u32[at + 1]! & 0xffff);
    }
    return sum;
  }

  /** Calls with what is a target, ends in the page and is not known by its key: the jump cache may lead there from now on. */
  enterTargets(
    mode: number,
    isKnown: (key: number) => boolean,
    enter: (offset: number, record: number) => void,
  ): void {
    const { u32 } = this.#ram;
    for (let at = this.#rows; at < this.#rowsEnd; at += ROW_WORDS) {
      const word = u32[at]!;
      if ((word & FLAG_TARGET) === 0 || (word & 3) !== mode || isKnown(word & KEY_MASK)) continue;
      u32[at] = word | FLAG_ENTERED;
      enter((word & KEY_MASK) >>> 2, this.#address + u32[at + 2]!);
    }
  }

  /** Undoes the links that lead to a record. */
  unlink(record: number): void {
    const { u32 } = this.#ram;
    for (let n = this.#links; n < this.#linksEnd; n++) {
      const at = (this.#address + u32[n]!) >>> 2;
      if (u32[at] === record) u32[at] = LINK_NEVER;
    }
  }

  /** Whether a record is one of these. */
  owns(record: number): boolean {
    return record >= this.#address && record < this.#end;
  }

  /** Where the row of a block is, or -1. */
  #rowOf(key: number): number {
    const { u32 } = this.#ram;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((u32[this.#rows + middle * ROW_WORDS]! & KEY_MASK) < key) low = middle + 1;
      else high = middle;
    }
    const row = this.#rows + low * ROW_WORDS;
    return row < this.#rowsEnd && (u32[row]! & KEY_MASK) === key ? row : -1;
  }

  #describe(row: number, tail: Uint8Array): FoundBlock {
    const { u32 } = this.#ram;
    const word = u32[row]!;
    const key = word & KEY_MASK;
    return {
      offset: key >>> 2,
      mode: key & 3,
      terminator: (word >>> TERMINATOR_SHIFT) & 0xff,
      instructions: u32[row + 1]! & 0xffff,
      record: this.#address + u32[row + 2]!,
      end: this.#address + u32[row + 3]!,
      isTarget: (word & FLAG_TARGET) !== 0,
      isEntered: (word & FLAG_ENTERED) !== 0,
      tail,
    };
  }
}
