// SPDX-License-Identifier: Apache-2.0
// What the builder takes from the host it runs on: the mirror in apt's configuration, the architecture.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { chooseMirror, parseDeb822Sources, parseSourcesList } from "./apt-config.ts";
import type { AptSource } from "./apt-config.ts";

/** The Debian mirror that the host's apt uses; throws an Error that says what to do when there is none. */
export async function hostMirror(directory: string = "/etc/apt"): Promise<string> {
  const sources: AptSource[] = parseSourcesList(await readText(join(directory, "sources.list")));
  const parts = join(directory, "sources.list.d");
  for (const name of (await readdir(parts).catch((): string[] => [])).toSorted(compareNames)) {
    if (name.endsWith(".list")) sources.push(...parseSourcesList(await readText(join(parts, name))));
    if (name.endsWith(".sources")) sources.push(...parseDeb822Sources(await readText(join(parts, name))));
  }
  const mirror = chooseMirror(sources);
  if (mirror !== undefined) return mirror;
  throw new Error(`${directory} names no Debian mirror: name one with --mirror URL`);
}

function compareNames(left: string, right: string): number {
  return left < right ? -1 : 1;
}

function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
