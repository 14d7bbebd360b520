// SPDX-License-Identifier: Apache-2.0
// The common archive format of ar(5), as far as deb(5) uses it: short names, no symbol table.

import { bytesToString } from "./byte-string.ts";

export interface ArMember {
  readonly name: string;
  /** A view of the archive's bytes, not a copy. */
  readonly bytes: Uint8Array;
}

const MAGIC = "!<arch>\n";
const HEADER_BYTES = 60;

/** All members in order. Throws an Error that says what is wrong when the archive is torn or malformed. */
export function readAr(archive: Uint8Array): ArMember[] {
  if (bytesToString(archive, 0, Math.min(MAGIC.length, archive.length)) !== MAGIC) {
    throw new Error("not an ar archive");
  }
  const members: ArMember[] = [];
  let at = MAGIC.length;
  while (at < archive.length) {
    if (at + HEADER_BYTES > archive.length) throw new Error("ar archive ends inside a header");
    const header = bytesToString(archive, at, at + HEADER_BYTES);
    const size = header.slice(48, 58).trim();
    if (header.slice(58) !== "`\n" || !/^\d+$/.test(size)) throw new Error("bad header in ar archive");
    const start = at + HEADER_BYTES;
    const end = start + Number(size);
    if (end > archive.length) throw new Error("ar archive ends inside a member");
    const name = header.slice(0, 16).trimEnd().replace(/\/$/, "");
    members.push({ name, bytes: archive.subarray(start, end) });
    at = end + (end & 1);
  }
  return members;
}
