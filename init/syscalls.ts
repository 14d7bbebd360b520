// SPDX-License-Identifier: Apache-2.0
// Every system call of the kernel, from the folders that declare them.

import { eventfdSyscalls } from "../fs/eventfd.ts";
import { eventpollSyscalls } from "../fs/eventpoll.ts";
import { execSyscalls } from "../fs/exec.ts";
import { fsSyscalls } from "../fs/fs.ts";
import { pipeSyscalls } from "../fs/pipe.ts";
import { selectSyscalls } from "../fs/select.ts";
import { signalfdSyscalls } from "../fs/signalfd.ts";
import { spliceSyscalls } from "../fs/splice.ts";
import { timerfdSyscalls } from "../fs/timerfd.ts";
import type { Syscall } from "../include/linux/syscalls.ts";
import { ipcSyscalls } from "../ipc/syscalls.ts";
import { kernelSyscalls } from "../kernel/syscalls.ts";
import { mmSyscalls } from "../mm/syscalls.ts";
import { messageSyscalls } from "../net/message.ts";
import { socketSyscalls } from "../net/socket.ts";

export const SYSCALLS: readonly Syscall[] = [
  ...fsSyscalls,
  ...execSyscalls,
  ...pipeSyscalls,
  ...selectSyscalls,
  ...eventpollSyscalls,
  ...eventfdSyscalls,
  ...timerfdSyscalls,
  ...signalfdSyscalls,
  ...spliceSyscalls,
  ...socketSyscalls,
  ...messageSyscalls,
  ...mmSyscalls,
  ...kernelSyscalls,
  ...ipcSyscalls,
];
