// SPDX-License-Identifier: Apache-2.0
// Unix98 pseudoterminals: the master made by opening ptmx, the slave in devpts.
//
// What the slave writes waits in `toMaster`; what the master writes goes through the slave's line discipline at once and
// waits in `toSlave` only while that is full. The slave lives as long as the master; closing the master hangs it up.
// Source: pty(7), pts(4), ioctl_tty(2) (packet mode).

import {
  File,
  type Path,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
} from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { O_CLOEXEC } from "../../include/uapi/fcntl.ts";
import * as ioctls from "../../include/uapi/ioctls.ts";
import { makeDevice, minorOf } from "../../include/uapi/stat.ts";
import {
  B38400,
  CREAD,
  CS8,
  EXTPROC,
  IXON,
  TCIFLUSH,
  TCIOFLUSH,
  TCOFLUSH,
  VSTART,
  VSTOP,
} from "../../include/uapi/termios.ts";
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR } from "../../include/uapi/tty.ts";
import { EINVAL, EIO, ENOTTY, ENXIO } from "../../lib/errno.ts";
import { ByteQueue } from "../../lib/byte-queue.ts";
import { devPtsOf } from "../../fs/devpts/inode.ts";
import { mmOf } from "../../kernel/task.ts";
import type { TtyDriver } from "./n_tty_output.ts";
import { Termios } from "./termios.ts";
import { openTty, type TtyFile } from "./tty_file.ts";
import { Tty } from "./tty_io.ts";
import { ttyIoctl, writeInt } from "./tty_ioctl.ts";

/** What each direction holds before its writer has to wait. */
const BUFFER_BYTES = 65536;
const MAX_SIGNAL = 64;
const XON = 17;
const XOFF = 19;

const PTYS: StateKey<Map<number, PtyMaster>> = new StateKey("tty.ptys");

function ptysOf(kernel: Kernel): Map<number, PtyMaster> {
  return kernel.state(PTYS, () => new Map());
}

class SlaveDriver implements TtyDriver {
  readonly pendingOutput = 0;
  readonly #master: PtyMaster;

  constructor(master: PtyMaster) {
    this.#master = master;
  }
  get writeRoom(): number {
    return this.#master.toMaster.room;
  }
  write(bytes: Uint8Array, length: number): void {
    this.#master.toMaster.push(bytes, 0, length);
    this.#master.queue.wakeAll(POLLIN | POLLRDNORM);
  }
  flushOutput(): void {
    this.#master.toMaster.clear();
    this.#master.setStatus(ioctls.TIOCPKT_FLUSHWRITE, 0);
  }
  unthrottle(): void {
    this.#master.feedSlave();
  }
}

/** The terminal that programs run on. */
class PtySlave extends Tty {
  readonly #master: PtyMaster;

  constructor(kernel: Kernel, index: number, master: PtyMaster) {
    const termios = new Termios();
    termios.cflag = B38400 | CS8 | CREAD;
    super(
      kernel,
      makeDevice(UNIX98_PTY_SLAVE_MAJOR, index),
      `pts/${index}`,
      () => new SlaveDriver(master),
      termios,
    );
    this.#master = master;
  }

  override announceFlush(): void {
    this.#master.setStatus(ioctls.TIOCPKT_FLUSHREAD, 0);
  }
  override announceFlow(what: "start" | "stop"): void {
    if (what === "stop") this.#master.setStatus(ioctls.TIOCPKT_STOP, ioctls.TIOCPKT_START);
    else this.#master.setStatus(ioctls.TIOCPKT_START, ioctls.TIOCPKT_STOP);
  }
  override settingsChanged(old: Termios): void {
    if (((old.lflag ^ this.termios.lflag) & EXTPROC) !== 0 || (this.termios.lflag & EXTPROC) !== 0) {
      this.#master.setStatus(ioctls.TIOCPKT_IOCTL, 0);
    }
    const hasFlow = usesFlowControl(this.termios);
    if (usesFlowControl(old) !== hasFlow) {
      if (hasFlow) this.#master.setStatus(ioctls.TIOCPKT_DOSTOP, ioctls.TIOCPKT_NOSTOP);
      else this.#master.setStatus(ioctls.TIOCPKT_NOSTOP, ioctls.TIOCPKT_DOSTOP);
    }
    super.settingsChanged(old);
  }
  override lastClosed(): void {
    this.#master.slaveClosed();
  }
}

