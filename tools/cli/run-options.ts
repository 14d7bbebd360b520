// SPDX-License-Identifier: Apache-2.0
// `rookery run`: its options as data, checked. Names and meanings follow docker-run(1).

import { Command, InvalidArgumentError, Option } from "commander";
import { isAbsolute } from "node:path";

import { parseDuration, parseSize } from "../../lib/units.ts";
import { UsageError } from "./errors.ts";

export interface Volume {
  readonly source: string;
  readonly target: string;
  readonly mode: "rw" | "ro" | "overlay";
}

export interface RunOptions {
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly volumes: readonly Volume[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string | undefined;
  readonly user: string | undefined;
  readonly hostname: string | undefined;
  readonly memoryBytes: number;
  readonly timeoutMs: number | undefined;
  /** undefined: off; "": every call; else a comma-separated set of names. */
  readonly strace: string | undefined;
  readonly seed: number | undefined;
  readonly time: "real" | "virtual";
  readonly root: string | undefined;
  readonly statistics: boolean;
  /** Where the flame graph goes; undefined: no profile. */
  readonly perf: string | undefined;
  readonly argv: readonly string[];
}

const DEFAULT_MEMORY = "1g";
const DEFAULT_PERF_FILE = "perf.html";
/** Room for a page cache and a shell; below this nothing useful starts. */
const MEMORY_MIN_BYTES = 16 * 2 ** 20;
/** WebAssembly's 32-bit memory. */
const MEMORY_MAX_BYTES = 4 * 2 ** 30 - 64 * 2 ** 20;

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

function parseVolume(text: string): Volume {
  const match = /^(.+?):(\/[^:]*)(?::([^:]*))?$/.exec(text);
  if (match === null) throw new UsageError(`-v: "${text}" is not SRC:DST[:ro|:overlay] with an absolute DST`);
  const mode = match[3] ?? "rw";
  if (mode !== "rw" && mode !== "ro" && mode !== "overlay") {
    throw new UsageError(`-v: "${mode}" is not one of ro, rw, overlay`);
  }
  return { source: match[1]!, target: match[2]!, mode };
}

function parseEnv(texts: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals === 0) throw new UsageError(`-e: "${text}" has no name before "="`);
    if (equals > 0) env[text.slice(0, equals)] = text.slice(equals + 1);
    else if (process.env[text] !== undefined) env[text] = process.env[text];
  }
  return env;
}

function parseSeed(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > 0xffff_ffff) {
    throw new InvalidArgumentError("a whole number below 2^32 is needed");
  }
  return Number(text);
}

function memory(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new UsageError(`--memory: "${text}" is not a size like 512m or 1g`);
  if (bytes < MEMORY_MIN_BYTES || bytes > MEMORY_MAX_BYTES) {
    throw new UsageError(`--memory: ${text} is outside 16m to 4032m`);
  }
  return bytes;
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new UsageError(`--timeout: "${text}" is not a duration like 30s or 500ms`);
  return ms;
}

function command(): Command {
  return new Command("rookery run")
    .usage("[options] [--] CMD ARG...")
    .description("Run a program in a fresh machine; its exit status is ours.")
    .passThroughOptions()
    .argument("<command...>")
    .option("-i, --interactive", "keep standard input open (it always is; for docker's sake)", false)
    .option("-t, --tty", "give the program a terminal", false)
    .option(
      "-v, --volume <SRC:DST[:ro|:overlay]>",
      "a directory of the host; overlay keeps changes in memory",
      collect,
      [],
    )
    .option("-e, --env <K=V>", "environment; K alone takes the host's value", collect, [])
    .option("-w, --workdir <DIR>", "working directory")
    .option("-u, --user <USER[:GROUP]>", "user name or id")
    .option("-h, --hostname <NAME>", "host name")
    .option("--memory <SIZE>", "guest memory", DEFAULT_MEMORY)
    .addOption(new Option("--network <MODE>", "network").choices(["none", "loopback"]).default("none"))
    .option("--seed <N>", "deterministic run; implies --time virtual", parseSeed)
    .addOption(new Option("--time <CLOCK>", "clock").choices(["real", "virtual"]).default("real"))
    .option("--timeout <TIME>", "kill the machine after this long; exit status 124")
    .option("--strace [SET]", "show system calls on standard error (SET: names, comma-separated)")
    .option("--root <IMAGE>", "root image (default: $ROOKERY_IMAGE or the image of `rookery image build`)")
    .option("--stats", "print the machine's counters at the end", false)
    .option("--perf [FILE]", `profile: summary on standard error, flame graph in FILE (${DEFAULT_PERF_FILE})`)
    .helpOption("--help", "this text")
    .exitOverride();
}

/** Parses the words after `rookery run`. Throws UsageError or commander's CommanderError (already printed). */
export function parseRunOptions(words: readonly string[]): RunOptions {
  const parser = command().parse([...words], { from: "user" });
  const o: Record<string, unknown> = parser.opts();
  const text = (name: string): string | undefined => (typeof o[name] === "string" ? o[name] : undefined);
  const list = (name: string): string[] => (Array.isArray(o[name]) ? o[name].map(String) : []);
  const workingDirectory = text("workdir");
  if (workingDirectory !== undefined && !isAbsolute(workingDirectory)) {
    throw new UsageError(`-w: "${workingDirectory}" is not an absolute path`);
  }
  const timeout = text("timeout");
  const seed = typeof o["seed"] === "number" ? o["seed"] : undefined;
  return {
    interactive: o["interactive"] === true,
    tty: o["tty"] === true,
    volumes: list("volume").map(parseVolume),
    env: parseEnv(list("env")),
    workingDirectory,
    user: text("user"),
    hostname: text("hostname"),
    memoryBytes: memory(text("memory") ?? DEFAULT_MEMORY),
    timeoutMs: timeout === undefined ? undefined : duration(timeout),
    strace: o["strace"] === true ? "" : text("strace"),
    seed,
    time: seed !== undefined || o["time"] === "virtual" ? "virtual" : "real",
    root: text("root"),
    statistics: o["stats"] === true,
    perf: o["perf"] === true ? DEFAULT_PERF_FILE : text("perf"),
    argv: parser.args,
  };
}
