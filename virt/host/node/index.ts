// SPDX-License-Identifier: Apache-2.0
// The package's door in Node: `import { Machine } from "rookery"`, and `rookery/node` for what Node alone has.

import type { HostDisk } from "../../../include/host/host.ts";
import { Machine as CoreMachine, type MachineMount } from "../../../init/machine.ts";
import { parseSize } from "../../../lib/units.ts";
import { setImmediate } from "node:timers/promises";
import { createSimHost } from "../sim/host.ts";
import { openHostDirectory } from "./directory.ts";
import { createNodeHost } from "./host.ts";

export { fileDisk } from "./disk.ts";
export type {
  ExecOptions,
  ExecResult,
  ExitStatus,
  Process,
  SpawnOptions,
  Stdio,
} from "../../../init/machine.ts";

/** A directory of the host to mount, as `hostDirectory` makes it. */
export type HostMount = Omit<MachineMount, "target">;

/** `mode`: "overlay" (default) keeps changes in memory, "rw" writes through, "ro" refuses them. */
export function hostDirectory(path: string, options: { mode?: HostMount["mode"] } = {}): HostMount {
  const mode = options.mode ?? "overlay";
  return { directory: openHostDirectory(path, mode !== "rw"), mode };
}

export interface BootOptions {
  /** The root image: `fileDisk("debian.img")`. Changes go to memory. */
  readonly root: HostDisk;
  /** "1GiB", or bytes. */
  readonly memory?: string | number;
  readonly hostname?: string;
  /** Guest path to a directory of the host. */
  readonly mounts?: Readonly<Record<string, HostMount>>;
  /** "virtual": time moves with instructions and sleeps; the same seed gives the same run. */
  readonly time?: "real" | "virtual";
  readonly seed?: number;
}

/** Boots a machine on this process's clock, or on virtual time. Throws RangeError for a bad `memory`. */
async function boot(options: BootOptions): Promise<CoreMachine> {
  const memoryBytes = typeof options.memory === "string"
    ? parseSize(options.memory)
    : options.memory ?? 2 ** 30;
  if (memoryBytes === undefined) {
    throw new RangeError(`memory: "${String(options.memory)}" is not a size like 1GiB`);
  }
  const isVirtual = options.time === "virtual" || (options.time === undefined && options.seed !== undefined);
  return CoreMachine.boot({
    host: isVirtual
      ? createSimHost({ seed: options.seed ?? 0, breathe: () => setImmediate() })
      : createNodeHost(),
    root: options.root,
    memoryBytes,
    hostname: options.hostname,
    mounts: Object.entries(options.mounts ?? {}).map(([target, mount]) => ({ target, ...mount })),
  });
}

export type Machine = CoreMachine;
export const Machine: { readonly boot: typeof boot } = { boot };
