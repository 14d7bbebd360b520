// SPDX-License-Identifier: Apache-2.0
// The contenders: how each runs a command in the same root image with the workloads at /bench and the inputs at /data.
//
// All but Rookery get the image as the lower layer of an overlay in a mount namespace of their own, made by ENTER before
// anything is measured. Sources: unshare(1), runsc help, user-mode-linux(1), the kernel's admin-guide/binfmt-misc.

import { execFileSync, spawnSync } from "node:child_process";
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

export const PEER_NAMES = ["native", "qemu", "gvisor", "uml", "rookery"] as const;
export type PeerName = typeof PEER_NAMES[number];

export interface BenchFiles {
  readonly image: string;
  readonly programs: string; // directory with cpu, sys, timeit and the scripts
  readonly data: string;
  readonly scratch: string;
  /** Rookery's own cache during the run. */
  readonly cache: string;
}

export const PEER_TITLES: Readonly<Record<PeerName, string>> = {
  native: "native",
  qemu: "qemu-user",
  gvisor: "gVisor (ptrace)",
  uml: "User-Mode Linux",
  rookery: "Rookery",
};

interface Program {
  readonly path: string;
  readonly debianPackage: string;
  readonly versionOption: string;
}

const PROGRAMS: Readonly<Partial<Record<PeerName, Program>>> = {
  qemu: {
    path: "/usr/bin/qemu-x86_64-static",
    debianPackage: "qemu-user-static",
    versionOption: "--version",
  },
  gvisor: { path: "/usr/bin/runsc", debianPackage: "runsc", versionOption: "--version" },
  uml: { path: "/usr/bin/linux.uml", debianPackage: "user-mode-linux", versionOption: "--version" },
};

/** Why the peer cannot take part on this machine, and how it could; undefined when it can. */
export function missingPeer(peer: PeerName): string | undefined {
  const program = PROGRAMS[peer];
  if (program === undefined || existsSync(program.path)) return undefined;
  return `${
    PEER_TITLES[peer]
  } is left out: ${program.path} is not there (apt-get install ${program.debianPackage})`;
}

