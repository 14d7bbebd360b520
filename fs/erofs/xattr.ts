// SPDX-License-Identifier: Apache-2.0
// Extended attributes of an EROFS inode: entries behind the inode, and ids of entries that many inodes share.
// Source: fs/erofs/format.ts.

import type { Sleeps } from "../../include/linux/wait.ts";
import { EUCLEAN } from "../../lib/errno.ts";
import { bytesToString } from "../../lib/byte-string.ts";
import * as format from "./format.ts";

/** What the attributes are read through. */
export interface XattrImage {
  sharedXattrOffset(id: number): number;
  readMeta(offset: number, length: number): Sleeps<Uint8Array>;
}

interface Decoded {
  readonly name: string | undefined; // undefined for a namespace that is not known
  readonly value: Uint8Array;
  readonly totalBytes: number;
}

/** All attributes of the inode whose area of `length` bytes is at `start`. */
export function* readXattrs(
  image: XattrImage,
  start: number,
  length: number,
): Sleeps<Map<string, Uint8Array>> {
  const area = yield* image.readMeta(start, length);
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const found = new Map<string, Uint8Array>();
  const sharedCount = area[format.XH_SHARED_COUNT]!;
  const inlineStart = format.EROFS_XATTR_HEADER_BYTES + sharedCount * 4;
  if (inlineStart > length) throw EUCLEAN;
  for (let at = inlineStart; at + format.EROFS_XATTR_ENTRY_BYTES <= length;) {
    const entry = decodeEntry(area.subarray(at));
    if (entry.name !== undefined) found.set(entry.name, entry.value);
    at += entry.totalBytes;
  }
  for (let index = 0; index < sharedCount; index++) {
    const id = view.getUint32(format.EROFS_XATTR_HEADER_BYTES + index * 4, true);
    const offset = image.sharedXattrOffset(id);
    const head = yield* image.readMeta(offset, format.EROFS_XATTR_ENTRY_BYTES);
    const size = entryBytes(head);
    const entry = decodeEntry(yield* image.readMeta(offset, size));
    if (entry.name !== undefined && !found.has(entry.name)) found.set(entry.name, entry.value);
  }
  return found;
}

function entryBytes(head: Uint8Array): number {
  const valueBytes = head[format.XE_VALUE_SIZE]! | (head[format.XE_VALUE_SIZE + 1]! << 8);
  return (format.EROFS_XATTR_ENTRY_BYTES + head[format.XE_NAME_LENGTH]! + valueBytes + 3) & ~3;
}

function decodeEntry(bytes: Uint8Array): Decoded {
  const nameStart = format.EROFS_XATTR_ENTRY_BYTES;
  const nameEnd = nameStart + bytes[format.XE_NAME_LENGTH]!;
  const valueBytes = bytes[format.XE_VALUE_SIZE]! | (bytes[format.XE_VALUE_SIZE + 1]! << 8);
  if (nameEnd + valueBytes > bytes.length) throw EUCLEAN;
  const index = bytes[format.XE_NAME_INDEX]!;
  const prefix = format.EROFS_XATTR_PREFIXES.find(([number]) => number === index)?.[1];
  const name = prefix === undefined ? undefined : prefix + bytesToString(bytes, nameStart, nameEnd);
  return { name, value: bytes.slice(nameEnd, nameEnd + valueBytes), totalBytes: entryBytes(bytes) };
}
