// SPDX-License-Identifier: Apache-2.0
// Compiles big.i in the working directory with clang natively and as WebAssembly, in turns, and prints CPU without starts (clang.sh).
// As `clang.mjs run TIMES` it's the one as WebAssembly: a line for each time, what `-cc1 -version` takes and what compiling takes.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const ROUNDS = 7;
const TIMES = 24;
const VERSION = ["-cc1", "-version"];
// What the driver passes on for -O2 -c, where the two would differ: one verifies and keeps names as it has assertions.
const COMPILE = [
  "-cc1 -triple wasm32-unknown-wasip1 -O2 -emit-obj -disable-free -clear-ast-before-backend -disable-llvm-verifier",
  "-discard-value-names -ffp-contract=on -vectorize-loops -vectorize-slp -x cpp-output big.i -o",
].join(" ").split(" ");

async function run(times) {
  const { runLLVM } = await import(pathToFileURL("node_modules/@yowasp/clang/gen/bundle.js"));
  const files = { "big.i": readFileSync("big.i", "utf8") };
  const quiet = { stdout: () => {}, stderr: () => {}, fetchProgress: () => {} };
  const measure = async (args) => {
    const start = process.cpuUsage();
    const out = await runLLVM(["clang", ...args], files, quiet);
    const { user, system } = process.cpuUsage(start);
    return { ms: (user + system) / 1e3, object: out?.["wasm.o"] };
  };
  await runLLVM(["clang", "--version"], {}, quiet); // Fetches and compiles the module.
  for (let i = 0; i < times; i++) {
    const start = await measure(VERSION);
    const { ms, object } = await measure([...COMPILE, "wasm.o"]);
    console.log(start.ms, ms);
    writeFileSync("wasm.o", object);
  }
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** User and system time of one process. */
function nativeMs(args) {
  const script = "TIMEFORMAT=\"%U %S\"; time \"$@\" > /dev/null";
  const { stderr } = spawnSync("bash", ["-c", script, "bash", "clang-22", ...args], { encoding: "utf8" });
  return stderr.trim().split(" ").reduce((sum, s) => sum + Number(s) * 1e3, 0);
}

/** The content of the section of code. */
function codeOf(path) {
  const bytes = readFileSync(path);
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at++];
    let size = 0, shift = 0, byte;
    do {
      byte = bytes[at++];
      size |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    if (id === 10) return bytes.subarray(at, at + size);
    at += size;
  }
}

const spread = (values, digits) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${
    Math.max(...values).toFixed(digits)
  })`;

function compare() {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const native = median(
      Array.from({ length: 7 }, () => nativeMs([...COMPILE, "native.o"]) - nativeMs(VERSION)),
    );
    const out = execFileSync(process.execPath, ["--no-warnings", process.argv[1], "run", String(TIMES)], {
      encoding: "utf8",
    });
    const times = out.trim().split("\n").map((line) => line.split(" ").map(Number));
    const starts = median(times.slice(TIMES / 2).map(([start]) => start));
    const rest = median(times.slice(TIMES / 2).map(([, ms]) => ms)) - starts;
    return { native, first: times[0][1] - starts, rest, ratio: rest / native };
  });
  const all = (key, digits = 0) => spread(rounds.map((round) => round[key]), digits);
  console.log(
    "| program | native, ms | WebAssembly, first, ms | at rest, ms | ratio |\n| --- | ---: | ---: | ---: | ---: |",
  );
  console.log(`| clang | ${all("native")} | ${all("first")} | ${all("rest")} | ${all("ratio", 2)} |`);
  const same = Buffer.compare(codeOf("native.o"), codeOf("wasm.o")) === 0;
  console.log(same ? "The code that comes out is the same." : "The code that comes out differs.");
}

const [first, times] = process.argv.slice(2);
if (first === "run") await run(Number(times));
else compare();
