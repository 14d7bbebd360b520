// SPDX-License-Identifier: Apache-2.0
// stat(2), statx(2), statfs(2), access(2), readlink(2).
//
// stat of a cached name is answered without a generator: a scratch buffer is filled and copied out.
// Sources: stat(2), statx(2), statfs(2), access(2), readlink(2).

import {
  type File,
  type Inode,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  type Mount,
  type Path,
} from "../include/linux/fs.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import {
  bufferOut,
  fd,
  flagsOf,
  hex,
  int,
  path,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_FLAGS,
  AT_NO_AUTOMOUNT,
  AT_STATX_SYNC_TYPE,
  AT_SYMLINK_NOFOLLOW,
} from "../include/uapi/fcntl.ts";
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RELATIME,
  ST_NOATIME,
  ST_NODEV,
  ST_NODIRATIME,
  ST_NOEXEC,
  ST_NOSUID,
  ST_RDONLY,
  ST_RELATIME,
  ST_VALID,
} from "../include/uapi/mount.ts";
import {
  isSymlink,
  majorOf,
  minorOf,
  STATFS_BYTES,
  STATX__RESERVED,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_BYTES,
  STATX_MNT_ID,
} from "../include/uapi/stat.ts";
import { EBADF, EFAULT, EINVAL, ENOENT } from "../lib/errno.ts";
import { checkAccess, isReadOnly } from "./permission.ts";
import { userOf, writeU64 } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

const atFlags = flagsOf(AT_FLAGS);

/** What a stat call found: an inode, and the mount it was seen through when it has one. */
interface Found {
  readonly inode: Inode;
  readonly path: Path | undefined;
}

/** struct stat of x86-64, written into the words of vfs.statScratch. */
function encodeStat(words: Uint32Array, inode: Inode): void {
  put64(words, 0, inode.superBlock.dev);
  put64(words, 2, inode.ino);
  put64(words, 4, inode.nlink);
  words[6] = inode.mode;
  words[7] = inode.uid;
  words[8] = inode.gid;
  words[9] = 0;
  put64(words, 10, inode.rdev);
  put64(words, 12, inode.size);
  put64(words, 14, inode.superBlock.blockSize);
  put64(words, 16, inode.blocks);
  put64(words, 18, inode.atime.sec);
  put64(words, 20, inode.atime.nsec);
  put64(words, 22, inode.mtime.sec);
  put64(words, 24, inode.mtime.nsec);
  put64(words, 26, inode.ctime.sec);
  put64(words, 28, inode.ctime.nsec);
}

function put64(words: Uint32Array, index: number, value: number): void {
  words[index] = value;
  words[index + 1] = value >= 0 && value < 0x1_0000_0000 ? 0 : Math.floor(value / 0x1_0000_0000);
}

function answerStat(task: Task, inode: Inode, buffer: number): SyscallAnswer {
  const { statWords, statBytes } = vfsOf(task);
  encodeStat(statWords, inode);
  if (userOf(task).tryCopyOut(buffer, statBytes)) return 0;
  return copyOutAndReturn(task, buffer, statBytes.slice());
}

function* copyOutAndReturn(task: Task, buffer: number, bytes: Uint8Array): Sleeps<number> {
  yield* userOf(task).copyOut(buffer, bytes);
  return 0;
}

function statAt(task: Task, at: number, nameAddress: number, buffer: number, flags: number): SyscallAnswer {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) !== 0) throw EINVAL;
  const vfs = vfsOf(task);
  const name = vfs.tryGetName(task, nameAddress);
  if (name !== undefined && name !== "") {
    const found = vfs.resolve(task, name, {
      at: vfs.baseOf(task, at, name),
      followLast: (flags & AT_SYMLINK_NOFOLLOW) === 0,
    });
    if (!isSleeping(found) && found.dentry.inode !== undefined) {
      const refreshed = found.dentry.inode.refresh();
      if (!isSleeping(refreshed)) return answerStat(task, found.dentry.inode, buffer);
    }
  }
  return statSlowly(task, at, nameAddress, buffer, flags);
}

