// SPDX-License-Identifier: Apache-2.0
// The image that system tests run on, and short ways to run something in it.

import { execFile } from "node:child_process";

/** Path of the image; `npm test` builds it and sets the variable. */
export function testImage(): string {
  const path = process.env["ROOKERY_TEST_IMAGE"];
  if (path === undefined) {
    throw new Error("ROOKERY_TEST_IMAGE names no image: run `npm test`, which builds one");
  }
  return path;
}

export interface CliResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** Runs the command line `rookery ARGS` as a user would; `env` is added to the environment. */
export function rookery(
  args: readonly string[],
  input = "",
  env: NodeJS.ProcessEnv = {},
): Promise<CliResult> {
  const cli = new URL("../../../bin/rookery.js", import.meta.url).pathname;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [cli, ...args],
      { maxBuffer: 1 << 26, env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        resolve({ stdout, stderr, status: error === null ? 0 : child.exitCode });
      },
    );
    child.stdin?.end(input);
  });
}

/** `rookery run` on the test image. */
export function run(args: readonly string[], input = "", env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  return rookery(["run", "--root", testImage(), ...args], input, env);
}
