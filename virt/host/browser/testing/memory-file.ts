// SPDX-License-Identifier: Apache-2.0
// A file in memory for tests, that remembers what was done to it and can be had as a power cut would have left it.

import type { SyncFile } from "../record-file.ts";

type Operation =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "flush" };

/** Writes beyond `quota` bytes are short, as in a browser. */
export class MemoryFile implements SyncFile {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array();
  readonly operations: Operation[] = [];
  quota: number;

  constructor(quota: number = Infinity) {
    this.quota = quota;
  }

  read(into: Uint8Array, { at }: { at: number }): number {
    const found = this.#bytes.subarray(at, at + into.length);
    into.set(found);
    return found.length;
  }

  write(bytes: Uint8Array<ArrayBuffer>, { at }: { at: number }): number {
    const taken = bytes.slice(0, Math.max(0, this.quota - at));
    this.#do({ kind: "write", at, bytes: taken });
    return taken.length;
  }

  truncate(size: number): void {
    this.#do({ kind: "truncate", size });
  }

  getSize(): number {
    return this.#bytes.length;
  }

  flush(): void {
    this.#do({ kind: "flush" });
  }

  /** Turns one bit. */
  damage(at: number): void {
    this.#bytes[at]! ^= 1;
  }

  /**
   * The file when the power goes after `count` operations: what comes before the last flush is there, of the others those that
   * `survives` lets, and of the last write half.
   */
  cutAfter(count: number, survives: (operation: number) => boolean): MemoryFile {
    const done = this.operations.slice(0, count);
    const safe = done.findLastIndex(({ kind }) => kind === "flush");
    const file = new MemoryFile();
    done.forEach((operation, n) => {
      if (n > safe && !survives(n)) return;
      const isTorn = n > safe && n === count - 1 && operation.kind === "write";
      const { length } = isTorn ? operation.bytes : [];
      file.#do(isTorn ? { ...operation, bytes: operation.bytes.slice(0, length >> 1) } : operation);
    });
    return file;
  }

  #do(operation: Operation): void {
    this.operations.push(operation);
    if (operation.kind === "truncate") this.#resize(operation.size);
    if (operation.kind !== "write") return;
    const { at, bytes } = operation;
    this.#resize(Math.max(this.#bytes.length, at + bytes.length));
    this.#bytes.set(bytes, at);
  }

  #resize(size: number): void {
    if (size === this.#bytes.length) return;
    const resized = new Uint8Array(size);
    resized.set(this.#bytes.subarray(0, size));
    this.#bytes = resized;
  }
}
