// SPDX-License-Identifier: Apache-2.0
// System V semaphores. An operation on several semaphores of a set happens all at once or not at all; sleepers are
// tried again in the order of their arrival whenever a value changes. Source: semget(2), semop(2), semctl(2).

import {
  bufferIn,
  flagsOf,
  int,
  long,
  pointer,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import { type Sleeps, WAIT_BLOCKED } from "../include/linux/wait.ts";
import { E2BIG, EAGAIN, EFBIG, EIDRM, EINTR, EINVAL, ENOSPC, ERANGE, Errno } from "../lib/errno.ts";
import { viewOf, writeS64 } from "../lib/little-view.ts";
import { self, type TaskStruct, type ThreadGroupStruct } from "../kernel/task.ts";
import { readTimespecNs } from "../kernel/time/timespec.ts";
import { copyOutResult, withBytes } from "../kernel/uaccess.ts";
import { control, type IpcKind, plainCommand } from "./control.ts";
import {
  applyPermissions,
  checkAccess,
  encodePermissions,
  IPC_CREAT,
  IPC_EXCL,
  IPC_NOWAIT,
  IPC_READ,
  IPC_WRITE,
  IpcObject,
  IpcTable,
  secondsNow,
} from "./util.ts";

const SEMMNI = 32000;
const SEMMSL = 32000;
const SEMOPM = 500;
const SEMVMX = 32767;
const SEM_UNDO = 0x1000;
const GETPID = 11;
const GETVAL = 12;
const GETALL = 13;
const GETNCNT = 14;
const GETZCNT = 15;
const SETVAL = 16;
const SETALL = 17;
const SEM_STAT = 18;

interface Operation {
  readonly index: number;
  readonly delta: number;
  readonly flags: number;
}

interface Sleeper {
  readonly task: TaskStruct;
  readonly operations: readonly Operation[];
  /** 0 when done, an Errno when it cannot be; undefined while it waits. */
  answer: Errno | 0 | undefined;
  /** The semaphore it stands at, and whether it waits for zero. */
  blockedAt: Operation | undefined;
}

class SemaphoreSet extends IpcObject {
  readonly values: Int32Array;
  readonly pids: Int32Array;
  readonly sleepers = new Set<Sleeper>();
  operationTime = 0;

  constructor(task: Task, id: number, key: number, flags: number, count: number) {
    super(task, id, key, flags);
    this.values = new Int32Array(count);
    this.pids = new Int32Array(count);
  }

  /** Does all operations, or none and says which one must wait. Throws ERANGE, EFBIG. */
  attempt(task: TaskStruct, operations: readonly Operation[]): Operation | undefined {
    const before = this.values.slice();
    for (const operation of operations) {
      const value = this.values[operation.index]!;
      const isBlocked = operation.delta === 0 ? value !== 0 : value + operation.delta < 0;
      const isTooLarge = value + operation.delta > SEMVMX;
      if (isBlocked || isTooLarge) {
        this.values.set(before);
        if (isTooLarge) throw ERANGE;
        return operation;
      }
      this.values[operation.index] = value + operation.delta;
    }
    for (const { index, delta, flags } of operations) {
      this.pids[index] = task.tgid;
      if ((flags & SEM_UNDO) !== 0) undoOf(task).add(this, index, -delta);
    }
    this.operationTime = secondsNow(task);
    return undefined;
  }

  /** A value has changed: sleepers try again, over and over until none can go on. */
  wakeSleepers(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const sleeper of this.sleepers) {
        try {
          sleeper.blockedAt = this.attempt(sleeper.task, sleeper.operations);
          if (sleeper.blockedAt !== undefined) continue;
          sleeper.answer = 0;
        } catch (error) {
          sleeper.answer = error instanceof Errno ? error : EINVAL;
        }
        changed = true;
        this.sleepers.delete(sleeper);
        sleeper.task.wake();
      }
    }
  }

  waiting(index: number, forZero: boolean): number {
    let count = 0;
    for (const { blockedAt } of this.sleepers) {
      if (blockedAt?.index === index && (blockedAt.delta === 0) === forZero) count++;
    }
    return count;
  }
}

/** What a process takes back at its end. */
class UndoList {
  readonly #adjustments = new Map<SemaphoreSet, Map<number, number>>();

  add(set: SemaphoreSet, index: number, delta: number): void {
    let ofSet = this.#adjustments.get(set);
    if (ofSet === undefined) this.#adjustments.set(set, ofSet = new Map());
    ofSet.set(index, (ofSet.get(index) ?? 0) + delta);
  }

