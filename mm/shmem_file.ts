// SPDX-License-Identifier: Apache-2.0
// Memory files without a name in any tree: memfd_create(2) and the object behind MAP_SHARED | MAP_ANONYMOUS.
//
// Sources: memfd_create(2), fcntl(2) on file seals, fallocate(2).

import {
  type AttributeChange,
  type File,
  type FileSystemType,
  Inode,
  type Path,
  type StatFs,
  type SuperBlock,
  type TimeSpec,
  timeSpec,
} from "../include/linux/fs.ts";
import type { Vma } from "../include/linux/mm_types.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import type { IovIter } from "../include/linux/uio.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { MAP_SHARED, PROT_WRITE } from "../include/uapi/mman.ts";
import { EBUSY, EINVAL, EOPNOTSUPP, EPERM } from "../lib/errno.ts";
import { CachedFile } from "./generic_file.ts";
import { ShmemMapping } from "./shmem.ts";

const O_RDWR = 2;
const O_CREATION = 0o1700; // O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC
const S_IFREG = 0o100000;
const TMPFS_MAGIC = 0x0102_1994;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
const F_SEAL_WRITE = 8;
const F_SEAL_FUTURE_WRITE = 16;
const F_SEAL_EXEC = 32;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

const shmemType: FileSystemType = {
  name: "tmpfs",
  needsDevice: false,
  *mount(): Sleeps<SuperBlock> {
    throw EINVAL; // The kernel's own mount of nameless files; named ones are fs/tmpfs.
  },
};

class ShmemSuperBlock implements SuperBlock {
  readonly type: FileSystemType = shmemType;
  readonly dev = 1; // makedev(0, 1), as Linux's own shm mount usually has
  readonly blockSize = 4096;
  readonly maxNameBytes = 255;
  readonly root: Inode;
  isReadOnly = false;
  #nextIno = 1;

  constructor() {
    this.root = new ShmemInode(this, timeSpec(0, 0));
  }
  nextIno(): number {
    return this.#nextIno++;
  }
  statfs(): StatFs {
    return {
      type: TMPFS_MAGIC,
      blockSize: 4096,
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      nameMax: 255,
    };
  }
  showOptions(): string {
    return "";
  }
  *sync(): Sleeps<void> {}
  unmount(): void {}
}

const SHMEM = new StateKey<ShmemSuperBlock>("shmem");

/** A nameless regular file whose bytes are memory. */
export class ShmemInode extends Inode {
  readonly superBlock: SuperBlock;
  readonly ino: number;
  override mapping: ShmemMapping | undefined = undefined;
  seals: number = F_SEAL_SEAL;
  /** The pages go with the last of them. */
  openFiles = 0;

  constructor(superBlock: ShmemSuperBlock, now: TimeSpec) {
    super();
    this.superBlock = superBlock;
    this.ino = superBlock.nextIno();
    this.mode = S_IFREG | 0o777;
    this.nlink = 0;
    this.atime = this.mtime = this.ctime = now;
  }

  override setAttributes(change: AttributeChange): void {
    if (change.size !== undefined) this.#resize(change.size);
    if (change.mode !== undefined) {
      if ((this.seals & F_SEAL_EXEC) !== 0 && ((this.mode ^ change.mode) & 0o111) !== 0) throw EPERM;
      this.mode = (this.mode & ~0o7777) | change.mode;
    }
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime !== undefined) this.atime = change.atime;
    if (change.mtime !== undefined) this.mtime = change.mtime;
    if (change.ctime !== undefined) this.ctime = change.ctime;
  }

  #resize(size: number): void {
    if (size < this.size && (this.seals & F_SEAL_SHRINK) !== 0) throw EPERM;
    if (size > this.size && (this.seals & F_SEAL_GROW) !== 0) throw EPERM;
    const isShrunk = size < this.size;
    this.size = size;
    if (isShrunk) this.mapping?.truncate(size);
  }

  override evict(): void {
    this.mapping?.evict();
  }

  /** Opens it again through /proc/PID/fd. */
  override open(_task: Task, path: Path, flags: number): File {
    if (this.mapping === undefined) throw EINVAL;
    const file = new ShmemFile(this, this.mapping, path.dentry.name);
    file.flags = flags & ~O_CREATION;
    return file;
  }
}

