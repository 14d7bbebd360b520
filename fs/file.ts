// SPDX-License-Identifier: Apache-2.0
// The descriptor table: numbers to open files, close-on-exec bits, the lowest free number, reservations.
//
// Invariants: a reserved number has no file and is not handed out; `#nextFree` is at or below the lowest free number.
// Source: open(2), dup(2), close(2), getrlimit(2) RLIMIT_NOFILE.

import type { File } from "../include/linux/fs.ts";
import type { FilesStruct, ReservedDescriptor, Task } from "../include/linux/sched.ts";
import { EBADF, EBUSY, EMFILE } from "../lib/errno.ts";
import { removePosixLocks } from "./locks.ts";

const RLIMIT_NOFILE = 7;
/** Linux's fs.nr_open: no table grows past this, whatever the limit says. */
const NR_OPEN = 1048576;

export class FilesStructImpl implements FilesStruct {
  users = 1;
  #files: (File | undefined)[] = [];
  #closeOnExec = new Uint8Array(64);
  readonly #reserved = new Set<number>();
  #nextFree = 0;

  find(fd: number): File | undefined {
    return this.#files[fd];
  }

  get(fd: number): File {
    const file = this.#files[fd];
    if (file === undefined) throw EBADF;
    return file;
  }

  install(task: Task, file: File, closeOnExec: boolean, from: number = 0): number {
    const fd = this.#lowestFree(task, from);
    this.#put(fd, file, closeOnExec);
    return fd;
  }

  reserve(task: Task, closeOnExec: boolean): ReservedDescriptor {
    const fd = this.#lowestFree(task, 0);
    this.#reserved.add(fd);
    if (fd === this.#nextFree) this.#nextFree = fd + 1;
    let isPending = true;
    const release = (): void => {
      isPending = false;
      this.#reserved.delete(fd);
      if (fd < this.#nextFree) this.#nextFree = fd;
    };
    return {
      fd,
      install: (file) => {
        release();
        this.#put(fd, file, closeOnExec);
      },
      [Symbol.dispose]: () => {
        if (isPending) release();
      },
    };
  }

  /** dup2(2): puts `file` at `fd`, closing what was there. Takes over the caller's reference. */
  replace(task: Task, fd: number, file: File, closeOnExec: boolean): void {
    if (fd < 0 || fd >= descriptorLimit(task)) throw EBADF;
    if (this.#reserved.has(fd)) throw EBUSY;
    const former = this.#files[fd];
    this.#put(fd, file, closeOnExec);
    if (former !== undefined) closeFile(task, former);
  }

  close(task: Task, fd: number): void {
    const file = this.#files[fd];
    if (file === undefined) throw EBADF;
    this.#files[fd] = undefined;
    if (fd < this.#nextFree) this.#nextFree = fd;
    closeFile(task, file);
  }

  closeOnExec(fd: number): boolean {
    return this.#closeOnExec[fd] === 1;
  }

  setCloseOnExec(fd: number, value: boolean): void {
    this.#closeOnExec[fd] = value ? 1 : 0;
  }

  *descriptors(): Iterable<number> {
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#files[fd] !== undefined) yield fd;
  }

  get highest(): number {
    return this.#files.length - 1;
  }

  /** A table of its own with the same open files: fork(2), unshare(CLONE_FILES). */
  clone(): FilesStructImpl {
    const copy = new FilesStructImpl();
    copy.#files = this.#files.slice();
    copy.#closeOnExec = this.#closeOnExec.slice();
    copy.#nextFree = 0;
    for (const file of copy.#files) file?.get();
    return copy;
  }

  /** execve(2): closes what is marked. */
  closeAllOnExec(task: Task): void {
    for (let fd = 0; fd < this.#files.length; fd++) {
      if (this.#closeOnExec[fd] === 1 && this.#files[fd] !== undefined) this.close(task, fd);
    }
  }

  /** One user less (exit, exec, unshare); closes everything at zero. */
  put(task: Task): void {
    if (--this.users > 0) return;
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#files[fd] !== undefined) this.close(task, fd);
    this.#files.length = 0;
    this.#nextFree = 0;
  }

  #put(fd: number, file: File, closeOnExec: boolean): void {
    while (this.#files.length <= fd) this.#files.push(undefined);
    if (fd >= this.#closeOnExec.length) {
      const grown = new Uint8Array(Math.max(fd + 1, this.#closeOnExec.length * 2));
      grown.set(this.#closeOnExec);
      this.#closeOnExec = grown;
    }
    this.#files[fd] = file;
    this.#closeOnExec[fd] = closeOnExec ? 1 : 0;
    if (fd === this.#nextFree) this.#nextFree = fd + 1;
  }

  #lowestFree(task: Task, from: number): number {
    let fd = Math.max(from, this.#nextFree);
    while (this.#files[fd] !== undefined || (this.#reserved.size > 0 && this.#reserved.has(fd))) fd++;
    if (fd >= descriptorLimit(task)) throw EMFILE;
    if (from <= this.#nextFree) this.#nextFree = fd;
    return fd;
  }
}

/** One past the largest descriptor that the task may make. */
export function descriptorLimit(task: Task): number {
  return Math.min(task.group.rlimits[RLIMIT_NOFILE]?.soft ?? 1024, NR_OPEN);
}

/** One descriptor less refers to `file`: POSIX locks of the process go, the file's own flush runs. */
function closeFile(task: Task, file: File): void {
  removePosixLocks(task, file);
  try {
    file.flush(task);
  } finally {
    file.put();
  }
}
