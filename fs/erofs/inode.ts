// SPDX-License-Identifier: Apache-2.0
// An inode of an EROFS image: attributes, data, directory entries, xattrs, all read when they are asked for.
//
// Invariant: numbers from the image are checked where they are used; EUCLEAN says that they make no sense.
// Source: fs/erofs/format.ts and the documents it names.

import {
  type DirEntry,
  type File,
  Inode,
  type Path,
  type SuperBlock,
  timeSpec,
} from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import {
  isDirectory,
  makeDevice,
  S_IFBLK,
  S_IFCHR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../../include/uapi/stat.ts";
import { EINVAL, EIO, ENODATA, ENOTDIR, EOPNOTSUPP, EUCLEAN } from "../../lib/errno.ts";
import { bytesToString } from "../../lib/byte-string.ts";
import type { BlockDevice } from "../../block/blk.ts";
import { type PageBacking, PageCache } from "../../mm/filemap.ts";
import { CachedFile } from "../../mm/generic_file.ts";
import { type ErofsEntry, parseDirectoryBlock } from "./dir.ts";
import * as format from "./format.ts";
import { readXattrs } from "./xattr.ts";

const PAGE_BYTES = 4096;
const SYMLINK_BYTES_MAX = 4096;
const DIRECTORY_BYTES_MAX = 256 * 1024 * 1024;

/** What an inode asks of its super block. */
export interface ErofsImage extends SuperBlock {
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly buildTime: number;
  readonly buildTimeNsec: number;
  inodeOffset(nid: number): number;
  sharedXattrOffset(id: number): number;
  blockOffset(block: number): number;
  readMeta(offset: number, length: number): Sleeps<Uint8Array>;
  takeRoom(bytes: number): Uint8Array;
  giveRoomBack(room: Uint8Array): void;
  cachedInode(nid: number): ErofsInode | undefined;
  inode(nid: number): Sleeps<ErofsInode>;
}

export class ErofsInode extends Inode implements PageBacking {
  readonly superBlock: ErofsImage;
  readonly ino: number;
  readonly nid: number;
  readonly #layout: number;
  readonly #firstBlock: number;
  readonly #headBytes: number;
  readonly #xattrBytes: number;
  #entries: Map<string, ErofsEntry> | undefined;
  #target: string | undefined;
  #xattrs: Map<string, Uint8Array> | undefined;
  /** The page cache of a regular file. */
  readonly pages: PageCache | undefined;

  constructor(image: ErofsImage, nid: number, bytes: Uint8Array) {
    super();
    this.superBlock = image;
    this.nid = nid;
    this.ino = nid; // As Linux shows it; the number on disk is for 32-bit programs.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const flags = view.getUint16(format.EI_FORMAT, true);
    const isExtended = (flags & format.EROFS_INODE_VERSION_MASK) === format.EROFS_INODE_EXTENDED;
    this.#layout = (flags >> format.EROFS_INODE_LAYOUT_SHIFT) & format.EROFS_INODE_LAYOUT_MASK;
    this.#headBytes = isExtended ? format.EROFS_INODE_EXTENDED_BYTES : format.EROFS_INODE_COMPACT_BYTES;
    const count = view.getUint16(format.EI_XATTR_ICOUNT, true);
    this.#xattrBytes = count === 0 ? 0 : format.EROFS_XATTR_HEADER_BYTES + (count - 1) * 4;
    this.mode = view.getUint16(format.EI_MODE, true);
    this.#firstBlock = view.getUint32(format.EI_UNION, true);
    if (isExtended) {
      this.size = Number(view.getBigUint64(format.EI_SIZE, true));
      this.uid = view.getUint32(format.EI_UID, true);
      this.gid = view.getUint32(format.EI_GID, true);
      this.nlink = view.getUint32(format.EI_NLINK, true);
      this.mtime = timeSpec(
        Number(view.getBigInt64(format.EI_MTIME, true)),
        view.getUint32(format.EI_MTIME_NSEC, true),
      );
    } else {
      this.size = view.getUint32(format.CI_SIZE, true);
      this.uid = view.getUint16(format.CI_UID, true);
      this.gid = view.getUint16(format.CI_GID, true);
      this.nlink = view.getUint16(format.CI_NLINK, true);
      this.mtime = timeSpec(image.buildTime, image.buildTimeNsec);
    }
    this.atime = this.ctime = this.mtime;
    this.blocks = Math.ceil(this.size / image.blockSize) * (image.blockSize / 512);
    const type = this.mode & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) {
      const { major, minor } = format.decodeDevice(this.#firstBlock);
      this.rdev = makeDevice(major, minor);
    }
    const isPlain = this.#layout === format.EROFS_INODE_FLAT_PLAIN
      || this.#layout === format.EROFS_INODE_FLAT_INLINE;
    if (!isPlain) throw EOPNOTSUPP;
    if (!Number.isSafeInteger(this.size)) throw EUCLEAN;
    if (type === S_IFREG) this.pages = new PageCache(image.kernel, this, this);
    this.mapping = this.pages;
  }

  get isDirectory(): boolean {
    return isDirectory(this.mode);
  }

  /** Where the part of the data that is in blocks of its own ends. */
  #blockBytes(): number {
    if (this.#layout === format.EROFS_INODE_FLAT_PLAIN) return this.size;
    return this.size - (this.size % this.superBlock.blockSize);
  }

  /** Fills `into` from byte `offset` of the data; the range lies within the file. Throws EIO, EUCLEAN. */
  *readData(offset: number, into: Uint8Array): Sleeps<void> {
    const image = this.superBlock;
    const blockBytes = this.#blockBytes();
    let done = 0;
    if (offset < blockBytes) {
      done = Math.min(into.length, blockBytes - offset);
      if (this.#firstBlock === format.EROFS_NULL_ADDR) {
        into.fill(0, 0, done);
      } else {
        const start = image.blockOffset(this.#firstBlock) + offset;
        if (start + done > image.device.sizeBytes) throw EUCLEAN;
        const answer = image.device.read(start, into.subarray(0, done));
        if (isSleeping(answer)) yield* answer;
      }
    }
    if (done === into.length) return;
    const tail = image.inodeOffset(this.nid) + this.#headBytes + this.#xattrBytes
      + (offset + done - blockBytes);
    into.set(yield* image.readMeta(tail, into.length - done), done);
  }

  *readPages(index: number, frames: readonly number[]): Sleeps<void> {
    const start = index * PAGE_BYTES;
    const length = Math.min(frames.length * PAGE_BYTES, this.size - start);
    if (length <= 0) return;
    const room = this.superBlock.takeRoom(length);
    const bytes = room.subarray(0, length);
    yield* this.readData(start, bytes);
    const { u8 } = this.superBlock.kernel.ram;
    for (let at = 0; at < frames.length && at * PAGE_BYTES < length; at++) {
      u8.set(bytes.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES), frames[at]);
    }
    this.superBlock.giveRoomBack(room);
  }

  readPage(index: number, frame: number): Sleeps<void> {
    return this.readPages(index, [frame]);
  }

  *#loadEntries(): Sleeps<Map<string, ErofsEntry>> {
    if (!this.isDirectory) throw ENOTDIR;
    if (this.size > DIRECTORY_BYTES_MAX || this.size > this.superBlock.device.sizeBytes) throw EUCLEAN;
    const bytes = new Uint8Array(this.size);
    yield* this.readData(0, bytes);
    const entries = new Map<string, ErofsEntry>();
    const { blockSize } = this.superBlock;
    for (let at = 0; at < bytes.length; at += blockSize) {
      parseDirectoryBlock(bytes.subarray(at, Math.min(at + blockSize, bytes.length)), entries);
    }
    this.#entries = entries;
    return entries;
  }

  override lookup(name: string): Inode | undefined | Sleeps<Inode | undefined> {
    const entries = this.#entries;
    if (entries === undefined) return this.#lookupSlowly(name);
    const entry = entries.get(name);
    if (entry === undefined) return undefined;
    return this.superBlock.cachedInode(entry.nid) ?? this.superBlock.inode(entry.nid);
  }

  *#lookupSlowly(name: string): Sleeps<Inode | undefined> {
    const entry = (yield* this.#loadEntries()).get(name);
    return entry === undefined ? undefined : yield* this.superBlock.inode(entry.nid);
  }

  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): Sleeps<void> {
    return this.#iterate(position, emit);
  }

  *#iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): Sleeps<void> {
    const entries = this.#entries ?? (yield* this.#loadEntries());
    let index = 0;
    for (const [name, { nid, type }] of entries) {
      if (index++ < position) continue;
      if (!emit({ name, ino: nid, type }, index)) return;
    }
  }

  override readlink(): string | Sleeps<string> {
    return this.#target ?? this.#readlinkSlowly();
  }

  *#readlinkSlowly(): Sleeps<string> {
    if ((this.mode & S_IFMT) !== S_IFLNK) throw EINVAL;
    if (this.size >= SYMLINK_BYTES_MAX) throw EUCLEAN;
    const bytes = new Uint8Array(this.size);
    yield* this.readData(0, bytes);
    if (bytes.includes(0)) throw EUCLEAN;
    return (this.#target = bytesToString(bytes));
  }

  override open(task: Task, path: Path, flags: number): File {
    if (this.pages === undefined) throw EIO;
    return new CachedFile(path, flags, this.pages);
  }

  *#loadXattrs(): Sleeps<Map<string, Uint8Array>> {
    if (this.#xattrs !== undefined) return this.#xattrs;
    if (this.#xattrBytes === 0) return (this.#xattrs = new Map());
    const start = this.superBlock.inodeOffset(this.nid) + this.#headBytes;
    return (this.#xattrs = yield* readXattrs(this.superBlock, start, this.#xattrBytes));
  }

  override getXattr(name: string): Uint8Array | Sleeps<Uint8Array> {
    if (this.#xattrBytes === 0) throw ENODATA;
    return this.#getXattr(name);
  }
  *#getXattr(name: string): Sleeps<Uint8Array> {
    const value = (yield* this.#loadXattrs()).get(name);
    if (value === undefined) throw ENODATA;
    return value;
  }
  override listXattr(): string[] | Sleeps<string[]> {
    return this.#xattrBytes === 0 ? [] : this.#listXattr();
  }
  *#listXattr(): Sleeps<string[]> {
    return [...(yield* this.#loadXattrs()).keys()];
  }
}
