// SPDX-License-Identifier: Apache-2.0
// `npm test`: format, lint, the shape of the tree, unit tests, then everything that needs a Debian image and a real
// Linux beside it. Installs through apt what it compares with, or asks for it in one line.
//
//   node dist/scripts/test.js [--unit] [--only PATTERN]

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { cacheDirectory } from "../tools/cli/paths.ts";
import { DIFFERENTIAL_TEST_PACKAGES } from "../tools/image/packages.ts";

/** Programs that the tests compare with, and the Debian packages that hold them. */
const TOOLS: Readonly<Record<string, string>> = {
  gcc: "gcc",
  "fsck.erofs": "erofs-utils",
  unshare: "util-linux",
  strace: "strace",
};
/** What only system tests need. */
const SYSTEM_TOOLS: Readonly<Record<string, string>> = { chromium: "chromium" };
const UNIT_TIMEOUT_MS = 120_000;
const SYSTEM_TIMEOUT_MS = 1_200_000;

function has(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`], {
    env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
  }).status === 0;
}

function installTools(tools: Readonly<Record<string, string>>): void {
  const missing = Object.entries(tools).filter(([program]) => !has(program)).map(([, name]) => name);
  const headers = existsSync("/usr/include/stdio.h") ? [] : ["libc6-dev"];
  const wanted = [...missing, ...headers];
  if (wanted.length === 0) return;
  if (process.getuid?.() !== 0 || !has("apt-get")) {
    throw new Error(`the tests need ${wanted.join(", ")}: apt-get install ${wanted.join(" ")}`);
  }
  console.log(`installing ${wanted.join(" ")}`);
  execFileSync("apt-get", ["update", "-qq"], { stdio: "inherit" });
  execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...wanted], {
    stdio: "inherit",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

/** Runs one step; throws when it fails. */
function step(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  const started = performance.now();
  console.log(`\n== ${name}`);
  const { status, error } = spawnSync(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${name} failed`);
  console.log(`== ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

const bin = (name: string): string => join("node_modules", ".bin", name);

/** The image with the programs of the differential run, built once and kept. */
function testImage(): string {
  const path = process.env["ROOKERY_TEST_IMAGE"] ?? join(cacheDirectory(), "images", "test.img");
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    step("image", process.execPath, [
      "dist/bin/rookery.js",
      "image",
      "build",
      "--include",
      DIFFERENTIAL_TEST_PACKAGES.join(","),
      "-o",
      path,
    ]);
  }
  return path;
}

function testFiles(pattern: RegExp | undefined): { unit: string[]; system: string[] } {
  const all = readdirSync("dist", { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.js"))
    .map((path) => join("dist", path))
    .filter((path) => pattern?.test(path) ?? true)
    .sort();
  const isSystem = (path: string): boolean => path.startsWith("dist/tools/testing/system/");
  return { unit: all.filter((path) => !isSystem(path)), system: all.filter(isSystem) };
}

function main(): void {
  const { values } = parseArgs({
    options: { unit: { type: "boolean", default: false }, only: { type: "string" } },
  });
  const { unit, system } = testFiles(values.only === undefined ? undefined : new RegExp(values.only));
  if (values.only === undefined) {
    step("format", bin("dprint"), ["check"]);
    step("lint", bin("oxlint"), []);
    step("tidy", process.execPath, ["dist/scripts/tidy.js"]);
  }
  const hasSystem = !values.unit && system.length > 0;
  installTools(hasSystem ? { ...TOOLS, ...SYSTEM_TOOLS } : TOOLS);
  if (unit.length > 0) {
    step("unit tests", process.execPath, [
      "--test",
      `--test-timeout=${UNIT_TIMEOUT_MS}`,
      "--test-reporter=dot",
      ...unit,
    ]);
  }
  if (!hasSystem) return;
  const ROOKERY_TEST_IMAGE = testImage();
  step("system tests", process.execPath, [
    "--test",
    `--test-timeout=${SYSTEM_TIMEOUT_MS}`,
    "--test-concurrency=2",
    "--test-reporter=spec",
    ...system,
  ], { ROOKERY_TEST_IMAGE });
}

try {
  main();
} catch (error) {
  console.error(`\ntest: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
