// SPDX-License-Identifier: Apache-2.0
// Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their kin; POSIX ACLs.
//
// Namespaces (xattr(7)): user.* by file permissions, on regular files and directories only; trusted.* by
// CAP_SYS_ADMIN, invisible to others; security.* by CAP_SYS_ADMIN to write (security.capability: CAP_SETFCAP);
// system.posix_acl_access and _default by the owner. An access ACL and the mode bits say the same thing: the group
// bits are the ACL's mask.

import { type Inode, MAY_READ, MAY_WRITE, type Mount } from "../include/linux/fs.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import {
  cstring,
  fd,
  flagsOf,
  path,
  pointer,
  size,
  type Syscall,
  syscall,
} from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "../include/uapi/fcntl.ts";
import { IN_ATTRIB } from "../include/uapi/inotify.ts";
import { isDirectory, isRegular, S_ISVTX } from "../include/uapi/stat.ts";
import {
  XATTR_CREATE,
  XATTR_FLAGS,
  XATTR_LIST_MAX,
  XATTR_NAME_CAPS,
  XATTR_NAME_MAX,
  XATTR_NAME_POSIX_ACL_ACCESS,
  XATTR_NAME_POSIX_ACL_DEFAULT,
  XATTR_REPLACE,
  XATTR_SECURITY_PREFIX,
  XATTR_SIZE_MAX,
  XATTR_SYSTEM_PREFIX,
  XATTR_TRUSTED_PREFIX,
  XATTR_USER_PREFIX,
} from "../include/uapi/xattr.ts";
import { E2BIG, EBADF, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE } from "../lib/errno.ts";
import { announceInode } from "./fsnotify.ts";
import { wait } from "./libfs.ts";
import { PathFile } from "./open.ts";
import {
  CAP_SETFCAP,
  CAP_SYS_ADMIN,
  checkPermission,
  checkWritable,
  hasCapability,
  isOwnerOrCapable,
} from "./permission.ts";
import { ACCESS_ACL, DEFAULT_ACL, modeOfAcl, parseAcl } from "./posix_acl.ts";
import { findAt } from "./stat.ts";
import { userOf } from "./uio.ts";
import { vfsOf } from "./vfs.ts";

interface Target {
  readonly inode: Inode;
  readonly path: {
    readonly mount: Mount;
    readonly dentry: { readonly name: string; readonly parent: { inode: Inode | undefined } };
  } | undefined;
}

/** Throws unless `cred` may use the attribute in this way. */
function checkNamespace(inode: Inode, name: string, cred: Cred, access: "read" | "write"): void {
  if (name.startsWith(XATTR_TRUSTED_PREFIX)) {
    if (!hasCapability(cred, CAP_SYS_ADMIN)) throw access === "write" ? EPERM : ENODATA;
  } else if (name.startsWith(XATTR_USER_PREFIX)) {
    if (!isRegular(inode.mode) && !isDirectory(inode.mode)) throw access === "write" ? EPERM : ENODATA;
    const isSticky = isDirectory(inode.mode) && (inode.mode & S_ISVTX) !== 0;
    if (access === "write" && isSticky && !isOwnerOrCapable(inode, cred)) throw EPERM;
    checkPermission(inode, access === "write" ? MAY_WRITE : MAY_READ, cred);
  } else if (name.startsWith(XATTR_SECURITY_PREFIX)) {
    if (access === "read") return;
    if (!hasCapability(cred, name === XATTR_NAME_CAPS ? CAP_SETFCAP : CAP_SYS_ADMIN)) throw EPERM;
  } else if (name === XATTR_NAME_POSIX_ACL_ACCESS || name === XATTR_NAME_POSIX_ACL_DEFAULT) {
    if (access === "write" && !isOwnerOrCapable(inode, cred)) throw EPERM;
  } else {
    throw EOPNOTSUPP;
  }
  if (name === XATTR_USER_PREFIX || name === XATTR_TRUSTED_PREFIX || name === XATTR_SECURITY_PREFIX) {
    throw EINVAL;
  }
}

