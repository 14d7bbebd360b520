// SPDX-License-Identifier: Apache-2.0
// Address-space layout of a fresh program: the top of the stack, where mmap starts, chance.
// Source: proc(5) on randomize_va_space, personality(2); the ranges are those of Linux on x86-64.
//
// Two pages that lie a multiple of TLB_REACH apart have one place in the CPU's TLB, and push each other out of it: one run of python in ten
// missed ten times as often as the others. So chance decides above that, and below it within a part of its own for the program and its heap,
// what is mapped, and the stack: programs that fit those have no such pair. Of Linux's 28 and 22 bits of chance that leaves 24 and 18.

import type { Task } from "../include/linux/sched.ts";
import { RLIMIT_STACK } from "../include/uapi/mman.ts";
import { pageDown } from "../mm/mmap.ts";
import { memoryState } from "../mm/vmstat.ts";
import { PAGE_SIZE, TASK_SIZE, TLB_ENTRIES } from "../virt/layout.ts";

const ADDR_NO_RANDOMIZE = 0x004_0000;
const STACK_RANDOM_BITS = 22;
const MMAP_RANDOM_BITS = 28;
const TLB_REACH = TLB_ENTRIES * PAGE_SIZE;
const REACH_BITS = Math.log2(TLB_ENTRIES);
/** Parts of the reach: programs begin in the first 4 MiB, mappings end in the 4 MiB below the last, the stack ends in the last. */
const PART_BITS = 10;
const PART = 2 ** PART_BITS * PAGE_SIZE;
const MAPPINGS_END = TLB_REACH - PART;
const GAP_MIN = 128 << 20;
const RANDOM_BYTES = 16;
/** Numbers that one execve asks for, at most: two each for stack, mmap and program, then heap, stack alignment. */
const WORDS = 8;
const GUARD_GAP = 1 << 20;

function isRandomized(task: Task): boolean {
  return (task.personality & ADDR_NO_RANDOMIZE) === 0 && memoryState(task.kernel).randomizeVaSpace > 0;
}

/** The chance of one execve(2), drawn at once. */
export class LayoutRandom {
  /** For AT_RANDOM. */
  readonly bytes: Uint8Array;
  readonly #words: DataView;
  readonly #isActive: boolean;
  #next = 0;

  constructor(task: Task) {
    const drawn = new Uint8Array(RANDOM_BYTES + WORDS * 4);
    task.kernel.random.fill(drawn);
    this.bytes = drawn.subarray(0, RANDOM_BYTES);
    this.#words = new DataView(drawn.buffer, RANDOM_BYTES);
    this.#isActive = isRandomized(task);
  }
  get isActive(): boolean {
    return this.#isActive;
  }
  /** A number below 2^bits (bits at most 30), 0 when the layout is not randomized. May be asked WORDS times. */
  bits(bits: number): number {
    const word = this.#words.getUint32(this.#next++ * 4, true);
    return this.#isActive ? word & ((1 << bits) - 1) : 0;
  }
}

/** A distance below 2^bits pages: a multiple of the reach, and a part of it at most. */
function distance(random: LayoutRandom, bits: number): number {
  return random.bits(bits - REACH_BITS) * TLB_REACH + random.bits(PART_BITS) * PAGE_SIZE;
}

export function stackTop(random: LayoutRandom): number {
  return TASK_SIZE - distance(random, STACK_RANDOM_BITS);
}

/** Where a position-independent program goes, from `lowest` on. */
export function programBase(lowest: number, random: LayoutRandom): number {
  const base = random.isActive ? lowest + TLB_REACH - (lowest % TLB_REACH) : lowest;
  return base + distance(random, MMAP_RANDOM_BITS);
}

/** mmap grows down from here, leaving room for the stack to grow to its limit. */
export function mmapBase(task: Task, random: LayoutRandom): number {
  const pad = (random.isActive ? 2 ** STACK_RANDOM_BITS * PAGE_SIZE : 0) + GUARD_GAP;
  const stack = task.group.rlimits[RLIMIT_STACK]!.soft;
  const gap = Math.min(Math.max(Math.min(stack, TASK_SIZE) + pad, GAP_MIN), Math.floor(TASK_SIZE / 6) * 5);
  const highest = TASK_SIZE - gap;
  const base = random.isActive ? highest - ((highest + TLB_REACH - MAPPINGS_END) % TLB_REACH) : highest;
  return pageDown(base - distance(random, MMAP_RANDOM_BITS));
}
