// SPDX-License-Identifier: Apache-2.0
// System calls on sockets but for messages: making, naming, connecting, options. Source: socket(2), bind(2), listen(2),
// accept(2), connect(2), getsockname(2), getsockopt(2), shutdown(2).

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import { int, openFile, pointer, type Syscall, syscall } from "../include/linux/syscalls.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { CAP_NET_ADMIN } from "../include/uapi/capability.ts";
import * as so from "../include/uapi/socket.ts";
import { EAFNOSUPPORT, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP, ERANGE } from "../lib/errno.ts";
import { capable } from "../security/commoncap.ts";
import { userOf } from "../fs/uio.ts";
import { findFamily } from "./core/family.ts";
import { int32 } from "./core/options.ts";
import { READ_EVENTS, type Socket, Socket as SocketClass, withStatus } from "./core/sock.ts";

const TYPE_MASK = 0xf;
const SOCK_MAX = 11;
/** struct sockaddr_storage. */
export const ADDRESS_MAX = 128;
const OPTION_MAX = 4096;

export function socketOf(file: File): Socket {
  if (file instanceof SocketClass) return file;
  throw ENOTSOCK;
}

function parseType(type: number): { kind: number; isNonBlocking: boolean; closeOnExec: boolean } {
  const flags = type & ~TYPE_MASK;
  if ((flags & ~(so.SOCK_CLOEXEC | so.SOCK_NONBLOCK)) !== 0) throw EINVAL;
  return {
    kind: type & TYPE_MASK,
    isNonBlocking: (flags & so.SOCK_NONBLOCK) !== 0,
    closeOnExec: (flags & so.SOCK_CLOEXEC) !== 0,
  };
}

function makeSocket(task: Task, family: number, type: number, protocol: number): number {
  const { kind, isNonBlocking, closeOnExec } = parseType(type);
  if (family < 0 || family >= so.AF_MAX) throw EAFNOSUPPORT;
  if (kind >= SOCK_MAX) throw EINVAL;
  const socket = withStatus(findFamily(task.kernel, family).create(task, kind, protocol), isNonBlocking);
  return installSocket(task, socket, closeOnExec);
}

function installSocket(task: Task, socket: Socket, closeOnExec: boolean): number {
  try {
    return task.files.install(task, socket, closeOnExec);
  } catch (error) {
    socket.put();
    throw error;
  }
}

function* makeSocketPair(
  task: Task,
  family: number,
  type: number,
  protocol: number,
  address: number,
): Sleeps<number> {
  const { kind, isNonBlocking, closeOnExec } = parseType(type);
  if (family < 0 || family >= so.AF_MAX) throw EAFNOSUPPORT;
  if (kind >= SOCK_MAX) throw EINVAL;
  const maker = findFamily(task.kernel, family);
  if (maker.createPair === undefined) throw EOPNOTSUPP;
  using first = task.files.reserve(task, closeOnExec);
  using second = task.files.reserve(task, closeOnExec);
  yield* userOf(task).copyOut(address, int32(first.fd, second.fd));
  const [one, other] = maker.createPair(task, kind, protocol);
  first.install(withStatus(one, isNonBlocking));
  second.install(withStatus(other, isNonBlocking));
  return 0;
}

/** A struct sockaddr from user memory. Throws EINVAL for a bad length. */
export function* readAddress(task: Task, address: number, length: number): Sleeps<Uint8Array> {
  if (length < 0 || length > ADDRESS_MAX) throw EINVAL;
  if (length === 0) return new Uint8Array(0);
  return Uint8Array.from(yield* userOf(task).copyIn(address, length));
}

/** Stores an address as accept(2) and friends do: cut to the room there is, its full length told. */
export function* writeAddress(
  task: Task,
  name: Uint8Array,
  address: number,
  lengthAddress: number,
): Sleeps<void> {
  const user = userOf(task);
  const room = (yield* user.readU32(lengthAddress)) | 0;
  if (room < 0) throw EINVAL;
  if (room > 0 && name.length > 0) {
    yield* user.copyOut(address, name.subarray(0, Math.min(room, name.length)));
  }
  yield* user.writeU32(lengthAddress, name.length);
}

function* bindSocket(task: Task, file: File, address: number, length: number): Sleeps<number> {
  const socket = socketOf(file);
  const answer = socket.bind(task, yield* readAddress(task, address, length));
  if (isSleeping(answer)) yield* answer;
  return 0;
}

function* connectSocket(task: Task, file: File, address: number, length: number): Sleeps<number> {
  const socket = socketOf(file);
  yield* socket.connect(task, yield* readAddress(task, address, length));
  return 0;
}

function* acceptSocket(
  task: Task,
  file: File,
  address: number,
  lengthAddress: number,
  flags: number,
): Sleeps<number> {
  if ((flags & ~(so.SOCK_CLOEXEC | so.SOCK_NONBLOCK)) !== 0) throw EINVAL;
  const listener = socketOf(file);
  using reserved = task.files.reserve(task, (flags & so.SOCK_CLOEXEC) !== 0);
  const socket = yield* listener.wait(
    task,
    READ_EVENTS,
    () => listener.accept(),
    0,
    listener.options.receiveTimeoutNs,
  );
  try {
    if (address !== 0) yield* writeAddress(task, peerNameOf(socket), address, lengthAddress);
  } catch (error) {
    socket.put();
    throw error;
  }
  reserved.install(withStatus(socket, (flags & so.SOCK_NONBLOCK) !== 0));
  return reserved.fd;
}

