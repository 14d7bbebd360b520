// SPDX-License-Identifier: Apache-2.0
// From samples to Markdown: ratios within each pair of runs, medians over the rounds, geometric means over a suite.
//
// A ratio is that of a contender's run to the native run just before it, so that what a machine does over minutes (other
// load, its clock) moves both sides; the median then forgets the odd run. A cell that failed in any round says FAIL.

import { PEER_TITLES, type PeerName } from "./peers.ts";
import { type Cache, type Sample, SUITE_NAMES, type SuiteName } from "./suites.ts";

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** Precondition: there is a value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** 1.23, 12.3, 123. */
function threeDigits(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function duration(seconds: number): string {
  if (seconds >= 1) return `${threeDigits(seconds)} s`;
  if (seconds >= 1e-3) return `${threeDigits(seconds * 1e3)} ms`;
  if (seconds >= 1e-6) return `${threeDigits(seconds * 1e6)} us`;
  return `${threeDigits(seconds * 1e9)} ns`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, n) => (n === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

interface Column {
  readonly peer: PeerName;
  readonly cache: Cache | undefined;
  readonly title: string;
}

/** The contenders other than native that have samples, in the order of their runs. */
function columns(samples: readonly Sample[]): Column[] {
  const found = new Map<string, Column>();
  for (const { peer, cache } of samples) {
    if (peer === "native") continue;
    const title = cache === undefined ? PEER_TITLES[peer] : `${PEER_TITLES[peer]}, ${cache}`;
    if (!found.has(title)) found.set(title, { peer, cache, title });
  }
  return [...found.values()];
}

/** Median of the ratios of cost within each pair; NaN when a round failed, undefined without samples. */
export function ratio(
  samples: readonly Sample[],
  name: string,
  peer: PeerName,
  cache?: Cache,
): number | undefined {
  const own = samples.filter((s) => s.name === name && s.peer === peer && s.cache === cache);
  if (own.length === 0) return undefined;
  const ratios = own.map((sample) => {
    const native = samples.find((s) =>
      s.peer === "native" && s.pair === sample.pair && s.round === sample.round && s.name === name
    );
    return native === undefined ? NaN : sample.cost / native.cost;
  });
  return ratios.some(Number.isNaN) ? NaN : median(ratios);
}

function nativeCost(samples: readonly Sample[], name: string): number {
  const costs = samples.filter((s) => s.name === name && s.peer === "native").map((s) => s.cost);
  return costs.some(Number.isNaN) ? NaN : median(costs);
}

function cell(value: number | undefined, show: (value: number) => string): string {
  return value === undefined ? "-" : Number.isNaN(value) ? "FAIL" : show(value);
}

function suiteTable(samples: readonly Sample[]): string {
  const contenders = columns(samples);
  const names = [...new Set(samples.map((s) => s.name))];
  const ratios = contenders.map(({ peer, cache }) => names.map((name) => ratio(samples, name, peer, cache)));
  const rows = names.map((name, row) => [
    name.slice(name.indexOf(".") + 1),
    cell(nativeCost(samples, name), duration),
    ...ratios.map((column) => cell(column[row], threeDigits)),
  ]);
  const means = ratios.map((column) => {
    const good = column.filter((value): value is number => value !== undefined && !Number.isNaN(value));
    const note = good.length === names.length ? "" : ` (${good.length} of ${names.length})`;
    return good.length === 0 ? "**-**" : `**${threeDigits(geometricMean(good))}**${note}`;
  });
  return table(["workload", "native", ...contenders.map((c) => c.title)], [
    ...rows,
    ["**geometric mean**", "", ...means],
  ]);
}

function startTable(samples: readonly Sample[], name: string): string {
  const all: Column[] = [
    { peer: "native", cache: undefined, title: PEER_TITLES.native },
    ...columns(samples),
  ];
  const rows = all.map(({ peer, cache, title }) => {
    const own = samples.filter((s) => s.name === name && s.peer === peer && s.cache === cache);
    const hasFailed = own.length === 0 || own.some((s) => s.failure !== undefined);
    const show = (values: (sample: Sample) => number, format: (value: number) => string): string =>
      hasFailed ? "FAIL" : format(median(own.map(values)));
    const times = ratio(samples, name, peer, cache);
    return [
      title,
      show((s) => s.wall, duration),
      show((s) => s.cost, duration),
      peer === "native" ? "" : cell(times, threeDigits),
      show((s) => s.rssKb ?? NaN, (kb) => `${threeDigits(kb / 1024)} MiB`),
    ];
  });
  return table(["contender", "wall", "CPU", "CPU, times native", "peak RSS"], rows);
}

/** Costs themselves: how they grow with the number of things is what is looked at. */
function scaleTable(samples: readonly Sample[]): string {
  const contenders = [
    { peer: "native" as PeerName, cache: undefined, title: PEER_TITLES.native },
    ...columns(samples),
  ];
  const rows = [...new Set(samples.map((s) => s.name))].map((name) => {
    const [, curve = "", things = ""] = name.split(".");
    return [
      curve,
      Number(things).toLocaleString("en"),
      ...contenders.map(({ peer, cache }) => {
        const own = samples.filter((s) => s.name === name && s.peer === peer && s.cache === cache).map((s) =>
          s.cost
        );
        return cell(own.length === 0 ? undefined : own.some(Number.isNaN) ? NaN : median(own), duration);
      }),
    ];
  });
  return table(["operation", "among", ...contenders.map(({ title }) => title)], rows);
}

const HEADINGS: Readonly<Record<SuiteName, string>> = {
  start: "Start: launch to end, the contender's own start included",
  cpu: "Compute (`bench/workloads/cpu.c`)",
  sys: "System calls (`bench/workloads/sys.c`), CPU of one operation",
  library: "The C library and rare instructions (`bench/workloads/library.c`), CPU of one operation",
  scale: "Scale (`bench/workloads/scale.c`), one operation among so many things",
  real: "Debian programs (`bench/workloads/real.sh`)",
  jobs: "Scripts, text tools, builds (`bench/workloads/jobs.sh`)",
  volume: "A directory of the host (`bench/workloads/volume.sh`)",
};
const START_PROGRAMS: Readonly<Record<string, string>> = {
  "start.echo": "`echo hi`",
  "start.python": "`python3 -c 'print(1)'`",
};

function section(suite: SuiteName, samples: readonly Sample[]): string {
  const heading = `## ${HEADINGS[suite]}`;
  if (suite === "scale") return `${heading}\n\n${scaleTable(samples)}`;
  if (suite !== "start") return `${heading}\n\n${suiteTable(samples)}`;
  const names = [...new Set(samples.map((s) => s.name))];
  const tables = names.map((name) => `${START_PROGRAMS[name] ?? name}:\n\n${startTable(samples, name)}`);
  return [heading, ...tables].join("\n\n");
}

function failures(samples: readonly Sample[]): string[] {
  const lines = samples.filter((s) => s.failure !== undefined).map((s) =>
    `- ${s.name} under ${PEER_TITLES[s.peer]}, round ${s.round}: ${s.failure}`
  );
  return lines.length === 0 ? [] : [`## What failed\n\n${lines.join("\n")}`];
}

/** All that is known, as Markdown. */
export function report(facts: readonly Fact[], samples: readonly Sample[]): string {
  const head = table(["machine", ""], facts.map(({ name, value }) => [name, value])).replaceAll(
    "---:",
    "---",
  );
  const sections = SUITE_NAMES.flatMap((suite) => {
    const own = samples.filter((s) => s.suite === suite);
    return own.length === 0 ? [] : [section(suite, own)];
  });
  return [head, ...sections, ...failures(samples)].join("\n\n");
}
