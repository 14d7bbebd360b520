// SPDX-License-Identifier: Apache-2.0
// A tree of the guest as a tar archive: names, owners, modes, times, devices, hard links and extended attributes.

import { readFully } from "../fs/exec-file.ts";
import type { VfsImpl } from "../fs/fs.ts";
import type { DirEntry, Inode, Path } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { majorOf, minorOf } from "../include/uapi/stat.ts";
import type { TarHeader, TarType } from "../lib/tar.ts";
import { tarEnd, tarHeader, tarPadding } from "../lib/tar-writer.ts";

const TYPES: Readonly<Record<number, TarType>> = {
  0o100000: "file",
  0o120000: "symlink",
  0o020000: "char",
  0o060000: "block",
  0o040000: "directory",
  0o010000: "fifo",
};
const O_RDONLY = 0;

/** Walks `top`, parents before children, names in byte order; `emit` gets the archive in pieces. Sockets are left out. */
export function* exportTree(
  task: Task,
  vfs: VfsImpl,
  top: Path,
  emit: (bytes: Uint8Array) => void,
): Sleeps<void> {
  const seen = new Map<Inode, string>();
  yield* exportEntry(task, vfs, top, ".", seen, emit);
  emit(tarEnd());
}

function* exportEntry(
  task: Task,
  vfs: VfsImpl,
  path: Path,
  name: string,
  seen: Map<Inode, string>,
  emit: (bytes: Uint8Array) => void,
): Sleeps<void> {
  const { inode } = path.dentry;
  const type = inode === undefined ? undefined : TYPES[inode.mode & 0o170000];
  if (inode === undefined || type === undefined) return;
  const first = seen.get(inode);
  if (first !== undefined) {
    emit(tarHeader({ ...(yield* describe(inode, name, "link")), linkPath: first }));
    return;
  }
  if (type !== "directory" && inode.nlink > 1) seen.set(inode, name);
  const header = yield* describe(inode, name, type);
  emit(tarHeader(header));
  if (type === "file") {
    yield* exportData(task, path, inode, emit);
  } else if (type === "directory") {
    for (const child of yield* listNames(inode)) {
      const answer = vfs.resolve(task, child, { at: path, followLast: false });
      yield* exportEntry(
        task,
        vfs,
        isSleeping(answer) ? yield* answer : answer,
        `${name}/${child}`,
        seen,
        emit,
      );
    }
  }
}

function* describe(inode: Inode, path: string, type: TarType): Sleeps<TarHeader> {
  const isDevice = type === "char" || type === "block";
  const target = type === "symlink" ? inode.readlink() : "";
  return {
    path,
    type,
    mode: inode.mode & 0o7777,
    uid: inode.uid,
    gid: inode.gid,
    sizeBytes: type === "file" ? inode.size : 0,
    mtime: inode.mtime.sec,
    mtimeNs: inode.mtime.nsec,
    linkPath: isSleeping(target) ? yield* target : target,
    major: isDevice ? majorOf(inode.rdev) : 0,
    minor: isDevice ? minorOf(inode.rdev) : 0,
    xattrs: type === "link" ? new Map<string, Uint8Array>() : yield* readXattrs(inode),
  };
}

function* readXattrs(inode: Inode): Sleeps<Map<string, Uint8Array>> {
  const xattrs = new Map<string, Uint8Array>();
  const listed = inode.listXattr();
  for (const name of isSleeping(listed) ? yield* listed : listed) {
    const value = inode.getXattr(name);
    xattrs.set(name, isSleeping(value) ? yield* value : value);
  }
  return xattrs;
}

function* exportData(task: Task, path: Path, inode: Inode, emit: (bytes: Uint8Array) => void): Sleeps<void> {
  const opened = inode.open(task, path, O_RDONLY);
  const file = isSleeping(opened) ? yield* opened : opened;
  const chunk = 1 << 20;
  for (let at = 0; at < inode.size; at += chunk) {
    emit(yield* readFully(task.kernel.ram, file, at, Math.min(chunk, inode.size - at)));
  }
  file.put();
  emit(tarPadding(inode.size));
}

function* listNames(inode: Inode): Sleeps<string[]> {
  const names: string[] = [];
  const answer = inode.iterate(0, (entry: DirEntry) => {
    names.push(entry.name);
    return true;
  });
  if (isSleeping(answer)) yield* answer;
  return names.sort((a, b) => (a < b ? -1 : 1));
}
