// SPDX-License-Identifier: Apache-2.0
// Who may do what to an inode: mode bits, ACLs, capabilities, sticky and set-ID rules.
//
// Sources: path_resolution(7), credentials(7), capabilities(7), acl(5), chmod(2), unlink(2).

import { type Inode, MAY_EXEC, MAY_READ, MAY_WRITE, type Mount } from "../include/linux/fs.ts";
import type { Cred } from "../include/linux/sched.ts";
import { MS_NOEXEC, MS_RDONLY } from "../include/uapi/mount.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID, S_ISVTX, S_IXGRP } from "../include/uapi/stat.ts";
import { EACCES, EPERM, EROFS } from "../lib/errno.ts";
import { ACCESS_ACL } from "./posix_acl.ts";

export const CAP_CHOWN = 0;
export const CAP_DAC_OVERRIDE = 1;
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_FOWNER = 3;
export const CAP_FSETID = 4;
export const CAP_LINUX_IMMUTABLE = 9;
export const CAP_SYS_CHROOT = 18;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;
export const CAP_MKNOD = 27;
export const CAP_LEASE = 28;
export const CAP_SETFCAP = 31;

export function hasCapability(cred: Cred, capability: number): boolean {
  return ((cred.capEffective >> BigInt(capability)) & 1n) === 1n;
}

export function inGroup(cred: Cred, gid: number): boolean {
  return cred.fsgid === gid || cred.groups.includes(gid);
}

/** Throws EACCES unless `cred` has all rights of `mask` (MAY_* bits) on `inode`. */
export function checkPermission(inode: Inode, mask: number, cred: Cred): void {
  if (!modeAllows(inode, mask, cred)) checkOverride(inode, mask, cred);
  inode.permission(mask, cred);
}

function modeAllows(inode: Inode, mask: number, cred: Cred): boolean {
  const { mode } = inode;
  if (inode.uid === cred.fsuid) return ((mode >> 6) & mask) === mask;
  const acl = inode.attached?.get(ACCESS_ACL);
  if (acl instanceof Uint8Array) return aclAllows(acl, inode, mask, cred);
  if (inGroup(cred, inode.gid)) return ((mode >> 3) & mask) === mask;
  return (mode & mask) === mask;
}

function checkOverride(inode: Inode, mask: number, cred: Cred): void {
  const isDirectory = (inode.mode & S_IFMT) === S_IFDIR;
  if (isDirectory ? (mask & MAY_WRITE) === 0 : mask === MAY_READ) {
    if (hasCapability(cred, CAP_DAC_READ_SEARCH)) return;
  }
  // CAP_DAC_OVERRIDE executes a file only when someone may.
  if ((mask & MAY_EXEC) === 0 || isDirectory || (inode.mode & 0o111) !== 0) {
    if (hasCapability(cred, CAP_DAC_OVERRIDE)) return;
  }
  throw EACCES;
}

const ACL_USER_OBJ = 0x01;
const ACL_USER = 0x02;
const ACL_GROUP_OBJ = 0x04;
const ACL_GROUP = 0x08;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;

/** acl(5), access check algorithm. `bytes` is the xattr form: u32 version, then (u16 tag, u16 rights, u32 id). */
function aclAllows(bytes: Uint8Array, inode: Inode, mask: number, cred: Cred): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let limit = 7;
  let isGroupMatched = false;
  let isGroupAllowed = false;
  let other = 0;
  for (let at = 4; at + 8 <= bytes.length; at += 8) {
    if (view.getUint16(at, true) === ACL_MASK) limit = view.getUint16(at + 2, true);
  }
  for (let at = 4; at + 8 <= bytes.length; at += 8) {
    const tag = view.getUint16(at, true);
    const rights = view.getUint16(at + 2, true);
    const id = view.getUint32(at + 4, true);
    if (tag === ACL_USER_OBJ) continue;
    if (tag === ACL_USER && id === cred.fsuid) return (rights & limit & mask) === mask;
    if (tag === ACL_OTHER) other = rights;
    if ((tag === ACL_GROUP_OBJ && inGroup(cred, inode.gid)) || (tag === ACL_GROUP && inGroup(cred, id))) {
      isGroupMatched = true;
      if ((rights & limit & mask) === mask) isGroupAllowed = true;
    }
  }
  return isGroupMatched ? isGroupAllowed : (other & mask) === mask;
}

/** As checkPermission, with the rules of the mount: read-only and noexec. */
export function checkAccess(mount: Mount, inode: Inode, mask: number, cred: Cred): void {
  const type = inode.mode & S_IFMT;
  if ((mask & MAY_WRITE) !== 0 && (type === S_IFREG || type === S_IFDIR || type === S_IFLNK)) {
    checkWritable(mount);
  }
  if ((mask & MAY_EXEC) !== 0 && type === S_IFREG && (mount.flags & MS_NOEXEC) !== 0) throw EACCES;
  checkPermission(inode, mask, cred);
}

export function isReadOnly(mount: Mount): boolean {
  return (mount.flags & MS_RDONLY) !== 0 || mount.superBlock.isReadOnly;
}

/** Throws EROFS on a read-only mount. */
export function checkWritable(mount: Mount): void {
  if (isReadOnly(mount)) throw EROFS;
}

export function isOwnerOrCapable(inode: Inode, cred: Cred): boolean {
  return inode.uid === cred.fsuid || hasCapability(cred, CAP_FOWNER);
}

/** Removing or renaming `victim` out of `directory`: write and search on it, and the sticky bit's rule. */
export function checkDelete(directory: Inode, victim: Inode, cred: Cred): void {
  checkPermission(directory, MAY_WRITE | MAY_EXEC, cred);
  if ((directory.mode & S_ISVTX) === 0) return;
  if (victim.uid === cred.fsuid || directory.uid === cred.fsuid) return;
  if (!hasCapability(cred, CAP_FOWNER)) throw EPERM;
}

/** Mode after a change of contents or owner by someone without CAP_FSETID: set-ID bits go. */
export function withoutSetIdBits(mode: number): number {
  let next = mode & ~0o4000;
  if ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) next &= ~S_ISGID;
  return next;
}

/** Group and mode of a new inode in `directory`: set-group-ID directories hand down their group, and the bit to
 *  directories. */
export function inheritFrom(
  directory: Inode,
  mode: number,
  cred: Cred,
): { mode: number; uid: number; gid: number } {
  if ((directory.mode & S_ISGID) === 0) return { mode, uid: cred.fsuid, gid: cred.fsgid };
  let next = mode;
  if ((mode & S_IFMT) === S_IFDIR) {
    next |= S_ISGID;
  } else if ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) {
    if (!inGroup(cred, directory.gid) && !hasCapability(cred, CAP_FSETID)) next &= ~S_ISGID;
  }
  return { mode: next, uid: cred.fsuid, gid: directory.gid };
}
