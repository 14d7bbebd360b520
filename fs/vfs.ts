// SPDX-License-Identifier: Apache-2.0
// The VFS of one kernel: the mount tree, file-system types, device numbers, and paths from names and to names.
//
// Made by createVfs (fs/fs.ts, the door of fs core); other folders use it as Kernel.vfs. System calls are in
// the files beside this one and reach it with vfsOf(task).

import type {
  DeviceOpener,
  File,
  FileSystemType,
  Mount,
  Path,
  ResolveOptions,
  SuperBlock,
  Vfs,
} from "../include/linux/fs.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { AT_FDCWD } from "../include/uapi/fcntl.ts";
import { PATH_MAX } from "../include/uapi/fs.ts";
import { majorOf, minorOf, STAT_BYTES } from "../include/uapi/stat.ts";
import { bytesToString } from "../lib/byte-string.ts";
import { EBADF, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO } from "../lib/errno.ts";
import type { MountNode } from "./dcache.ts";
import { asDentry, asNode, MountTree } from "./namespace.ts";
import { PathParser, Walk, type WalkOptions } from "./path-walk.ts";
import { pageStart } from "../virt/layout.ts";

const ACCESS_READ = 0;
const INTERNED_MAX = 1024; // a power of two
const PAGE_BYTES = 4096;

