// SPDX-License-Identifier: Apache-2.0
// System V message queues. Source: msgget(2), msgop(2), msgctl(2).

import {
  bufferIn,
  bufferOut,
  flagsOf,
  int,
  long,
  size,
  type Syscall,
  syscall,
  type SyscallAnswer,
} from "../include/linux/syscalls.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { CAP_SYS_RESOURCE } from "../include/uapi/capability.ts";
import { E2BIG, EAGAIN, EIDRM, EINTR, EINVAL, ENOMSG, EPERM } from "../lib/errno.ts";
import { readS64, readU64, viewOf, words64, writeS64 } from "../lib/little-view.ts";
import { mmOf } from "../kernel/task.ts";
import { withBytes } from "../kernel/uaccess.ts";
import { waitUntil } from "../kernel/wait.ts";
import { capable } from "../security/commoncap.ts";
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

const MSGMNI = 32000;
const MSGMAX = 8192;
const MSGMNB = 16384;
const MSG_NOERROR = 0o10000;
const MSG_EXCEPT = 0o20000;
const MSG_COPY = 0o40000;
const MSG_STAT = 11;

interface Message {
  readonly type: number;
  readonly bytes: Uint8Array;
}

class MessageQueue extends IpcObject {
  readonly messages: Message[] = [];
  readonly queue = new WaitQueue();
  bytes = 0;
  bytesMax = MSGMNB;
  sendTime = 0;
  receiveTime = 0;
  sendPid = 0;
  receivePid = 0;
}

class Queues implements IpcKind<MessageQueue> {
  readonly table = new IpcTable<MessageQueue>(MSGMNI);
  readonly statCommand = MSG_STAT;
  readonly structBytes = 120;

  /** struct msqid64_ds. */
  encode(queue: MessageQueue): Uint8Array {
    const bytes = new Uint8Array(this.structBytes);
    const view = viewOf(bytes);
    encodePermissions(view, queue);
    [queue.sendTime, queue.receiveTime, queue.changeTime, queue.bytes, queue.messages.length, queue.bytesMax]
      .forEach((value, index) => writeS64(view, 48 + index * 8, value));
    view.setInt32(96, queue.sendPid);
    view.setInt32(100, queue.receivePid);
    return bytes;
  }

  /** struct msginfo, 32 bytes: msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql, msgseg. */
  info(isUsage: boolean): Uint8Array {
    const bytes = new Uint8Array(32);
    const view = viewOf(bytes);
    const all = this.table.all();
    const pool = isUsage ? all.length : 0;
    const map = isUsage ? all.reduce((sum, queue) => sum + queue.messages.length, 0) : 0;
    const total = isUsage ? all.reduce((sum, queue) => sum + queue.bytes, 0) : 0;
    [pool, map, MSGMAX, MSGMNB, MSGMNI, 16, total].forEach((value, index) => view.setInt32(index * 4, value));
    return bytes;
  }

  set(task: Task, queue: MessageQueue, bytes: Uint8Array): void {
    const limit = readU64(viewOf(bytes), 88);
    if (limit > MSGMNB && !capable(task, CAP_SYS_RESOURCE)) throw EPERM;
    applyPermissions(task, queue, bytes);
    queue.bytesMax = limit;
    queue.queue.wakeAll(0);
  }

  remove(queue: MessageQueue): void {
    this.table.remove(queue);
    queue.queue.wakeAll(0);
  }
}

const QUEUES = new StateKey<Queues>("ipc-msg");

function queuesOf(kernel: Kernel): Queues {
  return kernel.state(QUEUES, () => new Queues());
}

