// SPDX-License-Identifier: Apache-2.0
// Sessions and their terminal: who may read, write and change it, and how a session gets and loses it.
//
// Source: POSIX.1-2017, 11.1 General Terminal Interface; credentials(7); ioctl_tty(2), "Controlling terminal".

import type { ControllingTerminal, Kernel, Task } from "../../include/linux/sched.ts";
import { CAP_SYS_ADMIN } from "../../include/uapi/capability.ts";
import { SIGCONT, SIGHUP, SIGTTIN, type SIGTTOU } from "../../include/uapi/signal.ts";
import { EIO, EPERM, ERESTARTSYS } from "../../lib/errno.ts";
import {
  isBlockedOrIgnored,
  isOrphaned,
  kernelSignal,
  sendToGroup,
  sendToProcessGroup,
} from "../../kernel/signal.ts";
import { self } from "../../kernel/task.ts";
import { capable } from "../../security/commoncap.ts";

/** A terminal as its session sees it. */
export interface SessionTerminal extends ControllingTerminal {
  sessionId: number;
}

/** A background process reads (SIGTTIN), or writes under TOSTOP or changes the terminal (SIGTTOU). Throws ERESTARTSYS
 *  after sending the signal to its group, EIO when that would stop a group that no one can continue. */
export function checkForeground(
  task: Task,
  tty: SessionTerminal,
  signal: typeof SIGTTIN | typeof SIGTTOU,
): void {
  const { group } = task;
  if (group.tty !== tty || tty.foregroundPgid === 0 || group.pgid === tty.foregroundPgid) return;
  if (isBlockedOrIgnored(task, signal)) {
    if (signal === SIGTTIN) throw EIO;
    return;
  }
  if (isOrphaned(self(task).kernel, group.pgid)) throw EIO;
  sendToProcessGroup(task.kernel, group.pgid, kernelSignal(signal));
  throw ERESTARTSYS;
}

/** TIOCSCTTY: `force` 1 steals the terminal of another session (needs CAP_SYS_ADMIN). */
export function setControllingTerminal(task: Task, tty: SessionTerminal, force: number): void {
  const { group } = task;
  const isLeader = group.sid === group.tgid;
  if (isLeader && tty.sessionId === group.sid) return;
  if (!isLeader || group.tty !== undefined) throw EPERM;
  if (tty.sessionId !== 0) {
    if (force !== 1 || !capable(task, CAP_SYS_ADMIN)) throw EPERM;
    leaveTerminal(task.kernel, tty);
  }
  takeTerminal(task, tty);
}

/** open(2) without O_NOCTTY by a session leader that has no terminal. */
export function takeTerminalOnOpen(task: Task, tty: SessionTerminal): void {
  const { group } = task;
  if (group.sid === group.tgid && group.tty === undefined && tty.sessionId === 0) takeTerminal(task, tty);
}

function takeTerminal(task: Task, tty: SessionTerminal): void {
  tty.sessionId = task.group.sid;
  tty.foregroundPgid = task.group.pgid;
  task.group.tty = tty;
}

/** Every process of the terminal's session forgets it. */
function leaveTerminal(kernel: Kernel, tty: SessionTerminal): void {
  for (const task of kernel.tasks.all()) if (task.group.tty === tty) task.group.tty = undefined;
}

/** TIOCNOTTY: by the leader, the whole session loses the terminal and its foreground group hears of it. */
export function giveUpTerminal(task: Task, tty: SessionTerminal): void {
  if (task.group.sid !== task.group.tgid) {
    task.group.tty = undefined;
    return;
  }
  const { kernel } = task;
  signalForegroundGroup(kernel, tty, SIGHUP);
  signalForegroundGroup(kernel, tty, SIGCONT);
  tty.sessionId = 0;
  tty.foregroundPgid = 0;
  leaveTerminal(kernel, tty);
}

/** A modem hang-up, or the leader's exit: SIGHUP and SIGCONT to leader and foreground group; the session ends here. */
export function hangupSession(kernel: Kernel, tty: SessionTerminal): void {
  for (const task of kernel.tasks.all()) {
    const { group } = task;
    if (group.tty !== tty || task.pid !== group.tgid) continue;
    if (group.sid !== group.tgid || group.pgid === tty.foregroundPgid) continue;
    sendToGroup(group, kernelSignal(SIGHUP));
    sendToGroup(group, kernelSignal(SIGCONT));
  }
  signalForegroundGroup(kernel, tty, SIGHUP);
  signalForegroundGroup(kernel, tty, SIGCONT);
  leaveTerminal(kernel, tty);
  tty.sessionId = 0;
  tty.foregroundPgid = 0;
}

export function signalForegroundGroup(kernel: Kernel, tty: SessionTerminal, signal: number): void {
  if (tty.foregroundPgid !== 0) sendToProcessGroup(kernel, tty.foregroundPgid, kernelSignal(signal));
}
