// SPDX-License-Identifier: Apache-2.0
// devpts: a directory with one node for each pseudoterminal in use, and ptmx. Source: pts(4), mount(8) options of devpts.
//
// One instance serves a kernel (as before Linux 4.7, or with a single mount): every mount shows the same terminals.

import {
  type AttributeChange,
  type DirEntry,
  type FileSystemType,
  Inode,
  type SuperBlock,
} from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { DT_CHR, makeDevice, S_IFCHR, S_IFDIR } from "../../include/uapi/stat.ts";
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR } from "../../include/uapi/tty.ts";
import { EINVAL } from "../../lib/errno.ts";
import { applyAttributes } from "../libfs.ts";
import { allocateAnonymousDevice, SimpleSuperBlock } from "../super.ts";

const DEVPTS_SUPER_MAGIC = 0x1cd1;
const PTMX_INO = 2;
const FIRST_SLAVE_INO = 3;
/** Positions of iterate: ptmx, then slave N at N + 1. */
const PTMX_POSITION = 0;

const DEVPTS: StateKey<DevPts> = new StateKey("fs.devpts");

interface Options {
  uid: number | undefined;
  gid: number | undefined;
  mode: number;
  ptmxMode: number;
}

class DevPtsNode extends Inode {
  readonly superBlock: SuperBlock;
  readonly ino: number;

  constructor(kernel: Kernel, superBlock: SuperBlock, ino: number, mode: number, rdev: number) {
    super();
    this.superBlock = superBlock;
    this.ino = ino;
    this.mode = mode;
    this.rdev = rdev;
    this.atime = this.mtime = this.ctime = kernel.time.realtime();
  }

  override setAttributes(change: AttributeChange): void {
    applyAttributes(this, change);
  }
}

class DevPtsRoot extends DevPtsNode {
  readonly nodes: Map<string, DevPtsNode> = new Map();

  override get isCacheable(): boolean {
    return false;
  }
  override lookup(name: string): Inode | undefined {
    return this.nodes.get(name);
  }
  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    const entries = [...this.nodes].map(([name, node]) => ({
      name,
      node,
      at: name === "ptmx" ? PTMX_POSITION : Number(name) + 1,
    }));
    entries.sort((one, other) => one.at - other.at);
    for (const { name, node, at } of entries) {
      if (at >= position && !emit({ name, ino: node.ino, type: DT_CHR }, at + 1)) return;
    }
  }
}

export class DevPts {
  readonly superBlock: SimpleSuperBlock;
  readonly #kernel: Kernel;
  readonly #root: DevPtsRoot;
  readonly #options: Options = { uid: undefined, gid: undefined, mode: 0o600, ptmxMode: 0 };

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const options = { type: devPtsType, dev: allocateAnonymousDevice(kernel), magic: DEVPTS_SUPER_MAGIC };
    this.superBlock = new SimpleSuperBlock(options);
    this.superBlock.showOptions = () => this.#showOptions();
    this.#root = new DevPtsRoot(kernel, this.superBlock, 1, S_IFDIR | 0o755, 0);
    this.#root.nlink = 2;
    this.superBlock.root = this.#root;
    const ptmx = new DevPtsNode(kernel, this.superBlock, PTMX_INO, S_IFCHR, makeDevice(TTYAUX_MAJOR, 2));
    this.#root.nodes.set("ptmx", ptmx);
  }

  add(task: Task, index: number): void {
    const rdev = makeDevice(UNIX98_PTY_SLAVE_MAJOR, index);
    const node = new DevPtsNode(
      this.#kernel,
      this.superBlock,
      FIRST_SLAVE_INO + index,
      S_IFCHR | this.#options.mode,
      rdev,
    );
    node.uid = this.#options.uid ?? task.cred.fsuid;
    node.gid = this.#options.gid ?? task.cred.fsgid;
    this.#root.nodes.set(String(index), node);
  }

  remove(index: number): void {
    this.#root.nodes.delete(String(index));
  }

  /** The option string of mount(2): uid=, gid=, mode=, ptmxmode=, max=, newinstance. Throws EINVAL. */
  configure(data: string): void {
    for (const option of data.split(",")) {
      if (option === "" || option === "newinstance") continue;
      const [name, value] = option.split("=");
      const isOctal = name === "mode" || name === "ptmxmode";
      const number = Number.parseInt(value ?? "", isOctal ? 8 : 10);
      if (Number.isNaN(number)) throw EINVAL;
      switch (name) {
        case "uid":
          this.#options.uid = number;
          break;
        case "gid":
          this.#options.gid = number;
          break;
        case "mode":
          this.#options.mode = number & 0o7777;
          break;
        case "ptmxmode":
          this.#setPtmxMode(number & 0o7777);
          break;
        case "max":
          break;
        default:
          throw EINVAL;
      }
    }
  }

  #setPtmxMode(mode: number): void {
    this.#options.ptmxMode = mode;
    const ptmx = this.#root.nodes.get("ptmx");
    if (ptmx !== undefined) ptmx.mode = S_IFCHR | mode;
  }

  #showOptions(): string {
    const { uid, gid, mode, ptmxMode } = this.#options;
    const parts = [
      uid === undefined ? "" : `uid=${uid}`,
      gid === undefined ? "" : `gid=${gid}`,
      `mode=${mode.toString(8).padStart(3, "0")}`,
      `ptmxmode=${ptmxMode.toString(8).padStart(3, "0")}`,
    ];
    return parts.filter((part) => part !== "").join(",");
  }
}

export function devPtsOf(kernel: Kernel): DevPts {
  return kernel.state(DEVPTS, () => new DevPts(kernel));
}

/** "devpts" for Vfs.registerFileSystem. */
export const devPtsType: FileSystemType = {
  name: "devpts",
  needsDevice: false,
  // eslint-disable-next-line require-yield -- answers from memory
  *mount(task: Task, _source: string, _flags: number, data: string): Sleeps<SuperBlock> {
    const instance = devPtsOf(task.kernel);
    instance.configure(data);
    return instance.superBlock;
  },
};
