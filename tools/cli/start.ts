// SPDX-License-Identifier: Apache-2.0
// `npm start`: a Debian shell. Builds the image the first time.

import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

import { defaultImagePath } from "./paths.ts";
import { loadRun } from "./load-run.ts";

const SHELL = ["/bin/bash", "--login"];

async function start(): Promise<number> {
  const path = defaultImagePath();
  if (!existsSync(path)) {
    console.error("rookery: no Debian image yet; building one (about a minute)");
    mkdirSync(dirname(path), { recursive: true });
    const { image } = await import("./image.ts");
    const status = await image(["build", "-o", path]);
    if (status !== 0) return status;
  }
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (isTerminal) console.error("rookery: Debian on a kernel in TypeScript; type exit to leave");
  const run = await loadRun();
  return run([...(isTerminal ? ["-t"] : []), "-w", "/root", "--", ...SHELL]);
}

try {
  process.exitCode = await start();
} catch (error) {
  console.error(`rookery: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 125;
}
