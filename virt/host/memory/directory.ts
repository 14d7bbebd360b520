// SPDX-License-Identifier: Apache-2.0
// A tree of files in memory as a directory of the host, for mounts: read-only, so that a change of the guest goes to
// the overlay above it. All belongs to root; every file may be executed, for there is no place to say which may.

import type { HostDirectory, HostStat } from "../../../include/host/host.ts";

/** Names and what they hold: text, bytes, or another tree. */
export interface FileTree {
  readonly [name: string]: string | Uint8Array | FileTree;
}

/** Errors carry the errno's name. */
class HostError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

interface Node {
  readonly ino: number;
  /** Of a file. */
  readonly bytes: Uint8Array | undefined;
  /** Of a directory. */
  readonly children: ReadonlyMap<string, Node> | undefined;
}

const MODE = 0o755;

function readOnly(): never {
  throw new HostError("EROFS");
}

class MemoryDirectory implements HostDirectory {
  readonly isReadOnly = true;
  readonly #root: Node;
  readonly #timeNs: bigint;
  #inodes = 0;

  constructor(tree: FileTree, timeNs: bigint) {
    this.#root = this.#build(tree);
    this.#timeNs = timeNs;
  }

  #build(tree: FileTree): Node {
    const ino = ++this.#inodes;
    const children = new Map<string, Node>();
    for (const [name, content] of Object.entries(tree)) {
      if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) throw new HostError("EINVAL");
      if (typeof content === "object" && !(content instanceof Uint8Array)) {
        children.set(name, this.#build(content));
      } else {
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        children.set(name, { ino: ++this.#inodes, bytes, children: undefined });
      }
    }
    return { ino, bytes: undefined, children };
  }

  #find(path: string): Node {
    let node = this.#root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      if (node.children === undefined) throw new HostError("ENOTDIR");
      const child = node.children.get(name);
      if (child === undefined) throw new HostError("ENOENT");
      node = child;
    }
    return node;
  }

  stat(path: string): HostStat {
    const { ino, bytes, children } = this.#find(path);
    const directories = [...children?.values() ?? []].filter((child) => child.children !== undefined);
    return {
      kind: children === undefined ? "file" : "directory",
      ino,
      mode: MODE,
      nlink: children === undefined ? 1 : 2 + directories.length,
      uid: 0,
      gid: 0,
      size: bytes?.length ?? 0,
      atimeNs: this.#timeNs,
      mtimeNs: this.#timeNs,
      ctimeNs: this.#timeNs,
    };
  }

  list(path: string): { name: string; kind: HostStat["kind"] }[] {
    const { children } = this.#find(path);
    if (children === undefined) throw new HostError("ENOTDIR");
    return [...children].map(([name, child]) => ({
      name,
      kind: child.children === undefined ? "file" : "directory",
    }));
  }

  read(path: string, offset: number, into: Uint8Array): number {
    const { bytes } = this.#find(path);
    if (bytes === undefined) throw new HostError("EISDIR");
    const part = bytes.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  }

  readlink(path: string): string {
    this.#find(path);
    throw new HostError("EINVAL");
  }

  write(): number {
    return readOnly();
  }
  truncate(): void {
    readOnly();
  }
  create(): void {
    readOnly();
  }
  mkdir(): void {
    readOnly();
  }
  symlink(): void {
    readOnly();
  }
  link(): void {
    readOnly();
  }
  unlink(): void {
    readOnly();
  }
  rmdir(): void {
    readOnly();
  }
  rename(): void {
    readOnly();
  }
  chmod(): void {
    readOnly();
  }
  utimes(): void {
    readOnly();
  }
  sync(): void {}
}

/** The files of `tree`, all of one time (the Epoch unless told). Throws an error with code EINVAL for a bad name. */
export function openMemoryDirectory(tree: FileTree, timeNs: bigint = 0n): HostDirectory {
  return new MemoryDirectory(tree, timeNs);
}
