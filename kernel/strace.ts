// SPDX-License-Identifier: Apache-2.0
// System calls as text, in the words of strace(1).

import type { LinuxKernel } from "./kernel.ts";

export class Strace {
  readonly #kernel: LinuxKernel;
  readonly #write: (line: string) => void;

  constructor(kernel: LinuxKernel, write: (line: string) => void) {
    this.#kernel = kernel;
    this.#write = write;
  }

  start(): () => void {
    const { arch, ram } = this.#kernel;
    return this.#kernel.hooks.use({
      enter: (task, number) => {
        const args = [0, 1, 2, 3, 4, 5].map((index) => `0x${arch.syscallArgument(ram, index).toString(16)}`);
        this.#write(`[pid ${String(task.pid)}] ${arch.syscallNames[number] ?? String(number)}(${args.join(", ")}) ...`);
      },
      exit: (task, number, _call, result) => {
        const text = typeof result === "object" ? result.message : String(result);
        this.#write(`[pid ${String(task.pid)}] ... ${arch.syscallNames[number] ?? String(number)} = ${text}`);
      },
      signal: (task, info) => this.#write(`[pid ${String(task.pid)}] --- signal ${String(info.signal)} ---`),
      exited: (task, status) => this.#write(`[pid ${String(task.pid)}] +++ exited ${String(status)} +++`),
    });
  }
}
