// SPDX-License-Identifier: Apache-2.0
// A mounted EROFS image: super block, metadata blocks kept in memory, inodes by number.
//
// Invariants: every offset and count that comes from the image is checked against the image's size before it is used,
// so a torn or hostile image gives EUCLEAN or EIO and never a hang; nothing is ever written.
// Source: fs/erofs/format.ts and the documents it names.

import type { FileSystemType, StatFs, SuperBlock } from "../../include/linux/fs.ts";
import type { Kernel } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { EINVAL, EOPNOTSUPP, EUCLEAN } from "../../lib/errno.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { BlockDevice } from "../../block/blk.ts";
import * as format from "./format.ts";
import { ErofsInode } from "./inode.ts";

/** Metadata is read and kept in pieces of this size. */
const PIECE_BYTES = 65536;
/** Of what most reads ask: the pages around a fault. */
const ROOM_BYTES = 131_072;
/** Pieces kept: 16 MiB of metadata. */
const PIECES_MAX = 256;
/** Incompatible features that a reader of plain images must know: none of them changes FLAT layouts. */
const FEATURE_INCOMPAT_KNOWN = 0;

export class ErofsSuperBlock implements SuperBlock {
  readonly type: FileSystemType;
  readonly dev: number;
  readonly kernel: Kernel;
  readonly device: BlockDevice;
  readonly blockSize: number;
  readonly maxNameBytes: number = 255;
  readonly buildTime: number;
  readonly buildTimeNsec: number;
  readonly inodeCount: number;
  readonly blocks: number;
  readonly #metaStart: number;
  readonly #xattrStart: number;
  readonly #pieces = new Map<number, Uint8Array>();
  readonly #inodes = new Map<number, ErofsInode>();
  #room: Uint8Array | undefined;
  isReadOnly = true;
  readonly isConstant = true;
  root!: ErofsInode;

  constructor(kernel: Kernel, type: FileSystemType, dev: number, device: BlockDevice, header: Uint8Array) {
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    this.kernel = kernel;
    this.type = type;
    this.dev = dev;
    this.device = device;
    this.blockSize = 2 ** view.getUint8(format.SB_BLOCK_BITS);
    this.inodeCount = Number(view.getBigUint64(format.SB_INODES, true));
    this.buildTime = Number(view.getBigInt64(format.SB_BUILD_TIME, true));
    this.buildTimeNsec = view.getUint32(format.SB_BUILD_TIME_NSEC, true);
    this.blocks = view.getUint32(format.SB_BLOCKS, true);
    this.#metaStart = view.getUint32(format.SB_META_BLOCK, true) * this.blockSize;
    this.#xattrStart = view.getUint32(format.SB_XATTR_BLOCK, true) * this.blockSize;
  }

  statfs(): StatFs {
    return {
      type: format.EROFS_SUPER_MAGIC,
      blockSize: this.blockSize,
      blocks: this.blocks,
      blocksFree: 0,
      blocksAvailable: 0,
      files: this.inodeCount,
      filesFree: 0,
      nameMax: 255,
    };
  }
  showOptions(): string {
    return "user_xattr,acl";
  }
  // eslint-disable-next-line require-yield -- nothing is ever dirty
  *sync(): Sleeps<void> {}
  unmount(): void {
    this.#pieces.clear();
    this.#inodes.clear();
  }

  /** Byte offset of inode `nid`. */
  inodeOffset(nid: number): number {
    return this.#metaStart + nid * format.EROFS_SLOT_BYTES;
  }
  /** Byte offset of shared xattr `id`. */
  sharedXattrOffset(id: number): number {
    return this.#xattrStart + id * 4;
  }
  blockOffset(block: number): number {
    return block * this.blockSize;
  }

  /** A copy-free look at `length` bytes of metadata at `offset`, as far as they are in memory and do not cross a
   *  piece; undefined when they must be read. */
  peek(offset: number, length: number): Uint8Array | undefined {
    const start = Math.floor(offset / PIECE_BYTES);
    const piece = this.#pieces.get(start);
    const within = offset - start * PIECE_BYTES;
    if (piece === undefined || within + length > piece.length) return undefined;
    return piece.subarray(within, within + length);
  }

  /** Room for reads on their way into pages: one at a time has it, and gives it back. */
  takeRoom(bytes: number): Uint8Array {
    const room = this.#room;
    this.#room = undefined;
    return room !== undefined && room.length >= bytes ? room : new Uint8Array(Math.max(bytes, ROOM_BYTES));
  }

  giveRoomBack(room: Uint8Array): void {
    this.#room = room;
  }

