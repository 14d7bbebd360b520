// SPDX-License-Identifier: Apache-2.0
// Directory blocks of EROFS. Source: fs/erofs/format.ts.

import {
  DT_BLK,
  DT_CHR,
  DT_DIR,
  DT_FIFO,
  DT_LNK,
  DT_REG,
  DT_SOCK,
  DT_UNKNOWN,
} from "../../include/uapi/stat.ts";
import { EUCLEAN } from "../../lib/errno.ts";
import { bytesToString } from "../../lib/byte-string.ts";
import { DE_FILE_TYPE, DE_NAME_OFFSET, DE_NID, EROFS_DIRENT_BYTES } from "./format.ts";

export interface ErofsEntry {
  readonly nid: number;
  readonly type: number; // DT_*
}

/** DT_* by EROFS_FT_*. */
const TYPES = [DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK];

/** Adds the entries of one block, "." and ".." excepted. Throws EUCLEAN for what makes no sense. */
export function parseDirectoryBlock(block: Uint8Array, entries: Map<string, ErofsEntry>): void {
  if (block.length < EROFS_DIRENT_BYTES) throw EUCLEAN;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const headBytes = view.getUint16(DE_NAME_OFFSET, true);
  if (headBytes < EROFS_DIRENT_BYTES || headBytes % EROFS_DIRENT_BYTES !== 0 || headBytes > block.length) {
    throw EUCLEAN;
  }
  const count = headBytes / EROFS_DIRENT_BYTES;
  for (let index = 0; index < count; index++) {
    const at = index * EROFS_DIRENT_BYTES;
    const start = view.getUint16(at + DE_NAME_OFFSET, true);
    const isLast = index === count - 1;
    let end = isLast ? block.length : view.getUint16(at + EROFS_DIRENT_BYTES + DE_NAME_OFFSET, true);
    if (start < headBytes || end <= start || end > block.length) throw EUCLEAN;
    if (isLast) {
      const nul = block.indexOf(0, start);
      if (nul >= 0) end = nul;
    }
    const name = bytesToString(block, start, end);
    if (name === "" || name.length > 255 || name.includes("/") || name.includes("\0")) throw EUCLEAN;
    if (name === "." || name === "..") continue;
    const nid = view.getUint32(at + DE_NID, true) + view.getUint32(at + DE_NID + 4, true) * 0x1_0000_0000;
    if (!Number.isSafeInteger(nid)) throw EUCLEAN;
    entries.set(name, { nid, type: TYPES[block[at + DE_FILE_TYPE]!] ?? DT_UNKNOWN });
  }
}
