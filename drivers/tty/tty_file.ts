// SPDX-License-Identifier: Apache-2.0
// An open terminal: read(2) with MIN and TIME, write(2), job control, what remains after a hang-up.
//
// Source: termios(3), "Canonical and noncanonical mode"; POSIX.1-2017, 11.1.

import { File, type Path, POLLERR, POLLHUP } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { type Sleeps, type Try, type WaitQueue, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { CAP_SYS_ADMIN } from "../../include/uapi/capability.ts";
import { O_NOCTTY } from "../../include/uapi/fcntl.ts";
import { SIGTTIN, SIGTTOU } from "../../include/uapi/signal.ts";
import { ICANON, TOSTOP, VMIN, VTIME } from "../../include/uapi/termios.ts";
import { EBUSY, EIO } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import { waitUntil } from "../../kernel/wait.ts";
import { READ_EVENTS, type Tty, WRITE_EVENTS } from "./tty_io.ts";
import { ttyIoctl } from "./tty_ioctl.ts";
import { checkForeground, takeTerminalOnOpen } from "./tty_jobctrl.ts";

const NS_PER_TENTH = 100_000_000;

export class TtyFile extends File {
  readonly tty: Tty;
  /** Opens of /dev/console are not subject to job control. */
  readonly #isConsole: boolean;
  #isHungUp = false;

  constructor(tty: Tty, path: Path | undefined, flags: number, isConsole: boolean = false) {
    super(path, flags);
    this.tty = tty;
    this.#isConsole = isConsole;
    tty.fileOpened(this);
  }

  get isHungUp(): boolean {
    return this.#isHungUp;
  }
  hangUp(): void {
    this.#isHungUp = true;
  }
  override get waitQueue(): WaitQueue {
    return this.tty.queue;
  }

  override read(iter: IovIter): Try<number> | Sleeps<number> {
    if (this.#isHungUp) return 0;
    const { tty } = this;
    const task = tty.kernel.tasks.current;
    if (task !== undefined && !this.#isConsole) checkForeground(task, tty, SIGTTIN);
    if (iter.remaining === 0) return 0;
    const { termios, discipline } = tty;
    if ((termios.lflag & ICANON) !== 0) return this.#readNow(iter);
    const minimum = termios.cc[VMIN]!;
    const tenths = termios.cc[VTIME]!;
    if (discipline.available >= discipline.minimum(iter.remaining)) return discipline.read(iter);
    if (minimum === 0 && tenths === 0 && !tty.isPeerClosed) return 0;
    if (this.isNonBlocking || (minimum <= 1 && tenths === 0)) return this.#readNow(iter);
    if (task === undefined) return WOULD_BLOCK;
    return this.#readTimed(task, iter, minimum, tenths);
  }

  #readNow(iter: IovIter): Try<number> {
    const { discipline } = this.tty;
    if (discipline.available > 0) return discipline.read(iter);
    if (this.tty.isPeerClosed) throw EIO;
    return WOULD_BLOCK;
  }

  /** MIN and TIME of raw mode: TIME starts with the read when MIN is 0, else with (and after each) byte. */
  *#readTimed(task: Task, iter: IovIter, minimum: number, tenths: number): Sleeps<number> {
    const { tty } = this;
    const { discipline } = tty;
    const timeNs = tenths * NS_PER_TENTH;
    const now = (): number => tty.kernel.time.monotonicNs();
    let seen = discipline.available;
    let deadlineNs = minimum === 0 || (seen > 0 && timeNs > 0) ? now() + timeNs : undefined;
    const isOver = (): boolean =>
      this.#isHungUp || tty.isPeerClosed
      || discipline.available >= discipline.minimum(iter.remaining);
    try {
      while (!isOver()) {
        const attempt = (): Try<boolean> => isOver() || discipline.available !== seen ? true : WOULD_BLOCK;
        const options = deadlineNs === undefined ? {} : { deadlineNs };
        const answer: Try<boolean> = yield* waitUntil<Try<boolean>>(
          task,
          tty.queue,
          READ_EVENTS,
          attempt,
          options,
        );
        if (answer === WOULD_BLOCK) break;
        seen = discipline.available;
        if (minimum > 0 && timeNs > 0 && seen > 0) deadlineNs = now() + timeNs;
      }
    } catch (error) {
      if (discipline.available === 0 || this.#isHungUp) throw error;
    }
    if (this.#isHungUp) return 0;
    if (discipline.available > 0) return discipline.read(iter);
    if (tty.isPeerClosed) throw EIO;
    return 0;
  }

  override write(iter: IovIter): Try<number> {
    const { tty } = this;
    if (this.#isHungUp || tty.isPeerClosed) throw EIO;
    const task = tty.kernel.tasks.current;
    if (task !== undefined && !this.#isConsole && (tty.termios.lflag & TOSTOP) !== 0) {
      checkForeground(task, tty, SIGTTOU);
    }
    if (iter.remaining === 0) return 0;
    const done = tty.discipline.output.write(iter);
    return done === 0 ? WOULD_BLOCK : done;
  }

  override poll(): number {
    if (this.#isHungUp) return READ_EVENTS | WRITE_EVENTS | POLLERR | POLLHUP;
    return this.tty.poll();
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    if (this.#isHungUp) throw EIO;
    return ttyIoctl(task, this.tty, this, command, argument, this.#isConsole);
  }

  override fsync(): void {}

  override release(): void {
    this.tty.fileClosed(this);
  }
}

/** Opens a terminal for `task`: takes it as controlling terminal unless O_NOCTTY. */
export function openTty(task: Task, tty: Tty, path: Path | undefined, flags: number): TtyFile {
  if (tty.isExclusive && tty.files.size > 0 && !capable(task, CAP_SYS_ADMIN)) throw EBUSY;
  const file = new TtyFile(tty, path, flags);
  if ((flags & O_NOCTTY) === 0 && file.isReadable) takeTerminalOnOpen(task, tty);
  return file;
}
