// SPDX-License-Identifier: Apache-2.0
// Writes tar archives entry by entry: ustar headers, with pax records for what does not fit (long names, fractions of
// a second, extended attributes). Names are byte strings; the counterpart of lib/tar.ts.
// Source: POSIX pax(1), "pax Interchange Format"; the SCHILY.xattr keyword of star(5).

import { stringToBytes } from "./byte-string.ts";
import type { TarHeader, TarType } from "./tar.ts";

const BLOCK = 512;
const NAME_BYTES = 100;
const OCTAL_7_MAX = 0o7777777;
const OCTAL_11_MAX = 0o77777777777;
const FLAGS: Readonly<Record<TarType, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** Two blocks of zeroes. */
export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK);
}

/** Zeroes that fill the last block of `sizeBytes` of data. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((BLOCK - (sizeBytes % BLOCK)) % BLOCK);
}

/** The header blocks of an entry, pax records included; its data and tarPadding follow. */
export function tarHeader(header: TarHeader): Uint8Array {
  const records = paxRecords(header);
  if (records.length === 0) return headerBlock(header, FLAGS[header.type]);
  const data = concat(records);
  const pax = headerBlock({ ...header, path: "pax", linkPath: "", sizeBytes: data.length, mode: 0o644 }, "x");
  return concat([pax, data, tarPadding(data.length), headerBlock(header, FLAGS[header.type])]);
}

function paxRecords(header: TarHeader): Uint8Array[] {
  const records: Uint8Array[] = [];
  const text = (keyword: string, value: string): void => {
    records.push(paxRecord(keyword, stringToBytes(value)));
  };
  if (header.path.length > NAME_BYTES) text("path", header.path);
  if (header.linkPath.length > NAME_BYTES) text("linkpath", header.linkPath);
  if (header.sizeBytes > OCTAL_11_MAX) text("size", String(header.sizeBytes));
  if (header.uid > OCTAL_7_MAX) text("uid", String(header.uid));
  if (header.gid > OCTAL_7_MAX) text("gid", String(header.gid));
  if (header.mtimeNs !== 0 || header.mtime < 0) {
    text("mtime", `${header.mtime}.${String(header.mtimeNs).padStart(9, "0")}`);
  }
  for (const [name, value] of header.xattrs) records.push(paxRecord(`SCHILY.xattr.${name}`, value));
  return records;
}

/** "length keyword=value\n", where length counts its own digits. */
function paxRecord(keyword: string, value: Uint8Array): Uint8Array {
  const rest = keyword.length + value.length + 3; // space, equals sign, newline
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return concat([stringToBytes(`${length} ${keyword}=`), value, stringToBytes("\n")]);
}

function headerBlock(header: TarHeader, flag: string): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (offset: number, text: string): void => block.set(stringToBytes(text), offset);
  const octal = (offset: number, digits: number, value: number): void =>
    put(offset, Math.max(0, value).toString(8).padStart(digits, "0").slice(-digits));
  put(0, header.path.slice(0, NAME_BYTES));
  octal(100, 7, header.mode & 0o7777);
  octal(108, 7, header.uid > OCTAL_7_MAX ? 0 : header.uid);
  octal(116, 7, header.gid > OCTAL_7_MAX ? 0 : header.gid);
  octal(124, 11, header.sizeBytes > OCTAL_11_MAX ? 0 : header.sizeBytes);
  octal(136, 11, header.mtime);
  put(156, flag);
  put(157, header.linkPath.slice(0, NAME_BYTES));
  put(257, "ustar\u000000");
  octal(329, 7, header.major);
  octal(337, 7, header.minor);
  put(148, "        ");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
