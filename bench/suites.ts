// SPDX-License-Identifier: Apache-2.0
// The suites: what each runs under a contender, and what a result costs.
//
// A suite is one command that runs workload after workload. When the contender dies or falls silent, the workload that
// was due is marked as failed and the suite goes on with the rest in a new run, so that one defect costs one cell.

import { rmSync } from "node:fs";

import type { Meter, Stamp } from "./meter.ts";
import { type BenchFiles, peerCommand, type PeerName } from "./peers.ts";

export const SUITE_NAMES = ["start", "cpu", "sys", "library", "scale", "real", "jobs", "volume"] as const;
export type SuiteName = typeof SUITE_NAMES[number];
/** Empty; filled by the same program; filled by all other suites as well. */
export type Cache = "cold" | "warm" | "shared";

/** One result, as --json writes it. */
export interface Sample {
  readonly round: number;
  readonly suite: SuiteName;
  readonly peer: PeerName;
  /** State of Rookery's translation cache; undefined for the others. */
  readonly cache?: Cache | undefined;
  /** The peer whose native run this is: ratios are made within a pair. */
  readonly pair: string;
  readonly name: string;
  /** Host CPU seconds; of one operation for sys and library. For scale seconds of one operation, as it was measured in the contender. NaN when it failed. */
  readonly cost: number;
  readonly wall: number;
  /** Peak of the largest process; known for `start`. */
  readonly rssKb?: number | undefined;
  /** The workload's own line. */
  readonly values: string;
  readonly failure?: string | undefined;
}

export interface BenchContext {
  readonly files: BenchFiles;
  readonly meter: Meter;
  readonly only: readonly string[];
  readonly timeoutMs: number;
  /** Runs that fill the cache before a warm one is counted. */
  readonly warmRuns: number;
  /** Whether other suites have filled the cache. */
  readonly isFilled: boolean;
  readonly log: (line: string) => void;
}

/** What is the same for all samples of a run. */
export type RunLabel = Pick<Sample, "round" | "suite" | "peer" | "cache" | "pair">;

const ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", LC_ALL: "C" };

interface Start {
  readonly name: string;
  readonly argv: readonly string[];
  readonly prints: string;
}

const STARTS: readonly Start[] = [
  { name: "start.echo", argv: ["/bin/echo", "hi"], prints: "hi" },
  { name: "start.python", argv: ["/usr/bin/python3", "-c", "print(1)"], prints: "1" },
];

