// SPDX-License-Identifier: Apache-2.0
// An inode of an overlay: what stands in the upper layer, or else what the lower layers have.
//
// A regular file is read from its lower layer until the first change; then its data, attributes and xattrs are copied
// up and the upper inode takes over. A directory shows both: the upper's names first, then those of the lowers that
// no upper name and no whiteout hides. A whiteout is a character device 0:0; an opaque directory
// (trusted.overlay.opaque = "y") hides everything below it.
//
// Invariants: one lower inode has one overlay inode, so hard links stay links across a copy-up (an extra link in the
// work directory keeps the upper inode alive while names of it are still only in a lower layer); `ino` never changes.
// Files are opened from the layer itself with the overlay's path: a descriptor opened before the copy-up keeps reading
// the lower file. Source: Linux's Documentation/filesystems/overlayfs.rst.

import { type AttributeChange, type DirEntry, type File, Inode, type Path } from "../../include/linux/fs.ts";
import type { Cred, Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { O_ACCMODE, O_RDONLY, O_TRUNC, RENAME_EXCHANGE, RENAME_WHITEOUT } from "../../include/uapi/fcntl.ts";
import { isDirectory, S_IFCHR } from "../../include/uapi/stat.ts";
import { EEXIST, ENODATA, ENOENT, ENOTEMPTY, EROFS, EXDEV } from "../../lib/errno.ts";
import { stringToBytes } from "../../lib/byte-string.ts";
import { copyUp } from "./copy_up.ts";
import { firstAfter, listUpper, mergeEntries } from "./readdir.ts";
import {
  isOpaque,
  isWhiteout,
  type Overlay,
  OVERLAY_OPAQUE,
  OVERLAY_PREFIX,
  type OverlayNode,
} from "./layers.ts";

const NO_LOWERS: readonly Inode[] = [];

function* wait<T>(answer: T | Sleeps<T>): Sleeps<T> {
  return isSleeping(answer) ? yield* answer : answer;
}

export class OverlayInode extends Inode implements OverlayNode {
  readonly superBlock: Overlay;
  readonly ino: number;
  /** What answers for the data and attributes now. */
  upper: Inode | undefined;
  /** Lower inodes that show through, nearest first; one at most unless a directory. */
  lowers: readonly Inode[];
  /** Where it was found first: the way to copy the parents up. Undefined for the root. */
  parent: OverlayNode | undefined;
  name: string;
  serials: Map<string, number> | undefined = undefined;
  nextSerial = 1;
  /** Merged names, while nothing changed: for readdir. */
  merged: readonly DirEntry[] | undefined = undefined;
  /** A copy-up is under way: others wait for it. */
  isCopying = false;

  constructor(
    overlay: Overlay,
    ino: number,
    upper: Inode | undefined,
    lowers: readonly Inode[],
    parent: OverlayNode | undefined,
    name: string,
  ) {
    super();
    this.superBlock = overlay;
    this.ino = ino;
    this.upper = upper;
    this.lowers = lowers;
    this.parent = parent;
    this.name = name;
    this.syncFromReal();
    this.nlink = this.real.nlink;
  }

  get real(): Inode {
    const real = this.upper ?? this.lowers[0];
    if (real === undefined) throw ENOENT;
    return real;
  }

  /** Copies the attributes of the real inode; the number of links is the overlay's own for anything but directories. */
  syncFromReal(): void {
    const real = this.real;
    this.mode = real.mode;
    this.uid = real.uid;
    this.gid = real.gid;
    this.size = real.size;
    this.rdev = real.rdev;
    this.blocks = real.blocks;
    this.atime = real.atime;
    this.mtime = real.mtime;
    this.ctime = real.ctime;
    this.btime = real.btime;
    this.mapping = real.mapping;
    if (isDirectory(real.mode)) {
      this.nlink = this.lowers.length > 0 && this.upper !== undefined
        ? 1
        : real.nlink;
    } else if (this.lowers.length === 0) this.nlink = real.nlink;
  }

  override refresh(): void {
    this.syncFromReal();
  }

  override lookup(name: string): Inode | undefined | Sleeps<Inode | undefined> {
    const { upper } = this;
    if (upper !== undefined) {
      const found = upper.lookup(name);
      if (isSleeping(found)) return this.#lookupAfter(name, found);
      return this.#lookupWith(name, found);
    }
    return this.#lookupWith(name, undefined);
  }

  *#lookupAfter(name: string, pending: Sleeps<Inode | undefined>): Sleeps<Inode | undefined> {
    return yield* wait(this.#lookupWith(name, yield* pending));
  }

  #lookupWith(name: string, upper: Inode | undefined): Inode | undefined | Sleeps<Inode | undefined> {
    if (upper !== undefined) {
      if (isWhiteout(upper)) return undefined;
      const known = this.superBlock.nodeOf(upper);
      if (known !== undefined) return known;
      if (!isDirectory(upper.mode) || this.lowers.length === 0) {
        return this.superBlock.adopt(this, name, upper, NO_LOWERS);
      }
    } else if (this.lowers.length === 0) {
      return undefined;
    } else if (this.lowers.length === 1) {
      const found = this.lowers[0]!.lookup(name);
      if (isSleeping(found)) return this.#lookupLower(name, found);
      return this.#fromLower(name, found);
    }
    return this.#lookupAll(name, upper);
  }

  *#lookupLower(name: string, pending: Sleeps<Inode | undefined>): Sleeps<Inode | undefined> {
    return this.#fromLower(name, yield* pending);
  }

  #fromLower(name: string, found: Inode | undefined): Inode | undefined {
    if (found === undefined || isWhiteout(found)) return undefined;
    return this.superBlock.byLower.get(found) ?? this.superBlock.adopt(this, name, undefined, [found]);
  }

  /** Several layers: collects what shows through below `upper`, until something hides the rest. */
  *#lookupAll(name: string, upper: Inode | undefined): Sleeps<Inode | undefined> {
    const lowers: Inode[] = [];
    const isHidden = upper !== undefined && (!isDirectory(upper.mode) || (yield* isOpaque(upper)));
    if (!isHidden) {
      for (const layer of this.lowers) {
        const found = yield* wait(layer.lookup(name));
        if (found === undefined) continue;
        if (isWhiteout(found)) break;
        if (!isDirectory(found.mode)) {
          if (upper === undefined && lowers.length === 0) lowers.push(found);
          break;
        }
        lowers.push(found);
        if (yield* isOpaque(found)) break;
      }
    }
    if (upper === undefined && lowers.length === 0) return undefined;
    const known = upper === undefined
      ? this.superBlock.byLower.get(lowers[0]!)
      : this.superBlock.nodeOf(upper);
    return known ?? this.superBlock.adopt(this, name, upper, lowers);
  }

  /** The upper inode, copying up first. `withData` false leaves the data behind: it is to be truncated anyway. */
  *raise(withData: boolean = true): Sleeps<Inode> {
    return this.upper ?? (yield* copyUp(this, withData));
  }

  /** Before a name is made: removes a whiteout that hides it. Answers whether a lower name lies below. */
  *#clearWhiteout(upper: Inode, name: string): Sleeps<boolean> {
    const there = yield* wait(upper.lookup(name));
    if (there === undefined) return false;
    if (!isWhiteout(there)) throw EEXIST;
    yield* wait(upper.unlink(name, there));
    return true;
  }

  #made(name: string, made: Inode): OverlayNode {
    this.merged = undefined;
    this.syncFromReal();
    return this.superBlock.adopt(this, name, made, []);
  }

  override *create(name: string, mode: number, rdev: number, cred: Cred): Sleeps<Inode> {
    const upper = yield* this.raise();
    yield* this.#clearWhiteout(upper, name);
    return this.#made(name, yield* wait(upper.create(name, mode, rdev, cred)));
  }

  override *mkdir(name: string, mode: number, cred: Cred): Sleeps<Inode> {
    const upper = yield* this.raise();
    const wasHidden = yield* this.#clearWhiteout(upper, name);
    const made = yield* wait(upper.mkdir(name, mode, cred));
    if (wasHidden || this.lowers.length > 0) {
      yield* wait(made.setXattr(OVERLAY_OPAQUE, stringToBytes("y"), 0));
    }
    return this.#made(name, made);
  }

  override *symlink(name: string, target: string, cred: Cred): Sleeps<Inode> {
    const upper = yield* this.raise();
    yield* this.#clearWhiteout(upper, name);
    return this.#made(name, yield* wait(upper.symlink(name, target, cred)));
  }

  override *tmpfile(mode: number, cred: Cred): Sleeps<Inode> {
    const upper = yield* this.raise();
    return this.superBlock.adopt(this, "", yield* wait(upper.tmpfile(mode, cred)), []);
  }

  override *link(name: string, target: Inode): Sleeps<void> {
    if (!(target instanceof OverlayInode)) throw EXDEV;
    const source = yield* target.raise();
    const upper = yield* this.raise();
    yield* this.#clearWhiteout(upper, name);
    yield* wait(upper.link(name, source));
    this.merged = undefined;
    this.syncFromReal();
    if (target.lowers.length > 0) target.nlink++;
    target.syncFromReal();
  }

  override *unlink(name: string, target: Inode): Sleeps<void> {
    if (!(target instanceof OverlayInode)) throw ENOENT;
    yield* this.#hide(name, target);
    if (target.lowers.length > 0) {
      target.nlink--;
      if (target.nlink === 0) yield* this.superBlock.dropIndex(target);
    }
    target.syncFromReal();
  }

  override *rmdir(name: string, target: Inode): Sleeps<void> {
    if (!(target instanceof OverlayInode)) throw ENOENT;
    if ((yield* mergeEntries(target)).length > 0) throw ENOTEMPTY;
    if (target.upper !== undefined) yield* clearWhiteouts(target.upper);
    yield* this.#hide(name, target);
    target.nlink = 0;
  }

  /** Takes `name` out of the upper directory and leaves a whiteout where a lower one has it. */
  *#hide(name: string, target: OverlayInode): Sleeps<void> {
    const upper = yield* this.raise();
    const there = yield* wait(upper.lookup(name));
    if (there !== undefined) {
      if (isDirectory(target.mode)) yield* wait(upper.rmdir(name, there));
      else yield* wait(upper.unlink(name, there));
    }
    if (yield* this.#isBelow(name)) {
      yield* wait(upper.create(name, S_IFCHR, 0, this.superBlock.cred));
    }
    this.merged = undefined;
    this.syncFromReal();
  }

  /** Whether a lower layer has the name. */
  *#isBelow(name: string): Sleeps<boolean> {
    for (const layer of this.lowers) {
      const found = yield* wait(layer.lookup(name));
      if (found !== undefined) return !isWhiteout(found);
    }
    return false;
  }

  override *rename(
    name: string,
    source: Inode,
    toDirectory: Inode,
    toName: string,
    target: Inode | undefined,
    flags: number,
  ): Sleeps<void> {
    if (!(source instanceof OverlayInode) || !(toDirectory instanceof OverlayInode)) throw EXDEV;
    if ((flags & RENAME_WHITEOUT) !== 0) throw EXDEV;
    const moved = yield* source.raise();
    const from = yield* this.raise();
    const to = yield* toDirectory.raise();
    yield* this.#nameUpper(from, name, moved);
    if ((flags & RENAME_EXCHANGE) !== 0) {
      if (!(target instanceof OverlayInode)) throw ENOENT;
      const other = yield* target.raise();
      yield* toDirectory.#nameUpper(to, toName, other);
      yield* wait(from.rename(name, moved, to, toName, other, RENAME_EXCHANGE));
      yield* source.#hideOwnLowers(toDirectory);
      yield* target.#hideOwnLowers(this);
      target.#moved(this, name);
    } else {
      yield* toDirectory.#makeRoom(to, toName, target);
      const isSourceBelow = yield* this.#isBelow(name);
      yield* wait(from.rename(name, moved, to, toName, undefined, 0));
      if (isSourceBelow) yield* wait(from.create(name, S_IFCHR, 0, this.superBlock.cred));
      yield* source.#hideOwnLowers(toDirectory);
    }
    source.#moved(toDirectory, toName);
    this.merged = toDirectory.merged = undefined;
    this.syncFromReal();
    toDirectory.syncFromReal();
  }

  /** A file with several names may be in the upper layer, but not under this one. */
  *#nameUpper(directory: Inode, name: string, upper: Inode): Sleeps<void> {
    if ((yield* wait(directory.lookup(name))) === undefined) yield* wait(directory.link(name, upper));
  }

  /** Removes what rename replaces. */
  *#makeRoom(to: Inode, toName: string, target: Inode | undefined): Sleeps<void> {
    if (target instanceof OverlayInode) {
      if (isDirectory(target.mode)) yield* this.rmdir(toName, target);
      else yield* this.unlink(toName, target);
    }
    const whiteout = yield* wait(to.lookup(toName));
    if (whiteout !== undefined) yield* wait(to.unlink(toName, whiteout));
  }

  /** A directory that came from elsewhere must not mix with a lower one of its new name. What it shows of its own
   *  lower layers it keeps: this mount remembers them by the upper inode. */
  *#hideOwnLowers(directory: OverlayInode): Sleeps<void> {
    if (!isDirectory(this.mode) || directory.lowers.length === 0 || this.upper === undefined) return;
    if (this.lowers.length === 0) yield* wait(this.upper.setXattr(OVERLAY_OPAQUE, stringToBytes("y"), 0));
  }

  #moved(directory: OverlayInode, name: string): void {
    this.parent = directory;
    this.name = name;
    this.syncFromReal();
  }

  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): Sleeps<void> {
    return this.#iterate(position, emit);
  }

  *#iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): Sleeps<void> {
    if (this.lowers.length === 0 && this.upper !== undefined) {
      return yield* listUpper(this, this.upper, position, emit);
    }
    const entries = yield* mergeEntries(this);
    for (let n = firstAfter(this, entries, position); n < entries.length; n++) {
      const entry = entries[n]!;
      if (!emit(entry, this.serials?.get(entry.name) ?? 0)) return;
    }
  }

  override readlink(): string | Sleeps<string> {
    return this.real.readlink();
  }

  override setAttributes(change: AttributeChange): void | Sleeps<void> {
    const { upper } = this;
    if (upper === undefined) return this.#setAttributesSlowly(change);
    const answer = upper.setAttributes(change);
    if (isSleeping(answer)) return this.#thenSync(answer);
    this.syncFromReal();
  }
  *#setAttributesSlowly(change: AttributeChange): Sleeps<void> {
    const upper = yield* this.raise(change.size !== 0);
    yield* wait(upper.setAttributes(change));
    this.syncFromReal();
  }
  *#thenSync(answer: Sleeps<void>): Sleeps<void> {
    yield* answer;
    this.syncFromReal();
  }

  override getXattr(name: string): Uint8Array | Sleeps<Uint8Array> {
    if (name.startsWith(OVERLAY_PREFIX)) throw ENODATA;
    return this.real.getXattr(name);
  }
  override *setXattr(name: string, value: Uint8Array, flags: number): Sleeps<void> {
    yield* wait((yield* this.raise()).setXattr(name, value, flags));
    this.syncFromReal();
  }
  override *removeXattr(name: string): Sleeps<void> {
    yield* wait(this.real.getXattr(name)); // ENODATA without a copy-up.
    yield* wait((yield* this.raise()).removeXattr(name));
    this.syncFromReal();
  }
  override *listXattr(): Sleeps<string[]> {
    return (yield* wait(this.real.listXattr())).filter((name) => !name.startsWith(OVERLAY_PREFIX));
  }

  override open(task: Task, path: Path, flags: number): File | Sleeps<File> {
    const isWriting = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
    if (!isWriting || this.upper !== undefined) return this.real.open(task, path, flags);
    if (this.superBlock.isReadOnly) throw EROFS;
    return this.#openForWriting(task, path, flags);
  }
  *#openForWriting(task: Task, path: Path, flags: number): Sleeps<File> {
    const upper = yield* this.raise();
    return yield* wait(upper.open(task, path, flags));
  }
}

/** An empty merged directory may hold whiteouts; they go with it. */
function* clearWhiteouts(upper: Inode): Sleeps<void> {
  const names: string[] = [];
  const answer = upper.iterate(0, (entry) => {
    names.push(entry.name);
    return true;
  });
  if (isSleeping(answer)) yield* answer;
  for (const name of names) {
    const inode = yield* wait(upper.lookup(name));
    if (inode !== undefined && isWhiteout(inode)) yield* wait(upper.unlink(name, inode));
  }
}
