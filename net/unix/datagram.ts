// SPDX-License-Identifier: Apache-2.0
// AF_UNIX SOCK_DGRAM: whole messages, in order, none lost; a full receiver makes its senders wait. Source: unix(7).

import type { Kernel, Task } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { AF_UNSPEC, MSG_OOB, SOCK_DGRAM } from "../../include/uapi/socket.ts";
import { ECONNREFUSED, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE } from "../../lib/errno.ts";
import { datagramOf, MessageQueue } from "../core/queues.ts";
import { credentialsOfTask } from "../core/scm.ts";
import {
  type InMessage,
  type OutMessage,
  READ_EVENTS,
  SHUT_READ,
  SHUT_WRITE,
  type Socket,
  WRITE_EVENTS,
} from "../core/sock.ts";
import { addressOf, UnixSocket } from "./af_unix.ts";

/** net.unix.max_dgram_qlen: one more than this may wait. */
const QUEUE_MAX = 10;
const MESSAGE_OVERHEAD = 32;

export class UnixDatagram extends UnixSocket {
  readonly #messages: MessageQueue = new MessageQueue();
  /** Bytes of this sender that stand in receivers' queues. */
  #inFlight = 0;
  /** Senders that found this receiver full. */
  readonly #blocked: Set<UnixDatagram> = new Set();
  #isDead = false;
  readonly ownsName = true;
  readonly isUnconnected = false;
  peer: UnixDatagram | undefined;

  constructor(kernel: Kernel, owner: { uid: number; gid: number }) {
    super(kernel, SOCK_DGRAM, owner);
  }

  get hasPeer(): boolean {
    return this.peer !== undefined;
  }
  get isStream(): boolean {
    return false;
  }
  get inputBytes(): number {
    return this.#messages.first?.data.length ?? 0;
  }
  get hasInput(): boolean {
    return this.#messages.count > 0;
  }
  get outputBytes(): number {
    return this.#inFlight;
  }
  get isWritableNow(): boolean {
    const { peer } = this;
    if (peer !== undefined && peer !== this && !peer.#isDead && peer.#isFull) {
      peer.#blocked.add(this);
      return false;
    }
    return this.#inFlight * 4 <= this.options.sendBuffer;
  }
  get #isFull(): boolean {
    return this.#messages.count > QUEUE_MAX;
  }

  override *connect(task: Task, address: Uint8Array): Sleeps<void> {
    if (address.length >= 2 && (address[0]! | (address[1]! << 8)) === AF_UNSPEC) {
      this.peer = undefined;
      return;
    }
    const target = yield* this.find(task, address);
    if (!(target instanceof UnixDatagram)) throw ECONNREFUSED;
    if (!target.accepts(this)) throw EPERM;
    this.peer = target;
    this.peerCredentials = credentialsOfTask(task);
    this.queue.wakeAll(WRITE_EVENTS);
  }

  /** A receiver that is connected hears its own peer only. */
  accepts(sender: UnixDatagram): boolean {
    return this.peer === undefined || this.peer === sender;
  }

  override getPeerName(): Uint8Array {
    if (this.peer === undefined) throw ENOTCONN;
    return addressOf(this.peer.name);
  }

  override *resolveTarget(task: Task, name: Uint8Array): Sleeps<Socket> {
    return yield* this.find(task, name);
  }

  override send(message: OutMessage): Try<number> {
    if ((message.flags & MSG_OOB) !== 0) throw EOPNOTSUPP;
    if ((this.shutdownMask & SHUT_WRITE) !== 0) throw EPIPE;
    this.throwError();
    const size = message.iter.remaining;
    if (size > this.options.sendBuffer - MESSAGE_OVERHEAD) throw EMSGSIZE;
    const target = message.target ?? this.peer;
    if (!(target instanceof UnixDatagram)) throw ENOTCONN;
    if (target.#isDead) {
      if (this.peer === target) this.peer = undefined;
      throw ECONNREFUSED;
    }
    if (!target.accepts(this)) throw EPERM;
    if ((target.shutdownMask & SHUT_READ) !== 0) throw EPIPE;
    if (target !== this && target.#isFull) {
      target.#blocked.add(this);
      return WOULD_BLOCK;
    }
    if (this.#inFlight > 0 && this.#inFlight + size > this.options.sendBuffer) return WOULD_BLOCK;
    if (this.options.passesCredentials) this.autobind();
    this.#inFlight += size;
    const name = this.name.kind === "unnamed" ? undefined : this.name.bytes;
    target.#messages.push(datagramOf(message, name, () => {
      this.#inFlight -= size;
      this.queue.wake(WRITE_EVENTS);
    }));
    target.queue.wake(READ_EVENTS);
    return size;
  }

  override receive(message: InMessage): Try<number> {
    if ((message.flags & MSG_OOB) !== 0) throw EOPNOTSUPP;
    if (this.#messages.count === 0) {
      this.throwError();
      return (this.shutdownMask & SHUT_READ) !== 0 ? 0 : WOULD_BLOCK;
    }
    const count = this.#messages.receive(message, this.options.passesCredentials);
    if (!this.#isFull) this.#wakeBlocked();
    return count;
  }

  #wakeBlocked(): void {
    for (const sender of this.#blocked) sender.queue.wake(WRITE_EVENTS);
    this.#blocked.clear();
  }

  disconnectOnRelease(): void {
    this.#isDead = true;
    this.#messages.clear();
    this.#wakeBlocked();
  }
}
