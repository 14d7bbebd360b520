// SPDX-License-Identifier: Apache-2.0
// Runs an image's second stage on the host's own kernel: the image mounted, an overlay on tmpfs above, chroot.
// For tests on a Linux host, as root. What Rookery's own runner must equal.

import { spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GuestOptions, GuestResult } from "../../image/runner.ts";

const SETUP = `set -e
mount --make-rprivate /
mkdir -p "$1/lower" "$1/tmpfs"
mount -t erofs -o loop,ro "$2" "$1/lower"
mount -t tmpfs tmpfs "$1/tmpfs"
mkdir "$1/tmpfs/upper" "$1/tmpfs/work" "$1/tmpfs/root"
chmod 755 "$1/tmpfs/upper"
mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/tmpfs/upper,workdir=$1/tmpfs/work" overlay "$1/tmpfs/root"
root=$1/tmpfs/root
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$root/dev/"
ln -s /proc/self/fd "$root/dev/fd"
status=0
chroot "$root" /usr/bin/env -i "$3" </dev/null >&2 || status=$?
umount "$root/dev" "$root/sys" "$root/proc" "$root"
tar --format=pax --xattrs --xattrs-include='*' --numeric-owner --sort=name -C "$1/tmpfs/upper" -cf "$4" .
exit $status
`;

export async function nativeRunner(options: GuestOptions): Promise<GuestResult> {
  const work = await mkdtemp(join(tmpdir(), "rookery-native-"));
  const layer = join(work, "layer.tar");
  const child = spawn(
    "unshare",
    ["-m", "sh", "-c", SETUP, "sh", work, options.image, options.script, layer],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  child.stderr.on("data", (bytes: Buffer) => {
    options.onOutput(bytes);
  });
  const exitCode = await new Promise<number>((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => {
      done(code ?? 128);
    });
  });
  return { exitCode, changes: readLayer(work, layer) };
}

async function* readLayer(work: string, layer: string): AsyncGenerator<Uint8Array, void, void> {
  const { createReadStream } = await import("node:fs");
  const { rm } = await import("node:fs/promises");
  try {
    for await (const piece of createReadStream(layer)) {
      if (piece instanceof Uint8Array) yield piece;
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
