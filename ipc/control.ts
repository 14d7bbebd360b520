// SPDX-License-Identifier: Apache-2.0
// What msgctl, semctl and shmctl do alike: what there is, one object's state, its owner and mode, its end. Source: svipc(7),
// msgctl(2), semctl(2), shmctl(2).

import type { Task } from "../include/linux/sched.ts";
import type { SyscallAnswer } from "../include/linux/syscalls.ts";
import { copyOutResult, withBytes } from "../kernel/uaccess.ts";
import {
  checkAccess,
  checkOwner,
  IPC_INFO,
  IPC_READ,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  type IpcObject,
  type IpcTable,
} from "./util.ts";

const IPC_64 = 0x100;

/** All objects of one kind, and what is particular to it. */
export interface IpcKind<T extends IpcObject> {
  readonly table: IpcTable<T>;
  /** The number of *_STAT; *_INFO and *_STAT_ANY are the two after it. */
  readonly statCommand: number;
  /** Of struct *id_ds. */
  readonly structBytes: number;
  /** That structure. */
  encode(object: T): Uint8Array;
  /** What IPC_INFO copies out, or *_INFO: what is in use. */
  info(isUsage: boolean): Uint8Array;
  /** IPC_SET from that structure. */
  set(task: Task, object: T, bytes: Uint8Array): void;
  remove(object: T): void;
}

/** The command without the flag for the structures that are the only ones here. */
export function plainCommand(rawCommand: number): number {
  return rawCommand & ~IPC_64;
}

/** undefined for a command that is the kind's own. */
export function control<T extends IpcObject>(
  task: Task,
  kind: IpcKind<T>,
  id: number,
  command: number,
  address: number,
): SyscallAnswer | undefined {
  const { table, statCommand } = kind;
  switch (command) {
    case IPC_INFO:
    case statCommand + 1:
      return copyOutResult(task, address, kind.info(command !== IPC_INFO), table.highest);
    case IPC_STAT:
    case statCommand:
    case statCommand + 2: {
      const object = command === IPC_STAT ? table.get(id) : table.at(id);
      if (command !== statCommand + 2) checkAccess(task, object, IPC_READ);
      return copyOutResult(task, address, kind.encode(object), command === IPC_STAT ? 0 : object.id);
    }
    case IPC_SET: {
      const object = table.get(id);
      return withBytes(task, address, kind.structBytes, (bytes) => {
        kind.set(task, object, bytes);
        return 0;
      });
    }
    case IPC_RMID: {
      const object = table.get(id);
      checkOwner(task, object);
      kind.remove(object);
      return 0;
    }
    default:
      return undefined;
  }
}
