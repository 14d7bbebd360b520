// SPDX-License-Identifier: Apache-2.0
// Runs the workloads natively, under qemu-user and in Rookery in one run, interleaved, and prints the ratios of host CPU
// time. Needs root on x86-64 Linux, gcc, qemu-user-static and an image with the programs of the differential run.
//
//   node dist/bench/run.js [--rounds 3] [--suites cpu,sys,real] [--peers qemu,rookery] [--only NAME,...] --root IMAGE

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { defaultImagePath } from "../tools/cli/paths.ts";
import { Meter } from "./meter.ts";
import { type BenchFiles, peerCommand, type PeerName } from "./peers.ts";

const ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", LC_ALL: "C" };
const SOURCES = new URL("../../bench/workloads/", import.meta.url).pathname;

function prepare(image: string): BenchFiles {
  const scratch = mkdtempSync(join(tmpdir(), "rookery-bench-"));
  const programs = join(scratch, "programs");
  const data = join(scratch, "data");
  mkdirSync(programs);
  cpSync(SOURCES, programs, { recursive: true });
  for (const name of ["cpu", "sys", "timeit"]) {
    execFileSync("gcc", [
      "-O2",
      "-static",
      "-pthread",
      "-o",
      join(programs, name),
      join(SOURCES, `${name}.c`),
    ]);
  }
  execFileSync("sh", [join(programs, "mkdata.sh"), data]);
  return { image, programs, data, scratch };
}

function suiteCommand(suite: string, only: readonly string[]): string[] {
  const names = only.filter((name) => name.startsWith(`${suite}.`)).map((name) =>
    name.slice(suite.length + 1)
  );
  switch (suite) {
    case "cpu":
      return ["/bench/cpu", ...names];
    case "sys":
      return ["/usr/bin/env", "BENCH_TMP=/tmp", "MIN_T=0.1", "/bench/sys", ...names];
    case "real":
      return ["/bin/bash", "/bench/real.sh", "/bench/timeit", "/data", "/tmp/work", ...names];
    default:
      throw new Error(`--suites: "${suite}" is not one of cpu, sys, real`);
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** peer → row → costs, seconds (of CPU; per operation for sys). */
type Costs = Map<string, Map<string, number[]>>;

function addCost(costs: Costs, peer: string, row: string, cost: number): void {
  const rows = costs.get(peer) ?? new Map<string, number[]>();
  costs.set(peer, rows);
  rows.set(row, [...(rows.get(row) ?? []), cost]);
}

function printTable(costs: Costs, peers: readonly string[]): void {
  const native = costs.get("native") ?? new Map<string, number[]>();
  console.log(`| workload | native | ${peers.join(" | ")} |\n|---|---|${peers.map(() => "---").join("|")}|`);
  const logs = new Map<string, Map<string, number[]>>();
  for (const [row, times] of native) {
    const base = median(times);
    const cells = peers.map((peer) => {
      const own = costs.get(peer)?.get(row);
      if (own === undefined) return "-";
      const ratio = median(own) / base;
      addCost(logs, peer, row.split(".")[0]!, Math.log(ratio));
      return ratio.toFixed(2);
    });
    const shown = row.startsWith("sys.") ? `${(base * 1e6).toFixed(2)} us` : `${(base * 1e3).toFixed(1)} ms`;
    console.log(`| ${row} | ${shown} | ${cells.join(" | ")} |`);
  }
  for (const suite of new Set([...native.keys()].map((row) => row.split(".")[0]!))) {
    const means = peers.map((peer) => {
      const values = logs.get(peer)?.get(suite);
      return values === undefined
        ? "-"
        : Math.exp(values.reduce((a, b) => a + b, 0) / values.length).toFixed(2);
    });
    console.log(`| **${suite}, geometric mean** | | ${means.join(" | ")} |`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      suites: { type: "string", default: "cpu,sys,real" },
      peers: { type: "string", default: "qemu,rookery" },
      only: { type: "string", default: "" },
      root: { type: "string", default: defaultImagePath() },
    },
  });
  if (!existsSync(values.root)) {
    throw new Error(`no image at ${values.root}: build one, or give --root IMAGE`);
  }
  const peers = values.peers.split(",").map((p): PeerName => {
    if (p === "qemu" || p === "rookery" || p === "native") return p;
    throw new Error(`--peers: "${p}" is not one of native, qemu, rookery`);
  });
  const only = values.only === "" ? [] : values.only.split(",");
  const costs: Costs = new Map();
  const files = prepare(values.root);
  using meter = new Meter();
  try {
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const suite of values.suites.split(",")) {
        for (const peer of new Set<PeerName>(["native", ...peers])) {
          console.error(`round ${round}: ${suite} under ${peer}`);
          await meter.run(peerCommand(peer, files, suiteCommand(suite, only)), ENV, (sample) => {
            console.error(`  ${sample.name} ${sample.values} host-cpu=${sample.cpu.toFixed(3)}`);
            if (sample.values.startsWith("FAIL")) return;
            const cost = suite === "sys" ? Number(sample.values.split(" ")[0]) : sample.cpu;
            addCost(costs, peer, sample.name, cost);
          });
        }
      }
    }
  } finally {
    rmSync(files.scratch, { recursive: true, force: true });
  }
  printTable(costs, peers.filter((p) => p !== "native"));
}

await main();
