// SPDX-License-Identifier: Apache-2.0
// Loads a bundled CommonJS module, which is the function that such modules are wrapped in, together with the bytecode that V8
// made of it in an earlier run, so that starting again parses and compiles next to nothing.
//
// The bytecode lies in the cache directory, under the name of the bundle and of the engine; before there is any, that of the
// build serves, in the folder `code` beside the bundle (scripts/warm-up.ts). It has nearly all, and writing down one's own takes a sixth
// of a short first run: that is left to the second, by an empty file. V8 itself rejects what an
// engine of another version or with other flags has made, but knows a source only by its length, so a bundle says in its first line
// which one it is. Nothing depends on the cache: what cannot be read or written is done without.
//
// A bundle may ask for another that lies beside it, by require, at any time; that is loaded in the same way, and both are written down
// by one call.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Script } from "node:vm";

import { underUsualSettings } from "../../virt/host/node/engine.ts";
import { cacheDirectory } from "./paths.ts";

export interface CachedModule<T> {
  readonly exports: T;
  /** Writes down the bytecode of what has run so far, unless an earlier run of this user did or a later one will. */
  readonly save: () => void;
}

type Require = (name: string) => unknown;
type ModuleFunction = (require: Require, module: { exports: unknown }, exports: unknown) => void;

/** Files of bytecode that are kept, two for each build and engine. */
const FILES_MAX = 16;

/** First line of a bundle: a comment that names its content. */
const IDENTITY = /^\/\/ ([0-9a-z]+)\n/i;

/** What the build has left for the bundles in `directory`. */
export function builtFolder(directory: string): string {
  return join(directory, "code");
}

/** Runs the bundle at `path`. Its exports are taken to be of type T: bundle and caller come from one build. */
export function loadCached<T>(path: string): CachedModule<T> {
  const loaded = new Map<string, Loaded>();
  const require = createRequire(path);
  const load = (file: string): Loaded => {
    const known = loaded.get(file);
    if (known !== undefined) return known;
    const fresh = underUsualSettings(() => compile(file));
    loaded.set(file, fresh);
    // The bundle is a function of this type (scripts/bundle.ts).
    const run = fresh.script.runInThisContext() as ModuleFunction;
    run(
      (name) => BESIDE.test(name) ? load(join(dirname(path), name)).module.exports : require(name),
      fresh.module,
      fresh.module.exports,
    );
    return fresh;
  };
  const { module } = load(path);
  return {
    exports: module.exports as T,
    save: () => underUsualSettings(() => loaded.forEach(save)),
  };
}

/** How a bundle names another. */
const BESIDE = /^\.\/[\w-]+\.cjs$/;

interface Loaded {
  readonly script: Script;
  readonly module: { exports: unknown };
  /** Where the user's own bytecode of it is or will be; undefined for a bundle that does not say which it is. */
  readonly kept: string | undefined;
  /** What there was of that, and whether the engine has taken what it was given. */
  readonly own: Buffer | undefined;
  readonly isTaken: boolean;
}

function compile(path: string): Loaded {
  const source = readFileSync(path, "latin1");
  const identity = IDENTITY.exec(source.slice(0, 200))?.[1];
  const name = identity === undefined ? undefined : `${identity}-${process.versions.v8}.bin`;
  const kept = name === undefined ? undefined : join(cacheDirectory(), "code", name);
  const own = kept === undefined ? undefined : read(kept);
  const built = name === undefined || hasContent(own)
    ? undefined
    : read(join(builtFolder(dirname(path)), name));
  const cachedData = hasContent(own) ? own : built;
  const script = new Script(source, {
    filename: path,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  const isTaken = cachedData !== undefined && script.cachedDataRejected !== true;
  return { script, module: { exports: {} }, kept, own, isTaken };
}

function save({ script, kept, own, isTaken }: Loaded): void {
  if (kept === undefined || (isTaken && hasContent(own))) return;
  write(kept, isTaken && own === undefined ? new Uint8Array() : script.createCachedData());
}

function hasContent(file: Buffer | undefined): boolean {
  return file !== undefined && file.length > 0;
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Another process may write the same: each writes a file of its own and renames it. */
function write(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    removeOldest(dirname(path));
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** Other builds and other engines leave their files behind. */
function removeOldest(directory: string): void {
  const files = readdirSync(directory).map((name) => join(directory, name))
    .map((path) => ({ path, time: statSync(path).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of files.slice(FILES_MAX - 1)) rmSync(path, { force: true });
}
