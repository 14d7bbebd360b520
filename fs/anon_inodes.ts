// SPDX-License-Identifier: Apache-2.0
// Files without a name in any tree: pipes, sockets, eventfd, epoll. Each has an inode of its own, so that fstat(2),
// fchmod(2) and /proc/PID/fd have something to show.

import { File, type FileSystemType, Inode, type SuperBlock } from "../include/linux/fs.ts";
import { type Kernel, StateKey } from "../include/linux/sched.ts";
import type { AttributeChange } from "../include/linux/fs.ts";
import { EINVAL } from "../lib/errno.ts";
import { ANON_INODE_FS_MAGIC } from "../include/uapi/fs.ts";
import { allocateAnonymousDevice, SimpleSuperBlock } from "./super.ts";

const ANONYMOUS: StateKey<SimpleSuperBlock> = new StateKey("fs.anon-inodefs");

const anonInodeFs: FileSystemType = {
  name: "anon_inodefs",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- never succeeds
  *mount() {
    throw EINVAL;
  },
};

function superBlockOf(kernel: Kernel): SimpleSuperBlock {
  return kernel.state(
    ANONYMOUS,
    () =>
      new SimpleSuperBlock({
        type: anonInodeFs,
        dev: allocateAnonymousDevice(kernel),
        magic: ANON_INODE_FS_MAGIC,
      }),
  );
}

/** The inode of a nameless file. `mode` carries the type: S_IFIFO | 0o600 for pipes, S_IFSOCK | 0o777 for sockets,
 *  0o600 without a type for eventfd and the like. */
export class AnonymousInode extends Inode {
  readonly superBlock: SuperBlock;
  readonly ino: number;

  constructor(kernel: Kernel, mode: number, uid: number = 0, gid: number = 0) {
    super();
    const superBlock = superBlockOf(kernel);
    this.superBlock = superBlock;
    this.ino = kernel.vfs.nextAnonymousIno();
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.atime = this.mtime = this.ctime = kernel.time.realtime();
  }

  override setAttributes(change: AttributeChange): void {
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | change.mode;
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.atime !== undefined) this.atime = change.atime;
    if (change.mtime !== undefined) this.mtime = change.mtime;
    if (change.ctime !== undefined) this.ctime = change.ctime;
  }
}

/** Base of files without a path. `name` is what /proc/PID/fd shows: "pipe:[N]", "anon_inode:[eventpoll]". */
export abstract class AnonymousFile extends File {
  readonly #inode: Inode;
  readonly #name: string;

  constructor(inode: Inode, name: string, flags: number) {
    super(undefined, flags);
    this.#inode = inode;
    this.#name = name;
  }

  override get inode(): Inode {
    return this.#inode;
  }
  override get anonymousName(): string {
    return this.#name;
  }
}
