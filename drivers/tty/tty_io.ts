// SPDX-License-Identifier: Apache-2.0
// The terminal: line discipline, settings, session and open files around a driver.
//
// A Tty is one line (a console, a pseudoterminal's slave); tty_file.ts has the opens of it. After a hang-up the files
// that were open then are dead while new opens start afresh. Source: termios(3), tty(4), ioctl_tty(2).

import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import { WaitQueue } from "../../include/linux/wait.ts";
import { SIGWINCH } from "../../include/uapi/signal.ts";
import { ICANON, VMIN, VTIME } from "../../include/uapi/termios.ts";
import { ENOTTY } from "../../lib/errno.ts";
import { LineDiscipline } from "./n_tty.ts";
import type { TtyDriver } from "./n_tty_output.ts";
import { Termios } from "./termios.ts";
import { hangupSession, type SessionTerminal, signalForegroundGroup } from "./tty_jobctrl.ts";

export const READ_EVENTS: number = POLLIN | POLLRDNORM;
export const WRITE_EVENTS: number = POLLOUT | POLLWRNORM;
/** poll(2) reports a terminal writable while less than this waits in the driver. */
const WAKEUP_CHARS = 256;

/** An open file of a terminal, as the terminal knows it. */
export interface OpenTerminal {
  hangUp(): void;
}

export interface WindowSize {
  rows: number;
  columns: number;
  xPixels: number;
  yPixels: number;
}

export class Tty implements SessionTerminal {
  readonly kernel: Kernel;
  readonly device: number;
  readonly name: string;
  readonly termios: Termios;
  readonly windowSize: WindowSize = { rows: 0, columns: 0, xPixels: 0, yPixels: 0 };
  readonly queue: WaitQueue = new WaitQueue();
  readonly driver: TtyDriver;
  readonly discipline: LineDiscipline;
  /** Opens that a hang-up would kill. */
  readonly files: Set<OpenTerminal> = new Set();
  /** All opens, those that were hung up included. */
  openCount = 0;
  foregroundPgid = 0;
  sessionId = 0;
  /** TIOCEXCL. */
  isExclusive = false;
  /** ^S or IXON's stop; TCOOFF. */
  #isStopped = false;
  #isStoppedByIoctl = false;
  /** The peer of a pseudoterminal has gone. */
  isPeerClosed = false;

  constructor(
    kernel: Kernel,
    device: number,
    name: string,
    driver: (tty: Tty) => TtyDriver,
    termios: Termios = new Termios(),
  ) {
    this.kernel = kernel;
    this.device = device;
    this.name = name;
    this.termios = termios;
    this.driver = driver(this);
    this.discipline = new LineDiscipline(this);
  }

  get isOutputStopped(): boolean {
    return this.#isStopped || this.#isStoppedByIoctl;
  }
  get isFlowStopped(): boolean {
    return this.#isStopped && !this.#isStoppedByIoctl;
  }
  startOutput(): void {
    if (!this.#isStopped || this.#isStoppedByIoctl) return;
    this.#isStopped = false;
    this.outputResumed();
    this.announceFlow("start");
  }
  stopOutput(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.announceFlow("stop");
  }
  /** TCOOFF, TCOON. */
  setIoctlStopped(isStopped: boolean): void {
    if (this.#isStoppedByIoctl === isStopped) return;
    this.#isStoppedByIoctl = isStopped;
    if (!isStopped) {
      this.#isStopped = false;
      this.outputResumed();
    }
    this.announceFlow(isStopped ? "stop" : "start");
  }
  /** Writers may go on. */
  outputResumed(): void {
    this.discipline.output.flushEcho();
    this.queue.wakeAll(WRITE_EVENTS);
  }

  signalForeground(signal: number): void {
    signalForegroundGroup(this.kernel, this, signal);
  }
  announceInput(): void {
    this.queue.wakeAll(READ_EVENTS);
  }
  /** Packet mode of a pseudoterminal overrides these. */
  announceFlush(): void {}
  announceFlow(_what: "start" | "stop"): void {}
  /** After TCSETS*: `old` is what was before. */
  settingsChanged(old: Termios): void {
    this.discipline.settingsChanged(old);
    this.queue.wakeAll(READ_EVENTS | WRITE_EVENTS);
  }

  /** Input from the device; returns how much was taken. `unthrottle` of the driver announces room for the rest. */
  receive(bytes: Uint8Array, from: number = 0, to: number = bytes.length): number {
    return this.discipline.receive(bytes, from, to);
  }

  resize(rows: number, columns: number, xPixels: number = 0, yPixels: number = 0): void {
    const size = this.windowSize;
    if (
      size.rows === rows && size.columns === columns && size.xPixels === xPixels && size.yPixels === yPixels
    ) return;
    Object.assign(size, { rows, columns, xPixels, yPixels });
    this.signalForeground(SIGWINCH);
  }

  hangup(): void {
    for (const file of this.files) file.hangUp();
    this.files.clear();
    hangupSession(this.kernel, this);
    this.discipline.flushInput();
    this.queue.wakeAll(READ_EVENTS | WRITE_EVENTS | POLLHUP | POLLERR);
  }

  /** Ready events of an open file. */
  poll(): number {
    const { discipline, termios, driver } = this;
    const wanted = (termios.lflag & ICANON) === 0 && termios.cc[VTIME] === 0
      ? Math.max(1, termios.cc[VMIN]!)
      : 1;
    let events = discipline.available >= wanted ? READ_EVENTS : 0;
    if (this.isPeerClosed) events |= POLLHUP | READ_EVENTS;
    if (!this.isOutputStopped && driver.pendingOutput < WAKEUP_CHARS && driver.writeRoom > 0) {
      events |= WRITE_EVENTS;
    }
    return events;
  }

  fileOpened(file: OpenTerminal): void {
    this.files.add(file);
    this.openCount++;
  }
  fileClosed(file: OpenTerminal): void {
    this.files.delete(file);
    if (--this.openCount === 0) this.lastClosed();
  }
  /** A pseudoterminal tells its master. */
  lastClosed(): void {}
}

/** The task's controlling terminal, or ENOTTY for one of another kind. */
export function terminalOf(task: Task): Tty | undefined {
  const { tty } = task.group;
  if (tty === undefined) return undefined;
  if (!(tty instanceof Tty)) throw ENOTTY;
  return tty;
}
