// SPDX-License-Identifier: Apache-2.0
// membarrier(2). There is one CPU and every trap is a full barrier, so each command has already happened.

import { flagsOf, int, type Syscall, syscall, uint } from "../include/linux/syscalls.ts";
import { StateKey } from "../include/linux/sched.ts";
import { EINVAL, EPERM } from "../lib/errno.ts";
import { self, type ThreadGroupStruct } from "./task.ts";

const MEMBARRIER_CMD_QUERY = 0;
const MEMBARRIER_CMD_GLOBAL = 1;
const MEMBARRIER_CMD_GLOBAL_EXPEDITED = 2;
const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64;
const SUPPORTED = 127;

const REGISTERED = new StateKey<WeakMap<ThreadGroupStruct, number>>("membarrier");

export const membarrierSyscalls: readonly Syscall[] = [
  syscall("membarrier", [
    flagsOf({
      MEMBARRIER_CMD_QUERY,
      MEMBARRIER_CMD_GLOBAL,
      MEMBARRIER_CMD_GLOBAL_EXPEDITED,
      MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
      MEMBARRIER_CMD_PRIVATE_EXPEDITED,
      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
      MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
    }),
    uint,
    int,
  ], (task, command, flags) => {
    if (flags !== 0) throw EINVAL;
    const known = task.kernel.state(REGISTERED, () => new WeakMap());
    const { group } = self(task);
    const registered = known.get(group) ?? 0;
    switch (command) {
      case MEMBARRIER_CMD_QUERY:
        return SUPPORTED;
      case MEMBARRIER_CMD_GLOBAL:
      case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
        return 0;
      case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
      case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
      case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
        known.set(group, registered | command);
        return 0;
      case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
      case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
        if ((registered & (command * 2)) === 0) throw EPERM;
        return 0;
      default:
        throw EINVAL;
    }
  }, { level: "partial", missing: "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ" }),
];
