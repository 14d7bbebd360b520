// SPDX-License-Identifier: Apache-2.0
// The files of /proc about the whole system. Source: the proc_*(5) page of each.

import { blockDevices } from "../../block/blk.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import { PidTable } from "../../kernel/pid.ts";
import { majorOf, minorOf } from "../../include/uapi/stat.ts";
import { memoryState } from "../../mm/vmstat.ts";
import { vfsOf } from "../vfs.ts";
import { NS_PER_TICK } from "./array.ts";
import { busyNs, loadAverage, schedulerOf } from "./loadavg.ts";

/** What the time-stamp counter is said to run at. */
const CPU_MHZ = 1000;

export function showMeminfo(kernel: Kernel): string {
  const { frames } = kernel;
  const memory = memoryState(kernel);
  let anonymous = 0;
  let mapped = 0;
  let tables = 0;
  for (const mm of memory.addressSpaces) {
    anonymous += mm.anonymousPages;
    mapped += mm.filePages;
    tables += mm.tablePages;
  }
  const reclaimable = memory.cachedPages - memory.shmemPages - memory.dirtyPages;
  const limit = memory.overcommitMode === 2
    ? frames.totalPages * memory.overcommitRatio / 100
    : frames.totalPages / 2;
  const rows: (readonly [string, number])[] = [
    ["MemTotal", frames.totalPages],
    ["MemFree", frames.freePages],
    ["MemAvailable", frames.freePages + Math.max(0, reclaimable)],
    ["Buffers", 0],
    ["Cached", memory.cachedPages],
    ["SwapCached", 0],
    ["Active", anonymous],
    ["Inactive", memory.cachedPages],
    ["Active(anon)", anonymous],
    ["Inactive(anon)", memory.shmemPages],
    ["Active(file)", 0],
    ["Inactive(file)", memory.cachedPages - memory.shmemPages],
    ["Unevictable", memory.lockedPages],
    ["Mlocked", memory.lockedPages],
    ["SwapTotal", 0],
    ["SwapFree", 0],
    ["Dirty", memory.dirtyPages],
    ["Writeback", 0],
    ["AnonPages", anonymous],
    ["Mapped", mapped],
    ["Shmem", memory.shmemPages],
    ["KReclaimable", 0],
    ["Slab", 0],
    ["SReclaimable", 0],
    ["SUnreclaim", 0],
    ["KernelStack", 0],
    ["PageTables", tables],
    ["NFS_Unstable", 0],
    ["Bounce", 0],
    ["WritebackTmp", 0],
    ["CommitLimit", Math.floor(limit)],
    ["Committed_AS", memory.committedPages],
  ];
  const lines = rows.map(([name, pages]) => `${`${name}:`.padEnd(15)} ${String(pages * 4).padStart(8)} kB\n`);
  return `${
    lines.join("")
  }VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\n`;
}

export function showVmstat(kernel: Kernel): string {
  const memory = memoryState(kernel);
  return [
    ["nr_free_pages", kernel.frames.freePages],
    ["nr_mlock", memory.lockedPages],
    ["nr_file_pages", memory.cachedPages],
    ["nr_dirty", memory.dirtyPages],
    ["nr_shmem", memory.shmemPages],
    ["pgfault", memory.minorFaults + memory.majorFaults],
    ["pgmajfault", memory.majorFaults],
    ["oom_kill", memory.oomKills],
  ].map(([name, value]) => `${name} ${value}\n`).join("");
}

/** Start of the system in seconds since the Epoch. */
function bootTime(kernel: Kernel): number {
  const { sec, nsec } = kernel.time.realtime();
  return Math.floor(sec + nsec / 1e9 - kernel.time.monotonicNs() / 1e9);
}

function processorTimes(kernel: Kernel): { user: number; system: number; idle: number } {
  let user = 0;
  let system = 0;
  for (const task of kernel.tasks.all()) {
    if (task.group.leader !== task) continue;
    const { cpuTime } = task.group;
    user += cpuTime.userNs + cpuTime.childUserNs;
    system += cpuTime.systemNs + cpuTime.childSystemNs;
  }
  // What no living process accounts for (children never waited for) is shared out as the rest is.
  const busy = Math.max(busyNs(kernel), user + system);
  const known = user + system;
  const scale = known === 0 ? 0 : busy / known;
  const idle = Math.max(0, kernel.time.monotonicNs() - busy);
  return { user: Math.floor(user * scale), system: Math.floor(system * scale), idle };
}

