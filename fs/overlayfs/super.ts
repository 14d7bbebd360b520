// SPDX-License-Identifier: Apache-2.0
// overlayfs: several directory trees seen as one; changes go to the upper one.
//
// Options: lowerdir=A:B:C (nearest first), upperdir=, workdir=. Without an upper directory it is read-only.
// Source: Linux's Documentation/filesystems/overlayfs.rst.

import type { FileSystemType, Inode, StatFs } from "../../include/linux/fs.ts";
import type { Cred, Kernel, Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { OVERLAYFS_SUPER_MAGIC } from "../../include/uapi/fs.ts";
import { isDirectory } from "../../include/uapi/stat.ts";
import { EINVAL, ENOTDIR } from "../../lib/errno.ts";
import { allocateAnonymousDevice } from "../super.ts";
import { OverlayInode } from "./inode.ts";
import type { Overlay, OverlayNode } from "./layers.ts";

/** Inode numbers of the upper layer are moved above those of the lower layers, which stay as they are. */
const UPPER_INO_BASE = 0x1000_0000;

export interface OverlayLayers {
  readonly lowers: readonly Inode[];
  readonly upper: Inode | undefined;
  readonly work: Inode | undefined;
  /** As /proc/mounts shows them. */
  readonly options: string;
}

export class OverlaySuperBlock implements Overlay {
  readonly type: FileSystemType = overlay;
  readonly dev: number;
  readonly kernel: Kernel;
  readonly cred: Cred;
  readonly root: OverlayInode;
  readonly work: Inode | undefined;
  readonly blockSize: number = 4096;
  readonly maxNameBytes: number = 255;
  readonly byLower: WeakMap<Inode, OverlayNode> = new WeakMap();
  readonly #options: string;
  isReadOnly: boolean;

  constructor(kernel: Kernel, cred: Cred, layers: OverlayLayers) {
    this.kernel = kernel;
    this.cred = cred;
    this.dev = allocateAnonymousDevice(kernel);
    this.work = layers.work;
    this.isReadOnly = layers.upper === undefined;
    this.#options = layers.options;
    const ino = layers.lowers[0]?.ino ?? 1;
    this.root = new OverlayInode(this, ino, layers.upper, layers.lowers, undefined, "/");
  }

  adopt(parent: OverlayNode, name: string, upper: Inode | undefined, lowers: readonly Inode[]): OverlayNode {
    const known = (upper === undefined ? undefined : this.nodeOf(upper))
      ?? (lowers[0] === undefined ? undefined : this.byLower.get(lowers[0]));
    if (known !== undefined) return known;
    const first = lowers[0];
    const ino = first !== undefined ? first.ino : upper !== undefined ? this.upperIno(upper) : 0;
    const node = new OverlayInode(this, ino, upper, lowers, parent, name);
    if (upper !== undefined) upper.overlaid = node;
    if (first !== undefined) this.byLower.set(first, node);
    return node;
  }

  nodeOf(upper: Inode): OverlayInode | undefined {
    const { overlaid } = upper;
    // A directory may be the upper one of another overlay too.
    return overlaid instanceof OverlayInode && overlaid.superBlock === this ? overlaid : undefined;
  }

  upperIno(upper: Inode): number {
    return UPPER_INO_BASE + upper.ino;
  }

  *dropIndex(node: OverlayNode): Sleeps<void> {
    const { work } = this;
    if (work === undefined || node.upper === undefined) return;
    const name = `#${node.ino}`;
    const answer = work.lookup(name);
    const there = isSleeping(answer) ? yield* answer : answer;
    if (there === undefined || there !== node.upper) return;
    const removed = work.unlink(name, there);
    if (isSleeping(removed)) yield* removed;
  }

  statfs(): StatFs {
    return { ...this.root.real.superBlock.statfs(), type: OVERLAYFS_SUPER_MAGIC };
  }
  showOptions(): string {
    return this.#options;
  }
  *sync(): Sleeps<void> {
    const upper = this.root.upper;
    if (upper !== undefined) yield* upper.superBlock.sync();
  }
  unmount(): void {}
}

export const overlay: FileSystemType = {
  name: "overlay",
  needsDevice: false,
  *mount(task: Task, source: string, flags: number, data: string): Sleeps<OverlaySuperBlock> {
    const options = parseOptions(data);
    const lowerNames = (options.get("lowerdir") ?? "").split(":").filter((name) => name !== "");
    if (lowerNames.length === 0) throw EINVAL;
    const lowers: Inode[] = [];
    for (const name of lowerNames) lowers.push(yield* directoryAt(task, name));
    const upperName = options.get("upperdir");
    const workName = options.get("workdir");
    if (upperName !== undefined && workName === undefined) throw EINVAL;
    const upper = upperName === undefined ? undefined : yield* directoryAt(task, upperName);
    const work = workName === undefined || upper === undefined
      ? undefined
      : yield* directoryAt(task, workName);
    if (upper !== undefined && work?.superBlock !== upper.superBlock) throw EINVAL;
    const shown = [`lowerdir=${lowerNames.join(":")}`];
    if (upperName !== undefined) shown.push(`upperdir=${upperName}`, `workdir=${workName ?? ""}`);
    return new OverlaySuperBlock(task.kernel, task.cred, { lowers, upper, work, options: shown.join(",") });
  },
};

/** Options that Linux has and whose default is what is done here, or that change nothing that can be seen. */
const ACCEPTED = new Set([
  "redirect_dir",
  "index",
  "xino",
  "metacopy",
  "nfs_export",
  "userxattr",
  "volatile",
  "uuid",
]);

function parseOptions(data: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const option of data.split(",")) {
    if (option === "") continue;
    const [key = "", value = ""] = option.split("=");
    if (!["lowerdir", "upperdir", "workdir"].includes(key) && !ACCEPTED.has(key)) throw EINVAL;
    options.set(key, value);
  }
  return options;
}

function* directoryAt(task: Task, name: string): Sleeps<Inode> {
  const answer = task.kernel.vfs.resolve(task, name, { followLast: true, directory: true });
  const inode = (isSleeping(answer) ? yield* answer : answer).dentry.inode;
  if (inode === undefined || !isDirectory(inode.mode)) throw ENOTDIR;
  return inode;
}
