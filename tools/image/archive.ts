// SPDX-License-Identifier: Apache-2.0
// A Debian archive: from its signed Release file to the index of its packages.
// Source: the Debian wiki page "DebianRepository/Format".

import { paragraphs } from "../../lib/deb822.ts";
import { fetchBytes } from "./cache.ts";
import type { Cache, Wanted } from "./cache.ts";
import { decompress } from "./decompress.ts";
import type { Compression } from "./decompress.ts";
import { verifyClearSigned } from "./keyring.ts";
import { PackageIndex } from "./resolve.ts";
import type { Package } from "./resolve.ts";
import type { Progress } from "./progress.ts";
import type { Key } from "openpgp";

export interface ArchiveOptions {
  readonly mirror: string;
  readonly suite: string;
  readonly architecture: string;
  readonly components: readonly string[];
  readonly keys: Key[];
}

export interface Release {
  /** Seconds since 1970. */
  readonly date: number;
  readonly codename: string;
  readonly version: string;
  /** Files by their path under dists/SUITE. */
  readonly files: ReadonlyMap<string, { readonly sha256: string; readonly sizeBytes: number }>;
}

const INDEX_FORMS: readonly (readonly [suffix: string, compression: Compression])[] = [
  [".xz", "xz"],
  [".gz", "gz"],
  ["", "none"],
];

/** Reads the text of a Release file. */
export function parseRelease(text: string): Release {
  for (const release of paragraphs(text)) {
    const files = new Map<string, { sha256: string; sizeBytes: number }>();
    for (const line of (release.get("SHA256") ?? "").split("\n")) {
      const [sha256, size, path] = line.trim().split(/\s+/);
      if (sha256 !== undefined && size !== undefined && path !== undefined) {
        files.set(path, { sha256, sizeBytes: Number(size) });
      }
    }
    const date = Date.parse(release.get("Date") ?? "");
    if (files.size === 0 || Number.isNaN(date)) break;
    return {
      date: Math.floor(date / 1000),
      files,
      codename: release.get("Codename") ?? "",
      version: release.get("Version") ?? "",
    };
  }
  throw new Error("the Release file lists no SHA256 sums or has no date");
}

/** Fetches the Release file, its signature verified, and the indices that it vouches for. */
export async function openArchive(
  options: ArchiveOptions,
  cache: Cache,
  progress: Progress,
): Promise<{ readonly release: Release; readonly index: PackageIndex }> {
  const base = `${options.mirror}/dists/${options.suite}`;
  const signed = await fetchBytes(`${base}/InRelease`);
  const release = parseRelease(await verifyClearSigned(signed, options.keys, `${base}/InRelease`));
  return { release, index: await readIndex(release, options, cache, progress) };
}

/** Fetches and reads the indices that `release` lists. */
export async function readIndex(
  release: Release,
  options: Omit<ArchiveOptions, "keys">,
  cache: Cache,
  progress: Progress,
): Promise<PackageIndex> {
  const base = `${options.mirror}/dists/${options.suite}`;
  const indices = options.components.map((component) =>
    findIndex(release, base, `${component}/binary-${options.architecture}/Packages`)
  );
  progress.phase("Fetching the package index", indices.reduce((sum, file) => sum + file.sizeBytes, 0));
  await cache.fetch(indices, (count) => {
    progress.advance(count);
  });
  progress.phase("Reading the package index");
  const texts: string[] = [];
  for (const file of indices) {
    const pieces: Buffer[] = [];
    await decompress(await cache.read(file), file.compression, (bytes) => {
      pieces.push(Buffer.from(bytes));
    });
    texts.push(Buffer.concat(pieces).toString("latin1"));
  }
  return new PackageIndex(texts);
}

interface IndexFile extends Wanted {
  readonly compression: Compression;
}

/** The smallest form in which the archive has an index. */
function findIndex(release: Release, base: string, path: string): IndexFile {
  for (const [suffix, compression] of INDEX_FORMS) {
    const entry = release.files.get(path + suffix);
    if (entry !== undefined) return { ...entry, compression, url: `${base}/${path}${suffix}` };
  }
  throw new Error(`${base} has no ${path}`);
}

/** Where a package's file is and what it must be. */
export function packageFile(chosen: Package, mirror: string): Wanted {
  const filename = chosen.control.get("Filename");
  const sha256 = chosen.control.get("SHA256");
  const sizeBytes = Number(chosen.control.get("Size"));
  if (filename === undefined || sha256 === undefined || !Number.isInteger(sizeBytes)) {
    throw new Error(`package index: ${chosen.name} has no Filename, Size or SHA256`);
  }
  return { url: `${mirror}/${filename}`, sha256, sizeBytes };
}
