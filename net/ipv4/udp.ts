// SPDX-License-Identifier: Apache-2.0
// UDP over the loopback: messages go straight to the receiver's queue, or are lost when it is full; a port that no one
// has answers a connected sender with ECONNREFUSED. Source: udp(7), ip(7).

import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../../include/linux/fs.ts";
import type { Kernel, Task } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { SIOCINQ, SIOCOUTQ } from "../../include/uapi/ioctls.ts";
import * as so from "../../include/uapi/socket.ts";
import {
  EACCES,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from "../../lib/errno.ts";
import { writeInt } from "../../fs/pipe.ts";
import { int32 } from "../core/options.ts";
import { datagramOf, MessageQueue } from "../core/queues.ts";
import {
  ALL_EVENTS,
  type InMessage,
  type OutMessage,
  READ_EVENTS,
  SHUT_READ,
  SHUT_WRITE,
} from "../core/sock.ts";
import {
  encodeEndpoint,
  type Endpoint,
  INADDR_ANY,
  INADDR_BROADCAST,
  INADDR_LOOPBACK,
  isLocal,
  isUnspecified,
  parseEndpoint,
  peerAddress,
} from "./address.ts";
import { InetSocket } from "./inet.ts";

const PAYLOAD_MAX = 65507;
const IPPROTO_UDPLITE_LEVEL = 17; // SOL_UDP
const UDP_CORK = 1;

export class UdpSocket extends InetSocket {
  readonly #messages: MessageQueue = new MessageQueue();
  readonly isExclusiveUser = false;

  constructor(kernel: Kernel, owner: { uid: number; gid: number }) {
    super(kernel, so.AF_INET, so.SOCK_DGRAM, so.IPPROTO_UDP, owner);
  }

  get isStream(): boolean {
    return false;
  }

  // eslint-disable-next-line require-yield -- a datagram socket is connected at once
  override *connect(_task: Task, bytes: Uint8Array): Sleeps<void> {
    if (isUnspecified(bytes)) {
      this.remote = undefined;
      return;
    }
    const asked = parseEndpoint(bytes);
    const remote = { address: peerAddress(asked.address), port: asked.port };
    this.#checkReachable(remote);
    if (this.local.port === 0) this.takeEphemeralPort(INADDR_LOOPBACK);
    else if (this.local.address === INADDR_ANY) {
      this.local = { address: INADDR_LOOPBACK, port: this.local.port };
    }
    this.remote = remote;
  }

  #checkReachable({ address }: Endpoint): void {
    if (address === INADDR_BROADCAST && this.options.plain(so.SO_BROADCAST) === 0) throw EACCES;
    if (!isLocal(address)) throw ENETUNREACH;
  }

  override send(message: OutMessage): Try<number> {
    if ((message.flags & so.MSG_OOB) !== 0) throw EOPNOTSUPP;
    if ((this.shutdownMask & SHUT_WRITE) !== 0) throw EPIPE;
    const to = message.name === undefined ? this.remote : parseEndpoint(message.name);
    if (to === undefined) throw EDESTADDRREQ;
    if (to.port === 0) throw EINVAL;
    const target = { address: peerAddress(to.address), port: to.port };
    this.throwError();
    const size = message.iter.remaining;
    if (size > PAYLOAD_MAX) throw EMSGSIZE;
    this.#checkReachable(target);
    if (this.local.port === 0) this.takeEphemeralPort(INADDR_ANY);
    const source = {
      address: this.local.address === INADDR_ANY ? INADDR_LOOPBACK : this.local.address,
      port: this.local.port,
    };
    const receiver = this.#findReceiver(target, source);
    if (receiver === undefined) {
      if (this.remote !== undefined) this.#refuse();
      return size;
    }
    receiver.#deliver(message, source);
    return size;
  }

  #refuse(): void {
    this.pendingError = ECONNREFUSED;
    this.queue.wakeAll(ALL_EVENTS);
  }

  /** The best match: connected to the source, then bound to the address, then to any. */
  #findReceiver({ address, port }: Endpoint, source: Endpoint): UdpSocket | undefined {
    let best: UdpSocket | undefined;
    let bestScore = 0;
    for (const socket of this.socketsAt(port)) {
      if (!(socket instanceof UdpSocket)) continue;
      const { local, remote } = socket;
      if (local.address !== INADDR_ANY && local.address !== address) continue;
      if (remote !== undefined && (remote.port !== source.port || remote.address !== source.address)) {
        continue;
      }
      const score = 1 + (local.address === INADDR_ANY ? 0 : 1) + (remote === undefined ? 0 : 2);
      if (score >= bestScore) [best, bestScore] = [socket, score];
    }
    return best;
  }

  #deliver(message: OutMessage, source: Endpoint): void {
    if (this.#messages.bytes + message.iter.remaining > this.options.receiveBuffer) return;
    this.#messages.push(datagramOf(message, encodeEndpoint(source)));
    this.queue.wake(READ_EVENTS);
  }

  override receive(message: InMessage): Try<number> {
    if ((message.flags & so.MSG_OOB) !== 0) throw EOPNOTSUPP;
    if (this.#messages.count === 0) {
      this.throwError();
      return (this.shutdownMask & SHUT_READ) !== 0 ? 0 : WOULD_BLOCK;
    }
    return this.#messages.receive(message, false);
  }

  override shutdown(mask: number): void {
    if (this.remote === undefined) throw ENOTCONN;
    this.shutdownMask |= mask;
    this.queue.wakeAll(ALL_EVENTS);
  }

  override poll(): number {
    let events = POLLOUT | POLLWRNORM;
    if (this.pendingError !== undefined) events |= POLLERR;
    if ((this.shutdownMask & SHUT_READ) !== 0) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.shutdownMask === (SHUT_READ | SHUT_WRITE)) events |= POLLHUP;
    if (this.#messages.count > 0) events |= POLLIN | POLLRDNORM;
    return events;
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    if (command === SIOCINQ) return writeInt(task, argument, this.#messages.first?.data.length ?? 0);
    if (command === SIOCOUTQ) return writeInt(task, argument, 0);
    return super.ioctl(task, command, argument);
  }

  override getOption(level: number, name: number): Uint8Array {
    if (level === IPPROTO_UDPLITE_LEVEL) {
      if (name !== UDP_CORK) throw ENOPROTOOPT;
      return int32(0);
    }
    return super.getOption(level, name);
  }

  override release(): void {
    this.leavePort();
    this.#messages.clear();
    this.queue.wakeAll(ALL_EVENTS);
  }
}