  /** `length` bytes of metadata. Throws EUCLEAN past the end of the device. */
  *readMeta(offset: number, length: number): Sleeps<Uint8Array> {
    if (offset < 0 || !Number.isSafeInteger(offset) || offset + length > this.device.sizeBytes) throw EUCLEAN;
    const ready = this.peek(offset, length);
    if (ready !== undefined) return ready;
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const index = Math.floor((offset + done) / PIECE_BYTES);
      const piece = this.#pieces.get(index) ?? (yield* this.#load(index));
      const within = offset + done - index * PIECE_BYTES;
      const part = piece.subarray(within, within + length - done);
      if (part.length === 0) throw EUCLEAN;
      bytes.set(part, done);
      done += part.length;
    }
    return bytes;
  }

  *#load(index: number): Sleeps<Uint8Array> {
    const start = index * PIECE_BYTES;
    const piece = new Uint8Array(Math.min(PIECE_BYTES, this.device.sizeBytes - start));
    const answer = this.device.read(start, piece);
    if (isSleeping(answer)) yield* answer;
    if (this.#pieces.size >= PIECES_MAX) {
      const oldest = this.#pieces.keys().next();
      if (oldest.done !== true) this.#pieces.delete(oldest.value);
    }
    this.#pieces.set(index, piece);
    return piece;
  }

  cachedInode(nid: number): ErofsInode | undefined {
    return this.#inodes.get(nid);
  }

  /** The inode with this number, read if need be; one object for one number. */
  *inode(nid: number): Sleeps<ErofsInode> {
    const known = this.#inodes.get(nid);
    if (known !== undefined) return known;
    const offset = this.inodeOffset(nid);
    const head = yield* this.readMeta(offset, format.EROFS_INODE_COMPACT_BYTES);
    const isExtended = (head[0]! & format.EROFS_INODE_VERSION_MASK) === format.EROFS_INODE_EXTENDED;
    const bytes = isExtended ? yield* this.readMeta(offset, format.EROFS_INODE_EXTENDED_BYTES) : head;
    const raced = this.#inodes.get(nid);
    if (raced !== undefined) return raced;
    const inode = new ErofsInode(this, nid, bytes);
    this.#inodes.set(nid, inode);
    return inode;
  }
}

/** Reads and checks the super block of `device`, and its root. Throws EINVAL for what is no EROFS image. */
export function* openErofs(
  kernel: Kernel,
  type: FileSystemType,
  dev: number,
  device: BlockDevice,
): Sleeps<ErofsSuperBlock> {
  if (device.sizeBytes < format.EROFS_SUPER_OFFSET + format.EROFS_SUPER_BYTES) throw EINVAL;
  const header = new Uint8Array(format.EROFS_SUPER_BYTES);
  const answer = device.read(format.EROFS_SUPER_OFFSET, header);
  if (isSleeping(answer)) yield* answer;
  const view = new DataView(header.buffer);
  if (view.getUint32(format.SB_MAGIC, true) !== format.EROFS_SUPER_MAGIC) throw EINVAL;
  const blockBits = view.getUint8(format.SB_BLOCK_BITS);
  if (blockBits < 9 || blockBits > 12) throw EINVAL;
  if (view.getUint8(format.SB_DIR_BLOCK_BITS) !== 0) throw EINVAL;
  if ((view.getUint32(format.SB_FEATURE_INCOMPAT, true) & ~FEATURE_INCOMPAT_KNOWN) !== 0) throw EOPNOTSUPP;
  const superBlock = new ErofsSuperBlock(kernel, type, dev, device, header);
  if (superBlock.blocks * superBlock.blockSize > device.sizeBytes) throw EINVAL;
  if ((view.getUint32(format.SB_FEATURE_COMPAT, true) & format.EROFS_FEATURE_COMPAT_SB_CHKSUM) !== 0) {
    yield* checkChecksum(superBlock, view.getUint32(format.SB_CHECKSUM, true));
  }
  const root = yield* superBlock.inode(view.getUint16(format.SB_ROOT_NID, true));
  if (!root.isDirectory) throw EUCLEAN;
  superBlock.root = root;
  return superBlock;
}

function* checkChecksum(superBlock: ErofsSuperBlock, expected: number): Sleeps<void> {
  const start = format.EROFS_SUPER_OFFSET;
  const length = superBlock.blockSize > start ? superBlock.blockSize - start : superBlock.blockSize;
  const block = (yield* superBlock.readMeta(start, length)).slice();
  block.fill(0, format.SB_CHECKSUM, format.SB_CHECKSUM + 4);
  if ((crc32c(0xffffffff, block) >>> 0) !== expected) throw EUCLEAN;
}
