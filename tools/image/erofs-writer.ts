// SPDX-License-Identifier: Apache-2.0
// Writes a file tree as an EROFS image: uncompressed, extended inodes, 4 KiB blocks.
//
// The image is: super block, metadata (inodes, xattrs, symlinks, directory tails, small files), then data
// blocks. A regular file larger than INLINE_FILE_BYTES_MAX has all its data in blocks of its own, so that its
// pages are disk blocks; smaller ones lie behind their inode. Layout is decided in one pass over the tree
// and written in a second one, front to back, with bounded memory. The same tree gives the same bytes: inodes
// are numbered in the order of the walk, directory by directory, names in byte order.
// Source: fs/erofs/format.ts and the documents it names.

import * as erofs from "../../fs/erofs/format.ts";
import { stringToBytes } from "../../lib/byte-string.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { directoryByteCount, encodeDirectory } from "./erofs-directory.ts";
import { encodeXattrs, xattrCount } from "./erofs-xattr.ts";
import { sortedChildren } from "./tree.ts";
import type { DirectoryNode, TreeNode } from "./tree.ts";

export interface ErofsOptions {
  /** Seconds since 1970: the build time of the super block. */
  readonly buildTime: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 15 characters. */
  readonly volumeName: string;
}

/** Takes the next bytes of the image; the bytes are the writer's again when the call returns. */
export type ImageSink = (bytes: Uint8Array) => void;

const BLOCK = erofs.EROFS_BLOCK_BYTES;
const INODE = erofs.EROFS_INODE_EXTENDED_BYTES;
const META_START = erofs.EROFS_SUPER_OFFSET + erofs.EROFS_SUPER_BYTES;
const INLINE_FILE_BYTES_MAX = 1024;
const COPY_BYTES = 1 << 18;

/** An inode and what the layout pass decides about it. */
interface Placed {
  readonly node: TreeNode;
  readonly ino: number;
  readonly parent: Placed | undefined;
  readonly xattrs: Uint8Array;
  readonly sizeBytes: number;
  linkCount: number;
  /** A directory's entries, sorted, "." and ".." among them. */
  entries: readonly { readonly name: string; readonly inode: Placed }[];
  /** Data in whole blocks of its own; the rest, the tail, follows the inode. */
  blockBytes: number;
  tailBytes: number;
  offset: number;
  firstBlock: number;
}

/** Writes the image of the tree under `root`; returns its size in bytes. */
export function writeErofs(root: DirectoryNode, sink: ImageSink, options: ErofsOptions): number {
  const inodes = collectInodes(root);
  const metaBlocks = Math.ceil(placeMetadata(inodes) / BLOCK);
  let nextBlock = metaBlocks;
  for (const inode of inodes) {
    inode.firstBlock = inode.blockBytes === 0 ? 0 : nextBlock;
    nextBlock += Math.ceil(inode.blockBytes / BLOCK);
  }
  writeMetadata(inodes, encodeSuperBlock(inodes, nextBlock, options), metaBlocks, sink);
  for (const inode of inodes) if (inode.blockBytes > 0) writeBlocks(inode, sink);
  return nextBlock * BLOCK;
}

function dataSize(node: TreeNode): number {
  switch (node.kind) {
    case "directory":
      return directoryByteCount([".", "..", ...node.children.keys()].sort(compareBytes));
    case "file":
      return node.content.sizeBytes;
    case "symlink":
      return node.target.length;
    case "special":
      return 0;
  }
}

