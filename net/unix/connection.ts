// SPDX-License-Identifier: Apache-2.0
// AF_UNIX sockets with connections: SOCK_STREAM and SOCK_SEQPACKET.
//
// A connection is two sockets that are each other's `peer`; what one sends stands in the other's receive queue. A
// server's side exists from connect(2) on and waits in the listener's queue for accept(2). Source: unix(7), listen(2).

import type { Kernel, Task, WaitOptions } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { MSG_OOB, SOCK_STREAM, SOMAXCONN } from "../../include/uapi/socket.ts";
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINTR,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  ERESTARTSYS,
} from "../../lib/errno.ts";
import { waitUntil } from "../../kernel/wait.ts";
import { datagramOf, MessageQueue, StreamQueue } from "../core/queues.ts";
import { type Credentials, credentialsOfTask } from "../core/scm.ts";
import {
  ALL_EVENTS,
  type InMessage,
  type OutMessage,
  READ_EVENTS,
  SHUT_READ,
  SHUT_WRITE,
  WRITE_EVENTS,
} from "../core/sock.ts";
import { addressOf, UnixSocket } from "./af_unix.ts";

/** A sender is woken when its peer holds at most half of its buffer; poll(2) shows it writable at a quarter. */
const WAKE_SHARE = 2;
const POLL_SHARE = 4;
const MESSAGE_OVERHEAD = 32;

type State = "closed" | "listening" | "connected";

export class UnixConnection extends UnixSocket {
  #state: State = "closed";
  /** One of the two holds what came in. */
  readonly #stream: StreamQueue | undefined;
  readonly #messages: MessageQueue | undefined;
  readonly #pending: UnixConnection[] = [];
  #backlog = 0;
  #listenCredentials: Credentials | undefined;
  #isAccepted = true;
  #sharesName = false;
  #isDead = false;
  peer: UnixConnection | undefined;

  constructor(kernel: Kernel, type: number, owner: { uid: number; gid: number }) {
    super(kernel, type, owner);
    if (type === SOCK_STREAM) this.#stream = new StreamQueue(this.options.sendBuffer);
    else this.#messages = new MessageQueue();
  }

