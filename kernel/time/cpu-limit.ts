// SPDX-License-Identifier: Apache-2.0
// RLIMIT_CPU: SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one. Source: getrlimit(2).

import { RLIMIT_CPU } from "../../include/uapi/resource.ts";
import { SIGKILL, SIGXCPU } from "../../include/uapi/signal.ts";
import { kernelSignal, sendToGroup } from "../signal.ts";
import type { ThreadGroupStruct } from "../task.ts";
import { processCpuNs } from "./cpu-clock.ts";

const NS = 1_000_000_000;

/** After each change of the limit, and for a new process that inherits one. */
export function watchCpuLimit(group: ThreadGroupStruct): void {
  const limit = group.rlimits[RLIMIT_CPU];
  if (limit === undefined || (limit.soft === Infinity && limit.hard === Infinity)) return;
  let nextNs = 0;
  const watch = (): void => {
    const usedNs = processCpuNs(group);
    if (limit.soft === Infinity && limit.hard === Infinity) {
      group.cpuWatches.delete(watch);
    } else if (usedNs >= limit.hard * NS) {
      sendToGroup(group, kernelSignal(SIGKILL));
    } else if (usedNs >= Math.max(limit.soft * NS, nextNs)) {
      nextNs = usedNs + NS;
      sendToGroup(group, kernelSignal(SIGXCPU));
    }
  };
  group.cpuWatches.add(watch);
}
