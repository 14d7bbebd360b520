// SPDX-License-Identifier: Apache-2.0
// The socket: what every family shares, and the operations a family gives.
//
// Operations are attempts (a value or WOULD_BLOCK) like those of files; net/socket.ts and net/message.ts wait, with the
// socket's timeouts. Source: socket(2), socket(7).

import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../../include/linux/fs.ts";
import type { File } from "../../include/linux/fs.ts";
import type { Kernel, Task, WaitOptions } from "../../include/linux/sched.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { type Sleeps, type Try, WaitQueue, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { O_NONBLOCK, O_RDWR } from "../../include/uapi/fcntl.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "../../include/uapi/socket.ts";
import { S_IFSOCK } from "../../include/uapi/stat.ts";
import { EAGAIN, EINTR, ENOPROTOOPT, ENOTTY, EOPNOTSUPP, EPIPE, ERESTARTSYS } from "../../lib/errno.ts";
import { waitUntil } from "../../kernel/wait.ts";
import { AnonymousFile, AnonymousInode } from "../../fs/anon_inodes.ts";
import { brokenPipe } from "../../fs/pipe.ts";
import type { Credentials } from "./scm.ts";
import { SocketOptions } from "./options.ts";

export const READ_EVENTS: number = POLLIN | POLLRDNORM;
export const WRITE_EVENTS: number = POLLOUT | POLLWRNORM | POLLWRBAND;
export const ALL_EVENTS: number = READ_EVENTS | WRITE_EVENTS | POLLERR | POLLHUP | POLLRDHUP | POLLPRI;

export const SHUT_READ = 1;
export const SHUT_WRITE = 2;

/** A message on its way out. */
export interface OutMessage {
  readonly iter: IovIter;
  readonly flags: number; // MSG_*
  /** Destination address; undefined when none was given. */
  readonly name: Uint8Array | undefined;
  /** A socket or other target that the name was resolved to (file-system names need to sleep). */
  readonly target: Socket | undefined;
  /** Files in flight; the socket takes over the references when it accepts the message (clears the array). */
  files: File[];
  readonly credentials: Credentials;
  /** True when the sender named its credentials. */
  readonly hasCredentials: boolean;
}

/** A message on its way in; the socket fills it. */
export interface InMessage {
  readonly iter: IovIter;
  readonly flags: number;
  name: Uint8Array | undefined;
  files: File[];
  credentials: Credentials | undefined;
  /** MSG_TRUNC, MSG_OOB, MSG_EOR of the result. */
  outFlags: number;
  /** Protocol control messages: [level, type, data]. */
  controls: [number, number, Uint8Array][];
}

export function newInMessage(iter: IovIter, flags: number): InMessage {
  return { iter, flags, name: undefined, files: [], credentials: undefined, outFlags: 0, controls: [] };
}

export abstract class Socket extends AnonymousFile {
  readonly kernel: Kernel;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly queue: WaitQueue = new WaitQueue();
  readonly options: SocketOptions = new SocketOptions();
  /** SO_ERROR: reported once. */
  pendingError: Error | undefined;
  /** SHUT_READ, SHUT_WRITE. */
  shutdownMask = 0;

  constructor(
    kernel: Kernel,
    family: number,
    type: number,
    protocol: number,
    owner: { uid: number; gid: number },
  ) {
    const inode = new AnonymousInode(kernel, S_IFSOCK | 0o777, owner.uid, owner.gid);
    super(inode, `socket:[${inode.ino}]`, O_RDWR);
    this.kernel = kernel;
    this.family = family;
    this.type = type;
    this.protocol = protocol;
  }

  override get waitQueue(): WaitQueue {
    return this.queue;
  }

  /** Is this a listening socket (SO_ACCEPTCONN)? */
  get isListening(): boolean {
    return false;
  }
  /** A stream of bytes: short sends go on, SIGPIPE is raised. */
  abstract get isStream(): boolean;
  get peerCredentials(): Credentials | undefined {
    return undefined;
  }

