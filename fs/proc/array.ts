// SPDX-License-Identifier: Apache-2.0
// /proc/PID/stat, status, statm, limits: a process in numbers. Source: proc_pid_stat(5), proc_pid_status(5),
// proc_pid_statm(5), proc_pid_limits(5).

import type { Task } from "../../include/linux/sched.ts";
import { SigSet } from "../../kernel/signal-set.ts";
import { self, type TaskStruct } from "../../kernel/task.ts";
import { mmStruct, type ProcessMm } from "../../mm/mm.ts";
import { isAnonymousArea, isExecutableFile } from "./task_mmu.ts";

/** What times in /proc are counted in: USER_HZ. */
export const NS_PER_TICK = 10_000_000;
const NSIG = 64;

const STATE_LETTERS: Readonly<Record<Task["state"], string>> = {
  running: "R",
  sleeping: "S",
  uninterruptible: "D",
  stopped: "T",
  traced: "t",
  zombie: "Z",
  dead: "X",
};
const STATE_NAMES: Readonly<Record<string, string>> = {
  R: "running",
  S: "sleeping",
  D: "disk sleep",
  T: "stopped",
  t: "tracing stop",
  Z: "zombie",
  X: "dead",
};

function ticks(ns: number): number {
  return Math.floor(ns / NS_PER_TICK);
}

function mmOfTask(task: Task): ProcessMm | undefined {
  return task.mm === undefined ? undefined : mmStruct(task.mm);
}

function parentPid(task: Task): number {
  return task.group.parent?.tgid ?? 0;
}

/** Signals by disposition, as sets. */
function dispositions(task: TaskStruct): { ignored: SigSet; caught: SigSet } {
  const ignored = new SigSet();
  const caught = new SigSet();
  for (let signal = 1; signal <= NSIG; signal++) {
    const { handler } = task.sighand.get(signal);
    if (handler === 1) ignored.add(signal);
    else if (handler > 1) caught.add(signal);
  }
  return { ignored, caught };
}

/** One line; `whole` sums the threads of the process, else the thread alone. */
export function showStat(task: Task, whole: boolean): string {
  const t = self(task);
  const { group } = t;
  const mm = mmOfTask(task);
  const state = STATE_LETTERS[t.state];
  const time = whole
    ? group.cpuTime
    : { userNs: t.userNs, systemNs: t.systemNs, childUserNs: 0, childSystemNs: 0 };
  const { ignored, caught } = dispositions(t);
  const faults = faultCounts(t, whole);
  const priority = t.rtPriority > 0 ? -1 - t.rtPriority : 20 + t.nice;
  const fields = [
    state,
    parentPid(task),
    group.pgid,
    group.sid,
    group.tty?.device ?? 0,
    group.tty?.foregroundPgid ?? -1,
    0x40_0000,
    faults.minor,
    0,
    faults.major,
    0,
    ticks(time.userNs),
    ticks(time.systemNs),
    ticks(time.childUserNs),
    ticks(time.childSystemNs),
    priority,
    t.nice,
    group.threads.size,
    0,
    ticks(t.startTimeNs),
    (mm?.totalPages ?? 0) * 4096,
    mm?.residentPages ?? 0,
    limitText(group.rlimits[5]?.soft),
    mm?.startCode ?? 0,
    mm?.endCode ?? 0,
    mm?.startStack ?? 0,
    0,
    0,
    t.pending.set.low >>> 0 & 0x7fff_ffff,
    t.blocked.low >>> 0 & 0x7fff_ffff,
    ignored.low >>> 0 & 0x7fff_ffff,
    caught.low >>> 0 & 0x7fff_ffff,
    state === "S" || state === "D" ? 1 : 0,
    0,
    0,
    group.exitSignal === 0 ? 17 : group.exitSignal,
    0,
    t.rtPriority,
    t.policy,
    0,
    0,
    0,
    mm?.startData ?? 0,
    mm?.endData ?? 0,
    mm?.startBrk ?? 0,
    mm?.argStart ?? 0,
    mm?.argEnd ?? 0,
    mm?.envStart ?? 0,
    mm?.envEnd ?? 0,
    group.exitCode,
  ];
  return `${t.pid} (${t.comm}) ${fields.join(" ")}\n`;
}

