// SPDX-License-Identifier: Apache-2.0
// Capabilities: what makes a task privileged. Source: capabilities(7).

import type { Cred, Task } from "../include/linux/sched.ts";
import { CAP_FULL_SET } from "../include/uapi/capability.ts";
import { SECBIT_NO_SETUID_FIXUP } from "../include/uapi/prctl.ts";

const NONE = 0n;

/** `capability` is a CAP_*. */
export function capable(task: Task, capability: number): boolean {
  return hasCapability(task.cred, capability);
}

export function hasCapability(cred: Cred, capability: number): boolean {
  // The two common cases need no shift: root has all, others have none.
  if (cred.capEffective === NONE) return false;
  return (cred.capEffective & (1n << BigInt(capability))) !== NONE;
}

/** True when `gid` is the file-system group or among the supplementary ones. */
export function inGroup(cred: Cred, gid: number): boolean {
  return cred.fsgid === gid || cred.groups.includes(gid);
}

/** As inGroup, for the effective group (shm, kill and the like). */
export function inEffectiveGroup(cred: Cred, gid: number): boolean {
  return cred.egid === gid || cred.groups.includes(gid);
}

/** Credentials of a user without privileges, or of root with all of them. */
export function credentialsOf(uid: number, gid: number, groups: readonly number[] = []): Cred {
  const all = uid === 0 ? CAP_FULL_SET : NONE;
  return {
    uid,
    euid: uid,
    suid: uid,
    fsuid: uid,
    gid,
    egid: gid,
    sgid: gid,
    fsgid: gid,
    groups,
    capEffective: all,
    capPermitted: all,
    capInheritable: NONE,
    capBounding: CAP_FULL_SET,
    capAmbient: NONE,
    securebits: 0,
    noNewPrivs: false,
  };
}

/** The capabilities after a change of user ids. Source: capabilities(7), "Effect of user ID changes on capabilities". */
export function fixCapabilities(old: Cred, changed: Cred, keepCapabilities: boolean): Cred {
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) !== 0) return changed;
  let { capEffective, capPermitted, capAmbient } = changed;
  const hadRoot = old.uid === 0 || old.euid === 0 || old.suid === 0;
  const hasRoot = changed.uid === 0 || changed.euid === 0 || changed.suid === 0;
  if (hadRoot && !hasRoot) {
    if (!keepCapabilities) {
      capPermitted = NONE;
      capEffective = NONE;
    }
    capAmbient = NONE;
  }
  if (old.euid === 0 && changed.euid !== 0) capEffective = NONE;
  if (old.euid !== 0 && changed.euid === 0) capEffective = capPermitted;
  return { ...changed, capEffective, capPermitted, capAmbient };
}

/** CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD, CAP_MAC_OVERRIDE. */
const FS_CAPABILITIES = 0x1_0800_021fn;

/** setfsuid(2): only the capabilities about files follow. */
export function fixFsCapabilities(old: Cred, changed: Cred): Cred {
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) !== 0) return changed;
  if (old.fsuid === 0 && changed.fsuid !== 0) {
    return { ...changed, capEffective: changed.capEffective & ~FS_CAPABILITIES };
  }
  if (old.fsuid !== 0 && changed.fsuid === 0) {
    return { ...changed, capEffective: changed.capEffective | (changed.capPermitted & FS_CAPABILITIES) };
  }
  return changed;
}
