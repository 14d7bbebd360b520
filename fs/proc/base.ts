// SPDX-License-Identifier: Apache-2.0
// /proc/PID and /proc/PID/task/TID. Source: proc_pid(5) and the pages it names.
//
// What others may look at follows ptrace(2)'s access rule: memory, environment, open files and links are for those
// who could trace the process; numbers are for everyone. A node lives as long as its task.

import type { Inode, Path } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { bytesToString, stringToBytes } from "../../lib/byte-string.ts";
import { EACCES, EINVAL, ENOENT, ESRCH } from "../../lib/errno.ts";
import { mayInspect } from "../../kernel/ptrace-access.ts";
import { self } from "../../kernel/task.ts";
import { oomBadness, oomScoreAdjust, setOomScoreAdjust } from "../../mm/oom_kill.ts";
import { showLimits, showStat, showStatm, showStatus } from "./array.ts";
import { FdDirectory, FdInfoDirectory } from "./fd.ts";
import {
  DynamicDirectory,
  LinkInode,
  MagicLinkInode,
  type NodeMaker,
  type OwnerOf,
  type PseudoSuperBlock,
  type Show,
  type Store,
  TableDirectory,
  TextInode,
} from "../pseudo.ts";
import { MemInode } from "./mem.ts";
import { showMountInfo, showMounts, showMountStats } from "./mounts.ts";
import { netEntries } from "./proc_net.ts";
import { showMaps, showSmaps, showSmapsRollup } from "./task_mmu.ts";

const COMM_BYTES = 15;
const NAMESPACES = [
  "cgroup",
  "ipc",
  "mnt",
  "net",
  "pid",
  "pid_for_children",
  "time",
  "time_for_children",
  "user",
  "uts",
];
/** The numbers that Linux gives its first namespaces. */
const NAMESPACE_INO: Readonly<Record<string, number>> = {
  cgroup: 4026531835,
  ipc: 4026531839,
  mnt: 4026531841,
  net: 4026531840,
  pid: 4026531836,
  time: 4026531834,
  user: 4026531837,
  uts: 4026531838,
};

/** Files of root when the process may not be traced, else of the process's user. */
function ownerOf(task: Task): OwnerOf {
  return () => (task.mm?.dumpable === 1 ? { uid: task.cred.euid, gid: task.cred.egid } : { uid: 0, gid: 0 });
}

function inspect(task: Task): (reader: Task) => void {
  return (reader) => {
    if (!mayInspect(reader, task)) throw EACCES;
  };
}

class TaskNodes {
  readonly #superBlock: PseudoSuperBlock;
  readonly #task: Task;
  readonly owner: OwnerOf;

  constructor(superBlock: PseudoSuperBlock, task: Task) {
    this.#superBlock = superBlock;
    this.#task = task;
    this.owner = ownerOf(task);
  }

