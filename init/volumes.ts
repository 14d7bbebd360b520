// SPDX-License-Identifier: Apache-2.0
// Directories of the host in the guest's tree: as they are, read-only, or below an overlay that keeps changes in memory.

import type { VfsImpl } from "../fs/fs.ts";
import { createHostFs } from "../fs/hostfs/hostfs.ts";
import type { HostDirectory } from "../include/host/host.ts";
import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { MS_NODEV, MS_NOSUID, MS_RDONLY } from "../include/uapi/mount.ts";
import type { LinuxKernel } from "../kernel/kernel.ts";
import { find, makeDirectory, mountAt } from "./rootfs.ts";
import { utf8ToByteString } from "../lib/byte-string.ts";

export interface VolumeOptions {
  readonly target: string;
  readonly directory: HostDirectory;
  readonly mode: "rw" | "ro" | "overlay";
}

/** Mounts one volume, making its mount point. */
export function* mountHostDirectory(
  task: Task,
  kernel: LinuxKernel,
  vfs: VfsImpl,
  volume: VolumeOptions,
): Sleeps<void> {
  const target = utf8ToByteString(volume.target);
  yield* makeDirectory(task, vfs, target);
  const superBlock = createHostFs(kernel, volume.directory);
  const flags = MS_NOSUID | MS_NODEV | (volume.mode === "rw" ? 0 : MS_RDONLY);
  vfs.mount(task, superBlock, yield* find(task, vfs, target), flags, "host");
  if (volume.mode !== "overlay") return;
  const layers = `/run/volumes${target}`;
  yield* makeDirectory(task, vfs, `${layers}/lower`);
  yield* makeDirectory(task, vfs, `${layers}/upper`);
  yield* makeDirectory(task, vfs, `${layers}/work`);
  vfs.mount(task, superBlock, yield* find(task, vfs, `${layers}/lower`), flags, "host");
  const data = `lowerdir=${layers}/lower,upperdir=${layers}/upper,workdir=${layers}/work`;
  yield* mountAt(task, vfs, "overlay", "overlay", target, data, MS_NOSUID | MS_NODEV);
}
