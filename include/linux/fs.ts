// SPDX-License-Identifier: Apache-2.0
// The virtual file system's nouns: SuperBlock, Inode, Dentry, Mount, Path, File, AddressSpace.
//
// Inode and File are base classes whose methods return the errno that Linux gives when a file system or device does
// not have the operation, so that an implementation says only what it can do. Sources: inode(7), path_resolution(7),
// read(2), ioctl(2), mmap(2).

import { EINVAL, ENODEV, ENOTDIR, ENOTTY, EOPNOTSUPP, EPERM, ESPIPE } from "../../lib/errno.ts";
import type { Vma } from "./mm_types.ts";
import type { Cred, Task } from "./sched.ts";
import type { IovIter } from "./uio.ts";
import type { Sleeps, Try, WaitQueue } from "./wait.ts";

/** Seconds and nanoseconds, as in statx(2). */
export interface TimeSpec {
  readonly sec: number;
  readonly nsec: number;
}

/**
 * All of them are made here, as small integers where they are: of a double an engine makes an object of its own, two for each time, and a file has four
 * times.
 */
export function timeSpec(sec: number, nsec: number): TimeSpec {
  return { sec: (sec | 0) === sec ? sec | 0 : sec, nsec: nsec | 0 };
}

const EPOCH: TimeSpec = timeSpec(0, 0);

/** File-system type, as listed in /proc/filesystems. */
export interface FileSystemType {
  readonly name: string;
  readonly needsDevice: boolean;
  /** `source` is mount(2)'s first argument, `data` its option string. */
  mount(task: Task, source: string, flags: number, data: string): Sleeps<SuperBlock>;
}

export interface SuperBlock {
  readonly type: FileSystemType;
  readonly dev: number; // as in st_dev, makedev(major, minor)
  readonly root: Inode;
  readonly blockSize: number;
  readonly maxNameBytes: number;
  isReadOnly: boolean;
  /** Nobody writes to what it lies on: no file of it ever changes. */
  readonly isConstant?: boolean;
  /** statfs(2): f_type and the counts. */
  statfs(): StatFs;
  /** Options for /proc/mounts, without ro/rw. */
  showOptions(): string;
  /** syncfs(2). */
  sync(): Sleeps<void>;
  /** mount(2) with MS_REMOUNT: new options, nothing changed when they are refused (EINVAL). */
  remount?(data: string): void;
  unmount(): void;
}

export interface StatFs {
  readonly type: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameMax: number;
}

export interface DirEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number; // DT_*
}

export interface AttributeChange {
  mode?: number; // permission bits only
  uid?: number;
  gid?: number;
  size?: number;
  atime?: TimeSpec;
  mtime?: TimeSpec;
  ctime?: TimeSpec;
}

/**
 * A file, directory or device node of a mounted file system. Names are strings of latin-1 code units standing for
 * bytes (a file name is bytes, not text: see lib/byte-string.ts), so that any name survives.
 * The caller (fs/namei.ts) has checked permissions; methods check what only they know.
 * Every method may sleep unless said otherwise; one that answers from memory returns the value itself.
 */
export abstract class Inode {
  abstract readonly superBlock: SuperBlock;
  abstract readonly ino: number;
  mode: number = 0; // type and permission bits
  uid: number = 0;
  gid: number = 0;
  nlink: number = 1;
  size: number = 0;
  rdev: number = 0;
  blocks: number = 0; // units of 512 bytes
  atime: TimeSpec = EPOCH;
  mtime: TimeSpec = EPOCH;
  ctime: TimeSpec = EPOCH;
  btime: TimeSpec | undefined = undefined;
  /** Page cache of a regular file; undefined when it has none. */
  mapping: AddressSpace | undefined = undefined;
  /** Free for fs core: advisory locks, leases, inotify marks, the pipe of a FIFO, the socket of a bound name. */
  attached: Map<string, unknown> | undefined = undefined;
  /** In the upper layer of an overlay: its inode there. Kept by fs/overlayfs. */
  overlaid: Inode | undefined = undefined;
  /** Open file descriptions that hold the file's data: evict() waits for the last one. Kept by fs/libfs.ts. */
  openCount: number = 0;
  /** Of those, the ones open for writing (ETXTBSY), and how many programs run from it (negative: denied). */
  writeCount: number = 0;

