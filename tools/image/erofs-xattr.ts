// SPDX-License-Identifier: Apache-2.0
// The inline xattr area of an EROFS inode. Source: fs/erofs/format.ts.

import * as erofs from "../../fs/erofs/format.ts";
import { stringToBytes } from "../../lib/byte-string.ts";

/** The xattr area that follows an inode; empty when there are no attributes. Throws on an unknown namespace. */
export function encodeXattrs(xattrs: ReadonlyMap<string, Uint8Array>): Uint8Array {
  if (xattrs.size === 0) return new Uint8Array(0);
  const entries = [...xattrs].sort(([left], [right]) => (left < right ? -1 : 1)).map(encodeEntry);
  const total = entries.reduce((sum, entry) => sum + entry.length, erofs.EROFS_XATTR_HEADER_BYTES);
  const area = new Uint8Array(total);
  let at = erofs.EROFS_XATTR_HEADER_BYTES;
  for (const entry of entries) {
    area.set(entry, at);
    at += entry.length;
  }
  return area;
}

function encodeEntry([name, value]: [string, Uint8Array]): Uint8Array {
  const found = erofs.EROFS_XATTR_PREFIXES.find(([, prefix]) =>
    prefix.endsWith(".") ? name.startsWith(prefix) : name === prefix
  );
  if (found === undefined) throw new Error(`extended attribute of unknown kind: ${name}`);
  const [nameIndex, prefix] = found;
  const suffix = stringToBytes(name.slice(prefix.length));
  if (suffix.length > 255 || value.length > 0xffff) throw new Error(`extended attribute too large: ${name}`);
  const entry = new Uint8Array((erofs.EROFS_XATTR_ENTRY_BYTES + suffix.length + value.length + 3) & ~3);
  entry[erofs.XE_NAME_LENGTH] = suffix.length;
  entry[erofs.XE_NAME_INDEX] = nameIndex;
  new DataView(entry.buffer).setUint16(erofs.XE_VALUE_SIZE, value.length, true);
  entry.set(suffix, erofs.EROFS_XATTR_ENTRY_BYTES);
  entry.set(value, erofs.EROFS_XATTR_ENTRY_BYTES + suffix.length);
  return entry;
}

/** The value of an inode's xattr count field for an area of this size. */
export function xattrCount(areaBytes: number): number {
  return areaBytes === 0 ? 0 : (areaBytes - erofs.EROFS_XATTR_HEADER_BYTES) / 4 + 1;
}
