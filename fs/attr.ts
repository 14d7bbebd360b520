// SPDX-License-Identifier: Apache-2.0
// chmod(2), chown(2), truncate(2), utimensat(2) and their kin.
//
// Rules: only the owner (or CAP_FOWNER) changes modes and times; set-group-ID needs membership in the group; a change
// of owner or a write by the unprivileged takes set-ID bits away. Sources: the pages named, inode(7).

import {
  type AttributeChange,
  type Inode,
  MAY_WRITE,
  type Mount,
  type TimeSpec,
  timeSpec,
} from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  fd,
  flagsOf,
  int,
  long,
  path,
  pointer,
  type Syscall,
  syscall,
  uint,
} from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_FLAGS, AT_SYMLINK_NOFOLLOW } from "../include/uapi/fcntl.ts";
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY } from "../include/uapi/inotify.ts";
import { SIGXFSZ } from "../include/uapi/signal.ts";
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IALLUGO,
  S_ISGID,
  UTIME_NOW,
  UTIME_OMIT,
} from "../include/uapi/stat.ts";
import { XATTR_NAME_POSIX_ACL_ACCESS } from "../include/uapi/xattr.ts";
import { EACCES, EBADF, EFBIG, EINVAL, EISDIR, EOPNOTSUPP, EPERM, ETXTBSY } from "../lib/errno.ts";
import { kernelSignal, sendToTask } from "../kernel/signal.ts";
import { announceInode } from "./fsnotify.ts";
import {
  CAP_CHOWN,
  CAP_FOWNER,
  CAP_FSETID,
  checkPermission,
  checkWritable,
  hasCapability,
  inGroup,
  isOwnerOrCapable,
  withoutSetIdBits,
} from "./permission.ts";
import { PathFile } from "./open.ts";
import { ACCESS_ACL, chmodAcl } from "./posix_acl.ts";
import { findAt } from "./stat.ts";
import { readS64, userOf } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

const NO_ID = 0xffffffff;
const RLIMIT_FSIZE = 1;
const atFlags = flagsOf(AT_FLAGS);

interface Target {
  readonly inode: Inode;
  readonly path: {
    readonly mount: Mount;
    readonly dentry: { readonly name: string; readonly parent: { inode: Inode | undefined } };
  } | undefined;
}

function targetOfFile(task: Task, descriptor: number): Target {
  const file = task.files.get(descriptor);
  if (file instanceof PathFile || file.inode === undefined) throw EBADF;
  return { inode: file.inode, path: file.path };
}

/** Applies a checked change and tells watchers. */
function* apply(
  task: Task,
  { inode, path: found }: Target,
  change: AttributeChange,
  event: number,
): Sleeps<void> {
  const answer = inode.setAttributes(change);
  if (isSleeping(answer)) yield* answer;
  announceInode(vfsOf(task), inode, event, found?.dentry.parent.inode, found?.dentry.name ?? "");
}

function checkMount(target: Target): void {
  if (target.path !== undefined) checkWritable(target.path.mount);
}

function* changeMode(task: Task, target: Target, mode: number): Sleeps<number> {
  const { inode } = target;
  checkMount(target);
  if (isSymlink(inode.mode)) throw EOPNOTSUPP;
  if (!isOwnerOrCapable(inode, task.cred)) throw EPERM;
  let next = mode & S_IALLUGO;
  if ((next & S_ISGID) !== 0 && !inGroup(task.cred, inode.gid) && !hasCapability(task.cred, CAP_FSETID)) {
    next &= ~S_ISGID;
  }
  yield* changeAcl(inode, next);
  yield* apply(task, target, { mode: next, ctime: task.kernel.time.realtime() }, IN_ATTRIB);
  return 0;
}

/** An access ACL follows the mode. */
function* changeAcl(inode: Inode, mode: number): Sleeps<void> {
  const acl = inode.attached?.get(ACCESS_ACL);
  if (!(acl instanceof Uint8Array)) return;
  const changed = chmodAcl(acl, mode);
  const answer = inode.setXattr(XATTR_NAME_POSIX_ACL_ACCESS, changed, 0);
  if (isSleeping(answer)) yield* answer;
  inode.attached?.set(ACCESS_ACL, changed);
}

function* chmodAt(task: Task, at: number, name: number, mode: number, flags: number): Sleeps<number> {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) throw EINVAL;
  return yield* changeMode(task, yield* findAt(task, at, name, flags), mode);
}

