// SPDX-License-Identifier: Apache-2.0
// The input buffer of a terminal: a ring of 4096 bytes with marks at the ends of lines.
//
// Invariants: tail <= canonHead <= head <= tail + 4096 (positions count up; the low 12 bits are the ring index).
// In canonical mode [tail, canonHead) is finished lines, whose last bytes are marked; an end of file is stored as a
// marked NUL. [canonHead, head) is the line being typed. Source: termios(3).

import type { IovIter } from "../../include/linux/uio.ts";

export const BUFFER_BYTES = 4096;
const MASK = BUFFER_BYTES - 1;
const END_OF_FILE = 0;

export class LineBuffer {
  readonly #bytes: Uint8Array = new Uint8Array(BUFFER_BYTES);
  readonly #isDelimiter: Uint8Array = new Uint8Array(BUFFER_BYTES);
  tail = 0;
  canonHead = 0;
  head = 0;

  get length(): number {
    return this.head - this.tail;
  }
  at(position: number): number {
    return this.#bytes[position & MASK]!;
  }

  put(c: number): void {
    this.#isDelimiter[this.head & MASK] = 0;
    this.#bytes[this.head & MASK] = c;
    this.head++;
  }

  /** Ends the line being typed with `c`. */
  finishLine(c: number): void {
    this.put(c);
    this.#isDelimiter[(this.head - 1) & MASK] = 1;
    this.canonHead = this.head;
  }

  /** Bytes of finished lines, end-of-file marks not counted. */
  lineBytes(): number {
    let count = this.canonHead - this.tail;
    for (let at = this.tail; at < this.canonHead; at++) {
      if (this.#isDelimiter[at & MASK] === 1 && this.at(at) === END_OF_FILE) count--;
    }
    return count;
  }

  /** One line, or what of it fits. Precondition: there is one. */
  readLine(iter: IovIter): number {
    // One byte more than asked for: an end-of-file mark right behind the data goes with it.
    const limit = Math.min(this.canonHead, this.tail + iter.remaining + 1);
    let end = this.tail;
    while (end < limit && this.#isDelimiter[end & MASK] === 0) end++;
    if (end >= limit) return this.take(iter, Math.min(limit - this.tail, iter.remaining));
    if (this.at(end) !== END_OF_FILE) return this.take(iter, Math.min(end + 1 - this.tail, iter.remaining));
    const count = this.take(iter, end - this.tail);
    this.#isDelimiter[this.tail & MASK] = 0;
    this.tail++;
    return count;
  }

  take(iter: IovIter, count: number): number {
    const from = this.tail & MASK;
    const first = Math.min(count, BUFFER_BYTES - from);
    iter.copyOut(this.#bytes, from, first);
    if (first < count) iter.copyOut(this.#bytes, 0, count - first);
    for (let at = this.tail; at < this.tail + count; at++) this.#isDelimiter[at & MASK] = 0;
    this.tail += count;
    return count;
  }

  clear(): void {
    this.tail = this.canonHead = this.head = 0;
    this.#isDelimiter.fill(0);
  }

  /** A change of mode: in canonical mode what is there becomes a line, else there are no lines. */
  regroup(isCanonical: boolean): void {
    this.#isDelimiter.fill(0);
    if (!isCanonical || this.head === this.tail) {
      this.canonHead = this.tail;
    } else {
      this.#isDelimiter[(this.head - 1) & MASK] = 1;
      this.canonHead = this.head;
    }
  }
}
