// SPDX-License-Identifier: Apache-2.0
// What stands where before the first program: the root image under an overlay whose upper layer is memory, and the
// kernel's own file systems on top. Done by a kernel thread, with the same calls a program would make.

import { addBlockDevice, HostBlockDevice } from "../block/blk.ts";
import { populateDevices } from "../drivers/base/devtmpfs.ts";
import type { VfsImpl } from "../fs/fs.ts";
import { createTmpfs, tmpfs } from "../fs/tmpfs/tmpfs.ts";
import type { HostDisk } from "../include/host/host.ts";
import type { Path, SuperBlock } from "../include/linux/fs.ts";
import type { FsStruct, Task } from "../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RELATIME } from "../include/uapi/mount.ts";
import { makeDevice } from "../include/uapi/stat.ts";
import type { LinuxKernel } from "../kernel/kernel.ts";

/** Major number of virtio disks (dynamic in Linux; 254 on Debian). */
const VIRTIO_BLK_MAJOR = 254;
const DEFAULT_UMASK = 0o022;

/** Mounts the initial root, an empty tmpfs, and returns what kernel threads start from. */
export function mountInitialRoot(kernel: LinuxKernel, vfs: VfsImpl): FsStruct {
  const mount = vfs.mounts.create(createTmpfs(kernel, tmpfs, "mode=755"), "rootfs", 0);
  vfs.mounts.root = mount;
  const root = mount.root.pathIn(mount);
  return { root, cwd: root, umask: DEFAULT_UMASK };
}

export interface RootOptions {
  readonly disk: HostDisk;
  /** Size of the upper layer, as tmpfs(5) writes it. */
  readonly upperSize?: string;
}

/** Mounts everything; `task` then stands in the finished root. Returns the directory that holds the changes. */
export function* mountRoot(
  task: Task,
  kernel: LinuxKernel,
  vfs: VfsImpl,
  options: RootOptions,
): Sleeps<Path> {
  addBlockDevice(kernel, new HostBlockDevice(kernel, "vda", makeDevice(VIRTIO_BLK_MAJOR, 0), options.disk));
  yield* makeDirectory(task, vfs, "/image");
  yield* makeDirectory(task, vfs, "/memory");
  yield* mountAt(task, vfs, "erofs", "vda", "/image", "", 0);
  yield* mountAt(task, vfs, "tmpfs", "tmpfs", "/memory", options.upperSize ?? "mode=755", 0);
  yield* makeDirectory(task, vfs, "/memory/upper");
  yield* makeDirectory(task, vfs, "/memory/work");
  yield* makeDirectory(task, vfs, "/root");
  const layers = "lowerdir=/image,upperdir=/memory/upper,workdir=/memory/work";
  yield* mountAt(task, vfs, "overlay", "overlay", "/root", layers, MS_RELATIME);
  const upper = yield* find(task, vfs, "/memory/upper");
  const root = yield* find(task, vfs, "/root");
  task.fs = { root, cwd: root, umask: DEFAULT_UMASK };
  yield* mountKernelFileSystems(task, kernel, vfs);
  return upper;
}

function* mountKernelFileSystems(task: Task, kernel: LinuxKernel, vfs: VfsImpl): Sleeps<void> {
  const quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
  yield* mountAt(task, vfs, "proc", "proc", "/proc", "", quiet);
  yield* mountAt(task, vfs, "sysfs", "sysfs", "/sys", "", quiet);
  const devices = createTmpfs(kernel, tmpfs, "mode=755");
  yield* populateDevices(kernel, devices.root);
  vfs.mount(task, devices, yield* find(task, vfs, "/dev"), MS_NOSUID | MS_RELATIME, "devtmpfs");
  yield* mountAt(
    task,
    vfs,
    "devpts",
    "devpts",
    "/dev/pts",
    "gid=5,mode=620,ptmxmode=666",
    MS_NOSUID | MS_NOEXEC | MS_RELATIME,
  );
  yield* mountAt(task, vfs, "tmpfs", "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV);
  yield* mountAt(
    task,
    vfs,
    "tmpfs",
    "tmpfs",
    "/run",
    "mode=755,size=20%",
    MS_NOSUID | MS_NODEV | MS_RELATIME,
  );
  yield* mountAt(
    task,
    vfs,
    "tmpfs",
    "tmpfs",
    yield* makeDirectory(task, vfs, "/run/lock"),
    "mode=1777",
    quiet,
  );
}

/** Mounts a file system of `type` at `target`, which must be there. */
export function* mountAt(
  task: Task,
  vfs: VfsImpl,
  type: string,
  source: string,
  target: string,
  data: string,
  flags: number,
): Sleeps<SuperBlock> {
  const fileSystem = vfs.fileSystem(type);
  if (fileSystem === undefined) throw new Error(`the kernel was built without ${type}`);
  const superBlock = yield* fileSystem.mount(task, source, flags, data);
  vfs.mount(task, superBlock, yield* find(task, vfs, target), flags, source);
  return superBlock;
}

/** The directory or file at `path`, links followed. */
export function* find(task: Task, vfs: VfsImpl, path: string): Sleeps<Path> {
  const answer = vfs.resolve(task, path, { followLast: true });
  return isSleeping(answer) ? yield* answer : answer;
}

/** mkdir -p; returns `path`. */
export function* makeDirectory(task: Task, vfs: VfsImpl, path: string): Sleeps<string> {
  const names = path.split("/").filter((name) => name !== "");
  for (let depth = 1; depth <= names.length; depth++) {
    const parent = yield* find(task, vfs, `/${names.slice(0, depth - 1).join("/")}`);
    const directory = parent.dentry.inode;
    const name = names[depth - 1]!;
    if (directory === undefined) throw new Error(`${path}: no directory`);
    const known = directory.lookup(name);
    if ((isSleeping(known) ? yield* known : known) !== undefined) continue;
    const made = directory.mkdir(name, 0o755, task.cred);
    if (isSleeping(made)) yield* made;
  }
  return path;
}
