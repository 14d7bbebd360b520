// SPDX-License-Identifier: Apache-2.0
// The package's door in Node: `import { Machine } from "rookery"`, and `rookery/node` for what Node alone has.

import { existsSync, readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

import type { TranslationStore } from "../../../include/host/translations.ts";
import type { Machine as CoreMachine } from "../../../init/machine.ts";
import { bootIn, type BootOptions, type HostMount } from "../boot.ts";
import { openHostDirectory } from "./directory.ts";
import { createNodeHost } from "./host.ts";
import { directoryStore, IDENTITY_FILE } from "./translations.ts";

export { type BootOptions, type HostMount, memoryDirectory } from "../boot.ts";
export type { FileTree } from "../memory/directory.ts";
export { memoryDisk } from "../memory/disk.ts";
export { fileDisk } from "./disk.ts";
export type { TranslationStore } from "../../../include/host/translations.ts";
export type { ChildOptions, ChildProcess } from "../../../init/child-process.ts";
export type {
  ExecOptions,
  ExecResult,
  ExitStatus,
  Process,
  SpawnOptions,
  Stdio,
} from "../../../init/machine.ts";

/** `mode`: "overlay" (default) keeps changes in memory, "rw" writes through, "ro" refuses them. */
export function hostDirectory(path: string, options: { mode?: HostMount["mode"] } = {}): HostMount {
  const mode = options.mode ?? "overlay";
  return { directory: openHostDirectory(path, mode !== "rw"), mode };
}

/**
 * Translations kept in a directory of the host, made when there is something to keep; several machines and processes may use it at a
 * time. Undefined in a checkout that is not bundled.
 */
export function directoryTranslations(path: string): TranslationStore | undefined {
  const identity = new URL(`../../../bin/${IDENTITY_FILE}`, import.meta.url);
  return existsSync(identity) ? directoryStore(path, readFileSync(identity, "utf8")) : undefined;
}

/** Boots a machine in this process. Throws RangeError for a bad `memory`. */
function boot(options: BootOptions): Promise<CoreMachine> {
  return bootIn({ createHost: createNodeHost, breathe: () => setImmediate() }, options);
}

export type Machine = CoreMachine;
export const Machine: { readonly boot: typeof boot } = { boot };