  /** Directory: finds `name`; undefined when there is none. Does not see "." and "..". */
  lookup(name: string): Inode | undefined | Sleeps<Inode | undefined> {
    throw ENOTDIR;
  }
  /** Whether fs/dcache.ts may remember answers (and absences) of lookup; false for proc and host directories. */
  get isCacheable(): boolean {
    return true;
  }
  /** `mode` carries the type: regular, FIFO, socket, device (with rdev). Owner and time are set by the callee
   *  from `cred` (set-group-ID directories included). */
  create(name: string, mode: number, rdev: number, cred: Cred): Inode | Sleeps<Inode> {
    throw EPERM;
  }
  mkdir(name: string, mode: number, cred: Cred): Inode | Sleeps<Inode> {
    throw EPERM;
  }
  symlink(name: string, target: string, cred: Cred): Inode | Sleeps<Inode> {
    throw EPERM;
  }
  link(name: string, target: Inode): void | Sleeps<void> {
    throw EPERM;
  }
  unlink(name: string, target: Inode): void | Sleeps<void> {
    throw EPERM;
  }
  rmdir(name: string, target: Inode): void | Sleeps<void> {
    throw EPERM;
  }
  /** renameat2(2): `flags` are RENAME_*; `target` is what stands at the new name, if anything. */
  rename(
    name: string,
    source: Inode,
    toDirectory: Inode,
    toName: string,
    target: Inode | undefined,
    flags: number,
  ): void | Sleeps<void> {
    throw EPERM;
  }
  /** O_TMPFILE: an unnamed regular file. */
  tmpfile(mode: number, cred: Cred): Inode | Sleeps<Inode> {
    throw EOPNOTSUPP;
  }
  /** Calls `emit` for each entry from `position` on ("." and ".." excluded) until it returns false; `next` is the
   *  position to continue from after this entry. Positions are opaque, increasing, and survive changes. */
  iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void | Sleeps<void> {
    throw ENOTDIR;
  }
  readlink(): string | Sleeps<string> {
    throw EINVAL;
  }
  /** Magic links (/proc/self/fd/N): where the link leads, bypassing text. */
  followLink?(task: Task): Path | Sleeps<Path>;
  /** Applies a checked change: truncation moves the page cache. */
  setAttributes(change: AttributeChange): void | Sleeps<void> {
    throw EPERM;
  }
  /** Brings mode, owner, size, times up to date where they live elsewhere (proc, host directories). */
  refresh(): void | Sleeps<void> {}
  /** Extra permission rule beside the mode bits; MAY_* bits. Throws EACCES or EPERM. */
  permission(mask: number, cred: Cred): void {}
  getXattr(name: string): Uint8Array | Sleeps<Uint8Array> {
    throw EOPNOTSUPP;
  }
  setXattr(name: string, value: Uint8Array, flags: number): void | Sleeps<void> {
    throw EOPNOTSUPP;
  }
  removeXattr(name: string): void | Sleeps<void> {
    throw EOPNOTSUPP;
  }
  listXattr(): string[] | Sleeps<string[]> {
    return [];
  }
  /** Opens: the object behind a descriptor. Devices, pipes and sockets are routed by fs/open.ts before this. */
  open(task: Task, path: Path, flags: number): File | Sleeps<File> {
    throw ENODEV;
  }
  /** The last name and the last open file are gone. */
  evict(): void {}
}

