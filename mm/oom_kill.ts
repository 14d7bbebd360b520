// SPDX-License-Identifier: Apache-2.0
// Out of memory: the process that holds the most dies of SIGKILL, and whoever asked tries again.
// Source: proc(5) on oom_score_adj.

import type { Kernel, Task, ThreadGroup } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_RESCHEDULE } from "../include/linux/wait.ts";
import { memoryState } from "./vmstat.ts";

const SIGKILL = 9;
const SI_KERNEL = 0x80;
/** Turns that others get to die in before the next victim is chosen. */
const PATIENCE_TURNS = 200;

/** Frees memory by force. "victim": `task` itself must die; "retry": another did; "hopeless": no one can. */
export function* outOfMemory(
  kernel: Kernel,
  task: Task | undefined,
): Sleeps<"victim" | "retry" | "hopeless"> {
  const victim = chooseVictim(kernel, 2) ?? chooseVictim(kernel, 1);
  if (victim === undefined) return "hopeless";
  const { leader } = victim;
  const memory = memoryState(kernel);
  memory.oomKills++;
  const mm = [...victim.threads].find((thread) => thread.mm !== undefined)?.mm;
  kernel.printk(
    3,
    `Out of memory: Killed process ${victim.tgid} (${leader.comm}) `
      + `total-vm:${(mm?.totalPages ?? 0) * 4}kB, anon-rss:${(mm?.residentPages ?? 0) * 4}kB`,
  );
  kernel.control.sendSignal(victim, { signal: SIGKILL, code: SI_KERNEL });
  if (task?.group === victim) return "victim";
  const before = kernel.frames.freePages;
  for (let turn = 0; turn < PATIENCE_TURNS && kernel.frames.freePages <= before; turn++) {
    yield WAIT_RESCHEDULE;
  }
  return "retry";
}

/** The process with the highest badness among those with a number of at least `firstPid`. */
function chooseVictim(kernel: Kernel, firstPid: number): ThreadGroup | undefined {
  let worst: ThreadGroup | undefined;
  let most = -1;
  const seen = new Set<ThreadGroup>();
  for (const task of kernel.tasks.all()) {
    const { group } = task;
    if (task.mm === undefined || group.tgid < firstPid || seen.has(group)) continue;
    seen.add(group);
    const badness = oomBadness(kernel, task);
    if (badness > most) {
      most = badness;
      worst = group;
    }
  }
  return worst;
}

/** Pages that killing the process of `task` would count for; -1 when it must not be killed. */
export function oomBadness(kernel: Kernel, task: Task): number {
  const adjust = oomScoreAdjust(kernel, task.group);
  if (adjust === -1000 || task.mm === undefined) return -1;
  return Math.max(0, task.mm.residentPages + adjust / 1000 * kernel.frames.totalPages);
}

/** /proc/PID/oom_score_adj. */
export function oomScoreAdjust(kernel: Kernel, group: ThreadGroup): number {
  return memoryState(kernel).oomAdjust.get(group) ?? 0;
}
export function setOomScoreAdjust(kernel: Kernel, group: ThreadGroup, value: number): void {
  memoryState(kernel).oomAdjust.set(group, value);
}
