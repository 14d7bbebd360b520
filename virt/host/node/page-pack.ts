// SPDX-License-Identifier: Apache-2.0
// Bytecode of many pages of guest code in one file, with an index beside it.
//
// Both are appended to. A row of the index: 16 bytes hash of the page, u48 offset in the pack, u32 length, u48 checksum of
// the bytes; a later row for the same page counts. Writers that meet leave rows whose bytes are not what the checksum
// says: those are passed over.

import { hash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";

import type { KeptPage } from "../../../include/host/translations.ts";

const PACK_FILE = "pages";
const INDEX_FILE = "pages.index";
/** All that a pack lies in. */
export const PACK_FILES: readonly string[] = [PACK_FILE, INDEX_FILE];
const ROW_BYTES = 32;
const HASH_BYTES = 16;
const CHECKSUM_BYTES = 6;
/** Above this everything is thrown away: much of it is rows that later ones replaced. */
const PACK_BYTES_MAX = 128 * 2 ** 20;

interface Row {
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

export class PagePack {
  readonly #directory: string;
  #index: Index | undefined;
  #file: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Bytes of bytecode for a page; 0 when there are none. */
  length(hash: string): number {
    return this.#row(hash)?.length ?? 0;
  }

  /** Reads the bytecode of a page, as long as it is. False when it cannot be had. */
  read(hash: string, into: Uint8Array): boolean {
    const row = this.#row(hash);
    if (row === undefined) return false;
    try {
      this.#file ??= openSync(this.#packPath, "r");
      const count = readSync(this.#file, into, 0, row.length, row.offset);
      return count === row.length && checksumOf(into) === row.checksum;
    } catch {
      return false; // gone meanwhile
    }
  }

  append(pages: readonly KeptPage[]): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    if (pages.length === 0) return;
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      let offset = sizeOf(this.#packPath);
      if (offset > PACK_BYTES_MAX) {
        rmSync(this.#indexPath, { force: true });
        rmSync(this.#packPath, { force: true });
        offset = 0;
      }
      const rows = Buffer.alloc(pages.length * ROW_BYTES);
      pages.forEach(({ hash, bytes }, n) => {
        const at = n * ROW_BYTES;
        rows.write(hash, at, "hex");
        rows.writeUIntLE(offset, at + HASH_BYTES, 6);
        rows.writeUInt32LE(bytes.length, at + HASH_BYTES + 6);
        rows.writeUIntLE(checksumOf(bytes), at + HASH_BYTES + 10, CHECKSUM_BYTES);
        offset += bytes.length;
      });
      appendFileSync(this.#packPath, Buffer.concat(pages.map(({ bytes }) => bytes)), { mode: 0o600 });
      appendFileSync(this.#indexPath, rows, { mode: 0o600 });
    } catch {
      // A full or read-only disk: the next run lifts again.
    }
  }

  get #packPath(): string {
    return join(this.#directory, PACK_FILE);
  }

  get #indexPath(): string {
    return join(this.#directory, INDEX_FILE);
  }

  #row(hash: string): Row | undefined {
    this.#index ??= readIndex(this.#indexPath);
    const { bytes, places } = this.#index;
    const at = places.get(hash);
    return at === undefined ? undefined : {
      offset: bytes.readUIntLE(at + HASH_BYTES, 6),
      length: bytes.readUInt32LE(at + HASH_BYTES + 6),
      checksum: bytes.readUIntLE(at + HASH_BYTES + 10, CHECKSUM_BYTES),
    };
  }
}

/** An index as it was read: of its rows, which are a thousand for an image, few are asked for. */
interface Index {
  readonly bytes: Buffer;
  /** By hash of the page: where its last row is. */
  readonly places: ReadonlyMap<string, number>;
}

function readIndex(path: string): Index {
  const places = new Map<string, number>();
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    bytes = Buffer.alloc(0); // Nothing was kept so far.
  }
  const digits = bytes.toString("hex");
  for (let at = 0; at + ROW_BYTES <= bytes.length; at += ROW_BYTES) {
    places.set(digits.slice(2 * at, 2 * (at + HASH_BYTES)), at);
  }
  return { bytes, places };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function checksumOf(bytes: Uint8Array): number {
  return hash("sha256", bytes, "buffer").readUIntLE(0, CHECKSUM_BYTES);
}