  /** SETVAL and SETALL forget adjustments of that semaphore, or of all. */
  forget(set: SemaphoreSet, index: number | undefined): void {
    if (index === undefined) this.#adjustments.delete(set);
    else this.#adjustments.get(set)?.delete(index);
  }

  apply(pid: number): void {
    for (const [set, ofSet] of this.#adjustments) {
      if (set.isRemoved) continue;
      for (const [index, delta] of ofSet) {
        if (delta === 0) continue;
        set.values[index] = Math.min(SEMVMX, Math.max(0, set.values[index]! + delta));
        set.pids[index] = pid;
      }
      set.wakeSleepers();
    }
    this.#adjustments.clear();
  }
}

class Semaphores implements IpcKind<SemaphoreSet> {
  readonly table = new IpcTable<SemaphoreSet>(SEMMNI);
  readonly statCommand = SEM_STAT;
  readonly structBytes = 104;
  /** Threads of a process share one list, as the C library's CLONE_SYSVSEM asks for. */
  readonly undos = new Map<ThreadGroupStruct, UndoList>();

  /** struct semid64_ds. */
  encode(set: SemaphoreSet): Uint8Array {
    const bytes = new Uint8Array(this.structBytes);
    const view = viewOf(bytes);
    encodePermissions(view, set);
    writeS64(view, 48, set.operationTime);
    writeS64(view, 64, set.changeTime);
    writeS64(view, 80, set.values.length);
    return bytes;
  }

  /** struct seminfo: semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem. */
  info(isUsage: boolean): Uint8Array {
    const bytes = new Uint8Array(40);
    const view = viewOf(bytes);
    const sets = this.table.all();
    const total = sets.reduce((sum, set) => sum + set.values.length, 0);
    const usz = isUsage ? sets.length : 20;
    const aem = isUsage ? total : SEMVMX;
    [SEMMNI * SEMMSL, SEMMNI, SEMMNI * SEMMSL, SEMMNI * SEMMSL, SEMMSL, SEMOPM, SEMOPM, usz, SEMVMX, aem]
      .forEach((value, index) => view.setInt32(index * 4, value));
    return bytes;
  }

  set(task: Task, set: SemaphoreSet, bytes: Uint8Array): void {
    applyPermissions(task, set, bytes);
  }

  remove(set: SemaphoreSet): void {
    this.table.remove(set);
    for (const sleeper of set.sleepers) {
      sleeper.answer = EIDRM;
      sleeper.task.wake();
    }
    set.sleepers.clear();
  }
}

const SEMAPHORES = new StateKey<Semaphores>("ipc-sem");

function semaphoresOf(kernel: Kernel): Semaphores {
  return kernel.state(SEMAPHORES, () => new Semaphores());
}

function undoOf(task: TaskStruct): UndoList {
  const { undos } = semaphoresOf(task.kernel);
  const { group } = task;
  let undo = undos.get(group);
  if (undo !== undefined) return undo;
  const made = undo = new UndoList();
  undos.set(group, undo);
  group.exitHooks.add(() => {
    undos.delete(group);
    made.apply(group.tgid);
  });
  return undo;
}

function decodeOperations(bytes: Uint8Array): Operation[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / 6 }, (_, index) => ({
    index: view.getUint16(index * 6),
    delta: (view.getUint16(index * 6 + 2) << 16) >> 16,
    flags: view.getUint16(index * 6 + 4),
  }));
}

function semop(
  task: Task,
  id: number,
  address: number,
  count: number,
  timeoutNs: number | undefined,
): SyscallAnswer {
  if (count < 1 || id < 0) throw EINVAL;
  if (count > SEMOPM) throw E2BIG;
  return withBytes(task, address, count * 6, (bytes) => {
    const operations = decodeOperations(bytes);
    const set = semaphoresOf(task.kernel).table.get(id);
    if (operations.some(({ index }) => index >= set.values.length)) throw EFBIG;
    checkAccess(task, set, operations.some(({ delta }) => delta !== 0) ? IPC_WRITE : IPC_READ);
    const target = self(task);
    const blockedAt = set.attempt(target, operations);
    if (blockedAt === undefined) {
      set.wakeSleepers();
      return 0;
    }
    if ((blockedAt.flags & IPC_NOWAIT) !== 0 || timeoutNs === 0) throw EAGAIN;
    return sleep(set, { task: target, operations, answer: undefined, blockedAt }, timeoutNs);
  });
}

