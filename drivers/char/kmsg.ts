// SPDX-License-Identifier: Apache-2.0
// /dev/kmsg: the kernel's log, a record at each read. Each open has a place of its own in it.
//
// A record reads as "priority,sequence,microseconds,-;text\n". Writing appends one; "<N>" in front gives the priority.
// Source: Documentation/ABI/testing/dev-kmsg.

import { File, type Path, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../include/linux/fs.ts";
import type { Kernel } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { type Try, type WaitQueue, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { SEEK_END, SEEK_SET } from "../../include/uapi/fs.ts";
import { EINVAL, EPIPE } from "../../lib/errno.ts";
import { bytesToString, stringToBytes } from "../../lib/byte-string.ts";
import { type KernelLog, kernelLog } from "../../kernel/printk.ts";

const LINE_MAX = 1024;
const LEVEL_WARNING = 4;
/** As SEEK_DATA: after the last clear of syslog(2). */
const SEEK_DATA = 3;

export class KmsgFile extends File {
  readonly #kernel: Kernel;
  readonly #log: KernelLog;
  #next: number;

  constructor(kernel: Kernel, path: Path, flags: number) {
    super(path, flags);
    this.#kernel = kernel;
    this.#log = kernelLog(kernel);
    this.#next = 0;
    this.#next = this.#log.from(0)[0]?.sequence ?? this.#log.nextSequence;
  }

  override get waitQueue(): WaitQueue {
    return this.#log.queue;
  }

  override read(iter: IovIter): Try<number> {
    const [record] = this.#log.from(this.#next);
    if (record === undefined) return WOULD_BLOCK;
    if (record.sequence > this.#next) {
      this.#next = record.sequence;
      throw EPIPE; // Records were lost; the next read goes on behind the gap.
    }
    const head = `${record.level},${record.sequence},${Math.floor(record.timeNs / 1000)},-;`;
    const bytes = stringToBytes(`${head}${record.text}\n`);
    if (bytes.length > iter.remaining) throw EINVAL;
    iter.copyOut(bytes, 0, bytes.length);
    this.#next++;
    return bytes.length;
  }

  override write(iter: IovIter): number {
    const count = iter.remaining;
    if (count > LINE_MAX) throw EINVAL;
    const bytes = new Uint8Array(count);
    iter.copyIn(bytes, 0, count);
    let text = bytesToString(bytes);
    let level = LEVEL_WARNING;
    const prefix = /^<(\d+)>/.exec(text);
    if (prefix !== null) {
      level = Number(prefix[1]) & 7;
      text = text.slice(prefix[0].length);
    }
    this.#kernel.printk(level, text.endsWith("\n") ? text.slice(0, -1) : text);
    return count;
  }

  override seek(offset: number, whence: number): number {
    if (offset !== 0) throw EINVAL;
    if (whence === SEEK_SET) this.#next = this.#log.from(0)[0]?.sequence ?? this.#log.nextSequence;
    else if (whence === SEEK_DATA) this.#next = this.#log.clearedBefore;
    else if (whence === SEEK_END) this.#next = this.#log.nextSequence;
    else throw EINVAL;
    return 0;
  }

  override poll(): number {
    const events = POLLOUT | POLLWRNORM;
    return this.#next < this.#log.nextSequence ? events | POLLIN | POLLRDNORM : events;
  }
}