function faultCounts(t: TaskStruct, whole: boolean): { minor: number; major: number } {
  let minor = 0;
  let major = 0;
  for (const thread of whole ? t.group.threads : [t]) {
    minor += thread.minorFaults;
    major += thread.majorFaults;
  }
  return { minor, major };
}

function limitText(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "18446744073709551615" : String(value);
}

function hexSet(set: SigSet): string {
  return (set.high >>> 0).toString(16).padStart(8, "0") + (set.low >>> 0).toString(16).padStart(8, "0");
}

function hexCap(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

function kilobytes(pages: number): string {
  return `${String(pages * 4).padStart(8)} kB`;
}

export function showStatus(task: Task): string {
  const t = self(task);
  const { group, cred } = t;
  const state = STATE_LETTERS[t.state];
  const mm = mmOfTask(task);
  const { ignored, caught } = dispositions(t);
  let slots = 64;
  for (const fd of t.files.descriptors()) while (fd >= slots) slots *= 2;
  const lines = [
    `Name:\t${t.comm.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
    `Umask:\t${t.fs.umask.toString(8).padStart(4, "0")}`,
    `State:\t${state} (${STATE_NAMES[state] ?? ""})`,
    `Tgid:\t${t.tgid}`,
    "Ngid:\t0",
    `Pid:\t${t.pid}`,
    `PPid:\t${parentPid(task)}`,
    `TracerPid:\t${t.trace?.tracer.tgid ?? 0}`,
    `Uid:\t${cred.uid}\t${cred.euid}\t${cred.suid}\t${cred.fsuid}`,
    `Gid:\t${cred.gid}\t${cred.egid}\t${cred.sgid}\t${cred.fsgid}`,
    `FDSize:\t${slots}`,
    `Groups:\t${cred.groups.map((gid) => `${gid} `).join("")}`,
    `NStgid:\t${t.tgid}`,
    `NSpid:\t${t.pid}`,
    `NSpgid:\t${group.pgid}`,
    `NSsid:\t${group.sid}`,
    "Kthread:\t0",
    ...(mm === undefined ? [] : memoryLines(mm)),
    `Threads:\t${group.threads.size}`,
    `SigQ:\t0/${limitText(group.rlimits[11]?.soft)}`,
    `SigPnd:\t${hexSet(t.pending.set)}`,
    `ShdPnd:\t${hexSet(t.group.pending.set)}`,
    `SigBlk:\t${hexSet(t.blocked)}`,
    `SigIgn:\t${hexSet(ignored)}`,
    `SigCgt:\t${hexSet(caught)}`,
    `CapInh:\t${hexCap(cred.capInheritable)}`,
    `CapPrm:\t${hexCap(cred.capPermitted)}`,
    `CapEff:\t${hexCap(cred.capEffective)}`,
    `CapBnd:\t${hexCap(cred.capBounding)}`,
    `CapAmb:\t${hexCap(cred.capAmbient)}`,
    `NoNewPrivs:\t${cred.noNewPrivs ? 1 : 0}`,
    `Seccomp:\t${t.seccomp?.mode ?? 0}`,
    `Seccomp_filters:\t${t.seccomp?.filters.length ?? 0}`,
    "Speculation_Store_Bypass:\tnot vulnerable",
    "SpeculationIndirectBranch:\tnot affected",
    "Cpus_allowed:\t1",
    "Cpus_allowed_list:\t0",
    "Mems_allowed:\t1",
    "Mems_allowed_list:\t0",
    `voluntary_ctxt_switches:\t${t.voluntarySwitches}`,
    `nonvoluntary_ctxt_switches:\t${t.involuntarySwitches}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** Pages of an address space by use. */
function memoryUse(mm: ProcessMm): { stack: number; text: number; library: number; shared: number } {
  let stack = 0;
  let executable = 0;
  let shared = 0;
  for (const area of mm.areas) {
    if (area.isStack) stack += area.pages;
    if (isExecutableFile(area)) executable += area.pages;
    if (area.isShared && isAnonymousArea(area)) shared += area.pages;
  }
  const text = Math.ceil(mm.endCode / 4096) - Math.floor(mm.startCode / 4096);
  return { stack, text, library: Math.max(0, executable - text), shared };
}

function memoryLines(mm: ProcessMm): string[] {
  const use = memoryUse(mm);
  return [
    `VmPeak:\t${kilobytes(mm.peakTotalPages)}`,
    `VmSize:\t${kilobytes(mm.totalPages)}`,
    `VmLck:\t${kilobytes(mm.lockedPages)}`,
    `VmPin:\t${kilobytes(0)}`,
    `VmHWM:\t${kilobytes(mm.peakResidentPages)}`,
    `VmRSS:\t${kilobytes(mm.residentPages)}`,
    `RssAnon:\t${kilobytes(mm.anonymousPages)}`,
    `RssFile:\t${kilobytes(mm.filePages)}`,
    `RssShmem:\t${kilobytes(0)}`,
    `VmData:\t${kilobytes(mm.dataPages)}`,
    `VmStk:\t${kilobytes(use.stack)}`,
    `VmExe:\t${kilobytes(use.text)}`,
    `VmLib:\t${kilobytes(use.library)}`,
    `VmPTE:\t${kilobytes(mm.tablePages)}`,
    `VmSwap:\t${kilobytes(0)}`,
    `HugetlbPages:\t${kilobytes(0)}`,
    "CoreDumping:\t0",
    "THP_enabled:\t0",
    "untag_mask:\t0xffffffffffffffff",
  ];
}

export function showStatm(task: Task): string {
  const mm = mmOfTask(task);
  if (mm === undefined) return "0 0 0 0 0 0 0\n";
  const { text, stack } = memoryUse(mm);
  return `${mm.totalPages} ${mm.residentPages} ${mm.filePages} ${text} 0 ${mm.dataPages + stack} 0\n`;
}

const LIMITS: readonly (readonly [string, number, string])[] = [
  ["Max cpu time", 0, "seconds"],
  ["Max file size", 1, "bytes"],
  ["Max data size", 2, "bytes"],
  ["Max stack size", 3, "bytes"],
  ["Max core file size", 4, "bytes"],
  ["Max resident set", 5, "bytes"],
  ["Max processes", 6, "processes"],
  ["Max open files", 7, "files"],
  ["Max locked memory", 8, "bytes"],
  ["Max address space", 9, "bytes"],
  ["Max file locks", 10, "locks"],
  ["Max pending signals", 11, "signals"],
  ["Max msgqueue size", 12, "bytes"],
  ["Max nice priority", 13, ""],
  ["Max realtime priority", 14, ""],
  ["Max realtime timeout", 15, "us"],
];

export function showLimits(task: Task): string {
  const value = (limit: number | undefined): string =>
    (limit === undefined || !Number.isFinite(limit) ? "unlimited" : String(limit)).padEnd(20);
  const rows = LIMITS.map(([name, index, unit]) => {
    const limit = task.group.rlimits[index];
    return `${name.padEnd(25)} ${value(limit?.soft)} ${value(limit?.hard)} ${unit.padEnd(10)}\n`;
  });
  return `${"Limit".padEnd(25)} ${"Soft Limit".padEnd(20)} ${"Hard Limit".padEnd(20)} ${
    "Units".padEnd(10)
  }\n${rows.join("")}`;
}
