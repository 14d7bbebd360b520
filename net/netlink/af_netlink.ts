// SPDX-License-Identifier: Apache-2.0
// AF_NETLINK: questions to the kernel. NETLINK_ROUTE answers; NETLINK_KOBJECT_UEVENT listens to events that never come.
//
// struct sockaddr_nl: family u16, pad u16, port u32, groups u32. Source: netlink(7).

import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { type Sleeps, type Try, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { AF_NETLINK, SOCK_DGRAM, SOCK_RAW } from "../../include/uapi/socket.ts";
import {
  EADDRINUSE,
  ECONNREFUSED,
  EINVAL,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from "../../lib/errno.ts";
import type { SocketFamily } from "../core/family.ts";
import { int32 } from "../core/options.ts";
import { MessageQueue } from "../core/queues.ts";
import { type InMessage, type OutMessage, READ_EVENTS, Socket } from "../core/sock.ts";
import { answerRoute } from "./rtnetlink.ts";

const NETLINK_ROUTE = 0;
const NETLINK_KOBJECT_UEVENT = 15;
const ADDRESS_BYTES = 12;
const SOL_NETLINK = 270;
const KERNEL_CREDENTIALS = { pid: 0, uid: 0, gid: 0 };

const PORTS: StateKey<Set<string>> = new StateKey("net.netlink-ports");

function addressOf(port: number, groups: number): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(4, port, true);
  view.setUint32(8, groups, true);
  return bytes;
}

export class NetlinkSocket extends Socket {
  readonly #messages: MessageQueue = new MessageQueue();
  readonly #maker: number;
  readonly #options: Map<number, number> = new Map();
  #port = 0;
  #groups = 0;

  constructor(kernel: Kernel, type: number, protocol: number, task: Task) {
    super(kernel, AF_NETLINK, type, protocol, { uid: task.cred.fsuid, gid: task.cred.fsgid });
    this.#maker = task.tgid;
  }

  get isStream(): boolean {
    return false;
  }
  get #ports(): Set<string> {
    return this.kernel.state(PORTS, () => new Set());
  }

  override bind(_task: Task, bytes: Uint8Array): void {
    if (bytes.length < ADDRESS_BYTES) throw EINVAL;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (view.getUint16(0, true) !== AF_NETLINK) throw EINVAL;
    const port = view.getUint32(4, true);
    this.#groups = view.getUint32(8, true);
    if (this.#port !== 0) {
      if (port !== 0 && port !== this.#port) throw EINVAL;
      return;
    }
    if (port === 0) this.#autobind();
    else this.#take(port);
  }

  #take(port: number): void {
    const key = `${this.protocol}:${port}`;
    if (this.#ports.has(key)) throw EADDRINUSE;
    this.#ports.add(key);
    this.#port = port;
  }

  /** The process's id, or a large number when another socket of it has that. */
  #autobind(): void {
    if (this.#port !== 0) return;
    let port = this.#maker;
    for (let next = 0xffff_f000; this.#ports.has(`${this.protocol}:${port}`); next--) port = next;
    this.#take(port);
  }

  // eslint-disable-next-line require-yield -- connected at once
  override *connect(_task: Task, _bytes: Uint8Array): Sleeps<void> {
    this.#autobind();
  }
  override getName(): Uint8Array {
    return addressOf(this.#port, this.#groups);
  }
  override getPeerName(): Uint8Array {
    return addressOf(0, 0);
  }

  override send(message: OutMessage): Try<number> {
    this.#autobind();
    const { name } = message;
    if (name !== undefined && name.length >= 8) {
      const port = new DataView(name.buffer, name.byteOffset, name.length).getUint32(4, true);
      if (port !== 0) throw ECONNREFUSED;
    }
    if (this.protocol !== NETLINK_ROUTE) throw EOPNOTSUPP;
    const bytes = new Uint8Array(message.iter.remaining);
    message.iter.copyIn(bytes, 0, bytes.length);
    for (const data of answerRoute(bytes, this.#port)) {
      this.#messages.push(
        { data, name: addressOf(0, 0), files: [], credentials: KERNEL_CREDENTIALS, consumed: undefined },
      );
    }
    this.queue.wake(READ_EVENTS);
    return bytes.length;
  }

  override receive(message: InMessage): Try<number> {
    if (this.#messages.count === 0) return WOULD_BLOCK;
    return this.#messages.receive(message, this.options.passesCredentials);
  }

  override poll(): number {
    return POLLOUT | POLLWRNORM | (this.#messages.count > 0 ? POLLIN | POLLRDNORM : 0);
  }

  override getOption(level: number, name: number): Uint8Array {
    if (level !== SOL_NETLINK) throw ENOPROTOOPT;
    return int32(this.#options.get(name) ?? 0);
  }
  override setOption(level: number, name: number, value: DataView): void {
    if (level !== SOL_NETLINK) throw ENOPROTOOPT;
    if (value.byteLength < 4) throw EINVAL;
    this.#options.set(name, value.getInt32(0, true));
  }

  override release(): void {
    if (this.#port !== 0) this.#ports.delete(`${this.protocol}:${this.#port}`);
    this.#messages.clear();
  }
}

export const netlinkFamily: SocketFamily = {
  family: AF_NETLINK,
  create(task: Task, type: number, protocol: number): Socket {
    if (type !== SOCK_RAW && type !== SOCK_DGRAM) throw ESOCKTNOSUPPORT;
    if (protocol !== NETLINK_ROUTE && protocol !== NETLINK_KOBJECT_UEVENT) throw EPROTONOSUPPORT;
    return new NetlinkSocket(task.kernel, type, protocol, task);
  },
};