function compareBytes(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** All inodes: the entries of a directory side by side, then what is below each of its directories. */
function collectInodes(root: DirectoryNode): Placed[] {
  const inodes: Placed[] = [];
  const known = new Map<TreeNode, Placed>();
  const add = (node: TreeNode, parent: Placed | undefined): Placed => {
    const found = known.get(node);
    if (found !== undefined) {
      if (node.kind === "directory") throw new Error("a directory with two names");
      found.linkCount++;
      return found;
    }
    const placed: Placed = {
      node,
      parent,
      ino: inodes.length + 1,
      xattrs: encodeXattrs(node.xattrs),
      sizeBytes: dataSize(node),
      linkCount: node.kind === "directory" ? 2 : 1,
      entries: [],
      blockBytes: 0,
      tailBytes: 0,
      offset: 0,
      firstBlock: 0,
    };
    known.set(node, placed);
    inodes.push(placed);
    return placed;
  };
  const pending = [add(root, undefined)];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    if (directory.node.kind !== "directory") continue;
    const entries = [{ name: ".", inode: directory }, { name: "..", inode: directory.parent ?? directory }];
    const below: Placed[] = [];
    for (const [name, node] of sortedChildren(directory.node)) {
      const inode = add(node, directory);
      entries.push({ name, inode });
      if (node.kind === "directory") {
        directory.linkCount++;
        below.push(inode);
      }
    }
    directory.entries = entries.sort((left, right) => compareBytes(left.name, right.name));
    pending.push(...below.reverse());
  }
  return inodes;
}

/** Gives every inode its place; returns the end of the metadata. */
function placeMetadata(inodes: readonly Placed[]): number {
  let end = META_START;
  for (const inode of inodes) {
    const head = INODE + inode.xattrs.length;
    inode.tailBytes = tailSize(inode, BLOCK - head);
    inode.blockBytes = inode.sizeBytes - inode.tailBytes;
    const bytes = head + inode.tailBytes;
    let offset = alignUp(end, erofs.EROFS_SLOT_BYTES);
    const isCrossing = Math.floor(offset / BLOCK) !== Math.floor((offset + bytes - 1) / BLOCK);
    if (isCrossing) offset = alignUp(offset, BLOCK);
    inode.offset = offset;
    end = offset + bytes;
  }
  return end;
}

/** How much of an inode's data goes behind it: the part that fills no block, if there is room. */
function tailSize(inode: Placed, room: number): number {
  const tail = inode.node.kind === "file" ? inode.sizeBytes : inode.sizeBytes % BLOCK;
  const bytesMax = inode.node.kind === "file" ? Math.min(INLINE_FILE_BYTES_MAX, room) : room;
  return tail <= bytesMax ? tail : 0;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function nidOf(inode: Placed): number {
  return inode.offset / erofs.EROFS_SLOT_BYTES;
}

function encodeSuperBlock(inodes: readonly Placed[], blocks: number, options: ErofsOptions): Uint8Array {
  const bytes = new Uint8Array(erofs.EROFS_SUPER_BYTES);
  const view = new DataView(bytes.buffer);
  const root = inodes[0];
  if (root === undefined) throw new Error("no root inode");
  view.setUint32(erofs.SB_MAGIC, erofs.EROFS_SUPER_MAGIC, true);
  view.setUint32(
    erofs.SB_FEATURE_COMPAT,
    erofs.EROFS_FEATURE_COMPAT_SB_CHKSUM | erofs.EROFS_FEATURE_COMPAT_MTIME,
    true,
  );
  view.setUint8(erofs.SB_BLOCK_BITS, erofs.EROFS_BLOCK_BITS);
  view.setUint16(erofs.SB_ROOT_NID, nidOf(root), true);
  view.setBigUint64(erofs.SB_INODES, BigInt(inodes.length), true);
  view.setBigUint64(erofs.SB_BUILD_TIME, BigInt(options.buildTime), true);
  view.setUint32(erofs.SB_BLOCKS, blocks, true);
  bytes.set(options.uuid.subarray(0, 16), erofs.SB_UUID);
  bytes.set(stringToBytes(options.volumeName.slice(0, 15)), erofs.SB_VOLUME_NAME);
  return bytes;
}

/** Writes block 0 up to `blocks`, front to back, one block at a time. */
function writeMetadata(
  inodes: readonly Placed[],
  superBlock: Uint8Array,
  blocks: number,
  sink: ImageSink,
): void {
  const block = new Uint8Array(BLOCK);
  let blockStart = 0;
  const flush = (): void => {
    if (blockStart === 0) {
      const checksum = crc32c(0xffffffff, block.subarray(erofs.EROFS_SUPER_OFFSET));
      new DataView(block.buffer).setUint32(erofs.EROFS_SUPER_OFFSET + erofs.SB_CHECKSUM, checksum, true);
    }
    sink(block);
    block.fill(0);
    blockStart += BLOCK;
  };
  const put = (offset: number, bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length;) {
      while (offset + at >= blockStart + BLOCK) flush();
      const within = offset + at - blockStart;
      const piece = bytes.subarray(at, at + BLOCK - within);
      block.set(piece, within);
      at += piece.length;
    }
  };
  put(erofs.EROFS_SUPER_OFFSET, superBlock);
  for (const inode of inodes) {
    put(inode.offset, encodeInode(inode));
    put(inode.offset + INODE, inode.xattrs);
    if (inode.tailBytes > 0) {
      put(inode.offset + INODE + inode.xattrs.length, readData(inode, inode.blockBytes, inode.tailBytes));
    }
  }
  while (blockStart < blocks * BLOCK) flush();
}

