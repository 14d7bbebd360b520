// SPDX-License-Identifier: Apache-2.0
// An open file of a host volume: reads and writes go straight to the host. See hostfs.ts.

import type { Inode, Path } from "../../include/linux/fs.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { O_APPEND } from "../../include/uapi/fcntl.ts";
import type { PageCache } from "../../mm/filemap.ts";
import { CachedFile } from "../../mm/generic_file.ts";
import { pageOffset } from "../../virt/layout.ts";

const PAGE_BYTES = 4096;

/** What an open file asks of its inode. */
interface HostData extends Inode {
  /** So many bytes of anything, until the next call. */
  bufferFor(length: number): Uint8Array;
  readAt(offset: number, into: Uint8Array): number;
  writeAt(offset: number, from: Uint8Array): number;
  syncData(): void;
  closed(): void;
}

export class HostFile extends CachedFile {
  readonly #data: HostData;
  readonly #counted: Inode;

  constructor(path: Path, flags: number, data: HostData, pages: PageCache) {
    super(path, flags, pages);
    this.#data = data;
    this.#counted = this.inode;
    data.openCount++;
    if (this.isWritable) this.#counted.writeCount++;
  }

  override read(iter: IovIter, position: number | undefined): number {
    const start = position ?? this.pos;
    const bytes = this.#data.bufferFor(iter.remaining);
    const count = this.#data.readAt(start, bytes);
    this.#overlayDirty(bytes, start, count);
    iter.copyOut(bytes, 0, count);
    if (position === undefined) this.pos = start + count;
    return count;
  }

  /** What a shared mapping changed and has not written back yet. */
  #overlayDirty(bytes: Uint8Array, start: number, count: number): void {
    if (this.cache.dirtyCount === 0) return;
    const { u8 } = this.cache.kernel.ram;
    for (let done = 0; done < count;) {
      const at = start + done;
      const offset = pageOffset(at);
      const index = (at - offset) / PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - offset, count - done);
      if (this.cache.isDirty(index)) {
        const frame = this.cache.find(index) + offset;
        bytes.set(u8.subarray(frame, frame + length), done);
      }
      done += length;
    }
  }

  override write(iter: IovIter, position: number | undefined): number {
    this.#data.refresh();
    const start = (this.flags & O_APPEND) !== 0 ? this.#data.size : position ?? this.pos;
    const bytes = this.#data.bufferFor(iter.remaining);
    iter.copyIn(bytes, 0, bytes.length);
    const count = this.#data.writeAt(start, bytes);
    iter.revert(bytes.length - count);
    this.#updatePages(bytes, start, count);
    this.#data.refresh();
    if (position === undefined) this.pos = start + count;
    return count;
  }

  /** Pages that a mapping shows follow the write. */
  #updatePages(bytes: Uint8Array, start: number, count: number): void {
    if (this.cache.pageCount === 0) return;
    const { ram, frames } = this.cache.kernel;
    for (let done = 0; done < count;) {
      const at = start + done;
      const offset = pageOffset(at);
      const length = Math.min(PAGE_BYTES - offset, count - done);
      const frame = this.cache.find((at - offset) / PAGE_BYTES);
      if (frame !== 0) {
        ram.u8.set(bytes.subarray(done, done + length), frame + offset);
        frames.invalidate(frame);
      }
      done += length;
    }
  }

  override seek(offset: number, whence: number): number {
    this.#data.refresh();
    return super.seek(offset, whence);
  }

  override *fsync(): Sleeps<void> {
    const answer = this.cache.writeBack(0, Infinity);
    if (isSleeping(answer)) yield* answer;
    this.#data.syncData();
  }

  override release(): void {
    const inode = this.#data;
    inode.openCount--;
    if (this.isWritable) this.#counted.writeCount--;
    if (inode.openCount === 0) inode.closed();
  }
}
