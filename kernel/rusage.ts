// SPDX-License-Identifier: Apache-2.0
// struct rusage: 144 bytes. Source: getrusage(2).

import { writeTimeval } from "./time/timespec.ts";
import type { TaskStruct, ThreadGroupStruct } from "./task.ts";
import { viewOf, writeS64 } from "./uaccess.ts";

interface Usage {
  readonly userNs: number;
  readonly systemNs: number;
  readonly maxResidentKb: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  readonly voluntarySwitches: number;
  readonly involuntarySwitches: number;
}

export function encodeRusage(usage: Usage): Uint8Array {
  const bytes = new Uint8Array(144);
  const view = viewOf(bytes);
  writeTimeval(view, 0, usage.userNs);
  writeTimeval(view, 16, usage.systemNs);
  writeS64(view, 32, usage.maxResidentKb);
  writeS64(view, 64, usage.minorFaults);
  writeS64(view, 72, usage.majorFaults);
  writeS64(view, 128, usage.voluntarySwitches);
  writeS64(view, 136, usage.involuntarySwitches);
  return bytes;
}

function residentKb(group: ThreadGroupStruct): number {
  return Math.max(group.maxResidentKb, (group.leader.mm?.peakResidentPages ?? 0) * 4);
}

/** Of a process ("self"), of its waited-for children, or of both. */
export function rusageOf(group: ThreadGroupStruct, what: "self" | "children" | "both"): Uint8Array {
  const { cpuTime } = group;
  const own = what === "children" ? 0 : 1;
  const theirs = what === "self" ? 0 : 1;
  let { minorFaults, majorFaults, voluntarySwitches, involuntarySwitches } = group;
  for (const task of group.threads) {
    minorFaults += task.minorFaults;
    majorFaults += task.majorFaults;
    voluntarySwitches += task.voluntarySwitches;
    involuntarySwitches += task.involuntarySwitches;
  }
  return encodeRusage({
    userNs: own * cpuTime.userNs + theirs * cpuTime.childUserNs,
    systemNs: own * cpuTime.systemNs + theirs * cpuTime.childSystemNs,
    maxResidentKb: Math.max(own * residentKb(group), theirs * group.childMaxResidentKb),
    minorFaults: own * minorFaults,
    majorFaults: own * majorFaults,
    voluntarySwitches: own * voluntarySwitches,
    involuntarySwitches: own * involuntarySwitches,
  });
}

export function threadRusage(task: TaskStruct): Uint8Array {
  return encodeRusage({ ...task, maxResidentKb: residentKb(task.group) });
}