/** Throws away what earlier runs of Rookery translated. */
export function emptyCache(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** The starts have a cache of their own, because they empty it. */
function startCache(files: BenchFiles, cache: Cache | undefined): string {
  return cache === "shared" ? files.cache : `${files.cache}-start`;
}

function suiteCommand(suite: Exclude<SuiteName, "start">, names: readonly string[]): string[] {
  const words = names.map((name) => name.slice(suite.length + 1));
  switch (suite) {
    case "cpu":
      return ["/bench/cpu", ...words];
    case "sys":
      return ["/usr/bin/env", "BENCH_TMP=/tmp", "MIN_T=0.1", "/bench/sys", ...words];
    case "library":
      return ["/bench/library", ...words];
    case "scale":
      return ["/bench/scale", ...words];
    case "real":
      return ["/bin/bash", "/bench/real.sh", "/bench/timeit", "/data", "/tmp/work", ...words];
    case "jobs":
      return ["/bin/bash", "/bench/jobs.sh", "/bench/timeit", "/data", "/tmp/jobs", ...words];
    case "volume":
      return ["/bin/bash", "/bench/volume.sh", "/bench/timeit", "/data", "/tmp/volume", ...words];
  }
}

const SILENT_RUNS_MAX = 2;

function field(values: string, name: string): string | undefined {
  return new RegExp(`(?:^| )${name}=(\\S+)`).exec(values)?.[1];
}

/** A sample of what a workload printed. `reference` is the native one, whose sum must come out again. */
export function sampleOf(label: RunLabel, stamp: Stamp, reference?: Sample): Sample {
  const { name, values, wall } = stamp;
  const base = { ...label, name, values, wall };
  if (values.startsWith("FAIL")) return { ...base, cost: NaN, failure: values };
  const sum = field(values, "sum");
  if (reference !== undefined && sum !== undefined && sum !== field(reference.values, "sum")) {
    return { ...base, cost: NaN, failure: `wrong result: ${values}, native ${reference.values}` };
  }
  if (label.suite === "scale") return { ...base, cost: Number(values.split(" ")[0]) };
  const isCounted = label.suite === "sys" || label.suite === "library";
  const operations = isCounted ? Number(field(values, "ops")) : 1;
  return { ...base, cost: stamp.cpu / operations };
}

function failed(label: RunLabel, name: string, failure: string): Sample {
  return { ...label, name, cost: NaN, wall: NaN, values: "", failure };
}

function environment(cache: string): NodeJS.ProcessEnv {
  return { ...ENV, XDG_CACHE_HOME: cache };
}

/** Runs a suite once under one contender. `reference` holds the native samples; without it, this is the native run. */
export async function runSuite(
  context: BenchContext,
  label: RunLabel,
  reference: readonly Sample[] | undefined,
): Promise<Sample[]> {
  if (label.suite === "start") return runStarts(context, label);
  const { suite, peer } = label;
  const only = context.only.filter((name) => name.startsWith(`${suite}.`));
  const samples: Sample[] = [];
  let due = reference?.map((sample) => sample.name) ?? only;
  let silentRuns = 0;
  for (;;) {
    const known = samples.length;
    // All that are due in the first run need no names.
    const words = samples.length === 0 ? only : due;
    const { end, errors } = await context.meter.run(
      peerCommand(peer, context.files, suiteCommand(suite, words)),
      {
        env: environment(context.files.cache),
        timeoutMs: context.timeoutMs,
        onStamp: (stamp) => {
          context.log(`  ${stamp.name} ${stamp.values} host-cpu=${stamp.cpu.toFixed(3)}`);
          samples.push(sampleOf(label, stamp, reference?.find((other) => other.name === stamp.name)));
        },
      },
    );
    due = due.filter((name) => samples.every((sample) => sample.name !== name));
    // A native run that broke off tells no names of what is missing.
    const isBroken = reference === undefined && only.length === 0 && end !== "exit status 0";
    const lost = due.shift() ?? (isBroken ? `${suite}.rest` : undefined);
    if (lost === undefined) return samples;
    context.log(`  ${lost} FAIL ${end}: ${errors.trim()}`);
    silentRuns = samples.length > known ? 0 : silentRuns + 1;
    samples.push(failed(label, lost, end));
    // A contender that does not even start is not asked again and again.
    if (silentRuns >= SILENT_RUNS_MAX) samples.push(...due.splice(0).map((name) => failed(label, name, end)));
    if (due.length === 0) return samples;
  }
}

/** A whole contender is started, runs one small program and ends; Rookery more than once, and the cache is what differs. */
async function runStarts(context: BenchContext, label: RunLabel): Promise<Sample[]> {
  const caches: (Cache | undefined)[] = label.peer === "rookery" ? ["cold", "warm"] : [undefined];
  if (label.peer === "rookery" && context.isFilled) caches.push("shared");
  const samples: Sample[] = [];
  for (const start of STARTS) {
    if (context.only.length > 0 && !context.only.includes(start.name)) continue;
    for (const cache of caches) {
      // The cold run is the first that fills the cache.
      const uncounted = cache === undefined || cache === "cold" ? 0 : context.warmRuns - 1;
      for (let run = 0; run < uncounted; run++) await runStart(context, { ...label, cache }, start);
      samples.push(await runStart(context, { ...label, cache }, start));
    }
  }
  return samples;
}

async function runStart(context: BenchContext, label: RunLabel, start: Start): Promise<Sample> {
  const { name, argv, prints } = start;
  const cacheDirectory = startCache(context.files, label.cache);
  if (label.cache === "cold") emptyCache(cacheDirectory);
  const { stamps, end, errors } = await context.meter.run(
    peerCommand(label.peer, context.files, argv, name),
    { env: { ...environment(cacheDirectory), TIMEIT_SHOW: "1" }, timeoutMs: context.timeoutMs },
  );
  const stamp = stamps[0];
  if (stamp?.output.includes(prints) !== true) {
    const why = stamp === undefined ? end : `${prints} was not printed`;
    context.log(`  ${name} FAIL ${why}: ${errors.trim()}`);
    return failed(label, name, why);
  }
  context.log(`  ${name} ${stamp.values} host-cpu=${stamp.cpu.toFixed(3)}`);
  const wall = Number(stamp.values.split(" ")[0]);
  return { ...sampleOf(label, stamp), wall, rssKb: Number(field(stamp.values, "maxrss")) };
}
