// SPDX-License-Identifier: Apache-2.0
// File types, permission bits and the layouts of stat(2), statx(2) and statfs(2), x86-64. Source: inode(7), statx(2).

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IXGRP = 0o010;
export const S_IALLUGO = 0o7777;

export function isDirectory(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}
export function isRegular(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG;
}
export function isSymlink(mode: number): boolean {
  return (mode & S_IFMT) === S_IFLNK;
}

/** DT_* of a directory entry: the type bits moved down. */
export function direntType(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}
export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;

/** struct stat: 144 bytes. */
export const STAT_BYTES = 144;
/** struct statx: 256 bytes. */
export const STATX_BYTES = 256;
/** struct statfs: 120 bytes. */
export const STATFS_BYTES = 120;

export const STATX_TYPE = 0x1;
export const STATX_MODE = 0x2;
export const STATX_NLINK = 0x4;
export const STATX_UID = 0x8;
export const STATX_GID = 0x10;
export const STATX_ATIME = 0x20;
export const STATX_MTIME = 0x40;
export const STATX_CTIME = 0x80;
export const STATX_INO = 0x100;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX__RESERVED = 0x8000_0000;

export const STATX_ATTR_MOUNT_ROOT = 0x2000;

export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;

/** dev_t as the kernel keeps it in st_dev and st_rdev: the encoding that user space sees. */
export function makeDevice(major: number, minor: number): number {
  // 12 bits of major and 20 of minor are all that Linux uses; with them the encoding stays in 32 bits.
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}
export function majorOf(device: number): number {
  return (device >>> 8) & 0xfff;
}
export function minorOf(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}
