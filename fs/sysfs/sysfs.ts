// SPDX-License-Identifier: Apache-2.0
// sysfs: what programs look for to learn about processors, memory nodes and kernel features. Source: sysfs(5).
// One instance serves a kernel; drivers may add to it through `sysfsDirectory`.

import { type BlockDevice, blockDevices } from "../../block/blk.ts";
import type { FileSystemType, Inode } from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import {
  DynamicDirectory,
  LinkInode,
  type NodeMaker,
  type PseudoSuperBlock,
  TableDirectory,
  TextInode,
} from "../pseudo.ts";
import { majorOf, minorOf } from "../../include/uapi/stat.ts";
import { allocateAnonymousDevice, SimpleSuperBlock } from "../super.ts";

const SYSFS_MAGIC = 0x6265_6572;

class SysfsSuperBlock extends SimpleSuperBlock implements PseudoSuperBlock {
  readonly kernel: Kernel;
  constructor(kernel: Kernel) {
    super({ type: sysFileSystem, dev: allocateAnonymousDevice(kernel), magic: SYSFS_MAGIC });
    this.kernel = kernel;
    this.root = new TableDirectory(this, topEntries(this));
  }
}

/** One entry for each disk, as they come and go. */
class DiskDirectory extends DynamicDirectory {
  readonly #nameOf: (disk: BlockDevice) => string;
  readonly #make: (disk: BlockDevice) => Inode;
  readonly #made = new Map<BlockDevice, Inode>();

  constructor(
    superBlock: PseudoSuperBlock,
    nameOf: (disk: BlockDevice) => string,
    make: (disk: BlockDevice) => Inode,
  ) {
    super(superBlock);
    this.#nameOf = nameOf;
    this.#make = make;
  }
  override lookup(name: string): Inode | undefined {
    for (const disk of blockDevices(this.kernel)) {
      if (this.#nameOf(disk) !== name) continue;
      const known = this.#made.get(disk);
      if (known !== undefined) return known;
      const made = this.#make(disk);
      this.#made.set(disk, made);
      return made;
    }
    return undefined;
  }
  protected override *entries(position: number): Iterable<{ name: string; at: number }> {
    let at = 0;
    for (const disk of blockDevices(this.kernel)) {
      if (at >= position) yield { name: this.#nameOf(disk), at };
      at++;
    }
  }
}

const SECTOR_BYTES = 512;

/** /sys/block and its kin: links to the directories in /sys/devices/virtual/block. */
function diskEntries(
  superBlock: PseudoSuperBlock,
): { directories: NodeMaker; links(up: string, byNumber?: true): NodeMaker } {
  const numberOf = (disk: BlockDevice): string => `${majorOf(disk.dev)}:${minorOf(disk.dev)}`;
  const directory = (disk: BlockDevice): Inode => {
    const text = (show: () => string): NodeMaker => () => new TextInode(superBlock, () => `${show()}\n`);
    return new TableDirectory(superBlock, {
      dev: text(() => numberOf(disk)),
      hidden: text(() => "0"),
      queue: () =>
        new TableDirectory(superBlock, {
          hw_sector_size: text(() => String(SECTOR_BYTES)),
          logical_block_size: text(() => String(SECTOR_BYTES)),
          physical_block_size: text(() => String(SECTOR_BYTES)),
          rotational: text(() => "0"),
        }),
      range: text(() => "1"),
      removable: text(() => "0"),
      ro: text(() => (disk.isReadOnly ? "1" : "0")),
      size: text(() => String(Math.floor(disk.sizeBytes / SECTOR_BYTES))),
      uevent: text(() =>
        `MAJOR=${majorOf(disk.dev)}\nMINOR=${minorOf(disk.dev)}\nDEVNAME=${disk.name}\nDEVTYPE=disk`
      ),
    });
  };
  return {
    directories: () => new DiskDirectory(superBlock, (disk) => disk.name, directory),
    links: (up, byNumber) => () =>
      new DiskDirectory(
        superBlock,
        byNumber === true ? numberOf : (disk) => disk.name,
        (disk) => new LinkInode(superBlock, () => `${up}devices/virtual/block/${disk.name}`),
      ),
  };
}

type Entries = Readonly<Record<string, NodeMaker>>;

function topEntries(superBlock: PseudoSuperBlock): Entries {
  const dir = (entries: Entries = {}): NodeMaker => () =>
    new TableDirectory(superBlock, entries, undefined, 0o755);
  const text = (value: string): NodeMaker => () => new TextInode(superBlock, () => `${value}\n`);
  const topology = {
    core_cpus: text("1"),
    core_cpus_list: text("0"),
    core_id: text("0"),
    core_siblings: text("1"),
    core_siblings_list: text("0"),
    die_id: text("0"),
    package_cpus: text("1"),
    package_cpus_list: text("0"),
    physical_package_id: text("0"),
    thread_siblings: text("1"),
    thread_siblings_list: text("0"),
  };
  const memory = (): string => {
    const { totalPages, freePages } = superBlock.kernel.frames;
    const row = (name: string, pages: number): string =>
      `Node 0 ${`${name}:`.padEnd(15)} ${String(pages * 4).padStart(8)} kB`;
    return [row("MemTotal", totalPages), row("MemFree", freePages), row("MemUsed", totalPages - freePages)]
      .join("\n");
  };
  const disks = diskEntries(superBlock);
  return {
    block: disks.links("../"),
    bus: dir(),
    class: dir({ block: disks.links("../../"), mem: dir(), net: dir(), tty: dir() }),
    dev: dir({ block: disks.links("../../", true), char: dir() }),
    devices: dir({
      system: dir({
        cpu: dir({
          cpu0: dir({ topology: dir(topology) }),
          isolated: text(""),
          kernel_max: text("0"),
          offline: text(""),
          online: text("0"),
          possible: text("0"),
          present: text("0"),
        }),
        node: dir({
          has_cpu: text("0"),
          has_memory: text("0"),
          has_normal_memory: text("0"),
          online: text("0"),
          possible: text("0"),
          node0: dir({
            cpulist: text("0"),
            cpumap: text("1"),
            distance: text("10"),
            meminfo: () => new TextInode(superBlock, () => `${memory()}\n`),
          }),
        }),
      }),
      virtual: dir({ block: disks.directories }),
    }),
    firmware: dir(),
    fs: dir({ cgroup: dir() }),
    kernel: dir({
      mm: dir({
        transparent_hugepage: dir({
          enabled: text("always madvise [never]"),
          defrag: text("always defer defer+madvise madvise [never]"),
        }),
      }),
    }),
    module: dir(),
    power: dir(),
  };
}

const SYSFS = new StateKey<SysfsSuperBlock>("sysfs");

export const sysFileSystem: FileSystemType = {
  name: "sysfs",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- everything is in memory
  *mount(task: Task): Sleeps<SysfsSuperBlock> {
    return task.kernel.state(SYSFS, () => new SysfsSuperBlock(task.kernel));
  },
};