/** A name in the tree. Owned by fs/dcache.ts; negative when `inode` is undefined. */
export interface Dentry {
  readonly name: string;
  readonly parent: Dentry; // itself for a root
  inode: Inode | undefined;
  readonly isRemoved: boolean; // unlinked while in use: "(deleted)"
}

export interface Mount {
  readonly id: number;
  readonly superBlock: SuperBlock;
  readonly root: Dentry;
  readonly parent: Mount | undefined;
  readonly mountPoint: Dentry | undefined;
  flags: number; // MS_RDONLY, MS_NOEXEC, MS_NODEV, MS_NOSUID, MS_NOATIME ...
}

export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}

/** Cached pages of one file. Frames are host addresses of 4 KiB in RAM; pages are indexed by offset / 4096.
 *  A page in the cache holds one reference to its frame. */
export interface AddressSpace {
  readonly inode: Inode;
  /** Host address of the cached page, or 0. Never sleeps. Bytes past the end of file are zero. */
  find(index: number): number;
  /** Brings a page in (readahead is the implementation's business). Throws EIO. Beyond the end of file: 0. */
  read(index: number): number | Sleeps<number>;
  /** A shared mapping or write(2) is about to change the page: allocate, journal, mark dirty. Returns its frame. */
  makeWritable(index: number): number | Sleeps<number>;
  /** Writes dirty pages of [start, end) back. fsync(2) and msync(2) end here. */
  writeBack(start: number, end: number): void | Sleeps<void>;
  /** Drops pages wholly beyond `size` and zeroes the tail; unmaps them everywhere. */
  truncate(size: number): void;
  /** Areas that map this file, so that truncate and write-back can reach their PTEs. */
  readonly mappings: ReadonlySet<Vma>;
  addMapping(vma: Vma): void;
  removeMapping(vma: Vma): void;
}

export const POLLIN = 0x001;
export const POLLPRI = 0x002;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;
export const POLLRDNORM = 0x040;
export const POLLRDBAND = 0x080;
export const POLLWRNORM = 0x100;
export const POLLWRBAND = 0x200;
export const POLLRDHUP = 0x2000;

/**
 * An open file description: what descriptors point to, shared by dup(2) and fork(2). Reference-counted by
 * FilesStruct and by whoever keeps one (mappings, messages in flight): `get`/`put`; `release` runs at zero.
 *
 * read/write are attempts: they move what can be moved now between memory and `iter` and return the count, or
 * WOULD_BLOCK (sleeping is done by the caller through `waitQueue` and `poll`), or a generator when they must wait
 * for a disk or a lock. `position` is undefined for a stream at its own pace (the callee uses and moves `this.pos`).
 */
export abstract class File {
  readonly path: Path | undefined; // undefined for anonymous files, whose name is `anonymousName`
  flags: number; // O_* access mode and status flags, without O_CLOEXEC
  pos: number = 0;
  owner: { type: number; pid: number; signal: number } = { type: 0, pid: 0, signal: 0 }; // F_SETOWN, F_SETSIG
  #references = 1;
  #closeListeners: Set<() => void> | undefined;

  constructor(path: Path | undefined, flags: number) {
    this.path = path;
    this.flags = flags;
  }

  get inode(): Inode | undefined {
    return this.path?.dentry.inode;
  }
  /** For /proc/PID/fd: "pipe:[123]", "anon_inode:[eventfd]". */
  get anonymousName(): string {
    return "anon_inode:[file]";
  }
  get isReadable(): boolean {
    return (this.flags & 3) !== 1;
  }
  get isWritable(): boolean {
    return (this.flags & 3) === 1 || (this.flags & 3) === 2;
  }
  get isNonBlocking(): boolean {
    return (this.flags & 0o4000) !== 0;
  }
  /** True when a position makes sense: pread, lseek, append. */
  get isSeekable(): boolean {
    return false;
  }
  get isOpen(): boolean {
    return this.#references > 0;
  }

