#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The `rookery` command: picks the subcommand, prints errors as one clear line, passes exit statuses through.

import { UsageError } from "./errors.ts";

/** As docker(1) and sh(1): something of ours went wrong before the guest's program ran. */
const EXIT_ROOKERY_FAILED = 125;

async function runCommand(argv: readonly string[]): Promise<number> {
  const { loadRun } = await import("./load-run.ts");
  return (await loadRun())(argv);
}

async function imageCommand(argv: readonly string[]): Promise<number> {
  const { image } = await import("./image.ts");
  return image(argv);
}

/** By its code: each bundle has classes of its own. */
function isCommanderError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && "code" in error && String(error.code).startsWith("commander.");
}

const HELP = `Usage: rookery <command> [options]

A Linux kernel in TypeScript: runs unmodified Linux programs in any JavaScript engine.

Commands:
  run [options] [--] CMD ARG...   run a program in a fresh machine
  image build [options]           build a Debian root image
  image ls | rm NAME              list and remove images
  doctor                          what this host can do

rookery <command> --help tells more.`;

async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  switch (command) {
    case "run":
      return runCommand(rest);
    case "image":
      return imageCommand(rest);
    case "doctor":
      return (await import("./doctor.ts")).doctor();
    case undefined:
    case "help":
    case "-h":
    case "--help":
      console.log(HELP);
      return command === undefined ? EXIT_ROOKERY_FAILED : 0;
    case "--version":
    case "-V":
      console.log((await import("./version.ts")).VERSION);
      return 0;
    default:
      throw new UsageError(`unknown command "${command}"; rookery --help lists the commands`);
  }
}

/** The exit status. */
async function mainOrMessage(): Promise<number> {
  try {
    return await main(process.argv.slice(2));
  } catch (error) {
    if (isCommanderError(error)) {
      // It has said what there is to say.
      return "exitCode" in error && error.exitCode === 0 ? 0 : EXIT_ROOKERY_FAILED;
    }
    console.error(`rookery: ${error instanceof Error ? error.message : String(error)}`);
    const isUsage = error instanceof Error && error.name === "UsageError";
    if (!isUsage && process.env["ROOKERY_DEBUG"] !== undefined) console.error(error);
    return EXIT_ROOKERY_FAILED;
  }
}

// Nothing is awaited at the top: this is bundled as CommonJS.
void mainOrMessage().then((status) => {
  process.exitCode = status;
});
