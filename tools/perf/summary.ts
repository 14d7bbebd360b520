// SPDX-License-Identifier: Apache-2.0
// A profile as text for a terminal: the hottest symbols, what the kernel did, the machine's counters.

import type { Profile } from "./profile.ts";
import { symbolTable } from "./tree.ts";

const SYMBOLS_SHOWN = 20;
const CALLS_SHOWN = 15;

/** Counters that mean something to someone who tunes a program; the others keep the machine's own names. */
export const COUNTER_WORDS: Readonly<Record<string, string>> = {
  tlbFills: "TLB misses",
  dispatches: "region exits: by the dispatcher, to another region or block",
  slowExits: "region exits: an access that its TLB check refused",
  misses: "region exits: code not in the jump cache",
  links: "jumps linked between blocks",
  slices: "visits of TypeScript within a run",
  steps: "single steps",
  codeWrites: "stores into translated code",
  lifted: "blocks lifted",
  liftedInstructions: "instructions lifted",
  liftedAhead: "blocks lifted ahead of being run",
  loadedBlocks: "blocks whose bytecode an earlier run left",
  regions: "regions translated, and taken from earlier runs",
  storedModules: "modules taken from earlier runs",
  emptied: "times that the arena of code was emptied",
  modules: "modules compiled",
};

export interface CounterRow {
  readonly name: string;
  readonly words: string;
  readonly value: number;
}

/** The machine's counters, the explained ones first. */
export function counterRows(profile: Profile): CounterRow[] {
  const rows = Object.entries(profile.counters).filter(([, value]) => value !== 0).map(([name, value]) => ({
    name,
    words: COUNTER_WORDS[name] ?? name,
    value,
  }));
  const rank = (row: CounterRow): number => {
    const index = Object.keys(COUNTER_WORDS).indexOf(row.name);
    return index < 0 ? Infinity : index;
  };
  return rows.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
}

export interface CallRow {
  readonly name: string;
  readonly count: number;
  readonly hostNs: number;
}

/** Kernel functions over all processes, costliest first. */
export function callRows(profile: Profile): CallRow[] {
  const rows = new Map<string, { name: string; count: number; hostNs: number }>();
  for (const { name, count, hostNs } of profile.kernel) {
    let row = rows.get(name);
    if (row === undefined) rows.set(name, row = { name, count: 0, hostNs: 0 });
    row.count += count;
    row.hostNs += hostNs;
  }
  return [...rows.values()].sort((a, b) => b.hostNs - a.hostNs || b.count - a.count);
}

export function grouped(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

export function milliseconds(ns: number): string {
  return `${(ns / 1e6).toFixed(ns < 1e7 ? 2 : 1)} ms`;
}

/** How the run divides, in one line. */
export function headline(profile: Profile): string {
  const kernelNs = profile.kernel.reduce((sum, entry) => sum + entry.hostNs, 0);
  const times = profile.hasTime
    ? `; ${milliseconds(profile.hostNs)} in programs, ${
      milliseconds(kernelNs)
    } in the kernel and the compiler`
    : "; virtual time, so no host times";
  return `${grouped(profile.samples)} samples, one in ${grouped(profile.period)} instructions; `
    + `${grouped(profile.instructions)} instructions${times}`;
}

/** Lines for standard error. */
export function summary(profile: Profile): string {
  const weightOf = profile.hasTime ? "hostNs" : "instructions";
  const rows = symbolTable(profile, weightOf);
  const all = rows.reduce((sum, row) => sum + row.self, 0);
  const share = (value: number): string => `${(100 * value / Math.max(all, 1)).toFixed(2).padStart(6)}%`;
  const what = profile.hasTime ? "host time" : "instructions";
  const lines = [
    `rookery perf: ${headline(profile)}`,
    "",
    `   self  callees+self  symbol (share of ${what})`,
  ];
  for (const row of rows.slice(0, SYMBOLS_SHOWN)) {
    lines.push(`${share(row.self)}        ${share(row.total)}  ${row.symbol}  ${row.file}`);
  }
  if (rows.length > SYMBOLS_SHOWN) lines.push(`        ... and ${rows.length - SYMBOLS_SHOWN} more symbols`);
  lines.push("", `${"calls".padStart(12)}  ${"host time".padStart(12)}  kernel or compiler`);
  for (const { name, count, hostNs } of callRows(profile).slice(0, CALLS_SHOWN)) {
    const time = profile.hasTime ? milliseconds(hostNs) : "-";
    lines.push(`${grouped(count).padStart(12)}  ${time.padStart(12)}  ${name}`);
  }
  lines.push("", `${"count".padStart(16)}  counter`);
  for (const { words, value } of counterRows(profile)) lines.push(`${grouped(value).padStart(16)}  ${words}`);
  return `${lines.join("\n")}\n`;
}
