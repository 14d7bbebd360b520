// SPDX-License-Identifier: Apache-2.0
// Every system call of ipc/.

import type { Syscall } from "../include/linux/syscalls.ts";
import { mqueueSyscalls } from "./mqueue.ts";
import { msgSyscalls } from "./msg.ts";
import { semSyscalls } from "./sem.ts";
import { shmSyscalls } from "./shm.ts";

export const ipcSyscalls: readonly Syscall[] = [
  ...semSyscalls,
  ...shmSyscalls,
  ...msgSyscalls,
  ...mqueueSyscalls,
];
