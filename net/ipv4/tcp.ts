// SPDX-License-Identifier: Apache-2.0
// TCP over the loopback: what the socket interface shows of it. No segments are made; the two ends of a connection are
// each other's `peer`, and what one sends stands in the other's receive queue at once.
//
// A connection is complete when connect(2) finds room in the listener's queue; until then the client waits in
// `connecting` (a dropped SYN). Closing with unread data, or with SO_LINGER of 0, resets. Source: tcp(7), RFC 9293, 3.

import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../../include/linux/fs.ts";
import type { Kernel, Task, WaitOptions } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { SIOCATMARK, SIOCINQ, SIOCOUTQ } from "../../include/uapi/ioctls.ts";
import * as so from "../../include/uapi/socket.ts";
import {
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EISCONN,
  ENETUNREACH,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  ERESTARTSYS,
} from "../../lib/errno.ts";
import { waitUntil } from "../../kernel/wait.ts";
import { writeInt } from "../../fs/pipe.ts";
import { int32 } from "../core/options.ts";
import { StreamQueue } from "../core/queues.ts";
import {
  ALL_EVENTS,
  type InMessage,
  type OutMessage,
  READ_EVENTS,
  SHUT_READ,
  SHUT_WRITE,
  WRITE_EVENTS,
} from "../core/sock.ts";
import {
  type Endpoint,
  INADDR_ANY,
  INADDR_LOOPBACK,
  isLocal,
  parseEndpoint,
  peerAddress,
} from "./address.ts";
import { InetSocket } from "./inet.ts";
import { TCP_DEFAULTS, tcpInfo } from "./tcp_options.ts";

/** What is in flight before a sender waits: Linux lets its buffers grow to about this. */
const CAPACITY_BYTES = 2_500_000;
const SEND_BUFFER_DEFAULT = 16384;
const RECEIVE_BUFFER_DEFAULT = 131072;

export type TcpState = "closed" | "listening" | "connecting" | "connected";

export class TcpSocket extends InetSocket {
  #state: TcpState = "closed";
  #peer: TcpSocket | undefined;
  readonly #queue: StreamQueue = new StreamQueue(CAPACITY_BYTES);
  readonly #pending: TcpSocket[] = [];
  /** Clients whose connection has no room in #pending. */
  readonly #waiting: TcpSocket[] = [];
  #backlog = 0;
  /** The listener in whose #waiting this client stands. */
  #waitsFor: TcpSocket | undefined;
  #isAccepted = true;
  #isReleased = false;
  /** connect(2) has answered EINPROGRESS and not yet told how it ended. */
  #isConnectUntold = false;
  readonly #tcpOptions: Map<number, number> = new Map(TCP_DEFAULTS);

  constructor(kernel: Kernel, owner: { uid: number; gid: number }) {
    super(kernel, so.AF_INET, so.SOCK_STREAM, so.IPPROTO_TCP, owner);
    this.options.sendBuffer = SEND_BUFFER_DEFAULT;
    this.options.receiveBuffer = RECEIVE_BUFFER_DEFAULT;
  }

