// SPDX-License-Identifier: Apache-2.0
// The text of /proc/PID/mounts, /proc/PID/mountinfo and /proc/filesystems. Source: proc(5), fstab(5).

import type { Task } from "../include/linux/sched.ts";
import { MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_RELATIME }
  from "../include/uapi/mount.ts";
import { majorOf, minorOf } from "../include/uapi/stat.ts";
import type { MountNode } from "./dcache.ts";
import { vfsOf, type VfsImpl } from "./vfs.ts";

const FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
  [MS_NOSUID, "nosuid"], [MS_NODEV, "nodev"], [MS_NOEXEC, "noexec"], [MS_NOATIME, "noatime"],
  [MS_NODIRATIME, "nodiratime"], [MS_RELATIME, "relatime"], [MS_NOSYMFOLLOW, "nosymfollow"],
];

/** Blanks and backslashes as octal, as getmntent(3) reads them. */
function escape(text: string): string {
  return text.replace(/[ \t\n\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function mountOptions(mount: MountNode): string {
  const names = [mount.isReadOnly ? "ro" : "rw"];
  for (const [flag, name] of FLAG_NAMES) if ((mount.flags & flag) !== 0) names.push(name);
  return names.join(",");
}

/** The mounts that the task can see, with their places below its root; parents first. */
function visibleMounts(vfs: VfsImpl, task: Task): { mount: MountNode; place: string }[] {
  const found: { mount: MountNode; place: string }[] = [];
  for (const mount of vfs.mounts.all) {
    const { text, isReachable } = vfs.nameOf(mount.root.pathIn(mount), task.fs.root);
    if (isReachable) found.push({ mount, place: text });
  }
  return found;
}

/** /proc/PID/mounts. */
export function showMounts(task: Task): string {
  let text = "";
  for (const { mount, place } of visibleMounts(vfsOf(task), task)) {
    const own = mount.superBlock.showOptions();
    const options = own === "" ? mountOptions(mount) : `${mountOptions(mount)},${own}`;
    text += `${escape(mount.source)} ${escape(place)} ${mount.superBlock.type.name} ${options} 0 0\n`;
  }
  return text;
}

/** /proc/PID/mountinfo. */
export function showMountInfo(task: Task): string {
  const vfs = vfsOf(task);
  let text = "";
  for (const { mount, place } of visibleMounts(vfs, task)) {
    const { superBlock } = mount;
    const root = rootInFileSystem(mount);
    const shared = mount.propagation === "shared" ? ` shared:${mount.peerGroup}` : "";
    const unbindable = mount.propagation === "unbindable" ? " unbindable" : "";
    const own = superBlock.showOptions();
    const superOptions = (superBlock.isReadOnly ? "ro" : "rw") + (own === "" ? "" : `,${own}`);
    text += `${mount.id} ${mount.parent?.id ?? mount.id} ${majorOf(superBlock.dev)}:${minorOf(superBlock.dev)} ` +
      `${escape(root)} ${escape(place)} ${mountOptions(mount)}${shared}${unbindable} - ` +
      `${superBlock.type.name} ${escape(mount.source)} ${superOptions}\n`;
  }
  return text;
}

/** The directory of the file system that the mount shows: "/" unless it is a bind mount. */
function rootInFileSystem(mount: MountNode): string {
  let text = "";
  for (let at = mount.root; at.parent !== at; at = at.parent) text = `/${at.name}${text}`;
  return text === "" ? "/" : text;
}

/** /proc/filesystems. */
export function showFileSystems(task: Task): string {
  let text = "";
  for (const type of vfsOf(task).fileSystems) text += `${type.needsDevice ? "" : "nodev"}\t${type.name}\n`;
  return text;
}
