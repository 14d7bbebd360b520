// SPDX-License-Identifier: Apache-2.0
// Runs the workloads natively and under each contender, in pairs, and prints Markdown tables of host CPU time against
// native. Needs root on x86-64 Linux, gcc, perl and an image with the programs of the differential run; contenders that
// are not installed are left out with a word on how to get them.
//
//   node dist/bench/run.js [--rounds 3] [--suites start,cpu,sys,library,scale,real,jobs,volume] [--peers qemu,gvisor,uml,rookery]
//     [--only NAME,...] [--cache cold|warm] [--warm-runs N] [--timeout SECONDS] [--json FILE] [--root IMAGE]

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { defaultImagePath, translationsBeside } from "../tools/cli/paths.ts";
import { Meter } from "./meter.ts";
import {
  type BenchFiles,
  buildWorkloads,
  missingPeer,
  PEER_NAMES,
  PEER_TITLES,
  type PeerName,
  peerVersion,
  preparePeers,
} from "./peers.ts";
import { type Fact, report } from "./report.ts";
import {
  type BenchContext,
  type Cache,
  emptyCache,
  runSuite,
  type Sample,
  SUITE_NAMES,
  type SuiteName,
} from "./suites.ts";

const SOURCES = new URL("../../bench/workloads/", import.meta.url).pathname;

interface Options {
  readonly rounds: number;
  readonly suites: readonly SuiteName[];
  readonly peers: readonly Exclude<PeerName, "native">[];
  readonly only: readonly string[];
  readonly cache: Cache;
  /** How often the suites are run, uncounted, before a warm measurement. */
  readonly warmRuns: number;
  readonly timeoutMs: number;
  readonly json: string | undefined;
  readonly root: string;
}

class UsageError extends Error {}

function chosen<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((word) => {
    const found = known.find((name) => name === word);
    if (found === undefined) throw new UsageError(`${option}: "${word}" is not one of ${known.join(", ")}`);
    return found;
  });
}

function positive(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`${option}: "${text}" is not a positive whole number`);
  return Number(text);
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      suites: { type: "string", default: SUITE_NAMES.join(",") },
      peers: { type: "string", default: "qemu,gvisor,uml,rookery" },
      only: { type: "string", default: "" },
      cache: { type: "string", default: "cold" },
      "warm-runs": { type: "string", default: "4" },
      timeout: { type: "string", default: "180" },
      json: { type: "string" },
      root: { type: "string", default: defaultImagePath() },
    },
  });
  if (!existsSync(values.root)) {
    throw new UsageError(`no image at ${values.root}: build one, or give --root IMAGE`);
  }
  return {
    rounds: positive("--rounds", values.rounds),
    suites: chosen("--suites", values.suites, SUITE_NAMES),
    peers: chosen("--peers", values.peers, PEER_NAMES).filter((peer) => peer !== "native"),
    only: values.only === "" ? [] : values.only.split(","),
    cache: chosen("--cache", values.cache, ["cold", "warm"] as const)[0]!,
    warmRuns: positive("--warm-runs", values["warm-runs"]),
    timeoutMs: positive("--timeout", values.timeout) * 1000,
    json: values.json,
    root: values.root,
  };
}

function prepare(root: string): BenchFiles {
  const scratch = mkdtempSync(join(tmpdir(), "rookery-bench-"));
  const programs = join(scratch, "programs");
  mkdirSync(programs);
  cpSync(SOURCES, programs, { recursive: true });
  return { image: root, programs, data: join(scratch, "data"), scratch, cache: join(scratch, "cache") };
}

function machineFacts(options: Options, peers: readonly PeerName[]): Fact[] {
  return [
    { name: "CPU", value: `${availableParallelism()} cores of ${cpus()[0]?.model ?? "an unknown model"}` },
    { name: "memory", value: `${(totalmem() / 2 ** 30).toFixed(1)} GiB` },
    { name: "host", value: `Linux ${release()}, Node ${process.versions.node}, V8 ${process.versions.v8}` },
    ...peers.flatMap((peer) => {
      const value = peerVersion(peer);
      return value === undefined ? [] : [{ name: PEER_TITLES[peer], value }];
    }),
    {
      name: "method",
      value: `host CPU time against the native run just before, median of ${options.rounds} rounds; `
        + `translation cache ${options.cache}`,
    },
    {
      name: "image",
      value: existsSync(translationsBeside(options.root))
        ? "with bytecode of common programs beside it"
        : "with no bytecode beside it",
    },
  ];
}

/** One suite under one contender, native first. */
async function runPair(
  context: BenchContext,
  options: Options,
  round: number,
  suite: SuiteName,
  peer: PeerName,
): Promise<Sample[]> {
  const label = { round, suite, pair: peer };
  context.log(`round ${round}: ${suite}, native before ${PEER_TITLES[peer]}`);
  const native = await runSuite(context, { ...label, peer: "native" }, undefined);
  const names = native.filter(({ failure }) => failure === undefined);
  if (names.length === 0) return native;
  context.log(`round ${round}: ${suite} under ${PEER_TITLES[peer]}`);
  if (peer === "rookery" && options.cache === "cold") emptyCache(context.files.cache);
  return [...native, ...await runSuite(context, { ...label, peer }, names)];
}

async function main(): Promise<void> {
  const options = parseOptions();
  if (process.getuid?.() !== 0) {
    throw new UsageError("bench needs root: it mounts images and makes a control group");
  }
  const peers = options.peers.filter((peer) => {
    const why = missingPeer(peer);
    if (why !== undefined) console.error(why);
    return why === undefined;
  });
  const files = prepare(options.root);
  const samples: Sample[] = [];
  const facts = machineFacts(options, peers);
  try {
    using meter = new Meter();
    buildWorkloads(SOURCES, files);
    preparePeers(peers, files);
    const log = (line: string): void => console.error(line);
    const { only, timeoutMs, warmRuns } = options;
    const suites = options.suites.filter((suite) =>
      options.only.length === 0 || options.only.some((name) => name.startsWith(`${suite}.`))
    );
    const isFilled = options.cache === "warm" && suites.some((suite) => suite !== "start");
    const context = { files, meter, only, timeoutMs, warmRuns, isFilled, log };
    if (options.cache === "warm" && peers.includes("rookery")) {
      // What is kept grows for some runs: what was lukewarm becomes hot, what has proved useful is optimised.
      for (let run = 1; run <= options.warmRuns; run++) {
        log(`filling the translation cache, ${run} of ${options.warmRuns}`);
        for (const suite of suites) {
          if (suite !== "start") await runPair(context, options, 0, suite, "rookery");
        }
      }
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const suite of suites) {
        for (const peer of peers) samples.push(...await runPair(context, options, round, suite, peer));
      }
    }
  } finally {
    rmSync(files.scratch, { recursive: true, force: true });
    if (options.json !== undefined) {
      writeFileSync(options.json, `${JSON.stringify({ facts, samples }, undefined, 1)}\n`);
    }
    if (samples.length > 0) console.log(report(facts, samples));
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
