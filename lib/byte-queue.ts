// SPDX-License-Identifier: Apache-2.0
// A queue of bytes: a ring that grows up to its limit.
//
// Invariant: `length` <= `limit`; the bytes sit at [#head, #head + length) modulo the (power of two) storage size.

export interface ByteSink {
  copyOut(source: Uint8Array, offset: number, length: number): void;
}
export interface ByteSource {
  copyIn(target: Uint8Array, offset: number, length: number): void;
}

export class ByteQueue {
  limit: number;
  #bytes: Uint8Array;
  #head = 0;
  #length = 0;

  constructor(limit: number, initialBytes: number = 256) {
    this.limit = limit;
    this.#bytes = new Uint8Array(initialBytes);
  }

  get length(): number {
    return this.#length;
  }
  get room(): number {
    return Math.max(0, this.limit - this.#length);
  }

  /** Appends what fits of source[from, to); returns the count. */
  push(source: Uint8Array, from: number, to: number): number {
    const count = Math.min(to - from, this.room);
    this.#reserve(count);
    const at = (this.#head + this.#length) & (this.#bytes.length - 1);
    const first = Math.min(count, this.#bytes.length - at);
    this.#bytes.set(source.subarray(from, from + first), at);
    if (first < count) this.#bytes.set(source.subarray(from + first, from + count), 0);
    this.#length += count;
    return count;
  }

  pushByte(byte: number): boolean {
    if (this.#length >= this.limit) return false;
    this.#reserve(1);
    this.#bytes[(this.#head + this.#length) & (this.#bytes.length - 1)] = byte;
    this.#length++;
    return true;
  }

  /** Appends `count` bytes of an iterator. Precondition: count <= room. */
  pushFrom(source: ByteSource, count: number): void {
    this.#reserve(count);
    const at = (this.#head + this.#length) & (this.#bytes.length - 1);
    const first = Math.min(count, this.#bytes.length - at);
    source.copyIn(this.#bytes, at, first);
    if (first < count) source.copyIn(this.#bytes, 0, count - first);
    this.#length += count;
  }

  /** Copies `count` bytes, from `offset` after the head, into a sink without removing them. */
  peekTo(sink: ByteSink, count: number, offset: number = 0): void {
    const at = (this.#head + offset) & (this.#bytes.length - 1);
    const first = Math.min(count, this.#bytes.length - at);
    sink.copyOut(this.#bytes, at, first);
    if (first < count) sink.copyOut(this.#bytes, 0, count - first);
  }

  /** A view of the longest run at the head; valid until the next change. */
  firstRun(): Uint8Array {
    return this.#bytes.subarray(this.#head, Math.min(this.#head + this.#length, this.#bytes.length));
  }

  at(offset: number): number {
    return this.#bytes[(this.#head + offset) & (this.#bytes.length - 1)]!;
  }

  drop(count: number): void {
    this.#length -= count;
    this.#head = this.#length === 0 ? 0 : (this.#head + count) & (this.#bytes.length - 1);
  }

  clear(): void {
    this.#head = this.#length = 0;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    let size = this.#bytes.length;
    while (size < this.#length + count) size *= 2;
    const grown = new Uint8Array(size);
    const first = Math.min(this.#length, this.#bytes.length - this.#head);
    grown.set(this.#bytes.subarray(this.#head, this.#head + first), 0);
    grown.set(this.#bytes.subarray(0, this.#length - first), first);
    this.#bytes = grown;
    this.#head = 0;
  }
}
