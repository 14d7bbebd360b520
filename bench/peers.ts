// SPDX-License-Identifier: Apache-2.0
// The contenders: how each runs a command in the same root image with the workloads at /bench and the inputs at /data.

import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

export type PeerName = "native" | "qemu" | "rookery";

export interface BenchFiles {
  readonly image: string;
  readonly programs: string; // directory with cpu, sys, timeit and the scripts
  readonly data: string;
  readonly scratch: string;
}

const ENTER = `set -e
image=$1; top=$2; programs=$3; data=$4; qemu=$5; shift 5
mount -t tmpfs tmpfs "$top"; mkdir "$top/lower" "$top/upper" "$top/work" "$top/root"
mount -t erofs -o loop,ro "$image" "$top/lower"
mount -t overlay overlay -o "lowerdir=$top/lower,upperdir=$top/upper,workdir=$top/work" "$top/root"
r=$top/root; mkdir -p "$r/bench" "$r/data"
mount --bind "$programs" "$r/bench"; mount --bind "$data" "$r/data"
mount -t proc proc "$r/proc"; mount --bind /dev "$r/dev"; mount -t tmpfs tmpfs "$r/tmp"
mkdir -p /dev/shm
if [ -n "$qemu" ]; then
  cp "$qemu" "$r/qemu"; exec unshare -Urm chroot "$r" /bin/sh /bench/in-qemu "$@"
fi
exec chroot "$r" "$@"
`;

/** A binfmt_misc mount of its own user namespace (Linux 6.7) sends every x86-64 ELF file to qemu, children included; a
 *  mark in a padding byte of the header keeps qemu itself out of it. */
const IN_QEMU = `#!/bin/sh
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 1
printf '%s' ':q:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x3e\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xff\\xfe\\xff\\xff\\xff:/qemu:PF' > /proc/sys/fs/binfmt_misc/register || exit 1
exec "$@"
`;

function markedQemu(scratch: string): string {
  const source = "/usr/bin/qemu-x86_64-static";
  if (!existsSync(source)) throw new Error("qemu-x86_64-static is missing: apt-get install qemu-user-static");
  const target = join(scratch, "qemu");
  copyFileSync(source, target);
  chmodSync(target, 0o755);
  const descriptor = openSync(target, "r+");
  writeSync(descriptor, Uint8Array.of(1), 0, 1, 15);
  closeSync(descriptor);
  return target;
}

/** The command line that runs `argv` under `peer`. */
export function peerCommand(peer: PeerName, files: BenchFiles, argv: readonly string[]): string[] {
  if (peer === "rookery") {
    const cli = new URL("../tools/cli/main.js", import.meta.url).pathname;
    const volumes = ["-v", `${files.programs}:/bench:ro`, "-v", `${files.data}:/data:ro`];
    return [process.execPath, cli, "run", "--root", files.image, "--memory", "2g", ...volumes, "--", ...argv];
  }
  const top = join(files.scratch, `root-${peer}`);
  mkdirSync(top, { recursive: true });
  writeFileSync(join(files.programs, "in-qemu"), IN_QEMU, { mode: 0o755 });
  const qemu = peer === "qemu" ? markedQemu(files.scratch) : "";
  return [
    "unshare",
    "-m",
    "sh",
    "-c",
    ENTER,
    "enter",
    files.image,
    top,
    files.programs,
    files.data,
    qemu,
    ...argv,
  ];
}
