// SPDX-License-Identifier: Apache-2.0
// System V shared memory: segments are nameless memory files; attaching maps them. Source: shmget(2), shmop(2),
// shmctl(2).
//
// A segment holds one reference to its file, each mapping another. A removed segment (SHM_DEST) keeps its id while
// someone has it attached.

import {
  bufferOut,
  flagsOf,
  hex,
  int,
  pointer,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import type { File } from "../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../include/uapi/mman.ts";
import { EEXIST, EINVAL } from "../lib/errno.ts";
import { viewOf, writeS64 } from "../lib/little-view.ts";
import { mmOf } from "../kernel/task.ts";
import { createShmemFile, type ShmemFile } from "../mm/shmem_file.ts";
import { control, type IpcKind, plainCommand } from "./control.ts";
import {
  applyPermissions,
  checkAccess,
  checkOwner,
  encodePermissions,
  IPC_CREAT,
  IPC_EXCL,
  IPC_READ,
  IPC_WRITE,
  IpcObject,
  IpcTable,
  secondsNow,
} from "./util.ts";

const SHMMNI = 4096;
const SHMMAX = Number.MAX_SAFE_INTEGER;
const SHMLBA = 4096;
const SHM_RDONLY = 0o10000;
const SHM_RND = 0o20000;
const SHM_REMAP = 0o40000;
const SHM_EXEC = 0o100000;
const SHM_HUGETLB = 0o4000;
const SHM_DEST = 0o1000;
const SHM_LOCK = 11;
const SHM_UNLOCK = 12;
const SHM_STAT = 13;

class Segment extends IpcObject {
  readonly sizeBytes: number;
  readonly file: ShmemFile;
  readonly creatorPid: number;
  lastPid = 0;
  attachTime = 0;
  detachTime = 0;

  constructor(task: Task, id: number, key: number, flags: number, sizeBytes: number) {
    super(task, id, key, flags);
    this.sizeBytes = sizeBytes;
    this.creatorPid = task.tgid;
    const name = `/SYSV${(key >>> 0).toString(16).padStart(8, "0")} (deleted)`;
    this.file = createShmemFile(task.kernel, name, sizeBytes);
  }

  get attached(): number {
    return this.file.inode.mapping?.mappings.size ?? 0;
  }
}

class Segments implements IpcKind<Segment> {
  readonly table = new IpcTable<Segment>(SHMMNI);
  readonly statCommand = SHM_STAT;
  readonly structBytes = 112;
  readonly byFile = new Map<File, Segment>();
  /** Removed while attached: they keep their ids until the last one detaches. */
  readonly #dying = new Set<Segment>();

  open(task: Task, key: number, sizeBytes: number, flags: number): number {
    this.sweep();
    return this.table.open(task, key, flags, (found) => {
      if (sizeBytes > found.sizeBytes) throw EINVAL;
    }, (id) => {
      if (sizeBytes < 1 || sizeBytes > SHMMAX) throw EINVAL;
      const segment = new Segment(task, id, key, flags, sizeBytes);
      this.byFile.set(segment.file, segment);
      return segment;
    });
  }

  get(id: number): Segment {
    this.sweep();
    return this.table.get(id);
  }

  /** struct shmid64_ds. */
  encode(segment: Segment): Uint8Array {
    const bytes = new Uint8Array(this.structBytes);
    const view = viewOf(bytes);
    encodePermissions(view, segment, segment.isRemoved ? SHM_DEST : 0);
    [segment.sizeBytes, segment.attachTime, segment.detachTime, segment.changeTime].forEach(
      (value, index) => {
        writeS64(view, 48 + index * 8, value);
      },
    );
    view.setInt32(80, segment.creatorPid);
    view.setInt32(84, segment.lastPid);
    writeS64(view, 88, segment.attached);
    return bytes;
  }

  /** struct shminfo64, or struct shm_info: used_ids, shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes. */
  info(isUsage: boolean): Uint8Array {
    const bytes = new Uint8Array(isUsage ? 48 : 72);
    const view = viewOf(bytes);
    if (isUsage) {
      const all = this.table.all();
      const pages = all.reduce((sum, segment) => sum + Math.ceil(segment.sizeBytes / 4096), 0);
      view.setInt32(0, all.length);
      writeS64(view, 8, pages);
      writeS64(view, 16, pages);
    } else {
      [SHMMAX, 1, SHMMNI, SHMMNI, SHMMAX].forEach((value, index) => writeS64(view, index * 8, value));
    }
    return bytes;
  }

  set(task: Task, segment: Segment, bytes: Uint8Array): void {
    applyPermissions(task, segment, bytes);
  }

  remove(segment: Segment): void {
    if (segment.isRemoved) return;
    segment.isRemoved = true;
    // Whoever has it attached holds the pages.
    segment.file.put();
    this.#dying.add(segment);
    this.sweep();
  }

  sweep(): void {
    for (const segment of this.#dying) {
      if (segment.attached > 0) continue;
      this.#dying.delete(segment);
      this.byFile.delete(segment.file);
      this.table.remove(segment);
    }
  }
}

const SEGMENTS = new StateKey<Segments>("ipc-shm");

function segmentsOf(kernel: Kernel): Segments {
  return kernel.state(SEGMENTS, () => new Segments());
}

function* shmat(task: Task, id: number, address: number, flags: number): Sleeps<number> {
  const segment = segmentsOf(task.kernel).get(id);
  const isReadOnly = (flags & SHM_RDONLY) !== 0;
  checkAccess(task, segment, isReadOnly ? IPC_READ : IPC_READ | IPC_WRITE);
  let at = address;
  if (at % SHMLBA !== 0) {
    if ((flags & SHM_RND) === 0) throw EINVAL;
    at -= at % SHMLBA;
  }
  if (at === 0 && (flags & SHM_REMAP) !== 0) throw EINVAL;
  let prot = isReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  if ((flags & SHM_EXEC) !== 0) prot |= PROT_EXEC;
  const place = at === 0 ? 0 : (flags & SHM_REMAP) !== 0 ? MAP_FIXED : MAP_FIXED | MAP_FIXED_NOREPLACE;
  try {
    const mapped = yield* mmOf(task).mmap(
      task,
      at,
      segment.sizeBytes,
      prot,
      MAP_SHARED | place,
      segment.file,
      0,
    );
    segment.attachTime = secondsNow(task);
    segment.lastPid = task.tgid;
    return mapped;
  } catch (error) {
    throw error === EEXIST ? EINVAL : error;
  }
}

function shmdt(task: Task, address: number): number {
  const segments = segmentsOf(task.kernel);
  const mm = mmOf(task);
  const first = mm.findVma(address);
  if (first === undefined || first.start !== address || first.file === undefined) throw EINVAL;
  const segment = segments.byFile.get(first.file);
  if (segment === undefined) throw EINVAL;
  // All areas that this attachment has become (mprotect may have cut it).
  const areas = [...mm.vmas()].filter((vma) =>
    vma.file === segment.file && vma.start - vma.offset === address - first.offset
  );
  for (const vma of areas) mm.munmap(vma.start, vma.end - vma.start);
  segment.detachTime = secondsNow(task);
  segment.lastPid = task.tgid;
  segments.sweep();
  return 0;
}

function shmctl(task: Task, id: number, rawCommand: number, address: number): SyscallAnswer {
  const segments = segmentsOf(task.kernel);
  segments.sweep();
  const command = plainCommand(rawCommand);
  const answer = control(task, segments, id, command, address);
  if (answer !== undefined) return answer;
  if (command !== SHM_LOCK && command !== SHM_UNLOCK) throw EINVAL;
  checkOwner(task, segments.get(id));
  return 0;
}

export const shmSyscalls: readonly Syscall[] = [
  syscall("shmget", [int, size, flagsOf({ IPC_CREAT, IPC_EXCL })], (task, key, bytes, flags) => {
    if ((flags & SHM_HUGETLB) !== 0) throw EINVAL;
    return segmentsOf(task.kernel).open(task, key, bytes, flags);
  }, { level: "partial", missing: "SHM_HUGETLB" }),
  syscall("shmat", [int, pointer, hex], shmat),
  syscall("shmdt", [pointer], shmdt),
  syscall("shmctl", [int, int, bufferOut], shmctl, {
    level: "partial",
    missing: "SHM_LOCK has no effect: there is no swap",
  }),
];
