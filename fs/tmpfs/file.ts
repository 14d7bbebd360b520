// SPDX-License-Identifier: Apache-2.0
// An open regular file of tmpfs. Sources: fallocate(2), memfd_create(2), fcntl(2) on seals.

import type { Inode, Path } from "../../include/linux/fs.ts";
import type { Vma } from "../../include/linux/mm_types.ts";
import type { Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import {
  F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE, O_APPEND,
} from "../../include/uapi/fcntl.ts";
import { EINVAL, EOPNOTSUPP, EPERM } from "../../lib/errno.ts";
import { CachedFile, genericMmap } from "../../mm/generic_file.ts";
import type { ShmemMapping } from "../../mm/shmem.ts";

const MAP_SHARED = 1;
const PROT_WRITE = 2;

/** The inode that the file's data belong to; it may differ from File.inode (overlayfs opens files of its layers). */
interface SealedInode extends Inode {
  seals: number;
}

export class TmpfsFile extends CachedFile {
  readonly #data: SealedInode;
  readonly #shmem: ShmemMapping;
  /** What execve(2) sees as the file: it must not run while it is open for writing. */
  readonly #counted: Inode;

  constructor(path: Path, flags: number, data: SealedInode, pages: ShmemMapping) {
    super(path, flags, pages);
    this.#data = data;
    this.#shmem = pages;
    data.openCount++;
    this.#counted = this.inode;
    if (this.isWritable) this.#counted.writeCount++;
  }

  /** The inode whose data this file reads and writes. */
  get dataInode(): SealedInode {
    return this.#data;
  }

  override write(iter: IovIter, position: number | undefined): number | Sleeps<number> {
    const seals = this.#data.seals;
    if (seals > 1) {
      if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) throw EPERM;
      const start = (this.flags & O_APPEND) !== 0 ? this.#data.size : position ?? this.pos;
      if ((seals & F_SEAL_GROW) !== 0 && start + iter.remaining > this.#data.size) throw EPERM;
    }
    return super.write(iter, position);
  }

  override mmap(task: Task, vma: Vma): void {
    if ((this.#data.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0 && (vma.flags & MAP_SHARED) !== 0) {
      if ((vma.prot & PROT_WRITE) !== 0) throw EPERM;
      vma.maxProt &= ~PROT_WRITE;
    }
    genericMmap(this, vma, this.cache);
  }

  override fsync(): void {}

  override truncate(size: number): void | Sleeps<void> {
    const { seals } = this.#data;
    if (size < this.#data.size && (seals & F_SEAL_SHRINK) !== 0) throw EPERM;
    if (size > this.#data.size && (seals & F_SEAL_GROW) !== 0) throw EPERM;
    return this.#data.setAttributes({ size });
  }

  override fallocate(mode: number, offset: number, length: number): void {
    const inode = this.#data;
    const end = offset + length;
    const now = this.cache.kernel.time.realtime();
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) !== 0) throw EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if ((mode & FALLOC_FL_KEEP_SIZE) === 0) throw EOPNOTSUPP;
      if ((inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) throw EPERM;
      this.#shmem.punchHole(offset, Math.min(end, Math.max(inode.size, offset)));
      inode.mtime = inode.ctime = now;
      return;
    }
    if ((mode & FALLOC_FL_ZERO_RANGE) !== 0) throw EOPNOTSUPP;
    if (end < offset) throw EINVAL;
    const isGrowing = (mode & FALLOC_FL_KEEP_SIZE) === 0 && end > inode.size;
    if (isGrowing && (inode.seals & F_SEAL_GROW) !== 0) throw EPERM;
    this.#shmem.preallocate(offset, end);
    if (isGrowing) inode.size = end;
    inode.mtime = inode.ctime = now;
  }

  override release(): void {
    const inode = this.#data;
    inode.openCount--;
    if (this.isWritable) this.#counted.writeCount--;
    if (inode.openCount === 0 && inode.nlink === 0) inode.evict();
  }
}
