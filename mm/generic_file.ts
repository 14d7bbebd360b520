// SPDX-License-Identifier: Apache-2.0
// Read, write, seek and mmap of a regular file through its page cache; every file system uses these.
//
// The fast paths are plain loops over cached pages; only a miss makes a generator. `iter` holds a prepared
// window (include/linux/uio.ts). With position undefined, file.pos is used and moved; O_APPEND moves the start
// of a write to the end of file. Sources: read(2), write(2), lseek(2), mmap(2), mount(8) on relatime.

import { File, type Inode, type Path } from "../include/linux/fs.ts";
import type { Vma } from "../include/linux/mm_types.ts";
import type { Task } from "../include/linux/sched.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { EFBIG, EINVAL, ENODEV, ENXIO } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset } from "../virt/layout.ts";
import type { CachedPages } from "./address_space.ts";
import { ShmemMapping } from "./shmem.ts";

const O_APPEND = 0o2000;
const O_NOATIME = 0o1000000;
const MS_NOATIME = 1024;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const DAY_SECONDS = 86400;
/** Pages of one file that a writer may leave dirty before it writes them back itself. */
const DIRTY_PAGES_MAX = 4096;
/** Largest file offset: what stays a safe integer, beyond any file system here. */
export const MAX_FILE_BYTES: number = Number.MAX_SAFE_INTEGER - PAGE_SIZE;

/** read(2) from the page cache: bytes moved, 0 at the end of file. */
export function genericRead(
  file: File,
  iter: IovIter,
  position: number | undefined,
  cache: CachedPages,
): number | Sleeps<number> {
  const start = position ?? file.pos;
  const wanted = Math.min(iter.remaining, cache.inode.size - start);
  if (wanted <= 0) return 0;
  const done = readCached(cache, iter, start, wanted);
  if (done < wanted) return readMissing(file, iter, position, cache, start, done);
  touchAccessTime(file, cache);
  if (position === undefined) file.pos = start + done;
  return done;
}

/** Copies from pages that are there; stops at the first that is not. */
function readCached(cache: CachedPages, iter: IovIter, start: number, wanted: number): number {
  let done = 0;
  while (done < wanted) {
    const at = start + done;
    const offset = pageOffset(at);
    const index = (at - offset) / PAGE_SIZE;
    const length = Math.min(PAGE_SIZE - offset, wanted - done);
    const frame = cache.find(index);
    if (frame !== 0) copyFromPage(cache, iter, frame + offset, length);
    else if (cache.isHole(index)) iter.zero(length);
    else break;
    done += length;
  }
  return done;
}

/** The page is held meanwhile: a fault on the reader's side may reclaim. */
function copyFromPage(cache: CachedPages, iter: IovIter, address: number, length: number): void {
  const { frames } = cache.kernel;
  frames.get(address);
  try {
    iter.copyOutRam(address, length);
  } finally {
    frames.put(address);
  }
}

function* readMissing(
  file: File,
  iter: IovIter,
  position: number | undefined,
  cache: CachedPages,
  start: number,
  doneBefore: number,
): Sleeps<number> {
  let done = doneBefore;
  try {
    for (;;) {
      const wanted = Math.min(iter.remaining, cache.inode.size - start - done);
      if (wanted <= 0) break;
      const answer = cache.read(Math.floor((start + done) / PAGE_SIZE));
      const frame = isSleeping(answer) ? yield* answer : answer;
      if (frame === 0 && !cache.isHole(Math.floor((start + done) / PAGE_SIZE))) break;
      done += readCached(
        cache,
        iter,
        start + done,
        Math.min(iter.remaining, cache.inode.size - start - done),
      );
    }
  } catch (error) {
    if (done === 0) throw error; // A short count now; the error again on the next call.
  }
  touchAccessTime(file, cache);
  if (position === undefined) file.pos = start + done;
  return done;
}

/** write(2) into the page cache. */
export function genericWrite(
  file: File,
  iter: IovIter,
  position: number | undefined,
  cache: CachedPages,
): number | Sleeps<number> {
  const start = (file.flags & O_APPEND) !== 0 ? cache.inode.size : position ?? file.pos;
  if (iter.remaining === 0) return 0;
  if (start + iter.remaining > MAX_FILE_BYTES) throw EFBIG;
  const done = writeFrom(cache, iter, start, 0);
  if (iter.remaining > 0 || cache.dirtyCount > DIRTY_PAGES_MAX) {
    return writeMissing(file, iter, position, cache, start, done);
  }
  finishWrite(file, position, cache, start, done);
  return done;
}

/** Writes until a page cannot be had without sleeping. Returns the bytes written since `start`. */
function writeFrom(cache: CachedPages, iter: IovIter, start: number, doneBefore: number): number {
  let done = doneBefore;
  while (iter.remaining > 0) {
    const at = start + done;
    const offset = pageOffset(at);
    const length = Math.min(PAGE_SIZE - offset, iter.remaining);
    let frame: number;
    if (cache instanceof ShmemMapping) {
      try {
        frame = cache.makeWritable((at - offset) / PAGE_SIZE);
      } catch (error) {
        if (done === 0) throw error;
        return done;
      }
    } else {
      const index = (at - offset) / PAGE_SIZE;
      frame = cache.isDirty(index) ? cache.find(index) : 0;
      if (frame === 0) break;
    }
    copyToPage(cache, iter, frame, at, offset, length);
    done += length;
  }
  return done;
}