  get(): this {
    this.#references++;
    return this;
  }
  put(): void {
    if (--this.#references !== 0) return;
    if (this.#closeListeners !== undefined) { for (const listener of [...this.#closeListeners]) listener(); }
    this.release();
  }
  /** Calls `listener` just before the last reference's `release`: watchers (epoll) that hold none. */
  addCloseListener(listener: () => void): void {
    (this.#closeListeners ??= new Set()).add(listener);
  }
  removeCloseListener(listener: () => void): void {
    this.#closeListeners?.delete(listener);
  }

  read(iter: IovIter, position: number | undefined): Try<number> | Sleeps<number> {
    throw EINVAL;
  }
  write(iter: IovIter, position: number | undefined): Try<number> | Sleeps<number> {
    throw EINVAL;
  }
  /** lseek(2); SEEK_DATA and SEEK_HOLE included. */
  seek(offset: number, whence: number): number | Sleeps<number> {
    throw ESPIPE;
  }
  /** Ready events now; never sleeps. POLL* bits. A file that is always ready returns IN|OUT. */
  poll(): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  }
  /** Where readiness changes are announced; undefined when the file is always ready. */
  get waitQueue(): WaitQueue | undefined {
    return undefined;
  }
  ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    throw ENOTTY;
  }
  /** mmap(2): checks what the file type allows and fills vma.mapping / vma.operations. */
  mmap(task: Task, vma: Vma): void | Sleeps<void> {
    throw ENODEV;
  }
  fsync(dataOnly: boolean): void | Sleeps<void> {
    throw EINVAL;
  }
  truncate(size: number): void | Sleeps<void> {
    throw EINVAL;
  }
  fallocate(mode: number, offset: number, length: number): void | Sleeps<void> {
    throw EOPNOTSUPP;
  }
  /** getdents64(2): as Inode.iterate with "." and ".." first. */
  iterate(emit: (entry: DirEntry, next: number) => boolean): void | Sleeps<void> {
    throw ENOTDIR;
  }
  /** F_SETFL changed O_APPEND, O_NONBLOCK, O_ASYNC, O_DIRECT. */
  setStatusFlags(flags: number): void {
    this.flags = flags;
  }
  /** close(2) of one descriptor (not the last reference): POSIX locks of the process go. */
  flush(task: Task): void {}
  /** Last reference gone. Must not sleep. */
  release(): void {}
  /** Lines for /proc/PID/fdinfo beyond pos, flags, mnt_id. */
  showFdInfo(): string {
    return "";
  }
}

/** Permission masks. */
export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** fs/namei.ts and friends, as other folders use them (Kernel.vfs). All paths are byte strings (latin-1). */
export interface Vfs {
  /** path_resolution(7). `at` is the base for relative paths (task.fs.cwd when undefined). */
  resolve(task: Task, path: string, options: ResolveOptions): Path | Sleeps<Path>;
  /** open(2) by the kernel: O_* flags and a mode. Checks permissions as the task. */
  open(task: Task, path: string, flags: number, mode: number, at?: Path): Sleeps<File>;
  /** The absolute path as the task sees it, as getcwd(2) and /proc show it. */
  pathName(task: Task, path: Path): string;
  registerFileSystem(type: FileSystemType): void;
  /** Character and block devices: opened through a device node with this number. */
  registerDevice(kind: "char" | "block", major: number, minor: number | "any", open: DeviceOpener): void;
  mount(task: Task, superBlock: SuperBlock, at: Path | undefined, flags: number): Mount;
  /** Anonymous inode number for pipes, sockets and the like. */
  nextAnonymousIno(): number;
}

export type DeviceOpener = (task: Task, path: Path, flags: number, rdev: number) => File | Sleeps<File>;

export interface ResolveOptions {
  readonly at?: Path;
  readonly followLast: boolean;
  /** The last component must be a directory. */
  readonly directory?: boolean;
}
