// SPDX-License-Identifier: Apache-2.0
// tmpfs: a file system whose only storage is memory. Also ramfs and the root file system that everything starts from.
//
// Invariants: an inode's nlink counts its names (directories: 2 plus subdirectories); its pages go when it has neither
// a name nor an open file. Source: tmpfs(5).

import {
  type AttributeChange,
  type DirEntry,
  type File,
  type FileSystemType,
  Inode,
  type Path,
  type StatFs,
} from "../../include/linux/fs.ts";
import type { Cred, Kernel, Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from "../../include/uapi/fcntl.ts";
import { TMPFS_MAGIC } from "../../include/uapi/fs.ts";
import { isDirectory, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../include/uapi/stat.ts";
import { EEXIST, EINVAL, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM } from "../../lib/errno.ts";
import type { ShmemAccounting } from "../../mm/shmem.ts";
import { ShmemMapping } from "../../mm/shmem.ts";
import { applyAttributes } from "../libfs.ts";
import { inheritFrom } from "../permission.ts";
import { allocateAnonymousDevice, SimpleSuperBlock } from "../super.ts";
import { TmpfsFile } from "./file.ts";
import { Names } from "./names.ts";
import { parseOptions, showOptions, type TmpfsOptions } from "./options.ts";
import { XattrTable } from "./xattrs.ts";

/** What Linux charges a directory entry with, for st_size of a directory. */
const BOGO_DIRENT_BYTES = 20;
export class TmpfsSuperBlock extends SimpleSuperBlock implements ShmemAccounting {
  readonly kernel: Kernel;
  options: TmpfsOptions;
  usedPages = 0;
  usedInodes = 0;

  constructor(kernel: Kernel, type: FileSystemType, options: TmpfsOptions, cred: Cred | undefined) {
    super({ type, dev: allocateAnonymousDevice(kernel), magic: TMPFS_MAGIC });
    this.kernel = kernel;
    this.options = options;
    const root = new TmpfsInode(this, S_IFDIR | options.mode);
    root.uid = options.uid ?? cred?.fsuid ?? 0;
    root.gid = options.gid ?? cred?.fsgid ?? 0;
    root.nlink = 2;
    this.root = root;
  }

  charge(pages: number): void {
    if (this.usedPages + pages > this.options.pagesMax) throw ENOSPC;
    this.usedPages += pages;
  }
  uncharge(pages: number): void {
    this.usedPages -= pages;
  }
  chargeInode(): void {
    if (this.usedInodes >= this.options.inodesMax) throw ENOSPC;
    this.usedInodes++;
  }

  override statfs(): StatFs {
    const { pagesMax, inodesMax } = this.options;
    const blocks = Number.isFinite(pagesMax) ? pagesMax : 0;
    const files = Number.isFinite(inodesMax) ? inodesMax : 0;
    const free = blocks === 0 ? 0 : blocks - this.usedPages;
    return {
      type: TMPFS_MAGIC,
      blockSize: 4096,
      blocks,
      blocksFree: free,
      blocksAvailable: free,
      files,
      filesFree: files === 0 ? 0 : files - this.usedInodes,
      nameMax: this.maxNameBytes,
    };
  }

  override showOptions(): string {
    return showOptions(this.options);
  }

  /** mount -o remount. Throws EINVAL when what is used does not fit. */
  remount(data: string): void {
    const next = parseOptions(data, this.options.totalPages, this.options);
    if (next.pagesMax < this.usedPages || next.inodesMax < this.usedInodes) throw EINVAL;
    this.options = next;
  }
}

export class TmpfsInode extends Inode {
  readonly superBlock: TmpfsSuperBlock;
  readonly ino: number;
  /** Of a directory. */
  readonly #names: Names<TmpfsInode> | undefined;
  #target = "";
  #xattrs: XattrTable | undefined;
  /** The page cache of a regular file. */
  readonly pages: ShmemMapping | undefined;

  constructor(superBlock: TmpfsSuperBlock, mode: number) {
    super();
    superBlock.chargeInode();
    this.superBlock = superBlock;
    this.ino = superBlock.nextIno();
    this.mode = mode;
    this.atime =
      this.mtime =
      this.ctime =
      this.btime =
        superBlock.kernel.time.realtime();
    if (isDirectory(mode)) {
      this.#names = new Names();
      this.size = 2 * BOGO_DIRENT_BYTES; // "." and ".."
    }
    if ((mode & S_IFMT) === S_IFREG) this.pages = new ShmemMapping(superBlock.kernel, this, superBlock);
    this.mapping = this.pages;
  }

  /** Drivers make nodes behind the VFS's back (devtmpfs), so nothing is remembered; asking is a map look-up. */
  override get isCacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | undefined {
    return this.#directory().get(name);
  }

  override create(name: string, mode: number, rdev: number, cred: Cred): TmpfsInode {
    const inode = this.#make(name, mode, cred);
    inode.rdev = rdev;
    return inode;
  }

  override mkdir(name: string, mode: number, cred: Cred): TmpfsInode {
    const inode = this.#make(name, S_IFDIR | (mode & 0o7777), cred);
    inode.nlink = 2;
    this.nlink++;
    return inode;
  }

  override symlink(name: string, target: string, cred: Cred): TmpfsInode {
    const inode = this.#make(name, S_IFLNK | 0o777, cred);
    inode.#target = target;
    inode.size = target.length;
    return inode;
  }

  override link(name: string, target: Inode): void {
    if (!(target instanceof TmpfsInode)) throw EPERM;
    if (this.#directory().get(name) !== undefined) throw EEXIST;
    target.nlink++;
    target.#changed();
    this.#insert(name, target);
  }

  override unlink(name: string, target: Inode): void {
    const inode = this.#entry(name, target);
    this.#delete(name);
    inode.nlink--;
    inode.#changed();
    if (inode.nlink === 0 && inode.openCount === 0) inode.evict();
  }

  override rmdir(name: string, target: Inode): void {
    const inode = this.#entry(name, target);
    if (inode.#directory().size > 0) throw ENOTEMPTY;
    this.#delete(name);
    this.nlink--;
    inode.nlink = 0;
    inode.#changed();
    if (inode.openCount === 0) inode.evict();
  }

  override rename(
    name: string,
    source: Inode,
    toDirectory: Inode,
    toName: string,
    target: Inode | undefined,
    flags: number,
  ): void {
    if (!(toDirectory instanceof TmpfsInode)) throw EINVAL;
    const moved = this.#entry(name, source);
    const former = toDirectory.#directory().get(toName);
    if (former !== undefined && (flags & RENAME_NOREPLACE) !== 0) throw EEXIST;
    if (former === moved) return;
    if ((flags & RENAME_EXCHANGE) !== 0) {
      if (former === undefined) throw ENOENT;
      this.#delete(name);
      toDirectory.#delete(toName);
      this.#insert(name, former);
      toDirectory.#insert(toName, moved);
      this.#moveSubdirectory(former, toDirectory, this);
      this.#moveSubdirectory(moved, this, toDirectory);
      former.#changed();
      moved.#changed();
      return;
    }
    if (former !== undefined) {
      if (isDirectory(former.mode)) toDirectory.rmdir(toName, former);
      else toDirectory.unlink(toName, former);
    }
    this.#delete(name);
    toDirectory.#insert(toName, moved);
    this.#moveSubdirectory(moved, this, toDirectory);
    moved.#changed();
    if ((flags & RENAME_WHITEOUT) !== 0) {
      const whiteout = new TmpfsInode(this.superBlock, S_IFCHR);
      this.#insert(name, whiteout);
    }
  }

  override tmpfile(mode: number, cred: Cred): TmpfsInode {
    const owner = inheritFrom(this, mode, cred);
    const inode = new TmpfsInode(this.superBlock, owner.mode);
    inode.uid = owner.uid;
    inode.gid = owner.gid;
    inode.nlink = 0;
    return inode;
  }

  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    this.#directory().iterate(position, emit);
  }

  override readlink(): string {
    if ((this.mode & S_IFMT) !== S_IFLNK) throw EINVAL;
    return this.#target;
  }

  override setAttributes(change: AttributeChange): void {
    applyAttributes(this, change);
    if (change.size === undefined || this.pages === undefined) return;
    const former = this.size;
    this.size = change.size;
    if (change.size < former) this.pages.truncate(change.size);
  }

  override getXattr(name: string): Uint8Array {
    return (this.#xattrs ??= new XattrTable()).get(name);
  }
  override setXattr(name: string, value: Uint8Array, flags: number): void {
    (this.#xattrs ??= new XattrTable()).set(name, value, flags);
    this.#changed();
  }
  override removeXattr(name: string): void {
    (this.#xattrs ??= new XattrTable()).remove(name);
    this.#changed();
  }
  override listXattr(): string[] {
    return this.#xattrs?.names() ?? [];
  }

  override open(task: Task, path: Path, flags: number): File {
    if (this.pages === undefined) throw EINVAL;
    return new TmpfsFile(path, flags, this, this.pages);
  }

  #isEvicted = false;
  override evict(): void {
    if (this.#isEvicted) return;
    this.#isEvicted = true;
    this.superBlock.usedInodes--;
    this.pages?.evict();
  }

  #directory(): Names<TmpfsInode> {
    if (this.#names === undefined) throw ENOTDIR;
    return this.#names;
  }

  #entry(name: string, expected: Inode): TmpfsInode {
    const inode = this.#directory().get(name);
    if (inode === undefined || inode !== expected) throw ENOENT;
    return inode;
  }

  #make(name: string, mode: number, cred: Cred): TmpfsInode {
    if (this.#directory().get(name) !== undefined) throw EEXIST;
    const owner = inheritFrom(this, mode, cred);
    const inode = new TmpfsInode(this.superBlock, owner.mode);
    inode.uid = owner.uid;
    inode.gid = owner.gid;
    this.#insert(name, inode);
    return inode;
  }

  #insert(name: string, inode: TmpfsInode): void {
    this.#directory().add(name, inode);
    this.size += BOGO_DIRENT_BYTES;
    this.#modified();
  }
  #delete(name: string): void {
    this.#directory().delete(name);
    this.size -= BOGO_DIRENT_BYTES;
    this.#modified();
  }
  #moveSubdirectory(inode: TmpfsInode, from: TmpfsInode, to: TmpfsInode): void {
    if (!isDirectory(inode.mode)) return;
    from.nlink--;
    to.nlink++;
  }
  #modified(): void {
    this.mtime = this.ctime = this.superBlock.kernel.time.realtime();
  }
  #changed(): void {
    this.ctime = this.superBlock.kernel.time.realtime();
  }
}

/** A tmpfs by itself, for the kernel's own use: the initial root, devtmpfs, memfd. */
export function createTmpfs(kernel: Kernel, type: FileSystemType, data: string = ""): TmpfsSuperBlock {
  return new TmpfsSuperBlock(
    kernel,
    type,
    parseOptions(data, kernel.frames.totalPages, undefined),
    undefined,
  );
}

export const tmpfs: FileSystemType = {
  name: "tmpfs",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- memory answers at once
  *mount(task: Task, source: string, flags: number, data: string): Sleeps<TmpfsSuperBlock> {
    const options = parseOptions(data, task.kernel.frames.totalPages, undefined);
    return new TmpfsSuperBlock(task.kernel, tmpfs, options, task.cred);
  },
};

export const ramfs: FileSystemType = {
  name: "ramfs",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- memory answers at once
  *mount(task: Task, source: string, flags: number, data: string): Sleeps<TmpfsSuperBlock> {
    const options = parseOptions(data, task.kernel.frames.totalPages, undefined);
    const boundless = {
      ...options,
      mode: options.mode & 0o1777 & ~0o1022 | 0o755,
      pagesMax: Infinity,
      inodesMax: Infinity,
    };
    return new TmpfsSuperBlock(task.kernel, ramfs, boundless, task.cred);
  },
};
