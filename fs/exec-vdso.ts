// SPDX-License-Identifier: Apache-2.0
// The vDSO: an ELF image made by the architecture, kept in frames of the kernel's own and mapped into every program.
// Source: vdso(7).

import type { Vma, VmaOperations } from "../include/linux/mm_types.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import { MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../include/uapi/mman.ts";
import type { ProcessMm } from "../mm/mm.ts";
import { insertArea } from "../mm/mmap.ts";
import { VmaArea } from "../mm/vma.ts";
import { PAGE_SIZE } from "../virt/layout.ts";

const VDSO = new StateKey<Vdso>("vdso");

/** Frames of the kernel's own as a mapping. */
class KernelPages implements VmaOperations {
  readonly frames: number[] = [];

  constructor(kernel: Kernel, bytes: Uint8Array) {
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const frame = kernel.frames.alloc();
      kernel.ram.u8.set(bytes.subarray(at, Math.min(at + PAGE_SIZE, bytes.length)), frame);
      this.frames.push(frame);
    }
  }

  get lengthBytes(): number {
    return this.frames.length * PAGE_SIZE;
  }

  fault(_vma: Vma, offset: number): number {
    return this.frames[offset / PAGE_SIZE] ?? 0;
  }
}

interface Vdso {
  readonly code: KernelPages;
  /** The page before the code, when it asks for one. */
  readonly data: KernelPages | undefined;
}

function createVdso(kernel: Kernel): Vdso {
  const { image, readsWallClock } = kernel.arch.vdso();
  const code = new KernelPages(kernel, image);
  if (readsWallClock !== true) return { code, data: undefined };
  const data = new KernelPages(kernel, new Uint8Array(PAGE_SIZE));
  const update = (): void => {
    kernel.ram.view.setBigInt64(data.frames[0]!, kernel.time.wallAtZeroNs, true);
  };
  kernel.time.clockSetListeners.add(update);
  update();
  return { code, data };
}

/** Code may be made writable, for a debugger's breakpoints in a copy; what the kernel writes may not. */
const CODE_MAX = PROT_READ | PROT_WRITE | PROT_EXEC;

function mapAt(mm: ProcessMm, start: number, pages: KernelPages, name: "[vvar]" | "[vdso]"): void {
  const isCode = name === "[vdso]";
  const protection = isCode ? PROT_READ | PROT_EXEC : PROT_READ;
  const end = start + pages.lengthBytes;
  const area = new VmaArea(mm, start, end, protection, isCode ? CODE_MAX : PROT_READ, MAP_PRIVATE);
  area.name = name;
  area.operations = pages;
  insertArea(mm, area);
}

/** Maps the vDSO; its address, or 0 when the architecture has none. */
export function mapVdso(task: Task, mm: ProcessMm): number {
  const { code, data } = task.kernel.state(VDSO, () => createVdso(task.kernel));
  if (code.lengthBytes === 0) return 0;
  const dataBytes = data?.lengthBytes ?? 0;
  const start = mm.findFree(task, dataBytes + code.lengthBytes);
  if (data !== undefined) mapAt(mm, start, data, "[vvar]");
  mapAt(mm, start + dataBytes, code, "[vdso]");
  return start + dataBytes;
}