  text(show: Show, mode = 0o444, store?: Store): NodeMaker {
    const options = { mode, owner: this.owner };
    return () =>
      new TextInode(
        this.#superBlock,
        this.#alive(show),
        store === undefined ? options : { ...options, store },
      );
  }
  /** An open file of a process that is gone has nothing to show. */
  #alive(show: Show): Show {
    return (reader) => {
      if (this.#task.state === "dead") throw ESRCH;
      return show(reader);
    };
  }
  /** For those who may trace the process. */
  secret(show: Show, mode = 0o400): NodeMaker {
    const options = { mode, owner: this.owner, check: inspect(this.#task) };
    return () => new TextInode(this.#superBlock, this.#alive(show), options);
  }
  link(find: (task: Task) => Path | undefined): NodeMaker {
    const task = this.#task;
    const pathFor = (reader: Task): Path => {
      if (!mayInspect(reader, task)) throw EACCES;
      const path = find(task);
      if (path === undefined) throw ENOENT;
      return path;
    };
    return () =>
      new MagicLinkInode(
        this.#superBlock,
        (reader) => reader.kernel.vfs.pathName(reader, pathFor(reader)),
        pathFor,
        this.owner,
      );
  }
}

function* userBytes(task: Task, start: number, end: number): Sleeps<Uint8Array> {
  if (task.mm === undefined || end <= start) return new Uint8Array(0);
  return yield* task.mm.user.copyIn(start, end - start);
}

/** The command line; a program that overwrote its arguments (setproctitle) shows what it wrote. */
function* commandLine(task: Task): Sleeps<Uint8Array> {
  const { mm } = task;
  if (mm === undefined) return new Uint8Array(0);
  const bytes = yield* userBytes(task, mm.argStart, mm.argEnd);
  if (bytes.length === 0 || bytes[bytes.length - 1] === 0) return bytes;
  const more = yield* userBytes(task, mm.argEnd, mm.envEnd);
  const whole = bytesToString(bytes) + bytesToString(more);
  const end = whole.indexOf("\0");
  return stringToBytes(end < 0 ? whole : whole.slice(0, end));
}

function threadEntries(
  superBlock: PseudoSuperBlock,
  task: Task,
  isProcess: boolean,
): Record<string, NodeMaker> {
  const nodes = new TaskNodes(superBlock, task);
  const { owner } = nodes;
  const t = self(task);
  return {
    attr: () => new TableDirectory(superBlock, { current: nodes.text(() => "unconfined\n") }, owner),
    auxv: nodes.secret(() => task.mm?.auxv ?? ""),
    cgroup: nodes.text(() => "0::/\n"),
    cmdline: nodes.text(() => commandLine(task)),
    comm: nodes.text(() => `${task.comm}\n`, 0o644, (writer, text) => setComm(writer, task, text)),
    cwd: nodes.link((target) => target.fs.cwd),
    environ: nodes.secret(() => userBytes(task, task.mm?.envStart ?? 0, task.mm?.envEnd ?? 0)),
    exe: nodes.link((target) => target.mm?.exeFile?.path),
    fd: () => new FdDirectory(superBlock, task, owner, 0o500),
    fdinfo: () => new FdInfoDirectory(superBlock, task, owner, 0o555),
    gid_map: nodes.text(() => idMap()),
    limits: nodes.text(() => showLimits(task)),
    loginuid: nodes.text(() => "4294967295"), // Nobody has logged in: there is no audit.
    maps: nodes.secret((reader) => showMaps(reader, task), 0o444),
    mem: () => new MemInode(superBlock, task, owner),
    mountinfo: nodes.text(() => showMountInfo(task)),
    mounts: nodes.text(() => showMounts(task)),
    mountstats: nodes.text(() => showMountStats(task), 0o400),
    net: () => new TableDirectory(superBlock, netEntries(superBlock)),
    ns: () => new TableDirectory(superBlock, namespaceEntries(superBlock, owner), owner, 0o511),
    oom_adj: nodes.text(() => `${Math.round(oomScoreAdjust(task.kernel, t.group) * 17 / 1000)}\n`),
    oom_score: nodes.text(() => `${oomScore(task)}\n`),
    oom_score_adj: nodes.text(
      () => `${oomScoreAdjust(task.kernel, t.group)}\n`,
      0o644,
      (_writer, text) => setAdjust(task, text),
    ),
    personality: nodes.secret(() => `${task.personality.toString(16).padStart(8, "0")}\n`),
    projid_map: nodes.text(() => idMap()),
    root: nodes.link((target) => target.fs.root),
    schedstat: nodes.text(() =>
      `${t.userNs + t.systemNs} 0 ${t.voluntarySwitches + t.involuntarySwitches}\n`
    ),
    sessionid: nodes.text(() => "4294967295"),
    setgroups: nodes.text(() => "allow\n"),
    smaps: nodes.secret((reader) => showSmaps(reader, task), 0o444),
    smaps_rollup: nodes.secret(() => showSmapsRollup(task), 0o444),
    stat: nodes.text(() => showStat(task, isProcess)),
    statm: nodes.text(() => showStatm(task)),
    status: nodes.text(() => showStatus(task)),
    syscall: nodes.secret(() =>
      `${task.state === "running" ? "running" : `${t.syscall} 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0`}\n`
    ),
    uid_map: nodes.text(() => idMap()),
    wchan: nodes.text(() => "0"),
  };
}

function idMap(): string {
  return "         0          0 4294967295\n";
}

function oomScore(task: Task): number {
  const badness = oomBadness(task.kernel, task);
  return badness < 0
    ? 0
    : Math.min(2000, Math.floor(666 + badness * 1000 / Math.max(1, task.kernel.frames.totalPages) * 2 / 3));
}

function setAdjust(task: Task, text: string): void {
  const value = Number(text.trim());
  if (!Number.isInteger(value) || text.trim() === "" || value < -1000 || value > 1000) throw EINVAL;
  setOomScoreAdjust(task.kernel, task.group, value);
}

function setComm(writer: Task, task: Task, text: string): void {
  if (writer.group !== task.group) throw EINVAL;
  task.comm = text.replace(/\n$/, "").slice(0, COMM_BYTES);
}

function namespaceEntries(superBlock: PseudoSuperBlock, owner: OwnerOf): Record<string, NodeMaker> {
  const entries: Record<string, NodeMaker> = {};
  for (const name of NAMESPACES) {
    const kind = name.replace("_for_children", "");
    entries[name] = () => new LinkInode(superBlock, () => `${kind}:[${NAMESPACE_INO[kind] ?? 0}]`, owner);
  }
  return entries;
}

/** /proc/PID/task. */
class ThreadsDirectory extends DynamicDirectory {
  readonly #task: Task;
  readonly #nodes = new Map<number, { task: Task; node: Inode }>();

  constructor(superBlock: PseudoSuperBlock, task: Task, owner: OwnerOf) {
    super(superBlock, owner);
    this.#task = task;
  }
  override lookup(name: string): Inode | undefined {
    if (!/^[1-9][0-9]{0,9}$/.test(name)) return undefined;
    const pid = Number(name);
    const thread = this.kernel.tasks.find(pid);
    if (thread === undefined || thread.group !== this.#task.group) return undefined;
    const known = this.#nodes.get(pid);
    if (known?.task === thread) return known.node;
    const node = new TableDirectory(
      this.superBlock,
      threadEntries(this.superBlock, thread, false),
      ownerOf(thread),
    );
    this.#nodes.set(pid, { task: thread, node });
    return node;
  }
  protected override *entries(position: number): Iterable<{ name: string; at: number }> {
    const pids = [...this.#task.group.threads].map((thread) => thread.pid);
    if (pids.length === 0) pids.push(this.#task.pid); // A zombie shows its leader.
    for (const pid of pids.sort((a, b) => a - b)) if (pid >= position) yield { name: String(pid), at: pid };
  }
}

/** The directory of a process, seen through its thread `task`. */
export function processDirectory(superBlock: PseudoSuperBlock, task: Task): TableDirectory {
  const owner = ownerOf(task);
  return new TableDirectory(superBlock, {
    ...threadEntries(superBlock, task, true),
    task: () => new ThreadsDirectory(superBlock, task, owner),
  }, owner);
}
