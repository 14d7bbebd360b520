// SPDX-License-Identifier: Apache-2.0
// Disks of the host as /dev/vda, /dev/vdb ...: block devices for file systems, and their files for programs.
//
// A device file reads and writes the disk directly; there is no buffer cache, so that programs and a mounted file
// system see the same bytes. Source: ioctl_list(2), blkdev ioctls of <linux/fs.h>.

import type { HostDisk } from "../../include/host/host.ts";
import { type DeviceOpener, File, type Path } from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import {
  BLKBSZGET,
  BLKFLSBUF,
  BLKGETSIZE,
  BLKGETSIZE64,
  BLKIOMIN,
  BLKPBSZGET,
  BLKROGET,
  BLKSSZGET,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../../include/uapi/fs.ts";
import { makeDevice } from "../../include/uapi/stat.ts";
import { EFAULT, EINVAL, ENOSPC, ENOTTY, ENXIO } from "../../lib/errno.ts";
import {
  addBlockDevice,
  type BlockDevice,
  findBlockDevice,
  HostBlockDevice,
  SECTOR_BYTES,
} from "../../block/blk.ts";

/** Major number of virtual disks; a disk has 16 minors, for partitions. */
export const HOSTBLK_MAJOR = 254;
const MINORS_PER_DISK = 16;

/** Makes `disk` the next of the kernel's disks, and opens its number to device nodes. */
export function addHostDisk(kernel: Kernel, disk: HostDisk, index: number): BlockDevice {
  const dev = makeDevice(HOSTBLK_MAJOR, index * MINORS_PER_DISK);
  const device = new HostBlockDevice(kernel, `vd${String.fromCharCode(0x61 + index)}`, dev, disk);
  addBlockDevice(kernel, device);
  kernel.vfs.registerDevice("block", HOSTBLK_MAJOR, index * MINORS_PER_DISK, openBlockDevice);
  return device;
}

export const openBlockDevice: DeviceOpener = (task, path, flags, rdev) =>
  new BlockFile(path, flags, findDisk(task, rdev));

function findDisk(task: Task, rdev: number): BlockDevice {
  try {
    return findBlockDevice(task.kernel, rdev);
  } catch {
    throw ENXIO;
  }
}

class BlockFile extends File {
  readonly #device: BlockDevice;

  constructor(path: Path, flags: number, device: BlockDevice) {
    super(path, flags);
    this.#device = device;
  }

  override get isSeekable(): boolean {
    return true;
  }

  override *read(iter: IovIter, position: number | undefined): Sleeps<number> {
    const start = position ?? this.pos;
    const length = Math.max(0, Math.min(iter.remaining, this.#device.sizeBytes - start));
    if (length > 0) {
      const bytes = new Uint8Array(length);
      const answer = this.#device.read(start, bytes);
      if (isSleeping(answer)) yield* answer;
      iter.copyOut(bytes, 0, length);
    }
    if (position === undefined) this.pos = start + length;
    return length;
  }

  override *write(iter: IovIter, position: number | undefined): Sleeps<number> {
    const start = position ?? this.pos;
    const length = Math.min(iter.remaining, this.#device.sizeBytes - start);
    if (length <= 0) throw ENOSPC;
    const bytes = new Uint8Array(length);
    iter.copyIn(bytes, 0, length);
    const answer = this.#device.write(start, bytes);
    if (isSleeping(answer)) yield* answer;
    if (position === undefined) this.pos = start + length;
    return length;
  }

  override seek(offset: number, whence: number): number {
    const base = whence === SEEK_SET
      ? 0
      : whence === SEEK_CUR
      ? this.pos
      : whence === SEEK_END
      ? this.#device.sizeBytes
      : NaN;
    const target = base + offset;
    if (!(target >= 0) || target > this.#device.sizeBytes) throw EINVAL;
    this.pos = target;
    return target;
  }

  override fsync(): void | Sleeps<void> {
    return this.#device.flush();
  }

  override *ioctl(task: Task, command: number, argument: number): Sleeps<number> {
    const user = task.mm?.user;
    if (user === undefined) throw EFAULT;
    const device = this.#device;
    switch (command >>> 0) {
      case BLKGETSIZE64:
        yield* user.writeU64(argument, device.sizeBytes);
        return 0;
      case BLKGETSIZE:
        yield* user.writeU64(argument, Math.floor(device.sizeBytes / SECTOR_BYTES));
        return 0;
      case BLKSSZGET:
      case BLKPBSZGET:
      case BLKIOMIN:
        yield* user.writeU32(argument, SECTOR_BYTES);
        return 0;
      case BLKBSZGET:
        yield* user.writeU32(argument, 4096);
        return 0;
      case BLKROGET:
        yield* user.writeU32(argument, device.isReadOnly ? 1 : 0);
        return 0;
      case BLKFLSBUF:
        return 0;
      default:
        throw ENOTTY;
    }
  }
}
