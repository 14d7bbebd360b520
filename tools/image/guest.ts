// SPDX-License-Identifier: Apache-2.0
// Runs the second stage of an image in Rookery itself.
//
// The guest lays a tmpfs over its own root with mount(8), runs the script in that overlay, and then sends the
// upper layer as a tar archive to its standard output, so that nothing but system calls is asked of the kernel
// and the image carries no trace of the errand. The archive goes to a file beside the image, not to memory.

import { closeSync, createReadStream, openSync, rmSync } from "node:fs";
import { Machine } from "../../init/machine.ts";
import type { HostConsole } from "../../include/host/host.ts";
import { fileDisk } from "../../virt/host/node/disk.ts";
import { createNodeHost } from "../../virt/host/node/host.ts";
import type { GuestOptions, GuestResult } from "./runner.ts";
import { writeFully } from "./spool.ts";

/** $1 is the script. /tmp is where the layers are mounted: it is empty, and every root has it. */
export const GUEST_ERRAND = `set -e
mount -t tmpfs -o mode=755 tmpfs /tmp
mkdir /tmp/upper /tmp/work /tmp/root
mount -t overlay -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/root
mount -t proc proc /tmp/root/proc
mount -t sysfs sysfs /tmp/root/sys
status=0
chroot /tmp/root /usr/bin/env -i "$1" </dev/null >&2 || status=$?
umount /tmp/root/sys /tmp/root/proc /tmp/root
tar --format=pax --xattrs --xattrs-include='*' --numeric-owner --sort=name -C /tmp/upper -cf - .
exit $status
`;

const MEMORY_BYTES = 1.5 * 2 ** 30;

/** A console without a terminal that hands all that is written to `take`, and has no input. */
function outputTo(take: (bytes: Uint8Array) => void): HostConsole {
  return {
    isTerminal: false, columns: 80, rows: 24, write: take,
    onInput(listener) {
      listener(undefined);
      return () => undefined;
    },
    onResize: () => () => undefined,
  };
}

export async function rookeryRunner(options: GuestOptions): Promise<GuestResult> {
  const layer = `${options.image}.layer`;
  const fd = openSync(layer, "w");
  let position = 0;
  try {
    using disk = fileDisk(options.image);
    await using machine = await Machine.boot({ host: createNodeHost(), root: disk, memoryBytes: MEMORY_BYTES });
    const stdout = outputTo((bytes) => {
      writeFully(fd, bytes, position);
      position += bytes.length;
    });
    const stderr = outputTo(options.onOutput);
    const argv = ["/bin/sh", "-c", GUEST_ERRAND, "sh", options.script];
    const child = machine.spawn(argv, { user: "0:0", stdio: { stdout, stderr } });
    const { exitCode } = await Promise.race([child.exited, machine.failed]);
    return { exitCode, changes: readAndRemove(layer) };
  } catch (error) {
    rmSync(layer, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

async function* readAndRemove(path: string): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const piece of createReadStream(path)) if (piece instanceof Uint8Array) yield piece;
  } finally {
    rmSync(path, { force: true });
  }
}
