// SPDX-License-Identifier: Apache-2.0
// inotify(7): events on watched files and directories, read from a descriptor.
//
// Invariants: one instance has at most one watch on an inode; watch descriptors are never used twice; an event equal
// to the last queued one is not queued again; a full queue ends in one IN_Q_OVERFLOW.

import { type Inode, MAY_READ, POLLIN, POLLRDNORM } from "../include/linux/fs.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import { fd, hex, int, path, type Syscall, syscall } from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { FIONREAD } from "../include/uapi/fs.ts";
import * as uapi from "../include/uapi/inotify.ts";
import { EEXIST, EINVAL, ENOENT, ENOSPC, ENOTTY } from "../lib/errno.ts";
import { AnonymousFile, AnonymousInode } from "./anon_inodes.ts";
import { addMark, type Mark, removeMark } from "./fsnotify.ts";
import { getName } from "./namei.ts";
import { checkPermission } from "./permission.ts";
import { userOf } from "./uio.ts";
import { type VfsImpl, vfsOf } from "./vfs.ts";

const EVENTS_MAX = 16384;
const WATCHES_MAX = 65536;

interface QueuedEvent {
  readonly watch: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

class Watch implements Mark {
  readonly descriptor: number;
  readonly inode: Inode;
  mask: number;
  readonly #owner: InotifyFile;

  constructor(owner: InotifyFile, descriptor: number, inode: Inode, mask: number) {
    this.#owner = owner;
    this.descriptor = descriptor;
    this.inode = inode;
    this.mask = mask;
  }

  handle(mask: number, cookie: number, name: string | undefined): void {
    const kind = mask & uapi.IN_ALL_EVENTS;
    if ((this.mask & kind) !== 0) {
      this.#owner.queue({ watch: this.descriptor, mask, cookie, name: name ?? "" });
      if ((this.mask & uapi.IN_ONESHOT) !== 0) this.#owner.drop(this);
    }
    // The watched object itself is gone for good.
    if (kind === uapi.IN_DELETE_SELF && this.inode.nlink === 0) this.#owner.drop(this);
    if ((mask & uapi.IN_UNMOUNT) !== 0) {
      this.#owner.queue({ watch: this.descriptor, mask: uapi.IN_UNMOUNT, cookie: 0, name: "" });
      this.#owner.drop(this);
    }
  }
}

/** Bytes of an event: the name with its NUL is padded to whole headers. */
function eventBytes({ name }: QueuedEvent): number {
  const header = uapi.INOTIFY_EVENT_BYTES;
  return header + (name === "" ? 0 : Math.ceil((name.length + 1) / header) * header);
}

class InotifyFile extends AnonymousFile {
  readonly #readers = new WaitQueue();
  readonly #vfs: VfsImpl;
  readonly #watches = new Map<number, Watch>();
  readonly #events: QueuedEvent[] = [];
  #nextDescriptor = 1;

  constructor(kernel: Kernel, vfs: VfsImpl, flags: number) {
    super(new AnonymousInode(kernel, 0o600), "anon_inode:inotify", flags);
    this.#vfs = vfs;
  }

  override get waitQueue(): WaitQueue {
    return this.#readers;
  }