/** An open memory file. */
export class ShmemFile extends CachedFile {
  readonly #inode: ShmemInode;
  readonly #name: string;

  constructor(inode: ShmemInode, mapping: ShmemMapping, name: string) {
    super(undefined, O_RDWR, mapping);
    this.#inode = inode;
    this.#name = name;
    inode.openFiles++;
  }

  override get inode(): ShmemInode {
    return this.#inode;
  }
  override get anonymousName(): string {
    return this.#name;
  }
  /** F_GET_SEALS. */
  get seals(): number {
    return this.#inode.seals;
  }
  /** F_ADD_SEALS. */
  addSeals(seals: number): void {
    if (!this.isWritable || (this.seals & F_SEAL_SEAL) !== 0) throw EPERM;
    if ((seals & ~0x3f) !== 0) throw EINVAL;
    if ((seals & F_SEAL_WRITE) !== 0 && (this.seals & F_SEAL_WRITE) === 0) {
      for (const vma of this.cache.mappings) {
        if ((vma.flags & MAP_SHARED) !== 0 && (vma.maxProt & PROT_WRITE) !== 0) throw EBUSY;
      }
    }
    this.#inode.seals |= seals;
  }
  override write(iter: IovIter, position: number | undefined): number | Sleeps<number> {
    if ((this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) throw EPERM;
    const end = (position ?? this.pos) + iter.remaining;
    if ((this.seals & F_SEAL_GROW) !== 0 && end > this.#inode.size) throw EPERM;
    return super.write(iter, position);
  }
  override mmap(task: Task, vma: Vma): void {
    if ((vma.flags & MAP_SHARED) !== 0 && (this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) {
      if ((vma.prot & PROT_WRITE) !== 0) throw EPERM;
      vma.maxProt &= ~PROT_WRITE;
    }
    super.mmap(task, vma);
  }
  override fsync(): void {}
  override fallocate(mode: number, offset: number, length: number): void {
    const { mapping } = this.#inode;
    if (mapping === undefined || (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0) {
      throw EOPNOTSUPP;
    }
    const end = offset + length;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) {
      if ((mode & FALLOC_FL_KEEP_SIZE) === 0) throw EOPNOTSUPP;
      if ((this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) throw EPERM;
      return mapping.punchHole(offset, end);
    }
    if ((this.seals & F_SEAL_GROW) !== 0 && end > this.#inode.size) throw EPERM;
    mapping.preallocate(offset, end);
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > this.#inode.size) this.#inode.size = end;
  }
  override release(): void {
    if (--this.#inode.openFiles === 0) this.#inode.evict();
  }
}

/** A fresh memory file of `size` bytes, open for reading and writing. `name` is what /proc shows. */
export function createShmemFile(kernel: Kernel, name: string, size: number): ShmemFile {
  const superBlock = kernel.state(SHMEM, () => new ShmemSuperBlock());
  const inode = new ShmemInode(superBlock, kernel.time.realtime());
  inode.size = size;
  const mapping = new ShmemMapping(kernel, inode);
  inode.mapping = mapping;
  return new ShmemFile(inode, mapping, name);
}

/** The object behind a MAP_SHARED | MAP_ANONYMOUS mapping. */
export function createSharedAnonymous(kernel: Kernel, length: number): ShmemFile {
  return createShmemFile(kernel, "/dev/zero (deleted)", length);
}

/** What memfd_create(2) opens. */
export function createMemfd(kernel: Kernel, name: string, allowSealing: boolean, noExec: boolean): ShmemFile {
  const file = createShmemFile(kernel, `/memfd:${name} (deleted)`, 0);
  if (allowSealing || noExec) file.inode.seals = 0;
  if (noExec) {
    file.inode.mode &= ~0o111;
    file.inode.seals |= F_SEAL_EXEC;
  }
  return file;
}
