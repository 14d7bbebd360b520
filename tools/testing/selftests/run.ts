// SPDX-License-Identifier: Apache-2.0
// Runs guest selftests: each C program is linked statically and run on this machine's Linux, then in a kernel with
// nothing but a tmpfs as its root. Output and exit status must be the same, and the status must be 0.
//
//   node dist/tools/testing/selftests/run.js [--native] [--strace] [--stats] [NAME...]
//
// NAME is "signal" or "signal/basic". Programs print what happened in a form that does not depend on pids or times.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { HostStreamFile } from "../../../drivers/tty/host_stream.ts";
import { execInit } from "../../../fs/exec.ts";
import { FilesStructImpl } from "../../../fs/fs.ts";
import type { Task } from "../../../include/linux/sched.ts";
import { isSleeping, type Sleeps, WOULD_BLOCK } from "../../../include/linux/wait.ts";
import { BufferConsole } from "../../../init/buffer-console.ts";
import { createKernel } from "../../../init/main.ts";
import { startStrace } from "../../../kernel/strace.ts";
import { kernelIter } from "../../../lib/uio.ts";
import { createNodeHost } from "../../../virt/host/node/host.ts";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "../../../../tools/testing/selftests");
const BUILD = join(tmpdir(), "rookery-selftests");
const MEMORY_BYTES = 256 << 20;
const TIMEOUT_MS = 60_000;
const O_WRONLY = 1;
const O_CREAT = 0o100;

interface Outcome {
  readonly output: string;
  readonly status: string;
}

/** Names as "signal/basic". */
function allTests(): string[] {
  return readdirSync(SOURCE, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap((
    folder,
  ) =>
    readdirSync(join(SOURCE, folder.name)).filter((name) => name.endsWith(".c")).map((name) =>
      `${folder.name}/${name.slice(0, -2)}`
    )
  ).sort();
}

/** Headers that a test may include: those of its folder and of all. */
function headersOf(source: string): string[] {
  return [SOURCE, dirname(source)].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.endsWith(".h")).map((name) => join(folder, name))
  );
}

/** Compiles when the binary is older than what it is made of. Returns its path. */
function build(name: string): string {
  const source = join(SOURCE, `${name}.c`);
  const binary = join(BUILD, name);
  const sources = [source, ...headersOf(source)].map((path) => statSync(path).mtimeMs);
  if (existsSync(binary) && statSync(binary).mtimeMs > Math.max(...sources)) return binary;
  mkdirSync(dirname(binary), { recursive: true });
  execFileSync("cc", [
    "-O1",
    "-static",
    "-pthread",
    "-Wall",
    "-Wno-unused-result",
    "-I",
    SOURCE,
    "-o",
    binary,
    source,
    "-lm",
  ], {
    stdio: "inherit",
  });
  return binary;
}

function runNatively(binary: string): Outcome {
  const done = spawnSync(binary, [], { encoding: "latin1", timeout: TIMEOUT_MS, env: {}, input: "" });
  return { output: done.stdout + done.stderr, status: done.signal ?? String(done.status) };
}

function* writeFile(task: Task, path: string, bytes: Uint8Array): Sleeps<void> {
  const file = yield* task.kernel.vfs.open(task, path, O_WRONLY | O_CREAT, 0o755);
  const iter = kernelIter(task.kernel.ram, bytes);
  for (let left = bytes.length; left > 0;) {
    const answer = file.write(iter, undefined);
    const count = isSleeping(answer) ? yield* answer : answer;
    if (count === WOULD_BLOCK || count === 0) throw new Error("short write");
    left -= count;
  }
  file.put();
}

async function runInRookery(binary: string, options: { strace: boolean; stats: boolean }): Promise<Outcome> {
  const { kernel } = createKernel({
    host: createNodeHost(),
    memoryBytes: MEMORY_BYTES,
    hostname: "selftest",
  });
  let oops: unknown;
  kernel.onOops = (error) => {
    oops ??= error;
    process.stderr.write(`oops: ${error instanceof Error ? String(error.stack) : String(error)}\n`);
  };
  if (options.strace) startStrace(kernel, { write: (line) => process.stderr.write(line) });
  const console = new BufferConsole();
  const files = new FilesStructImpl();
  const image = readFileSync(binary);
  let status: number | undefined;
  kernel.spawn({
    comm: "selftest",
    fs: kernel.rootFs(),
    files,
    cred: kernel.rootCred,
    onExit: (code) => {
      status = code;
    },
    *load(task) {
      for (let fd = 0; fd < 3; fd++) {
        task.files.install(task, new HostStreamFile(kernel, console, O_WRONLY), false);
      }
      yield* writeFile(task, "/selftest", image);
      yield* execInit(task, "/selftest", ["/selftest"], []);
    },
  });
  const deadline = kernel.time.monotonicNs() + TIMEOUT_MS * 1e6;
  const timer = kernel.time.addTimer(deadline, () => kernel.sched.requestStop());
  await kernel.run(() => status !== undefined || oops !== undefined);
  timer.cancel();
  const code = status === undefined
    ? "timeout"
    : (status & 0x7f) === 0
    ? String(status >> 8)
    : `signal ${String(status & 0x7f)}`;
  if (options.stats) {
    process.stderr.write(`${JSON.stringify({ retired: kernel.cpu.retired, ...kernel.cpu.statistics() })}\n`);
  }
  return { output: new TextDecoder("latin1").decode(console.written()), status: code };
}

function report(name: string, native: Outcome, ours: Outcome | undefined): boolean {
  const isSane = native.status === "0";
  if (!isSane) {
    process.stdout.write(`not ok ${name}: on Linux it ends with ${native.status}\n${native.output}`);
  }
  if (ours === undefined) {
    if (isSane) process.stdout.write(`ok ${name} (native)\n`);
    return isSane;
  }
  if (isSane && ours.output === native.output && ours.status === native.status) {
    process.stdout.write(`ok ${name}\n`);
    return true;
  }
  process.stdout.write(
    `not ok ${name}: ends with ${ours.status}\n--- Linux\n${native.output}--- Rookery\n${ours.output}`,
  );
  return false;
}

const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith("--")));
const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"));
let failures = 0;
for (const name of allTests()) {
  if (wanted.length > 0 && !wanted.some((word) => name === word || name.startsWith(`${word}/`))) continue;
  const binary = build(name);
  const native = runNatively(binary);
  const ours = flags.has("--native")
    ? undefined
    : await runInRookery(binary, { strace: flags.has("--strace"), stats: flags.has("--stats") });
  if (!report(name, native, ours)) failures++;
}
process.exitCode = failures === 0 ? 0 : 1;
