// SPDX-License-Identifier: Apache-2.0
// An open regular file of tmpfs. Source: fallocate(2).

import type { Inode, Path } from "../../include/linux/fs.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { F_SEAL_SEAL, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../../include/uapi/fcntl.ts";
import { EOPNOTSUPP, EPERM } from "../../lib/errno.ts";
import { CachedFile } from "../../mm/generic_file.ts";
import { announceDeletion } from "../fsnotify.ts";
import type { ShmemMapping } from "../../mm/shmem.ts";

export class TmpfsFile extends CachedFile {
  readonly #data: Inode;
  readonly #shmem: ShmemMapping;
  /** What execve(2) sees as the file: it must not run while it is open for writing. */
  readonly #counted: Inode;

  constructor(path: Path, flags: number, data: Inode, pages: ShmemMapping) {
    super(path, flags, pages);
    this.#data = data;
    this.#shmem = pages;
    data.openCount++;
    this.#counted = this.inode;
    if (this.#counted !== data) this.#counted.openCount++;
    if (this.isWritable) this.#counted.writeCount++;
  }

  /** F_GET_SEALS: nothing can be sealed here, only in a memfd. */
  get seals(): number {
    return F_SEAL_SEAL;
  }
  addSeals(): never {
    throw EPERM;
  }

  override fsync(): void {}

  override truncate(size: number): void | Sleeps<void> {
    return this.#data.setAttributes({ size });
  }

  override fallocate(mode: number, offset: number, length: number): void {
    const inode = this.#data;
    const end = offset + length;
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0) throw EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if ((mode & FALLOC_FL_KEEP_SIZE) === 0) throw EOPNOTSUPP;
      this.#shmem.punchHole(offset, Math.min(end, Math.max(inode.size, offset)));
    } else {
      this.#shmem.preallocate(offset, end);
      if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > inode.size) inode.size = end;
    }
    inode.mtime = inode.ctime = this.cache.kernel.time.realtime();
  }

  override release(): void {
    const inode = this.#data;
    const counted = this.#counted;
    inode.openCount--;
    if (counted !== inode) counted.openCount--;
    if (this.isWritable) counted.writeCount--;
    if (inode.openCount === 0 && inode.nlink === 0) inode.evict();
    if (counted.openCount === 0 && counted.nlink === 0) announceDeletion(this.cache.kernel, counted);
  }
}