function copyToPage(
  cache: CachedPages,
  iter: IovIter,
  frame: number,
  at: number,
  offset: number,
  length: number,
): void {
  iter.copyInRam(frame + offset, length);
  cache.kernel.frames.invalidate(frame);
  if (at + length > cache.inode.size) cache.inode.size = at + length;
}

function* writeMissing(
  file: File,
  iter: IovIter,
  position: number | undefined,
  cache: CachedPages,
  start: number,
  doneBefore: number,
): Sleeps<number> {
  let done = doneBefore;
  try {
    while (iter.remaining > 0) {
      const at = start + done;
      const offset = pageOffset(at);
      const length = Math.min(PAGE_SIZE - offset, iter.remaining);
      const index = (at - offset) / PAGE_SIZE;
      const isWhole = length === PAGE_SIZE || (offset === 0 && at + length >= cache.inode.size);
      const answer = isWhole ? cache.makeReplaceable(index) : cache.makeWritable(index);
      const frame = isSleeping(answer) ? yield* answer : answer;
      copyToPage(cache, iter, frame, at, offset, length);
      done += length;
    }
    if (cache.dirtyCount > DIRTY_PAGES_MAX) {
      const answer = cache.writeBack(0, Infinity);
      if (isSleeping(answer)) yield* answer;
    }
  } catch (error) {
    if (done === 0) throw error;
  }
  finishWrite(file, position, cache, start, done);
  return done;
}

function finishWrite(
  file: File,
  position: number | undefined,
  cache: CachedPages,
  start: number,
  done: number,
): void {
  const { inode } = cache;
  inode.mtime = inode.ctime = cache.kernel.time.realtime();
  if (position === undefined) file.pos = start + done;
}

/** relatime: the access time moves when it is not after a change, or is a day old. */
export function touchAccessTime(file: File, cache: CachedPages): void {
  const { inode } = cache;
  if ((file.flags & O_NOATIME) !== 0 || inode.superBlock.isReadOnly) return;
  if (file.path !== undefined && (file.path.mount.flags & MS_NOATIME) !== 0) return;
  const { atime, mtime, ctime } = inode;
  const isStale = atime.sec < mtime.sec || (atime.sec === mtime.sec && atime.nsec <= mtime.nsec)
    || atime.sec < ctime.sec || (atime.sec === ctime.sec && atime.nsec <= ctime.nsec);
  if (isStale) {
    inode.atime = cache.kernel.time.realtime();
    return;
  }
  // Reading the clock costs as much as a short read: once per open file is enough for a rule about days.
  if (file instanceof CachedFile) {
    if (file.isAccessDayChecked) return;
    file.isAccessDayChecked = true;
  }
  const now = cache.kernel.time.realtime();
  if (now.sec - atime.sec >= DAY_SECONDS) inode.atime = now;
}

/** lseek(2) of a file with a size; SEEK_DATA and SEEK_HOLE see holes of shmem, elsewhere all is data. */
export function genericSeek(
  file: File,
  offset: number,
  whence: number,
  inode: Inode,
  cache?: CachedPages,
): number {
  let target: number;
  switch (whence) {
    case SEEK_SET:
      target = offset;
      break;
    case SEEK_CUR:
      target = file.pos + offset;
      break;
    case SEEK_END:
      target = inode.size + offset;
      break;
    case SEEK_DATA:
    case SEEK_HOLE:
      if (cache instanceof ShmemMapping) {
        target = whence === SEEK_DATA ? cache.seekData(offset) : cache.seekHole(offset);
      } else {
        if (offset < 0 || offset >= inode.size) throw ENXIO;
        target = whence === SEEK_DATA ? offset : inode.size;
      }
      break;
    default:
      throw EINVAL;
  }
  if (target < 0 || target > MAX_FILE_BYTES) throw EINVAL;
  file.pos = target;
  return target;
}

/** mmap(2) of a file with a page cache. */
export function genericMmap(file: File, vma: Vma, cache: CachedPages | undefined): void {
  if (cache === undefined) throw ENODEV;
  vma.mapping = cache;
  touchAccessTime(file, cache);
}

/** An open regular file whose data live in a page cache. File systems subclass it for what they do otherwise. */
export class CachedFile extends File {
  readonly cache: CachedPages;
  /** The access time was compared with the clock since the file was opened. */
  isAccessDayChecked = false;

  constructor(path: Path | undefined, flags: number, cache: CachedPages) {
    super(path, flags);
    this.cache = cache;
  }

  override get inode(): Inode {
    return super.inode ?? this.cache.inode;
  }
  override get isSeekable(): boolean {
    return true;
  }
  override read(iter: IovIter, position: number | undefined): number | Sleeps<number> {
    return genericRead(this, iter, position, this.cache);
  }
  override write(iter: IovIter, position: number | undefined): number | Sleeps<number> {
    return genericWrite(this, iter, position, this.cache);
  }
  override seek(offset: number, whence: number): number {
    return genericSeek(this, offset, whence, this.cache.inode, this.cache);
  }
  override mmap(task: Task, vma: Vma): void {
    genericMmap(this, vma, this.cache);
  }
  override fsync(dataOnly: boolean): void | Sleeps<void> {
    return this.cache.writeBack(0, Infinity);
  }
  override truncate(size: number): void | Sleeps<void> {
    return this.cache.inode.setAttributes({ size });
  }
}
