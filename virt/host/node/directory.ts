// SPDX-License-Identifier: Apache-2.0
// A directory of the host, for `-v SRC:DST`. Nothing outside it can be reached: the guest's kernel resolves symbolic
// links itself, and each path is checked again here component by component, because a link may have been planted on
// the host side. What was looked at in the same moment is not looked at again.

import {
  type BigIntStats,
  closeSync,
  constants,
  type Dirent,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";

import type { HostDirectory, HostStat } from "../../../include/host/host.ts";
import { ENOENT } from "../../../lib/errno.ts";

export interface HostDirectoryOptions {
  readonly mode?: "ro" | "rw" | "overlay";
}

function kindOf(entry: BigIntStats | Dirent): HostStat["kind"] {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  return entry.isSymbolicLink() ? "symlink" : "other";
}

class HostError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * Directories of the host that were seen to be directories, by path, in a moment that is not over: as long as it takes to look at those of one path, about,
 * since a link may be planted between two looks in any case. All volumes have them together, for one may lie in another.
 */
const seen = { paths: new Set<string>(), since: 0 };
const MOMENT_MS = 0.1;

function forgetSeen(now: number): void {
  seen.paths.clear();
  seen.since = now;
}

function mustBeDirectory(hostPath: string): void {
  if (seen.paths.has(hostPath)) return;
  if (!lstatSync(hostPath).isDirectory()) throw new HostError("ENOTDIR");
  seen.paths.add(hostPath);
}

class NodeDirectory implements HostDirectory {
  readonly isReadOnly: boolean;
  readonly #root: string;

  constructor(root: string, isReadOnly: boolean) {
    this.#root = realpathSync(root);
    this.isReadOnly = isReadOnly;
    if (!lstatSync(this.#root).isDirectory()) throw new HostError("ENOTDIR");
  }

  /** The host path of `path`, whose directories must be real directories below the root. */
  #locate(path: string): string {
    const names = path.split("/").filter((name) => name !== "");
    let at = this.#root;
    const now = performance.now();
    if (now - seen.since > MOMENT_MS) forgetSeen(now);
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      if (name === "." || name === ".." || name.includes("\0")) throw new HostError("EINVAL");
      at = `${at}/${name}`;
      if (i < names.length - 1) mustBeDirectory(at);
    }
    return at;
  }

  #withFile<T>(path: string, flags: number, body: (descriptor: number) => T): T {
    const descriptor = openSync(this.#locate(path), flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return body(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  stat(path: string): HostStat {
    // Most names that are asked for are not there, and Node's own error takes five times as long as the answer.
    const hostPath = this.#locate(path);
    const s = lstatSync(hostPath, { bigint: true, throwIfNoEntry: false });
    if (s === undefined) throw ENOENT;
    if (s.isDirectory()) seen.paths.add(hostPath);
    return {
      kind: kindOf(s),
      dev: Number(s.dev),
      ino: Number(s.ino),
      mode: Number(s.mode) & 0o7777,
      nlink: Number(s.nlink),
      uid: Number(s.uid),
      gid: Number(s.gid),
      size: Number(s.size),
      atimeNs: s.atimeNs,
      mtimeNs: s.mtimeNs,
      ctimeNs: s.ctimeNs,
    };
  }

  list(path: string): { name: string; kind: HostStat["kind"] }[] {
    return readdirSync(this.#locate(path), { withFileTypes: true }).map((e) => ({
      name: e.name,
      kind: kindOf(e),
    }));
  }

  read(path: string, offset: number, into: Uint8Array): number {
    return this.#withFile(path, constants.O_RDONLY, (fd) => readSync(fd, into, 0, into.length, offset));
  }

  write(path: string, offset: number, from: Uint8Array): number {
    return this.#withFile(path, constants.O_WRONLY, (fd) => writeSync(fd, from, 0, from.length, offset));
  }

  truncate(path: string, size: number): void {
    this.#withFile(path, constants.O_WRONLY, (fd) => ftruncateSync(fd, size));
  }

  create(path: string, mode: number): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    closeSync(openSync(this.#locate(path), flags, mode));
  }

  mkdir(path: string, mode: number): void {
    mkdirSync(this.#locate(path), mode);
  }

  symlink(path: string, target: string): void {
    symlinkSync(target, this.#locate(path));
  }

  link(path: string, existing: string): void {
    linkSync(this.#locate(existing), this.#locate(path));
  }

  readlink(path: string): string {
    return readlinkSync(this.#locate(path));
  }

  unlink(path: string): void {
    unlinkSync(this.#locate(path));
  }

  rmdir(path: string): void {
    rmdirSync(this.#locate(path));
    forgetSeen(0); // or the guest could put a link there, and go on below what it has open
  }

  rename(from: string, to: string): void {
    renameSync(this.#locate(from), this.#locate(to));
    forgetSeen(0);
  }

  chmod(path: string, mode: number): void {
    this.#withFile(path, constants.O_RDONLY, (fd) => fchmodSync(fd, mode));
  }

  utimes(path: string, atimeNs: bigint, mtimeNs: bigint): void {
    lutimesSync(this.#locate(path), Number(atimeNs) / 1e9, Number(mtimeNs) / 1e9);
  }

  sync(path: string): void {
    this.#withFile(path, constants.O_RDONLY, (fd) => fsyncSync(fd));
  }
}

/** Opens a directory of the host. Throws Node's error when it is not there or not a directory. */
export function openHostDirectory(path: string, isReadOnly: boolean): HostDirectory {
  return new NodeDirectory(path, isReadOnly);
}
