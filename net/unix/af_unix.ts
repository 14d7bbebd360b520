// SPDX-License-Identifier: Apache-2.0
// AF_UNIX: what the three socket types share, and the family itself. Source: unix(7), socketpair(2).

import { type Inode, POLLERR, POLLHUP, POLLRDHUP } from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { SIOCINQ, SIOCOUTQ } from "../../include/uapi/ioctls.ts";
import { AF_UNIX, SO_PEERCRED, SOL_SOCKET } from "../../include/uapi/socket.ts";
import { EADDRINUSE, EINVAL, ENOPROTOOPT, EPROTOTYPE } from "../../lib/errno.ts";
import { writeInt } from "../../fs/pipe.ts";
import { deviceIoctl } from "../core/dev_ioctl.ts";
import { int32 } from "../core/options.ts";
import type { Credentials } from "../core/scm.ts";
import { ALL_EVENTS, READ_EVENTS, SHUT_READ, SHUT_WRITE, Socket, WRITE_EVENTS } from "../core/sock.ts";
import {
  autobindName,
  bindAbstract,
  bindPath,
  findAbstract,
  findPath,
  parseUnixName,
  unbindAbstract,
  unbindPath,
  type UnixName,
  unnamedAddress,
} from "./names.ts";

const NOBODY: Credentials = { pid: 0, uid: -1, gid: -1 };

const SOCKETS: StateKey<Set<UnixSocket>> = new StateKey("net.unix-sockets");

/** Every open socket of the family, for /proc/net/unix. */
export function unixSockets(kernel: Kernel): Set<UnixSocket> {
  return kernel.state(SOCKETS, () => new Set());
}

export abstract class UnixSocket extends Socket {
  #name: UnixName = { kind: "unnamed" };
  #node: Inode | undefined;
  #peerCredentials: Credentials | undefined;

  constructor(kernel: Kernel, type: number, owner: { uid: number; gid: number }) {
    super(kernel, AF_UNIX, type, 0, owner);
    unixSockets(kernel).add(this);
  }

  /** Connected, or with a default destination. */
  abstract readonly hasPeer: boolean;

  get name(): UnixName {
    return this.#name;
  }
  override set peerCredentials(credentials: Credentials) {
    this.#peerCredentials = credentials;
  }
  override get peerCredentials(): Credentials | undefined {
    return this.#peerCredentials;
  }
  /** Bytes to be received, for SIOCINQ. */
  abstract readonly inputBytes: number;
  /** Bytes sent that the peer has not taken, for SIOCOUTQ. */
  abstract readonly outputBytes: number;
  abstract readonly isWritableNow: boolean;
  /** A connection that was and is no more, or never was: poll(2) shows a hang-up. */
  abstract readonly isUnconnected: boolean;

  override *bind(task: Task, address: Uint8Array): Sleeps<void> {
    const name = parseUnixName(address);
    if (this.#name.kind !== "unnamed") {
      if (name.kind === "unnamed") return;
      throw name.kind === "path" && (yield* isTaken(task, name.path)) ? EADDRINUSE : EINVAL;
    }
    if (name.kind === "unnamed") {
      this.autobind();
    } else if (name.kind === "abstract") {
      bindAbstract(this.kernel, this.#key(name.key), this);
      this.#name = name;
    } else {
      this.#node = yield* bindPath(task, name.path, this.inode.mode, this);
      this.#name = name;
    }
  }

  autobind(): void {
    if (this.#name.kind !== "unnamed") return;
    const name = autobindName(this.kernel, (key) => this.#key(key));
    bindAbstract(this.kernel, this.#key(name.key), this);
    this.#name = name;
  }

  /** Abstract names of different socket types do not meet. */
  #key(name: string): string {
    return `${this.type}:${name}`;
  }

  /** A connection made by accept(2) has the listener's name without owning it. */
  adoptName(name: UnixName): void {
    this.#name = name;
  }

  override getName(): Uint8Array {
    return addressOf(this.#name);
  }

  /** The socket that `address` names. Throws ECONNREFUSED, EPROTOTYPE, ENOENT, EACCES ... */
  *find(task: Task, address: Uint8Array): Sleeps<UnixSocket> {
    const name = parseUnixName(address);
    if (name.kind === "unnamed") throw EINVAL;
    const found = name.kind === "abstract"
      ? findAbstract(this.kernel, this.#key(name.key))
      : yield* findPath(task, name.path);
    if (!(found instanceof UnixSocket) || found.type !== this.type) throw EPROTOTYPE;
    return found;
  }

  override poll(): number {
    let events = this.pendingError === undefined ? 0 : POLLERR;
    if (this.shutdownMask === (SHUT_READ | SHUT_WRITE)) events |= POLLHUP;
    if ((this.shutdownMask & SHUT_READ) !== 0) events |= POLLRDHUP | READ_EVENTS;
    if (this.inputBytes > 0 || this.hasInput) events |= READ_EVENTS;
    if (this.isUnconnected) events |= POLLHUP;
    if (this.isWritableNow) events |= WRITE_EVENTS;
    return events;
  }
  /** Something to receive although it may have no bytes: an empty message, a connection. */
  abstract readonly hasInput: boolean;

  override shutdown(mask: number): void {
    this.shutdownMask |= mask;
    this.queue.wakeAll(ALL_EVENTS);
  }

  override getOption(level: number, name: number): Uint8Array {
    if (level === SOL_SOCKET && name === SO_PEERCRED) {
      const { pid, uid, gid } = this.peerCredentials ?? NOBODY;
      return int32(pid, uid, gid);
    }
    throw ENOPROTOOPT;
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    if (command !== SIOCINQ && command !== SIOCOUTQ) return deviceIoctl(task, command, argument);
    if (this.isListening) throw EINVAL;
    return writeInt(task, argument, command === SIOCINQ ? this.inputBytes : this.outputBytes);
  }

  override release(): void {
    unixSockets(this.kernel).delete(this);
    const name = this.#name;
    if (this.#node !== undefined) unbindPath(this.#node);
    else if (name.kind === "abstract" && this.ownsName) unbindAbstract(this.kernel, this.#key(name.key));
    this.disconnectOnRelease();
    this.queue.wakeAll(ALL_EVENTS);
  }
  /** False for connections that share a listener's name. */
  abstract readonly ownsName: boolean;
  abstract disconnectOnRelease(): void;
}

function* isTaken(task: Task, path: string): Sleeps<boolean> {
  try {
    const answer = task.kernel.vfs.resolve(task, path, { followLast: false });
    return (isSleeping(answer) ? yield* answer : answer).dentry.inode !== undefined;
  } catch {
    return false;
  }
}

export function addressOf(name: UnixName): Uint8Array {
  return name.kind === "unnamed" ? unnamedAddress() : name.bytes;
}
