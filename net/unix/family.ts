// SPDX-License-Identifier: Apache-2.0
// AF_UNIX for socket(2) and socketpair(2). Source: unix(7).

import type { Task } from "../../include/linux/sched.ts";
import { AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM } from "../../include/uapi/socket.ts";
import { EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../lib/errno.ts";
import type { SocketFamily } from "../core/family.ts";
import { credentialsOfTask } from "../core/scm.ts";
import type { Socket } from "../core/sock.ts";
import { joinPair, UnixConnection } from "./connection.ts";
import { UnixDatagram } from "./datagram.ts";

function checkProtocol(protocol: number): void {
  if (protocol !== 0 && protocol !== AF_UNIX) throw EPROTONOSUPPORT;
}

function create(task: Task, type: number): UnixConnection | UnixDatagram {
  const owner = { uid: task.cred.fsuid, gid: task.cred.fsgid };
  switch (type) {
    case SOCK_STREAM:
    case SOCK_SEQPACKET:
      return new UnixConnection(task.kernel, type, owner);
    case SOCK_DGRAM:
    case SOCK_RAW:
      return new UnixDatagram(task.kernel, owner);
    default:
      throw ESOCKTNOSUPPORT;
  }
}

export const unixFamily: SocketFamily = {
  family: AF_UNIX,
  create(task: Task, type: number, protocol: number): Socket {
    checkProtocol(protocol);
    return create(task, type);
  },
  createPair(task: Task, type: number, protocol: number): [Socket, Socket] {
    checkProtocol(protocol);
    const one = create(task, type);
    const other = create(task, type);
    if (one instanceof UnixConnection && other instanceof UnixConnection) {
      joinPair(one, other);
    } else if (one instanceof UnixDatagram && other instanceof UnixDatagram) {
      one.peer = other;
      other.peer = one;
    }
    one.peerCredentials = other.peerCredentials = credentialsOfTask(task);
    return [one, other];
  },
};
