// SPDX-License-Identifier: Apache-2.0
// The mount tree: which file system is seen where.
//
// Invariants: a mount other than the root has a parent and a mount point, a dentry of the parent's file system that
// lists it in `mounts`. What lies on top of what is a chain: a second mount on the same place hangs on the first
// one's root. Sources: mount(2), mount_namespaces(7), pivot_root(2).

import type { Dentry, Mount, Path, SuperBlock } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { EBUSY, EINVAL, ELOOP } from "../lib/errno.ts";
import { DentryNode, isBelow, MNT_FLAGS, MountNode } from "./dcache.ts";

/** All mounts of one kernel. */
export class MountTree {
  readonly #mounts = new Set<MountNode>();
  readonly #roots = new Map<SuperBlock, { dentry: DentryNode; mounts: number }>();
  #nextId = 1;
  #nextPeerGroup = 1;
  root: MountNode | undefined = undefined;

  get all(): Iterable<MountNode> {
    return this.#mounts;
  }

  nextPeerGroup(): number {
    return this.#nextPeerGroup++;
  }

  /** A mount of the whole of `superBlock`, or of the part below `root`; not yet attached. */
  create(superBlock: SuperBlock, source: string, flags: number, root?: DentryNode): MountNode {
    let known = this.#roots.get(superBlock);
    if (known === undefined) {
      known = { dentry: new DentryNode("/", undefined, superBlock.root), mounts: 0 };
      this.#roots.set(superBlock, known);
    }
    known.mounts++;
    const mount = new MountNode(this.#nextId++, superBlock, root ?? known.dentry, source, flags & MNT_FLAGS);
    this.#mounts.add(mount);
    return mount;
  }

  /** Puts `mount` on top of whatever is at `at`. */
  attach(mount: MountNode, at: Path): void {
    const top = this.topOf(asNode(at.mount), asDentry(at.dentry));
    mount.parent = top.mount;
    mount.mountPoint = top.dentry;
    (top.dentry.mounts ??= []).push(mount);
    top.mount.children.add(mount);
  }

  detach(mount: MountNode): void {
    const list = mount.mountPoint?.mounts;
    if (list !== undefined && mount.mountPoint !== undefined) {
      const rest = list.filter((other) => other !== mount);
      mount.mountPoint.mounts = rest.length === 0 ? undefined : rest;
    }
    mount.parent?.children.delete(mount);
    mount.parent = undefined;
    mount.mountPoint = undefined;
  }

  /** Forgets a detached mount; the last one of a file system unmounts that. */
  destroy(mount: MountNode): void {
    if (!this.#mounts.delete(mount)) return;
    const known = this.#roots.get(mount.superBlock);
    if (known === undefined || --known.mounts > 0) return;
    this.#roots.delete(mount.superBlock);
    mount.superBlock.unmount();
  }

  /** The mount on (mount, dentry), if any. */
  mountedAt(mount: MountNode, dentry: DentryNode): MountNode | undefined {
    const list = dentry.mounts;
    if (list === undefined) return undefined;
    for (const candidate of list) if (candidate.parent === mount) return candidate;
    return undefined;
  }

  /** Where one ends when stepping onto (mount, dentry): the root of the topmost mount there. */
  topOf(mount: MountNode, dentry: DentryNode): { mount: MountNode; dentry: DentryNode } {
    for (;;) {
      const over = this.mountedAt(mount, dentry);
      if (over === undefined) return { mount, dentry };
      mount = over;
      dentry = over.root;
    }
  }

  /** `mount` and everything mounted below it, parents first. */
  subtree(mount: MountNode): MountNode[] {
    const found = [mount];
    for (let index = 0; index < found.length; index++) {
      for (const child of found[index]!.children) found.push(child);
    }
    return found;
  }

  /** A bind mount of `path`; with `isRecursive` the mounts below it too. */
  bind(path: Path, isRecursive: boolean): MountNode {
    const from = asNode(path.mount);
    const root = asDentry(path.dentry);
    if (from.propagation === "unbindable") throw EINVAL;
    const copy = this.create(from.superBlock, from.source, from.flags, root);
    if (!isRecursive) return copy;
    for (const child of from.children) {
      if (child.mountPoint === undefined || !isBelow(child.mountPoint, root)) continue;
      if (child.propagation === "unbindable") continue;
      const childCopy = this.bind({ mount: child, dentry: child.root }, true);
      this.attach(childCopy, { mount: copy, dentry: child.mountPoint });
    }
    return copy;
  }

  /** MS_MOVE. */
  move(mount: MountNode, to: Path): void {
    if (mount.parent === undefined) throw EINVAL;
    for (let at: MountNode | undefined = asNode(to.mount); at !== undefined; at = at.parent) {
      if (at === mount) throw ELOOP;
    }
    this.detach(mount);
    this.attach(mount, to);
  }

  /** umount2(2). A busy mount throws EBUSY unless `isLazy`. */
  unmount(mount: MountNode, isLazy: boolean, isBusy: (mount: MountNode) => boolean): void {
    if (mount === this.root || mount.parent === undefined) throw EINVAL;
    if (!isLazy) {
      if (mount.children.size > 0 || isBusy(mount)) throw EBUSY;
      this.detach(mount);
      this.destroy(mount);
      return;
    }
    for (const each of this.subtree(mount).reverse()) {
      this.detach(each);
      this.destroy(each);
    }
  }
}

/** Mounts and dentries are made here alone, so what comes back through the interfaces is ours. */
export function asNode(mount: Mount): MountNode {
  if (mount instanceof MountNode) return mount;
  throw EINVAL;
}
export function asDentry(dentry: Dentry): DentryNode {
  if (dentry instanceof DentryNode) return dentry;
  throw EINVAL;
}

/** True when the task's root or working directory, or an open file, or a mapping lies in `mount`. */
export function isMountBusy(task: Task, mount: MountNode): boolean {
  for (const other of task.kernel.tasks.all()) {
    if (other.mm === undefined) continue;
    if (other.fs.cwd.mount === mount || other.fs.root.mount === mount) return true;
    for (const fd of other.files.descriptors()) if (other.files.find(fd)?.path?.mount === mount) return true;
    for (const vma of other.mm.vmas()) if (vma.file?.path?.mount === mount) return true;
  }
  return false;
}
