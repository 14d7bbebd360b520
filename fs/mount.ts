// SPDX-License-Identifier: Apache-2.0
// mount(2), umount2(2), pivot_root(2).
//
// Sources: the pages named, mount_namespaces(7). There is one mount namespace in a kernel; propagation types are
// kept and shown, and events do not propagate, which cannot be told from one namespace without peers.

import type { Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { cstring, flagsOf, path, pointer, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { PATH_MAX } from "../include/uapi/fs.ts";
import {
  MNT_DETACH,
  MNT_EXPIRE,
  MNT_FORCE,
  MOUNT_FLAGS,
  MS_BIND,
  MS_MGC_MSK,
  MS_MGC_VAL,
  MS_MOVE,
  MS_NOATIME,
  MS_NODIRATIME,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_UNBINDABLE,
  UMOUNT_FLAGS,
  UMOUNT_NOFOLLOW,
} from "../include/uapi/mount.ts";
import { isDirectory } from "../include/uapi/stat.ts";
import { EAGAIN, EBUSY, EINVAL, ENAMETOOLONG, ENODEV, ENOTDIR, EPERM } from "../lib/errno.ts";
import { isBelow, MNT_FLAGS, type MountNode, type Propagation } from "./dcache.ts";
import { getName } from "./namei.ts";
import { asDentry, asNode, isMountBusy } from "./namespace.ts";
import { CAP_SYS_ADMIN, hasCapability } from "./permission.ts";
import { userOf } from "./uio.ts";
import { type VfsImpl, vfsOf } from "./vfs.ts";

const OPTION_BYTES_MAX = 4095;

function* resolve(task: Task, name: string, followLast: boolean): Sleeps<Path> {
  const answer = vfsOf(task).resolve(task, name, { followLast });
  return isSleeping(answer) ? yield* answer : answer;
}

function* optionalString(task: Task, address: number): Sleeps<string> {
  return address === 0 ? "" : yield* userOf(task).readString(address, PATH_MAX - 1, EINVAL);
}

/** The flags of a mount from those of mount(2): relatime unless told otherwise. */
function mountFlagsOf(flags: number): number {
  let kept = flags & MNT_FLAGS;
  if ((flags & (MS_NOATIME | MS_STRICTATIME)) === 0) kept |= MS_RELATIME;
  if ((flags & MS_STRICTATIME) !== 0) kept &= ~(MS_RELATIME | MS_NOATIME);
  return kept;
}

export const mount: Syscall = syscall(
  "mount",
  [cstring, path, cstring, flagsOf(MOUNT_FLAGS), pointer],
  function*(task, sourceAddress, targetAddress, typeAddress, givenFlags, data) {
    const typeName = typeAddress === 0
      ? ""
      : yield* userOf(task).readString(typeAddress, PATH_MAX - 1, EINVAL);
    const source = yield* optionalString(task, sourceAddress);
    const options = data === 0 ? "" : yield* readOptions(task, data);
    const target = yield* resolve(task, yield* getName(task, targetAddress), true);
    if (!hasCapability(task.cred, CAP_SYS_ADMIN)) throw EPERM;
    const flags = ((givenFlags & MS_MGC_MSK) >>> 0) === MS_MGC_VAL ? givenFlags & ~MS_MGC_MSK : givenFlags;
    yield* mountAt(task, source, target, typeName, flags, options);
    return 0;
  },
  { level: "partial", missing: "mount propagation between peers" },
);

/** The option page: text up to a NUL, as far as the page goes. */
function* readOptions(task: Task, address: number): Sleeps<string> {
  try {
    return yield* userOf(task).readString(address, OPTION_BYTES_MAX, ENAMETOOLONG);
  } catch (error) {
    if (error === ENAMETOOLONG) throw EINVAL;
    throw error;
  }
}

/** What mount(2) does once its strings are read. Also for init's own mounts. */
export function* mountAt(
  task: Task,
  source: string,
  target: Path,
  typeName: string,
  flags: number,
  options: string,
): Sleeps<void> {
  const vfs = vfsOf(task);
  if ((flags & (MS_REMOUNT | MS_BIND)) === (MS_REMOUNT | MS_BIND)) return changeMountFlags(target, flags);
  if ((flags & MS_REMOUNT) !== 0) return remount(target, flags, options);
  if ((flags & MS_BIND) !== 0) return yield* bindMount(vfs, task, source, target, flags);
  const propagation = flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE);
  if (propagation !== 0) return changePropagation(vfs, target, propagation, (flags & MS_REC) !== 0);
  if ((flags & MS_MOVE) !== 0) return yield* moveMount(vfs, task, source, target);
  if (typeName === "") throw EINVAL;
  const type = vfs.fileSystem(typeName);
  if (type === undefined) throw ENODEV;
  if (!isDirectory(target.dentry.inode?.mode ?? 0)) throw ENOTDIR;
  const superBlock = yield* type.mount(task, source, flags, options);
  if ((flags & MS_RDONLY) !== 0) superBlock.isReadOnly = true;
  vfs.mount(task, superBlock, target, mountFlagsOf(flags), source === "" ? "none" : source);
}

function requireMountRoot(target: Path): MountNode {
  const node = asNode(target.mount);
  if (target.dentry !== node.root) throw EINVAL;
  return node;
}

const ATIME_FLAGS = MS_NOATIME | MS_NODIRATIME | MS_RELATIME;

/** A remount that says nothing of access times leaves them as they are. */
function remountFlagsOf(node: MountNode, flags: number): number {
  if ((flags & (ATIME_FLAGS | MS_STRICTATIME)) !== 0) return mountFlagsOf(flags);
  return (mountFlagsOf(flags) & ~ATIME_FLAGS) | (node.flags & ATIME_FLAGS);
}

function changeMountFlags(target: Path, flags: number): void {
  const node = requireMountRoot(target);
  node.flags = remountFlagsOf(node, flags);
}

function remount(target: Path, flags: number, options: string): void {
  const node = requireMountRoot(target);
  const { superBlock } = node;
  superBlock.remount?.(options);
  if (superBlock.type.name !== "erofs") superBlock.isReadOnly = (flags & MS_RDONLY) !== 0;
  node.flags = remountFlagsOf(node, flags);
}

function* bindMount(vfs: VfsImpl, task: Task, source: string, target: Path, flags: number): Sleeps<void> {
  if (source === "") throw EINVAL;
  const from = yield* resolve(task, source, true);
  const fromInode = from.dentry.inode;
  const toInode = target.dentry.inode;
  if (isDirectory(fromInode?.mode ?? 0) !== isDirectory(toInode?.mode ?? 0)) throw ENOTDIR;
  vfs.mounts.attach(vfs.mounts.bind(from, (flags & MS_REC) !== 0), target);
}

function* moveMount(vfs: VfsImpl, task: Task, source: string, target: Path): Sleeps<void> {
  if (source === "") throw EINVAL;
  const from = yield* resolve(task, source, true);
  if (isDirectory(from.dentry.inode?.mode ?? 0) !== isDirectory(target.dentry.inode?.mode ?? 0)) throw EINVAL;
  vfs.mounts.move(requireMountRoot(from), target);
}

const PROPAGATIONS: Readonly<Record<number, Propagation>> = {
  [MS_SHARED]: "shared",
  [MS_PRIVATE]: "private",
  [MS_SLAVE]: "slave",
  [MS_UNBINDABLE]: "unbindable",
};

function changePropagation(vfs: VfsImpl, target: Path, flag: number, isRecursive: boolean): void {
  const node = requireMountRoot(target);
  const propagation = PROPAGATIONS[flag];
  if (propagation === undefined) throw EINVAL;
  for (const each of isRecursive ? vfs.mounts.subtree(node) : [node]) {
    each.propagation = propagation === "slave" ? "private" : propagation; // A slave without a master is private.
    each.peerGroup = propagation === "shared" ? vfs.mounts.nextPeerGroup() : 0;
  }
}

export const umount2: Syscall = syscall(
  "umount2",
  [path, flagsOf(UMOUNT_FLAGS)],
  function*(task, name, flags) {
    if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) !== 0) throw EINVAL;
    const target = yield* resolve(task, yield* getName(task, name), (flags & UMOUNT_NOFOLLOW) === 0);
    if (!hasCapability(task.cred, CAP_SYS_ADMIN)) throw EPERM;
    const node = requireMountRoot(target);
    const { mounts } = vfsOf(task);
    if ((flags & MNT_EXPIRE) !== 0) {
      if ((flags & (MNT_FORCE | MNT_DETACH)) !== 0) throw EINVAL;
      if (isMountBusy(task, node)) throw EBUSY;
      if (!node.isExpiring) {
        node.isExpiring = true;
        throw EAGAIN;
      }
    }
    if ((flags & MNT_DETACH) === 0) yield* node.superBlock.sync();
    mounts.unmount(node, (flags & MNT_DETACH) !== 0, (each) => isMountBusy(task, each));
    return 0;
  },
);