export function showStatFile(kernel: Kernel): string {
  const { user, system, idle } = processorTimes(kernel);
  const tick = (ns: number): number => Math.floor(ns / NS_PER_TICK);
  const line = `${tick(user)} 0 ${tick(system)} ${tick(idle)} 0 0 0 0 0 0\n`;
  let running = 0;
  let blocked = 0;
  for (const task of kernel.tasks.all()) {
    if (task.state === "running") running++;
    if (task.state === "uninterruptible") blocked++;
  }
  const { tasks } = kernel;
  return `cpu  ${line}cpu0 ${line}intr 0\nctxt ${schedulerOf(kernel)?.switches ?? 0}\nbtime ${
    bootTime(kernel)
  }\n`
    + `processes ${tasks instanceof PidTable ? tasks.lastPid : tasks.count}\nprocs_running ${
      Math.max(1, running)
    }\n`
    + `procs_blocked ${blocked}\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n`;
}

export function showUptime(kernel: Kernel): string {
  const seconds = (ns: number): string => (Math.floor(ns / 1e7) / 100).toFixed(2);
  return `${seconds(kernel.time.monotonicNs())} ${seconds(processorTimes(kernel).idle)}\n`;
}

export function showLoadavg(kernel: Kernel): string {
  let running = 0;
  let all = 0;
  for (const task of kernel.tasks.all()) {
    all++;
    if (task.state === "running") running++;
  }
  const { tasks } = kernel;
  const last = tasks instanceof PidTable ? tasks.lastPid : 0;
  return `${loadAverage(kernel).map((value) => value.toFixed(2)).join(" ")} ${running}/${all} ${last}\n`;
}

export function showVersion(kernel: Kernel): string {
  const { sysname, release, version } = kernel.uts;
  return `${sysname} version ${release} (rookery@rookery) (TypeScript) ${version}\n`;
}

export function showFilesystems(reader: Task): string {
  let text = "";
  for (const type of vfsOf(reader).fileSystems) text += `${type.needsDevice ? "" : "nodev"}\t${type.name}\n`;
  return text;
}

/** Drivers of this kernel (drivers/char, drivers/tty) by major number. */
const DEVICES = `Character devices:
  1 mem
  4 tty
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
128 ptm
136 pts

Block devices:
`;

/** /proc/devices: the drivers, then the majors of the disks. */
export function showDevices(kernel: Kernel): string {
  const majors = new Set([...blockDevices(kernel)].map((device) => majorOf(device.dev)));
  return DEVICES + [...majors].map((major) => `${String(major).padStart(3)} virtblk\n`).join("");
}

export function showPartitions(kernel: Kernel): string {
  let text = "major minor  #blocks  name\n\n";
  for (const { dev, sizeBytes, name } of blockDevices(kernel)) {
    const kilobytes = String(Math.floor(sizeBytes / 1024)).padStart(10);
    text += `${String(majorOf(dev)).padStart(4)}  ${String(minorOf(dev)).padStart(7)} ${kilobytes} ${name}\n`;
  }
  return text;
}

/** Source: proc_tty(5); ps(1) names terminals by it. */
export const TTY_DRIVERS: string = [
  "/dev/tty             /dev/tty        5       0 system:/dev/tty",
  "/dev/console         /dev/console    5       1 system:console",
  "/dev/ptmx            /dev/ptmx       5       2 system",
  "pty_slave            /dev/pts      136 0-1048575 pty:slave",
  "pty_master           /dev/ptm      128 0-1048575 pty:master",
  "",
].join("\n");

/** The text that the architecture gives for its one processor. */
export function showCpuinfo(kernel: Kernel): string {
  return kernel.arch.cpuinfo(0, CPU_MHZ);
}