function* statSlowly(
  task: Task,
  at: number,
  nameAddress: number,
  buffer: number,
  flags: number,
): Sleeps<number> {
  const { inode } = yield* findAt(task, at, nameAddress, flags);
  const answer = answerStat(task, inode, buffer);
  return Number(isSleeping<number | bigint>(answer) ? yield* answer : answer);
}

/** The object that a *at call with AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW names, attributes up to date. */
export function* findAt(task: Task, at: number, nameAddress: number, flags: number): Sleeps<Found> {
  const vfs = vfsOf(task);
  let name = "";
  if (nameAddress !== 0 || (flags & AT_EMPTY_PATH) === 0) {
    const answer = vfs.getName(task, nameAddress);
    name = isSleeping(answer) ? yield* answer : answer;
  }
  let found: Found;
  if (name === "" && (flags & AT_EMPTY_PATH) !== 0) {
    found = at === AT_FDCWD ? fromPath(task.fs.cwd) : fromFile(task.files.get(at));
  } else {
    const answer = vfs.resolve(task, name, {
      at: vfs.baseOf(task, at, name),
      followLast: (flags & AT_SYMLINK_NOFOLLOW) === 0,
    });
    found = fromPath(isSleeping(answer) ? yield* answer : answer);
  }
  const refreshed = found.inode.refresh();
  if (isSleeping(refreshed)) yield* refreshed;
  return found;
}

function fromPath(found: Path): Found {
  if (found.dentry.inode === undefined) throw ENOENT;
  return { inode: found.dentry.inode, path: found };
}

function fromFile(file: File): Found {
  if (file.inode === undefined) throw EBADF;
  return { inode: file.inode, path: file.path };
}

export const stat: Syscall = syscall(
  "stat",
  [path, bufferOut],
  (task, name, buffer) => statAt(task, AT_FDCWD, name, buffer, 0),
);
export const lstat: Syscall = syscall(
  "lstat",
  [path, bufferOut],
  (task, name, buffer) => statAt(task, AT_FDCWD, name, buffer, AT_SYMLINK_NOFOLLOW),
);
export const newfstatat: Syscall = syscall("newfstatat", [fd, path, bufferOut, atFlags], statAt);

export const fstat: Syscall = syscall("fstat", [fd, bufferOut], (task, descriptor, buffer) => {
  const { inode } = fromFile(task.files.get(descriptor));
  const refreshed = inode.refresh();
  if (!isSleeping(refreshed)) return answerStat(task, inode, buffer);
  return fstatSlowly(task, inode, refreshed, buffer);
});

function* fstatSlowly(task: Task, inode: Inode, refreshed: Sleeps<void>, buffer: number): Sleeps<number> {
  yield* refreshed;
  const answer = answerStat(task, inode, buffer);
  return Number(isSleeping<number | bigint>(answer) ? yield* answer : answer);
}

function writeTime(view: DataView, offset: number, time: { sec: number; nsec: number } | undefined): void {
  writeU64(view, offset, time?.sec ?? 0);
  view.setUint32(offset + 8, time?.nsec ?? 0, true);
}

