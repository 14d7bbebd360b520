// SPDX-License-Identifier: Apache-2.0
// What every new inode goes through: the umask, or its directory's default ACL instead. Source: umask(2), acl(5).

import type { Inode } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { isDirectory, S_IALLUGO } from "../include/uapi/stat.ts";
import { XATTR_NAME_POSIX_ACL_ACCESS, XATTR_NAME_POSIX_ACL_DEFAULT } from "../include/uapi/xattr.ts";
import { wait } from "./libfs.ts";
import { ACCESS_ACL, DEFAULT_ACL, inheritAcl } from "./posix_acl.ts";

function defaultAclOf(directory: Inode): Uint8Array | undefined {
  const acl = directory.attached?.get(DEFAULT_ACL);
  return acl instanceof Uint8Array ? acl : undefined;
}

/** The mode to make an inode with: a default ACL takes the place of the umask. */
export function creationMode(task: Task, directory: Inode, mode: number): number {
  return defaultAclOf(directory) === undefined ? mode & ~task.fs.umask : mode;
}

/** Gives what was made its ACLs. */
export function* finishCreation(directory: Inode, inode: Inode): Sleeps<void> {
  const acl = defaultAclOf(directory);
  if (acl === undefined) return;
  const { access, mode } = inheritAcl(acl, inode.mode & S_IALLUGO);
  const attached = (inode.attached ??= new Map<string, unknown>());
  if (access !== undefined) {
    yield* wait(inode.setXattr(XATTR_NAME_POSIX_ACL_ACCESS, access, 0));
    attached.set(ACCESS_ACL, access);
  }
  if (isDirectory(inode.mode)) {
    yield* wait(inode.setXattr(XATTR_NAME_POSIX_ACL_DEFAULT, acl, 0));
    attached.set(DEFAULT_ACL, acl);
  }
  yield* wait(inode.setAttributes({ mode }));
}
