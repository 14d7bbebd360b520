// SPDX-License-Identifier: Apache-2.0
// Mount options of tmpfs. Source: tmpfs(5).

import { EINVAL } from "../../lib/errno.ts";

export interface TmpfsOptions {
  readonly pagesMax: number;
  readonly inodesMax: number;
  readonly mode: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Pages of RAM, to which size=N% refers. */
  readonly totalPages: number;
}

/** Options that tmpfs(5) has and that change nothing here. */
const IGNORED = new Set([
  "",
  "huge",
  "mpol",
  "inode32",
  "inode64",
  "noswap",
  "defaults",
  "rw",
  "ro",
  "usrquota",
  "grpquota",
]);

export function parseOptions(
  data: string,
  totalPages: number,
  former: TmpfsOptions | undefined,
): TmpfsOptions {
  let pagesMax = former?.pagesMax ?? Math.floor(totalPages / 2);
  let inodesMax = former?.inodesMax ?? Math.floor(totalPages / 2);
  let mode = former?.mode ?? 0o1777;
  let uid = former?.uid;
  let gid = former?.gid;
  for (const option of data.split(",")) {
    const [key = "", value = ""] = option.split("=");
    switch (key) {
      case "size":
        pagesMax = unlimited(Math.ceil(parseSize(value, totalPages) / 4096));
        break;
      case "nr_blocks":
        pagesMax = unlimited(parseSize(value, totalPages));
        break;
      case "nr_inodes":
        inodesMax = unlimited(parseSize(value, totalPages));
        break;
      case "mode":
        mode = parseNumber(value, 8) & 0o7777;
        break;
      case "uid":
        uid = parseNumber(value, 10);
        break;
      case "gid":
        gid = parseNumber(value, 10);
        break;
      default:
        if (!IGNORED.has(key)) throw EINVAL;
    }
  }
  return { pagesMax, inodesMax, mode, uid, gid, totalPages };
}

/** Zero means no limit. */
function unlimited(count: number): number {
  return count === 0 ? Infinity : count;
}

function parseNumber(text: string, radix: number): number {
  const value = Number.parseInt(text, radix);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) throw EINVAL;
  return value;
}

/** Bytes or a count with k, m, g; or N% of RAM. */
function parseSize(text: string, totalPages: number): number {
  const match = /^([0-9]+)([kKmMgGtT%]?)$/.exec(text);
  if (match === null) throw EINVAL;
  const value = Number(match[1]);
  switch ((match[2] ?? "").toLowerCase()) {
    case "k":
      return value * 1024;
    case "m":
      return value * 1024 ** 2;
    case "g":
      return value * 1024 ** 3;
    case "t":
      return value * 1024 ** 4;
    case "%":
      return Math.floor((value * totalPages) / 100) * 4096;
    default:
      return value;
  }
}

/** For /proc/mounts: what differs from the defaults. */
export function showOptions(options: TmpfsOptions): string {
  const { totalPages } = options;
  const parts: string[] = [];
  if (options.pagesMax !== Math.floor(totalPages / 2)) {
    parts.push(`size=${Number.isFinite(options.pagesMax) ? options.pagesMax * 4 : 0}k`);
  }
  if (options.inodesMax !== Math.floor(totalPages / 2)) {
    parts.push(`nr_inodes=${Number.isFinite(options.inodesMax) ? options.inodesMax : 0}`);
  }
  if (options.mode !== 0o1777) parts.push(`mode=${options.mode.toString(8)}`);
  if (options.uid !== undefined && options.uid !== 0) parts.push(`uid=${options.uid}`);
  if (options.gid !== undefined && options.gid !== 0) parts.push(`gid=${options.gid}`);
  parts.push("inode64");
  return parts.join(",");
}
