// SPDX-License-Identifier: Apache-2.0
// arch_prctl(2): the segment bases that hold thread-local storage.

import type { Task } from "../../include/linux/sched.ts";
import { int, pointer, syscall, type Syscall } from "../../include/linux/syscalls.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { EFAULT, EINVAL, ENODEV, EPERM } from "../../lib/errno.ts";
import { CPU_BASE, CPU_STATE, TASK_SIZE } from "../../virt/layout.ts";

const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;
const ARCH_GET_FS = 0x1003;
const ARCH_GET_GS = 0x1004;
const ARCH_GET_CPUID = 0x1011;
const ARCH_SET_CPUID = 0x1012;

export const archPrctl: Syscall = syscall("arch_prctl", [int, pointer], (task, option, address) => {
  switch (option) {
    case ARCH_SET_FS:
      return setBase(task, CPU_STATE.fsBase, address);
    case ARCH_SET_GS:
      return setBase(task, CPU_STATE.gsBase, address);
    case ARCH_GET_FS:
      return getBase(task, CPU_STATE.fsBase, address);
    case ARCH_GET_GS:
      return getBase(task, CPU_STATE.gsBase, address);
    case ARCH_GET_CPUID:
      return 1; // CPUID is never made to fault
    case ARCH_SET_CPUID:
      throw ENODEV;
    default:
      throw EINVAL;
  }
});

function setBase(task: Task, field: number, address: number): number {
  if (address >= TASK_SIZE) throw EPERM;
  task.kernel.ram.writeU64(CPU_BASE + field, address);
  return 0;
}

function* getBase(task: Task, field: number, address: number): Sleeps<number> {
  if (task.mm === undefined) throw EFAULT;
  yield* task.mm.user.writeU64(address, task.kernel.ram.readU64(CPU_BASE + field));
  return 0;
}

export const x86Syscalls: readonly Syscall[] = [archPrctl];
