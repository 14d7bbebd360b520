// SPDX-License-Identifier: Apache-2.0
// The content of an EROFS directory. Source: fs/erofs/format.ts.

import * as erofs from "../../fs/erofs/format.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "./tree.ts";

export interface DirectoryEntry {
  /** A byte string. */
  readonly name: string;
  readonly nid: number;
  readonly mode: number;
}

const BLOCK = erofs.EROFS_BLOCK_BYTES;

const FILE_TYPES: ReadonlyMap<number, number> = new Map([
  [S_IFREG, erofs.EROFS_FT_REG_FILE],
  [S_IFDIR, erofs.EROFS_FT_DIR],
  [S_IFCHR, erofs.EROFS_FT_CHRDEV],
  [S_IFBLK, erofs.EROFS_FT_BLKDEV],
  [S_IFIFO, erofs.EROFS_FT_FIFO],
  [S_IFSOCK, erofs.EROFS_FT_SOCK],
  [S_IFLNK, erofs.EROFS_FT_SYMLINK],
]);

/** How many bytes the entries of these names take, "." and ".." included by the caller. */
export function directoryByteCount(names: readonly string[]): number {
  let blocks = 0;
  let used = 0;
  for (const name of names) {
    const need = erofs.EROFS_DIRENT_BYTES + name.length;
    if (used + need > BLOCK) {
      blocks++;
      used = 0;
    }
    used += need;
  }
  return blocks * BLOCK + used;
}

/** The content of a directory. Precondition: `entries` is sorted by name in byte order. */
export function encodeDirectory(entries: readonly DirectoryEntry[]): Uint8Array {
  const bytes = new Uint8Array(directoryByteCount(entries.map((entry) => entry.name)));
  let blockStart = 0;
  for (let first = 0; first < entries.length; blockStart += BLOCK) {
    let end = first;
    let used = 0;
    for (let entry = entries[end]; entry !== undefined; entry = entries[++end]) {
      const need = erofs.EROFS_DIRENT_BYTES + entry.name.length;
      if (used + need > BLOCK) break;
      used += need;
    }
    encodeBlock(entries.slice(first, end), bytes, blockStart);
    first = end;
  }
  return bytes;
}

function encodeBlock(entries: readonly DirectoryEntry[], bytes: Uint8Array, blockStart: number): void {
  const view = new DataView(bytes.buffer);
  let nameOffset = entries.length * erofs.EROFS_DIRENT_BYTES;
  entries.forEach((entry, index) => {
    const at = blockStart + index * erofs.EROFS_DIRENT_BYTES;
    view.setBigUint64(at + erofs.DE_NID, BigInt(entry.nid), true);
    view.setUint16(at + erofs.DE_NAME_OFFSET, nameOffset, true);
    view.setUint8(at + erofs.DE_FILE_TYPE, FILE_TYPES.get(entry.mode & S_IFMT) ?? erofs.EROFS_FT_UNKNOWN);
    for (let character = 0; character < entry.name.length; character++) {
      bytes[blockStart + nameOffset + character] = entry.name.charCodeAt(character);
    }
    nameOffset += entry.name.length;
  });
}
