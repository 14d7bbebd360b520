// SPDX-License-Identifier: Apache-2.0
// prctl(2) and personality(2).

import {
  flagsOf,
  hex,
  long,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { CAP_LAST_CAP, CAP_SETPCAP } from "../include/uapi/capability.ts";
import * as prctl from "../include/uapi/prctl.ts";
import { NSIG } from "../include/uapi/signal.ts";
import { EFAULT, EINVAL, ENAMETOOLONG, EPERM } from "../lib/errno.ts";
import { stringToBytes } from "../lib/byte-string.ts";
import { capable } from "../security/commoncap.ts";
import { setSeccompFilter, setSeccompStrict } from "./seccomp.ts";
import { mmOf, self, type TaskStruct } from "./task.ts";
import { copyOutResult, words32, words64 } from "./uaccess.ts";

const NAME_BYTES = 16;

function* setName(task: TaskStruct, address: number): Sleeps<number> {
  const bytes = yield* readName(task, address);
  task.comm = bytes;
  return 0;
}

/** At most 15 bytes; a longer name is cut, not refused. */
function* readName(task: TaskStruct, address: number): Sleeps<string> {
  const { user } = mmOf(task);
  try {
    return yield* user.readString(address, NAME_BYTES, ENAMETOOLONG);
  } catch (error) {
    if (error !== ENAMETOOLONG) throw error;
    const bytes = yield* user.copyIn(address, NAME_BYTES - 1);
    return String.fromCharCode(...bytes);
  }
}

function getName(task: TaskStruct, address: number): SyscallAnswer {
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(stringToBytes(task.comm).subarray(0, NAME_BYTES - 1));
  return copyOutResult(task, address, bytes);
}

function boundingSet(task: TaskStruct, capability: number, isDrop: boolean): number {
  if (capability < 0 || capability > CAP_LAST_CAP) throw EINVAL;
  const bit = 1n << BigInt(capability);
  if (!isDrop) return (task.cred.capBounding & bit) === 0n ? 0 : 1;
  if (!capable(task, CAP_SETPCAP)) throw EPERM;
  task.cred = { ...task.cred, capBounding: task.cred.capBounding & ~bit };
  return 0;
}

function ambient(task: TaskStruct, operation: number, capability: number): number {
  const { cred } = task;
  if (operation === prctl.PR_CAP_AMBIENT_CLEAR_ALL) {
    if (capability !== 0) throw EINVAL;
    task.cred = { ...cred, capAmbient: 0n };
    return 0;
  }
  if (capability < 0 || capability > CAP_LAST_CAP) throw EINVAL;
  const bit = 1n << BigInt(capability);
  if (operation === prctl.PR_CAP_AMBIENT_IS_SET) return (cred.capAmbient & bit) === 0n ? 0 : 1;
  if (operation === prctl.PR_CAP_AMBIENT_LOWER) {
    task.cred = { ...cred, capAmbient: cred.capAmbient & ~bit };
    return 0;
  }
  if (operation !== prctl.PR_CAP_AMBIENT_RAISE) throw EINVAL;
  const mayRaise = (cred.capPermitted & cred.capInheritable & bit) !== 0n;
  if (!mayRaise || (cred.securebits & prctl.SECBIT_NO_CAP_AMBIENT_RAISE) !== 0) throw EPERM;
  task.cred = { ...cred, capAmbient: cred.capAmbient | bit };
  return 0;
}

function setSecurebits(task: TaskStruct, bits: number): number {
  if (!capable(task, CAP_SETPCAP)) throw EPERM;
  const { cred } = task;
  // A lock bit is at an odd place above the bit it locks: neither may change once it is set.
  const locks = cred.securebits & 0xaa;
  const changed = cred.securebits ^ bits;
  if ((changed & locks) !== 0 || (changed & (locks >> 1)) !== 0 || (bits & ~0xff) !== 0) throw EPERM;
  task.cred = { ...cred, securebits: bits };
  return 0;
}

function doPrctl(
  task: TaskStruct,
  option: number,
  a: number,
  b: number,
  c: number,
  d: number,
): SyscallAnswer {
  const { group, cred } = task;
  switch (option) {
    case prctl.PR_SET_PDEATHSIG:
      if (a < 0 || a > NSIG) throw EINVAL;
      task.deathSignal = a;
      task.deathNotice = group.parentGroup?.leader;
      return 0;
    case prctl.PR_GET_PDEATHSIG:
      return copyOutResult(task, a, words32(task.deathSignal));
    case prctl.PR_GET_DUMPABLE:
      return mmOf(task).dumpable;
    case prctl.PR_SET_DUMPABLE:
      if (a !== 0 && a !== 1) throw EINVAL;
      mmOf(task).dumpable = a;
      return 0;
    case prctl.PR_GET_KEEPCAPS:
      return task.keepCapabilities ? 1 : 0;
    case prctl.PR_SET_KEEPCAPS:
      if (a !== 0 && a !== 1) throw EINVAL;
      if ((cred.securebits & prctl.SECBIT_KEEP_CAPS_LOCKED) !== 0) throw EPERM;
      task.keepCapabilities = a === 1;
      return 0;
    case prctl.PR_GET_TIMING:
      return 0;
    case prctl.PR_SET_TIMING:
      if (a !== 0) throw EINVAL;
      return 0;
    case prctl.PR_SET_NAME:
      return setName(task, a);
    case prctl.PR_GET_NAME:
      return getName(task, a);
    case prctl.PR_CAPBSET_READ:
      return boundingSet(task, a, false);
    case prctl.PR_CAPBSET_DROP:
      return boundingSet(task, a, true);
    case prctl.PR_CAP_AMBIENT:
      if (c !== 0 || d !== 0) throw EINVAL;
      return ambient(task, a, b);
    case prctl.PR_GET_SECUREBITS:
      return cred.securebits;
    case prctl.PR_SET_SECUREBITS:
      return setSecurebits(task, a);
    case prctl.PR_SET_TIMERSLACK:
      task.timerSlackNs = a <= 0 ? task.defaultTimerSlackNs : a;
      return 0;
    case prctl.PR_GET_TIMERSLACK:
      return task.timerSlackNs;
    case prctl.PR_SET_CHILD_SUBREAPER:
      group.isSubreaper = a !== 0;
      return 0;
    case prctl.PR_GET_CHILD_SUBREAPER:
      return copyOutResult(task, a, words32(group.isSubreaper ? 1 : 0));
    case prctl.PR_SET_NO_NEW_PRIVS:
      if (a !== 1 || b !== 0 || c !== 0 || d !== 0) throw EINVAL;
      task.cred = { ...cred, noNewPrivs: true };
      return 0;
    case prctl.PR_GET_NO_NEW_PRIVS:
      if (a !== 0 || b !== 0 || c !== 0 || d !== 0) throw EINVAL;
      return cred.noNewPrivs ? 1 : 0;
    case prctl.PR_GET_TID_ADDRESS:
      return copyOutResult(task, a, words64(task.clearChildTid));
    case prctl.PR_GET_SECCOMP:
      return task.seccomp?.mode ?? 0;
    case prctl.PR_SET_SECCOMP:
      if (a === 1) return setSeccompStrict(task);
      if (a === 2) return setSeccompFilter(task, 0, b);
      throw EINVAL;
    case prctl.PR_SET_THP_DISABLE:
      if (b !== 0 || c !== 0 || d !== 0) throw EINVAL;
      return 0;
    case prctl.PR_GET_THP_DISABLE:
      return 0;
    case prctl.PR_GET_TSC:
      return copyOutResult(task, a, words32(1)); // PR_TSC_ENABLE
    case prctl.PR_SET_TSC:
      if (a !== 1) throw EINVAL;
      return 0;
    case prctl.PR_MCE_KILL_GET:
      return 2; // PR_MCE_KILL_DEFAULT
    case prctl.PR_SET_VMA:
      // Names of anonymous areas are shown nowhere: as a kernel without CONFIG_ANON_VMA_NAME.
      throw EINVAL;
    case prctl.PR_SET_MM:
      throw capable(task, 24) ? EINVAL : EPERM;
    default:
      throw EINVAL;
  }
}

const {
  PR_SET_NAME,
  PR_GET_NAME,
  PR_SET_PDEATHSIG,
  PR_SET_DUMPABLE,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_CHILD_SUBREAPER,
  PR_CAPBSET_READ,
  PR_SET_SECCOMP,
  PR_SET_KEEPCAPS,
  PR_CAP_AMBIENT,
  PR_SET_VMA,
} = prctl;
const option = flagsOf({
  PR_SET_NAME,
  PR_GET_NAME,
  PR_SET_PDEATHSIG,
  PR_SET_DUMPABLE,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_CHILD_SUBREAPER,
  PR_CAPBSET_READ,
  PR_SET_SECCOMP,
  PR_SET_KEEPCAPS,
  PR_CAP_AMBIENT,
  PR_SET_VMA,
});

export const prctlSyscalls: readonly Syscall[] = [
  syscall(
    "prctl",
    [option, long, long, long, long],
    (task, what, a, b, c, d) => doPrctl(self(task), what, a, b, c, d),
    {
      level: "partial",
      missing:
        "PR_SET_MM, PR_SET_VMA, speculation and scheduling-core options: EINVAL as when not configured",
    },
  ),
  syscall("personality", [uint], (task, persona) => {
    const target = self(task);
    const old = target.personality;
    if (persona !== 0xffff_ffff) target.personality = persona;
    return old;
  }),
  syscall("arch_prctl", [hex, long], (task, code, address) => archPrctl(self(task), code, address), {
    level: "partial",
    missing: "ARCH_SET_CPUID, shadow stacks",
  }),
];

const TASK_LIMIT = 0x7fff_ffff_f000;

/** The segment bases of x86-64. On another instruction set the call has no number. */
function archPrctl(task: TaskStruct, code: number, address: number): SyscallAnswer {
  const { arch, ram } = task.kernel;
  const { segmentBases } = arch;
  if (segmentBases === undefined) throw EINVAL;
  switch (code) {
    case prctl.ARCH_SET_FS:
    case prctl.ARCH_SET_GS:
      if (address < 0 || address >= TASK_LIMIT) throw EPERM;
      segmentBases.set(ram, code === prctl.ARCH_SET_FS ? "fs" : "gs", address);
      return 0;
    case prctl.ARCH_GET_FS:
    case prctl.ARCH_GET_GS:
      if (address === 0) throw EFAULT;
      return copyOutResult(
        task,
        address,
        words64(segmentBases.get(ram, code === prctl.ARCH_GET_FS ? "fs" : "gs")),
      );
    case prctl.ARCH_GET_CPUID:
      return 1;
    default:
      throw EINVAL;
  }
}