function encodeStatx(inode: Inode, found: Path | undefined): Uint8Array {
  const bytes = new Uint8Array(STATX_BYTES);
  const view = new DataView(bytes.buffer);
  const isMountRoot = found !== undefined && found.dentry === found.mount.root;
  const hasBirth = inode.btime !== undefined;
  view.setUint32(
    0,
    STATX_BASIC_STATS | (hasBirth ? STATX_BTIME : 0) | (found === undefined ? 0 : STATX_MNT_ID),
    true,
  );
  view.setUint32(4, inode.superBlock.blockSize, true);
  writeU64(view, 8, isMountRoot ? STATX_ATTR_MOUNT_ROOT : 0);
  view.setUint32(16, inode.nlink, true);
  view.setUint32(20, inode.uid, true);
  view.setUint32(24, inode.gid, true);
  view.setUint16(28, inode.mode, true);
  writeU64(view, 32, inode.ino);
  writeU64(view, 40, inode.size);
  writeU64(view, 48, inode.blocks);
  writeU64(view, 56, STATX_ATTR_MOUNT_ROOT);
  writeTime(view, 64, inode.atime);
  writeTime(view, 80, inode.btime);
  writeTime(view, 96, inode.ctime);
  writeTime(view, 112, inode.mtime);
  view.setUint32(128, majorOf(inode.rdev), true);
  view.setUint32(132, minorOf(inode.rdev), true);
  view.setUint32(136, majorOf(inode.superBlock.dev), true);
  view.setUint32(140, minorOf(inode.superBlock.dev), true);
  writeU64(view, 144, found?.mount.id ?? 0);
  return bytes;
}

