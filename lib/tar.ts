// SPDX-License-Identifier: Apache-2.0
// Reads tar archives as a stream of chunks: v7, ustar, pax (1.x records) and the GNU long names.
//
// Names are byte strings (lib/byte-string.ts) and xattr values are bytes: the libraries at hand decode pax
// values as UTF-8, which ruins security.capability. Nothing but one header block is ever held back; the data
// of an entry passes through as it comes.
// Source: POSIX pax(1), "pax Interchange Format"; tar(5); the SCHILY.xattr keyword of star(5).

import { bytesToString } from "./byte-string.ts";

export type TarType = "file" | "link" | "symlink" | "char" | "block" | "directory" | "fifo";

export interface TarHeader {
  /** As in the archive, without trailing slashes. A byte string. */
  readonly path: string;
  readonly type: TarType;
  /** Permission bits with set-id and sticky (07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of data that follow; 0 unless `type` is "file". */
  readonly sizeBytes: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  /** The target of a link or symlink, "" otherwise. */
  readonly linkPath: string;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** Receives each entry: its header, then its data in pieces (valid only during the call), then its end. */
export interface TarVisitor {
  begin(header: TarHeader): void;
  data(bytes: Uint8Array): void;
  end(): void;
}

const BLOCK = 512;
/** An extended header beyond this is taken for damage, not for a name. */
const EXTENSION_BYTES_MAX = 1 << 20;
const TYPES: ReadonlyMap<string, TarType> = new Map([
  ["\0", "file"],
  ["0", "file"],
  ["7", "file"],
  ["1", "link"],
  ["2", "symlink"],
  ["3", "char"],
  ["4", "block"],
  ["5", "directory"],
  ["6", "fifo"],
]);
const XATTR_KEYWORD = "SCHILY.xattr.";

function field(block: Uint8Array, start: number, length: number): string {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return bytesToString(block, start, end);
}

/** A number: octal text, or (GNU) big-endian binary when the first byte has its top bit set. */
function numberField(block: Uint8Array, start: number, length: number): number {
  const first = block[start]!;
  if ((first & 0x80) !== 0) {
    let value = first === 0xff ? -1 : first & 0x7f;
    for (let index = start + 1; index < start + length; index++) value = value * 256 + block[index]!;
    return value;
  }
  const text = field(block, start, length).trim();
  if (text === "") return 0;
  if (!/^[0-7]+$/.test(text)) throw new Error("bad number in tar header");
  return parseInt(text, 8);
}

function checksumHolds(block: Uint8Array): boolean {
  let sum = 8 * 32;
  for (let index = 0; index < BLOCK; index++) if (index < 148 || index >= 156) sum += block[index]!;
  return sum === numberField(block, 148, 8);
}

/** The records of a pax header: "length keyword=value\n", length counting itself. */
function paxRecords(bytes: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytesToString(bytes, at, Math.max(space, at)));
    const end = at + length;
    if (space < 0 || !Number.isInteger(length) || end > bytes.length || end <= space) {
      throw new Error("bad record in pax header");
    }
    const equals = bytes.indexOf(0x3d, space);
    if (equals < 0 || equals >= end) throw new Error("bad record in pax header");
    records.set(bytesToString(bytes, space + 1, equals), bytes.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** Push parser: feed it with `push`, then call `finish`. Malformed input throws an Error. */
export class TarParser {
  readonly #visitor: TarVisitor;
  readonly #block = new Uint8Array(BLOCK);
  #blockFill = 0;
  /** Data bytes of the current entry still to come, and the padding after them. */
  #dataLeft = 0;
  #paddingLeft = 0;
  /** Where data goes: to the visitor, or into the extended header being collected. */
  #extension: { readonly type: string; readonly bytes: Uint8Array; fill: number } | undefined;
  #inEntry = false;
  #pax = new Map<string, Uint8Array>();
  #globalPax = new Map<string, Uint8Array>();
  #ended = false;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      if (this.#dataLeft > 0) {
        const piece = chunk.subarray(at, at + this.#dataLeft);
        this.#takeData(piece);
        at += piece.length;
      } else if (this.#paddingLeft > 0) {
        const skipped = Math.min(this.#paddingLeft, chunk.length - at);
        this.#paddingLeft -= skipped;
        at += skipped;
      } else {
        const piece = chunk.subarray(at, at + BLOCK - this.#blockFill);
        this.#block.set(piece, this.#blockFill);
        this.#blockFill += piece.length;
        at += piece.length;
        if (this.#blockFill === BLOCK) {
          this.#blockFill = 0;
          this.#takeHeader();
        }
      }
    }
  }

  /** Says that no more comes; throws when the archive is torn. */
  finish(): void {
    if (this.#dataLeft > 0 || this.#blockFill > 0 || this.#extension !== undefined) {
      throw new Error("tar archive ends early");
    }
  }

  #takeData(piece: Uint8Array): void {
    this.#dataLeft -= piece.length;
    if (this.#extension === undefined) {
      this.#visitor.data(piece);
    } else {
      this.#extension.bytes.set(piece, this.#extension.fill);
      this.#extension.fill += piece.length;
    }
    if (this.#dataLeft === 0) this.#endData();
  }

  #endData(): void {
    const extension = this.#extension;
    this.#extension = undefined;
    if (extension === undefined) {
      if (this.#inEntry) this.#visitor.end();
      this.#inEntry = false;
      return;
    }
    if (extension.type === "x") this.#pax = new Map([...this.#pax, ...paxRecords(extension.bytes)]);
    if (extension.type === "g") {
      this.#globalPax = new Map([...this.#globalPax, ...paxRecords(extension.bytes)]);
    }
    const zero = extension.bytes.indexOf(0);
    const name = extension.bytes.subarray(0, zero < 0 ? undefined : zero);
    if (extension.type === "L") this.#pax.set("path", name);
    if (extension.type === "K") this.#pax.set("linkpath", name);
  }

  #takeHeader(): void {
    const block = this.#block;
    if (block.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    if (!checksumHolds(block)) throw new Error("bad checksum in tar header");
    const flag = String.fromCharCode(block[156]!);
    const size = numberField(block, 124, 12);
    if ("xgLK".includes(flag)) {
      if (size > EXTENSION_BYTES_MAX) throw new Error("oversized extended header in tar archive");
      this.#extension = { type: flag, bytes: new Uint8Array(size), fill: 0 };
      this.#expectData(size);
      return;
    }
    const type = TYPES.get(flag);
    if (type === undefined) throw new Error(`tar entry of unknown type "${flag}"`);
    const header = this.#header(type, size);
    this.#pax = new Map();
    this.#inEntry = true;
    this.#visitor.begin(header);
    this.#expectData(header.sizeBytes);
  }

  #expectData(size: number): void {
    this.#dataLeft = size;
    this.#paddingLeft = -size & (BLOCK - 1);
    if (size === 0) this.#endData();
  }

  #header(type: TarType, size: number): TarHeader {
    const block = this.#block;
    const isUstar = field(block, 257, 5) === "ustar";
    const prefix = isUstar && block[262] === 0 ? field(block, 345, 155) : "";
    const name = field(block, 0, 100);
    const pax = (key: string): string | undefined => {
      const value = this.#pax.get(key) ?? this.#globalPax.get(key);
      return value === undefined ? undefined : bytesToString(value);
    };
    const xattrs = new Map<string, Uint8Array>();
    for (const [key, value] of this.#pax) {
      if (key.startsWith(XATTR_KEYWORD)) xattrs.set(key.slice(XATTR_KEYWORD.length), value);
    }
    const mtime = pax("mtime");
    const wholeSeconds = mtime === undefined ? numberField(block, 136, 12) : Math.floor(Number(mtime));
    const fraction = mtime?.split(".")[1] ?? "";
    const hasLink = type === "link" || type === "symlink";
    return {
      path: (pax("path") ?? (prefix === "" ? name : `${prefix}/${name}`)).replace(/(?<=.)\/+$/, ""),
      type,
      mode: numberField(block, 100, 8) & 0o7777,
      uid: Number(pax("uid") ?? numberField(block, 108, 8)),
      gid: Number(pax("gid") ?? numberField(block, 116, 8)),
      sizeBytes: type === "file" ? Number(pax("size") ?? size) : 0,
      mtime: wholeSeconds,
      mtimeNs: Number(fraction.slice(0, 9).padEnd(9, "0")),
      linkPath: hasLink ? (pax("linkpath") ?? field(block, 157, 100)) : "",
      major: isUstar ? numberField(block, 329, 8) : 0,
      minor: isUstar ? numberField(block, 337, 8) : 0,
      xattrs,
    };
  }
}
