// SPDX-License-Identifier: Apache-2.0
// A file or directory of a host volume. See hostfs.ts.
//
// Invariant: an inode knows its place (parent and name) as it was seen last; a rename through this volume keeps it.

import type { HostDirectory, HostStat } from "../../include/host/host.ts";
import {
  type AttributeChange,
  type DirEntry,
  type File,
  Inode,
  type Path,
  type SuperBlock,
  type TimeSpec,
  timeSpec,
} from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import {
  DT_DIR,
  DT_LNK,
  DT_REG,
  DT_UNKNOWN,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../../include/uapi/stat.ts";
import { EEXIST, EINVAL, EIO, ENOENT, ENOTDIR, EPERM, EXDEV } from "../../lib/errno.ts";
import { byteStringToUtf8, utf8ToByteString } from "../../lib/byte-string.ts";
import { type PageBacking, PageCache } from "../../mm/filemap.ts";
import { hostCall } from "./errors.ts";
import { HostFile } from "./file.ts";

const PAGE_BYTES = 4096;
const KIND_MODES = { file: S_IFREG, directory: S_IFDIR, symlink: S_IFLNK, other: S_IFSOCK } as const;
const KIND_TYPES = { file: DT_REG, directory: DT_DIR, symlink: DT_LNK, other: DT_UNKNOWN } as const;

/** What an inode asks of its volume. */
export interface HostVolume extends SuperBlock {
  readonly kernel: Kernel;
  readonly directory: HostDirectory;
  /** For all reads and writes: none of them sleeps, and a buffer of its own for each would be filled with zeros first. */
  readonly buffer: Uint8Array;
  /** One inode for one file of the host. */
  inodeFor(parent: HostInode, name: string, stat: HostStat): HostInode;
  forget(inode: HostInode): void;
}

function timeOf(ns: bigint): TimeSpec {
  const sec = ns / 1_000_000_000n;
  return timeSpec(Number(sec), Number(ns - sec * 1_000_000_000n));
}
function nsOf(time: TimeSpec): bigint {
  return BigInt(time.sec) * 1_000_000_000n + BigInt(time.nsec);
}

export class HostInode extends Inode implements PageBacking {
  readonly superBlock: HostVolume;
  readonly ino: number;
  readonly pages: PageCache | undefined;
  #parent: HostInode | undefined;
  #name: string; // as the host writes it
  /** The name that keeps the bytes of a file whose name was removed while it was open. */
  #hidden: string | undefined;
  readonly #serials = new Map<string, number>();
  /** In which system call the host was asked last for what refresh() would ask: whose, and which of its calls. */
  #asker: Task | undefined;
  #askedIn = 0;

  /** By which its volume knows it. */
  readonly key: string;

  /** `name` is the host's; the root has no parent. */
  constructor(volume: HostVolume, parent: HostInode | undefined, name: string, stat: HostStat, key: string) {
    super();
    this.key = key;
    this.superBlock = volume;
    this.ino = stat.ino;
    this.#parent = parent;
    this.#name = name;
    if (stat.kind === "file") this.pages = new PageCache(volume.kernel, this, this);
    this.mapping = this.pages;
    this.#take(stat);
  }

  override get isCacheable(): boolean {
    return false;
  }

  get hostPath(): string {
    if (this.#hidden !== undefined) return this.#hidden;
    const above = this.#parent?.hostPath ?? "";
    return above === "" ? this.#name : `${above}/${this.#name}`;
  }

  place(parent: HostInode, name: string, stat: HostStat): void {
    this.#parent = parent;
    this.#name = name;
    this.#take(stat);
  }

  #take(stat: HostStat): void {
    const mtime = timeOf(stat.mtimeNs);
    const isChanged = this.size !== stat.size || this.mtime.sec !== mtime.sec
      || this.mtime.nsec !== mtime.nsec;
    // Pages of a file that changed outside are stale, unless someone maps them: then they stay as they are.
    if (
      isChanged && this.pages !== undefined && this.pages.mappings.size === 0 && this.pages.dirtyCount === 0
    ) {
      this.pages.evict();
    }
    this.mode = KIND_MODES[stat.kind] | (stat.mode & 0o7777);
    this.uid = stat.uid;
    this.gid = stat.gid;
    this.nlink = stat.nlink - (this.#hidden === undefined ? 0 : 1);
    this.size = stat.size;
    this.blocks = Math.ceil(stat.size / 512);
    this.atime = timeOf(stat.atimeNs);
    this.mtime = mtime;
    this.ctime = timeOf(stat.ctimeNs);
  }

  #host(): HostDirectory {
    return this.superBlock.directory;
  }

  #pathOf(name: string): string {
    const path = this.hostPath;
    const own = byteStringToUtf8(name);
    return path === "" ? own : `${path}/${own}`;
  }

  /** What a look-up of the same system call has brought is not asked for again. */
  override refresh(): void {
    const asker = this.#asker;
    this.#asker = undefined;
    const { current } = this.superBlock.kernel.tasks;
    if (asker === undefined || asker !== current || asker.syscallCount !== this.#askedIn) this.#refreshNow();
  }

  #refreshNow(): void {
    this.#asker = undefined;
    this.#take(hostCall(() => this.#host().stat(this.hostPath)));
  }

  #noteAsked(): void {
    this.#asker = this.superBlock.kernel.tasks.current;
    this.#askedIn = this.#asker?.syscallCount ?? 0;
  }

  override lookup(name: string): Inode | undefined {
    if ((this.mode & S_IFMT) !== S_IFDIR) throw ENOTDIR;
    try {
      return this.#made(name);
    } catch (error) {
      if (error === ENOENT) return undefined;
      throw error;
    }
  }

  #made(name: string): HostInode {
    const stat = hostCall(() => this.#host().stat(this.#pathOf(name)));
    const inode = this.superBlock.inodeFor(this, byteStringToUtf8(name), stat);
    inode.#noteAsked();
    return inode;
  }

  override create(name: string, mode: number): Inode {
    if ((mode & S_IFMT) !== S_IFREG) throw EPERM;
    if (this.lookup(name) !== undefined) throw EEXIST;
    hostCall(() => this.#host().create(this.#pathOf(name), mode & 0o7777));
    return this.#made(name);
  }
  override mkdir(name: string, mode: number): Inode {
    hostCall(() => this.#host().mkdir(this.#pathOf(name), mode & 0o7777));
    return this.#made(name);
  }
  override symlink(name: string, target: string): Inode {
    hostCall(() => this.#host().symlink(this.#pathOf(name), byteStringToUtf8(target)));
    return this.#made(name);
  }
  override link(name: string, target: Inode): void {
    if (!(target instanceof HostInode)) throw EXDEV;
    hostCall(() => this.#host().link(this.#pathOf(name), target.hostPath));
    target.#refreshNow();
  }

  override unlink(name: string, target: Inode): void {
    const path = this.#pathOf(name);
    if (target instanceof HostInode && target.openCount > 0 && target.#hidden === undefined) {
      target.#hide(this, path);
      return;
    }
    hostCall(() => this.#host().unlink(path));
    target.nlink = Math.max(0, target.nlink - 1);
    if (target instanceof HostInode && target.nlink === 0) this.superBlock.forget(target);
  }

  /** Removed while open: keeps the bytes under a name that no one looks for. */
  #hide(parent: HostInode, path: string): void {
    const name = `.rookery-removed-${this.ino}`;
    const hidden = parent.#pathOf(utf8ToByteString(name));
    hostCall(() => this.#host().rename(path, hidden));
    this.#hidden = hidden;
    this.nlink--;
  }

  override rmdir(name: string, target: Inode): void {
    hostCall(() => this.#host().rmdir(this.#pathOf(name)));
    target.nlink = 0;
    if (target instanceof HostInode) this.superBlock.forget(target);
  }

  override rename(
    name: string,
    source: Inode,
    toDirectory: Inode,
    toName: string,
    target: Inode | undefined,
    flags: number,
  ): void {
    if (!(toDirectory instanceof HostInode) || !(source instanceof HostInode)) throw EXDEV;
    if (flags !== 0 && !(flags === 1 && target === undefined)) throw EINVAL; // RENAME_NOREPLACE was checked
    if (target instanceof HostInode && target.openCount > 0 && target.#hidden === undefined) {
      target.#hide(toDirectory, toDirectory.#pathOf(toName));
    }
    hostCall(() => this.#host().rename(this.#pathOf(name), toDirectory.#pathOf(toName)));
    source.#parent = toDirectory;
    source.#name = byteStringToUtf8(toName);
  }

  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    const entries = hostCall(() => this.#host().list(this.hostPath)).map((entry) => {
      let serial = this.#serials.get(entry.name);
      if (serial === undefined) {
        serial = this.#serials.size + 1;
        this.#serials.set(entry.name, serial);
      }
      return { entry, serial };
    });
    entries.sort((one, other) => one.serial - other.serial);
    for (const { entry, serial } of entries) {
      if (serial <= position || entry.name.startsWith(".rookery-removed-")) continue;
      const name = utf8ToByteString(entry.name);
      const ino = this.lookup(name)?.ino;
      if (ino === undefined) continue; // Gone meanwhile.
      if (!emit({ name, ino, type: KIND_TYPES[entry.kind] }, serial)) return;
    }
  }

  override readlink(): string {
    if ((this.mode & S_IFMT) !== S_IFLNK) throw EINVAL;
    return utf8ToByteString(hostCall(() => this.#host().readlink(this.hostPath)));
  }

  override setAttributes(change: AttributeChange): void {
    const path = this.hostPath;
    if ((change.uid ?? this.uid) !== this.uid || (change.gid ?? this.gid) !== this.gid) throw EPERM;
    if (change.size !== undefined) {
      const { size } = change;
      hostCall(() => this.#host().truncate(path, size));
      if (size < this.size) this.pages?.truncate(size);
      this.size = size;
    }
    if (change.mode !== undefined) {
      const { mode } = change;
      hostCall(() => this.#host().chmod(path, mode));
    }
    if (change.size === undefined && (change.atime !== undefined || change.mtime !== undefined)) {
      const { atime = this.atime, mtime = this.mtime } = change;
      hostCall(() => this.#host().utimes(path, nsOf(atime), nsOf(mtime)));
    }
    this.#refreshNow();
  }

  override open(task: Task, path: Path, flags: number): File {
    if (this.pages === undefined) throw EIO;
    return new HostFile(path, flags, this, this.pages);
  }

  /** The last descriptor is gone: so is the hidden name. */
  closed(): void {
    const hidden = this.#hidden;
    if (hidden === undefined) return;
    this.#hidden = undefined;
    hostCall(() => this.#host().unlink(hidden));
    if (this.nlink > 0) return;
    this.pages?.evict();
    this.superBlock.forget(this);
  }

  bufferFor(length: number): Uint8Array {
    const { buffer } = this.superBlock;
    return length <= buffer.length ? buffer.subarray(0, length) : new Uint8Array(length);
  }

  readAt(offset: number, into: Uint8Array): number {
    return hostCall(() => this.#host().read(this.hostPath, offset, into));
  }
  writeAt(offset: number, from: Uint8Array): number {
    return hostCall(() => this.#host().write(this.hostPath, offset, from));
  }
  syncData(): void {
    hostCall(() => this.#host().sync(this.hostPath));
  }

  readPage(index: number, frame: number): void {
    this.readPages(index, [frame]);
  }

  /** One read for each row of frames. */
  readPages(index: number, frames: readonly number[]): void {
    const { u8 } = this.superBlock.kernel.ram;
    for (let from = 0, to = 0; from < frames.length; from = to) {
      const frame = frames[from]!;
      do to++; while (frames[to] === frame + (to - from) * PAGE_BYTES);
      this.readAt((index + from) * PAGE_BYTES, u8.subarray(frame, frame + (to - from) * PAGE_BYTES));
    }
  }

  writePage(index: number, frame: number): void {
    const start = index * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES, this.size - start);
    if (length > 0) this.writeAt(start, this.superBlock.kernel.ram.u8.slice(frame, frame + length));
  }
}
