// SPDX-License-Identifier: Apache-2.0
// ioctl(2) of terminals. Source: ioctl_tty(2), termios(3).

import { type File, POLLOUT } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { CAP_SYS_ADMIN } from "../../include/uapi/capability.ts";
import * as ioctls from "../../include/uapi/ioctls.ts";
import { SIGTTOU } from "../../include/uapi/signal.ts";
import {
  CLOCAL,
  IXOFF,
  TCIFLUSH,
  TCIOFF,
  TCIOFLUSH,
  TCION,
  TCOFLUSH,
  TCOOFF,
  TCOON,
  VSTART,
  VSTOP,
} from "../../include/uapi/termios.ts";
import { EINVAL, EIO, ENOTTY, EPERM, ESRCH } from "../../lib/errno.ts";
import { mmOf } from "../../kernel/task.ts";
import { waitUntil } from "../../kernel/wait.ts";
import { capable } from "../../security/commoncap.ts";
import {
  decodeTermio,
  decodeTermios,
  encodeTermio,
  encodeTermios,
  TERMIO_BYTES,
  TERMIOS2_BYTES,
  TERMIOS_BYTES,
} from "./termios.ts";
import { checkForeground, giveUpTerminal, setControllingTerminal } from "./tty_jobctrl.ts";
import type { Tty } from "./tty_io.ts";

type Answer = number | Sleeps<number>;

/** `isConsole`: an open of /dev/console, which is not subject to job control. */
export function ttyIoctl(
  task: Task,
  tty: Tty,
  file: File,
  command: number,
  argument: number,
  isConsole = false,
): Answer {
  if (changesTerminal(command) && !isConsole) checkForeground(task, tty, SIGTTOU);
  switch (command) {
    case ioctls.TCGETS:
      return copyOut(task, argument, encodeTermios(tty.termios, TERMIOS_BYTES));
    case ioctls.TCGETS2:
      return copyOut(task, argument, encodeTermios(tty.termios, TERMIOS2_BYTES));
    case ioctls.TCGETA:
      return copyOut(task, argument, encodeTermio(tty.termios));
    case ioctls.TCSETS:
    case ioctls.TCSETSW:
    case ioctls.TCSETSF:
      return setTermios(task, tty, argument, TERMIOS_BYTES, command - ioctls.TCSETS);
    case ioctls.TCSETS2:
    case ioctls.TCSETSW2:
    case ioctls.TCSETSF2:
      return setTermios(task, tty, argument, TERMIOS2_BYTES, command - ioctls.TCSETS2);
    case ioctls.TCSETA:
    case ioctls.TCSETAW:
    case ioctls.TCSETAF:
      return setTermios(task, tty, argument, TERMIO_BYTES, command - ioctls.TCSETA);
    case ioctls.TIOCGWINSZ:
      return copyOut(task, argument, encodeWindowSize(tty));
    case ioctls.TIOCSWINSZ:
      return setWindowSize(task, tty, argument);
    case ioctls.FIONREAD:
      return writeInt(task, argument, tty.discipline.inputBytes);
    case ioctls.TIOCOUTQ:
      return writeInt(task, argument, tty.driver.pendingOutput);
    case ioctls.TCFLSH:
      return flush(tty, argument);
    case ioctls.TCXONC:
      return flowControl(tty, argument);
    case ioctls.TCSBRK:
    case ioctls.TCSBRKP:
      return drain(task, tty);
    case ioctls.TIOCSBRK:
    case ioctls.TIOCCBRK:
      return 0;
    case ioctls.TIOCSTI:
      return simulateInput(task, tty, argument);
    case ioctls.TIOCEXCL:
      tty.isExclusive = true;
      return 0;
    case ioctls.TIOCNXCL:
      tty.isExclusive = false;
      return 0;
    case ioctls.TIOCGEXCL:
      return writeInt(task, argument, tty.isExclusive ? 1 : 0);
    case ioctls.TIOCGETD:
      return writeInt(task, argument, tty.termios.line);
    case ioctls.TIOCSETD:
      return setDiscipline(task, argument);
    case ioctls.TIOCGSOFTCAR:
      return writeInt(task, argument, (tty.termios.cflag & CLOCAL) !== 0 ? 1 : 0);
    case ioctls.TIOCGDEV:
      return writeInt(task, argument, tty.device);
    case ioctls.TIOCVHANGUP:
      if (!capable(task, CAP_SYS_ADMIN)) throw EPERM;
      tty.hangup();
      return 0;
    default:
      return sessionIoctl(task, tty, file, command, argument);
  }
}

/** Calls that a background process may not make. */
function changesTerminal(command: number): boolean {
  switch (command) {
    case ioctls.TCSETS:
    case ioctls.TCSETSW:
    case ioctls.TCSETSF:
    case ioctls.TCSETS2:
    case ioctls.TCSETSW2:
    case ioctls.TCSETSF2:
    case ioctls.TCSETA:
    case ioctls.TCSETAW:
    case ioctls.TCSETAF:
    case ioctls.TCFLSH:
    case ioctls.TCXONC:
    case ioctls.TCSBRK:
    case ioctls.TCSBRKP:
    case ioctls.TIOCSETD:
    case ioctls.TIOCSBRK:
    case ioctls.TIOCCBRK:
      return true;
    default:
      return false;
  }
}

