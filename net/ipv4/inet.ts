// SPDX-License-Identifier: Apache-2.0
// What TCP and UDP sockets share: the port tables, bind(2), names, options of the IP level.
//
// Invariant: a socket stands in its protocol's table at its local port from bind to release. Source: ip(7), bind(2).

import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import { CAP_NET_BIND_SERVICE } from "../../include/uapi/capability.ts";
import * as so from "../../include/uapi/socket.ts";
import { EACCES, EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOPROTOOPT, ENOTCONN } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import { deviceIoctl } from "../core/dev_ioctl.ts";
import { int32 } from "../core/options.ts";
import { Socket } from "../core/sock.ts";
import {
  encodeEndpoint,
  type Endpoint,
  INADDR_ANY,
  INADDR_BROADCAST,
  isLocal,
  NOWHERE,
  parseEndpoint,
} from "./address.ts";

const PRIVILEGED_PORTS = 1024;
/** net.ipv4.ip_local_port_range. */
const EPHEMERAL_FIRST = 32768;
const EPHEMERAL_LAST = 60999;

interface PortTable {
  readonly sockets: Map<number, Set<InetSocket>>;
  nextEphemeral: number;
}

interface InetState {
  readonly tcp: PortTable;
  readonly udp: PortTable;
}

const INET: StateKey<InetState> = new StateKey("net.ipv4");

function portsOf(kernel: Kernel, protocol: number): PortTable {
  const state = kernel.state(INET, () => {
    const start = (): number => {
      const bytes = new Uint8Array(2);
      kernel.random.fill(bytes);
      return EPHEMERAL_FIRST + ((bytes[0]! | (bytes[1]! << 8)) % (EPHEMERAL_LAST - EPHEMERAL_FIRST + 1));
    };
    return {
      tcp: { sockets: new Map(), nextEphemeral: start() },
      udp: { sockets: new Map(), nextEphemeral: start() },
    };
  });
  return protocol === so.IPPROTO_TCP ? state.tcp : state.udp;
}

/** Every socket of a protocol that has a port, by port. */
export function* inetSockets(kernel: Kernel, protocol: number): Iterable<InetSocket> {
  for (const sockets of portsOf(kernel, protocol).sockets.values()) yield* sockets;
}

export abstract class InetSocket extends Socket {
  local: Endpoint = NOWHERE;
  remote: Endpoint | undefined;
  readonly #ipOptions: Map<number, number> = new Map(IP_DEFAULTS);

  /** A listener or a connection: what SO_REUSEADDR may not share a port with. */
  abstract readonly isExclusiveUser: boolean;

  override bind(task: Task, bytes: Uint8Array): void {
    const { address, port } = parseEndpoint(bytes);
    if (address !== INADDR_ANY && !isLocal(address) && address !== INADDR_BROADCAST && !this.#isFreebind) {
      throw EADDRNOTAVAIL;
    }
    if (port !== 0 && port < PRIVILEGED_PORTS && !capable(task, CAP_NET_BIND_SERVICE)) throw EACCES;
    if (this.local.port !== 0 || this.remote !== undefined) throw EINVAL;
    if (port === 0) this.takeEphemeralPort(address);
    else this.#takePort({ address, port });
  }

  get #isFreebind(): boolean {
    return this.#ipOptions.get(so.IP_FREEBIND) === 1;
  }

  #takePort(local: Endpoint): void {
    const { sockets } = portsOf(this.kernel, this.protocol);
    const others = sockets.get(local.port);
    for (const other of others ?? []) if (this.#conflictsWith(other, local.address)) throw EADDRINUSE;
    this.occupy(local);
  }

  /** Enters the table without asking: connections made by accept(2) share the listener's port. */
  occupy(local: Endpoint): void {
    const { sockets } = portsOf(this.kernel, this.protocol);
    let others = sockets.get(local.port);
    if (others === undefined) sockets.set(local.port, others = new Set());
    others.add(this);
    this.local = local;
  }

  #conflictsWith(other: InetSocket, address: number): boolean {
    const overlaps = other.local.address === address || other.local.address === INADDR_ANY
      || address === INADDR_ANY;
    if (!overlaps) return false;
    const bothHave = (option: number): boolean =>
      this.options.plain(option) === 1 && other.options.plain(option) === 1;
    if (bothHave(so.SO_REUSEPORT) && this.inode.uid === other.inode.uid) return false;
    return !(bothHave(so.SO_REUSEADDR) && !other.isExclusiveUser);
  }

  takeEphemeralPort(address: number): void {
    const table = portsOf(this.kernel, this.protocol);
    for (let tries = EPHEMERAL_FIRST; tries <= EPHEMERAL_LAST; tries++) {
      const port = table.nextEphemeral;
      table.nextEphemeral = port === EPHEMERAL_LAST ? EPHEMERAL_FIRST : port + 1;
      if ((table.sockets.get(port)?.size ?? 0) > 0) continue;
      this.occupy({ address, port });
      return;
    }
    throw EADDRINUSE;
  }

  /** Sockets of this protocol at a local port. */
  socketsAt(port: number): Iterable<InetSocket> {
    return portsOf(this.kernel, this.protocol).sockets.get(port) ?? [];
  }

  leavePort(): void {
    const { sockets } = portsOf(this.kernel, this.protocol);
    const others = sockets.get(this.local.port);
    others?.delete(this);
    if (others?.size === 0) sockets.delete(this.local.port);
  }

  override getName(): Uint8Array {
    return encodeEndpoint(this.local);
  }
  override getPeerName(): Uint8Array {
    if (this.remote === undefined) throw ENOTCONN;
    return encodeEndpoint(this.remote);
  }

  override getOption(level: number, name: number): Uint8Array {
    if (level !== so.SOL_IP) throw ENOPROTOOPT;
    if (name === so.IP_MTU) {
      if (this.remote === undefined) throw ENOTCONN;
      return int32(65536);
    }
    if (name === so.IP_OPTIONS) return new Uint8Array(0);
    const value = this.#ipOptions.get(name);
    if (value === undefined) throw ENOPROTOOPT;
    return int32(value);
  }

  override setOption(level: number, name: number, value: DataView): void {
    if (level !== so.SOL_IP) throw ENOPROTOOPT;
    if (name === so.IP_OPTIONS) return;
    if (!this.#ipOptions.has(name)) throw ENOPROTOOPT;
    if (value.byteLength < 1) throw EINVAL;
    const number = value.byteLength >= 4 ? value.getInt32(0, true) : value.getUint8(0);
    if (name === so.IP_TTL && number !== -1 && (number < 1 || number > 255)) throw EINVAL;
    this.#ipOptions.set(name, name === so.IP_TTL && number === -1 ? 64 : number);
  }

  override ioctl(task: Task, command: number, argument: number): number | Sleeps<number> {
    return deviceIoctl(task, command, argument);
  }
}

const IP_DEFAULTS: readonly (readonly [number, number])[] = [
  [so.IP_TOS, 0],
  [so.IP_TTL, 64],
  [so.IP_MTU_DISCOVER, 1],
  [so.IP_RECVERR, 0],
  [so.IP_FREEBIND, 0],
  [so.IP_PKTINFO, 0],
  [so.IP_RECVTTL, 0],
  [so.IP_RECVTOS, 0],
  [so.IP_MULTICAST_TTL, 1],
  [so.IP_MULTICAST_LOOP, 1],
  [so.IP_BIND_ADDRESS_NO_PORT, 0],
  [so.IP_RECVOPTS, 0],
];
