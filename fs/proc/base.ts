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
  type PseudoInode,
  type PseudoSuperBlock,
  SharedTableDirectory,
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

/** What the nodes of one task are made from. */
class TaskNodes {
  readonly superBlock: PseudoSuperBlock;
  readonly task: Task;
  readonly owner: OwnerOf;

  constructor(superBlock: PseudoSuperBlock, task: Task) {
    this.superBlock = superBlock;
    this.task = task;
    this.owner = ownerOf(task);
  }

  /** An open file of a process that is gone has nothing to show. */
  alive(show: ShowTask): Show {
    return (reader) => {
      if (this.task.state === "dead") throw ESRCH;
      return show(this.task, reader);
    };
  }
}

type ShowTask = (task: Task, reader: Task) => ReturnType<Show>;
type StoreTask = (task: Task, writer: Task, text: string) => ReturnType<Store>;
/** Makes a node when it is first looked up. The tables of these are shared: a process costs a directory, no more. */
type Entry = (nodes: TaskNodes) => Inode;

function text(show: ShowTask, mode = 0o444, store?: StoreTask): Entry {
  return (nodes) => {
    const options = { mode, owner: nodes.owner };
    return new TextInode(
      nodes.superBlock,
      nodes.alive(show),
      store === undefined
        ? options
        : { ...options, store: (writer, written) => store(nodes.task, writer, written) },
    );
  };
}

/** For those who may trace the process. */
function secret(show: ShowTask, mode = 0o400): Entry {
  return (nodes) => {
    const options = { mode, owner: nodes.owner, check: inspect(nodes.task) };
    return new TextInode(nodes.superBlock, nodes.alive(show), options);
  };
}

function link(find: (task: Task) => Path | undefined): Entry {
  return ({ superBlock, task, owner }) => {
    const pathFor = (reader: Task): Path => {
      if (!mayInspect(reader, task)) throw EACCES;
      const path = find(task);
      if (path === undefined) throw ENOENT;
      return path;
    };
    return new MagicLinkInode(
      superBlock,
      (reader) => reader.kernel.vfs.pathName(reader, pathFor(reader)),
      pathFor,
      owner,
    );
  };
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

const THREAD_ENTRIES: ReadonlyMap<string, Entry> = new Map(Object.entries<Entry>({
  attr: (n) => new TableDirectory(n.superBlock, { current: () => text(() => "unconfined\n")(n) }, n.owner),
  auxv: secret((task) => task.mm?.auxv ?? ""),
  cgroup: text(() => "0::/\n"),
  cmdline: text((task) => commandLine(task)),
  comm: text((task) => `${task.comm}\n`, 0o644, (task, writer, written) => setComm(writer, task, written)),
  cwd: link((task) => task.fs.cwd),
  environ: secret((task) => userBytes(task, task.mm?.envStart ?? 0, task.mm?.envEnd ?? 0)),
  exe: link((task) => task.mm?.exeFile?.path),
  fd: (n) => new FdDirectory(n.superBlock, n.task, n.owner, 0o500),
  fdinfo: (n) => new FdInfoDirectory(n.superBlock, n.task, n.owner, 0o555),
  gid_map: text(() => idMap()),
  limits: text((task) => showLimits(task)),
  loginuid: text(() => "4294967295"), // Nobody has logged in: there is no audit.
  maps: secret((task, reader) => showMaps(reader, task), 0o444),
  mem: (n) => new MemInode(n.superBlock, n.task, n.owner),
  mountinfo: text((task) => showMountInfo(task)),
  mounts: text((task) => showMounts(task)),
  mountstats: text((task) => showMountStats(task), 0o400),
  net: (n) => new TableDirectory(n.superBlock, netEntries(n.superBlock)),
  ns: (n) => new TableDirectory(n.superBlock, namespaceEntries(n.superBlock, n.owner), n.owner, 0o511),
  oom_adj: text((task) => `${Math.round(oomScoreAdjust(task.kernel, self(task).group) * 17 / 1000)}\n`),
  oom_score: text((task) => `${oomScore(task)}\n`),
  oom_score_adj: text(
    (task) => `${oomScoreAdjust(task.kernel, self(task).group)}\n`,
    0o644,
    (task, _writer, written) => setAdjust(task, written),
  ),
  personality: secret((task) => `${task.personality.toString(16).padStart(8, "0")}\n`),
  projid_map: text(() => idMap()),
  root: link((task) => task.fs.root),
  schedstat: text((task) => {
    const t = self(task);
    return `${t.userNs + t.systemNs} 0 ${t.voluntarySwitches + t.involuntarySwitches}\n`;
  }),
  sessionid: text(() => "4294967295"),
  setgroups: text(() => "allow\n"),
  smaps: secret((task, reader) => showSmaps(reader, task), 0o444),
  smaps_rollup: secret((task) => showSmapsRollup(task), 0o444),
  stat: text((task) => showStat(task, false)),
  statm: text((task) => showStatm(task)),
  status: text((task) => showStatus(task)),
  syscall: secret((task) =>
    `${task.state === "running" ? "running" : `${self(task).syscall} 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0`}\n`
  ),
  uid_map: text(() => idMap()),
  wchan: text(() => "0"),
}));

const PROCESS_ENTRIES: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  ...THREAD_ENTRIES,
  ["stat", text((task) => showStat(task, true))],
  ["task", (n) => new ThreadsDirectory(n.superBlock, n.task, n.owner)],
]);

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
    const node = taskDirectory(this.superBlock, thread, THREAD_ENTRIES);
    this.#nodes.set(pid, { task: thread, node });
    return node;
  }
  protected override *entries(position: number): Iterable<{ name: string; at: number }> {
    const pids = [...this.#task.group.threads].map((thread) => thread.pid);
    if (pids.length === 0) pids.push(this.#task.pid); // A zombie shows its leader.
    for (const pid of pids.sort((a, b) => a - b)) if (pid >= position) yield { name: String(pid), at: pid };
  }
}

function taskDirectory(
  superBlock: PseudoSuperBlock,
  task: Task,
  entries: ReadonlyMap<string, Entry>,
): PseudoInode {
  const nodes = new TaskNodes(superBlock, task);
  return new SharedTableDirectory(superBlock, entries, nodes, nodes.owner);
}

/** The directory of a process, seen through its thread `task`. */
export function processDirectory(superBlock: PseudoSuperBlock, task: Task): PseudoInode {
  return taskDirectory(superBlock, task, PROCESS_ENTRIES);
}
