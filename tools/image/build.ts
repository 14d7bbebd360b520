// SPDX-License-Identifier: Apache-2.0
// Builds a Debian root image: a debootstrap that needs neither root nor dpkg nor Linux.
//
// Stage 1 verifies the archive, chooses, fetches and unpacks packages and writes them, unconfigured, as an
// image. Stage 2 boots that image and runs the maintainer scripts in it; what they changed is laid over the
// tree of stage 1, which is then written anew. The output appears under its name only when it is whole.
// Two builds from the same Release file and options give the same bytes of stage 1.

import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { openArchive, packageFile } from "./archive.ts";
import type { Release } from "./archive.ts";
import { fetchArchiveKeys } from "./bootstrap-keys.ts";
import { Cache } from "./cache.ts";
import { cleanTree } from "./clean.ts";
import { configureOrder } from "./configure-order.ts";
import { openDeb } from "./deb.ts";
import { writeErofs } from "./erofs-writer.ts";
import { hasHostKeyring, HOST_KEYRING, readKeyring } from "./keyring.ts";
import { GuestOutput } from "./guest-output.ts";
import { mergeLayer } from "./merge.ts";
import { BASE_PACKAGES } from "./packages.ts";
import type { Progress } from "./progress.ts";
import { resolve } from "./resolve.ts";
import type { Package, PackageIndex } from "./resolve.ts";
import type { GuestRunner } from "./runner.ts";
import { putSecondStage, SECOND_STAGE_PATH } from "./second-stage.ts";
import { Spool, writeFully } from "./spool.ts";
import { createDirectory, Tree } from "./tree.ts";
import { prepareRoot, Unpacker } from "./unpack.ts";

export interface BuildOptions {
  readonly output: string;
  readonly mirror: string;
  readonly suite: string;
  readonly architecture: string;
  readonly include: readonly string[];
  /** A file of keys that may sign the archive; without one the host's, or those Rookery knows. */
  readonly keyring: string | undefined;
  readonly cacheDirectory: string;
  readonly progress: Progress;
  /** Runs the maintainer scripts; without one the image stays at stage 1, unpacked and unconfigured. */
  readonly runner: GuestRunner | undefined;
  /** What the maintainer scripts print; the end of it is also told when they fail. */
  readonly onGuestOutput?: (bytes: Uint8Array) => void;
}

const COMPONENTS = ["main"];

/** Builds the image. Any failure is an Error with a message for the user; no half image is left. */
export async function buildImage(options: BuildOptions): Promise<void> {
  const { progress } = options;
  const cache = new Cache(options.cacheDirectory);
  const archive = { ...options, components: COMPONENTS };
  const keyring = options.keyring ?? (hasHostKeyring() ? HOST_KEYRING : undefined);
  const keys = keyring === undefined
    ? await fetchArchiveKeys(archive, cache, progress)
    : await readKeyring(keyring);
  const { release, index } = await openArchive({ ...archive, keys }, cache, progress);
  const packages = choosePackages(index, options.include);
  const temporary = temporaryPrefix(options.output);
  using spool = new Spool(`${temporary}spool`);
  const tree = new Tree(createDirectory(0o755, release.date));
  const uuid = imageUuid(options, packages);
  await unpackAll(options, { release, packages, cache, tree, spool });
  if (options.runner === undefined) {
    writeImage(tree, release, uuid, options.output, progress);
  } else {
    using stage1 = new TemporaryFile(`${temporary}stage1`);
    writeImage(tree, release, uuid, stage1.path, progress);
    progress.phase("Configuring the packages in the guest", packages.length, "packages");
    const output = new GuestOutput(progress, options.onGuestOutput);
    await configure(options.runner, stage1.path, { tree, spool, release, output });
    cleanTree(tree, release.date);
    writeImage(tree, release, uuid, options.output, progress);
  }
  progress.done();
}

/** What the names of all files begin with that a build makes beside its output and removes again. */
export function temporaryPrefix(output: string): string {
  return `${output}.${String(process.pid)}.`;
}

class TemporaryFile implements Disposable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true });
  }
}

/** Everything required, the base, and what was asked for, with all that these need. */
function choosePackages(index: PackageIndex, include: readonly string[]): Package[] {
  return resolve(index, [...new Set([...index.withPriority("required"), ...BASE_PACKAGES, ...include])]);
}

interface Stage1 {
  readonly release: Release;
  readonly packages: readonly Package[];
  readonly cache: Cache;
  readonly tree: Tree;
  readonly spool: Spool;
}

async function unpackAll(options: BuildOptions, stage: Stage1): Promise<void> {
  const { release, packages, cache, tree, spool } = stage;
  const { progress, mirror, suite } = options;
  const files = packages.map((chosen) => ({ chosen, file: packageFile(chosen, mirror) }));
  const total = files.reduce((sum, { file }) => sum + file.sizeBytes, 0);
  progress.phase(`Fetching ${String(files.length)} packages`, total);
  await cache.fetch(files.map(({ file }) => file), (count) => {
    progress.advance(count);
  });
  progress.phase("Unpacking", total);
  prepareRoot(tree, release.date, `deb ${mirror} ${suite} ${COMPONENTS.join(" ")}\n`);
  const unpacker = new Unpacker(tree, spool, release.date);
  for (const { chosen, file } of files) {
    const bytes = await cache.read(file);
    try {
      await unpacker.unpack(chosen, await openDeb(bytes));
    } catch (error) {
      throw new Error(`${file.url}: ${error instanceof Error ? error.message : String(error)}`);
    }
    progress.advance(file.sizeBytes);
  }
  unpacker.database.write(tree, release.date);
  const unpacked = new Map(unpacker.database.packages.map((one) => [one.chosen, one]));
  const ordered = configureOrder(packages).map((chosen) => unpacked.get(chosen)).filter((one) =>
    one !== undefined
  );
  putSecondStage(tree, ordered, release.date);
}

interface Stage2 {
  readonly tree: Tree;
  readonly spool: Spool;
  readonly release: Release;
  readonly output: GuestOutput;
}

async function configure(runner: GuestRunner, image: string, stage: Stage2): Promise<void> {
  const { output, release } = stage;
  const onOutput = (bytes: Uint8Array): void => {
    output.take(bytes);
  };
  const result = await runner({ image, script: `/${SECOND_STAGE_PATH}`, time: release.date, onOutput });
  if (result.exitCode !== 0) {
    const status = String(result.exitCode);
    throw new Error(
      `configuring the packages failed in the guest (exit status ${status}):\n${output.lastLines}`,
    );
  }
  await mergeLayer(stage.tree, result.changes, stage.spool, release.date);
}

function imageUuid(options: BuildOptions, packages: readonly Package[]): Uint8Array {
  const hash = createHash("sha256").update(`${options.suite} ${options.architecture}\n`);
  for (const chosen of packages) hash.update(`${chosen.control.get("SHA256") ?? ""}\n`);
  const uuid = hash.digest().subarray(0, 16);
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
}

/** Writes the image beside its place, flushes it and gives it its name. */
function writeImage(
  tree: Tree,
  release: Release,
  uuid: Uint8Array,
  output: string,
  progress: Progress,
): void {
  progress.phase("Writing the image");
  const temporary = `${temporaryPrefix(output)}part`;
  const fd = openSync(temporary, "w");
  try {
    let position = 0;
    const sink = (bytes: Uint8Array): void => {
      writeFully(fd, bytes, position);
      position += bytes.length;
    };
    writeErofs(tree.root, sink, { buildTime: release.date, uuid, volumeName: release.codename });
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, output);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
