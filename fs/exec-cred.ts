// SPDX-License-Identifier: Apache-2.0
// Credentials after execve(2): set-user-ID, set-group-ID, file capabilities, root's capabilities.
// Source: capabilities(7), "Transformation of capabilities during execve()" and "File capabilities".

import type { File } from "../include/linux/fs.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { CAP_FULL_SET, CAP_SYS_PTRACE } from "../include/uapi/capability.ts";
import { MS_NOSUID } from "../include/uapi/mount.ts";
import { TaskStruct } from "../kernel/task.ts";
import { EINVAL, EPERM, Errno } from "../lib/errno.ts";
import { hasCapability } from "../security/commoncap.ts";

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
const SECBIT_NOROOT = 1;
const SECBIT_KEEP_CAPS = 16;
const VFS_CAP_REVISION_MASK = 0xff00_0000;
const VFS_CAP_REVISION_1 = 0x0100_0000;
const VFS_CAP_REVISION_2 = 0x0200_0000;
const VFS_CAP_REVISION_3 = 0x0300_0000;
const VFS_CAP_FLAGS_EFFECTIVE = 1;

interface FileCapabilities {
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly isEffective: boolean;
}

export interface ExecCred {
  readonly cred: Cred;
  /** AT_SECURE: the program has more rights than whoever started it. */
  readonly isSecure: boolean;
  /** The ids or capabilities grew: no core dumps, no ptrace, no /proc by others. */
  readonly isPrivileged: boolean;
}

/** What the credentials of `task` become when it executes `file`. */
export function* credentialsAfterExec(task: Task, file: File): Sleeps<ExecCred> {
  const old = task.cred;
  const { inode } = file;
  let { euid, egid } = old;
  const maySet = !old.noNewPrivs && file.path !== undefined && (file.path.mount.flags & MS_NOSUID) === 0
    && !isTracedByUser(task);
  if (inode !== undefined && maySet) {
    if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
    if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
  }
  const onFile = maySet ? yield* readFileCapabilities(file) : undefined;
  const isSetId = euid !== old.uid || egid !== old.gid;
  const capabilities = transform(old, onFile, euid, isSetId);
  const cred: Cred = {
    ...old,
    ...capabilities,
    euid,
    suid: euid,
    fsuid: euid,
    egid,
    sgid: egid,
    fsgid: egid,
    securebits: old.securebits & ~SECBIT_KEEP_CAPS,
  };
  const hasGained = (cred.capPermitted & ~old.capPermitted) !== 0n;
  return {
    cred,
    isSecure: isSetId || (old.uid !== 0 && hasGained),
    isPrivileged: euid !== old.euid || egid !== old.egid || hasGained,
  };
}

/** A tracer without CAP_SYS_PTRACE would own what the program may do. */
function isTracedByUser(task: Task): boolean {
  const tracer = task instanceof TaskStruct ? task.trace?.tracer : undefined;
  return tracer !== undefined && !hasCapability(tracer.cred, CAP_SYS_PTRACE);
}

type Capabilities = Pick<Cred, "capPermitted" | "capEffective" | "capAmbient">;

function transform(
  old: Cred,
  onFile: FileCapabilities | undefined,
  euid: number,
  isSetId: boolean,
): Capabilities {
  const isRootMatter = (old.securebits & SECBIT_NOROOT) === 0;
  const capAmbient = onFile !== undefined || isSetId ? 0n : old.capAmbient;
  let filePermitted = onFile?.permitted ?? 0n;
  let fileInheritable = onFile?.inheritable ?? 0n;
  let isEffective = onFile?.isEffective ?? false;
  // A set-user-ID root program with capabilities of its own gets those when a user starts it.
  const hasOwn = onFile !== undefined && old.uid !== 0 && euid === 0;
  if (isRootMatter && !hasOwn && (euid === 0 || old.uid === 0)) {
    filePermitted = CAP_FULL_SET;
    fileInheritable = CAP_FULL_SET;
    if (euid === 0) isEffective = true;
  }
  const capPermitted = (old.capInheritable & fileInheritable) | (filePermitted & old.capBounding)
    | capAmbient;
  if (onFile?.isEffective === true && (onFile.permitted & ~capPermitted) !== 0n) throw EPERM;
  return { capPermitted, capEffective: isEffective ? capPermitted : capAmbient, capAmbient };
}

function* readFileCapabilities(file: File): Sleeps<FileCapabilities | undefined> {
  let bytes: Uint8Array;
  try {
    const answer = file.inode?.getXattr("security.capability");
    if (answer === undefined) return undefined;
    bytes = isSleeping(answer) ? yield* answer : answer;
  } catch (error) {
    if (error instanceof Errno) return undefined; // ENODATA, EOPNOTSUPP: none.
    throw error;
  }
  return parseFileCapabilities(bytes);
}

/** struct vfs_cap_data. Throws EINVAL for a form that no kernel wrote. */
export function parseFileCapabilities(bytes: Uint8Array): FileCapabilities {
  if (bytes.length < 4) throw EINVAL;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0, true);
  const revision = (magic & VFS_CAP_REVISION_MASK) >>> 0;
  const isEffective = (magic & VFS_CAP_FLAGS_EFFECTIVE) !== 0;
  const sizes = new Map([[VFS_CAP_REVISION_1, 12], [VFS_CAP_REVISION_2, 20], [VFS_CAP_REVISION_3, 24]]);
  if (sizes.get(revision) !== bytes.length) throw EINVAL;
  const word = (
    at: number,
  ): bigint => (at + 4 <= Math.min(bytes.length, 20) ? BigInt(view.getUint32(at, true)) : 0n);
  return {
    permitted: (word(4) | (revision === VFS_CAP_REVISION_1 ? 0n : word(12) << 32n)) & CAP_FULL_SET,
    inheritable: (word(8) | (revision === VFS_CAP_REVISION_1 ? 0n : word(16) << 32n)) & CAP_FULL_SET,
    isEffective,
  };
}
