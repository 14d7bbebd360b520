// SPDX-License-Identifier: Apache-2.0
// A descriptor that stands for a process. Readable (poll) when the process is dead. Source: pidfd_open(2).

import { File, POLLHUP, POLLIN, POLLRDNORM } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import type { WaitQueue } from "../include/linux/wait.ts";
import { EBADF } from "../lib/errno.ts";
import type { ThreadGroupStruct } from "./task.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;

export class PidFile extends File {
  readonly group: ThreadGroupStruct;

  constructor(group: ThreadGroupStruct, isNonBlocking: boolean) {
    super(undefined, O_RDWR | (isNonBlocking ? O_NONBLOCK : 0));
    this.group = group;
  }

  override get anonymousName(): string {
    return "anon_inode:[pidfd]";
  }

  override poll(): number {
    const { group } = this;
    if (!group.isDead) return 0;
    return POLLIN | POLLRDNORM | (group.isReaped ? POLLHUP : 0);
  }

  override get waitQueue(): WaitQueue {
    return this.group.exitQueue;
  }

  override showFdInfo(): string {
    const pid = this.group.isReaped ? -1 : this.group.tgid;
    return `Pid:\t${String(pid)}\nNSpid:\t${String(pid)}\n`;
  }
}

/** A close-on-exec descriptor, as the kernel always makes them. */
export function installPidfd(task: Task, group: ThreadGroupStruct, isNonBlocking: boolean): number {
  return task.files.install(task, new PidFile(group, isNonBlocking), true);
}

export function pidfdGroup(task: Task, fd: number): ThreadGroupStruct {
  const file = task.files.find(fd);
  if (!(file instanceof PidFile)) throw EBADF;
  return file.group;
}
