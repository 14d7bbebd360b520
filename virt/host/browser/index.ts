// SPDX-License-Identifier: Apache-2.0
// The package's door in a page or a Worker: `import { Machine } from "rookery"`, and `rookery/browser` for what a
// browser alone has. A Worker leaves the page free while the guest computes.

import type { Machine as CoreMachine } from "../../../init/machine.ts";
import { bootIn, type BootOptions } from "../boot.ts";
import { createBrowserHost, Turns } from "./host.ts";

export { type BootOptions, type HostMount, memoryDirectory } from "../boot.ts";
export type { FileTree } from "../memory/directory.ts";
export { memoryDisk } from "../memory/disk.ts";
export { blobDisk, type BlobLike } from "./blob-disk.ts";
export { httpDisk, type HttpDiskOptions } from "./http-disk.ts";
export type { LazyDiskOptions } from "./lazy-disk.ts";
export { type OpfsDisk, opfsDisk, type OpfsDiskOptions } from "./opfs-disk.ts";
export { type OpfsTranslations, opfsTranslations } from "./opfs-translations.ts";
export { terminal, type TerminalLike, type TerminalLink, type TerminalProcess } from "./terminal.ts";
export type { HostDisk } from "../../../include/host/host.ts";
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

/** Boots a machine in this page or Worker. Throws RangeError for a bad `memory`. */
function boot(options: BootOptions): Promise<CoreMachine> {
  const turns = new Turns();
  return bootIn({ createHost: createBrowserHost, breathe: () => turns.next() }, options);
}

export type Machine = CoreMachine;
export const Machine: { readonly boot: typeof boot } = { boot };
