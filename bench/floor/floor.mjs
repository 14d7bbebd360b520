// SPDX-License-Identifier: Apache-2.0
// Runs a program that was compiled four ways (ways.sh), in turns, and prints medians and their ratios to the native ones.
// usage: floor.mjs NAME FILE [ARGUMENT...]: runs NAME [ARGUMENT...] FILE TIMES.
// As `floor.mjs run MODULE DIRECTORY ARGUMENT...` it is one of the runs: a module of WASI, with DIRECTORY as /in.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";

const ROUNDS = 7;
const TIMES = 8;

async function runModule(path, directory, args) {
  const { WASI } = await import("node:wasi");
  const { PYTHONPATH = "" } = process.env;
  const preopens = { "/in": directory, "/": "." };
  const wasi = new WASI({ version: "preview1", args: [path, ...args], env: { PYTHONPATH }, preopens });
  const module = new WebAssembly.Module(readFileSync(path));
  wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Milliseconds at rest, which is the second half, and the sum of what came out. */
function measure(program, file, args) {
  const argv = program.endsWith(".wasm")
    ? [process.execPath, "--no-warnings", process.argv[1], "run", program, dirname(file)].concat(
      args,
      `/in/${basename(file)}`,
    )
    : [`./${program}`, ...args, file];
  const out = execFileSync(argv[0], [...argv.slice(1), TIMES], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = out.trim().split("\n").map((line) => line.split(" "));
  return { sum: lines[0][0], ms: median(lines.slice(TIMES / 2).map(([, ms]) => Number(ms))) };
}

function compare(name, file, args) {
  const programs = [name, `${name}-checks`, `${name}.wasm`, `${name}-checks.wasm`];
  const rounds = Array.from(
    { length: ROUNDS },
    () => programs.map((program) => measure(program, file, args)),
  );
  const sums = new Set(rounds.flat().map(({ sum }) => sum));
  if (sums.size !== 1 || sums.has("0")) throw new Error(`${name}: answers differ: ${[...sums].join(" ")}`);
  const ratio = (n) => {
    const ratios = rounds.map((round) => round[n].ms / round[0].ms);
    return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${
      Math.max(...ratios).toFixed(2)
    })`;
  };
  const native = median(rounds.map((round) => round[0].ms)).toFixed(0);
  console.log(
    "| program | native | with checks | WebAssembly | WebAssembly with checks |\n| --- | ---: | ---: | ---: | ---: |",
  );
  console.log(`| ${name} | ${native} ms | ${ratio(1)} | ${ratio(2)} | ${ratio(3)} |`);
}

const [first, ...rest] = process.argv.slice(2);
if (first === "run") await runModule(rest[0], rest[1], rest.slice(2));
else compare(first, rest[0], rest.slice(1));
