// SPDX-License-Identifier: Apache-2.0
// Builds native-runner.c and runs batches of instances on the real CPU with it.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Batch, decodeResults, encodeBatch, type Result } from "./records.ts";

const FLAGS = ["-O2", "-fno-stack-protector", "-mfsgsbase", "-pie", "-fPIE"];

function sourcePath(): string {
  // From dist/tools/testing/isa/ to the source tree.
  return fileURLToPath(new URL("../../../../tools/testing/isa/native-runner.c", import.meta.url));
}

/** Path of the compiled runner; compiles when the source has changed. Throws one clear line when it cannot. */
export function buildNativeRunner(): string {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `the instruction oracle needs an x86-64 Linux host, this is ${process.platform} ${process.arch}`,
    );
  }
  const source = sourcePath();
  const digest = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), "rookery-isa");
  const runner = join(folder, `native-runner-${digest}`);
  if (existsSync(runner)) return runner;
  mkdirSync(folder, { recursive: true });
  const fresh = `${runner}.${process.pid}`;
  const compiler = spawnSync("gcc", [...FLAGS, "-o", fresh, source], { encoding: "utf8" });
  if (compiler.error !== undefined) {
    throw new Error(`the instruction oracle needs gcc: ${compiler.error.message}`);
  }
  if (compiler.status !== 0) throw new Error(`native-runner.c does not compile:\n${compiler.stderr}`);
  renameSync(fresh, runner);
  return runner;
}

export function runNative(runner: string, batch: Batch): Result[] {
  const child = spawnSync(runner, [], { input: encodeBatch(batch), maxBuffer: 1 << 30 });
  if (child.error !== undefined) throw child.error;
  if (child.status !== 0) {
    const how = child.signal ?? `status ${child.status}`;
    throw new Error(`native runner ended with ${how}: ${child.stderr.toString()}`);
  }
  return decodeResults(child.stdout, batch.instances.length);
}
