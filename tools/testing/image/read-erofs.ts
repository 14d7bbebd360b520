// SPDX-License-Identifier: Apache-2.0
// Reads an EROFS image back for tests, by the numbers of the format's documentation and not by those of
// fs/erofs/format.ts, so that a wrong number there does not hide here. Strict: what a kernel might overlook fails.

export interface ErofsEntry {
  readonly nid: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly linkCount: number;
  readonly sizeBytes: number;
  /** Offset of the data when it has blocks of its own. */
  readonly dataOffset: number | undefined;
  readonly data: Buffer;
  readonly rdev: number;
  readonly xattrs: ReadonlyMap<string, string>;
}

const BLOCK = 4096;
const PREFIXES = [
  "",
  "user.",
  "system.posix_acl_access",
  "system.posix_acl_default",
  "trusted.",
  "",
  "security.",
];

function fail(message: string): never {
  throw new Error(`bad image: ${message}`);
}

function readXattrs(image: Buffer, start: number, count: number): Map<string, string> {
  const xattrs = new Map<string, string>();
  if (count === 0) return xattrs;
  const end = start + 12 + (count - 1) * 4;
  if (image.readUInt8(start + 4) !== 0) fail("shared xattrs are not expected");
  for (let at = start + 12; at < end;) {
    const nameLength = image.readUInt8(at);
    const valueLength = image.readUInt16LE(at + 2);
    const name = image.toString("latin1", at + 4, at + 4 + nameLength);
    const value = image.toString("hex", at + 4 + nameLength, at + 4 + nameLength + valueLength);
    xattrs.set(`${PREFIXES[image.readUInt8(at + 1)] ?? ""}${name}`, value);
    at += (4 + nameLength + valueLength + 3) & ~3;
    if (at > end) fail("an xattr crosses the end of its area");
  }
  return xattrs;
}

function readInode(image: Buffer, nid: number): ErofsEntry {
  const at = nid * 32;
  const format = image.readUInt16LE(at);
  const layout = format >> 1;
  if ((format & 1) !== 1 || (layout !== 0 && layout !== 2)) {
    fail(`inode ${String(nid)} has format ${String(format)}`);
  }
  if (at % BLOCK > BLOCK - 64) fail(`inode ${String(nid)} crosses a block`);
  const mode = image.readUInt16LE(at + 4);
  const sizeBytes = Number(image.readBigUInt64LE(at + 8));
  const xattrCount = image.readUInt16LE(at + 2);
  const xattrBytes = xattrCount === 0 ? 0 : 12 + (xattrCount - 1) * 4;
  const isDevice = ![0o100000, 0o040000, 0o120000].includes(mode & 0o170000);
  const tailBytes = layout === 2 ? sizeBytes % BLOCK || (sizeBytes === 0 ? 0 : fail("an empty tail")) : 0;
  const dataOffset = image.readUInt32LE(at + 16) * BLOCK;
  const tailStart = at + 64 + xattrBytes;
  if (tailBytes > 0 && (tailStart % BLOCK) + tailBytes > BLOCK) {
    fail(`the tail of ${String(nid)} crosses a block`);
  }
  const blocks = isDevice ? Buffer.alloc(0) : image.subarray(dataOffset, dataOffset + sizeBytes - tailBytes);
  return {
    nid,
    mode,
    sizeBytes,
    uid: image.readUInt32LE(at + 24),
    gid: image.readUInt32LE(at + 28),
    mtime: Number(image.readBigInt64LE(at + 32)),
    mtimeNs: image.readUInt32LE(at + 40),
    linkCount: image.readUInt32LE(at + 44),
    dataOffset: blocks.length > 0 ? dataOffset : undefined,
    data: Buffer.concat([blocks, image.subarray(tailStart, tailStart + tailBytes)]),
    rdev: isDevice ? image.readUInt32LE(at + 16) : 0,
    xattrs: readXattrs(image, at + 64, xattrCount),
  };
}

/** The entries of a directory's content, in their order; checks that the names ascend. */
function readDirectory(data: Buffer): [name: string, nid: number, type: number][] {
  const entries: [string, number, number][] = [];
  for (let start = 0; start < data.length; start += BLOCK) {
    const block = data.subarray(start, start + BLOCK);
    const count = block.readUInt16LE(8) / 12;
    if (!Number.isInteger(count) || count === 0) fail("a directory block without entries");
    for (let index = 0; index < count; index++) {
      const from = block.readUInt16LE(index * 12 + 8);
      const to = index + 1 < count ? block.readUInt16LE(index * 12 + 20) : block.length;
      const name = block.toString("latin1", from, to).replace(/\0.*$/s, "");
      const former = entries.at(-1)?.[0];
      if (
        former !== undefined
        && Buffer.compare(Buffer.from(former, "latin1"), Buffer.from(name, "latin1")) >= 0
      ) {
        fail(`${name} comes after ${former}`);
      }
      entries.push([name, Number(block.readBigUInt64LE(index * 12)), block.readUInt8(index * 12 + 10)]);
    }
  }
  return entries;
}

function crc(bytes: Buffer): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) * 0x82f63b78);
  }
  return value >>> 0;
}

function checkSuperBlock(image: Buffer): void {
  if (image.readUInt32LE(1024) !== 0xe0f5e1e2) fail("no magic number");
  if (image.readUInt32LE(1024 + 80) !== 0) fail("incompatible features");
  if (image.readUInt8(1024 + 12) !== 12) fail("block size");
  if (image.readUInt32LE(1024 + 36) * BLOCK !== image.length) fail("number of blocks");
  if (image.readUInt32LE(1024 + 40) !== 0) fail("start of metadata");
  const summed = Buffer.from(image.subarray(1024, BLOCK));
  summed.writeUInt32LE(0, 4);
  if (crc(summed) !== image.readUInt32LE(1028)) fail("checksum of the super block");
}

/** Every path of an image ("/" first) with its inode; directories' "." and ".." and link counts are checked. */
export function readErofs(image: Buffer): Map<string, ErofsEntry> {
  checkSuperBlock(image);
  const paths = new Map<string, ErofsEntry>();
  const links = new Map<number, number>();
  const visit = (path: string, nid: number, parentNid: number): void => {
    const entry = readInode(image, nid);
    paths.set(path === "" ? "/" : path, entry);
    if ((entry.mode & 0o170000) !== 0o040000) {
      links.set(nid, (links.get(nid) ?? 0) + 1);
      return;
    }
    let subdirectories = 0;
    for (const [name, child, type] of readDirectory(entry.data)) {
      if (name === "." && child !== nid) fail(`"." of ${path}`);
      if (name === ".." && child !== parentNid) fail(`".." of ${path}`);
      if (name === "." || name === "..") continue;
      visit(`${path}/${name}`, child, nid);
      if (type === 2) subdirectories++;
    }
    if (entry.linkCount !== 2 + subdirectories) fail(`link count of ${path}`);
  };
  const root = image.readUInt16LE(1024 + 14);
  visit("", root, root);
  for (const [path, entry] of paths) {
    const counted = links.get(entry.nid);
    if (counted !== undefined && counted !== entry.linkCount) fail(`link count of ${path}`);
  }
  return paths;
}