function* readName(task: Task, address: number): Sleeps<string> {
  const name = yield* userOf(task).readString(address, XATTR_NAME_MAX, ERANGE);
  if (name === "") throw ERANGE;
  return name;
}

function* setAttribute(
  task: Task,
  target: Target,
  nameAddress: number,
  value: number,
  length: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) throw EINVAL;
  const name = yield* readName(task, nameAddress);
  if (length > XATTR_SIZE_MAX) throw E2BIG;
  const bytes = length === 0 ? new Uint8Array(0) : (yield* userOf(task).copyIn(value, length)).slice();
  const { inode } = target;
  if (target.path !== undefined) checkWritable(target.path.mount);
  checkNamespace(inode, name, task.cred, "write");
  if (name.startsWith(XATTR_SYSTEM_PREFIX)) yield* setAcl(task, inode, name, bytes, flags);
  else yield* wait(inode.setXattr(name, bytes, flags));
  announceAttribute(task, target);
  return 0;
}

/** An access ACL that the mode bits can express is not stored; the mode follows it. */
function* setAcl(task: Task, inode: Inode, name: string, bytes: Uint8Array, flags: number): Sleeps<void> {
  const acl = parseAcl(bytes);
  const isAccess = name === XATTR_NAME_POSIX_ACL_ACCESS;
  if (!isAccess && !isDirectory(inode.mode)) {
    if (acl.entries.length > 0) throw EPERM;
    return;
  }
  const isPlain = acl.entries.length === 0 || (isAccess && acl.isMinimal);
  if (isPlain) {
    try {
      yield* wait(inode.removeXattr(name));
    } catch (error) {
      if (error !== ENODATA) throw error;
    }
    inode.attached?.delete(isAccess ? ACCESS_ACL : DEFAULT_ACL);
  } else {
    yield* wait(inode.setXattr(name, bytes, flags));
    (inode.attached ??= new Map<string, unknown>()).set(isAccess ? ACCESS_ACL : DEFAULT_ACL, bytes);
  }
  if (isAccess && acl.entries.length > 0) {
    const mode = (inode.mode & 0o7000) | modeOfAcl(acl);
    yield* wait(inode.setAttributes({ mode, ctime: task.kernel.time.realtime() }));
  }
}

function announceAttribute(task: Task, { inode, path: found }: Target): void {
  announceInode(vfsOf(task), inode, IN_ATTRIB, found?.dentry.parent.inode, found?.dentry.name ?? "");
}

function* getAttribute(
  task: Task,
  { inode }: Target,
  nameAddress: number,
  buffer: number,
  length: number,
): Sleeps<number> {
  const name = yield* readName(task, nameAddress);
  checkNamespace(inode, name, task.cred, "read");
  const bytes = yield* wait(inode.getXattr(name));
  if (length === 0) return bytes.length;
  if (bytes.length > length) throw ERANGE;
  yield* userOf(task).copyOut(buffer, bytes);
  return bytes.length;
}

function* listAttributes(task: Task, { inode }: Target, buffer: number, length: number): Sleeps<number> {
  const isPrivileged = hasCapability(task.cred, CAP_SYS_ADMIN);
  const names = (yield* wait(inode.listXattr()))
    .filter((name) => isPrivileged || !name.startsWith(XATTR_TRUSTED_PREFIX));
  const text = names.map((name) => `${name}\0`).join("");
  if (text.length > XATTR_LIST_MAX) throw E2BIG;
  if (length === 0) return text.length;
  if (text.length > length) throw ERANGE;
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  yield* userOf(task).copyOut(buffer, bytes);
  return bytes.length;
}

