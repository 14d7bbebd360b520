// SPDX-License-Identifier: Apache-2.0
// POSIX message queues: priority queues behind descriptors. Source: mq_overview(7), mq_open(3), mq_notify(3).
//
// Names are a list of the kernel's own; the mqueue file system that shows them as files is not there.

import {
  bufferIn,
  bufferOut,
  fd,
  flagsOf,
  hex,
  path,
  pointer,
  size,
  type Syscall,
  syscall,
  uint,
} from "../include/linux/syscalls.ts";
import { File, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../include/linux/sched.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../include/linux/wait.ts";
import { CAP_DAC_OVERRIDE, CAP_SYS_RESOURCE } from "../include/uapi/capability.ts";
import { NSIG, SI_MESGQ, SIGEV_NONE, SIGEV_SIGNAL } from "../include/uapi/signal.ts";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOSYS,
  ETIMEDOUT,
} from "../lib/errno.ts";
import { readS64, viewOf, writeS64 } from "../lib/little-view.ts";
import { sendToGroup } from "../kernel/signal.ts";
import { mmOf, self } from "../kernel/task.ts";
import { deadlineOf, readTimespecNs } from "../kernel/time/timespec.ts";
import { copyOutResult, withBytes } from "../kernel/uaccess.ts";
import { waitUntil } from "../kernel/wait.ts";
import { capable, inGroup } from "../security/commoncap.ts";

const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const CLOCK_REALTIME = 0;
const PRIORITY_MAX = 32768;
const QUEUES_MAX = 256;
const MESSAGES_MAX = 10;
const MESSAGES_HARD_MAX = 65536;
const BYTES_MAX = 8192;
const BYTES_HARD_MAX = 16 << 20;

interface Attributes {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

interface Message {
  readonly priority: number;
  readonly bytes: Uint8Array;
}

interface Notification {
  readonly task: Task;
  readonly signal: number;
  readonly value: bigint;
}

class PosixQueue {
  readonly attributes: Attributes;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Highest priority first, oldest first within one. */
  readonly messages: Message[] = [];
  readonly queue = new WaitQueue();
  notification: Notification | undefined;
  receivers = 0;

  constructor(task: Task, mode: number, attributes: Attributes) {
    this.attributes = attributes;
    this.uid = task.cred.fsuid;
    this.gid = task.cred.fsgid;
    this.mode = mode & ~task.fs.umask & 0o777;
  }

  get isFull(): boolean {
    return this.messages.length >= this.attributes.maxMessages;
  }

  insert(sender: Task, message: Message): void {
    const wasEmpty = this.messages.length === 0;
    let at = this.messages.length;
    while (at > 0 && this.messages[at - 1]!.priority < message.priority) at--;
    this.messages.splice(at, 0, message);
    if (wasEmpty && this.receivers === 0) this.#notify(sender);
    this.queue.wakeAll(POLLIN | POLLRDNORM);
  }

  #notify(sender: Task): void {
    const { notification } = this;
    this.notification = undefined;
    if (notification === undefined || notification.signal === 0) return;
    const { task, signal, value } = notification;
    sendToGroup(task.group, { signal, code: SI_MESGQ, pid: sender.tgid, uid: sender.cred.uid, value });
  }
}

class QueueFile extends File {
  readonly target: PosixQueue;

  constructor(target: PosixQueue, flags: number) {
    super(undefined, flags);
    this.target = target;
  }

  override get anonymousName(): string {
    return "anon_inode:[mqueue]";
  }

  override poll(): number {
    const { messages, isFull } = this.target;
    return (messages.length > 0 ? POLLIN | POLLRDNORM : 0) | (isFull ? 0 : POLLOUT | POLLWRNORM);
  }

  override get waitQueue(): WaitQueue {
    return this.target.queue;
  }

  override flush(task: Task): void {
    if (this.target.notification?.task.group === task.group) this.target.notification = undefined;
  }
}

const QUEUES = new StateKey<Map<string, PosixQueue>>("mqueue");

function queuesOf(kernel: Kernel): Map<string, PosixQueue> {
  return kernel.state(QUEUES, () => new Map());
}

