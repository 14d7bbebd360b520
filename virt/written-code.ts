// SPDX-License-Identifier: Apache-2.0
// Frames with code that the guest goes on writing to: what a compiler at run time appends to, a trampoline among the data of a stack.
//
// Code of a frame is dropped as a whole when that is written to. Where it happens again, the frame is watched from then on: it keeps its code, and a
// store goes through, without a TLB entry, where no code was made from the words of 8 bytes that it writes (runtime/tlb.ts). What is written like that for
// long has its code dropped after all, so that stores find a TLB entry; the next time after twice as many.
//
// Invariants: a watched frame has FRAME_CODE, and no store has made its content that of a hash (kept-code.ts). A word of which code was made is
// one in the table that stores look at, if the table has its frame, but while one instruction is stepped.

import type { Ram } from "../lib/ram.ts";
import { PAGE_SIZE } from "./layout.ts";
import {
  CODE_WORD_BITS,
  CODE_WORDS,
  CODE_WORDS_AT,
  CODE_WORDS_BYTES,
  CODE_WORDS_ENTRIES,
  CODE_WORDS_LEFT_AT,
} from "./runtime/status.ts";

const FIRST_PATIENCE = 512;
const LAST_PATIENCE = 1 << 16;
const FRAMES_MAX = 4096;

/** A bit for each word of a frame. */
const MAP_BYTES: number = PAGE_SIZE >>> (CODE_WORD_BITS + 3);

export class WrittenCode {
  readonly #ram: Ram;
  /** By frame: of which words code was made. */
  readonly #watched = new Map<number, Uint8Array>();
  /** By frame: how many stores may go through before its code is dropped. */
  readonly #patience = new Map<number, number>();
  /** Of which the table does not say the truth. */
  #opened = -1;

  constructor(ram: Ram) {
    this.#ram = ram;
  }

  isWatched(frame: number): boolean {
    return this.#watched.size > 0 && this.#watched.has(frame);
  }

  /** Whether the stores have gone through that a watched frame may have. */
  isOver(frame: number): boolean {
    return this.#isInTable(frame) && this.#ram.u32[(entryOf(frame) + CODE_WORDS_LEFT_AT) >>> 2] === 0;
  }

  /** The code of a frame was dropped for a store. True when the frame is watched from now on. */
  noteDrop(frame: number): boolean {
    const before = this.#patience.get(frame);
    if (this.#patience.size >= FRAMES_MAX) this.#patience.clear();
    this.#patience.set(frame, before === undefined ? FIRST_PATIENCE : Math.min(before * 2, LAST_PATIENCE));
    if (before === undefined) return false;
    this.#watched.set(frame, new Uint8Array(MAP_BYTES));
    this.#install(frame, before);
    return true;
  }

  /** No code is left in a frame. */
  forget(frame: number): void {
    if (this.#watched.delete(frame) && this.#isInTable(frame)) this.#ram.u32[entryOf(frame) >>> 2] = 0;
  }

  /** Code was made from bytes [from, to) of a frame. */
  addCode(frame: number, from: number, to: number): void {
    if (!this.isWatched(frame)) return;
    const words = this.#watched.get(frame)!;
    setWords(words, from, to);
    if (this.#isInTable(frame)) this.#write(frame, words);
  }

  /** What code there is in a watched frame: `list` calls its argument for each piece. */
  setCode(frame: number, list: (add: (from: number, to: number) => void) => void): void {
    const words = this.#watched.get(frame);
    if (words === undefined) return;
    words.fill(0);
    list((from, to) => setWords(words, from, to));
    if (this.#isInTable(frame)) this.#write(frame, words);
  }

  /** A store to bytes [from, to) of a watched frame goes through, until close(). */
  open(frame: number, from: number, to: number): void {
    this.close();
    if (!this.#isInTable(frame)) this.#install(frame, this.#patience.get(frame) ?? FIRST_PATIENCE);
    const written = new Uint8Array(MAP_BYTES);
    setWords(written, from, to);
    this.#write(frame, this.#watched.get(frame)!.map((bits, n) => bits & ~written[n]!));
    this.#opened = frame;
  }

  close(): void {
    const words = this.#watched.get(this.#opened);
    if (words !== undefined && this.#isInTable(this.#opened)) this.#write(this.#opened, words);
    this.#opened = -1;
  }

  #isInTable(frame: number): boolean {
    return this.#ram.u32[entryOf(frame) >>> 2] === frame >>> 12;
  }

  #install(frame: number, patience: number): void {
    const at = entryOf(frame);
    this.#ram.u32[at >>> 2] = frame >>> 12;
    this.#ram.u32[(at + CODE_WORDS_LEFT_AT) >>> 2] = patience;
    this.#write(frame, this.#watched.get(frame)!);
  }

  #write(frame: number, words: Uint8Array): void {
    this.#ram.u8.set(words, entryOf(frame) + CODE_WORDS_AT);
  }
}

/** Address of the place of a frame in the table. */
function entryOf(frame: number): number {
  return CODE_WORDS + ((frame >>> 12) & (CODE_WORDS_ENTRIES - 1)) * CODE_WORDS_BYTES;
}

function setWords(words: Uint8Array, from: number, to: number): void {
  const end = to > from ? (to + 7) >>> CODE_WORD_BITS : 0;
  for (let word = from >>> CODE_WORD_BITS; word < end; word++) words[word >>> 3]! |= 1 << (word & 7);
}
