// SPDX-License-Identifier: Apache-2.0
// What the three kinds of System V objects share: keys, ids, owners, permissions. Source: sysvipc(7), svipc(7).
//
// An id is slot + 32768 times a sequence number, so that an id of a removed object does not name its successor.

import type { Task } from "../include/linux/sched.ts";
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from "../include/uapi/capability.ts";
import { EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOSPC, EPERM } from "../lib/errno.ts";
import { type LittleView, viewOf } from "../lib/little-view.ts";
import { capable, inEffectiveGroup } from "../security/commoncap.ts";

export const IPC_PRIVATE = 0;
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;
export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const IPC_INFO = 3;

const SEQUENCE_FACTOR = 32768;
/** Access asked for: as in a mode's owner bits. */
export const IPC_READ = 4;
export const IPC_WRITE = 2;

export class IpcObject {
  readonly id: number;
  readonly key: number;
  uid: number;
  gid: number;
  readonly creatorUid: number;
  readonly creatorGid: number;
  mode: number;
  changeTime: number;
  isRemoved: boolean = false;

  constructor(task: Task, id: number, key: number, mode: number) {
    this.id = id;
    this.key = key;
    this.uid = this.creatorUid = task.cred.euid;
    this.gid = this.creatorGid = task.cred.egid;
    this.mode = mode & 0o777;
    this.changeTime = secondsNow(task);
  }
}

export function secondsNow(task: Task): number {
  return task.kernel.time.realtime().sec;
}

/** Throws EACCES unless the task may do what `wanted` (IPC_READ, IPC_WRITE) says. */
export function checkAccess(task: Task, object: IpcObject, wanted: number): void {
  const { euid } = task.cred;
  let granted = object.mode & 7;
  if (euid === object.uid || euid === object.creatorUid) granted = (object.mode >> 6) & 7;
  else if (inEffectiveGroup(task.cred, object.gid) || inEffectiveGroup(task.cred, object.creatorGid)) {
    granted = (object.mode >> 3) & 7;
  }
  if ((wanted & ~granted) !== 0 && !capable(task, CAP_IPC_OWNER)) throw EACCES;
}

/** IPC_SET and IPC_RMID are for owner and creator. */
export function checkOwner(task: Task, object: IpcObject): void {
  const { euid } = task.cred;
  if (euid !== object.uid && euid !== object.creatorUid && !capable(task, CAP_SYS_ADMIN)) throw EPERM;
}

export class IpcTable<T extends IpcObject> {
  readonly #slots: (T | undefined)[] = [];
  readonly #limit: number;
  #sequence = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The *get call: finds or makes the object of `key`. Returns its id. */
  open(task: Task, key: number, flags: number, check: (found: T) => void, make: (id: number) => T): number {
    const known = key === IPC_PRIVATE
      ? undefined
      : this.#slots.find((slot) => slot?.key === key && !slot.isRemoved);
    if (known === undefined) {
      if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) throw ENOENT;
      return this.#add(make);
    }
    if ((flags & IPC_CREAT) !== 0 && (flags & IPC_EXCL) !== 0) throw EEXIST;
    check(known);
    const wanted = ((flags >> 6) | (flags >> 3) | flags) & 6;
    checkAccess(task, known, wanted);
    return known.id;
  }

  #add(make: (id: number) => T): number {
    let slot = this.#slots.indexOf(undefined);
    if (slot < 0) slot = this.#slots.length;
    if (slot >= this.#limit) throw ENOSPC;
    const object = make(slot + SEQUENCE_FACTOR * (this.#sequence++ % 65536));
    this.#slots[slot] = object;
    return object.id;
  }

  /** Throws EINVAL for an id that never was, EIDRM for one that is no more. */
  get(id: number): T {
    if (id < 0) throw EINVAL;
    const object = this.#slots[id % SEQUENCE_FACTOR];
    if (object === undefined) throw EINVAL;
    if (object.id !== id) throw EIDRM;
    return object;
  }

  /** By slot, for the *_STAT commands. */
  at(index: number): T {
    const object = this.#slots[index];
    if (object === undefined) throw EINVAL;
    return object;
  }

  remove(object: T): void {
    object.isRemoved = true;
    const slot = object.id % SEQUENCE_FACTOR;
    if (this.#slots[slot] === object) this.#slots[slot] = undefined;
  }

  all(): T[] {
    return this.#slots.filter((slot) => slot !== undefined);
  }

  /** Highest slot in use: what *_INFO answers. */
  get highest(): number {
    return Math.max(0, this.#slots.findLastIndex((slot) => slot !== undefined));
  }
}

/** struct ipc64_perm, 48 bytes at the start of each *id_ds. */
export function encodePermissions(view: LittleView, object: IpcObject, extraMode: number = 0): void {
  view.setInt32(0, object.key);
  view.setInt32(4, object.uid);
  view.setInt32(8, object.gid);
  view.setInt32(12, object.creatorUid);
  view.setInt32(16, object.creatorGid);
  view.setInt32(20, object.mode | extraMode);
  view.setUint16(24, Math.floor(object.id / SEQUENCE_FACTOR));
}

/** IPC_SET: owner and mode from the same structure. */
export function applyPermissions(task: Task, object: IpcObject, bytes: Uint8Array): void {
  checkOwner(task, object);
  const view = viewOf(bytes);
  object.uid = view.getUint32(4);
  object.gid = view.getUint32(8);
  object.mode = view.getUint32(20) & 0o777;
  object.changeTime = secondsNow(task);
}