export abstract class VfsImpl implements Vfs {
  readonly kernel: Kernel;
  readonly mounts: MountTree = new MountTree();
  readonly #parser = new PathParser();
  readonly #fileSystems = new Map<string, FileSystemType>();
  readonly #devices = new Map<string, DeviceOpener>();
  readonly #interned: (string | undefined)[] = new Array<string | undefined>(INTERNED_MAX).fill(undefined);
  #nextIno = 1;
  /** FIFOs by name: set by whoever has pipes. */
  openFifo: DeviceOpener | undefined = undefined;
  #cookie = 0;
  /** A struct stat in the making: filled and copied out at once. */
  readonly statWords: Uint32Array = new Uint32Array(STAT_BYTES / 4);
  readonly statBytes: Uint8Array = new Uint8Array(this.statWords.buffer);
  /** inotify watches in this kernel: nothing is announced while there is none. */
  watchCount = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  resolve(task: Task, path: string, options: ResolveOptions | WalkOptions): Path | Sleeps<Path> {
    if (path === "") throw ENOENT;
    const walk = new Walk(task, this.mounts, this.#parser, path, options, false);
    const pending = walk.run();
    return pending === undefined ? walk.path : finishPath(walk, pending);
  }

  /** Stands on the directory that holds the last component, which is not looked up (Walk.lastName). */
  walkParent(task: Task, path: string, at: Path | undefined, resolve: number = 0): Walk | Sleeps<Walk> {
    if (path === "") throw ENOENT;
    const walk = new Walk(task, this.mounts, this.#parser, path, { at, followLast: false, resolve }, true);
    const pending = walk.run();
    return pending === undefined ? walk : finishWalk(walk, pending);
  }

  abstract open(task: Task, path: string, flags: number, mode: number, at?: Path): Sleeps<File>;

  pathName(task: Task, path: Path): string {
    const { text, isReachable } = this.nameOf(path, task.fs.root);
    return isReachable ? text : `(unreachable)${text}`;
  }

  /** The name of `path` below `root`; `isReachable` is false when it does not lie there. */
  nameOf(path: Path, root: Path): { text: string; isReachable: boolean } {
    let mount: MountNode | undefined = asNode(path.mount);
    let dentry = asDentry(path.dentry);
    let text = "";
    let isReachable = true;
    const suffix = dentry.isRemoved ? " (deleted)" : "";
    while (mount !== undefined && !(dentry === root.dentry && mount === root.mount)) {
      if (dentry === mount.root) {
        if (mount.mountPoint === undefined) {
          isReachable = false;
          break;
        }
        dentry = mount.mountPoint;
        mount = mount.parent;
      } else {
        text = `/${dentry.name}${text}`;
        dentry = dentry.parent;
      }
    }
    return { text: (text === "" ? "/" : text) + suffix, isReachable };
  }

  registerFileSystem(type: FileSystemType): void {
    this.#fileSystems.set(type.name, type);
  }
  fileSystem(name: string): FileSystemType | undefined {
    return this.#fileSystems.get(name);
  }
  /** For /proc/filesystems. */
  get fileSystems(): Iterable<FileSystemType> {
    return this.#fileSystems.values();
  }

  registerDevice(kind: "char" | "block", major: number, minor: number | "any", open: DeviceOpener): void {
    this.#devices.set(`${kind}:${major}:${minor}`, open);
  }

  /** Throws ENXIO when no driver has the number. */
  openDevice(
    task: Task,
    path: Path,
    flags: number,
    kind: "char" | "block",
    rdev: number,
  ): File | Sleeps<File> {
    const major = majorOf(rdev);
    const open = this.#devices.get(`${kind}:${major}:${minorOf(rdev)}`)
      ?? this.#devices.get(`${kind}:${major}:any`);
    if (open === undefined) throw ENXIO;
    return open(task, path, flags, rdev);
  }

  /** Mounts at `at`, or as the root of everything when undefined. `source` is for /proc/mounts. */
  mount(
    task: Task,
    superBlock: SuperBlock,
    at: Path | undefined,
    flags: number,
    source: string = "none",
  ): Mount {
    const mount = this.mounts.create(superBlock, source, flags);
    if (at !== undefined) {
      this.mounts.attach(mount, at);
    } else {
      if (this.mounts.root !== undefined) throw EINVAL;
      this.mounts.root = mount;
    }
    return mount;
  }

  nextAnonymousIno(): number {
    return this.#nextIno++;
  }

  /** Ties the two events of a rename together (inotify). */
  nextCookie(): number {
    return ++this.#cookie;
  }

  /** The base that a *at call names: undefined is the working directory. Throws EBADF, ENOTDIR. */
  baseOf(task: Task, fd: number, path: string): Path | undefined {
    if (fd === AT_FDCWD || path.charCodeAt(0) === 0x2f) return undefined;
    const file = task.files.find(fd);
    if (file === undefined) throw EBADF;
    if (file.path === undefined) throw ENOTDIR;
    return file.path;
  }

  /** A path from user memory when its page is present, else undefined. The same text gives the same string. */
  tryGetName(task: Task, address: number): string | undefined {
    const user = task.mm?.user;
    const host = user === undefined ? 0 : user.translate(address, ACCESS_READ);
    if (host === 0) return undefined;
    const { u8 } = this.kernel.ram;
    const end = pageStart(host) + PAGE_BYTES;
    let hash = 0;
    let at = host;
    for (; at < end; at++) {
      const byte = u8[at]!;
      if (byte === 0) break;
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    if (at === end) return undefined;
    const slot = (hash ^ (hash >>> 15)) & (INTERNED_MAX - 1);
    const known = this.#interned[slot];
    if (known !== undefined && isSame(known, u8, host, at)) return known;
    return (this.#interned[slot] = bytesToString(u8, host, at));
  }

  /** A path from user memory. Throws EFAULT, ENAMETOOLONG. */
  getName(task: Task, address: number): string | Sleeps<string> {
    const quick = this.tryGetName(task, address);
    if (quick !== undefined) return quick;
    const user = task.mm?.user;
    if (user === undefined) throw EINVAL;
    return user.readString(address, PATH_MAX - 1, ENAMETOOLONG);
  }
}

function isSame(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}

function* finishPath(walk: Walk, pending: Sleeps<void>): Sleeps<Path> {
  yield* walk.finish(pending);
  return walk.path;
}
function* finishWalk(walk: Walk, pending: Sleeps<void>): Sleeps<Walk> {
  yield* walk.finish(pending);
  return walk;
}

/** The VFS behind Kernel.vfs with all that fs core uses. */
export function vfsOf(task: Task): VfsImpl {
  const { vfs } = task.kernel;
  if (vfs instanceof VfsImpl) return vfs;
  throw EINVAL;
}