export const statx: Syscall = syscall(
  "statx",
  [fd, path, atFlags, hex, bufferOut],
  function*(task, at, name, flags, mask, buffer) {
    if ((mask & STATX__RESERVED) !== 0) throw EINVAL;
    if ((flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE) throw EINVAL;
    if (
      (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) !== 0
    ) throw EINVAL;
    const found = yield* findAt(task, at, name, flags);
    yield* userOf(task).copyOut(buffer, encodeStatx(found.inode, found.path));
    return 0;
  },
  { level: "partial", missing: "STATX_DIOALIGN, STATX_MNT_ID_UNIQUE, STATX_SUBVOL" },
);

const STATFS_FLAGS: readonly (readonly [mount: number, shown: number])[] = [
  [MS_NOSUID, ST_NOSUID],
  [MS_NODEV, ST_NODEV],
  [MS_NOEXEC, ST_NOEXEC],
  [MS_NOATIME, ST_NOATIME],
  [MS_NODIRATIME, ST_NODIRATIME],
  [MS_RELATIME, ST_RELATIME],
];

function encodeStatfs(inode: Inode, mount: Mount | undefined): Uint8Array {
  const bytes = new Uint8Array(STATFS_BYTES);
  const view = new DataView(bytes.buffer);
  const found = inode.superBlock.statfs();
  let flags = ST_VALID;
  if (mount !== undefined) {
    if (isReadOnly(mount)) flags |= ST_RDONLY;
    for (const [bit, shown] of STATFS_FLAGS) if ((mount.flags & bit) !== 0) flags |= shown;
  }
  const words = [
    found.type,
    found.blockSize,
    found.blocks,
    found.blocksFree,
    found.blocksAvailable,
    found.files,
    found.filesFree,
    inode.superBlock.dev,
    found.nameMax,
    found.blockSize,
    flags,
  ];
  words.forEach((word, index) => writeU64(view, index * 8, word));
  return bytes;
}

export const statfs: Syscall = syscall("statfs", [path, bufferOut], function*(task, name, buffer) {
  const { inode, path: found } = yield* findAt(task, AT_FDCWD, name, 0);
  yield* userOf(task).copyOut(buffer, encodeStatfs(inode, found?.mount));
  return 0;
});

export const fstatfs: Syscall = syscall("fstatfs", [fd, bufferOut], function*(task, descriptor, buffer) {
  const { inode, path: found } = fromFile(task.files.get(descriptor));
  yield* userOf(task).copyOut(buffer, encodeStatfs(inode, found?.mount));
  return 0;
});

/** Who access(2) asks for: the real IDs, with all capabilities for root and none for others. */
function accessCred(cred: Cred): Cred {
  if (cred.uid === cred.fsuid && cred.gid === cred.fsgid) return cred;
  return { ...cred, fsuid: cred.uid, fsgid: cred.gid, capEffective: cred.uid === 0 ? cred.capPermitted : 0n };
}

function accessAt(task: Task, at: number, nameAddress: number, mask: number, flags: number): SyscallAnswer {
  if ((mask & ~7) !== 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) throw EINVAL;
  const vfs = vfsOf(task);
  const name = vfs.tryGetName(task, nameAddress);
  if (name !== undefined && name !== "" && (flags & AT_EACCESS) === 0) {
    const cred = accessCred(task.cred);
    const found = cred !== task.cred ? undefined : vfs.resolve(task, name, {
      at: vfs.baseOf(task, at, name),
      followLast: (flags & AT_SYMLINK_NOFOLLOW) === 0,
    });
    if (found !== undefined && !isSleeping(found) && found.dentry.inode !== undefined) {
      if (!isSleeping(found.dentry.inode.refresh())) {
        return answerAccess(found.dentry.inode, found.mount, mask, cred);
      }
    }
  }
  return accessSlowly(task, at, nameAddress, mask, flags);
}

function* accessSlowly(
  task: Task,
  at: number,
  nameAddress: number,
  mask: number,
  flags: number,
): Sleeps<number> {
  const former = task.cred;
  const cred = (flags & AT_EACCESS) !== 0 ? former : accessCred(former);
  task.cred = cred; // The path is searched with the same rights.
  try {
    const found = yield* findAt(task, at, nameAddress, flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
    return answerAccess(found.inode, found.path?.mount, mask, cred);
  } finally {
    task.cred = former;
  }
}

function answerAccess(inode: Inode, mount: Mount | undefined, mask: number, cred: Cred): number {
  if (mask === 0) return 0;
  let wanted = 0;
  if ((mask & 4) !== 0) wanted |= MAY_READ;
  if ((mask & 2) !== 0) wanted |= MAY_WRITE;
  if ((mask & 1) !== 0) wanted |= MAY_EXEC;
  if (mount !== undefined) checkAccess(mount, inode, wanted, cred);
  return 0;
}

export const access: Syscall = syscall(
  "access",
  [path, int],
  (task, name, mask) => accessAt(task, AT_FDCWD, name, mask, 0),
);
export const faccessat: Syscall = syscall(
  "faccessat",
  [fd, path, int],
  (task, at, name, mask) => accessAt(task, at, name, mask, 0),
);
export const faccessat2: Syscall = syscall("faccessat2", [fd, path, int, int], accessAt);

function* readlinkAt(
  task: Task,
  at: number,
  nameAddress: number,
  buffer: number,
  length: number,
): Sleeps<number> {
  if (length <= 0) throw EINVAL;
  const vfs = vfsOf(task);
  const answer = vfs.getName(task, nameAddress);
  const name = isSleeping(answer) ? yield* answer : answer;
  const isOwn = name === "" && at !== AT_FDCWD;
  const found = yield* findAt(task, at, nameAddress, AT_SYMLINK_NOFOLLOW | (isOwn ? AT_EMPTY_PATH : 0));
  if (!isSymlink(found.inode.mode)) throw isOwn ? ENOENT : EINVAL;
  const text = found.inode.readlink();
  const target = isSleeping(text) ? yield* text : text;
  const bytes = new Uint8Array(Math.min(length, target.length));
  for (let index = 0; index < bytes.length; index++) bytes[index] = target.charCodeAt(index);
  if (buffer === 0) throw EFAULT;
  yield* userOf(task).copyOut(buffer, bytes);
  return bytes.length;
}

export const readlink: Syscall = syscall(
  "readlink",
  [path, bufferOut, int],
  (task, name, buffer, length) => readlinkAt(task, AT_FDCWD, name, buffer, length),
);
export const readlinkat: Syscall = syscall("readlinkat", [fd, path, bufferOut, int], readlinkAt);

export const statSyscalls: readonly Syscall[] = [
  stat,
  lstat,
  fstat,
  newfstatat,
  statx,
  statfs,
  fstatfs,
  access,
  faccessat,
  faccessat2,
  readlink,
  readlinkat,
];
