// SPDX-License-Identifier: Apache-2.0
// Unpacks packages into a tree as dpkg would, and writes dpkg's database of them, all in the state "unpacked".
//
// Conffiles go straight to their places, their checksums into the status file: dpkg's configure step finds no
// ".dpkg-new" and takes them as they are, which is where it would have arrived, too, on a fresh system.
// Source: deb(5), dpkg(1), deb-conffiles(5), deb-triggers(5), Debian Policy 6.6 and 7.6.

import { createHash } from "node:crypto";
import { utf8ToByteString } from "../../lib/byte-string.ts";
import type { Paragraph } from "../../lib/deb822.ts";
import type { TarHeader, TarVisitor } from "../../lib/tar.ts";
import type { Deb } from "./deb.ts";
import { DpkgDatabase } from "./dpkg-database.ts";
import type { UnpackedPackage } from "./dpkg-database.ts";
import { parseDependencies } from "./dependency.ts";
import { satisfies } from "./resolve.ts";
import type { Package } from "./resolve.ts";
import type { Spool } from "./spool.ts";
import { bytesContent, createDirectory, createFile, createSymlink } from "./tree.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from "./tree.ts";
import type { Attributes, Tree, TreeNode } from "./tree.ts";

const TYPE_BITS: Readonly<Record<TarHeader["type"], number>> = {
  file: S_IFREG,
  link: S_IFREG,
  symlink: S_IFLNK,
  char: S_IFCHR,
  block: S_IFBLK,
  directory: S_IFDIR,
  fifo: S_IFIFO,
};

/** The attributes of a tar entry; times after `mtimeMax` are set back to it. */
export function attributesOf(header: TarHeader, mtimeMax: number): Attributes {
  const isLate = header.mtime >= mtimeMax;
  return {
    mode: TYPE_BITS[header.type] | (header.type === "symlink" ? 0o777 : header.mode),
    uid: header.uid,
    gid: header.gid,
    mtime: isLate ? mtimeMax : header.mtime,
    mtimeNs: isLate ? 0 : header.mtimeNs,
    xattrs: new Map(header.xattrs),
  };
}

export class Unpacker {
  readonly #tree: Tree;
  readonly #spool: Spool;
  readonly #mtimeMax: number;
  /** Which package a path that is no directory came from. */
  readonly #owners = new Map<string, UnpackedPackage>();
  readonly database: DpkgDatabase = new DpkgDatabase();

  constructor(tree: Tree, spool: Spool, mtimeMax: number) {
    this.#tree = tree;
    this.#spool = spool;
    this.#mtimeMax = mtimeMax;
  }

  async unpack(chosen: Package, deb: Deb): Promise<void> {
    checkIdentity(chosen, deb.control);
    const { control, files } = deb;
    const unpacked: UnpackedPackage = { chosen, control, files, paths: [], conffiles: conffilesOf(deb) };
    await deb.unpack(this.#visitor(unpacked));
    this.database.add(unpacked);
  }

  #visitor(unpacked: UnpackedPackage): TarVisitor {
    let finish: (() => void) | undefined;
    let start = 0;
    let hash: ReturnType<typeof createHash> | undefined;
    return {
      begin: (header) => {
        const path = header.path.replace(/^(?:\.\/|\/)+/, "").replace(/^\.$/, "");
        unpacked.paths.push(path === "" ? "/." : `/${path}`);
        finish = undefined;
        hash = undefined;
        if (header.type !== "file") {
          this.#place(unpacked, path, header);
          return;
        }
        this.#claim(unpacked, path);
        start = this.#spool.position;
        if (unpacked.conffiles.has(`/${path}`)) hash = createHash("md5");
        finish = (): void => {
          const content = this.#spool.content(start, header.sizeBytes);
          this.#tree.put(path, { ...attributesOf(header, this.#mtimeMax), kind: "file", content });
          if (hash !== undefined) unpacked.conffiles.set(`/${path}`, hash.digest("hex"));
        };
      },
      data: (bytes) => {
        this.#spool.append(bytes);
        hash?.update(bytes);
      },
      end: () => {
        finish?.();
      },
    };
  }