export const pivotRoot: Syscall = syscall(
  "pivot_root",
  [path, path],
  function*(task, newAddress, oldAddress) {
    if (!hasCapability(task.cred, CAP_SYS_ADMIN)) throw EPERM;
    const newRoot = yield* resolve(task, yield* getName(task, newAddress), true);
    const putOld = yield* resolve(task, yield* getName(task, oldAddress), true);
    const { mounts } = vfsOf(task);
    const { root } = task.fs;
    const fresh = asNode(newRoot.mount);
    const former = asNode(root.mount);
    if (
      !isDirectory(newRoot.dentry.inode?.mode ?? 0) || !isDirectory(putOld.dentry.inode?.mode ?? 0)
    ) throw ENOTDIR;
    if (fresh === former || asNode(putOld.mount) === former) throw EBUSY;
    if (newRoot.dentry !== fresh.root || root.dentry !== former.root) throw EINVAL;
    if (fresh.parent === undefined) throw EINVAL;
    if (!isUnder(putOld, newRoot)) throw EINVAL;
    const place = former.mountPoint === undefined || former.parent === undefined
      ? undefined
      : { mount: former.parent, dentry: former.mountPoint };
    mounts.detach(fresh);
    if (place !== undefined) mounts.detach(former);
    mounts.attach(former, putOld);
    if (place !== undefined) mounts.attach(fresh, place);
    else mounts.root = fresh;
    const next = fresh.root.pathIn(fresh);
    for (const other of task.kernel.tasks.all()) {
      if (other.mm === undefined) continue;
      if (other.fs.root.mount === former && other.fs.root.dentry === former.root) other.fs.root = next;
      if (other.fs.cwd.mount === former && other.fs.cwd.dentry === former.root) other.fs.cwd = next;
    }
    return 0;
  },
);

/** True when `inner` lies at or below `outer`, mounts included. */
function isUnder(inner: Path, outer: Path): boolean {
  let mount: MountNode | undefined = asNode(inner.mount);
  let dentry = asDentry(inner.dentry);
  for (; mount !== undefined; mount = mount.parent) {
    if (mount === outer.mount) return isBelow(dentry, asDentry(outer.dentry));
    if (mount.mountPoint === undefined) return false;
    dentry = mount.mountPoint;
  }
  return false;
}

export const mountSyscalls: readonly Syscall[] = [mount, umount2, pivotRoot];
