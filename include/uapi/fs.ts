// SPDX-License-Identifier: Apache-2.0
// Numbers of lseek(2), preadv2(2), the ioctls that every file has, limits, and file-system magic numbers (statfs(2)).

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export const PATH_MAX = 4096;
export const NAME_MAX = 255;
export const UIO_MAXIOV = 1024;
/** Most bytes that one read or write moves. */
export const MAX_RW_COUNT = 0x7ffff000;
/** Largest file: what a safe integer and Linux's page cache (2^63) both allow. */
export const MAX_LFS_FILESIZE: number = Number.MAX_SAFE_INTEGER;

export const RWF_HIPRI = 0x1;
export const RWF_DSYNC = 0x2;
export const RWF_SYNC = 0x4;
export const RWF_NOWAIT = 0x8;
export const RWF_APPEND = 0x10;
export const RWF_NOAPPEND = 0x20;

export const FIONREAD = 0x541b;
export const FIONBIO = 0x5421;
export const FIONCLEX = 0x5450;
export const FIOCLEX = 0x5451;
export const FIOASYNC = 0x5452;
export const FIOQSIZE = 0x5460;
export const FIGETBSZ = 2;
export const FIBMAP = 1;
export const FS_IOC_GETFLAGS: number = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_FIEMAP: number = 0xc020660b;
export const FICLONE = 0x40049409;
export const FICLONERANGE = 0x4020940d;
export const BLKGETSIZE = 0x1260;
export const BLKGETSIZE64: number = 0x80081272;
export const BLKSSZGET = 0x1268;
export const BLKBSZGET: number = 0x80081270;
export const BLKROGET = 0x125e;
export const BLKFLSBUF = 0x1261;
export const BLKPBSZGET = 0x127b;
export const BLKIOMIN = 0x1278;
export const BLKIOOPT = 0x1279;

export const TMPFS_MAGIC = 0x01021994;
export const RAMFS_MAGIC: number = 0x858458f6;
export const EROFS_SUPER_MAGIC_V1: number = 0xe0f5e1e2;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const PIPEFS_MAGIC = 0x50495045;
export const ANON_INODE_FS_MAGIC = 0x09041934;
export const V9FS_MAGIC = 0x01021997;
export const HOSTFS_SUPER_MAGIC = 0x00c0ffee;
