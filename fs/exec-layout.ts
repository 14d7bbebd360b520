// SPDX-License-Identifier: Apache-2.0
// Address-space layout of a fresh program: the top of the stack, where mmap starts, chance.
// Source: proc(5) on randomize_va_space, personality(2); the ranges are those of Linux on x86-64.

import type { Kernel, Task } from "../include/linux/sched.ts";
import { RLIMIT_STACK } from "../include/uapi/mman.ts";
import { pageDown } from "../mm/mmap.ts";
import { memoryState } from "../mm/vmstat.ts";
import { PAGE_SIZE, TASK_SIZE } from "../virt/layout.ts";

const ADDR_NO_RANDOMIZE = 0x004_0000;
const STACK_RANDOM_BITS = 22;
const MMAP_RANDOM_BITS = 28;
const GAP_MIN = 128 << 20;
const GUARD_GAP = 1 << 20;

export function isRandomized(task: Task): boolean {
  return (task.personality & ADDR_NO_RANDOMIZE) === 0 && memoryState(task.kernel).randomizeVaSpace > 0;
}

/** A number of pages below 2^bits. `bits` is at most 30. */
export function randomPages(kernel: Kernel, bits: number): number {
  const bytes = new Uint8Array(4);
  kernel.random.fill(bytes);
  return new DataView(bytes.buffer).getUint32(0, true) & ((1 << bits) - 1);
}

export function stackTop(task: Task): number {
  if (!isRandomized(task)) return TASK_SIZE;
  return TASK_SIZE - randomPages(task.kernel, STACK_RANDOM_BITS) * PAGE_SIZE;
}

/** mmap grows down from here, leaving room for the stack to grow to its limit. */
export function mmapBase(task: Task): number {
  const pad = (isRandomized(task) ? 2 ** STACK_RANDOM_BITS * PAGE_SIZE : 0) + GUARD_GAP;
  const stack = task.group.rlimits[RLIMIT_STACK]!.soft;
  const gap = Math.min(Math.max(Math.min(stack, TASK_SIZE) + pad, GAP_MIN), Math.floor(TASK_SIZE / 6) * 5);
  const random = isRandomized(task) ? randomPages(task.kernel, MMAP_RANDOM_BITS) * PAGE_SIZE : 0;
  return pageDown(TASK_SIZE - gap - random);
}
