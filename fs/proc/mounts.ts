// SPDX-License-Identifier: Apache-2.0
// /proc/PID/mounts, mountinfo, mountstats: the mounts below a process's root.
// Source: proc_pid_mounts(5), proc_pid_mountinfo(5), fstab(5) for the escapes.

import type { Task } from "../../include/linux/sched.ts";
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
} from "../../include/uapi/mount.ts";
import { majorOf, minorOf } from "../../include/uapi/stat.ts";
import type { MountNode } from "../dcache.ts";
import { type VfsImpl, vfsOf } from "../vfs.ts";

const OPTION_NAMES: readonly (readonly [number, string])[] = [
  [MS_NOSUID, "nosuid"],
  [MS_NODEV, "nodev"],
  [MS_NOEXEC, "noexec"],
  [MS_NOATIME, "noatime"],
  [MS_NODIRATIME, "nodiratime"],
  [MS_RELATIME, "relatime"],
  [MS_NOSYMFOLLOW, "nosymfollow"],
];

/** Blanks, backslashes and hashes of a name, so that it stays one word. */
function escape(text: string): string {
  return text.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

interface Seen {
  readonly mount: MountNode;
  readonly name: string;
}

/** Mounts that the process can see, with their names as it sees them. */
function* visible(vfs: VfsImpl, task: Task): Generator<Seen, void, void> {
  for (const mount of vfs.mounts.all) {
    if (mount !== vfs.mounts.root && mount.parent === undefined) continue;
    const { text, isReachable } = vfs.nameOf(mount.root.pathIn(mount), task.fs.root);
    if (isReachable) yield { mount, name: text };
  }
}

function mountOptions(mount: MountNode): string {
  const names = OPTION_NAMES.filter(([flag]) => (mount.flags & flag) !== 0).map(([, name]) => name);
  return [(mount.flags & MS_RDONLY) !== 0 ? "ro" : "rw", ...names].join(",");
}

function superOptions(mount: MountNode): string {
  const shown = mount.superBlock.showOptions();
  return (mount.superBlock.isReadOnly ? "ro" : "rw") + (shown === "" ? "" : `,${shown}`);
}

export function showMounts(task: Task): string {
  let text = "";
  for (const { mount, name } of visible(vfsOf(task), task)) {
    const extra = mount.superBlock.showOptions();
    const isReadOnly = (mount.flags & MS_RDONLY) !== 0 || mount.superBlock.isReadOnly;
    const flags = mountOptions(mount).replace(/^r[ow]/, isReadOnly ? "ro" : "rw");
    text += `${escape(mount.source)} ${escape(name)} ${mount.superBlock.type.name} `
      + `${flags}${extra === "" ? "" : `,${extra}`} 0 0\n`;
  }
  return text;
}

export function showMountInfo(task: Task): string {
  const vfs = vfsOf(task);
  let text = "";
  for (const { mount, name } of visible(vfs, task)) {
    const { dev } = mount.superBlock;
    const peer = mount.propagation === "shared"
      ? ` shared:${mount.peerGroup}`
      : mount.propagation === "slave"
      ? ` master:${mount.peerGroup}`
      : mount.propagation === "unbindable"
      ? " unbindable"
      : "";
    text += `${mount.id} ${mount.parent?.id ?? mount.id} ${majorOf(dev)}:${minorOf(dev)} `
      + `${escape(rootName(mount))} ${escape(name)} ${mountOptions(mount)}${peer} - `
      + `${mount.superBlock.type.name} ${escape(mount.source)} ${superOptions(mount)}\n`;
  }
  return text;
}

/** The part of the file system that a bind mount shows. */
function rootName(mount: MountNode): string {
  let text = "";
  for (let at = mount.root; at.parent !== at; at = at.parent) text = `/${at.name}${text}`;
  return text === "" ? "/" : text;
}

export function showMountStats(task: Task): string {
  let text = "";
  for (const { mount, name } of visible(vfsOf(task), task)) {
    text += `device ${escape(mount.source)} mounted on ${
      escape(name)
    } with fstype ${mount.superBlock.type.name}\n`;
  }
  return text;
}