/** The C library takes the leading slash off. */
function* readName(task: Task, address: number): Sleeps<string> {
  const name = yield* mmOf(task).user.readString(address, 256, ENAMETOOLONG);
  if (name === "") throw EINVAL;
  if (name.includes("/")) throw EACCES;
  return name;
}

function checkOpen(task: Task, queue: PosixQueue, flags: number): void {
  const access = flags & 3;
  const wanted = access === O_RDWR ? 6 : access === O_WRONLY ? 2 : 4;
  const { cred } = task;
  const granted = cred.fsuid === queue.uid
    ? queue.mode >> 6
    : inGroup(cred, queue.gid)
    ? queue.mode >> 3
    : queue.mode;
  if ((wanted & ~granted) !== 0 && !capable(task, CAP_DAC_OVERRIDE)) throw EACCES;
}

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs, 4 words more. */
function decodeAttributes(task: Task, bytes: Uint8Array): Attributes {
  const view = viewOf(bytes);
  const maxMessages = readS64(view, 8);
  const maxBytes = readS64(view, 16);
  const isFree = capable(task, CAP_SYS_RESOURCE);
  if (maxMessages <= 0 || maxBytes <= 0) throw EINVAL;
  if (maxMessages > (isFree ? MESSAGES_HARD_MAX : MESSAGES_MAX)) throw EINVAL;
  if (maxBytes > (isFree ? BYTES_HARD_MAX : BYTES_MAX)) throw EINVAL;
  return { maxMessages, maxBytes };
}

function* open(
  task: Task,
  nameAt: number,
  flags: number,
  mode: number,
  attributesAt: number,
): Sleeps<number> {
  const name = yield* readName(task, nameAt);
  const queues = queuesOf(task.kernel);
  let queue = queues.get(name);
  if (queue !== undefined) {
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw EEXIST;
    checkOpen(task, queue, flags);
  } else {
    if ((flags & O_CREAT) === 0) throw ENOENT;
    const attributes = attributesAt === 0
      ? { maxMessages: MESSAGES_MAX, maxBytes: BYTES_MAX }
      : decodeAttributes(task, yield* mmOf(task).user.copyIn(attributesAt, 64));
    if (queues.size >= QUEUES_MAX && !capable(task, CAP_SYS_RESOURCE)) throw ENOSPC;
    queue = new PosixQueue(task, mode, attributes);
    queues.set(name, queue);
  }
  return task.files.install(task, new QueueFile(queue, flags & (3 | O_NONBLOCK)), (flags & O_CLOEXEC) !== 0);
}

function fileOf(task: Task, descriptor: number): QueueFile {
  const file = task.files.find(descriptor);
  if (!(file instanceof QueueFile)) throw EBADF;
  return file;
}

/** Absolute, on the wall clock. Throws EINVAL for an ill-formed one. */
function* readDeadline(task: Task, address: number): Sleeps<number | undefined> {
  if (address === 0) return undefined;
  const bytes = yield* mmOf(task).user.copyIn(address, 16);
  return deadlineOf(self(task).kernel, CLOCK_REALTIME, true, readTimespecNs(viewOf(bytes), 0));
}

function* send(
  task: Task,
  descriptor: number,
  address: number,
  length: number,
  priority: number,
  timeoutAt: number,
): Sleeps<number> {
  if (priority >= PRIORITY_MAX) throw EINVAL;
  const deadlineNs = yield* readDeadline(task, timeoutAt);
  const file = fileOf(task, descriptor);
  if (!file.isWritable) throw EBADF;
  const { target } = file;
  if (length > target.attributes.maxBytes) throw EMSGSIZE;
  const bytes = yield* mmOf(task).user.copyIn(address, length);
  yield* waitUntil(task, target.queue, POLLOUT, (): Try<void> => {
    if (target.isFull) {
      if (file.isNonBlocking) throw EAGAIN;
      return WOULD_BLOCK;
    }
    target.insert(task, { priority, bytes });
    return undefined;
  }, deadlineNs === undefined ? {} : { deadlineNs, timeout: ETIMEDOUT });
  return 0;
}