  watch(inode: Inode, mask: number): number {
    const flags = mask & (uapi.IN_ALL_EVENTS | uapi.IN_ONESHOT | uapi.IN_EXCL_UNLINK);
    for (const known of this.#watches.values()) {
      if (known.inode !== inode) continue;
      if ((mask & uapi.IN_MASK_CREATE) !== 0) throw EEXIST;
      known.mask = (mask & uapi.IN_MASK_ADD) !== 0 ? known.mask | flags : flags;
      return known.descriptor;
    }
    if (this.#watches.size >= WATCHES_MAX) throw ENOSPC;
    const watch = new Watch(this, this.#nextDescriptor++, inode, flags);
    this.#watches.set(watch.descriptor, watch);
    addMark(this.#vfs, inode, watch);
    return watch.descriptor;
  }

  unwatch(descriptor: number): void {
    const watch = this.#watches.get(descriptor);
    if (watch === undefined) throw EINVAL;
    this.drop(watch);
  }

  drop(watch: Watch): void {
    if (!this.#watches.delete(watch.descriptor)) return;
    removeMark(this.#vfs, watch.inode, watch);
    this.queue({ watch: watch.descriptor, mask: uapi.IN_IGNORED, cookie: 0, name: "" });
  }

  queue(event: QueuedEvent): void {
    const last = this.#events.at(-1);
    if (
      last !== undefined && last.mask === event.mask && last.watch === event.watch
      && last.cookie === event.cookie && last.name === event.name
    ) return;
    if (this.#events.length >= EVENTS_MAX) {
      if (last?.mask === uapi.IN_Q_OVERFLOW) return;
      this.#events.push({ watch: -1, mask: uapi.IN_Q_OVERFLOW, cookie: 0, name: "" });
    } else {
      this.#events.push(event);
    }
    this.#readers.wake(POLLIN | POLLRDNORM);
  }

  override read(iter: IovIter): Try<number> {
    const first = this.#events[0];
    if (first === undefined) return WOULD_BLOCK;
    if (eventBytes(first) > iter.remaining) throw EINVAL;
    let done = 0;
    for (let event = this.#events[0]; event !== undefined; event = this.#events[0]) {
      const length = eventBytes(event);
      if (length > iter.remaining) break;
      const bytes = new Uint8Array(length);
      const view = new DataView(bytes.buffer);
      view.setInt32(0, event.watch, true);
      view.setUint32(4, event.mask, true);
      view.setUint32(8, event.cookie, true);
      view.setUint32(12, length - uapi.INOTIFY_EVENT_BYTES, true);
      for (let index = 0; index < event.name.length; index++) {
        bytes[16 + index] = event.name.charCodeAt(index);
      }
      iter.copyOut(bytes, 0, length);
      done += length;
      this.#events.shift();
    }
    return done;
  }

  override poll(): number {
    return this.#events.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override *ioctl(task: Task, command: number, argument: number): Sleeps<number> {
    if (command !== FIONREAD) throw ENOTTY;
    let total = 0;
    for (const event of this.#events) total += eventBytes(event);
    yield* userOf(task).writeU32(argument, total);
    return 0;
  }

  override release(): void {
    for (const watch of this.#watches.values()) removeMark(this.#vfs, watch.inode, watch);
    this.#watches.clear();
  }

  override showFdInfo(): string {
    let text = "";
    for (const { descriptor, inode, mask } of this.#watches.values()) {
      text += `inotify wd:${descriptor.toString(16)} ino:${inode.ino.toString(16)} `
        + `sdev:${inode.superBlock.dev.toString(16)} mask:${(mask >>> 0).toString(16)} ignored_mask:0\n`;
    }
    return text;
  }
}

function create(task: Task, flags: number): number {
  if ((flags & ~(uapi.IN_NONBLOCK | uapi.IN_CLOEXEC)) !== 0) throw EINVAL;
  const file = new InotifyFile(task.kernel, vfsOf(task), flags & uapi.IN_NONBLOCK);
  try {
    return task.files.install(task, file, (flags & uapi.IN_CLOEXEC) !== 0);
  } catch (error) {
    file.put();
    throw error;
  }
}

function instanceOf(task: Task, descriptor: number): InotifyFile {
  const file = task.files.get(descriptor);
  if (!(file instanceof InotifyFile)) throw EINVAL;
  return file;
}

export const inotifyInit: Syscall = syscall("inotify_init", [], (task) => create(task, 0));
export const inotifyInit1: Syscall = syscall("inotify_init1", [int], create);

export const inotifyAddWatch: Syscall = syscall(
  "inotify_add_watch",
  [fd, path, hex],
  function*(task, descriptor, nameAddress, mask) {
    const instance = instanceOf(task, descriptor);
    const both = uapi.IN_MASK_ADD | uapi.IN_MASK_CREATE;
    if ((mask & uapi.IN_ALL_EVENTS) === 0 || (mask & both) === both) throw EINVAL;
    const answer = vfsOf(task).resolve(task, yield* getName(task, nameAddress), {
      followLast: (mask & uapi.IN_DONT_FOLLOW) === 0,
      directory: (mask & uapi.IN_ONLYDIR) !== 0,
    });
    const inode = (isSleeping(answer) ? yield* answer : answer).dentry.inode;
    if (inode === undefined) throw ENOENT;
    checkPermission(inode, MAY_READ, task.cred);
    return instance.watch(inode, mask);
  },
);

export const inotifyRmWatch: Syscall = syscall("inotify_rm_watch", [fd, int], (task, descriptor, watch) => {
  instanceOf(task, descriptor).unwatch(watch);
  return 0;
});

export const inotifySyscalls: readonly Syscall[] = [
  inotifyInit,
  inotifyInit1,
  inotifyAddWatch,
  inotifyRmWatch,
];
