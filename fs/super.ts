// SPDX-License-Identifier: Apache-2.0
// What every file system without a disk needs: device numbers and a plain SuperBlock.

import type { FileSystemType, Inode, StatFs, SuperBlock } from "../include/linux/fs.ts";
import { type Kernel, StateKey } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { makeDevice } from "../include/uapi/stat.ts";

const ANONYMOUS_DEVICES: StateKey<{ next: number }> = new StateKey("fs.anonymous-devices");

/** st_dev of a file system that no device holds: major 0, minors in order. */
export function allocateAnonymousDevice(kernel: Kernel): number {
  return makeDevice(0, kernel.state(ANONYMOUS_DEVICES, () => ({ next: 1 })).next++);
}

export interface SimpleSuperBlockOptions {
  readonly type: FileSystemType;
  readonly dev: number;
  /** f_type of statfs(2). */
  readonly magic: number;
  readonly maxNameBytes?: number;
  readonly options?: string;
}

/** A file system that lives in memory and needs no write-back. Set `root` before use. */
export class SimpleSuperBlock implements SuperBlock {
  readonly type: FileSystemType;
  readonly dev: number;
  readonly blockSize: number = 4096;
  readonly maxNameBytes: number;
  readonly #magic: number;
  readonly #options: string;
  root!: Inode;
  isReadOnly = false;
  #nextIno = 1;

  constructor(options: SimpleSuperBlockOptions) {
    this.type = options.type;
    this.dev = options.dev;
    this.maxNameBytes = options.maxNameBytes ?? 255;
    this.#magic = options.magic;
    this.#options = options.options ?? "";
  }

  nextIno(): number {
    return this.#nextIno++;
  }

  statfs(): StatFs {
    return {
      type: this.#magic,
      blockSize: 4096,
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      nameMax: this.maxNameBytes,
    };
  }

  showOptions(): string {
    return this.#options;
  }

  // eslint-disable-next-line require-yield -- nothing to write back
  *sync(): Sleeps<void> {}

  unmount(): void {}
}
