// SPDX-License-Identifier: Apache-2.0
// A read-only disk whose bytes are fetched when they are first read, in chunks.
//
// A read of chunks that are here answers at once; another one sleeps in the kernel until they have come. Requests in
// flight are shared. Reading on where the last request ended doubles what is fetched ahead, anything else fetches
// just what is asked for. The kernel has a page cache of its own, so chunks are kept only for their neighbours' sake.

import type { HostDisk } from "../../../include/host/host.ts";

/** Bytes somewhere else. `fetch` gives exactly the bytes from `start` to `end`, or rejects. */
export interface RangeSource {
  readonly sizeBytes: number;
  fetch(start: number, end: number): Promise<Uint8Array>;
}

export interface LazyDiskOptions {
  /** Bytes of one chunk, the smallest request. */
  readonly chunkBytes?: number;
  /** Chunks are kept up to so many bytes. */
  readonly cacheBytes?: number;
}

const CHUNK_BYTES = 256 * 1024;
const CACHE_BYTES = 64 * 1024 * 1024;
const READAHEAD_CHUNKS_MAX = 16;

export class LazyDisk implements HostDisk {
  readonly sizeBytes: number;
  readonly isReadOnly = true;
  readonly #source: RangeSource;
  readonly #chunkBytes: number;
  readonly #chunksMax: number;
  /** In the order of their last use. */
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #pending = new Map<number, Promise<Uint8Array>>();
  /** Chunk after the last one requested. */
  #next = -1;
  #readahead = 0;

  constructor(source: RangeSource, options: LazyDiskOptions = {}) {
    this.#source = source;
    this.sizeBytes = source.sizeBytes;
    this.#chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
    this.#chunksMax = Math.ceil((options.cacheBytes ?? CACHE_BYTES) / this.#chunkBytes);
  }

  read(offset: number, into: Uint8Array): Promise<void> | undefined {
    if (into.length === 0) return undefined;
    const first = Math.floor(offset / this.#chunkBytes);
    const last = Math.floor((offset + into.length - 1) / this.#chunkBytes);
    for (let index = first; index <= last; index++) {
      if (!this.#chunks.has(index)) return this.#readSlowly(first, last, offset, into);
    }
    for (let index = first; index <= last; index++) {
      const chunk = this.#chunks.get(index)!;
      this.#keep(index, chunk);
      this.#copy(index, chunk, offset, into);
    }
    return undefined;
  }

  async #readSlowly(first: number, last: number, offset: number, into: Uint8Array): Promise<void> {
    this.#request(first, last);
    const chunks: Promise<Uint8Array>[] = [];
    for (let index = first; index <= last; index++) {
      chunks.push(this.#pending.get(index) ?? Promise.resolve(this.#chunks.get(index)!));
    }
    const ready = await Promise.all(chunks);
    for (const [at, chunk] of ready.entries()) this.#copy(first + at, chunk, offset, into);
  }

  /** The part of `into`, which stands for the bytes from `offset`, that lies in chunk `index`. */
  #copy(index: number, chunk: Uint8Array, offset: number, into: Uint8Array): void {
    const start = index * this.#chunkBytes;
    const from = Math.max(offset, start);
    const to = Math.min(offset + into.length, start + chunk.length);
    into.set(chunk.subarray(from - start, to - start), from - offset);
  }

  /** Asks for what is missing from `first` to `last`, and for some more when the reader goes on where it was. */
  #request(first: number, last: number): void {
    let missing = first;
    while (missing < last && this.#chunks.has(missing)) missing++;
    this.#readahead = missing === this.#next
      ? Math.min(Math.max(1, this.#readahead * 2), READAHEAD_CHUNKS_MAX)
      : 0;
    const count = Math.ceil(this.sizeBytes / this.#chunkBytes);
    const end = Math.min(last + 1 + this.#readahead, count);
    for (let index = missing; index < end;) {
      let stop = index;
      while (stop < end && !this.#chunks.has(stop) && !this.#pending.has(stop)) stop++;
      if (stop > index) this.#fetch(index, stop);
      index = stop + 1;
    }
    this.#next = end;
  }

  #fetch(first: number, end: number): void {
    const start = first * this.#chunkBytes;
    const all = this.#source.fetch(start, Math.min(end * this.#chunkBytes, this.sizeBytes));
    for (let index = first; index < end; index++) {
      const at = (index - first) * this.#chunkBytes;
      const chunk = all.then((bytes) => {
        // A copy, or one chunk that is still in use would keep all of them.
        const own = end - first === 1 ? bytes : bytes.slice(at, at + this.#chunkBytes);
        this.#pending.delete(index);
        this.#keep(index, own);
        return own;
      });
      // What fails is asked for again by the next reader.
      chunk.catch(() => this.#pending.delete(index));
      this.#pending.set(index, chunk);
    }
  }

  #keep(index: number, chunk: Uint8Array): void {
    this.#chunks.delete(index);
    this.#chunks.set(index, chunk);
    if (this.#chunks.size <= this.#chunksMax) return;
    for (const oldest of this.#chunks.keys()) {
      this.#chunks.delete(oldest);
      return;
    }
  }

  write(): never {
    throw new TypeError("a disk that is fetched cannot be written");
  }

  flush(): undefined {
    return undefined;
  }
}
