// SPDX-License-Identifier: Apache-2.0
// Every system call that kernel/ declares.

import type { Syscall } from "../include/linux/syscalls.ts";
import { credSyscalls } from "./cred.ts";
import { futexSyscalls } from "./futex/syscalls.ts";
import { membarrierSyscalls } from "./membarrier.ts";
import { namespaceSyscalls } from "./nsproxy.ts";
import { prctlSyscalls } from "./prctl.ts";
import { printkSyscalls } from "./printk.ts";
import { processSyscalls } from "./process-syscalls.ts";
import { ptraceSyscalls } from "./ptrace.ts";
import { schedSyscalls } from "./sched/syscalls.ts";
import { seccompSyscalls } from "./seccomp.ts";
import { signalSyscalls } from "./signal-syscalls.ts";
import { sysSyscalls } from "./sys.ts";
import { clockSyscalls } from "./time/clock-syscalls.ts";
import { itimerSyscalls } from "./time/itimer.ts";
import { posixTimerSyscalls } from "./time/posix-timers.ts";
import { sleepSyscalls } from "./time/sleep.ts";
import { waitSyscalls } from "./wait4.ts";

export const kernelSyscalls: readonly Syscall[] = [
  ...processSyscalls,
  ...waitSyscalls,
  ...signalSyscalls,
  ...futexSyscalls,
  ...clockSyscalls,
  ...sleepSyscalls,
  ...itimerSyscalls,
  ...posixTimerSyscalls,
  ...credSyscalls,
  ...sysSyscalls,
  ...schedSyscalls,
  ...prctlSyscalls,
  ...namespaceSyscalls,
  ...ptraceSyscalls,
  ...seccompSyscalls,
  ...membarrierSyscalls,
  ...printkSyscalls,
];
