// SPDX-License-Identifier: Apache-2.0
// Socket control messages: what sendmsg(2) carries beside the bytes, to and from its struct cmsghdr form.
//
// A parsed message holds one reference to each file; whoever drops the message puts them. Source: cmsg(3), unix(7).

import type { File } from "../../include/linux/fs.ts";
import type { Task } from "../../include/linux/sched.ts";
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from "../../include/uapi/capability.ts";
import { MSG_CTRUNC, SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET } from "../../include/uapi/socket.ts";
import { EBADF, EINVAL, EPERM } from "../../lib/errno.ts";
import { capable } from "../../security/commoncap.ts";

const HEADER_BYTES = 16;
const UCRED_BYTES = 12;
/** SCM_MAX_FD. */
const FILES_MAX = 253;

/** struct ucred. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export function credentialsOfTask(task: Task): Credentials {
  return { pid: task.tgid, uid: task.cred.uid, gid: task.cred.gid };
}

export interface Ancillary {
  files: File[];
  /** Given by the sender; undefined: the sender's own when the receiver asks. */
  credentials: Credentials | undefined;
}

/** A message of another level, for the protocol. */
export type OtherControl = (level: number, type: number, data: DataView) => void;

/** Reads the control buffer of sendmsg(2). Takes references to the files. Throws EINVAL, EBADF, EPERM. */
export function parseControl(task: Task, bytes: Uint8Array, other?: OtherControl): Ancillary {
  const ancillary: Ancillary = { files: [], credentials: undefined };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
      const length = view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
      if (length < HEADER_BYTES || at + length > bytes.length) throw EINVAL;
      const level = view.getInt32(at + 8, true);
      const type = view.getInt32(at + 12, true);
      const data = new DataView(bytes.buffer, bytes.byteOffset + at + HEADER_BYTES, length - HEADER_BYTES);
      if (level === SOL_SOCKET) parseSocketLevel(task, type, data, ancillary);
      else other?.(level, type, data);
      at += Math.ceil(length / 8) * 8;
    }
  } catch (error) {
    dropFiles(ancillary.files);
    throw error;
  }
  return ancillary;
}

function parseSocketLevel(task: Task, type: number, data: DataView, into: Ancillary): void {
  if (type === SCM_RIGHTS) {
    const count = Math.floor(data.byteLength / 4);
    if (into.files.length + count > FILES_MAX) throw EINVAL;
    for (let index = 0; index < count; index++) {
      const file = task.files.find(data.getInt32(index * 4, true));
      if (file === undefined) throw EBADF;
      into.files.push(file.get());
    }
  } else if (type === SCM_CREDENTIALS) {
    if (data.byteLength !== UCRED_BYTES) throw EINVAL;
    const claim = { pid: data.getInt32(0, true), uid: data.getInt32(4, true), gid: data.getInt32(8, true) };
    checkCredentials(task, claim);
    into.credentials = claim;
  } else {
    throw EINVAL;
  }
}

function checkCredentials(task: Task, { pid, uid, gid }: Credentials): void {
  const { cred } = task;
  const isPid = pid === task.tgid || capable(task, CAP_SYS_ADMIN);
  const isUid = uid === cred.uid || uid === cred.euid || uid === cred.suid || capable(task, CAP_SETUID);
  const isGid = gid === cred.gid || gid === cred.egid || gid === cred.sgid || capable(task, CAP_SETGID);
  if (!isPid || !isUid || !isGid) throw EPERM;
}

export function dropFiles(files: readonly File[]): void {
  for (const file of files) file.put();
}

/** Builds the control buffer of recvmsg(2), at most `room` bytes long. */
export class ControlWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  length = 0;
  /** MSG_CTRUNC when something did not fit. */
  flags = 0;

  constructor(room: number) {
    this.#bytes = new Uint8Array(Math.min(room, 65536));
    this.#view = new DataView(this.#bytes.buffer);
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  put(level: number, type: number, data: Uint8Array): void {
    const room = this.#bytes.length - this.length;
    if (room < HEADER_BYTES) {
      this.flags |= MSG_CTRUNC;
      return;
    }
    const size = Math.min(data.length, room - HEADER_BYTES);
    if (size < data.length) this.flags |= MSG_CTRUNC;
    this.#header(HEADER_BYTES + size, level, type);
    this.#bytes.set(data.subarray(0, size), this.length + HEADER_BYTES);
    this.length = Math.min(this.#bytes.length, this.length + Math.ceil((HEADER_BYTES + size) / 8) * 8);
  }

  putCredentials(credentials: Credentials): void {
    const data = new Uint8Array(UCRED_BYTES);
    const view = new DataView(data.buffer);
    view.setInt32(0, credentials.pid, true);
    view.setInt32(4, credentials.uid, true);
    view.setInt32(8, credentials.gid, true);
    this.put(SOL_SOCKET, SCM_CREDENTIALS, data);
  }

  /** Gives `files` descriptors of `task`, as many as fit; consumes the references of all. */
  putFiles(task: Task, files: readonly File[], closeOnExec: boolean): void {
    const fits = Math.max(0, Math.floor((this.#bytes.length - this.length - HEADER_BYTES) / 4));
    const numbers: number[] = [];
    for (const file of files) {
      if (numbers.length >= fits) {
        this.flags |= MSG_CTRUNC;
        file.put();
        continue;
      }
      try {
        numbers.push(task.files.install(task, file, closeOnExec));
      } catch {
        this.flags |= MSG_CTRUNC;
        file.put();
      }
    }
    if (numbers.length === 0) return;
    const data = new Uint8Array(Int32Array.from(numbers).buffer);
    this.put(SOL_SOCKET, SCM_RIGHTS, data);
  }

  #header(length: number, level: number, type: number): void {
    this.#view.setUint32(this.length, length, true);
    this.#view.setUint32(this.length + 4, 0, true);
    this.#view.setInt32(this.length + 8, level, true);
    this.#view.setInt32(this.length + 12, type, true);
  }
}
