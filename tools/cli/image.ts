// SPDX-License-Identifier: Apache-2.0
// `rookery image`: build, translate, ls, rm.

import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

import { UsageError } from "./errors.ts";
import { cacheDirectory, translationsBeside } from "./paths.ts";

const HELP = `Usage: rookery image build [options]   build a Debian root image (--help lists the options)
       rookery image translate [...]   leave translated code beside an image, for first runs (--help tells more)
       rookery image ls                list the images kept in the cache
       rookery image rm NAME...        remove images from the cache`;

function imagesDirectory(): string {
  return join(cacheDirectory(), "images");
}

function list(): number {
  const directory = imagesDirectory();
  if (!existsSync(directory)) return 0;
  for (const name of readdirSync(directory).filter((file) => file.endsWith(".img")).sort()) {
    const { size, mtime } = statSync(join(directory, name));
    console.log(
      `${name.padEnd(32)} ${(size / 2 ** 20).toFixed(0).padStart(6)} MiB  ${
        mtime.toISOString().slice(0, 10)
      }`,
    );
  }
  return 0;
}

function remove(names: readonly string[]): number {
  for (const name of names) {
    const path = join(imagesDirectory(), name);
    if (name.includes("/") || !existsSync(path)) {
      throw new UsageError(`no image ${name} in ${imagesDirectory()}`);
    }
    rmSync(path);
    rmSync(translationsBeside(path), { recursive: true, force: true });
  }
  return 0;
}

/** Runs the words after `rookery image`; the exit status. */
export async function image(words: readonly string[]): Promise<number> {
  const [action, ...rest] = words;
  switch (action) {
    case "build":
      return (await import("../image/command.ts")).buildCommand(rest);
    case "translate":
      return (await import("../image/translate.ts")).translateCommand(rest);
    case "ls":
      return list();
    case "rm":
      return remove(rest);
    case "--help":
    case "-h":
    case undefined:
      console.log(HELP);
      return 0;
    default:
      throw new UsageError(`unknown image command "${action}"; rookery image --help lists them`);
  }
}
