// SPDX-License-Identifier: Apache-2.0
// AF_INET for socket(2). Source: ip(7).

import type { Task } from "../../include/linux/sched.ts";
import { CAP_NET_RAW } from "../../include/uapi/capability.ts";
import {
  AF_INET,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
} from "../../include/uapi/socket.ts";
import { EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";
import type { SocketFamily } from "../core/family.ts";
import type { Socket } from "../core/sock.ts";
import { TcpSocket } from "./tcp.ts";
import { UdpSocket } from "./udp.ts";

const PROTOCOL_MAX = 262;

export const inetFamily: SocketFamily = {
  family: AF_INET,
  create(task: Task, type: number, protocol: number): Socket {
    if (protocol < 0 || protocol > PROTOCOL_MAX) throw EINVAL;
    const owner = { uid: task.cred.fsuid, gid: task.cred.fsgid };
    switch (type) {
      case SOCK_STREAM:
        if (protocol !== 0 && protocol !== IPPROTO_TCP) throw EPROTONOSUPPORT;
        return new TcpSocket(task.kernel, owner);
      case SOCK_DGRAM:
        if (protocol !== 0 && protocol !== IPPROTO_UDP) throw EPROTONOSUPPORT;
        return new UdpSocket(task.kernel, owner);
      case SOCK_RAW:
        if (protocol === 0) throw EPROTONOSUPPORT;
        if (!capable(task, CAP_NET_RAW)) throw EPERM;
        throw EPROTONOSUPPORT;
      default:
        throw ESOCKTNOSUPPORT;
    }
  },
};
