// SPDX-License-Identifier: Apache-2.0
// Copying a file or directory from a lower layer to the upper one, before its first change.
//
// The copy is made without a name and gets it last, so that nobody sees half of it. A file with several names goes to
// the work directory instead: its names find it through the lower inode.

import type { Inode } from "../../include/linux/fs.ts";
import { isSleeping, type Sleeps, WAIT_RESCHEDULE } from "../../include/linux/wait.ts";
import { isDirectory, S_IALLUGO, S_IFLNK, S_IFMT, S_IFREG } from "../../include/uapi/stat.ts";
import { EIO, EOPNOTSUPP, EROFS } from "../../lib/errno.ts";
import { type Overlay, OVERLAY_PREFIX, type OverlayNode } from "./layers.ts";

const PAGE_BYTES = 4096;

function* wait<T>(answer: T | Sleeps<T>): Sleeps<T> {
  return isSleeping(answer) ? yield* answer : answer;
}

/** Makes `node.upper`. `withData` false leaves a regular file empty: the caller truncates it anyway. */
export function* copyUp(node: OverlayNode, withData: boolean): Sleeps<Inode> {
  while (node.isCopying) yield WAIT_RESCHEDULE;
  if (node.upper !== undefined) return node.upper;
  const lower = node.lowers[0];
  const { superBlock, parent } = node;
  if (superBlock.isReadOnly || parent === undefined || lower === undefined) throw EROFS;
  node.isCopying = true;
  try {
    const directory = yield* parent.raise();
    const upper = yield* copyNode(node, lower, directory, withData);
    const { atime, mtime } = lower;
    yield* wait(upper.setAttributes({
      uid: lower.uid,
      gid: lower.gid,
      mode: lower.mode & S_IALLUGO,
      atime,
      mtime,
      ctime: lower.ctime,
    }));
    node.upper = upper;
    upper.overlaid = node;
    node.syncFromReal();
    return upper;
  } finally {
    node.isCopying = false;
  }
}

function* copyNode(node: OverlayNode, lower: Inode, directory: Inode, withData: boolean): Sleeps<Inode> {
  const { superBlock, name } = node;
  const { cred } = superBlock;
  const times = { mtime: directory.mtime, atime: directory.atime, ctime: directory.ctime };
  // A file of several names, or of none any more, is not put under the name by which it was found.
  const isIndexed = !isDirectory(lower.mode) && (lower.nlink > 1 || node.nlink === 0);
  const home = isIndexed ? superBlock.work ?? directory : directory;
  const homeName = isIndexed ? `#${node.ino}` : name;
  const type = lower.mode & S_IFMT;
  let upper: Inode;
  if (isDirectory(lower.mode)) {
    upper = yield* wait(home.mkdir(homeName, lower.mode & S_IALLUGO, cred));
    yield* copyXattrs(lower, upper);
  } else if (type === S_IFREG) {
    upper = yield* wait(home.tmpfile(S_IFREG | 0o600, cred));
    if (withData) yield* copyData(superBlock, lower, upper);
    yield* copyXattrs(lower, upper);
    if (node.nlink > 0) yield* wait(home.link(homeName, upper));
  } else if (type === S_IFLNK) {
    upper = yield* wait(home.symlink(homeName, yield* wait(lower.readlink()), cred));
    yield* copyXattrs(lower, upper);
  } else {
    upper = yield* wait(home.create(homeName, type | 0o600, lower.rdev, cred));
    yield* copyXattrs(lower, upper);
  }
  yield* wait(directory.setAttributes(times)); // A copy-up is no change of the directory.
  return upper;
}

function* copyXattrs(lower: Inode, upper: Inode): Sleeps<void> {
  for (const name of yield* wait(lower.listXattr())) {
    if (name.startsWith(OVERLAY_PREFIX)) continue;
    try {
      yield* wait(upper.setXattr(name, yield* wait(lower.getXattr(name)), 0));
    } catch (error) {
      if (error !== EOPNOTSUPP) throw error;
    }
  }
}

function* copyData(overlay: Overlay, lower: Inode, upper: Inode): Sleeps<void> {
  const from = lower.mapping;
  const to = upper.mapping;
  if (from === undefined || to === undefined) throw EIO;
  const { frames, ram } = overlay.kernel;
  yield* wait(upper.setAttributes({ size: lower.size }));
  for (let index = 0; index * PAGE_BYTES < lower.size; index++) {
    const source = yield* wait(from.read(index));
    if (source === 0) continue;
    frames.get(source); // Memory pressure must not take it while the copy gets its page.
    try {
      const target = yield* wait(to.makeWritable(index));
      ram.u8.copyWithin(target, source, source + PAGE_BYTES);
      frames.invalidate(target);
    } finally {
      frames.put(source);
    }
  }
}
