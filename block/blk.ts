// SPDX-License-Identifier: Apache-2.0
// Block devices: fixed-size arrays of bytes that are read and written in sectors.
//
// A request answers at once when the host has the bytes, else it sleeps until the host's promise is settled.
// Source: design: block/ sits between file systems and the host's disks.

import type { HostDisk } from "../include/host/host.ts";
import { type Kernel, StateKey } from "../include/linux/sched.ts";
import { type Sleeps, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { EINVAL, EIO, ENODEV, EROFS } from "../lib/errno.ts";
import { waitUntil } from "../kernel/wait.ts";

export const SECTOR_BYTES = 512;

export interface BlockDevice {
  readonly name: string; // "vda"
  readonly dev: number; // st_rdev
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Fills `into` from byte `offset`. Throws EIO, also beyond the end. */
  read(offset: number, into: Uint8Array): void | Sleeps<void>;
  write(offset: number, from: Uint8Array): void | Sleeps<void>;
  /** What was written before survives a crash afterwards. */
  flush(): void | Sleeps<void>;
}

/** A disk of the host. */
export class HostBlockDevice implements BlockDevice {
  readonly name: string;
  readonly dev: number;
  readonly #kernel: Kernel;
  readonly #disk: HostDisk;

  constructor(kernel: Kernel, name: string, dev: number, disk: HostDisk) {
    this.#kernel = kernel;
    this.name = name;
    this.dev = dev;
    this.#disk = disk;
  }

  get sizeBytes(): number {
    return this.#disk.sizeBytes;
  }
  get isReadOnly(): boolean {
    return this.#disk.isReadOnly;
  }

  read(offset: number, into: Uint8Array): void | Sleeps<void> {
    if (offset < 0 || offset + into.length > this.sizeBytes) throw EIO;
    return this.#finish(() => this.#disk.read(offset, into));
  }

  write(offset: number, from: Uint8Array): void | Sleeps<void> {
    if (this.isReadOnly) throw EROFS;
    if (offset < 0 || offset + from.length > this.sizeBytes) throw EIO;
    return this.#finish(() => this.#disk.write(offset, from));
  }

  flush(): void | Sleeps<void> {
    return this.#finish(() => this.#disk.flush());
  }

  #finish(request: () => Promise<void> | undefined): void | Sleeps<void> {
    let pending: Promise<void> | undefined;
    try {
      pending = request();
    } catch {
      throw EIO;
    }
    if (pending !== undefined) return waitFor(this.#kernel, pending);
  }
}

/** Sleeps until the host's promise is settled; a rejection is EIO. */
function* waitFor(kernel: Kernel, pending: Promise<void>): Sleeps<void> {
  const queue = new WaitQueue();
  let outcome: "done" | "failed" | undefined;
  const settle = (result: "done" | "failed"): void => {
    outcome = result;
    queue.wakeAll(0);
  };
  pending.then(() => settle("done"), () => settle("failed"));
  const task = kernel.tasks.current;
  if (task === undefined) throw EIO;
  yield* waitUntil(task, queue, 0, () => (outcome === undefined ? WOULD_BLOCK : true), {
    uninterruptible: true,
  });
  if (outcome === "failed") throw EIO;
}

/** The disks of one kernel, by name and by number. */
class BlockDevices {
  readonly byName = new Map<string, BlockDevice>();
  readonly byNumber = new Map<number, BlockDevice>();
}

const BLOCK_DEVICES: StateKey<BlockDevices> = new StateKey("block.devices");

function devicesOf(kernel: Kernel): BlockDevices {
  return kernel.state(BLOCK_DEVICES, () => new BlockDevices());
}

export function addBlockDevice(kernel: Kernel, device: BlockDevice): void {
  const devices = devicesOf(kernel);
  if (devices.byNumber.has(device.dev)) throw EINVAL;
  devices.byName.set(device.name, device);
  devices.byNumber.set(device.dev, device);
}

export function blockDevices(kernel: Kernel): Iterable<BlockDevice> {
  return devicesOf(kernel).byName.values();
}

/** Throws ENODEV. */
export function findBlockDevice(kernel: Kernel, dev: number): BlockDevice {
  const device = devicesOf(kernel).byNumber.get(dev);
  if (device === undefined) throw ENODEV;
  return device;
}

/** The device behind mount(2)'s source: "/dev/vda" through its node, or a bare name for the kernel's own mounts. */
export function blockDeviceByName(kernel: Kernel, name: string): BlockDevice | undefined {
  return devicesOf(kernel).byName.get(name);
}
