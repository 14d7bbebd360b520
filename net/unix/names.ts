// SPDX-License-Identifier: Apache-2.0
// Names of AF_UNIX sockets: paths, abstract names, autobind. Source: unix(7), "Address format".

import { type Inode, MAY_WRITE, type Path } from "../../include/linux/fs.ts";
import { type Kernel, StateKey, type Task } from "../../include/linux/sched.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { AT_FDCWD } from "../../include/uapi/fcntl.ts";
import { AF_UNIX } from "../../include/uapi/socket.ts";
import { S_IFMT, S_IFSOCK } from "../../include/uapi/stat.ts";
import { SOCKADDR_UN_BYTES } from "../../include/uapi/un.ts";
import { EADDRINUSE, ECONNREFUSED, EEXIST, EINVAL, ENOSPC } from "../../lib/errno.ts";
import { bytesToString } from "../../lib/byte-string.ts";
import { makeNode } from "../../fs/namei.ts";
import { checkPermission } from "../../fs/permission.ts";

const PATH_AT = 2;
const AUTOBIND_NAMES = 0x10_0000;
const SOCKET_KEY = "unix-socket";

interface NameTable<S> {
  readonly abstract: Map<string, S>;
  nextAuto: number;
}

const NAMES: StateKey<NameTable<object>> = new StateKey("net.unix-names");

function namesOf(kernel: Kernel): NameTable<object> {
  return kernel.state(NAMES, () => ({ abstract: new Map(), nextAuto: 1 }));
}

export type UnixName =
  | { readonly kind: "unnamed" }
  | { readonly kind: "abstract"; readonly key: string; readonly bytes: Uint8Array }
  | { readonly kind: "path"; readonly path: string; readonly bytes: Uint8Array };

/** struct sockaddr_un of `length` bytes. Throws EINVAL. */
export function parseUnixName(address: Uint8Array): UnixName {
  if (address.length < PATH_AT || address.length > SOCKADDR_UN_BYTES) throw EINVAL;
  if ((address[0]! | (address[1]! << 8)) !== AF_UNIX) throw EINVAL;
  if (address.length === PATH_AT) return { kind: "unnamed" };
  if (address[PATH_AT] === 0) {
    return { kind: "abstract", key: bytesToString(address, PATH_AT + 1), bytes: address.slice() };
  }
  const end = address.indexOf(0, PATH_AT);
  const path = bytesToString(address, PATH_AT, end < 0 ? address.length : end);
  const bytes = new Uint8Array(PATH_AT + path.length + 1);
  bytes.set(address.subarray(0, PATH_AT + path.length));
  return { kind: "path", path, bytes };
}

export function unnamedAddress(): Uint8Array {
  return Uint8Array.of(AF_UNIX, 0);
}

export function bindAbstract(kernel: Kernel, key: string, socket: object): void {
  const { abstract } = namesOf(kernel);
  if (abstract.has(key)) throw EADDRINUSE;
  abstract.set(key, socket);
}

export function unbindAbstract(kernel: Kernel, key: string): void {
  namesOf(kernel).abstract.delete(key);
}

export function findAbstract(kernel: Kernel, key: string): object {
  const socket = namesOf(kernel).abstract.get(key);
  if (socket === undefined) throw ECONNREFUSED;
  return socket;
}

/** An abstract name of five hexadecimal digits that is free. */
export function autobindName(
  kernel: Kernel,
  keyOf: (name: string) => string,
): UnixName & { kind: "abstract" } {
  const names = namesOf(kernel);
  for (let tries = 0; tries < AUTOBIND_NAMES; tries++) {
    const key = names.nextAuto.toString(16).padStart(5, "0");
    names.nextAuto = (names.nextAuto + 1) % AUTOBIND_NAMES;
    if (names.abstract.has(keyOf(key))) continue;
    const bytes = new Uint8Array(PATH_AT + 1 + key.length);
    bytes[0] = AF_UNIX;
    for (let index = 0; index < key.length; index++) bytes[PATH_AT + 1 + index] = key.charCodeAt(index);
    return { kind: "abstract", key, bytes };
  }
  throw ENOSPC;
}

/** Makes the socket's node. Throws EADDRINUSE when the name is taken. */
export function* bindPath(task: Task, path: string, mode: number, socket: object): Sleeps<Inode> {
  let place: Path;
  try {
    place = yield* makeNode(task, AT_FDCWD, path, S_IFSOCK | (mode & 0o777), 0);
  } catch (error) {
    throw error === EEXIST ? EADDRINUSE : error;
  }
  const { inode } = place.dentry;
  if (inode === undefined) throw EADDRINUSE;
  (inode.attached ??= new Map()).set(SOCKET_KEY, socket);
  return inode;
}

export function unbindPath(inode: Inode): void {
  inode.attached?.delete(SOCKET_KEY);
}

/** The socket bound to a path. Throws ECONNREFUSED when none is, and what path resolution throws. */
export function* findPath(task: Task, path: string): Sleeps<object> {
  const answer = task.kernel.vfs.resolve(task, path, { followLast: true });
  const { inode } = (isSleeping(answer) ? yield* answer : answer).dentry;
  if (inode === undefined) throw ECONNREFUSED;
  checkPermission(inode, MAY_WRITE, task.cred);
  const socket = (inode.mode & S_IFMT) === S_IFSOCK ? inode.attached?.get(SOCKET_KEY) : undefined;
  if (typeof socket !== "object" || socket === null) throw ECONNREFUSED;
  return socket;
}
