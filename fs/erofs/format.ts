// SPDX-License-Identifier: Apache-2.0
// EROFS on disk: the numbers that the reader (fs/erofs) and the image writer (tools/image) share.
//
// Every number is little-endian. Offsets are in bytes from the start of the structure. The metadata of inode
// `nid` begins at `metaBlock * blockBytes + nid * EROFS_SLOT_BYTES`; its xattrs follow it, and, in the layout
// FLAT_INLINE, the tail of its data (the last, partial block) follows those, never crossing a block border.
// Rookery writes uncompressed images only: FLAT_PLAIN and FLAT_INLINE, extended inodes, 4 KiB blocks.
// Source: Linux's Documentation/filesystems/erofs.rst and the EROFS on-disk format documentation.

export const EROFS_SUPER_MAGIC = 0xe0f5e1e2;
export const EROFS_SUPER_OFFSET = 1024;
export const EROFS_SUPER_BYTES = 128;
export const EROFS_BLOCK_BITS = 12;
export const EROFS_BLOCK_BYTES = 4096;
/** Inode numbers on disk (nids) count slots of this size. */
export const EROFS_SLOT_BYTES = 32;

/** Offsets in the super block. */
export const SB_MAGIC = 0;
/** CRC-32C (seed ~0, not inverted at the end) of the block from the super block on, this field being 0. */
export const SB_CHECKSUM = 4;
export const SB_FEATURE_COMPAT = 8;
export const SB_BLOCK_BITS = 12;
export const SB_EXTENSION_SLOTS = 13;
/** u16 */
export const SB_ROOT_NID = 14;
/** u64: how many inodes there are. */
export const SB_INODES = 16;
/** u64 seconds; also the mtime of every compact inode. */
export const SB_BUILD_TIME = 24;
export const SB_BUILD_TIME_NSEC = 32;
/** u32: size of the image in blocks. */
export const SB_BLOCKS = 36;
export const SB_META_BLOCK = 40;
export const SB_XATTR_BLOCK = 44;
export const SB_UUID = 48;
export const SB_VOLUME_NAME = 64;
export const SB_FEATURE_INCOMPAT = 80;
export const SB_EXTRA_DEVICES = 86;
export const SB_DEVICE_SLOT = 88;
export const SB_DIR_BLOCK_BITS = 90;
export const SB_XATTR_PREFIX_COUNT = 91;
export const SB_XATTR_PREFIX_START = 92;
export const SB_PACKED_NID = 96;
export const SB_XATTR_FILTER_RESERVED = 104;

/** feature_compat */
export const EROFS_FEATURE_COMPAT_SB_CHKSUM = 0x1;
export const EROFS_FEATURE_COMPAT_MTIME = 0x2;
export const EROFS_FEATURE_COMPAT_XATTR_FILTER = 0x4;

/** i_format: bit 0 is the version (1: extended), bits 1 to 3 the data layout. */
export const EROFS_INODE_VERSION_MASK = 0x1;
export const EROFS_INODE_EXTENDED = 1;
export const EROFS_INODE_COMPACT = 0;
export const EROFS_INODE_LAYOUT_SHIFT = 1;
export const EROFS_INODE_LAYOUT_MASK = 0x7;
export const EROFS_INODE_FLAT_PLAIN = 0;
export const EROFS_INODE_COMPRESSED_FULL = 1;
export const EROFS_INODE_FLAT_INLINE = 2;
export const EROFS_INODE_COMPRESSED_COMPACT = 3;
export const EROFS_INODE_CHUNK_BASED = 4;

/** Offsets in an extended inode (64 bytes). */
export const EROFS_INODE_EXTENDED_BYTES = 64;
export const EI_FORMAT = 0;
/** u16: 0 when there are no xattrs, else (bytes of the xattr area - 12) / 4 + 1. */
export const EI_XATTR_ICOUNT = 2;
export const EI_MODE = 4;
/** u64 */
export const EI_SIZE = 8;
/** u32: first data block (whole blocks in a row), or the device number of a device node. */
export const EI_UNION = 16;
export const EI_INO = 20;
export const EI_UID = 24;
export const EI_GID = 28;
/** u64 seconds */
export const EI_MTIME = 32;
export const EI_MTIME_NSEC = 40;
export const EI_NLINK = 44;

/** Offsets in a compact inode (32 bytes); mtime is the super block's build time. */
export const EROFS_INODE_COMPACT_BYTES = 32;
export const CI_FORMAT = 0;
export const CI_XATTR_ICOUNT = 2;
export const CI_MODE = 4;
export const CI_NLINK = 6;
export const CI_SIZE = 8;
export const CI_UNION = 16;
export const CI_INO = 20;
export const CI_UID = 24;
export const CI_GID = 26;

/** The value of EI_UNION where no data block exists. */
export const EROFS_NULL_ADDR = 0xffffffff;

/** The xattr area begins with a header of 12 bytes; then shared_count u32 ids; then the inline entries. */
export const EROFS_XATTR_HEADER_BYTES = 12;
/** u8, after the u32 name filter */
export const XH_SHARED_COUNT = 4;
/** One entry: u8 name length, u8 name index, u16 value size, name without prefix, value, padding to 4. */
export const EROFS_XATTR_ENTRY_BYTES = 4;
export const XE_NAME_LENGTH = 0;
export const XE_NAME_INDEX = 1;
export const XE_VALUE_SIZE = 2;
/** Name index to the prefix that is left out on disk. For the ACLs the whole name is the prefix. */
export const EROFS_XATTR_PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [1, "user."],
  [2, "system.posix_acl_access"],
  [3, "system.posix_acl_default"],
  [4, "trusted."],
  [6, "security."],
];

/**
 * A directory is a row of blocks, each with its entries first and their names after them, entries sorted by
 * the bytes of the name across the whole directory ("." and ".." among them). The first entry's name offset
 * divided by 12 is the number of entries of the block. Names carry no terminator; only the last name of a
 * block ends at a NUL or at the end of the block.
 */
export const EROFS_DIRENT_BYTES = 12;
/** u64 */
export const DE_NID = 0;
/** u16, from the start of the block */
export const DE_NAME_OFFSET = 8;
export const DE_FILE_TYPE = 10;

/** File types in a directory entry. */
export const EROFS_FT_UNKNOWN = 0;
export const EROFS_FT_REG_FILE = 1;
export const EROFS_FT_DIR = 2;
export const EROFS_FT_CHRDEV = 3;
export const EROFS_FT_BLKDEV = 4;
export const EROFS_FT_FIFO = 5;
export const EROFS_FT_SOCK = 6;
export const EROFS_FT_SYMLINK = 7;

/** Device numbers on disk: Linux's 32-bit encoding (12 bits of major, 20 of minor, minor split). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function decodeDevice(device: number): { major: number; minor: number } {
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