/** First line of what the peer's program says of itself. */
export function peerVersion(peer: PeerName): string | undefined {
  const program = PROGRAMS[peer];
  if (program === undefined || !existsSync(program.path)) return undefined;
  const { stdout } = spawnSync(program.path, [program.versionOption], {
    encoding: "utf8",
    timeout: 10_000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return stdout?.split("\n")[0]?.trim();
}

/** gVisor's sandbox takes its root without the mounts in it, so that it gets copies where the others get bind mounts. */
const ENTER = `set -e
image=$1; top=$2; programs=$3; data=$4; share=$5; shift 5
mount -t tmpfs tmpfs "$top"; mkdir "$top/lower" "$top/upper" "$top/work" "$top/root"
mount -t erofs -o loop,ro "$image" "$top/lower"
mount -t overlay overlay -o "lowerdir=$top/lower,upperdir=$top/upper,workdir=$top/work" "$top/root"
r=$top/root; mkdir -p "$r/bench" "$r/data"
if [ "$share" = copy ]; then
  cp -a "$programs/." "$r/bench"; cp -a "$data/." "$r/data"
else
  mount --bind "$programs" "$r/bench"; mount --bind "$data" "$r/data"
  mount -t proc proc "$r/proc"; mount --bind /dev "$r/dev"; mount -t tmpfs tmpfs "$r/tmp"
  mkdir -p /dev/shm
fi
echo start
exec "$@"
`;

/** A binfmt_misc mount of its own user namespace (Linux 6.7) sends every x86-64 ELF file to qemu, children included; a
 *  mark in a padding byte of the header keeps qemu itself out of it. */
const IN_QEMU = `#!/bin/sh
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 1
printf '%s' ':q:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x3e\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xff\\xfe\\xff\\xff\\xff:/bench/qemu:PF' > /proc/sys/fs/binfmt_misc/register || exit 1
exec "$@"
`;

/** Pid 1 under User-Mode Linux. The image has no ip(8), so the loopback device is raised by hand (netdevice(7)). */
const UML_INIT = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc; mount -t tmpfs tmpfs /tmp; mkdir -p /dev/shm; mount -t tmpfs tmpfs /dev/shm
perl -e '$up = pack("a16 s x14", "lo", 0x49); socket(S, 2, 2, 0) && ioctl(S, 0x8914, $up) or die "lo: $!"'
`;
const UML_END = "echo o > /proc/sysrq-trigger; sleep 9\n";

function addMarkedQemu(programs: string): void {
  const target = join(programs, "qemu");
  copyFileSync(PROGRAMS.qemu!.path, target);
  chmodSync(target, 0o755);
  const descriptor = openSync(target, "r+");
  writeSync(descriptor, Uint8Array.of(1), 0, 1, 15);
  closeSync(descriptor);
  writeFileSync(join(programs, "in-qemu"), IN_QEMU, { mode: 0o755 });
}

/** What the peers need beside the workloads. Call it once. */
export function preparePeers(peers: readonly PeerName[], files: BenchFiles): void {
  if (peers.includes("qemu")) addMarkedQemu(files.programs);
}

/** Builds the C workloads and the inputs. */
export function buildWorkloads(sources: string, files: BenchFiles): void {
  for (const name of ["cpu", "sys", "library", "scale", "timeit"]) {
    const output = join(files.programs, name);
    // Of the C library's functions none is to be the compiler's own.
    const flags = name === "library" ? ["-fno-builtin"] : [];
    execFileSync("gcc", [
      ...["-O2", "-static", "-pthread", ...flags],
      ...["-o", output, join(sources, `${name}.c`), "-lm"],
    ]);
  }
  execFileSync("sh", [join(files.programs, "mkdata.sh"), files.data]);
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** The words that run `argv` once ENTER has made the root at `root`. */
function launch(
  peer: Exclude<PeerName, "rookery">,
  root: string,
  files: BenchFiles,
  argv: readonly string[],
) {
  switch (peer) {
    case "native":
      return ["chroot", root, ...argv];
    case "qemu":
      return ["unshare", "-Urm", "chroot", root, "/bin/sh", "/bench/in-qemu", ...argv];
    case "gvisor": {
      const state = join(files.scratch, "runsc");
      mkdirSync(state, { recursive: true });
      const options = ["--ignore-cgroups", "--network=none", "--platform=ptrace", `--root=${state}`];
      // Node's pipes are sockets, and the sandbox shuts down those it was given when it ends.
      const pipe = ["bash", "-o", "pipefail", "-c", "\"$@\" | cat", "pipe"];
      return [...pipe, "runsc", ...options, "do", "--quiet", `--root=${root}`, "--cwd=/", "--", ...argv];
    }
    case "uml": {
      const init = `${UML_INIT}${quoted(argv)}\n${UML_END}`;
      writeFileSync(join(files.programs, "uml-init"), init, { mode: 0o755 });
      const disk = ["root=/dev/root", "rootfstype=hostfs", `rootflags=${root}`, "rw"];
      const state = `uml_dir=${files.scratch}/uml`;
      return [
        "linux.uml",
        state,
        ...disk,
        "init=/bench/uml-init",
        "mem=2G",
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
      ];
    }
  }
}

/** The command line that runs `argv` under `peer`; with `timed`, timeit takes the time of the whole peer under that
 *  name. */
export function peerCommand(
  peer: PeerName,
  files: BenchFiles,
  argv: readonly string[],
  timed?: string,
): string[] {
  const timer = timed === undefined ? [] : [join(files.programs, "timeit"), timed];
  if (peer === "rookery") {
    const cli = new URL("../bin/rookery.js", import.meta.url).pathname;
    const volumes = ["-v", `${files.programs}:/bench:ro`, "-v", `${files.data}:/data:ro`];
    const options = [
      "run",
      "--root",
      files.image,
      ...(timed === undefined ? ["--memory", "2g", ...volumes] : []),
    ];
    const start = ["sh", "-c", "echo start; exec \"$@\"", "start"];
    return [...start, ...timer, process.execPath, cli, ...options, "--", ...argv];
  }
  const top = join(files.scratch, `root-${peer}`);
  mkdirSync(top, { recursive: true });
  const share = peer === "gvisor" ? "copy" : "bind";
  const enter = [
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
    share,
  ];
  return [...enter, ...timer, ...launch(peer, join(top, "root"), files, argv)];
}
