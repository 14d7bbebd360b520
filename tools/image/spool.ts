// SPDX-License-Identifier: Apache-2.0
// File contents on the way into an image: appended to one temporary file, read back when the image is written.

import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import type { Content } from "./tree.ts";

const BUFFER_BYTES = 1 << 20;

export class Spool implements Disposable {
  readonly #path: string;
  /** Open for reading and writing. */
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #buffered = 0;
  #flushed = 0;

  /** Creates (or empties) the file at `path`; it is removed when the spool is disposed of. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "w+");
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#flushed + this.#buffered;
  }

  append(bytes: Uint8Array): void {
    if (this.#buffered + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) {
      writeFully(this.#fd, bytes, this.#flushed);
      this.#flushed += bytes.length;
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  /** What was appended from `start` on, `sizeBytes` long. Valid until the spool is disposed of. */
  content(start: number, sizeBytes: number): Content {
    return {
      sizeBytes,
      read: (offset, target) => {
        if (start + offset + target.length > this.#flushed) this.#flush();
        readFully(this.#fd, target, start + offset);
      },
    };
  }

  #flush(): void {
    writeFully(this.#fd, this.#buffer.subarray(0, this.#buffered), this.#flushed);
    this.#flushed += this.#buffered;
    this.#buffered = 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }
}

export function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

export function readFully(fd: number, target: Uint8Array, position: number): void {
  for (let at = 0; at < target.length;) {
    const count = readSync(fd, target, at, target.length - at, position + at);
    if (count === 0) throw new Error("a file ended before its content did");
    at += count;
  }
}
