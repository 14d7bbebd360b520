// SPDX-License-Identifier: Apache-2.0
// What stands in /dev of a machine without udev: the nodes, links and directories that Debian expects.
//
// Source: devices list of the Linux Standard Base, null(4), tty(4), pts(4), fd(4); modes as Debian's udev rules have them.

import type { Inode } from "../../include/linux/fs.ts";
import type { Kernel } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { makeDevice, S_IFCHR } from "../../include/uapi/stat.ts";
import { credentialsOf } from "../../security/commoncap.ts";
import { registerMemoryDevices } from "../char/mem.ts";
import { registerConsoleDevices } from "../tty/console.ts";
import { registerPtyDevices } from "../tty/pty.ts";

const GID_TTY = 5;
const GID_KMEM = 15;

interface Node {
  readonly name: string;
  readonly mode: number;
  readonly major: number;
  readonly minor: number;
  readonly gid?: number;
}

const NODES: readonly Node[] = [
  { name: "mem", mode: 0o640, major: 1, minor: 1, gid: GID_KMEM },
  { name: "null", mode: 0o666, major: 1, minor: 3 },
  { name: "port", mode: 0o640, major: 1, minor: 4, gid: GID_KMEM },
  { name: "zero", mode: 0o666, major: 1, minor: 5 },
  { name: "full", mode: 0o666, major: 1, minor: 7 },
  { name: "random", mode: 0o666, major: 1, minor: 8 },
  { name: "urandom", mode: 0o666, major: 1, minor: 9 },
  { name: "kmsg", mode: 0o644, major: 1, minor: 11 },
  { name: "tty0", mode: 0o620, major: 4, minor: 0, gid: GID_TTY },
  { name: "tty1", mode: 0o620, major: 4, minor: 1, gid: GID_TTY },
  { name: "tty", mode: 0o666, major: 5, minor: 0, gid: GID_TTY },
  { name: "console", mode: 0o620, major: 5, minor: 1, gid: GID_TTY },
  { name: "ptmx", mode: 0o666, major: 5, minor: 2, gid: GID_TTY },
];

const LINKS: readonly (readonly [name: string, target: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", "/proc/kcore"],
];

const DIRECTORIES: readonly (readonly [name: string, mode: number])[] = [
  ["pts", 0o755],
  ["shm", 0o1777],
  ["mqueue", 0o1777],
];

/** Tells the kernel which drivers serve which numbers. */
export function registerDevices(kernel: Kernel): void {
  registerMemoryDevices(kernel);
  registerConsoleDevices(kernel);
  registerPtyDevices(kernel);
}

/** Fills the root directory of a fresh devtmpfs (a tmpfs). */
export function* populateDevices(_kernel: Kernel, devRoot: Inode): Sleeps<void> {
  const root = credentialsOf(0, 0);
  for (const { name, mode, major, minor, gid } of NODES) {
    const node = yield* settle(devRoot.create(name, S_IFCHR | mode, makeDevice(major, minor), root));
    if (gid !== undefined) yield* settle(node.setAttributes({ gid }));
  }
  for (const [name, target] of LINKS) yield* settle(devRoot.symlink(name, target, root));
  for (const [name, mode] of DIRECTORIES) {
    const directory = yield* settle(devRoot.mkdir(name, mode, root));
    yield* settle(directory.setAttributes({ mode }));
  }
}

function* settle<T>(answer: T | Sleeps<T>): Sleeps<T> {
  return isSleeping(answer) ? yield* answer : answer;
}
