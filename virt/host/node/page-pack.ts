// SPDX-License-Identifier: Apache-2.0
// Bytecode of many pages of guest code in one file, with an index beside it.
//
// Both are appended to. A row of the index: 16 bytes hash of the page, u48 offset in the pack, u32 length, u48 checksum of
// the bytes; a later row for the same page counts. Writers that meet leave rows whose bytes are not what the checksum
// says: those are passed over. When more of the pack was replaced than is left, what is left is written anew.

import { hash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
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
/** Of what a pack may be at most: so much is left when it became more. */
const KEPT_SHARE = 0.75;

/** How large a pack may become, in bytes. */
export interface PackLimits {
  /** What was written longest ago goes when more is left. */
  readonly bytesMax: number;
  /** Less than this is not worth writing the rest anew for. */
  readonly wasteMin: number;
}
const USUAL_LIMITS: PackLimits = { bytesMax: 128 * 2 ** 20, wasteMin: 8 * 2 ** 20 };

interface Row {
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

export class PagePack {
  readonly #directory: string;
  readonly #limits: PackLimits;
  #index: Index | undefined;
  #file: number | undefined;

  /** `directory` is there before anything is appended. */
  constructor(directory: string, limits: PackLimits = USUAL_LIMITS) {
    this.#directory = directory;
    this.#limits = limits;
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
    this.#close();
    if (pages.length === 0) return;
    try {
      const { rows, end } = rowsOf(pages, sizeOf(this.#packPath));
      appendFileSync(this.#packPath, Buffer.concat(pages.map(({ bytes }) => bytes)), { mode: 0o600 });
      appendFileSync(this.#indexPath, rows, { mode: 0o600 });
      if (this.#isWasteful(end)) this.#writeAnew();
    } catch {
      // A full or read-only disk: the next run lifts again.
    }
  }

  /** As far as this run knows: others may have replaced more. */
  #isWasteful(size: number): boolean {
    if (size <= this.#limits.wasteMin) return false;
    let left = 0;
    const index = this.#index ??= readIndex(this.#indexPath);
    for (const at of index.places.values()) left += rowAt(index, at).length;
    return size - left > Math.max(left, this.#limits.wasteMin) || left > this.#limits.bytesMax;
  }

  /** What is left, without what another writer has spoilt. Whoever reads meanwhile, or appends, finds that checksums are wrong. */
  #writeAnew(): void {
    const [pack, index] = [asideOf(this.#packPath), asideOf(this.#indexPath)];
    try {
      writeFileSync(pack, "", { mode: 0o600 });
      writeFileSync(index, this.#copyLeft(pack), { mode: 0o600 });
      renameSync(pack, this.#packPath);
      renameSync(index, this.#indexPath);
    } finally {
      rmSync(pack, { force: true });
      rmSync(index, { force: true });
      this.#close();
      this.#index = undefined;
    }
  }

  /** Appends what is left to another file. Its index. */
  #copyLeft(path: string): Buffer {
    const rows: Buffer[] = [];
    let end = 0;
    this.#index = readIndex(this.#indexPath);
    for (const hash of this.#latest(this.#index)) {
      const bytes = new Uint8Array(this.length(hash));
      if (!this.read(hash, bytes)) continue;
      appendFileSync(path, bytes);
      rows.push(rowsOf([{ hash, bytes }], end).rows);
      end += bytes.length;
    }
    return Buffer.concat(rows);
  }

  /** Hashes of the pages that stay, as they were written one after the other. */
  #latest(index: Index): string[] {
    const rows = [...index.places].sort(([, one], [, other]) => other - one);
    let left = this.#limits.bytesMax * KEPT_SHARE;
    const count = rows.findIndex(([, at]) => (left -= rowAt(index, at).length) < 0);
    return rows.slice(0, count < 0 ? rows.length : count).map(([hash]) => hash).reverse();
  }

  #close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  get #packPath(): string {
    return join(this.#directory, PACK_FILE);
  }

  get #indexPath(): string {
    return join(this.#directory, INDEX_FILE);
  }

  #row(hash: string): Row | undefined {
    this.#index ??= readIndex(this.#indexPath);
    const at = this.#index.places.get(hash);
    return at === undefined ? undefined : rowAt(this.#index, at);
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

function rowAt({ bytes }: Index, at: number): Row {
  return {
    offset: bytes.readUIntLE(at + HASH_BYTES, 6),
    length: bytes.readUInt32LE(at + HASH_BYTES + 6),
    checksum: bytes.readUIntLE(at + HASH_BYTES + 10, CHECKSUM_BYTES),
  };
}

/** Of pages whose bytes lie one after the other from `start` on, and where they end. */
function rowsOf(pages: readonly KeptPage[], start: number): { rows: Buffer; end: number } {
  const rows = Buffer.alloc(pages.length * ROW_BYTES);
  let end = start;
  pages.forEach(({ hash, bytes }, n) => {
    const at = n * ROW_BYTES;
    rows.write(hash, at, "hex");
    rows.writeUIntLE(end, at + HASH_BYTES, 6);
    rows.writeUInt32LE(bytes.length, at + HASH_BYTES + 6);
    rows.writeUIntLE(checksumOf(bytes), at + HASH_BYTES + 10, CHECKSUM_BYTES);
    end += bytes.length;
  });
  return { rows, end };
}

/** Where what is to take the place of a file is written first. */
function asideOf(path: string): string {
  return `${path}.${process.pid}`;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function checksumOf(bytes: Uint8Array): number {
  return hash("sha256", bytes, "buffer").readUIntLE(0, CHECKSUM_BYTES);
}