  get hasPeer(): boolean {
    return this.peer !== undefined;
  }
  get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }
  override get isListening(): boolean {
    return this.#state === "listening";
  }
  get inputBytes(): number {
    return this.#stream?.length ?? this.#messages!.first?.data.length ?? 0;
  }
  /** Bytes that wait here: what the peer's send buffer is charged for. */
  get heldBytes(): number {
    return this.#stream?.length ?? this.#messages!.bytes;
  }
  get outputBytes(): number {
    return this.peer?.heldBytes ?? 0;
  }
  get hasInput(): boolean {
    return this.isListening ? this.#pending.length > 0 : (this.#messages?.count ?? 0) > 0;
  }
  get isUnconnected(): boolean {
    return this.#state === "closed";
  }
  get isWritableNow(): boolean {
    return !this.isListening && this.outputBytes * POLL_SHARE <= this.options.sendBuffer;
  }
  get ownsName(): boolean {
    return !this.#sharesName;
  }

  override listen(task: Task, backlog: number): void {
    if (this.#state === "connected" || this.name.kind === "unnamed") throw EINVAL;
    this.#backlog = Math.min(backlog >>> 0, SOMAXCONN);
    this.#state = "listening";
    this.#listenCredentials = credentialsOfTask(task);
    this.queue.wakeAll(WRITE_EVENTS);
  }

  override *connect(task: Task, address: Uint8Array): Sleeps<void> {
    const listener = yield* this.find(task, address);
    if (!(listener instanceof UnixConnection)) throw ECONNREFUSED;
    const attempt = (): Try<true> => {
      if (!listener.isListening || listener.#isDead || (listener.shutdownMask & SHUT_READ) !== 0) {
        throw ECONNREFUSED;
      }
      if (listener.#pending.length > listener.#backlog) return WOULD_BLOCK;
      if (this.#state === "connected") throw EISCONN;
      if (this.#state === "listening") throw EINVAL;
      return true;
    };
    if (attempt() === WOULD_BLOCK) {
      if (this.isNonBlocking) throw EAGAIN;
      const timeoutNs = this.options.sendTimeoutNs;
      const options: WaitOptions = timeoutNs === 0
        ? { interrupted: ERESTARTSYS }
        : { deadlineNs: this.kernel.time.monotonicNs() + timeoutNs, timeout: EAGAIN, interrupted: EINTR };
      yield* waitUntil(task, listener.queue, ALL_EVENTS, attempt, options);
    }
    listener.#receiveConnection(task, this);
  }

  #receiveConnection(task: Task, client: UnixConnection): void {
    const owner = { uid: this.inode.uid, gid: this.inode.gid };
    const server = new UnixConnection(this.kernel, this.type, owner);
    server.options.inherit(this.options);
    server.adoptName(this.name);
    server.#sharesName = true;
    server.#isAccepted = false;
    joinPair(server, client);
    client.peerCredentials = this.#listenCredentials ?? credentialsOfTask(task);
    server.peerCredentials = credentialsOfTask(task);
    this.#pending.push(server);
    this.queue.wake(READ_EVENTS);
    client.queue.wakeAll(WRITE_EVENTS);
  }

  /** Connects two fresh sockets. */
  become(peer: UnixConnection): void {
    this.peer = peer;
    this.#state = "connected";
  }

  override accept(): Try<UnixConnection> {
    if (!this.isListening) throw EINVAL;
    if ((this.shutdownMask & SHUT_READ) !== 0) throw EINVAL;
    const server = this.#pending.shift();
    if (server === undefined) return WOULD_BLOCK;
    server.#isAccepted = true;
    this.queue.wake(WRITE_EVENTS);
    return server;
  }

  override getPeerName(): Uint8Array {
    if (this.peer === undefined) throw ENOTCONN;
    return addressOf(this.peer.name);
  }

  override send(message: OutMessage): Try<number> {
    if ((message.flags & MSG_OOB) !== 0) throw EOPNOTSUPP;
    if (message.name !== undefined) throw this.#state === "connected" ? EISCONN : EOPNOTSUPP;
    const { peer } = this;
    if (peer === undefined || this.#state !== "connected") throw ENOTCONN;
    this.throwError();
    if ((this.shutdownMask & SHUT_WRITE) !== 0 || peer.#isDead || (peer.shutdownMask & SHUT_READ) !== 0) {
      throw this.pipeError(message.flags);
    }
    const size = message.iter.remaining;
    const room = this.options.sendBuffer - peer.heldBytes;
    const keepsCredentials = message.hasCredentials || this.options.passesCredentials
      || peer.options.passesCredentials;
    if (peer.#stream !== undefined) {
      if (size === 0) return 0;
      if (room <= 0) return WOULD_BLOCK;
      const count = Math.min(size, room);
      peer.#stream.push(message, count, keepsCredentials);
      peer.queue.wake(READ_EVENTS);
      return count;
    }
    if (size > this.options.sendBuffer - MESSAGE_OVERHEAD) throw EMSGSIZE;
    if (size > room) return WOULD_BLOCK;
    peer.#messages!.push(datagramOf(message, undefined));
    peer.queue.wake(READ_EVENTS);
    return size;
  }

  override receive(message: InMessage): Try<number> {
    if (this.#state !== "connected") throw this.isStream ? EINVAL : ENOTCONN;
    if ((message.flags & MSG_OOB) !== 0) throw this.isStream ? EINVAL : EOPNOTSUPP;
    const isEmpty = this.#stream === undefined ? this.#messages!.count === 0 : this.#stream.length === 0;
    if (isEmpty) {
      this.throwError();
      if ((this.shutdownMask & SHUT_READ) !== 0) return 0;
      return message.iter.remaining === 0 && this.isStream ? 0 : WOULD_BLOCK;
    }
    const wantsCredentials = this.options.passesCredentials;
    const count = this.#stream === undefined
      ? this.#messages!.receive(message, wantsCredentials)
      : this.#stream.receive(message, wantsCredentials);
    const { peer } = this;
    if (peer !== undefined && this.heldBytes * WAKE_SHARE <= peer.options.sendBuffer) {
      peer.queue.wake(WRITE_EVENTS);
    }
    return count;
  }

  override shutdown(mask: number): void {
    super.shutdown(mask);
    const { peer } = this;
    if (peer === undefined) return;
    if ((mask & SHUT_READ) !== 0) peer.shutdownMask |= SHUT_WRITE;
    if ((mask & SHUT_WRITE) !== 0) peer.shutdownMask |= SHUT_READ;
    peer.queue.wakeAll(ALL_EVENTS);
  }

  disconnectOnRelease(): void {
    this.#isDead = true;
    const { peer } = this;
    if (peer !== undefined && !peer.#isDead) {
      peer.shutdownMask = SHUT_READ | SHUT_WRITE;
      if (this.heldBytes > 0 || this.hasInput || !this.#isAccepted) peer.pendingError = ECONNRESET;
      peer.queue.wakeAll(ALL_EVENTS);
    }
    this.#stream?.clear();
    this.#messages?.clear();
    for (const server of this.#pending.splice(0)) server.put();
  }
}

/** Makes two fresh sockets each other's peer. */
export function joinPair(one: UnixConnection, other: UnixConnection): void {
  one.become(other);
  other.become(one);
}
