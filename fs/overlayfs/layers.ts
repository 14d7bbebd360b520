// SPDX-License-Identifier: Apache-2.0
// What the parts of overlayfs share: its nodes and super block as types, whiteouts and opaque directories.
//
// Source: Linux's Documentation/filesystems/overlayfs.rst.

import type { DirEntry, Inode, SuperBlock } from "../../include/linux/fs.ts";
import type { Cred, Kernel } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { S_IFCHR, S_IFMT } from "../../include/uapi/stat.ts";
import { ENODATA, EOPNOTSUPP } from "../../lib/errno.ts";

export const OVERLAY_PREFIX = "trusted.overlay.";
export const OVERLAY_OPAQUE = "trusted.overlay.opaque";

export interface Overlay extends SuperBlock {
  readonly kernel: Kernel;
  /** Who makes whiteouts and copies: the mounter. */
  readonly cred: Cred;
  /** Directory beside the upper one: keeps copied-up files alive whose names are still in a lower layer only. */
  readonly work: Inode | undefined;
  /** The node of an inode of the upper layer, once there is one. */
  nodeOf(upper: Inode): OverlayNode | undefined;
  readonly byLower: WeakMap<Inode, OverlayNode>;
  /** The node for what a lookup found; made once. */
  adopt(parent: OverlayNode, name: string, upper: Inode | undefined, lowers: readonly Inode[]): OverlayNode;
  /** st_ino of something that is only in the upper layer. */
  upperIno(upper: Inode): number;
  /** The last name of a file from a lower layer is gone. */
  dropIndex(node: OverlayNode): Sleeps<void>;
}

export interface OverlayNode extends Inode {
  readonly superBlock: Overlay;
  upper: Inode | undefined;
  readonly lowers: readonly Inode[];
  readonly parent: OverlayNode | undefined;
  readonly name: string;
  isCopying: boolean;
  /** Serial numbers of the names of a directory, for readdir. */
  serials: Map<string, number> | undefined;
  nextSerial: number;
  merged: readonly DirEntry[] | undefined;
  raise(withData?: boolean): Sleeps<Inode>;
  syncFromReal(): void;
}

export function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;
}

export function* isOpaque(directory: Inode): Sleeps<boolean> {
  try {
    const answer = directory.getXattr(OVERLAY_OPAQUE);
    const value = isSleeping(answer) ? yield* answer : answer;
    return value.length === 1 && value[0] === 0x79; // "y"
  } catch (error) {
    if (error === ENODATA || error === EOPNOTSUPP) return false;
    throw error;
  }
}