function* sleep(set: SemaphoreSet, sleeper: Sleeper, timeoutNs: number | undefined): Sleeps<number> {
  const { task } = sleeper;
  const { time } = task.kernel;
  const deadlineNs = timeoutNs === undefined ? Infinity : time.monotonicNs() + timeoutNs;
  const timer = timeoutNs === undefined ? undefined : time.addTimer(deadlineNs, () => task.wake());
  set.sleepers.add(sleeper);
  try {
    for (;;) {
      yield WAIT_BLOCKED;
      const { answer } = sleeper;
      if (answer === 0) {
        set.wakeSleepers();
        return 0;
      }
      if (answer !== undefined) throw answer;
      if (task.hasSignal) throw EINTR;
      if (time.monotonicNs() >= deadlineNs) throw EAGAIN;
    }
  } finally {
    timer?.cancel();
    set.sleepers.delete(sleeper);
  }
}

function setAll(task: Task, set: SemaphoreSet, address: number): SyscallAnswer {
  checkAccess(task, set, IPC_WRITE);
  return withBytes(task, address, set.values.length * 2, (bytes) => {
    const view = viewOf(bytes);
    const values = Array.from(set.values, (_, index) => view.getUint16(index * 2));
    if (values.some((value) => value > SEMVMX)) throw ERANGE;
    set.values.set(values);
    set.pids.fill(task.tgid);
    afterSet(task, set, undefined);
    return 0;
  });
}

function afterSet(task: Task, set: SemaphoreSet, index: number | undefined): void {
  for (const undo of semaphoresOf(task.kernel).undos.values()) undo.forget(set, index);
  set.changeTime = secondsNow(task);
  set.wakeSleepers();
}

function setValue(task: Task, set: SemaphoreSet, index: number, value: number): number {
  checkAccess(task, set, IPC_WRITE);
  if (value < 0 || value > SEMVMX) throw ERANGE;
  set.values[index] = value;
  set.pids[index] = task.tgid;
  afterSet(task, set, index);
  return 0;
}

function getAll(task: Task, set: SemaphoreSet, address: number): SyscallAnswer {
  checkAccess(task, set, IPC_READ);
  const bytes = new Uint8Array(set.values.length * 2);
  const view = viewOf(bytes);
  set.values.forEach((value, index) => view.setUint16(index * 2, value));
  return copyOutResult(task, address, bytes);
}

function ofOne(task: Task, set: SemaphoreSet, index: number, command: number, value: number): number {
  if (index < 0 || index >= set.values.length) throw EINVAL;
  if (command === SETVAL) return setValue(task, set, index, value);
  checkAccess(task, set, IPC_READ);
  if (command === GETVAL) return set.values[index]!;
  if (command === GETPID) return set.pids[index]!;
  return set.waiting(index, command === GETZCNT);
}

function semctl(task: Task, id: number, index: number, rawCommand: number, argument: number): SyscallAnswer {
  const semaphores = semaphoresOf(task.kernel);
  const { table } = semaphores;
  const command = plainCommand(rawCommand);
  const answer = control(task, semaphores, id, command, argument);
  if (answer !== undefined) return answer;
  switch (command) {
    case GETALL:
      return getAll(task, table.get(id), argument);
    case SETALL:
      return setAll(task, table.get(id), argument);
    case GETVAL:
    case SETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
      return ofOne(task, table.get(id), index, command, argument | 0);
    default:
      throw EINVAL;
  }
}

export const semSyscalls: readonly Syscall[] = [
  syscall("semget", [int, int, flagsOf({ IPC_CREAT, IPC_EXCL })], (task, key, count, flags) => {
    if (count < 0 || count > SEMMSL) throw EINVAL;
    const { table } = semaphoresOf(task.kernel);
    return table.open(task, key, flags, (found) => {
      if (count > found.values.length) throw EINVAL;
    }, (id) => {
      if (count === 0) throw EINVAL;
      if (count > SEMMSL) throw ENOSPC;
      return new SemaphoreSet(task, id, key, flags, count);
    });
  }),
  syscall(
    "semop",
    [int, bufferIn, uint],
    (task, id, address, count) => semop(task, id, address, count, undefined),
  ),
  syscall("semtimedop", [int, bufferIn, uint, pointer], (task, id, address, count, timeoutAt) => {
    if (timeoutAt === 0) return semop(task, id, address, count, undefined);
    return withBytes(
      task,
      timeoutAt,
      16,
      (bytes) => semop(task, id, address, count, readTimespecNs(viewOf(bytes), 0)),
    );
  }),
  syscall("semctl", [int, int, int, long], semctl),
];
