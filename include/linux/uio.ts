// SPDX-License-Identifier: Apache-2.0
// IovIter: the memory that a read or a write moves bytes to or from, user or kernel, in one or many pieces.
//
// The system-call layer (fs/read_write.ts) faults user pages in before it calls a file operation, a window at a time
// (128 KiB), so the copies here are synchronous and never fault: `remaining` counts the prepared window only.

export interface IovIter {
  /** Bytes left in the prepared window. */
  readonly remaining: number;
  /** For read(2): copies `length` bytes of `source` at `offset` out, advances. `length` must be <= remaining. */
  copyOut(source: Uint8Array, offset: number, length: number): void;
  /** For read(2): as copyOut, from guest RAM at host address `address` (a page-cache frame): one copyWithin. */
  copyOutRam(address: number, length: number): void;
  /** Zero bytes. */
  zero(length: number): void;
  /** For write(2): copies the next `length` bytes into `target` at `offset`, advances. */
  copyIn(target: Uint8Array, offset: number, length: number): void;
  copyInRam(address: number, length: number): void;
  /** Goes back: the last `length` bytes were not consumed. */
  revert(length: number): void;
}