export const chmod: Syscall = syscall(
  "chmod",
  [path, uint],
  (task, name, mode) => chmodAt(task, AT_FDCWD, name, mode, 0),
);
export const fchmod: Syscall = syscall(
  "fchmod",
  [fd, uint],
  (task, descriptor, mode) => changeMode(task, targetOfFile(task, descriptor), mode),
);
export const fchmodat: Syscall = syscall(
  "fchmodat",
  [fd, path, uint],
  (task, at, name, mode) => chmodAt(task, at, name, mode, 0),
);
export const fchmodat2: Syscall = syscall("fchmodat2", [fd, path, uint, atFlags], chmodAt);

function* changeOwner(task: Task, target: Target, uid: number, gid: number): Sleeps<number> {
  const { inode } = target;
  const { cred } = task;
  checkMount(target);
  const mayChange = hasCapability(cred, CAP_CHOWN);
  if (uid !== NO_ID && !mayChange && !(cred.fsuid === inode.uid && uid === inode.uid)) throw EPERM;
  if (
    gid !== NO_ID && !mayChange && !(cred.fsuid === inode.uid && (inGroup(cred, gid) || gid === inode.gid))
  ) throw EPERM;
  const change: AttributeChange = { ctime: task.kernel.time.realtime() };
  if (uid !== NO_ID) change.uid = uid;
  if (gid !== NO_ID) change.gid = gid;
  // Also for root: a program that changes hands loses its set-ID bits.
  if (!isDirectory(inode.mode) && (inode.mode & 0o6000) !== 0) {
    change.mode = withoutSetIdBits(inode.mode) & S_IALLUGO;
  }
  yield* apply(task, target, change, IN_ATTRIB);
  return 0;
}

function* chownAt(
  task: Task,
  at: number,
  name: number,
  uid: number,
  gid: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) throw EINVAL;
  return yield* changeOwner(task, yield* findAt(task, at, name, flags), uid, gid);
}

export const chown: Syscall = syscall(
  "chown",
  [path, uint, uint],
  (task, name, uid, gid) => chownAt(task, AT_FDCWD, name, uid, gid, 0),
);
export const lchown: Syscall = syscall(
  "lchown",
  [path, uint, uint],
  (task, name, uid, gid) => chownAt(task, AT_FDCWD, name, uid, gid, AT_SYMLINK_NOFOLLOW),
);
export const fchown: Syscall = syscall(
  "fchown",
  [fd, uint, uint],
  (task, descriptor, uid, gid) => changeOwner(task, targetOfFile(task, descriptor), uid, gid),
);
export const fchownat: Syscall = syscall("fchownat", [fd, path, uint, uint, atFlags], chownAt);

/** What a change of size or contents does beside: times, set-ID bits. */
function modificationOf(task: Task, inode: Inode): AttributeChange {
  const now = task.kernel.time.realtime();
  if ((inode.mode & 0o6000) === 0 || hasCapability(task.cred, CAP_FSETID)) return { mtime: now, ctime: now };
  return { mtime: now, ctime: now, mode: withoutSetIdBits(inode.mode) & S_IALLUGO };
}

function checkSize(task: Task, length: number): void {
  if (length < 0) throw EINVAL;
  if (length > (task.group.rlimits[RLIMIT_FSIZE]?.soft ?? Infinity)) {
    sendToTask(task, kernelSignal(SIGXFSZ));
    throw EFBIG;
  }
}

export const truncate: Syscall = syscall("truncate", [path, long], function*(task, name, length) {
  if (length < 0) throw EINVAL;
  const target = yield* findAt(task, AT_FDCWD, name, 0);
  const { inode } = target;
  if (isDirectory(inode.mode)) throw EISDIR;
  if (!isRegular(inode.mode)) throw EINVAL;
  checkMount(target);
  checkPermission(inode, MAY_WRITE, task.cred);
  if (inode.writeCount < 0) throw ETXTBSY;
  checkSize(task, length);
  yield* apply(task, target, { ...modificationOf(task, inode), size: length }, IN_MODIFY);
  return 0;
});

export const ftruncate: Syscall = syscall("ftruncate", [fd, long], function*(task, descriptor, length) {
  if (length < 0) throw EINVAL;
  const file = task.files.get(descriptor);
  if (file instanceof PathFile) throw EBADF;
  if (!file.isWritable || file.inode === undefined || !isRegular(file.inode.mode)) throw EINVAL;
  checkSize(task, length);
  const { inode } = file;
  const answer = file.truncate(length);
  if (isSleeping(answer)) yield* answer;
  yield* apply(task, { inode, path: file.path }, modificationOf(task, inode), IN_MODIFY);
  return 0;
});