  // What a family gives. Addresses are whole struct sockaddr_* as bytes.
  bind(task: Task, address: Uint8Array): void | Sleeps<void> {
    throw EOPNOTSUPP;
  }
  listen(task: Task, backlog: number): void {
    throw EOPNOTSUPP;
  }
  /** Starts or goes on with a connection: true when it stands, WOULD_BLOCK while it is on its way. */
  connect(task: Task, address: Uint8Array): Sleeps<void> {
    throw EOPNOTSUPP;
  }
  accept(): Try<Socket> {
    throw EOPNOTSUPP;
  }
  getName(): Uint8Array {
    throw EOPNOTSUPP;
  }
  getPeerName(): Uint8Array {
    throw EOPNOTSUPP;
  }
  /** Finds the target of a name that may need to sleep; undefined when `send` does it by itself. */
  resolveTarget(task: Task, name: Uint8Array): Socket | undefined | Sleeps<Socket | undefined> {
    return undefined;
  }
  abstract send(message: OutMessage): Try<number>;
  abstract receive(message: InMessage): Try<number>;
  shutdown(mask: number): void {
    throw EOPNOTSUPP;
  }
  getOption(level: number, name: number): Uint8Array {
    throw ENOPROTOOPT;
  }
  setOption(level: number, name: number, value: DataView): void {
    throw ENOPROTOOPT;
  }
  /** Options of SOL_SOCKET that the family knows better (SO_PASSCRED changes nothing for TCP). */
  optionsChanged(): void {}

  takeError(): Error | undefined {
    const error = this.pendingError;
    this.pendingError = undefined;
    return error;
  }
  throwError(): void {
    const error = this.takeError();
    if (error !== undefined) throw error;
  }

  /** Fails with EPIPE, raising SIGPIPE for streams unless MSG_NOSIGNAL. */
  pipeError(flags: number): Error {
    return this.isStream && (flags & MSG_NOSIGNAL) === 0 ? brokenPipe(this.kernel) : EPIPE;
  }

  override read(iter: IovIter): Try<number> | Sleeps<number> {
    const attempt = (): Try<number> => {
      const message = newInMessage(iter, 0);
      const answer = this.receive(message);
      for (const file of message.files) file.put();
      return answer;
    };
    const answer = attempt();
    const timeoutNs = this.options.receiveTimeoutNs;
    const task = this.kernel.tasks.current;
    if (answer !== WOULD_BLOCK || this.isNonBlocking || timeoutNs === 0 || task === undefined) return answer;
    return this.wait(task, READ_EVENTS, attempt, 0, timeoutNs);
  }

  override write(iter: IovIter): Try<number> | Sleeps<number> {
    const task = this.kernel.tasks.current;
    const credentials = { pid: task?.tgid ?? 0, uid: task?.cred.uid ?? 0, gid: task?.cred.gid ?? 0 };
    const attempt = (): Try<number> =>
      this.send(
        { iter, flags: 0, name: undefined, target: undefined, files: [], credentials, hasCredentials: false },
      );
    const answer = attempt();
    const timeoutNs = this.options.sendTimeoutNs;
    if (answer !== WOULD_BLOCK || this.isNonBlocking || timeoutNs === 0 || task === undefined) return answer;
    return this.wait(task, WRITE_EVENTS, attempt, 0, timeoutNs);
  }

  /** Sleeps until `attempt` answers: EAGAIN at once for non-blocking sockets and at the timeout (0: none). */
  *wait<T>(task: Task, events: number, attempt: () => Try<T>, flags: number, timeoutNs: number): Sleeps<T> {
    const first = attempt();
    if (first !== WOULD_BLOCK) return first;
    if (this.isNonBlocking || (flags & MSG_DONTWAIT) !== 0) throw EAGAIN;
    const options: WaitOptions = timeoutNs === 0
      ? { interrupted: ERESTARTSYS }
      : { deadlineNs: this.kernel.time.monotonicNs() + timeoutNs, timeout: EAGAIN, interrupted: EINTR };
    return yield* waitUntil(task, this.queue, events | POLLERR | POLLHUP, attempt, options);
  }

  override ioctl(_task: Task, _command: number, _argument: number): number | Sleeps<number> {
    throw ENOTTY;
  }
  override setStatusFlags(flags: number): void {
    this.flags = flags;
  }
}

/** Marks a fresh socket non-blocking as SOCK_NONBLOCK asks. */
export function withStatus<S extends Socket>(socket: S, isNonBlocking: boolean): S {
  if (isNonBlocking) socket.flags |= O_NONBLOCK;
  return socket;
}
