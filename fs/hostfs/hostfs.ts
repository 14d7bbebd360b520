// SPDX-License-Identifier: Apache-2.0
// A directory of the host as a file system.
//
// Nothing is remembered of the host from one system call to the next but what an open file needs: each look-up, stat and
// listing asks it, once in a call, and reads and writes go straight through, so both sides see each other's changes at once. Only mapped files have pages in the
// cache. A file that is removed while it is open is kept under a hidden name until the last descriptor goes.
// Owners are the host's and cannot be changed; there are no device nodes, FIFOs or sockets, and no xattrs.

import type { HostDirectory, HostStat } from "../../include/host/host.ts";
import type { FileSystemType, StatFs, SuperBlock } from "../../include/linux/fs.ts";
import type { Kernel } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { HOSTFS_SUPER_MAGIC } from "../../include/uapi/fs.ts";
import { EINVAL } from "../../lib/errno.ts";
import { allocateAnonymousDevice } from "../super.ts";
import { hostCall } from "./errors.ts";
import { HostInode, type HostVolume } from "./inode.ts";

export const hostfs: FileSystemType = {
  name: "hostfs",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- a program cannot name a directory of the host
  *mount() {
    throw EINVAL;
  },
};

/** What read(2) and write(2) move at once (include/linux/uio.ts). */
const WINDOW_BYTES = 128 * 1024;

/** A number may come back as another kind of file's. */
function keyOf({ kind, dev = 0, ino }: HostStat): string {
  return `${kind}:${dev}:${ino}`;
}

class HostSuperBlock implements SuperBlock, HostVolume {
  readonly type: FileSystemType = hostfs;
  readonly dev: number;
  readonly blockSize: number = 4096;
  readonly maxNameBytes: number = 255;
  readonly kernel: Kernel;
  readonly directory: HostDirectory;
  readonly buffer: Uint8Array = new Uint8Array(WINDOW_BYTES);
  readonly root: HostInode;
  isReadOnly: boolean;
  readonly #inodes = new Map<string, HostInode>();

  constructor(kernel: Kernel, directory: HostDirectory) {
    this.kernel = kernel;
    this.directory = directory;
    this.dev = allocateAnonymousDevice(kernel);
    this.isReadOnly = directory.isReadOnly;
    const stat = hostCall(() => directory.stat(""));
    this.root = new HostInode(this, undefined, "", stat, keyOf(stat));
  }

  inodeFor(parent: HostInode, name: string, stat: HostStat): HostInode {
    const key = keyOf(stat);
    const known = this.#inodes.get(key);
    if (known !== undefined) {
      known.place(parent, name, stat);
      return known;
    }
    const inode = new HostInode(this, parent, name, stat, key);
    this.#inodes.set(key, inode);
    return inode;
  }

  forget(inode: HostInode): void {
    this.#inodes.delete(inode.key);
  }

  statfs(): StatFs {
    return {
      type: HOSTFS_SUPER_MAGIC,
      blockSize: 4096,
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      nameMax: 255,
    };
  }
  showOptions(): string {
    return "";
  }
  // eslint-disable-next-line require-yield -- writes are not held back
  *sync(): Sleeps<void> {}
  unmount(): void {}
}

/** The file system of one host directory, to be mounted with Vfs.mount. */
export function createHostFs(kernel: Kernel, directory: HostDirectory): SuperBlock {
  return new HostSuperBlock(kernel, directory);
}