/** The name of who connected; who is gone already has none. */
function peerNameOf(socket: Socket): Uint8Array {
  try {
    return socket.getPeerName();
  } catch {
    return new Uint8Array(0);
  }
}

function* tellName(task: Task, name: Uint8Array, address: number, lengthAddress: number): Sleeps<number> {
  yield* writeAddress(task, name, address, lengthAddress);
  return 0;
}

function shutdownSocket(_task: Task, file: File, how: number): number {
  const socket = socketOf(file);
  if (how < so.SHUT_RD || how > so.SHUT_RDWR) throw EINVAL;
  socket.shutdown(how + 1);
  return 0;
}

function* setOption(
  task: Task,
  file: File,
  level: number,
  name: number,
  address: number,
  length: number,
): Sleeps<number> {
  const socket = socketOf(file);
  if (length < 0) throw EINVAL;
  const bytes = length === 0
    ? new Uint8Array(0)
    : Uint8Array.from(yield* userOf(task).copyIn(address, Math.min(length, OPTION_MAX)));
  const value = new DataView(bytes.buffer);
  if (level === so.SOL_SOCKET) {
    socket.options.set(name, value, capable(task, CAP_NET_ADMIN));
    socket.optionsChanged();
  } else {
    socket.setOption(level, name, value);
  }
  return 0;
}

function* getOption(
  task: Task,
  file: File,
  level: number,
  name: number,
  address: number,
  lengthAddress: number,
): Sleeps<number> {
  const socket = socketOf(file);
  const user = userOf(task);
  const room = (yield* user.readU32(lengthAddress)) | 0;
  if (room < 0) throw EINVAL;
  const value = level === so.SOL_SOCKET
    ? socketLevelOption(task, socket, name, room)
    : socket.getOption(level, name);
  const length = Math.min(room, value.length);
  if (length > 0) yield* user.copyOut(address, value.subarray(0, length));
  yield* user.writeU32(lengthAddress, length);
  return 0;
}

function socketLevelOption(task: Task, socket: Socket, name: number, room: number): Uint8Array {
  switch (name) {
    case so.SO_TYPE:
      return int32(socket.type);
    case so.SO_DOMAIN:
      return int32(socket.family);
    case so.SO_PROTOCOL:
      return int32(socket.protocol);
    case so.SO_ERROR:
      return int32(errnoOf(socket.takeError()));
    case so.SO_ACCEPTCONN:
      return int32(socket.isListening ? 1 : 0);
    case so.SO_PEERNAME: {
      const peer = socket.getPeerName();
      if (peer.length < room) throw EINVAL;
      return peer;
    }
    case so.SO_PEERCRED: {
      const peer = socket.peerCredentials;
      return peer === undefined ? int32(0, -1, -1) : int32(peer.pid, peer.uid, peer.gid);
    }
    case so.SO_PEERGROUPS: {
      const groups = int32(...task.cred.groups);
      if (room < groups.length) throw ERANGE;
      return groups;
    }
    case so.SO_COOKIE: {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, socket.inode.ino, true);
      return bytes;
    }
    default:
      return socket.options.get(name);
  }
}

function errnoOf(error: Error | undefined): number {
  if (error === undefined) return 0;
  return "errno" in error && typeof error.errno === "number" ? error.errno : EFAULT.errno;
}

export const socketSyscalls: readonly Syscall[] = [
  syscall("socket", [int, int, int], makeSocket, {
    level: "partial",
    missing: "families other than AF_UNIX, AF_INET (TCP, UDP) and AF_NETLINK; raw sockets",
  }),
  syscall("socketpair", [int, int, int, pointer], makeSocketPair),
  syscall("bind", [openFile, pointer, int], bindSocket),
  syscall("listen", [openFile, int], (task, file, backlog) => {
    socketOf(file).listen(task, backlog);
    return 0;
  }),
  syscall("connect", [openFile, pointer, int], connectSocket),
  syscall(
    "accept",
    [openFile, pointer, pointer],
    (task, file, address, length) => acceptSocket(task, file, address, length, 0),
  ),
  syscall("accept4", [openFile, pointer, pointer, int], acceptSocket),
  syscall(
    "getsockname",
    [openFile, pointer, pointer],
    (task, file, address, length) => tellName(task, socketOf(file).getName(), address, length),
  ),
  syscall(
    "getpeername",
    [openFile, pointer, pointer],
    (task, file, address, length) => tellName(task, socketOf(file).getPeerName(), address, length),
  ),
  syscall("shutdown", [openFile, int], shutdownSocket),
  syscall("setsockopt", [openFile, int, int, pointer, int], setOption, {
    level: "partial",
    missing: "multicast membership; socket filters; what asks for control messages is only remembered",
  }),
  syscall("getsockopt", [openFile, int, int, pointer, pointer], getOption),
];
