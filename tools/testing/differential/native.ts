// SPDX-License-Identifier: Apache-2.0
// Runs a command natively in a chroot of a root image: the reference side of the differential run. Needs root on Linux
// (mount namespaces, EROFS and overlayfs of the host's kernel).

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { CASE_ENV } from "./wrapper.ts";

/** Mounts $1 (an image) under $2, a fresh tmpfs above it, and runs the rest in it. */
const IN_CHROOT = `set -e
image=$1; top=$2; shift 2
mount -t tmpfs tmpfs "$top"
mkdir "$top/lower" "$top/upper" "$top/work" "$top/root"
mount -t erofs -o loop,ro "$image" "$top/lower"
mount -t overlay overlay -o "lowerdir=$top/lower,upperdir=$top/upper,workdir=$top/work" "$top/root"
root=$top/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$root/dev/\${n%:*}" c 1 "\${n#*:}"; done
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
for i in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/\${i%:*}" "$root/dev/\${i#*:}"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec chroot "$root" "$@"
`;

export interface NativeResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly status: number | null;
}

/** Runs `argv` in a throw-away copy of the image. */
export function runNative(image: string, argv: readonly string[]): NativeResult {
  const top = mkdtempSync(join(tmpdir(), "rookery-native-"));
  try {
    const args = ["-m", "-p", "-f", "--kill-child", "bash", "-c", IN_CHROOT, "chroot", image, top, ...argv];
    const run = spawnSync("unshare", args, { env: { ...CASE_ENV }, maxBuffer: 1 << 28, input: "" });
    return { stdout: run.stdout, stderr: run.stderr.toString(), status: run.status };
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
}
