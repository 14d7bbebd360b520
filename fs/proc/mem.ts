// SPDX-License-Identifier: Apache-2.0
// /proc/PID/mem: the memory of a process as a file. Source: proc_pid_mem(5).

import { File, type Inode, type Path } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { S_IFREG } from "../../include/uapi/stat.ts";
import { mayInspect } from "../../kernel/ptrace-access.ts";
import { EACCES, EFAULT, EINVAL, EIO } from "../../lib/errno.ts";
import { mmStruct } from "../../mm/mm.ts";
import { PAGE_SIZE, pageOffset } from "../../virt/layout.ts";
import { type OwnerOf, PseudoInode, type PseudoSuperBlock } from "../pseudo.ts";

export class MemInode extends PseudoInode {
  readonly task: Task;
  constructor(superBlock: PseudoSuperBlock, task: Task, owner: OwnerOf) {
    super(superBlock, S_IFREG | 0o600, owner);
    this.task = task;
  }
  override open(opener: Task, path: Path, flags: number): File {
    if (!mayInspect(opener, this.task)) throw EACCES;
    return new MemFile(path, flags, this);
  }
}

class MemFile extends File {
  readonly #node: MemInode;
  constructor(path: Path, flags: number, node: MemInode) {
    super(path, flags);
    this.#node = node;
  }
  override get inode(): Inode {
    return this.#node;
  }
  override get isSeekable(): boolean {
    return true;
  }
  override read(iter: IovIter, position: number | undefined): Sleeps<number> {
    return this.#transfer(iter, position, "read");
  }
  override write(iter: IovIter, position: number | undefined): Sleeps<number> {
    return this.#transfer(iter, position, "write");
  }
  /** Page by page, so that what lies before a hole is moved. */
  *#transfer(iter: IovIter, position: number | undefined, direction: "read" | "write"): Sleeps<number> {
    const { mm } = this.#node.task;
    if (mm === undefined) return 0;
    const start = position ?? this.pos;
    let done = 0;
    try {
      while (iter.remaining > 0) {
        const at = start + done;
        const count = Math.min(iter.remaining, PAGE_SIZE - pageOffset(at));
        if (direction === "read") {
          iter.copyOut(yield* mm.user.copyIn(at, count), 0, count);
        } else {
          const bytes = new Uint8Array(count);
          iter.copyIn(bytes, 0, count);
          yield* mmStruct(mm).forceCopyOut(at, bytes);
        }
        done += count;
      }
    } catch (error) {
      if (error !== EFAULT) throw error;
      if (done === 0) throw EIO;
    }
    if (position === undefined) this.pos = start + done;
    return done;
  }
  override seek(offset: number, whence: number): number {
    const target = whence === 0 ? offset : whence === 1 ? this.pos + offset : Number.NaN;
    if (!Number.isSafeInteger(target)) throw EINVAL;
    this.pos = target;
    return target;
  }
}