function usesFlowControl(termios: Termios): boolean {
  return (termios.iflag & IXON) !== 0 && termios.cc[VSTOP] === XOFF && termios.cc[VSTART] === XON;
}

/** The side of the terminal emulator; one open file at most. */
export class PtyMaster extends File {
  readonly index: number;
  readonly slave: PtySlave;
  readonly queue: WaitQueue = new WaitQueue();
  readonly toMaster: ByteQueue = new ByteQueue(BUFFER_BYTES);
  readonly #toSlave: ByteQueue = new ByteQueue(BUFFER_BYTES);
  readonly #kernel: Kernel;
  isLocked = true;
  #isPacketMode = false;
  /** TIOCPKT_* of what happened on the slave's side since the last read. */
  #status = 0;
  /** The slave was open and is no longer. */
  #isSlaveGone = false;

  constructor(kernel: Kernel, index: number, path: Path | undefined, flags: number) {
    super(path, flags);
    this.#kernel = kernel;
    this.index = index;
    this.slave = new PtySlave(kernel, index, this);
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  setStatus(set: number, clear: number): void {
    if (!this.#isPacketMode) return;
    this.#status = this.#status & ~clear | set;
    this.queue.wakeAll(POLLPRI | POLLIN | POLLRDNORM);
  }

  slaveOpened(): void {
    this.#isSlaveGone = false;
  }
  slaveClosed(): void {
    this.#isSlaveGone = true;
    this.queue.wakeAll(POLLHUP | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
  }

  override read(iter: IovIter): Try<number> {
    if (iter.remaining === 0) return 0;
    if (this.#isPacketMode && this.#status !== 0) {
      iter.copyOut(Uint8Array.of(this.#status), 0, 1);
      this.#status = 0;
      return 1;
    }
    if (this.toMaster.length === 0) {
      if (this.#isSlaveGone) throw EIO;
      return WOULD_BLOCK;
    }
    const header = this.#isPacketMode ? 1 : 0;
    if (header === 1) iter.copyOut(Uint8Array.of(ioctls.TIOCPKT_DATA), 0, 1);
    const wasFull = this.toMaster.room === 0;
    const count = Math.min(iter.remaining, this.toMaster.length);
    this.toMaster.peekTo(iter, count);
    this.toMaster.drop(count);
    if (wasFull) this.slave.outputResumed();
    else this.slave.discipline.output.flushEcho();
    return count + header;
  }

  override write(iter: IovIter): Try<number> {
    const count = Math.min(iter.remaining, this.#toSlave.room);
    if (count === 0) return iter.remaining === 0 ? 0 : WOULD_BLOCK;
    this.#toSlave.pushFrom(iter, count);
    this.feedSlave();
    return count;
  }

  /** Hands waiting input to the slave's line discipline as far as it takes it. */
  feedSlave(): void {
    const wasFull = this.#toSlave.room === 0;
    while (this.#toSlave.length > 0) {
      const run = this.#toSlave.firstRun();
      const taken = this.slave.receive(run);
      this.#toSlave.drop(taken);
      if (taken < run.length) break;
    }
    if (wasFull && this.#toSlave.room > 0) this.queue.wakeAll(POLLOUT | POLLWRNORM);
  }

  override poll(): number {
    let events = this.#toSlave.room > 0 ? POLLOUT | POLLWRNORM : 0;
    if (this.toMaster.length > 0) events |= POLLIN | POLLRDNORM;
    if (this.#isPacketMode && this.#status !== 0) events |= POLLPRI | POLLIN | POLLRDNORM;
    if (this.#isSlaveGone) events |= POLLHUP;
    return events;
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    const { slave } = this;
    switch (command) {
      case ioctls.TIOCGPTN:
        return writeInt(task, argument, this.index);
      case ioctls.TIOCSPTLCK:
        return this.#readFlag(task, argument, (value) => this.isLocked = value);
      case ioctls.TIOCGPTLCK:
        return writeInt(task, argument, this.isLocked ? 1 : 0);
      case ioctls.TIOCPKT:
        return this.#readFlag(task, argument, (value) => this.#setPacketMode(value));
      case ioctls.TIOCGPKT:
        return writeInt(task, argument, this.#isPacketMode ? 1 : 0);
      case ioctls.TIOCGPTPEER:
        return this.#openPeer(task, argument);
      case ioctls.TIOCSIG:
        if (argument < 1 || argument > MAX_SIGNAL) throw EINVAL;
        slave.signalForeground(argument);
        return 0;
      case ioctls.FIONREAD:
        return writeInt(task, argument, this.toMaster.length);
      case ioctls.TIOCOUTQ:
        return writeInt(task, argument, 0);
      case ioctls.TIOCGPGRP:
        return writeInt(task, argument, slave.foregroundPgid);
      case ioctls.TIOCGSID:
        if (slave.sessionId === 0) throw ENOTTY;
        return writeInt(task, argument, slave.sessionId);
      case ioctls.TCFLSH:
        return this.#flush(argument);
      case ioctls.TIOCNOTTY:
        throw ENOTTY;
      default:
        return ttyIoctl(task, slave, this, command, argument, true);
    }
  }

  *#readFlag(task: Task, address: number, apply: (value: boolean) => void): Sleeps<number> {
    apply((yield* mmOf(task).user.readU32(address)) !== 0);
    return 0;
  }

  #setPacketMode(isOn: boolean): void {
    if (isOn && !this.#isPacketMode) this.#status = 0;
    this.#isPacketMode = isOn;
  }

  /** TIOCGPTPEER: opens the slave even where /dev/pts is another file system. */
  *#openPeer(task: Task, flags: number): Sleeps<number> {
    const file = yield* this.#kernel.vfs.open(task, `/dev/pts/${this.index}`, flags & ~O_CLOEXEC, 0);
    try {
      return task.files.install(task, file, (flags & O_CLOEXEC) !== 0);
    } catch (error) {
      file.put();
      throw error;
    }
  }

  #flush(which: number): number {
    if (which !== TCIFLUSH && which !== TCOFLUSH && which !== TCIOFLUSH) throw EINVAL;
    if (which !== TCOFLUSH) this.toMaster.clear();
    if (which !== TCIFLUSH) this.#toSlave.clear();
    this.slave.outputResumed();
    return 0;
  }

  override release(): void {
    ptysOf(this.#kernel).delete(this.index);
    devPtsOf(this.#kernel).remove(this.index);
    this.slave.isPeerClosed = true;
    this.slave.hangup();
    this.slave.queue.wakeAll(POLLHUP | POLLERR | POLLIN | POLLOUT);
  }
}

/** open(2) of ptmx: a new pair with the lowest free number. */
function openMaster(task: Task, path: Path, flags: number): File {
  const { kernel } = task;
  const ptys = ptysOf(kernel);
  let index = 0;
  while (ptys.has(index)) index++;
  const master = new PtyMaster(kernel, index, path, flags);
  ptys.set(index, master);
  devPtsOf(kernel).add(task, index);
  return master;
}

function openSlave(task: Task, path: Path, flags: number, rdev: number): TtyFile {
  const master = ptysOf(task.kernel).get(minorOf(rdev));
  if (master === undefined) throw ENXIO;
  if (master.isLocked) throw EIO;
  const file = openTty(task, master.slave, path, flags);
  master.slaveOpened();
  return file;
}

export function registerPtyDevices(kernel: Kernel): void {
  kernel.vfs.registerDevice("char", TTYAUX_MAJOR, 2, openMaster);
  kernel.vfs.registerDevice("char", UNIX98_PTY_SLAVE_MAJOR, "any", openSlave);
}
