// SPDX-License-Identifier: Apache-2.0
// EROFS as a file-system type: mounts an image that lies on a block device.

import type { FileSystemType, SuperBlock } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { S_IFBLK, S_IFMT } from "../../include/uapi/stat.ts";
import { ENOTBLK } from "../../lib/errno.ts";
import { type BlockDevice, blockDeviceByName, findBlockDevice } from "../../block/blk.ts";
import { openErofs } from "./super.ts";

export const erofs: FileSystemType = {
  name: "erofs",
  needsDevice: true,
  *mount(task: Task, source: string): Sleeps<SuperBlock> {
    const device = yield* findDevice(task, source);
    return yield* openErofs(task.kernel, erofs, device.dev, device);
  },
};

function* findDevice(task: Task, source: string): Sleeps<BlockDevice> {
  const named = blockDeviceByName(task.kernel, source);
  if (named !== undefined) return named;
  const answer = task.kernel.vfs.resolve(task, source, { followLast: true });
  const inode = (isSleeping(answer) ? yield* answer : answer).dentry.inode;
  if (inode === undefined || (inode.mode & S_IFMT) !== S_IFBLK) throw ENOTBLK;
  return findBlockDevice(task.kernel, inode.rdev);
}