function* send(task: Task, queue: MessageQueue, message: Message, flags: number): Sleeps<number> {
  yield* waitUntil(task, queue.queue, 0, (): Try<void> => {
    if (queue.isRemoved) throw EIDRM;
    checkAccess(task, queue, IPC_WRITE);
    const fits = queue.bytes + message.bytes.length <= queue.bytesMax
      && queue.messages.length < queue.bytesMax;
    if (!fits) {
      if ((flags & IPC_NOWAIT) !== 0) throw EAGAIN;
      return WOULD_BLOCK;
    }
    queue.messages.push(message);
    queue.bytes += message.bytes.length;
    queue.sendPid = task.tgid;
    queue.sendTime = secondsNow(task);
    return undefined;
  }, { interrupted: EINTR });
  queue.queue.wakeAll(0);
  return 0;
}

function find(queue: MessageQueue, type: number, flags: number): number {
  const { messages } = queue;
  if ((flags & MSG_COPY) !== 0) return type < messages.length ? type : -1;
  if (type === 0) return messages.length > 0 ? 0 : -1;
  if (type > 0) {
    const isExcept = (flags & MSG_EXCEPT) !== 0;
    return messages.findIndex((message) => (message.type === type) !== isExcept);
  }
  let best = -1;
  messages.forEach((message, index) => {
    if (message.type <= -type && (best < 0 || message.type < messages[best]!.type)) best = index;
  });
  return best;
}

function take(task: Task, queue: MessageQueue, length: number, type: number, flags: number): Try<Message> {
  if (queue.isRemoved) throw EIDRM;
  checkAccess(task, queue, IPC_READ);
  const index = find(queue, type, flags);
  const message = queue.messages[index];
  if (message === undefined) {
    if ((flags & IPC_NOWAIT) !== 0) throw ENOMSG;
    return WOULD_BLOCK;
  }
  if (message.bytes.length > length && (flags & MSG_NOERROR) === 0) throw E2BIG;
  if ((flags & MSG_COPY) !== 0) return message;
  queue.messages.splice(index, 1);
  queue.bytes -= message.bytes.length;
  queue.receivePid = task.tgid;
  queue.receiveTime = secondsNow(task);
  queue.queue.wakeAll(0);
  return message;
}

function* receive(
  task: Task,
  id: number,
  address: number,
  length: number,
  type: number,
  flags: number,
): Sleeps<number> {
  if (length > Number.MAX_SAFE_INTEGER || id < 0) throw EINVAL;
  if ((flags & MSG_COPY) !== 0 && ((flags & MSG_EXCEPT) !== 0 || (flags & IPC_NOWAIT) === 0)) throw EINVAL;
  const queue = queuesOf(task.kernel).table.get(id);
  const message = yield* waitUntil(task, queue.queue, 0, () => take(task, queue, length, type, flags), {
    interrupted: EINTR,
  });
  const { user } = mmOf(task);
  const bytes = message.bytes.subarray(0, Math.min(length, message.bytes.length));
  yield* user.copyOut(address, words64(message.type));
  yield* user.copyOut(address + 8, bytes);
  return bytes.length;
}

function msgctl(task: Task, id: number, rawCommand: number, address: number): SyscallAnswer {
  const answer = control(task, queuesOf(task.kernel), id, plainCommand(rawCommand), address);
  if (answer === undefined) throw EINVAL;
  return answer;
}

export const msgSyscalls: readonly Syscall[] = [
  syscall(
    "msgget",
    [int, flagsOf({ IPC_CREAT, IPC_EXCL })],
    (task, key, flags) =>
      queuesOf(task.kernel).table.open(
        task,
        key,
        flags,
        () => {},
        (id) => new MessageQueue(task, id, key, flags),
      ),
  ),
  syscall("msgsnd", [int, bufferIn, size, int], (task, id, address, length, flags) => {
    if (length > MSGMAX || id < 0) throw EINVAL;
    return withBytes(task, address, 8 + length, (bytes) => {
      const type = readS64(viewOf(bytes), 0);
      if (type < 1) throw EINVAL;
      return send(task, queuesOf(task.kernel).table.get(id), { type, bytes: bytes.slice(8) }, flags);
    });
  }),
  syscall("msgrcv", [int, bufferOut, size, long, int], receive),
  syscall("msgctl", [int, int, bufferOut], msgctl),
];
