// SPDX-License-Identifier: Apache-2.0
// Host CPU time of a whole process tree, from a control group: what a workload really costs, helpers and compiler
// threads included, whatever else the machine is doing. Source: cgroups(7).

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { createInterface } from "node:readline";

export interface Sample {
  readonly name: string;
  /** What the workload printed after its name. */
  readonly values: string;
  /** Host CPU and wall seconds since the line before. */
  readonly cpu: number;
  readonly wall: number;
}

export class Meter implements Disposable {
  readonly #group: string;
  readonly #isV1: boolean;

  constructor() {
    this.#isV1 = existsSync("/sys/fs/cgroup/cpuacct");
    const parent = this.#isV1 ? "/sys/fs/cgroup/cpuacct" : "/sys/fs/cgroup";
    this.#group = `${parent}/rookery-bench.${process.pid}`;
    mkdirSync(this.#group);
  }

  #seconds(): number {
    if (this.#isV1) return Number(readFileSync(`${this.#group}/cpuacct.usage`, "utf8")) * 1e-9;
    return Number(/usage_usec (\d+)/.exec(readFileSync(`${this.#group}/cpu.stat`, "utf8"))?.[1] ?? 0) * 1e-6;
  }

  /** Runs `argv` in the group; each line "suite.name values" on its standard output becomes a sample. */
  async run(
    argv: readonly string[],
    env: NodeJS.ProcessEnv,
    onSample?: (sample: Sample) => void,
  ): Promise<Sample[]> {
    const script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    const child = spawn("sh", ["-c", script, this.#group, ...argv], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const samples: Sample[] = [];
    let cpu = this.#seconds();
    let wall = performance.now();
    for await (const line of createInterface({ input: child.stdout })) {
      const cpuNow = this.#seconds();
      const wallNow = performance.now();
      const match = /^((?:cpu|sys|real)\.\w+) (.*)$/.exec(line.trim());
      if (match !== null) {
        const sample = {
          name: match[1]!,
          values: match[2]!,
          cpu: cpuNow - cpu,
          wall: (wallNow - wall) / 1000,
        };
        samples.push(sample);
        onSample?.(sample);
      }
      cpu = cpuNow;
      wall = wallNow;
    }
    return samples;
  }

  [Symbol.dispose](): void {
    try {
      rmdirSync(this.#group);
    } catch {
      // A straggler is still in it; the kernel removes the group with the last process of the machine.
    }
  }
}
