// SPDX-License-Identifier: Apache-2.0
// The package's door in Node: `import { Machine } from "rookery"`, and `rookery/node` for what Node alone has.

import { setImmediate } from "node:timers/promises";

import type { Machine as CoreMachine } from "../../../init/machine.ts";
import { bootIn, type BootOptions, type HostMount } from "../boot.ts";
import { openHostDirectory } from "./directory.ts";
import { createNodeHost } from "./host.ts";

export { type BootOptions, type HostMount, memoryDirectory } from "../boot.ts";
export type { FileTree } from "../memory/directory.ts";
export { memoryDisk } from "../memory/disk.ts";
export { fileDisk } from "./disk.ts";
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

/** Boots a machine in this process. Throws RangeError for a bad `memory`. */
function boot(options: BootOptions): Promise<CoreMachine> {
  return bootIn({ createHost: createNodeHost, breathe: () => setImmediate() }, options);
}

export type Machine = CoreMachine;
export const Machine: { readonly boot: typeof boot } = { boot };
