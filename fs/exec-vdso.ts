// SPDX-License-Identifier: Apache-2.0
// The vDSO: an ELF image made by the architecture, kept in frames of the kernel's own and mapped into every program.
// Source: vdso(7).

import type { Vma, VmaOperations } from "../include/linux/mm_types.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import { MAP_PRIVATE, PROT_EXEC, PROT_READ } from "../include/uapi/mman.ts";
import type { ProcessMm } from "../mm/mm.ts";
import { insertArea, pageUp } from "../mm/mmap.ts";
import { VmaArea } from "../mm/vma.ts";
import { PAGE_SIZE } from "../virt/layout.ts";

const VDSO = new StateKey<VdsoPages>("vdso");

class VdsoPages implements VmaOperations {
  readonly #frames: number[] = [];

  constructor(kernel: Kernel) {
    const { image } = kernel.arch.vdso();
    for (let at = 0; at < image.length; at += PAGE_SIZE) {
      const frame = kernel.frames.alloc();
      kernel.ram.u8.set(image.subarray(at, Math.min(at + PAGE_SIZE, image.length)), frame);
      this.#frames.push(frame);
    }
  }
  get lengthBytes(): number {
    return this.#frames.length * PAGE_SIZE;
  }
  fault(_vma: Vma, offset: number): number {
    return this.#frames[offset / PAGE_SIZE] ?? 0;
  }
}

/** Maps the vDSO; its address, or 0 when the architecture has none. */
export function mapVdso(task: Task, mm: ProcessMm): number {
  const pages = task.kernel.state(VDSO, () => new VdsoPages(task.kernel));
  const length = pageUp(pages.lengthBytes);
  if (length === 0) return 0;
  const start = mm.findFree(task, length);
  const area = new VmaArea(
    mm,
    start,
    start + length,
    PROT_READ | PROT_EXEC,
    PROT_READ | PROT_EXEC | 2,
    MAP_PRIVATE,
  );
  area.name = "[vdso]";
  area.operations = pages;
  insertArea(mm, area);
  return start;
}