function sessionIoctl(task: Task, tty: Tty, file: File, command: number, argument: number): Answer {
  switch (command) {
    case ioctls.TIOCSCTTY:
      if (!file.isReadable && !capable(task, CAP_SYS_ADMIN)) throw EPERM;
      setControllingTerminal(task, tty, argument);
      return 0;
    case ioctls.TIOCNOTTY:
      if (task.group.tty !== tty) throw ENOTTY;
      giveUpTerminal(task, tty);
      return 0;
    case ioctls.TIOCGPGRP:
      if (task.group.tty !== tty) throw ENOTTY;
      return writeInt(task, argument, tty.foregroundPgid);
    case ioctls.TIOCSPGRP:
      return setForeground(task, tty, argument);
    case ioctls.TIOCGSID:
      if (task.group.tty !== tty || tty.sessionId === 0) throw ENOTTY;
      return writeInt(task, argument, tty.sessionId);
    default:
      throw ENOTTY;
  }
}

export function copyOut(task: Task, address: number, bytes: Uint8Array): Answer {
  const { user } = mmOf(task);
  if (user.tryCopyOut(address, bytes)) return 0;
  return (function*(): Sleeps<number> {
    yield* user.copyOut(address, bytes);
    return 0;
  })();
}

export function writeInt(task: Task, address: number, value: number): Answer {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value | 0, true);
  return copyOut(task, address, bytes);
}

/** `how`: 0 at once, 1 after output has drained, 2 and input flushed. */
function* setTermios(task: Task, tty: Tty, address: number, size: number, how: number): Sleeps<number> {
  const bytes = yield* mmOf(task).user.copyIn(address, size);
  if (how > 0) yield* drain(task, tty);
  if (how === 2) tty.discipline.flushInput();
  const old = tty.termios.clone();
  if (size === TERMIO_BYTES) decodeTermio(tty.termios, bytes);
  else decodeTermios(tty.termios, bytes);
  tty.settingsChanged(old);
  return 0;
}

function* drain(task: Task, tty: Tty): Sleeps<number> {
  const attempt = (): Try<number> => tty.driver.pendingOutput === 0 || tty.isPeerClosed ? 0 : WOULD_BLOCK;
  return yield* waitUntil(task, tty.queue, POLLOUT, attempt);
}

function encodeWindowSize(tty: Tty): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  const { rows, columns, xPixels, yPixels } = tty.windowSize;
  [rows, columns, xPixels, yPixels].forEach((value, index) => view.setUint16(index * 2, value, true));
  return bytes;
}

function* setWindowSize(task: Task, tty: Tty, address: number): Sleeps<number> {
  const bytes = yield* mmOf(task).user.copyIn(address, 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const at = (offset: number): number => view.getUint16(offset, true);
  tty.resize(at(0), at(2), at(4), at(6));
  return 0;
}

function flush(tty: Tty, which: number): number {
  if (which !== TCIFLUSH && which !== TCOFLUSH && which !== TCIOFLUSH) throw EINVAL;
  if (which !== TCOFLUSH) tty.discipline.flushInput();
  if (which !== TCIFLUSH) {
    tty.discipline.output.discardEcho();
    tty.driver.flushOutput();
    tty.outputResumed();
  }
  if (which !== TCOFLUSH) tty.announceFlush();
  return 0;
}

function flowControl(tty: Tty, action: number): number {
  switch (action) {
    case TCOOFF:
      tty.setIoctlStopped(true);
      return 0;
    case TCOON:
      tty.setIoctlStopped(false);
      return 0;
    case TCIOFF:
    case TCION: {
      const c = tty.termios.cc[action === TCIOFF ? VSTOP : VSTART]!;
      if ((tty.termios.iflag & IXOFF) !== 0 || c !== 0) tty.driver.write(Uint8Array.of(c), 1);
      return 0;
    }
    default:
      throw EINVAL;
  }
}

/** TIOCSTI, as a kernel with dev.tty.legacy_tiocsti = 0 has it: for CAP_SYS_ADMIN alone. */
function* simulateInput(task: Task, tty: Tty, address: number): Sleeps<number> {
  if (!capable(task, CAP_SYS_ADMIN)) throw EIO;
  const bytes = yield* mmOf(task).user.copyIn(address, 1);
  tty.receive(bytes);
  return 0;
}

function* setDiscipline(task: Task, address: number): Sleeps<number> {
  const number = (yield* mmOf(task).user.readU32(address)) | 0;
  if (number !== 0) throw EINVAL;
  return 0;
}

/** TIOCSPGRP. `real` differs from the caller's terminal only on the master of a pseudoterminal. */
function* setForeground(task: Task, tty: Tty, address: number): Sleeps<number> {
  const { group } = task;
  if (group.tty === tty) {
    // A background process that sets the group is stopped like one that writes.
    checkForeground(task, tty, SIGTTOU);
  }
  if (group.tty !== tty || tty.sessionId !== group.sid) throw ENOTTY;
  const pgid = (yield* mmOf(task).user.readU32(address)) | 0;
  if (pgid < 0) throw EINVAL;
  const [member] = task.kernel.tasks.processGroup(pgid);
  if (member === undefined) throw ESRCH;
  if (member.group.sid !== group.sid) throw EPERM;
  tty.foregroundPgid = pgid;
  return 0;
}