function* receive(
  task: Task,
  descriptor: number,
  address: number,
  length: number,
  priorityAt: number,
  timeoutAt: number,
): Sleeps<number> {
  const deadlineNs = yield* readDeadline(task, timeoutAt);
  const file = fileOf(task, descriptor);
  if (!file.isReadable) throw EBADF;
  const { target } = file;
  if (length < target.attributes.maxBytes) throw EMSGSIZE;
  const take = (): Try<Message> => {
    const message = target.messages.shift();
    if (message !== undefined) return message;
    if (file.isNonBlocking) throw EAGAIN;
    return WOULD_BLOCK;
  };
  target.receivers++;
  let message: Message;
  try {
    message = yield* waitUntil(
      task,
      target.queue,
      POLLIN,
      take,
      deadlineNs === undefined ? {} : { deadlineNs, timeout: ETIMEDOUT },
    );
  } finally {
    target.receivers--;
  }
  target.queue.wakeAll(POLLOUT | POLLWRNORM);
  const { user } = mmOf(task);
  if (priorityAt !== 0) yield* user.writeU32(priorityAt, message.priority);
  yield* user.copyOut(address, message.bytes);
  return message.bytes.length;
}

function notify(task: Task, descriptor: number, event: Uint8Array | undefined): number {
  const { target } = fileOf(task, descriptor);
  if (event === undefined) {
    if (target.notification?.task.group === task.group) target.notification = undefined;
    return 0;
  }
  const view = viewOf(event);
  const how = view.getInt32(12);
  if (how !== SIGEV_NONE && how !== SIGEV_SIGNAL) throw how === 2 ? ENOSYS : EINVAL;
  const signal = how === SIGEV_NONE ? 0 : view.getInt32(8);
  if (how === SIGEV_SIGNAL && (signal < 1 || signal > NSIG)) throw EINVAL;
  if (target.notification !== undefined) throw EBUSY;
  target.notification = { task, signal, value: view.getBigInt64(0) };
  return 0;
}

function attributeBytes(file: QueueFile): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = viewOf(bytes);
  const { attributes, messages } = file.target;
  [file.flags & O_NONBLOCK, attributes.maxMessages, attributes.maxBytes, messages.length].forEach(
    (value, index) => {
      writeS64(view, index * 8, value);
    },
  );
  return bytes;
}

export const mqueueSyscalls: readonly Syscall[] = [
  syscall(
    "mq_open",
    [path, flagsOf({ O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK, O_CLOEXEC }), hex, pointer],
    open,
    {
      level: "partial",
      missing: "the mqueue file system; RLIMIT_MSGQUEUE is not counted",
    },
  ),
  syscall("mq_unlink", [path], function*(task, nameAt) {
    const name = yield* readName(task, nameAt);
    const queues = queuesOf(task.kernel);
    const queue = queues.get(name);
    if (queue === undefined) throw ENOENT;
    if (task.cred.fsuid !== queue.uid && !capable(task, CAP_DAC_OVERRIDE)) throw EACCES;
    queues.delete(name);
    return 0;
  }),
  syscall("mq_timedsend", [fd, bufferIn, size, uint, pointer], send),
  syscall("mq_timedreceive", [fd, bufferOut, size, pointer, pointer], receive),
  syscall("mq_notify", [fd, pointer], (task, descriptor, eventAt) => {
    if (eventAt === 0) return notify(task, descriptor, undefined);
    return withBytes(task, eventAt, 64, (event) => notify(task, descriptor, event));
  }, { level: "partial", missing: "SIGEV_THREAD" }),
  syscall("mq_getsetattr", [fd, pointer, pointer], (task, descriptor, newAt, oldAt) => {
    const file = fileOf(task, descriptor);
    const old = attributeBytes(file);
    const answer = (): ReturnType<typeof copyOutResult> => oldAt === 0 ? 0 : copyOutResult(task, oldAt, old);
    if (newAt === 0) return answer();
    return withBytes(task, newAt, 64, (bytes) => {
      const flags = readS64(viewOf(bytes), 0);
      if ((flags & ~O_NONBLOCK) !== 0) throw EINVAL;
      file.setStatusFlags((file.flags & ~O_NONBLOCK) | flags);
      return answer();
    });
  }),
];
