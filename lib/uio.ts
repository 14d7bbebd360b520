// SPDX-License-Identifier: Apache-2.0
// An IovIter over kernel memory: for reads and writes that the kernel makes itself (sendfile, splice, core dumps).

import type { IovIter } from "../include/linux/uio.ts";
import type { Ram } from "./ram.ts";

export class KernelIter implements IovIter {
  readonly #ram: Ram;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  /** Moves bytes to or from `bytes`, from `start` on, at most `length`. */
  constructor(ram: Ram, bytes: Uint8Array, start: number = 0, length: number = bytes.length - start) {
    this.#ram = ram;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = start + length;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }
  copyOut(source: Uint8Array, offset: number, length: number): void {
    this.#bytes.set(source.subarray(offset, offset + length), this.#at);
    this.#at += length;
  }
  copyOutRam(address: number, length: number): void {
    this.copyOut(this.#ram.u8, address, length);
  }
  zero(length: number): void {
    this.#bytes.fill(0, this.#at, this.#at + length);
    this.#at += length;
  }
  copyIn(target: Uint8Array, offset: number, length: number): void {
    target.set(this.#bytes.subarray(this.#at, this.#at + length), offset);
    this.#at += length;
  }
  copyInRam(address: number, length: number): void {
    this.copyIn(this.#ram.u8, address, length);
  }
  revert(length: number): void {
    this.#at -= length;
  }
}

export function kernelIter(ram: Ram, bytes: Uint8Array): IovIter {
  return new KernelIter(ram, bytes);
}
