// SPDX-License-Identifier: Apache-2.0
// The console: a terminal over the host's. The host's terminal is raw; editing, echo and signals happen here.
//
// /dev/tty1 is the terminal, /dev/console the same without job control, /dev/tty0 too. Source: console(4), tty(4).

import type { HostConsole } from "../../include/host/host.ts";
import type { File, Path } from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import { TTY_MAJOR, TTYAUX_MAJOR } from "../../include/uapi/tty.ts";
import { IUTF8 } from "../../include/uapi/termios.ts";
import { makeDevice } from "../../include/uapi/stat.ts";
import { StateKey } from "../../include/linux/sched.ts";
import { ENODEV, ENXIO } from "../../lib/errno.ts";
import { ByteQueue } from "../../lib/byte-queue.ts";
import type { TtyDriver } from "./n_tty_output.ts";
import { openTty, TtyFile } from "./tty_file.ts";
import { terminalOf, Tty } from "./tty_io.ts";

const CONSOLE: StateKey<{ tty: Tty | undefined }> = new StateKey("tty.console");
/** Typed or pasted bytes that no reader has made room for. */
const HOST_INPUT_MAX = 1 << 20;

class ConsoleDriver implements TtyDriver {
  readonly writeRoom = 65536;
  readonly pendingOutput = 0;
  readonly #host: HostConsole;
  readonly #tty: Tty;
  readonly #waiting: ByteQueue = new ByteQueue(HOST_INPUT_MAX);

  constructor(tty: Tty, host: HostConsole) {
    this.#tty = tty;
    this.#host = host;
  }

  write(bytes: Uint8Array, length: number): void {
    this.#host.write(bytes.slice(0, length));
  }
  flushOutput(): void {}

  input(bytes: Uint8Array): void {
    const taken = this.#waiting.length > 0 ? 0 : this.#tty.receive(bytes);
    this.#waiting.push(bytes, taken, bytes.length);
  }

  unthrottle(): void {
    while (this.#waiting.length > 0) {
      const run = this.#waiting.firstRun();
      const taken = this.#tty.receive(run);
      this.#waiting.drop(taken);
      if (taken < run.length) return;
    }
  }
}

/** Makes the host's terminal the console of this kernel. Call once, before the devices are used. */
export function attachConsole(kernel: Kernel, host: HostConsole): Tty {
  let driver: ConsoleDriver | undefined;
  const tty = new Tty(
    kernel,
    makeDevice(TTY_MAJOR, 1),
    "tty1",
    (owner) => driver = new ConsoleDriver(owner, host),
  );
  tty.termios.iflag |= IUTF8;
  tty.resize(host.rows, host.columns);
  host.onInput((bytes) => {
    if (bytes === undefined) tty.hangup();
    else driver?.input(bytes);
  });
  host.onResize((columns, rows) => tty.resize(rows, columns));
  kernel.state(CONSOLE, () => ({ tty })).tty = tty;
  return tty;
}

function consoleOf(kernel: Kernel): Tty {
  const { tty } = kernel.state(CONSOLE, () => ({ tty: undefined }));
  if (tty === undefined) throw ENODEV;
  return tty;
}

/** The console as standard input, output and error of the first process: its controlling terminal. */
export function openConsole(task: Task, path: Path | undefined, flags: number): TtyFile {
  return openTty(task, consoleOf(task.kernel), path, flags);
}

/** /dev/tty: the controlling terminal, whatever it is. */
function openCurrentTerminal(task: Task, path: Path, flags: number): File {
  const tty = terminalOf(task);
  if (tty === undefined) throw ENXIO;
  return new TtyFile(tty, path, flags);
}

export function registerConsoleDevices(kernel: Kernel): void {
  const { vfs } = kernel;
  vfs.registerDevice("char", TTYAUX_MAJOR, 0, openCurrentTerminal);
  vfs.registerDevice(
    "char",
    TTYAUX_MAJOR,
    1,
    (task, path, flags) => new TtyFile(consoleOf(task.kernel), path, flags, true),
  );
  vfs.registerDevice(
    "char",
    TTY_MAJOR,
    0,
    (task, path, flags) => new TtyFile(consoleOf(task.kernel), path, flags, true),
  );
  vfs.registerDevice("char", TTY_MAJOR, 1, openConsole);
}