  get isStream(): boolean {
    return true;
  }
  get state(): TcpState {
    return this.#state;
  }
  override get isListening(): boolean {
    return this.#state === "listening";
  }
  get isExclusiveUser(): boolean {
    return this.#state === "listening";
  }
  #room(): number {
    const peer = this.#peer;
    return peer === undefined ? 0 : CAPACITY_BYTES - peer.#queue.length;
  }

  override listen(_task: Task, backlog: number): void {
    if (this.#state === "connected" || this.#state === "connecting") throw EINVAL;
    if (this.local.port === 0) this.takeEphemeralPort(INADDR_ANY);
    this.#backlog = Math.min(backlog >>> 0, so.SOMAXCONN);
    this.#state = "listening";
    this.shutdownMask = 0;
  }

  override *connect(task: Task, bytes: Uint8Array): Sleeps<void> {
    if (this.#isConnectUntold) return this.#tellConnect();
    if (this.#state === "connected" || this.#state === "listening") throw EISCONN;
    if (this.#state === "connecting") throw EALREADY;
    const asked = parseEndpoint(bytes);
    const remote = { address: peerAddress(asked.address), port: asked.port };
    if (!isLocal(remote.address)) throw ENETUNREACH;
    const address = this.local.address === INADDR_ANY ? sourceFor(remote) : this.local.address;
    if (this.local.port === 0) this.takeEphemeralPort(address);
    else this.local = { address, port: this.local.port };
    this.#start(remote);
    if (this.isNonBlocking) {
      this.#isConnectUntold = true;
      throw EINPROGRESS;
    }
    const attempt = (): Try<true> => this.#state === "connecting" ? WOULD_BLOCK : true;
    const timeoutNs = this.options.sendTimeoutNs;
    const options: WaitOptions = timeoutNs === 0
      ? { interrupted: ERESTARTSYS }
      : { deadlineNs: this.kernel.time.monotonicNs() + timeoutNs, timeout: EINPROGRESS, interrupted: EINTR };
    try {
      yield* waitUntil(task, this.queue, ALL_EVENTS, attempt, options);
    } catch (error) {
      this.#isConnectUntold = true;
      throw error;
    }
    this.throwError();
  }

  /** A further connect(2) after EINPROGRESS: how it stands, or once how it ended. */
  #tellConnect(): void {
    if (this.#state === "connecting") throw EALREADY;
    this.#isConnectUntold = false;
    this.throwError();
    if (this.#state !== "connected") throw ECONNREFUSED;
  }

  #start(remote: Endpoint): void {
    this.remote = remote;
    this.shutdownMask = 0;
    const listener = this.#findListener(remote);
    if (listener === undefined) return this.#fail();
    this.#state = "connecting";
    if (listener.#pending.length <= listener.#backlog) return listener.#complete(this);
    listener.#waiting.push(this);
    this.#waitsFor = listener;
  }

  #fail(): void {
    this.#state = "closed";
    this.remote = undefined;
    this.pendingError = ECONNREFUSED;
    this.queue.wakeAll(ALL_EVENTS);
  }

  #findListener({ address, port }: Endpoint): TcpSocket | undefined {
    let found: TcpSocket | undefined;
    for (const socket of this.socketsAt(port)) {
      if (!(socket instanceof TcpSocket) || !socket.isListening) continue;
      if (socket.local.address === address) return socket;
      if (socket.local.address === INADDR_ANY) found = socket;
    }
    return found;
  }

  /** Makes the server's side of a connection with `client` and queues it for accept(2). */
  #complete(client: TcpSocket): void {
    client.#waitsFor = undefined;
    const server = new TcpSocket(this.kernel, { uid: this.inode.uid, gid: this.inode.gid });
    server.options.inherit(this.options);
    for (const [name, value] of this.#tcpOptions) server.#tcpOptions.set(name, value);
    server.occupy(client.remote ?? this.local);
    server.remote = client.local;
    server.#isAccepted = false;
    server.#join(client);
    client.#join(server);
    this.#pending.push(server);
    this.queue.wake(READ_EVENTS);
    client.queue.wakeAll(WRITE_EVENTS);
  }

  #join(peer: TcpSocket): void {
    this.#peer = peer;
    this.#state = "connected";
  }

  override accept(): Try<TcpSocket> {
    if (!this.isListening) throw EINVAL;
    const server = this.#pending.shift();
    if (server === undefined) return WOULD_BLOCK;
    server.#isAccepted = true;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#complete(next);
    return server;
  }

  override send(message: OutMessage): Try<number> {
    if ((message.flags & so.MSG_OOB) !== 0) throw EOPNOTSUPP;
    if (this.#state === "connecting") return WOULD_BLOCK;
    const error = this.takeError();
    if (error !== undefined) throw error === EPIPE ? this.pipeError(message.flags) : error;
    const peer = this.#peer;
    if (this.#state !== "connected" || peer === undefined || (this.shutdownMask & SHUT_WRITE) !== 0) {
      throw this.pipeError(message.flags);
    }
    const size = message.iter.remaining;
    if (size === 0) return 0;
    if (peer.#isReleased) {
      // The peer's FIN has come; what is sent now is answered by a reset.
      this.#reset(EPIPE);
      return size;
    }
    const count = Math.min(size, this.#room());
    if (count <= 0) return WOULD_BLOCK;
    peer.#queue.push(message, count, false);
    peer.queue.wake(READ_EVENTS);
    return count;
  }

  override receive(message: InMessage): Try<number> {
    if ((message.flags & so.MSG_OOB) !== 0) throw EINVAL;
    if (this.#state === "listening" || (this.#state === "closed" && this.#peer === undefined)) {
      this.throwError();
      throw ENOTCONN;
    }
    if (this.#queue.length === 0) {
      if ((this.shutdownMask & SHUT_READ) !== 0 && this.pendingError !== ECONNRESET) return 0;
      this.throwError();
      if ((this.shutdownMask & SHUT_READ) !== 0 || this.#state === "closed") return 0;
      return message.iter.remaining === 0 ? 0 : WOULD_BLOCK;
    }
    const peer = this.#peer;
    const wasTight = peer !== undefined && !peer.#isWritableNow;
    const count = this.#queue.receive(message, false);
    if (wasTight && peer.#isWritableNow) peer.queue.wake(WRITE_EVENTS);
    return count;
  }

  get #isWritableNow(): boolean {
    return this.#room() * 3 >= CAPACITY_BYTES;
  }

  /** A reset has come: the connection is gone. */
  #reset(error: Error): void {
    this.#state = "closed";
    this.pendingError = error;
    this.shutdownMask = SHUT_READ | SHUT_WRITE;
    this.queue.wakeAll(ALL_EVENTS);
  }

  override shutdown(mask: number): void {
    if (this.#state === "listening") {
      if ((mask & SHUT_READ) !== 0) this.#stopListening();
      return;
    }
    if (this.#state !== "connected") throw ENOTCONN;
    this.shutdownMask |= mask;
    if ((mask & SHUT_WRITE) !== 0) this.#sendFin();
    this.queue.wakeAll(ALL_EVENTS);
  }

  #sendFin(): void {
    const peer = this.#peer;
    if (peer === undefined || peer.#state !== "connected") return;
    peer.shutdownMask |= SHUT_READ;
    peer.queue.wakeAll(ALL_EVENTS);
  }

  #stopListening(): void {
    this.#state = "closed";
    for (const client of this.#waiting.splice(0)) {
      client.#waitsFor = undefined;
      client.#fail();
    }
    for (const server of this.#pending.splice(0)) server.put();
    this.queue.wakeAll(ALL_EVENTS);
  }

  override poll(): number {
    if (this.#state === "listening") return this.#pending.length > 0 ? POLLIN | POLLRDNORM : 0;
    let events = this.pendingError === undefined ? 0 : POLLERR;
    if (this.#state === "connecting") return events;
    if (this.shutdownMask === (SHUT_READ | SHUT_WRITE) || this.#state === "closed") events |= POLLHUP;
    if ((this.shutdownMask & SHUT_READ) !== 0) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.#queue.length > 0) events |= POLLIN | POLLRDNORM;
    if ((this.shutdownMask & SHUT_WRITE) !== 0 || this.#state === "closed" || this.#isWritableNow) {
      events |= POLLOUT | POLLWRNORM;
    }
    return events;
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    switch (command) {
      case SIOCINQ:
        if (this.isListening) throw EINVAL;
        return writeInt(task, argument, this.#queue.length);
      case SIOCOUTQ:
        if (this.isListening) throw EINVAL;
        return writeInt(task, argument, 0);
      case SIOCATMARK:
        return writeInt(task, argument, 0);
      default:
        return super.ioctl(task, command, argument);
    }
  }

  override getOption(level: number, name: number): Uint8Array {
    if (level !== so.SOL_TCP) return super.getOption(level, name);
    if (name === so.TCP_INFO) return tcpInfo(this.#state, this.shutdownMask);
    if (name === so.TCP_CONGESTION) {
      const text = new Uint8Array(16);
      text.set([99, 117, 98, 105, 99]); // "cubic"
      return text;
    }
    const value = this.#tcpOptions.get(name);
    if (value === undefined) throw ENOPROTOOPT;
    return int32(name === so.TCP_MAXSEG && this.#state === "connected" ? 32768 : value);
  }

  override setOption(level: number, name: number, value: DataView): void {
    if (level !== so.SOL_TCP) return super.setOption(level, name, value);
    if (name === so.TCP_CONGESTION) return;
    if (!this.#tcpOptions.has(name)) throw ENOPROTOOPT;
    if (value.byteLength < 4) throw EINVAL;
    const number = value.getInt32(0, true);
    const isBoolean = name === so.TCP_NODELAY || name === so.TCP_CORK || name === so.TCP_QUICKACK;
    this.#tcpOptions.set(name, isBoolean ? Number(number !== 0) : number);
  }

  override release(): void {
    const unread = this.#queue.length > 0;
    const peer = this.#peer;
    if (this.#state === "listening") this.#stopListening();
    this.#isReleased = true;
    if (peer !== undefined && !peer.#isReleased && peer.#state === "connected") {
      const resets = unread || !this.#isAccepted
        || (this.options.lingers && this.options.lingerSeconds === 0);
      if (resets) peer.#reset(ECONNRESET);
      else this.#sendFin();
    }
    const listener = this.#waitsFor;
    if (listener !== undefined) listener.#waiting.splice(listener.#waiting.indexOf(this), 1);
    this.leavePort();
    this.#queue.clear();
    this.queue.wakeAll(ALL_EVENTS);
  }
}

function sourceFor(remote: Endpoint): number {
  return isLocal(remote.address) ? INADDR_LOOPBACK : INADDR_ANY;
}