function* removeAttribute(task: Task, target: Target, nameAddress: number): Sleeps<number> {
  const name = yield* readName(task, nameAddress);
  const { inode } = target;
  if (target.path !== undefined) checkWritable(target.path.mount);
  checkNamespace(inode, name, task.cred, "write");
  yield* wait(inode.removeXattr(name));
  if (name === XATTR_NAME_POSIX_ACL_ACCESS) inode.attached?.delete(ACCESS_ACL);
  if (name === XATTR_NAME_POSIX_ACL_DEFAULT) inode.attached?.delete(DEFAULT_ACL);
  announceAttribute(task, target);
  return 0;
}

function* named(task: Task, name: number, follow: "follow" | "nofollow"): Sleeps<Target> {
  return yield* findAt(task, AT_FDCWD, name, follow === "follow" ? 0 : AT_SYMLINK_NOFOLLOW);
}

function opened(task: Task, descriptor: number): Target {
  const file = task.files.get(descriptor);
  if (file instanceof PathFile || file.inode === undefined) throw EBADF;
  return { inode: file.inode, path: file.path };
}

const setFlags = flagsOf(XATTR_FLAGS);

export const setxattr: Syscall = syscall(
  "setxattr",
  [path, cstring, pointer, size, setFlags],
  function*(task, file, name, value, length, flags) {
    return yield* setAttribute(task, yield* named(task, file, "follow"), name, value, length, flags);
  },
);
export const lsetxattr: Syscall = syscall(
  "lsetxattr",
  [path, cstring, pointer, size, setFlags],
  function*(task, file, name, value, length, flags) {
    return yield* setAttribute(task, yield* named(task, file, "nofollow"), name, value, length, flags);
  },
);
export const fsetxattr: Syscall = syscall(
  "fsetxattr",
  [fd, cstring, pointer, size, setFlags],
  (task, file, name, value, length, flags) =>
    setAttribute(task, opened(task, file), name, value, length, flags),
);

export const getxattr: Syscall = syscall(
  "getxattr",
  [path, cstring, pointer, size],
  function*(task, file, name, buffer, length) {
    return yield* getAttribute(task, yield* named(task, file, "follow"), name, buffer, length);
  },
);
export const lgetxattr: Syscall = syscall(
  "lgetxattr",
  [path, cstring, pointer, size],
  function*(task, file, name, buffer, length) {
    return yield* getAttribute(task, yield* named(task, file, "nofollow"), name, buffer, length);
  },
);
export const fgetxattr: Syscall = syscall(
  "fgetxattr",
  [fd, cstring, pointer, size],
  (task, file, name, buffer, length) => getAttribute(task, opened(task, file), name, buffer, length),
);

export const listxattr: Syscall = syscall(
  "listxattr",
  [path, pointer, size],
  function*(task, file, buffer, length) {
    return yield* listAttributes(task, yield* named(task, file, "follow"), buffer, length);
  },
);
export const llistxattr: Syscall = syscall(
  "llistxattr",
  [path, pointer, size],
  function*(task, file, buffer, length) {
    return yield* listAttributes(task, yield* named(task, file, "nofollow"), buffer, length);
  },
);
export const flistxattr: Syscall = syscall(
  "flistxattr",
  [fd, pointer, size],
  (task, file, buffer, length) => listAttributes(task, opened(task, file), buffer, length),
);

export const removexattr: Syscall = syscall("removexattr", [path, cstring], function*(task, file, name) {
  return yield* removeAttribute(task, yield* named(task, file, "follow"), name);
});
export const lremovexattr: Syscall = syscall("lremovexattr", [path, cstring], function*(task, file, name) {
  return yield* removeAttribute(task, yield* named(task, file, "nofollow"), name);
});
export const fremovexattr: Syscall = syscall(
  "fremovexattr",
  [fd, cstring],
  (task, file, name) => removeAttribute(task, opened(task, file), name),
);

export const xattrSyscalls: readonly Syscall[] = [
  setxattr,
  lsetxattr,
  fsetxattr,
  getxattr,
  lgetxattr,
  fgetxattr,
  listxattr,
  llistxattr,
  flistxattr,
  removexattr,
  lremovexattr,
  fremovexattr,
];