function encodeInode(inode: Placed): Uint8Array {
  const { node } = inode;
  const bytes = new Uint8Array(INODE);
  const view = new DataView(bytes.buffer);
  const layout = inode.tailBytes > 0 ? erofs.EROFS_INODE_FLAT_INLINE : erofs.EROFS_INODE_FLAT_PLAIN;
  const format = erofs.EROFS_INODE_EXTENDED | (layout << erofs.EROFS_INODE_LAYOUT_SHIFT);
  view.setUint16(erofs.EI_FORMAT, format, true);
  view.setUint16(erofs.EI_XATTR_ICOUNT, xattrCount(inode.xattrs.length), true);
  view.setUint16(erofs.EI_MODE, node.mode, true);
  view.setBigUint64(erofs.EI_SIZE, BigInt(inode.sizeBytes), true);
  const union = node.kind === "special" ? erofs.encodeDevice(node.major, node.minor) : inode.firstBlock;
  view.setUint32(erofs.EI_UNION, union, true);
  view.setUint32(erofs.EI_INO, inode.ino, true);
  view.setUint32(erofs.EI_UID, node.uid, true);
  view.setUint32(erofs.EI_GID, node.gid, true);
  view.setBigInt64(erofs.EI_MTIME, BigInt(node.mtime), true);
  view.setUint32(erofs.EI_MTIME_NSEC, node.mtimeNs, true);
  view.setUint32(erofs.EI_NLINK, inode.linkCount, true);
  return bytes;
}

/** A piece of an inode's data. */
function readData(inode: Placed, offset: number, length: number): Uint8Array {
  const { node } = inode;
  switch (node.kind) {
    case "directory": {
      const entries = inode.entries.map((entry) => ({
        name: entry.name,
        nid: nidOf(entry.inode),
        mode: entry.inode.node.mode,
      }));
      return encodeDirectory(entries).subarray(offset, offset + length);
    }
    case "file": {
      const bytes = new Uint8Array(length);
      node.content.read(offset, bytes);
      return bytes;
    }
    case "symlink":
      return stringToBytes(node.target.slice(offset, offset + length));
    case "special":
      return new Uint8Array(0);
  }
}

function writeBlocks(inode: Placed, sink: ImageSink): void {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, alignUp(inode.blockBytes, BLOCK)));
  for (let offset = 0; offset < inode.blockBytes; offset += buffer.length) {
    const length = Math.min(buffer.length, inode.blockBytes - offset);
    if (inode.node.kind === "file") {
      inode.node.content.read(offset, buffer.subarray(0, length));
    } else {
      buffer.set(readData(inode, offset, length));
    }
    const padded = alignUp(length, BLOCK);
    buffer.fill(0, length, padded);
    sink(buffer.subarray(0, padded));
  }
}