export const fallocate: Syscall = syscall(
  "fallocate",
  [fd, int, long, long],
  function*(task, descriptor, mode, offset, length) {
    const file = task.files.get(descriptor);
    if (offset < 0 || length <= 0) throw EINVAL;
    if (file instanceof PathFile || !file.isWritable) throw EBADF;
    if (!Number.isSafeInteger(offset + length)) throw EFBIG;
    checkSize(task, offset + length);
    const answer = file.fallocate(mode, offset, length);
    if (isSleeping(answer)) yield* answer;
    return 0;
  },
  { level: "partial", missing: "FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE" },
);

/** undefined leaves the time alone, "now" is the time of the call. */
type TimeChange = TimeSpec | "now" | undefined;

function* changeTimes(task: Task, target: Target, atime: TimeChange, mtime: TimeChange): Sleeps<number> {
  const { inode } = target;
  const { cred } = task;
  if (atime === undefined && mtime === undefined) return 0;
  checkMount(target);
  if (!isOwnerOrCapable(inode, cred)) {
    if (atime !== "now" || mtime !== "now") throw hasCapability(cred, CAP_FOWNER) ? EACCES : EPERM;
    checkPermission(inode, MAY_WRITE, cred);
  }
  const now = task.kernel.time.realtime();
  const change: AttributeChange = { ctime: now };
  if (atime !== undefined) change.atime = atime === "now" ? now : atime;
  if (mtime !== undefined) change.mtime = mtime === "now" ? now : mtime;
  const event = atime === undefined ? IN_MODIFY : mtime === undefined ? IN_ACCESS : IN_ATTRIB;
  yield* apply(task, target, change, event);
  return 0;
}

function decodeTime(view: DataView, offset: number): TimeChange {
  const sec = readS64(view, offset);
  const nsec = readS64(view, offset + 8);
  if (nsec === UTIME_NOW) return "now";
  if (nsec === UTIME_OMIT) return undefined;
  if (nsec < 0 || nsec > 999_999_999) throw EINVAL;
  return timeSpec(sec, nsec);
}

function* readTimes(task: Task, address: number, unit: "nsec" | "usec"): Sleeps<[TimeChange, TimeChange]> {
  if (address === 0) return ["now", "now"];
  const bytes = yield* userOf(task).copyIn(address, 32);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (unit === "nsec") return [decodeTime(view, 0), decodeTime(view, 16)];
  const times = [0, 16].map((at): TimeSpec => {
    const usec = readS64(view, at + 8);
    if (usec < 0 || usec > 999_999) throw EINVAL;
    return timeSpec(readS64(view, at), usec * 1000);
  });
  return [times[0], times[1]];
}

export const utimensat: Syscall = syscall(
  "utimensat",
  [fd, path, pointer, atFlags],
  function*(task, at, name, times, flags) {
    const [atime, mtime] = yield* readTimes(task, times, "nsec");
    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) throw EINVAL;
    if (atime === undefined && mtime === undefined) return 0;
    if (name === 0 && at !== AT_FDCWD) {
      if (flags !== 0) throw EINVAL;
      return yield* changeTimes(task, targetOfFile(task, at), atime, mtime);
    }
    return yield* changeTimes(task, yield* findAt(task, at, name, flags), atime, mtime);
  },
);

export const futimesat: Syscall = syscall("futimesat", [fd, path, pointer], function*(task, at, name, times) {
  const [atime, mtime] = yield* readTimes(task, times, "usec");
  if (name === 0) return yield* changeTimes(task, targetOfFile(task, at), atime, mtime);
  return yield* changeTimes(task, yield* findAt(task, at, name, 0), atime, mtime);
});

export const utimes: Syscall = syscall("utimes", [path, pointer], function*(task, name, times) {
  const [atime, mtime] = yield* readTimes(task, times, "usec");
  return yield* changeTimes(task, yield* findAt(task, AT_FDCWD, name, 0), atime, mtime);
});

export const utime: Syscall = syscall("utime", [path, pointer], function*(task, name, times) {
  let atime: TimeChange = "now";
  let mtime: TimeChange = "now";
  if (times !== 0) {
    const bytes = yield* userOf(task).copyIn(times, 16);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    atime = timeSpec(readS64(view, 0), 0);
    mtime = timeSpec(readS64(view, 8), 0);
  }
  return yield* changeTimes(task, yield* findAt(task, AT_FDCWD, name, 0), atime, mtime);
});

export const attributeSyscalls: readonly Syscall[] = [
  chmod,
  fchmod,
  fchmodat,
  fchmodat2,
  chown,
  lchown,
  fchown,
  fchownat,
  truncate,
  ftruncate,
  fallocate,
  utimensat,
  futimesat,
  utimes,
  utime,
];
