// SPDX-License-Identifier: Apache-2.0
// `rookery image build`: its options, checked, and the build with this host's mirror, keys, cache and terminal.

import { accessSync, constants as access, readdirSync, rmSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { Command, Option } from "commander";
import { DEFAULT_PACKAGES } from "./packages.ts";
import { UsageError } from "../cli/errors.ts";
import { cacheDirectory, defaultImagePath } from "../cli/paths.ts";
import { buildImage, temporaryPrefix } from "./build.ts";
import { hostMirror } from "./host.ts";
import { standardProgress } from "./progress.ts";
import { translateCommon } from "./translate.ts";

export interface BuildArguments {
  readonly output: string;
  readonly suite: string;
  readonly architecture: string;
  readonly include: readonly string[];
  readonly mirror: string | undefined;
  readonly keyring: string | undefined;
  readonly isConfigured: boolean;
  /** Whether programs are translated that many begin with. */
  readonly isTranslated: boolean;
  readonly isVerbose: boolean;
}

const ARCHITECTURES = ["amd64"];
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const EXIT_SIGNAL_BASE = 128;

function command(): Command {
  return new Command("rookery image build")
    .usage("[options]")
    .description("Build a Debian root image from a mirror; needs no root and no dpkg.")
    .option("-o, --output <FILE>", "the image to write", defaultImagePath())
    .option("--suite <NAME>", "release of Debian", "trixie")
    .addOption(new Option("--arch <NAME>", "architecture").choices(ARCHITECTURES).default("amd64"))
    .option("--include <PKG,...>", "packages to add to the base (repeatable)", addNames, [])
    .option("--mirror <URL>", "archive to fetch from (default: the one apt uses here)")
    .option("--keyring <FILE>", "keys that may sign the archive (default: this host's Debian keys)")
    .option("--no-configure", "only unpack; /var/lib/rookery/second-stage, run in the guest, does the rest")
    .option("--no-translate", "leave no translations for first runs beside the image")
    .option("--verbose", "show what the maintainer scripts print", false)
    .helpOption("--help", "show this")
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(text.replace(/^error:/, "rookery: image build:"));
      },
    });
}

function addNames(value: string, previous: string[]): string[] {
  return [...previous, ...value.split(",").map((name) => name.trim()).filter((name) => name !== "")];
}

/** The options in `words`, checked. Throws UsageError or commander's error. */
export function parseBuildArguments(words: readonly string[]): BuildArguments {
  const parsed = command().parse([...words], { from: "user" });
  const options = parsed.opts<{
    output: string;
    suite: string;
    arch: string;
    include: string[];
    mirror?: string;
    keyring?: string;
    configure: boolean;
    translate: boolean;
    verbose: boolean;
  }>();
  const mirror = options.mirror?.replace(/\/+$/, "");
  if (mirror !== undefined && !/^https?:\/\/[^/]/.test(mirror)) {
    throw new UsageError(`--mirror: "${mirror}" is not an http or https URL`);
  }
  for (const name of options.include) {
    if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name)) throw new UsageError(`--include: "${name}" is no package name`);
  }
  if (!/^[a-z][a-z0-9-]*$/.test(options.suite)) {
    throw new UsageError(`--suite: "${options.suite}" is no suite`);
  }
  return {
    output: options.output,
    suite: options.suite,
    architecture: options.arch,
    include: options.include,
    mirror,
    keyring: options.keyring,
    isConfigured: options.configure,
    isTranslated: options.configure && options.translate,
    isVerbose: options.verbose,
  };
}

/** Runs the words after `rookery image build`; the exit status. */
export async function buildCommand(words: readonly string[]): Promise<number> {
  const { isConfigured, isTranslated, isVerbose, ...choices } = parseBuildArguments(words);
  const mirror = choices.mirror ?? await hostMirror();
  await prepareDirectory(choices.output);
  const progress = standardProgress();
  const stop = (signal: NodeJS.Signals): void => {
    removeTemporaries(choices.output);
    process.stderr.write("\n");
    process.exit(EXIT_SIGNAL_BASE + constants.signals[signal]);
  };
  for (const signal of ENDING_SIGNALS) process.once(signal, stop);
  try {
    await buildImage({
      ...choices,
      include: [...DEFAULT_PACKAGES, ...choices.include],
      mirror,
      progress,
      cacheDirectory: cacheDirectory(),
      runner: isConfigured ? (await import("./guest.ts")).rookeryRunner : undefined,
      onGuestOutput(bytes) {
        if (isVerbose) process.stderr.write(bytes);
      },
    });
    if (isTranslated) await translateCommon(choices.output, progress);
  } finally {
    for (const signal of ENDING_SIGNALS) process.off(signal, stop);
    progress.done();
  }
  console.error(
    `${choices.output} is ready (${String(Math.round(statSync(choices.output).size / 2 ** 20))} MiB)`,
  );
  return 0;
}

/** Removes what an interrupted build leaves beside its output. */
function removeTemporaries(output: string): void {
  const prefix = basename(temporaryPrefix(output));
  for (const name of readdirSync(dirname(output))) {
    if (name.startsWith(prefix)) rmSync(join(dirname(output), name), { force: true });
  }
}

/** A directory of ours (the default, the cache) is made; another must be there and writable. */
async function prepareDirectory(output: string): Promise<void> {
  const directory = dirname(output);
  const isOurs = output === defaultImagePath() || output.startsWith(join(cacheDirectory(), "/"));
  if (isOurs) await mkdir(directory, { recursive: true });
  try {
    accessSync(directory, access.W_OK);
  } catch {
    throw new UsageError(`-o: ${directory} is no directory that can be written to`);
  }
}
