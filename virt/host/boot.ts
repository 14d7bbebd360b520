// SPDX-License-Identifier: Apache-2.0
// What the doors of all hosts share: the options of `Machine.boot` as users type them.

import type { Host, HostDisk } from "../../include/host/host.ts";
import type { TranslationStore } from "../../include/host/translations.ts";
import { Machine, type MachineMount } from "../../init/machine.ts";
import { parseSize } from "../../lib/units.ts";
import { type FileTree, openMemoryDirectory } from "./memory/directory.ts";
import { createSimHost } from "./sim/host.ts";

/** A directory of the host to mount. */
export type HostMount = Omit<MachineMount, "target">;

export interface BootOptions {
  /** The root image, one that is still being opened too. Changes go to memory. */
  readonly root: HostDisk | Promise<HostDisk>;
  /** "1GiB", or bytes. */
  readonly memory?: string | number;
  readonly hostname?: string;
  /** Guest path to a directory of the host. */
  readonly mounts?: Readonly<Record<string, HostMount>>;
  /** "virtual": time moves with instructions and sleeps; the same seed gives the same run. */
  readonly time?: "real" | "virtual";
  readonly seed?: number;
  /**
   * Where translated code is kept from one machine to the next, while the machine is idle and when it is disposed. Not with virtual time, for
   * which it is left alone: what is there decides when code is translated, and with it where the scheduler may preempt.
   */
  readonly translations?: TranslationStore | undefined;
}

/** What a door brings: its host, and how the event loop around a simulation turns. */
export interface Surroundings {
  createHost(): Host;
  breathe(): Promise<void>;
}

const DEFAULT_MEMORY_BYTES = 2 ** 30;

/** Boots a machine on the host's clock, or on virtual time. Throws RangeError for a bad `memory`. */
export async function bootIn(surroundings: Surroundings, options: BootOptions): Promise<Machine> {
  const memoryBytes = typeof options.memory === "string"
    ? parseSize(options.memory)
    : options.memory ?? DEFAULT_MEMORY_BYTES;
  if (memoryBytes === undefined) {
    throw new RangeError(`memory: "${String(options.memory)}" is not a size like 1GiB`);
  }
  const isVirtual = options.time === "virtual" || (options.time === undefined && options.seed !== undefined);
  const disk = await options.root;
  const virtual = isVirtual
    ? createSimHost({ seed: options.seed ?? 0, breathe: () => surroundings.breathe() })
    : undefined;
  return Machine.boot({
    host: virtual ?? surroundings.createHost(),
    root: virtual?.hold(disk) ?? disk,
    memoryBytes,
    hostname: options.hostname,
    translations: isVirtual ? undefined : options.translations,
    mounts: Object.entries(options.mounts ?? {}).map(([target, mount]) => ({ target, ...mount })),
  });
}

/** Files in memory to mount. `mode`: "overlay" (default) keeps changes apart, "ro" refuses them. */
export function memoryDirectory(tree: FileTree, options: { mode?: "overlay" | "ro" } = {}): HostMount {
  return { directory: openMemoryDirectory(tree), mode: options.mode ?? "overlay" };
}
