// SPDX-License-Identifier: Apache-2.0
// `rookery run`: one program in a fresh machine, with this process's terminal or streams as its own.

import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

import type { TranslationStore } from "../../include/host/translations.ts";
import { Machine, type MachineMount, type Process } from "../../init/machine.ts";
import { openHostDirectory } from "../../virt/host/node/directory.ts";
import { fileDisk } from "../../virt/host/node/disk.ts";
import { NodeConsole, writeAll } from "../../virt/host/node/console.ts";
import { createNodeHost } from "../../virt/host/node/host.ts";
import { directoryStore } from "../../virt/host/node/translations.ts";
import { createSimHost } from "../../virt/host/sim/host.ts";
import { flameGraph } from "../perf/flame-graph.ts";
import { Profiler } from "../perf/profiler.ts";
import { summary } from "../perf/summary.ts";
import { UsageError } from "./errors.ts";
import { cacheDirectory, defaultImagePath, translationsBeside } from "./paths.ts";
import { parseRunOptions, type RunOptions, type Volume } from "./run-options.ts";

/** Put in by scripts/bundle.ts: names the code that decides what translations mean. */
declare const ROOKERY_BUILD: string | undefined;

/** timeout(1)'s status for a program that ran out of time. */
const EXIT_TIMED_OUT = 124;
const EXIT_SIGNAL_BASE = 128;
/** Instructions that it takes a second to translate and more. */
const LONG_WORK = 10_000;
const SIGHUP = 1;
const SIGINT = 2;
const SIGTERM = 15;

/** Runs the command line `words`; the guest's exit status. `built`: the folder with what the build has left for first runs. */
export async function run(words: readonly string[], built?: string): Promise<number> {
  const options = parseRunOptions(words);
  if (options.tty && process.stdin.isTTY !== true) {
    throw new UsageError("-t: standard input is not a terminal");
  }
  const imagePath = options.root ?? defaultImagePath();
  if (!existsSync(imagePath)) {
    throw new UsageError(
      `no root image at ${imagePath}: build one with \`rookery image build -o ${imagePath}\``,
    );
  }
  if (!statSync(imagePath).isFile()) throw new UsageError(`--root: ${imagePath} is not an image file`);
  using disk = fileDisk(imagePath);
  const host = options.time === "virtual"
    ? createSimHost({ seed: options.seed ?? 0, breathe: () => setImmediate() })
    : createNodeHost();
  const strace = options.strace;
  const profiler = options.perf === undefined ? undefined : new Profiler(host.clock, options.time);
  await using machine = await Machine.boot({
    host,
    root: disk,
    memoryBytes: options.memoryBytes,
    hostname: options.hostname,
    mounts: options.volumes.map(openVolume),
    strace: strace === undefined
      ? undefined
      : {
        names: strace === "" ? undefined : strace.split(","),
        write: (line) => writeAll(2, Buffer.from(line, "latin1")),
      },
    // What an earlier run left would change when code is translated, and with it what a seed means.
    translations: options.time === "virtual" ? undefined : keptTranslations(imagePath, built),
    ...profiler?.hooks,
  });
  profiler?.start(machine);
  const console0 = new NodeConsole(host, { raw: options.tty });
  try {
    const child = machine.spawn(options.argv, {
      env: environment(options),
      cwd: options.workingDirectory,
      user: options.user,
      stdio: options.tty
        ? { terminal: console0 }
        : {
          stdin: console0,
          stdout: console0,
          stderr: new NodeConsole(host, { raw: false, output: 2, noInput: true }),
        },
    });
    return await supervise(machine, child, options);
  } finally {
    console0.close();
    if (profiler !== undefined) await writeProfile(profiler, machine, options);
    if (options.statistics) printStatistics(machine);
  }
}

/** Reports what the profiler saw; a file that cannot be written is said, and the program's exit status stays. */
async function writeProfile(profiler: Profiler, machine: Machine, options: RunOptions): Promise<void> {
  const profile = await profiler.finish(machine);
  process.stderr.write(summary(profile));
  const path = options.perf ?? "";
  try {
    writeFileSync(path, flameGraph(profile, options.argv.join(" ")));
    process.stderr.write(`flame graph: ${path}\n`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`rookery: --perf: cannot write ${path}: ${why}\n`);
  }
}

/** Undefined where the program is not bundled: the name of the build is made with the bundle. */
function keptTranslations(image: string, built: string | undefined): TranslationStore | undefined {
  if (typeof ROOKERY_BUILD === "undefined") return undefined;
  const shipped = { runtime: built, image: translationsBeside(image) };
  const store = directoryStore(join(cacheDirectory(), "translations"), ROOKERY_BUILD, shipped);
  store.noteWork = tellOfWork();
  return store;
}

/** Says once on a terminal that the end takes longer than a second. */
function tellOfWork(): (instructions: number) => void {
  let left = LONG_WORK;
  return (instructions) => {
    if (left <= 0) return;
    left -= instructions;
    if (left <= 0 && process.stderr.isTTY) {
      process.stderr.write(
        "rookery: optimising what was translated, for later runs (Ctrl-C leaves it out)\n",
      );
    }
  };
}

function openVolume(volume: Volume): MachineMount {
  try {
    return {
      target: volume.target,
      directory: openHostDirectory(volume.source, volume.mode !== "rw"),
      mode: volume.mode,
    };
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`-v: cannot open the directory ${volume.source} (${why})`);
  }
}

function environment(options: RunOptions): Record<string, string> {
  const terminal: Record<string, string> = options.tty ? { TERM: process.env["TERM"] ?? "xterm" } : {};
  return { ...terminal, ...options.env };
}

/** Passes signals on, enforces the timeout, turns the end of `child` into an exit status. */
async function supervise(machine: Machine, child: Process, options: RunOptions): Promise<number> {
  let interrupts = 0;
  let killed: (status: number) => void = () => {};
  const kill = new Promise<number>((resolve) => {
    killed = resolve;
  });
  const onInterrupt = (): void => {
    if (++interrupts > 1) killed(EXIT_SIGNAL_BASE + SIGINT);
    else child.kill(SIGINT);
  };
  const onTerminate = (): void => child.kill(SIGTERM);
  const onHangup = (): void => child.kill(SIGHUP);
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  process.on("SIGHUP", onHangup);
  const timer = options.timeoutMs === undefined
    ? undefined
    : setTimeout(() => killed(EXIT_TIMED_OUT), options.timeoutMs);
  try {
    const status = child.exited.then(({ exitCode, signal }) =>
      signal === undefined ? exitCode : EXIT_SIGNAL_BASE + signal
    );
    return await Promise.race([status, kill, machine.failed]);
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onTerminate);
    process.off("SIGHUP", onHangup);
  }
}

function printStatistics(machine: Machine): void {
  for (const [name, value] of Object.entries(machine.statistics())) {
    console.error(`${name.padEnd(28)} ${value}`);
  }
}
