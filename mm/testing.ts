// SPDX-License-Identifier: Apache-2.0
// A kernel just large enough for tests of mm and exec: RAM, frames, a clock that stands still, one task.

import type { Cpu } from "../include/linux/cpu.ts";
import type { Kernel, StateKey, Task, ThreadGroup } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { Ram } from "../lib/ram.ts";
import { FRAMES_START, PAGE_SIZE } from "../virt/layout.ts";
import { BuddyAllocator } from "./page_alloc.ts";

export interface TestKernel {
  readonly kernel: Kernel;
  readonly task: Task;
  readonly log: string[];
  readonly signals: { group: ThreadGroup; signal: number }[];
  readonly flushed: [number, number][];
}

/** `pages` frames of memory. */
export function testKernel(pages: number): TestKernel {
  const ram = new Ram(FRAMES_START + pages * PAGE_SIZE, FRAMES_START);
  const log: string[] = [];
  const signals: { group: ThreadGroup; signal: number }[] = [];
  const flushed: [number, number][] = [];
  const cpu = {
    ram,
    invalidateFrame(): void {},
    flushRange(start: number, end: number): void {
      flushed.push([start, end]);
    },
    flushAll(): void {
      flushed.push([0, Infinity]);
    },
    endAddressSpace(): void {},
  };
  const frames = new BuddyAllocator(ram, cpu);
  const states = new Map<StateKey<unknown>, unknown>();
  const tasks: Task[] = [];
  const kernel = {
    ram,
    frames,
    cpu: cpu as unknown as Cpu,
    tasks: { all: () => tasks, current: undefined as Task | undefined, find: () => tasks[0], count: 1 },
    time: { monotonicNs: () => 0, realtime: () => ({ sec: 1, nsec: 0 }) },
    random: { fill: (bytes: Uint8Array) => bytes.fill(7) },
    printk: (_level: number, message: string) => log.push(message),
    control: {
      sendSignal: (group: ThreadGroup, info: { signal: number }) =>
        signals.push({ group, signal: info.signal }),
    },
    state<T>(key: StateKey<T>, make: () => T): T {
      if (!states.has(key)) states.set(key, make());
      return states.get(key) as T;
    },
  } as unknown as Kernel;
  const rlimits = Array.from({ length: 16 }, () => ({ soft: Infinity, hard: Infinity }));
  const group = { tgid: 2, rlimits, threads: new Set<Task>() } as unknown as ThreadGroup;
  const task = {
    kernel,
    pid: 2,
    tgid: 2,
    group,
    comm: "test",
    personality: 0,
    hasSignal: false,
    mm: undefined,
    cred: { capEffective: 0n },
  } as unknown as Task;
  Object.assign(group, { leader: task });
  group.threads.add(task);
  tasks.push(task);
  Object.assign(kernel.tasks, { current: task });
  return { kernel, task, log, signals, flushed };
}

/** Runs a sleeping function to its end, giving every wait a turn. */
export function run<T>(answer: T | Sleeps<T>): T {
  if (!isSleeping(answer)) return answer;
  for (let turn = 0; turn < 100_000; turn++) {
    const step = answer.next();
    if (step.done === true) return step.value;
  }
  throw new Error("sleeps for ever");
}
