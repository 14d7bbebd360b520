// SPDX-License-Identifier: Apache-2.0
// /proc/PID/fd and fdinfo. Source: proc_pid_fd(5), proc_pid_fdinfo(5).

import type { File, Inode, Path } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import { ENOENT } from "../../lib/errno.ts";
import { DentryNode, MountNode } from "../dcache.ts";
import {
  DynamicDirectory,
  MagicLinkInode,
  type OwnerOf,
  type PseudoSuperBlock,
  TextInode,
} from "../pseudo.ts";

const O_CLOEXEC = 0o2000000;

/** A place in no tree for a file without a path, so that it can be opened and looked at through /proc. */
function namelessPath(file: File): Path {
  const { inode } = file;
  if (inode === undefined) throw ENOENT;
  const dentry = new DentryNode(file.anonymousName, undefined, inode);
  return dentry.pathIn(new MountNode(0, inode.superBlock, dentry, "none", 0));
}

/** The text of a link to an open file. */
function fileName(reader: Task, file: File): string {
  return file.path === undefined ? file.anonymousName : reader.kernel.vfs.pathName(reader, file.path);
}

abstract class DescriptorDirectory extends DynamicDirectory {
  protected readonly task: Task;
  readonly #owner: OwnerOf;
  readonly #nodes = new Map<number, { file: File; node: Inode }>();

  constructor(superBlock: PseudoSuperBlock, task: Task, owner: OwnerOf, mode: number) {
    super(superBlock, owner, mode);
    this.task = task;
    this.#owner = owner;
  }

  override lookup(name: string): Inode | undefined {
    if (!/^(0|[1-9][0-9]{0,9})$/.test(name)) return undefined;
    const fd = Number(name);
    const file = this.task.files.find(fd);
    const known = this.#nodes.get(fd);
    if (file === undefined) {
      this.#nodes.delete(fd);
      return undefined;
    }
    if (known?.file === file) return known.node;
    const node = this.make(fd, file, this.#owner);
    this.#nodes.set(fd, { file, node });
    return node;
  }
  protected override *entries(position: number): Iterable<{ name: string; at: number }> {
    for (const fd of [...this.task.files.descriptors()]) {
      if (fd >= position) yield { name: String(fd), at: fd };
    }
  }
  protected abstract make(fd: number, file: File, owner: OwnerOf): Inode;
}

export class FdDirectory extends DescriptorDirectory {
  protected override make(_fd: number, file: File, owner: OwnerOf): Inode {
    const mode = 0o100 | (file.isReadable ? 0o400 : 0) | (file.isWritable ? 0o200 : 0);
    return new MagicLinkInode(
      this.superBlock,
      (reader) => fileName(reader, file),
      () => file.path ?? namelessPath(file),
      owner,
      mode,
    );
  }
}

export class FdInfoDirectory extends DescriptorDirectory {
  protected override make(fd: number, file: File, owner: OwnerOf): Inode {
    return new TextInode(this.superBlock, () => this.#show(fd, file), { owner });
  }

  #show(fd: number, file: File): string {
    const flags = file.flags | (this.task.files.closeOnExec(fd) ? O_CLOEXEC : 0);
    return `pos:\t${file.pos}\nflags:\t0${flags.toString(8)}\nmnt_id:\t${file.path?.mount.id ?? 0}\n`
      + `ino:\t${file.inode?.ino ?? 0}\n${file.showFdInfo()}`;
  }
}
