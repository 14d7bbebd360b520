// SPDX-License-Identifier: Apache-2.0
// ioctl(2) on sockets that asks about network interfaces: there is one, "lo". Source: netdevice(7).
//
// struct ifreq: name[16], then a union of 24 bytes. struct ifconf: length i32, pad, pointer.

import type { Task } from "../../include/linux/sched.ts";
import type { Sleeps } from "../../include/linux/wait.ts";
import * as ioctls from "../../include/uapi/ioctls.ts";
import { AF_INET } from "../../include/uapi/socket.ts";
import { EADDRNOTAVAIL, ENODEV, ENOTTY, EPERM } from "../../lib/errno.ts";
import { readU64, userOf } from "../../fs/uio.ts";

const IFREQ_BYTES = 40;
const NAME_BYTES = 16;
export const LOOPBACK_NAME = "lo";
export const LOOPBACK_INDEX = 1;
export const LOOPBACK_MTU = 65536;
/** IFF_UP | IFF_LOOPBACK | IFF_RUNNING. */
export const LOOPBACK_FLAGS = 0x49;
const ARPHRD_LOOPBACK = 772;

export function deviceIoctl(task: Task, command: number, argument: number): Sleeps<number> {
  switch (command) {
    case ioctls.SIOCGIFCONF:
      return listInterfaces(task, argument);
    case ioctls.SIOCSIFFLAGS:
      throw EPERM;
    case ioctls.SIOCGIFNAME:
    case ioctls.SIOCGIFFLAGS:
    case ioctls.SIOCGIFADDR:
    case ioctls.SIOCGIFDSTADDR:
    case ioctls.SIOCGIFBRDADDR:
    case ioctls.SIOCGIFNETMASK:
    case ioctls.SIOCGIFMETRIC:
    case ioctls.SIOCGIFMTU:
    case ioctls.SIOCGIFHWADDR:
    case ioctls.SIOCGIFINDEX:
    case ioctls.SIOCGIFTXQLEN:
      return askInterface(task, command, argument);
    default:
      throw ENOTTY;
  }
}

function* askInterface(task: Task, command: number, address: number): Sleeps<number> {
  const user = userOf(task);
  const request = Uint8Array.from(yield* user.copyIn(address, IFREQ_BYTES));
  const view = new DataView(request.buffer);
  if (command === ioctls.SIOCGIFNAME) {
    if (view.getInt32(NAME_BYTES, true) !== LOOPBACK_INDEX) throw ENODEV;
    putName(request);
  } else {
    const end = request.indexOf(0);
    const name = String.fromCharCode(
      ...request.subarray(0, end < 0 ? NAME_BYTES : Math.min(end, NAME_BYTES)),
    );
    if (name !== LOOPBACK_NAME) throw ENODEV;
    request.fill(0, NAME_BYTES);
    fill(view, command);
  }
  yield* user.copyOut(address, request);
  return 0;
}

function fill(view: DataView, command: number): void {
  switch (command) {
    case ioctls.SIOCGIFFLAGS:
      view.setUint16(NAME_BYTES, LOOPBACK_FLAGS, true);
      return;
    case ioctls.SIOCGIFADDR:
    case ioctls.SIOCGIFDSTADDR:
      putAddress(view, NAME_BYTES, 0x7f000001);
      return;
    case ioctls.SIOCGIFNETMASK:
      putAddress(view, NAME_BYTES, 0xff000000);
      return;
    case ioctls.SIOCGIFBRDADDR:
      throw EADDRNOTAVAIL;
    case ioctls.SIOCGIFMTU:
      view.setInt32(NAME_BYTES, LOOPBACK_MTU, true);
      return;
    case ioctls.SIOCGIFHWADDR:
      view.setUint16(NAME_BYTES, ARPHRD_LOOPBACK, true);
      return;
    case ioctls.SIOCGIFINDEX:
      view.setInt32(NAME_BYTES, LOOPBACK_INDEX, true);
      return;
    case ioctls.SIOCGIFTXQLEN:
      view.setInt32(NAME_BYTES, 1000, true);
      return;
    default:
      return; // SIOCGIFMETRIC is 0.
  }
}

function putAddress(view: DataView, at: number, address: number): void {
  view.setUint16(at, AF_INET, true);
  view.setUint32(at + 4, address);
}

function putName(request: Uint8Array): void {
  request.fill(0, 0, NAME_BYTES);
  for (let index = 0; index < LOOPBACK_NAME.length; index++) request[index] = LOOPBACK_NAME.charCodeAt(index);
}

function* listInterfaces(task: Task, address: number): Sleeps<number> {
  const user = userOf(task);
  const bytes = yield* user.copyIn(address, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const room = view.getInt32(0, true);
  const buffer = readU64(view, 8);
  if (buffer !== 0 && room >= IFREQ_BYTES) {
    const request = new Uint8Array(IFREQ_BYTES);
    putName(request);
    putAddress(new DataView(request.buffer), NAME_BYTES, 0x7f000001);
    yield* user.copyOut(buffer, request);
  }
  yield* user.writeU32(address, buffer === 0 || room >= IFREQ_BYTES ? IFREQ_BYTES : 0);
  return 0;
}
