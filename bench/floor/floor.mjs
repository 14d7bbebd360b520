// SPDX-License-Identifier: Apache-2.0
// Runs what floor.sh has built, in turns, and prints medians and their ratios to the native ones. usage: floor.mjs SQL TEXT
// As `floor.mjs run MODULE FILE TIMES` it is one of the runs: a module of WASI.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";

const ROUNDS = 7;
const TIMES = 8;

async function runModule(path, file) {
  const { WASI } = await import("node:wasi");
  const args = [path, `/in/${basename(file)}`, String(TIMES)];
  const wasi = new WASI({ version: "preview1", args, preopens: { "/in": dirname(file) } });
  const module = new WebAssembly.Module(readFileSync(path));
  wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Milliseconds at rest, which is the second half, and the sum of what came out. */
function measure(program, file) {
  const argv = program.endsWith(".wasm")
    ? [process.execPath, "--no-warnings", process.argv[1], "run", program, file]
    : [`./${program}`, file, String(TIMES)];
  const lines = execFileSync(argv[0], argv.slice(1), { encoding: "utf8" }).trim().split("\n").map((line) =>
    line.split(" ")
  );
  return { sum: lines[0][0], ms: median(lines.slice(TIMES / 2).map(([, ms]) => Number(ms))) };
}

function compare(name, file) {
  const programs = [name, `${name}-checks`, `${name}.wasm`, `${name}-checks.wasm`];
  const rounds = Array.from({ length: ROUNDS }, () => programs.map((program) => measure(program, file)));
  const sums = new Set(rounds.flat().map(({ sum }) => sum));
  if (sums.size !== 1 || sums.has("0")) throw new Error(`${name}: answers differ: ${[...sums].join(" ")}`);
  const ratio = (n) => median(rounds.map((round) => round[n].ms / round[0].ms)).toFixed(2);
  const native = median(rounds.map((round) => round[0].ms)).toFixed(0);
  console.log(`| ${name} | ${native} ms | ${ratio(1)} | ${ratio(2)} | ${ratio(3)} |`);
}

const [first, module, file] = process.argv.slice(2);
if (first === "run") {
  await runModule(module, file);
} else {
  console.log(
    "| program | native | with checks | WebAssembly | WebAssembly with checks |\n| --- | ---: | ---: | ---: | ---: |",
  );
  compare("sqlite", first);
  compare("xz", module);
}
