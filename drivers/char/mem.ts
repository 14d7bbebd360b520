// SPDX-License-Identifier: Apache-2.0
// Memory devices (major 1): null, zero, full, random, urandom, kmsg; mem and port refuse.
//
// Source: null(4), full(4), random(4), mem(4), Documentation of /dev/kmsg in the kernel's ABI notes.

import { File, type Path } from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import type { Vma } from "../../include/linux/mm_types.ts";
import { CAP_SYS_ADMIN } from "../../include/uapi/capability.ts";
import {
  RNDADDENTROPY,
  RNDADDTOENTCNT,
  RNDCLEARPOOL,
  RNDGETENTCNT,
  RNDRESEEDCRNG,
  RNDZAPENTCNT,
} from "../../include/uapi/ioctls.ts";
import { MAP_SHARED } from "../../include/uapi/mman.ts";
import { EINVAL, ENODEV, ENOSPC, EPERM } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import { createSharedAnonymous } from "../../mm/shmem_file.ts";
import { writeInt } from "../../fs/pipe.ts";
import { KmsgFile } from "./kmsg.ts";

const MEM_MAJOR = 1;
/** random(4): the pool never has fewer bits once it is ready. */
const ENTROPY_BITS = 256;
/** Random bytes are made in pieces of this size. */
const RANDOM_CHUNK_BYTES = 4096;

/** Seeking is allowed and means nothing: the position stays where it was put, 0. */
class MemoryDevice extends File {
  override get isSeekable(): boolean {
    return true;
  }
  override seek(_offset: number, _whence: number): number {
    this.pos = 0;
    return 0;
  }
}

class NullFile extends MemoryDevice {
  override read(_iter: IovIter): number {
    return 0;
  }
  override write(iter: IovIter): number {
    return iter.remaining;
  }
}

class ZeroFile extends MemoryDevice {
  override read(iter: IovIter): number {
    const count = iter.remaining;
    iter.zero(count);
    return count;
  }
  override write(iter: IovIter): number {
    return iter.remaining;
  }
  /** Private mappings are anonymous memory, shared ones a memory object of their own that takes this file's place. */
  override mmap(task: Task, vma: Vma): void {
    if ((vma.flags & MAP_SHARED) === 0) return;
    const memory = createSharedAnonymous(task.kernel, vma.end - vma.start);
    memory.mmap(task, vma);
    vma.file = memory;
    this.put();
  }
}

class FullFile extends ZeroFile {
  override write(iter: IovIter): number {
    if (iter.remaining === 0) return 0;
    throw ENOSPC;
  }
  override mmap(_task: Task, _vma: Vma): void {
    throw ENODEV;
  }
}

class RandomFile extends MemoryDevice {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, path: Path, flags: number) {
    super(path, flags);
    this.#kernel = kernel;
  }
  override read(iter: IovIter): number {
    const count = iter.remaining;
    const chunk = new Uint8Array(Math.min(count, RANDOM_CHUNK_BYTES));
    for (let left = count; left > 0; left -= chunk.length) {
      this.#kernel.random.fill(chunk);
      iter.copyOut(chunk, 0, Math.min(left, chunk.length));
    }
    return count;
  }
  /** Stirs nothing in: the host's entropy is never worse than what programs add. */
  override write(iter: IovIter): number {
    return iter.remaining;
  }
  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    switch (command) {
      case RNDGETENTCNT:
        return writeInt(task, argument, ENTROPY_BITS);
      case RNDADDTOENTCNT:
      case RNDADDENTROPY:
      case RNDZAPENTCNT:
      case RNDCLEARPOOL:
      case RNDRESEEDCRNG:
        if (!capable(task, CAP_SYS_ADMIN)) throw EPERM;
        return 0;
      default:
        throw EINVAL;
    }
  }
}

export function registerMemoryDevices(kernel: Kernel): void {
  const register = (minor: number, open: (task: Task, path: Path, flags: number) => File): void =>
    kernel.vfs.registerDevice("char", MEM_MAJOR, minor, open);
  const refuse = (): never => {
    throw EPERM;
  };
  register(1, refuse); // mem: there is no physical memory to look into
  register(2, refuse); // kmem
  register(3, (_task, path, flags) => new NullFile(path, flags));
  register(4, refuse); // port
  register(5, (_task, path, flags) => new ZeroFile(path, flags));
  register(7, (_task, path, flags) => new FullFile(path, flags));
  register(8, (task, path, flags) => new RandomFile(task.kernel, path, flags));
  register(9, (task, path, flags) => new RandomFile(task.kernel, path, flags));
  register(11, (task, path, flags) => new KmsgFile(task.kernel, path, flags));
}
