// SPDX-License-Identifier: Apache-2.0
// The two nodes of the tree, dentry and mount, and the directory-entry cache: names that were looked up, absent ones too, as a tree that answers without sleeping.
//
// Invariants: a dentry is among its parent's children under its name, or is removed, or is a root. One (parent, name)
// has one dentry at a time, so that dentries compare by identity: mount points and working directories rest on it.
// A directory whose isCacheable is false is asked each time; its dentries stay as long as it answers with the
// same inode. A dentry with something mounted on it, or below it, is never dropped.
// Source: path_resolution(7).

import type { Dentry, Inode, Mount, Path, SuperBlock } from "../include/linux/fs.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
} from "../include/uapi/mount.ts";
import { ENAMETOOLONG, ENOENT } from "../lib/errno.ts";

/** Absent names remembered per directory, at most. */
const NEGATIVE_MAX = 512;

export class DentryNode implements Dentry {
  name: string;
  parent: DentryNode;
  inode: Inode | undefined;
  isRemoved = false;
  /** O_TMPFILE without O_EXCL: linkat(2) may give the inode its first name. */
  isLinkable = false;
  /** Made for the first child: most dentries are those of files. */
  #children: Map<string, DentryNode> | undefined = undefined;
  /** Mounts on this directory: one for each mount that this dentry is seen through. */
  mounts: MountNode[] | undefined = undefined;
  #negativeCount = 0;
  #path: Path | undefined = undefined;

  /** A root when `parent` is undefined. */
  constructor(name: string, parent: DentryNode | undefined, inode: Inode | undefined) {
    this.name = name;
    this.parent = parent ?? this;
    this.inode = inode;
  }

  /** This dentry seen through `mount`. The same object again while the mount is the same. */
  pathIn(mount: MountNode): Path {
    const known = this.#path;
    if (known !== undefined && known.mount === mount) return known;
    return (this.#path = { mount, dentry: this });
  }

  child(name: string): DentryNode | undefined {
    return this.#children?.get(name);
  }

  children(): Iterable<DentryNode> {
    return this.#children?.values() ?? [];
  }

  addChild(child: DentryNode): void {
    if (child.inode === undefined && ++this.#negativeCount > NEGATIVE_MAX) this.#dropNegatives();
    (this.#children ??= new Map()).set(child.name, child);
  }

  removeChild(name: string): void {
    this.#children?.delete(name);
  }

  #dropNegatives(): void {
    for (const { name, inode } of this.children()) if (inode === undefined) this.removeChild(name);
    this.#negativeCount = 1;
  }
}

/** The flags of mount(2) that a mount keeps. */
export const MNT_FLAGS: number = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME
  | MS_RELATIME | MS_NOSYMFOLLOW;

export type Propagation = "private" | "shared" | "slave" | "unbindable";

export class MountNode implements Mount {
  readonly id: number;
  readonly superBlock: SuperBlock;
  readonly root: DentryNode;
  /** First argument of mount(2): the device column of /proc/mounts. */
  readonly source: string;
  parent: MountNode | undefined = undefined;
  mountPoint: DentryNode | undefined = undefined;
  readonly children: Set<MountNode> = new Set();
  flags: number;
  propagation: Propagation = "private";
  peerGroup = 0;
  isExpiring = false;

  constructor(id: number, superBlock: SuperBlock, root: DentryNode, source: string, flags: number) {
    this.id = id;
    this.superBlock = superBlock;
    this.root = root;
    this.source = source;
    this.flags = flags;
  }

  get isReadOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0 || this.superBlock.isReadOnly;
  }
}

/** The cached answer for `name` in `directory`: a dentry (maybe negative), or undefined when the file system
 *  must be asked. Precondition: `directory` is a directory and `name` neither "." nor "..". */
export function dcacheFind(directory: DentryNode, name: string): DentryNode | undefined {
  const child = directory.child(name);
  if (child === undefined || directory.inode?.isCacheable !== true) return undefined;
  return child;
}

/** The dentry for `name`, asking the file system when the cache does not know. */
export function dcacheLookup(directory: DentryNode, name: string): DentryNode | Sleeps<DentryNode> {
  const child = dcacheFind(directory, name);
  if (child !== undefined) return child;
  const inode = directory.inode;
  if (inode === undefined || directory.isRemoved) throw ENOENT;
  if (name.length > inode.superBlock.maxNameBytes) throw ENAMETOOLONG;
  const answer = inode.lookup(name);
  return isSleeping(answer) ? finishLookup(directory, name, answer) : settle(directory, name, answer);
}

function* finishLookup(
  directory: DentryNode,
  name: string,
  answer: Sleeps<Inode | undefined>,
): Sleeps<DentryNode> {
  const inode = yield* answer;
  return settle(directory, name, inode);
}

/** Records what the file system said; someone else may have recorded the same meanwhile. */
function settle(directory: DentryNode, name: string, inode: Inode | undefined): DentryNode {
  const known = directory.child(name);
  if (known !== undefined) {
    if (known.inode === inode) return known;
    if (known.inode === undefined) {
      known.inode = inode;
      return known;
    }
    if (isPinned(known)) return known;
    known.isRemoved = inode === undefined;
    directory.removeChild(name);
  }
  const dentry = new DentryNode(name, directory, inode);
  if (!directory.isRemoved) directory.addChild(dentry);
  return dentry;
}

/** A name that the file system has just made. */
export function dcacheAdd(directory: DentryNode, name: string, inode: Inode): DentryNode {
  return settle(directory, name, inode);
}

/** True when something is mounted on the dentry or below it. */
function isPinned(dentry: DentryNode): boolean {
  if (dentry.mounts !== undefined && dentry.mounts.length > 0) return true;
  for (const child of dentry.children()) if (isPinned(child)) return true;
  return false;
}

/** unlink(2), rmdir(2): the name is gone; the dentry lives on for whoever holds it. */
export function dcacheRemove(dentry: DentryNode): void {
  dentry.isRemoved = true;
  const { parent } = dentry;
  if (parent.child(dentry.name) === dentry) parent.removeChild(dentry.name);
}

/** rename(2): moves `dentry` to `name` in `directory`, in place of what is there. */
export function dcacheMove(dentry: DentryNode, directory: DentryNode, name: string): void {
  const former = directory.child(name);
  if (former === dentry) return;
  if (former !== undefined) dcacheRemove(former);
  dentry.parent.removeChild(dentry.name);
  dentry.name = name;
  dentry.parent = directory;
  directory.addChild(dentry);
}

/** renameat2(2) with RENAME_EXCHANGE. */
export function dcacheExchange(one: DentryNode, other: DentryNode): void {
  const { parent, name } = one;
  one.parent.removeChild(one.name);
  other.parent.removeChild(other.name);
  one.parent = other.parent;
  one.name = other.name;
  other.parent = parent;
  other.name = name;
  one.parent.addChild(one);
  other.parent.addChild(other);
}

/** True when `dentry` is `ancestor` or lies below it. */
export function isBelow(dentry: DentryNode, ancestor: DentryNode): boolean {
  for (let at = dentry;; at = at.parent) {
    if (at === ancestor) return true;
    if (at.parent === at) return false;
  }
}
