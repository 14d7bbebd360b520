// SPDX-License-Identifier: Apache-2.0
// procfs: the file system type and the root directory: processes by number beside the files about the system.
// One instance serves a kernel. Source: proc(5).

import {
  type DirEntry,
  type File,
  type FileSystemType,
  type Inode,
  type Path,
  type StatFs,
} from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { direntType, DT_DIR } from "../../include/uapi/stat.ts";
import { EINVAL } from "../../lib/errno.ts";
import { DirectoryFile } from "../libfs.ts";
import { allocateAnonymousDevice, SimpleSuperBlock } from "../super.ts";
import { processDirectory } from "./base.ts";
import {
  currentTask,
  LinkInode,
  type NodeMaker,
  type PseudoSuperBlock,
  TableDirectory,
  TextInode,
} from "../pseudo.ts";
import { sysctlDirectory } from "./proc_sysctl.ts";
import {
  showCpuinfo,
  showDevices,
  showFilesystems,
  showLoadavg,
  showMeminfo,
  showPartitions,
  showStatFile,
  showUptime,
  showVersion,
  showVmstat,
  TTY_DRIVERS,
} from "./system.ts";

const PROC_SUPER_MAGIC = 0x9fa0;
/** Positions of processes in the root directory start here, after its own files. */
const FIRST_PROCESS_POSITION = 256;

class ProcSuperBlock extends SimpleSuperBlock implements PseudoSuperBlock {
  readonly kernel: Kernel;
  constructor(kernel: Kernel) {
    super({ type: procFileSystem, dev: allocateAnonymousDevice(kernel), magic: PROC_SUPER_MAGIC });
    this.kernel = kernel;
    this.root = new ProcRoot(this);
  }
  override statfs(): StatFs {
    return super.statfs();
  }
}

class ProcRoot extends TableDirectory {
  readonly #processes = new WeakMap<Task, Inode>();

  constructor(superBlock: PseudoSuperBlock) {
    super(superBlock, systemEntries(superBlock));
  }

  override lookup(name: string): Inode | undefined {
    return super.lookup(name) ?? this.#process(name);
  }

  #process(name: string): Inode | undefined {
    if (!/^[1-9][0-9]{0,9}$/.test(name)) return undefined;
    const task = this.kernel.tasks.find(Number(name));
    if (task === undefined) return undefined;
    const known = this.#processes.get(task);
    if (known !== undefined) return known;
    const node = processDirectory(this.superBlock, task);
    this.#processes.set(task, node);
    return node;
  }

  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    let isGoingOn = true;
    super.iterate(
      Math.min(position, FIRST_PROCESS_POSITION),
      (entry, next) => (isGoingOn = emit(entry, next)),
    );
    if (!isGoingOn) return;
    const pids: number[] = [];
    for (const task of this.kernel.tasks.all()) if (task.group.leader === task) pids.push(task.pid);
    for (const pid of pids.sort((a, b) => a - b)) {
      const at = FIRST_PROCESS_POSITION + pid;
      if (at < position) continue;
      const node = this.#process(String(pid));
      if (node === undefined) continue;
      if (!emit({ name: String(pid), ino: node.ino, type: direntType(node.mode) || DT_DIR }, at + 1)) return;
    }
  }

  override open(_task: Task, path: Path, flags: number): File {
    return new DirectoryFile(path, flags);
  }
}

function systemEntries(superBlock: PseudoSuperBlock): Record<string, NodeMaker> {
  const { kernel } = superBlock;
  const text = (show: (reader: Task) => string, mode = 0o444): NodeMaker => () =>
    new TextInode(superBlock, show, { mode });
  const link = (target: () => string): NodeMaker => () => new LinkInode(superBlock, target);
  return {
    cgroups: text(() => "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
    cmdline: text(() => "\n"),
    cpuinfo: text(() => showCpuinfo(kernel)),
    devices: text(() => showDevices(kernel)),
    diskstats: text(() => ""),
    filesystems: text((reader) => showFilesystems(reader)),
    interrupts: text(() => "           CPU0       \n"),
    loadavg: text(() => showLoadavg(kernel)),
    meminfo: text(() => showMeminfo(kernel)),
    modules: text(() => ""),
    mounts: link(() => "self/mounts"),
    net: link(() => "self/net"),
    partitions: text(() => showPartitions(kernel)),
    self: link(() => String(currentTask(kernel).tgid)),
    stat: text(() => showStatFile(kernel)),
    swaps: text(() => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    sys: () => sysctlDirectory(superBlock),
    "thread-self": link(() => `${currentTask(kernel).tgid}/task/${currentTask(kernel).pid}`),
    tty: () => new TableDirectory(superBlock, { drivers: text(() => TTY_DRIVERS) }),
    uptime: text(() => showUptime(kernel)),
    version: text(() => showVersion(kernel)),
    vmstat: text(() => showVmstat(kernel)),
  };
}

const PROC = new StateKey<ProcSuperBlock>("proc");

/** Options that change nothing here: every process may see every other's numbers. */
function checkOptions(data: string): void {
  for (const option of data.split(",")) {
    if (option === "" || option === "hidepid=0" || option === "hidepid=off" || option.startsWith("gid=")) {
      continue;
    }
    throw EINVAL;
  }
}

export const procFileSystem: FileSystemType = {
  name: "proc",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- everything is in memory
  *mount(task: Task, _source: string, _flags: number, data: string): Sleeps<ProcSuperBlock> {
    checkOptions(data);
    return task.kernel.state(PROC, () => new ProcSuperBlock(task.kernel));
  },
};
