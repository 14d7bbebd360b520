// SPDX-License-Identifier: Apache-2.0
// The address space of a process as the rest of the kernel uses it: MmStruct with its calls and its user access.

import { ACCESS_READ } from "../include/linux/cpu.ts";
import type { File } from "../include/linux/fs.ts";
import type { Mm, UserAccess } from "../include/linux/mm_types.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { PROT_NONE } from "../include/uapi/mman.ts";
import { EFAULT } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset, pageStart } from "../virt/layout.ts";
import { breakProtection, copyAddressSpace, handleFault } from "./memory.ts";
import { gatherPages } from "./migrate.ts";
import { findFree, mmapRegion, moveBreak, munmapChecked, protectRegion } from "./mmap.ts";
import { type FaultAnswer, MmStruct } from "./mm_struct.ts";
import { remapRegion } from "./mremap.ts";
import { UserMemory } from "./uaccess.ts";
import type { VmaArea } from "./vma.ts";

export class ProcessMm extends MmStruct implements Mm {
  readonly user: UserAccess;

  constructor(kernel: Kernel) {
    super(kernel);
    this.user = new UserMemory(this);
  }

  findVma(address: number): VmaArea | undefined {
    return this.areas.find(address);
  }
  vmas(): Iterable<VmaArea> {
    return this.areas;
  }
  mmap(
    task: Task,
    address: number,
    length: number,
    prot: number,
    flags: number,
    file: File | undefined,
    offset: number,
  ): Sleeps<number> {
    return mmapRegion(this, task, address, length, prot, flags, file, offset);
  }
  munmap(address: number, length: number): void {
    munmapChecked(this, address, length);
  }
  mprotect(address: number, length: number, prot: number): void {
    protectRegion(this, address, length, prot);
  }
  mremap(
    task: Task,
    address: number,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddress: number,
  ): Sleeps<number> {
    return remapRegion(this, task, address, oldLength, newLength, flags, newAddress);
  }
  /** Where mmap would put `length` bytes. Throws ENOMEM. */
  findFree(task: Task, length: number): number {
    return findFree(this, task, 0, length, 0);
  }
  setBrk(task: Task, brk: number): number {
    return moveBreak(this, task, brk);
  }
  handleFault(task: Task | undefined, address: number, access: number): FaultAnswer {
    return handleFault(this, task, address, access);
  }

  gatherPages(address: number): boolean {
    return gatherPages(this, address);
  }

  /** Writes what the process itself may not write, as ptrace(2) does for breakpoints. Throws EFAULT. */
  *forceCopyOut(address: number, bytes: Uint8Array): Sleeps<void> {
    for (let done = 0; done < bytes.length;) {
      const at = address + done;
      const count = Math.min(bytes.length - done, PAGE_SIZE - pageOffset(at));
      if (this.findVma(at)?.prot === PROT_NONE) throw EFAULT;
      yield* this.user.prepare(at, count, ACCESS_READ);
      const frame = breakProtection(this, pageStart(at));
      if (frame === 0) {
        yield* this.user.copyOut(at, bytes.subarray(done, done + count));
      } else {
        this.ram.u8.set(bytes.subarray(done, done + count), frame + pageOffset(at));
        this.kernel.frames.invalidate(frame);
      }
      done += count;
    }
  }

  clone(task: Task): Mm {
    const child = new ProcessMm(this.kernel);
    try {
      copyAddressSpace(this, child);
    } catch (error) {
      child.put();
      throw error;
    }
    child.startCode = this.startCode;
    child.endCode = this.endCode;
    child.startData = this.startData;
    child.endData = this.endData;
    child.startBrk = this.startBrk;
    child.brk = this.brk;
    child.startStack = this.startStack;
    child.argStart = this.argStart;
    child.argEnd = this.argEnd;
    child.envStart = this.envStart;
    child.envEnd = this.envEnd;
    child.auxv = this.auxv;
    if (this.exeFile !== undefined) child.setExeFile(this.exeFile.get());
    child.dumpable = this.dumpable;
    child.mmapBase = this.mmapBase;
    return child;
  }

  put(): void {
    if (--this.users > 0) return;
    this.destroy();
    this.setExeFile(undefined);
  }

  /** Takes over the caller's reference. The file cannot be written while it is executed (ETXTBSY). */
  setExeFile(file: File | undefined): void {
    const old = this.exeFile;
    if (file?.inode !== undefined) file.inode.writeCount--;
    this.exeFile = file;
    if (old?.inode !== undefined) old.inode.writeCount++;
    old?.put();
  }
}

/** An empty address space with one user. Throws ENOMEM. */
export function createMm(kernel: Kernel): ProcessMm {
  return new ProcessMm(kernel);
}

/** The address space behind the interface that the rest of the kernel knows. */
export function mmStruct(mm: Mm): ProcessMm {
  if (mm instanceof ProcessMm) return mm;
  throw new TypeError("an address space of another kernel");
}
