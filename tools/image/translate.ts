// SPDX-License-Identifier: Apache-2.0
// Bytecode that comes with an image: programs are run in it once, and what is kept of their code is left beside the image, so that a first
// run on a machine that has never seen it need not lift that code. `rookery run` finds it by the image's name (tools/cli/paths.ts).
//
// It is bytecode alone (virt/host/node/translations.ts), found by the content of the code; of another build it is as if it were not there.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ship } from "../../virt/host/node/translations.ts";
import { UsageError } from "../cli/errors.ts";
import { defaultImagePath, translationsBeside } from "../cli/paths.ts";
import { type Progress, standardProgress } from "./progress.ts";

/** What many begin with. What an image does not have is passed over. */
const COMMON: readonly (readonly string[])[] = [
  ["echo"],
  [
    "sh",
    "-c",
    "ls -l / | sort | sed -n 1p; mkdir -p /tmp/d && cp /etc/passwd /tmp/d && grep -c : /tmp/d/passwd; rm -r /tmp/d",
  ],
  ["bash", "-c", "for i in 1 2 3; do echo $i; done | head -n 1; cat /etc/hostname; date; env"],
  ["bash", "--login", "-i", "-c", ":"],
  ["python3", "-c", "import json, os, re, subprocess, sys; print(1)"],
  ["perl", "-e", "print 1"],
  ["node", "-e", "console.log(JSON.stringify({}))"],
  ["ruby", "-e", "puts 1"],
  [
    "sqlite3",
    ":memory:",
    "create table t(a, b); insert into t values (1, 'x'); select b, sum(a) from t group by b;",
  ],
  [
    "sh",
    "-c",
    `printf '#include <stdio.h>\nint main(void) { puts(""); }' | gcc -O2 -x c -o /tmp/a - && /tmp/a`,
  ],
  ["sh", "-c", "tar cf - /etc | gzip | gzip -d | xz -1 | xz -d | tar tf - | awk '{ n++ } END { print n }'"],
  [
    "sh",
    "-c",
    "cd /tmp; git init -q d && cd d && touch a && git add . && git -c user.name=a -c user.email=a@b.c commit -qm 1 && git log -p",
  ],
];
const HELP = `Usage: rookery image translate [IMAGE] [-- CMD ARG...]

Leaves translated code beside an image (IMAGE.translations), for first runs. With a command what that runs is
added; without one the programs that many begin with. Keep it with the image: without it first runs take longer.`;

/** The command line, where it is bundled: nothing else keeps translations. */
function bundledCommandLine(): string | undefined {
  const path = new URL("rookery.js", import.meta.url).pathname;
  return existsSync(path) ? path : undefined;
}

/** Runs a command in the image; whether it is there is its own business. */
async function runIn(image: string, cli: string, command: readonly string[], cache: string): Promise<void> {
  const argv = [cli, "run", "--root", image, "--timeout", "10m", "--", ...command];
  const child = spawn(process.execPath, argv, {
    stdio: "ignore",
    env: { ...process.env, XDG_CACHE_HOME: cache },
  });
  await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** Runs some commands for what lies beside the image then. False where nothing can be kept, in a checkout that is not bundled. */
async function translate(
  image: string,
  commands: readonly (readonly string[])[],
  progress: Progress,
  former: "keep" | "replace",
): Promise<boolean> {
  const cli = bundledCommandLine();
  if (cli === undefined) return false;
  progress.phase("Translating programs", commands.length, "programs");
  const beside = translationsBeside(image);
  const cache = mkdtempSync(join(tmpdir(), "rookery-translate-"));
  const remove = (): void => rmSync(cache, { recursive: true, force: true });
  process.once("exit", remove);
  const made = join(cache, "rookery", "translations");
  try {
    if (former === "keep" && existsSync(beside)) cpSync(beside, made, { recursive: true });
    else rmSync(beside, { recursive: true, force: true }); // what it has would not be written anew
    for (const command of commands) {
      await runIn(image, cli, command, cache);
      progress.advance(1);
    }
    if (!existsSync(made)) return false;
    rmSync(beside, { recursive: true, force: true });
    ship(made, beside);
    return true;
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** Leaves bytecode of the programs that many begin with beside the image, in place of what is there. False as above. */
export function translateCommon(image: string, progress: Progress): Promise<boolean> {
  return translate(image, COMMON, progress, "replace");
}

function directoryBytes(path: string): number {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .map((name) => statSync(join(path, name)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
}

/** Runs the words after `rookery image translate`; the exit status. */
export async function translateCommand(words: readonly string[]): Promise<number> {
  const dashes = words.indexOf("--");
  const own = dashes < 0 ? words : words.slice(0, dashes);
  const command = dashes < 0 ? [] : words.slice(dashes + 1);
  if (own.includes("--help") || own.includes("-h")) {
    console.log(HELP);
    return 0;
  }
  const [image = defaultImagePath(), ...more] = own;
  if (more.length > 0 || image.startsWith("-")) {
    throw new UsageError(`image translate: "${more[0] ?? image}" is not known; see --help`);
  }
  if (!existsSync(image)) {
    throw new UsageError(`no image at ${image}: build one with \`rookery image build -o ${image}\``);
  }
  const progress = standardProgress();
  try {
    const isDone = await (command.length > 0
      ? translate(image, [command], progress, "keep")
      : translateCommon(image, progress));
    if (!isDone) {
      throw new UsageError(
        "image translate: nothing was translated; build the command line with `npm run build`, and see that the command runs",
      );
    }
  } finally {
    progress.done();
  }
  const beside = translationsBeside(image);
  console.error(`${beside} is ready (${String(Math.ceil(directoryBytes(beside) / 2 ** 20))} MiB)`);
  return 0;
}
