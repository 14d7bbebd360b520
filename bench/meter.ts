// SPDX-License-Identifier: Apache-2.0
// Host CPU time of a whole process tree, from a control group: what a workload really costs, helpers and compiler
// threads included, whatever else the machine is doing. Source: cgroups(7).
//
// A contender prints "start" when its workloads begin and a line "suite.name values" as each of them ends. What it
// prints between is noise of its own and moves no stamp. A workload that is silent for too long takes its run with it.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export interface Stamp {
  readonly name: string;
  /** What the workload printed after its name. */
  readonly values: string;
  /** Host CPU and wall seconds since the stamp before. */
  readonly cpu: number;
  readonly wall: number;
  /** What came out since the stamp before. */
  readonly output: readonly string[];
}

export interface RunResult {
  readonly stamps: Stamp[];
  /** How it ended, for people. */
  readonly end: string;
  /** The last of standard error. */
  readonly errors: string;
}

export interface MeterOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Longest silence between two stamps. */
  readonly timeoutMs: number;
  readonly onStamp?: (stamp: Stamp) => void;
}

const RESULT = /^((?:cpu|sys|library|scale|real|jobs|volume|start)\.[\w.]+) (.*)$/;
const ERRORS_BYTES = 2000;
/** Looks at a group whose processes were killed, until the last is gone. */
const KILL_TRIES = 100;
const KILL_PAUSE_MS = 20;

export class Meter implements Disposable {
  readonly #group: string;
  readonly #isV1: boolean;

  constructor() {
    this.#isV1 = existsSync("/sys/fs/cgroup/cpuacct");
    const parent = this.#isV1 ? "/sys/fs/cgroup/cpuacct" : "/sys/fs/cgroup";
    this.#group = `${parent}/rookery-bench.${process.pid}`;
    mkdirSync(this.#group);
  }

  /** Runs `argv` in the group. Whatever it leaves behind is killed. */
  async run(argv: readonly string[], options: MeterOptions): Promise<RunResult> {
    const script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    const child = spawn("sh", ["-c", script, this.#group, ...argv], {
      env: options.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let errors = "";
    child.stderr.on("data", (bytes: Buffer) => {
      errors = (errors + bytes.toString("latin1")).slice(-ERRORS_BYTES);
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#signalAll();
    }, options.timeoutMs);
    const ended = endOf(child);
    const stamps: Stamp[] = [];
    try {
      for await (const stamp of this.#stamps(child.stdout)) {
        timer.refresh();
        stamps.push(stamp);
        options.onStamp?.(stamp);
      }
      const end = await ended;
      return { stamps, end: isLate ? `no result in ${options.timeoutMs / 1000} s` : end, errors };
    } finally {
      clearTimeout(timer);
      await this.#empty();
    }
  }

  async *#stamps(output: NodeJS.ReadableStream): AsyncGenerator<Stamp> {
    let cpu = this.#seconds();
    let wall = performance.now();
    let lines: string[] = [];
    for await (const raw of createInterface({ input: output })) {
      const line = raw.trim();
      const match = RESULT.exec(line);
      if (match === null && line !== "start") {
        lines.push(line);
        continue;
      }
      const cpuNow = this.#seconds();
      const wallNow = performance.now();
      if (match !== null) {
        const [, name, values] = match;
        yield {
          name: name!,
          values: values!,
          cpu: cpuNow - cpu,
          wall: (wallNow - wall) / 1000,
          output: lines,
        };
      }
      cpu = cpuNow;
      wall = wallNow;
      lines = [];
    }
  }

  #seconds(): number {
    if (this.#isV1) return Number(readFileSync(`${this.#group}/cpuacct.usage`, "utf8")) * 1e-9;
    return Number(/usage_usec (\d+)/.exec(readFileSync(`${this.#group}/cpu.stat`, "utf8"))?.[1] ?? 0) * 1e-6;
  }

  /** Sends SIGKILL to every member; false when there is none. */
  #signalAll(): boolean {
    const pids = readFileSync(`${this.#group}/cgroup.procs`, "utf8").split("\n").filter((pid) => pid !== "");
    for (const pid of pids) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It ended by itself meanwhile.
      }
    }
    return pids.length > 0;
  }

  async #empty(): Promise<void> {
    for (let tries = 0; tries < KILL_TRIES && this.#signalAll(); tries++) await sleep(KILL_PAUSE_MS);
  }

  [Symbol.dispose](): void {
    try {
      rmdirSync(this.#group);
    } catch {
      // A process that cannot die is still in it; the group stays behind, empty of meaning.
    }
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on(
      "close",
      (code, signal) => resolve(signal === null ? `exit status ${String(code)}` : `ended by ${signal}`),
    );
  });
}
