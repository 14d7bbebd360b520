// SPDX-License-Identifier: Apache-2.0
// A file tree in memory: names and inodes, with the contents of files elsewhere.
//
// Paths and names are byte strings (lib/byte-string.ts), paths without a leading slash. Two names of one inode
// are two entries for the same object; the number of links is counted when the tree is written.

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

/** What a file holds, read when it is needed. */
export interface Content {
  readonly sizeBytes: number;
  /** Fills `target` from `offset`; the range lies within the content. */
  read(offset: number, target: Uint8Array): void;
}

export interface Attributes {
  /** File type and permissions, as st_mode. */
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  mtimeNs: number;
  xattrs: Map<string, Uint8Array>;
}

export interface DirectoryNode extends Attributes {
  readonly kind: "directory";
  readonly children: Map<string, TreeNode>;
}

export interface FileNode extends Attributes {
  readonly kind: "file";
  content: Content;
}

export interface SymlinkNode extends Attributes {
  readonly kind: "symlink";
  readonly target: string;
}

/** A device node, FIFO or socket. */
export interface SpecialNode extends Attributes {
  readonly kind: "special";
  readonly major: number;
  readonly minor: number;
}

export type TreeNode = DirectoryNode | FileNode | SymlinkNode | SpecialNode;

export function attributes(mode: number, mtime: number): Attributes {
  return { mode, uid: 0, gid: 0, mtime, mtimeNs: 0, xattrs: new Map() };
}

export function createDirectory(permissions: number, mtime: number): DirectoryNode {
  return { ...attributes(S_IFDIR | permissions, mtime), kind: "directory", children: new Map() };
}

export function createFile(permissions: number, mtime: number, content: Content): FileNode {
  return { ...attributes(S_IFREG | permissions, mtime), kind: "file", content };
}

export function createSymlink(target: string, mtime: number): SymlinkNode {
  return { ...attributes(S_IFLNK | 0o777, mtime), kind: "symlink", target };
}

export function bytesContent(bytes: Uint8Array): Content {
  return {
    sizeBytes: bytes.length,
    read(offset, target) {
      target.set(bytes.subarray(offset, offset + target.length));
    },
  };
}

export function readContent(content: Content): Uint8Array {
  const bytes = new Uint8Array(content.sizeBytes);
  content.read(0, bytes);
  return bytes;
}

/** The names of a path; "." and empty ones are left out, ".." is refused. */
function splitPath(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw new Error(`path with "..": ${path}`);
  return names;
}

const SYMLINKS_MAX = 40;

/** A root directory and the ways to reach what is under it. */
export class Tree {
  readonly root: DirectoryNode;

  constructor(root: DirectoryNode) {
    this.root = root;
  }

  /**
   * The directory that holds the last name of `path`, symlinks on the way followed (inside the root), and that
   * name. Directories that are missing are made when `missing` says how, else the result is undefined.
   */
  parentOf(
    path: string,
    missing?: () => DirectoryNode,
  ): { readonly parent: DirectoryNode; readonly name: string } | undefined {
    const names = splitPath(path);
    const name = names.pop();
    if (name === undefined) return undefined;
    const parent = this.#walk(names, missing);
    return parent === undefined ? undefined : { parent, name };
  }

  #walk(names: readonly string[], missing: (() => DirectoryNode) | undefined): DirectoryNode | undefined {
    const pending = [...names].reverse();
    const stack = [this.root];
    let symlinks = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const directory = stack.at(-1) ?? this.root;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (stack.length > 1) stack.pop();
        continue;
      }
      let next = directory.children.get(name);
      if (next === undefined) {
        next = missing?.();
        if (next === undefined) return undefined;
        directory.children.set(name, next);
      }
      if (next.kind === "directory") {
        stack.push(next);
      } else if (next.kind === "symlink") {
        if (++symlinks > SYMLINKS_MAX) throw new Error(`too many symbolic links in ${names.join("/")}`);
        if (next.target.startsWith("/")) stack.length = 1;
        pending.push(...next.target.split("/").reverse());
      } else {
        return undefined;
      }
    }
    return stack.at(-1);
  }

  /** The node at `path`; a symlink in the last place is not followed. */
  lookup(path: string): TreeNode | undefined {
    const place = this.parentOf(path);
    if (place === undefined) return splitPath(path).length === 0 ? this.root : undefined;
    return place.parent.children.get(place.name);
  }

  /** Puts `node` at `path`, in place of what was there; missing directories are made. */
  put(path: string, node: TreeNode, missing?: () => DirectoryNode): void {
    const place = this.parentOf(path, missing ?? ((): DirectoryNode => createDirectory(0o755, node.mtime)));
    if (place === undefined) throw new Error(`no directory for ${path}`);
    place.parent.children.set(place.name, node);
  }

  remove(path: string): void {
    const place = this.parentOf(path);
    place?.parent.children.delete(place.name);
  }
}

/** A directory's entries in byte order of their names. */
export function sortedChildren(directory: DirectoryNode): [name: string, node: TreeNode][] {
  return [...directory.children].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
}