  #place(unpacked: UnpackedPackage, path: string, header: TarHeader): void {
    if (header.type === "directory") {
      this.#placeDirectory(path, header);
      return;
    }
    this.#claim(unpacked, path);
    this.#tree.put(path, this.#nodeOf(header));
  }

  /** A directory that is there already, or a symlink to one, stays as it is. */
  #placeDirectory(path: string, header: TarHeader): void {
    const made = { ...attributesOf(header, this.#mtimeMax), kind: "directory" as const, children: new Map() };
    const existing = path === "" ? this.#tree.root : this.#tree.lookup(path);
    if (existing === undefined) this.#tree.put(path, made);
    else if (existing.kind === "directory" && existing === this.#tree.root) {
      Object.assign(existing, attributesOf(header, this.#mtimeMax));
    } else if (existing.kind === "symlink" && this.#tree.parentOf(`${path}/.`) === undefined) {
      this.#tree.put(path, made);
    }
  }

  #nodeOf(header: TarHeader): TreeNode {
    const common = attributesOf(header, this.#mtimeMax);
    switch (header.type) {
      case "symlink":
        return { ...common, kind: "symlink", target: header.linkPath };
      case "link": {
        const target = this.#tree.lookup(header.linkPath);
        if (target === undefined || target.kind === "directory") {
          throw new Error(`${header.path} is a hard link to ${header.linkPath}, which is not there`);
        }
        return target;
      }
      case "char":
      case "block":
      case "fifo":
        return { ...common, kind: "special", major: header.major, minor: header.minor };
      case "file":
      case "directory":
        throw new Error(`unexpected entry ${header.path}`);
    }
  }

  /** Makes `unpacked` the owner of a path; taking it from another package needs Replaces. */
  #claim(unpacked: UnpackedPackage, path: string): void {
    const place = this.#tree.parentOf(path);
    const former = this.#owners.get(path);
    this.#owners.set(path, unpacked);
    if (former === undefined || former === unpacked || place === undefined) return;
    const mayReplace = (one: UnpackedPackage, other: UnpackedPackage): boolean =>
      parseDependencies(one.control.get("Replaces")).some(([dependency]) =>
        dependency !== undefined && satisfies(other.chosen, dependency)
      );
    if (!mayReplace(unpacked, former)) {
      throw new Error(`${unpacked.chosen.name} and ${former.chosen.name} both hold /${path}`);
    }
    former.paths.splice(former.paths.indexOf(`/${path}`), 1);
  }
}

function checkIdentity(chosen: Package, control: Paragraph): void {
  for (const field of ["Package", "Version", "Architecture"] as const) {
    if (control.get(field) !== chosen.control.get(field)) {
      throw new Error(`the package's ${field} is ${control.get(field) ?? "missing"}, not as the index says`);
    }
  }
}

/** Paths that the package marks as configuration, in its order; words before a path are flags. */
function conffilesOf(deb: Deb): Map<string, string> {
  const list = deb.files.find((file) => file.name === "conffiles");
  const text = list === undefined ? "" : Buffer.from(list.bytes).toString("latin1");
  const conffiles = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^((?:[a-z-]+\s+)*)(\/.*?)\s*$/.exec(line);
    const path = match?.[2];
    if (path !== undefined) conffiles.set(path, `newconffile ${match?.[1] ?? ""}`.trim());
  }
  return conffiles;
}

const HOSTS = `127.0.0.1\tlocalhost
::1\t\tlocalhost ip6-localhost ip6-loopback
ff02::1\t\tip6-allnodes
ff02::2\t\tip6-allrouters

`;

/** What a fresh root needs before the first package: the merged /usr, and what debootstrap sets up by hand. */
export function prepareRoot(tree: Tree, mtime: number, sourcesList: string): void {
  const file = (path: string, permissions: number, text: string): void => {
    tree.put(
      path,
      createFile(permissions, mtime, bytesContent(Buffer.from(utf8ToByteString(text), "latin1"))),
    );
  };
  tree.put("usr", createDirectory(0o755, mtime));
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    tree.put(`usr/${name}`, createDirectory(0o755, mtime));
    tree.put(name, createSymlink(`usr/${name}`, mtime));
  }
  file("etc/fstab", 0o644, "");
  file("etc/hosts", 0o644, HOSTS);
  file("etc/apt/sources.list", 0o644, sourcesList);
  addDevices(tree, mtime);
}

const DEVICES: readonly (readonly [name: string, permissions: number, major: number, minor: number])[] = [
  ["null", 0o666, 1, 3],
  ["zero", 0o666, 1, 5],
  ["full", 0o666, 1, 7],
  ["random", 0o666, 1, 8],
  ["urandom", 0o666, 1, 9],
  ["tty", 0o666, 5, 0],
  ["console", 0o600, 5, 1],
  ["ptmx", 0o666, 5, 2],
];

function addDevices(tree: Tree, mtime: number): void {
  tree.put("dev", createDirectory(0o755, mtime));
  for (const [name, permissions, major, minor] of DEVICES) {
    tree.put(`dev/${name}`, {
      kind: "special",
      mode: S_IFCHR | permissions,
      uid: 0,
      gid: name === "tty" ? 5 : 0,
      mtime,
      mtimeNs: 0,
      xattrs: new Map(),
      major,
      minor,
    });
  }
  for (const name of ["pts", "shm"]) {
    tree.put(`dev/${name}`, createDirectory(name === "shm" ? 0o1777 : 0o755, mtime));
  }
  tree.put("dev/fd", createSymlink("/proc/self/fd", mtime));
  ["stdin", "stdout", "stderr"].forEach((name, number) => {
    tree.put(`dev/${name}`, createSymlink(`/proc/self/fd/${String(number)}`, mtime));
  });
}
