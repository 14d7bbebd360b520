// SPDX-License-Identifier: Apache-2.0
// The kernel log: a ring of records, and syslog(2) on it.

import { bufferOut, int, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { type Kernel, StateKey } from "../include/linux/sched.ts";
import { CAP_SYSLOG } from "../include/uapi/capability.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { EINVAL, EPERM } from "../lib/errno.ts";
import { stringToBytes } from "../lib/byte-string.ts";
import { capable } from "../security/commoncap.ts";
import { mmOf } from "./task.ts";
import { waitUntil } from "./wait.ts";

const LOG_BYTES_MAX = 1 << 18;

export interface LogRecord {
  readonly sequence: number;
  readonly level: number;
  readonly timeNs: number;
  readonly text: string;
}

export class KernelLog {
  readonly #records: LogRecord[] = [];
  #bytes = 0;
  #sequence = 0;
  /** Woken by each record: /dev/kmsg and syslog(2) read here. */
  readonly queue: WaitQueue = new WaitQueue();
  /** First record that SYSLOG_ACTION_READ has not taken, and that READ_CLEAR has not cleared. */
  nextRead: number = 0;
  clearedBefore: number = 0;
  consoleLevel: number = 7;
  /** A copy of each line goes here (the command line's --verbose). */
  sink: ((record: LogRecord) => void) | undefined;

  append(level: number, timeNs: number, text: string): void {
    const record: LogRecord = { sequence: this.#sequence++, level, timeNs, text };
    this.#records.push(record);
    this.#bytes += text.length;
    while (this.#bytes > LOG_BYTES_MAX) this.#bytes -= this.#records.shift()?.text.length ?? LOG_BYTES_MAX;
    this.sink?.(record);
    this.queue.wakeAll(1);
  }

  /** Records from `sequence` on that are still there. */
  from(sequence: number): readonly LogRecord[] {
    return this.#records.filter((record) => record.sequence >= sequence);
  }

  get nextSequence(): number {
    return this.#sequence;
  }
}

const LOG = new StateKey<KernelLog>("printk");

export function kernelLog(kernel: Kernel): KernelLog {
  return kernel.state(LOG, () => new KernelLog());
}

/** A record as syslog(2) and dmesg(1) show it: "<6>[    0.123456] text". */
export function formatRecord(record: LogRecord): string {
  const micro = Math.floor(record.timeNs / 1000);
  const seconds = String(Math.floor(micro / 1e6)).padStart(5);
  return `<${String(record.level)}>[${seconds}.${String(micro % 1e6).padStart(6, "0")}] ${record.text}\n`;
}

function textOf(records: readonly LogRecord[]): Uint8Array {
  return stringToBytes(records.map(formatRecord).join(""));
}

function* readNew(task: Parameters<typeof mmOf>[0], address: number, length: number): Sleeps<number> {
  const log = kernelLog(task.kernel);
  const bytes = yield* waitUntil(task, log.queue, 0, (): Try<Uint8Array> => {
    const records = log.from(log.nextRead);
    if (records.length === 0) return WOULD_BLOCK;
    let size = 0;
    const fitting = records.filter((record) => (size += formatRecord(record).length) <= length);
    const last = fitting.at(-1);
    if (last === undefined) return textOf(records.slice(0, 1)).subarray(0, length);
    log.nextRead = last.sequence + 1;
    return textOf(fitting);
  });
  yield* mmOf(task).user.copyOut(address, bytes);
  return bytes.length;
}

export const printkSyscalls: readonly Syscall[] = [
  syscall("syslog", [int, bufferOut, int], function*(task, action, address, length) {
    const log = kernelLog(task.kernel);
    if (action !== 3 && action !== 10 && !capable(task, CAP_SYSLOG)) throw EPERM;
    switch (action) {
      case 0: // close
      case 1: // open
        return 0;
      case 2: // read
        if (address === 0 || length < 0) throw EINVAL;
        return length === 0 ? 0 : yield* readNew(task, address, length);
      case 3: // read all
      case 4: { // read all and clear
        if (address === 0 || length < 0) throw EINVAL;
        const text = textOf(log.from(log.clearedBefore));
        const bytes = text.subarray(Math.max(0, text.length - length));
        yield* mmOf(task).user.copyOut(address, bytes);
        if (action === 4) log.clearedBefore = log.nextSequence;
        return bytes.length;
      }
      case 5:
        log.clearedBefore = log.nextSequence;
        return 0;
      case 6: // console off
      case 7: // console on
        return 0;
      case 8:
        if (length < 1 || length > 8) throw EINVAL;
        log.consoleLevel = length;
        return 0;
      case 9:
        return textOf(log.from(log.nextRead)).length;
      case 10:
        return LOG_BYTES_MAX;
      default:
        throw EINVAL;
    }
  }),
];
