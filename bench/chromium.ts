// SPDX-License-Identifier: Apache-2.0
// The compute workloads in headless Chromium against Node, interleaved in one run, as ratios of host CPU time. Needs
// root on Linux, gcc, Debian's chromium and an image.
//
//   node dist/bench/chromium.js [--rounds 3] [--only NAME,...] --root IMAGE

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { defaultImagePath } from "../tools/cli/paths.ts";
import { serveFiles } from "../tools/serve/files.ts";
import { Meter } from "./meter.ts";
import { peerCommand } from "./peers.ts";

const SOURCE = new URL("../../bench/workloads/cpu.c", import.meta.url).pathname;
const DRIVER = new URL("chromium-driver.js", import.meta.url).pathname;
const ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", LC_ALL: "C" };

/** Workload → seconds of host CPU, one a round. */
type Costs = Map<string, number[]>;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

function printTable(node: Costs, chromium: Costs): void {
  console.log("| workload | Node | Chromium | ratio |\n|---|---|---|---|");
  const ratios = [...node].flatMap(([name, times]) => {
    const own = chromium.get(name);
    if (own === undefined) return [];
    const [a, b] = [median(times), median(own)];
    console.log(`| ${name} | ${a.toFixed(2)} s | ${b.toFixed(2)} s | ${(b / a).toFixed(2)} |`);
    return [b / a];
  });
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  console.log(`| **geometric mean** | | | ${mean.toFixed(2)} |`);
}

/** Of the loopback interface, as text. */
async function freePort(): Promise<string> {
  await using server = await serveFiles({});
  return new URL(server.url).port;
}

const TIMEOUT_MS = 180_000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      only: { type: "string", default: "" },
      root: { type: "string", default: defaultImagePath() },
    },
  });
  const image = values.root;
  if (!existsSync(image)) throw new Error(`no image at ${image}: build one, or give --root IMAGE`);
  const programs = mkdtempSync(join(tmpdir(), "rookery-bench-"));
  const argv = ["/bench/cpu", ...values.only.split(",").filter((name) => name !== "")];
  const port = await freePort();
  const costs: Record<string, Costs> = { node: new Map(), chromium: new Map() };
  using meter = new Meter();
  try {
    execFileSync("gcc", ["-O2", "-static", "-o", join(programs, "cpu"), SOURCE]);
    const commands: Record<string, string[]> = {
      node: peerCommand("rookery", {
        image,
        programs,
        data: programs,
        scratch: programs,
        cache: join(programs, "cache"),
      }, argv),
      chromium: [process.execPath, DRIVER, image, programs, join(programs, "profile"), port, ...argv],
    };
    // Neither side begins with what an earlier run of this program has left; from round to round both keep what they keep.
    const env = { ...ENV, XDG_CACHE_HOME: join(programs, "cache") };
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const [peer, command] of Object.entries(commands)) {
        console.error(`round ${round}: ${peer}`);
        const { stamps, end, errors } = await meter.run(command, { env, timeoutMs: TIMEOUT_MS });
        if (stamps.length === 0) throw new Error(`${peer} gave no result: ${end ?? ""} ${errors}`);
        for (const { name, values: printed, cpu } of stamps) {
          console.error(`  ${name} ${printed} host-cpu=${cpu.toFixed(3)}`);
          costs[peer]!.set(name, [...costs[peer]!.get(name) ?? [], cpu]);
        }
      }
    }
  } finally {
    rmSync(programs, { recursive: true, force: true });
  }
  printTable(costs["node"]!, costs["chromium"]!);
}

await main();
