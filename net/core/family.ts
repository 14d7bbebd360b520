// SPDX-License-Identifier: Apache-2.0
// The table of socket families of a kernel. init/ decides which families there are; the others answer EAFNOSUPPORT,
// as a Linux without the module.

import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { AF_MAX } from "../../include/uapi/socket.ts";
import { EAFNOSUPPORT } from "../../lib/errno.ts";
import type { Socket } from "./sock.ts";

export interface SocketFamily {
  readonly family: number;
  /** Throws ESOCKTNOSUPPORT, EPROTONOSUPPORT, EPERM. */
  create(task: Task, type: number, protocol: number): Socket;
  /** socketpair(2). Throws EOPNOTSUPP where there is none. */
  createPair?(task: Task, type: number, protocol: number): [Socket, Socket];
}

const FAMILIES: StateKey<Map<number, SocketFamily>> = new StateKey("net.families");

function familiesOf(kernel: Kernel): Map<number, SocketFamily> {
  return kernel.state(FAMILIES, () => new Map());
}

export function registerFamily(kernel: Kernel, family: SocketFamily): void {
  familiesOf(kernel).set(family.family, family);
}

export function findFamily(kernel: Kernel, family: number): SocketFamily {
  const found = family >= 0 && family < AF_MAX ? familiesOf(kernel).get(family) : undefined;
  if (found === undefined) throw EAFNOSUPPORT;
  return found;
}
