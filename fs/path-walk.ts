// SPDX-License-Identifier: Apache-2.0
// Path resolution: one component at a time, through mounts and symbolic links, as path_resolution(7) has it.
//
// A walk runs synchronously as long as the dentry cache answers; where a file system must be asked it hands out a
// generator and goes on afterwards from where it stood. Parsed paths are kept (they repeat), so that a walk over
// cached names makes no garbage but the Walk itself.
// Sources: path_resolution(7), openat2(2), symlink(7).

import { type Inode, MAY_EXEC, type Path } from "../include/linux/fs.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import {
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../include/uapi/fcntl.ts";
import { PATH_MAX } from "../include/uapi/fs.ts";
import { MS_NOSYMFOLLOW } from "../include/uapi/mount.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "../include/uapi/stat.ts";
import { ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from "../lib/errno.ts";
import { dcacheFind, dcacheLookup, type DentryNode, type MountNode } from "./dcache.ts";
import { asDentry, asNode, type MountTree } from "./namespace.ts";
import { checkPermission } from "./permission.ts";

const SYMLINKS_MAX = 40;
const PARSED_MAX = 4096;

export interface ParsedPath {
  readonly isAbsolute: boolean;
  /** Components without empty ones; "." and ".." stay. */
  readonly names: readonly string[];
  /** "dir/" or "dir/.": the last component must be a directory. */
  readonly hasTrailingSlash: boolean;
}

/** Parsed paths by text. A name alone is not worth keeping: there are as many as files. */
export class PathParser {
  readonly #known = new Map<string, ParsedPath>();

  parse(text: string): ParsedPath {
    if (text !== "" && text.length < PATH_MAX && !text.includes("/")) {
      return { isAbsolute: false, names: [text], hasTrailingSlash: false };
    }
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    if (text.length >= PATH_MAX) throw ENAMETOOLONG;
    const parsed: ParsedPath = {
      isAbsolute: text.startsWith("/"),
      names: text.split("/").filter((name) => name !== ""),
      hasTrailingSlash: text.endsWith("/"),
    };
    if (this.#known.size >= PARSED_MAX) this.#known.clear();
    this.#known.set(text, parsed);
    return parsed;
  }
}

export interface WalkOptions {
  /** Base of a relative path; the working directory when undefined. */
  readonly at?: Path | undefined;
  readonly followLast: boolean;
  readonly directory?: boolean | undefined;
  /** RESOLVE_* of openat2(2). */
  readonly resolve?: number | undefined;
}

/** One resolution in progress. `mount` and `dentry` are where it stands. */
export class Walk {
  mount: MountNode;
  dentry: DentryNode;
  /** With `wantParent`: the last component, not looked up. "" when the path has none ("/"). */
  lastName = "";
  /** The last component must be a directory (trailing slash). */
  mustBeDirectory = false;
  readonly #task: Task;
  readonly #cred: Cred;
  readonly #mounts: MountTree;
  readonly #parser: PathParser;
  readonly #wantParent: boolean;
  readonly #followLast: boolean;
  /** A trailing slash follows a symbolic link even where the caller would not. */
  #hasTrailingSlash: boolean;
  readonly #resolve: number;
  readonly #rootMount: MountNode;
  readonly #rootDentry: DentryNode;
  #names: readonly string[];
  #index = 0;
  /** Outer paths to go on with after a symbolic link in the middle. */
  #outer: { names: readonly string[]; index: number }[] | undefined;
  #symlinkCount = 0;

  constructor(
    task: Task,
    mounts: MountTree,
    parser: PathParser,
    text: string,
    options: WalkOptions,
    wantParent: boolean,
  ) {
    const parsed = parser.parse(text);
    this.#task = task;
    this.#cred = task.cred;
    this.#mounts = mounts;
    this.#parser = parser;
    this.#wantParent = wantParent;
    this.#followLast = options.followLast;
    this.#resolve = options.resolve ?? 0;
    this.#names = parsed.names;
    this.#hasTrailingSlash = parsed.hasTrailingSlash;
    this.mustBeDirectory = parsed.hasTrailingSlash || options.directory === true;
    const isScoped = (this.#resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0;
    const base = options.at ?? task.fs.cwd;
    const root = isScoped ? base : task.fs.root;
    this.#rootMount = asNode(root.mount);
    this.#rootDentry = asDentry(root.dentry);
    if (parsed.isAbsolute && (this.#resolve & RESOLVE_BENEATH) !== 0) throw EXDEV;
    const start = parsed.isAbsolute ? root : base;
    this.mount = asNode(start.mount);
    this.dentry = asDentry(start.dentry);
  }

  /** Goes on until the end (undefined) or until a file system must be waited for. */
  run(): Sleeps<void> | undefined {
    for (;;) {
      if (this.#index >= this.#names.length) {
        const outer = this.#outer?.pop();
        if (outer === undefined) {
          if (this.mustBeDirectory && !this.#wantParent) this.#requireDirectory();
          return undefined;
        }
        this.#names = outer.names;
        this.#index = outer.index;
        continue;
      }
      const directory = this.#requireDirectory();
      checkPermission(directory, MAY_EXEC, this.#cred);
      const name = this.#names[this.#index++]!;
      if (this.#wantParent && this.#isAtEnd()) {
        this.lastName = name;
        return undefined;
      }
      if (name === ".") continue;
      if (name === "..") {
        this.#stepUp();
        continue;
      }
      const child = dcacheFind(this.dentry, name) ?? dcacheLookup(this.dentry, name);
      if (isSleeping(child)) return this.#stepLater(child);
      const pending = this.#step(child);
      if (pending !== undefined) return pending;
    }
  }

  /** The whole walk, asleep where it must be. */
  *finish(first: Sleeps<void> | undefined): Sleeps<void> {
    for (let pending = first; pending !== undefined; pending = this.run()) yield* pending;
  }

  get path(): Path {
    return this.dentry.pathIn(this.mount);
  }

  /** Goes through the symbolic link `link`, met as the last component of a parent walk. Then run() again. */
  followLast(link: DentryNode): Sleeps<void> | undefined {
    return this.#follow(link, this.mount);
  }

  #isAtEnd(): boolean {
    return this.#index >= this.#names.length && (this.#outer === undefined || this.#outer.length === 0);
  }

  #requireDirectory(): Inode {
    const inode = this.dentry.inode;
    if (inode === undefined) throw ENOENT;
    if ((inode.mode & S_IFMT) !== S_IFDIR) throw ENOTDIR;
    return inode;
  }

  *#stepLater(lookup: Sleeps<DentryNode>): Sleeps<void> {
    const child = yield* lookup;
    const pending = this.#step(child);
    if (pending !== undefined) yield* pending;
  }

  #step(child: DentryNode): Sleeps<void> | undefined {
    const inode = child.inode;
    if (inode === undefined) throw ENOENT;
    if (
      (inode.mode & S_IFMT) === S_IFLNK && (!this.#isAtEnd() || this.#followLast || this.#hasTrailingSlash)
    ) {
      return this.#follow(child, this.mount);
    }
    this.#enter(this.mount, child);
    return undefined;
  }

  /** Stands on `dentry`, or on what is mounted there. */
  #enter(mount: MountNode, dentry: DentryNode): void {
    let at = mount;
    let on = dentry;
    while (on.mounts !== undefined) {
      const over = this.#mounts.mountedAt(at, on);
      if (over === undefined) break;
      if ((this.#resolve & RESOLVE_NO_XDEV) !== 0) throw EXDEV;
      at = over;
      on = over.root;
    }
    this.mount = at;
    this.dentry = on;
  }

  #stepUp(): void {
    for (;;) {
      if (this.dentry === this.#rootDentry && this.mount === this.#rootMount) {
        if ((this.#resolve & RESOLVE_BENEATH) !== 0) throw EXDEV;
        return;
      }
      if (this.dentry !== this.mount.root) break;
      const { parent, mountPoint } = this.mount;
      if (parent === undefined || mountPoint === undefined) return;
      if ((this.#resolve & RESOLVE_NO_XDEV) !== 0) throw EXDEV;
      this.mount = parent;
      this.dentry = mountPoint;
    }
    this.#enter(this.mount, this.dentry.parent);
  }

  #follow(link: DentryNode, mount: MountNode): Sleeps<void> | undefined {
    const inode = link.inode;
    if (inode === undefined) throw ENOENT;
    if (++this.#symlinkCount > SYMLINKS_MAX || (this.#resolve & RESOLVE_NO_SYMLINKS) !== 0) throw ELOOP;
    if ((mount.flags & MS_NOSYMFOLLOW) !== 0) throw ELOOP;
    if (inode.followLink !== undefined) {
      if ((this.#resolve & RESOLVE_NO_MAGICLINKS) !== 0) throw ELOOP;
      if ((this.#resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0) throw EXDEV;
      const target = inode.followLink(this.#task);
      if (isSleeping(target)) return this.#jumpLater(target);
      this.#jump(target);
      return undefined;
    }
    const text = inode.readlink();
    if (isSleeping(text)) return this.#insertLater(text);
    this.#insert(text);
    return undefined;
  }

  *#jumpLater(target: Sleeps<Path>): Sleeps<void> {
    this.#jump(yield* target);
  }
  *#insertLater(text: Sleeps<string>): Sleeps<void> {
    this.#insert(yield* text);
  }

  #jump(target: Path): void {
    if ((this.#resolve & RESOLVE_NO_XDEV) !== 0 && target.mount !== this.mount) throw EXDEV;
    this.mount = asNode(target.mount);
    this.dentry = asDentry(target.dentry);
    this.lastName = "";
  }

  /** Goes on with the text of a symbolic link, then with what followed it. */
  #insert(text: string): void {
    if (text === "") throw ENOENT;
    const parsed = this.#parser.parse(text);
    if (this.#isAtEnd()) {
      if (parsed.hasTrailingSlash) this.mustBeDirectory = this.#hasTrailingSlash = true;
    } else {
      (this.#outer ??= []).push({ names: this.#names, index: this.#index });
    }
    this.#names = parsed.names;
    this.#index = 0;
    this.lastName = "";
    if (!parsed.isAbsolute) return;
    if ((this.#resolve & RESOLVE_BENEATH) !== 0) throw EXDEV;
    if ((this.#resolve & RESOLVE_NO_XDEV) !== 0 && this.#rootMount !== this.mount) throw EXDEV;
    this.mount = this.#rootMount;
    this.dentry = this.#rootDentry;
  }
}

/** The last component of a parent walk. */
export function* lookupLast(walk: Walk): Sleeps<DentryNode> {
  const answer = dcacheLookup(walk.dentry, walk.lastName);
  return isSleeping(answer) ? yield* answer : answer;
}
