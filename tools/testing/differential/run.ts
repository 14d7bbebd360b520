// SPDX-License-Identifier: Apache-2.0
// The differential run: every case natively in a chroot of the image and in Rookery on the same image; what they print
// must be equal, byte for byte.
//
//   node dist/tools/testing/differential/run.js --root test.img [--only NAME,...] [--verbose]

import { parseArgs } from "node:util";

import { Machine } from "../../../init/machine.ts";
import { fileDisk } from "../../../virt/host/node/disk.ts";
import { createNodeHost } from "../../../virt/host/node/host.ts";
import { type Case, CASES } from "./cases.ts";
import { runNative } from "./native.ts";
import { CASE_ENV, CASE_TIMEOUT_S, caseCommand } from "./wrapper.ts";

export interface Outcome {
  readonly name: string;
  readonly isEqual: boolean;
  readonly native: string;
  readonly guest: string;
  readonly guestErrors: string;
  readonly seconds: number;
}

/** Runs one case on both sides, in a fresh machine. */
export async function compareCase(image: string, c: Case): Promise<Outcome> {
  const command = caseCommand(c);
  const native = runNative(image, command);
  const started = performance.now();
  using disk = fileDisk(image);
  await using machine = await Machine.boot({ host: createNodeHost(), root: disk, memoryBytes: 2 ** 30 });
  const result = await machine.exec(command, {
    env: CASE_ENV,
    timeoutMs: (CASE_TIMEOUT_S + 30) * 1000,
  });
  const errors = await machine.exec(["/bin/cat", "/tmp/case.err"], {});
  const guest = Buffer.from(result.bytes.stdout).toString("latin1");
  const expected = native.stdout.toString("latin1");
  return {
    name: c.name,
    isEqual: guest === expected,
    native: expected,
    guest,
    guestErrors: result.stderr + errors.stdout,
    seconds: (performance.now() - started) / 1000,
  };
}

/** The first lines that differ, for a person. */
function firstDifference(a: string, b: string): string {
  const [x, y] = [a.split("\n"), b.split("\n")];
  const at = x.findIndex((line, i) => line !== y[i]);
  const line = at < 0 ? x.length : at;
  return `line ${line + 1}\n  native:  ${JSON.stringify(x[line])}\n  rookery: ${JSON.stringify(y[line])}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      root: { type: "string" },
      only: { type: "string", default: "" },
      verbose: { type: "boolean", default: false },
    },
  });
  if (values.root === undefined) {
    throw new Error("--root IMAGE is needed: an image with the programs of tools/image/packages.ts");
  }
  const wanted = values.only === "" ? undefined : new Set(values.only.split(","));
  let passed = 0;
  let failed = 0;
  for (const c of CASES) {
    if (wanted !== undefined && !wanted.has(c.name)) continue;
    const outcome = await compareCase(values.root, c).catch((error: unknown) => ({
      name: c.name,
      isEqual: false,
      native: "",
      guest: "",
      guestErrors: String(error),
      seconds: 0,
    }));
    if (outcome.isEqual) passed++;
    else failed++;
    console.log(`${outcome.isEqual ? "same   " : "DIFFERS"} ${c.name} (${outcome.seconds.toFixed(1)} s)`);
    if (!outcome.isEqual) console.log(firstDifference(outcome.native, outcome.guest));
    if (values.verbose) {
      console.log(outcome.native, "--- rookery", outcome.guest, "--- errors", outcome.guestErrors);
    } else if (!outcome.isEqual) {
      console.log(`  errors: ${outcome.guestErrors.trim().split("\n").slice(-3).join(" | ")}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.argv[1]?.endsWith("differential/run.js") === true) await main();
