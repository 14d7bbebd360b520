// SPDX-License-Identifier: Apache-2.0
// Receive queues of sockets: a stream of bytes with ancillary data at places, and whole messages.
//
// Stream invariant: marks are in order and do not overlap; a receive ends before bytes of another sender (when
// credentials are wanted) and after the bytes that files came with. Source: unix(7), recv(2).

import type { File } from "../../include/linux/fs.ts";
import { MSG_PEEK, MSG_TRUNC } from "../../include/uapi/socket.ts";
import { ByteQueue } from "../../lib/byte-queue.ts";
import type { Credentials } from "./scm.ts";
import type { InMessage, OutMessage } from "./sock.ts";

interface Mark {
  readonly start: number;
  readonly end: number;
  files: File[];
  readonly credentials: Credentials;
}

export class StreamQueue {
  readonly #bytes: ByteQueue;
  readonly #marks: Mark[] = [];
  /** Bytes ever taken out: the stream position of the head. */
  #taken = 0;

  constructor(limit: number) {
    this.#bytes = new ByteQueue(limit, 1024);
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Appends `count` bytes of the message and takes over its files. */
  push(message: OutMessage, count: number, keepsCredentials: boolean): void {
    this.#bytes.limit = Math.max(this.#bytes.limit, this.#bytes.length + count);
    const start = this.#taken + this.#bytes.length;
    this.#bytes.pushFrom(message.iter, count);
    if (message.files.length === 0 && !keepsCredentials) return;
    this.#marks.push({ start, end: start + count, files: message.files, credentials: message.credentials });
    message.files = [];
  }

  pushByte(byte: number): void {
    this.#bytes.limit = Math.max(this.#bytes.limit, this.#bytes.length + 1);
    this.#bytes.pushByte(byte);
  }

  /** Takes (or looks at) what one receive gives. Precondition: length > 0. `limit` caps the count. */
  receive(message: InMessage, wantsCredentials: boolean, limit: number = Infinity): number {
    const isPeek = (message.flags & MSG_PEEK) !== 0;
    let count = Math.min(message.iter.remaining, this.#bytes.length, limit);
    if (this.#marks.length > 0) count = this.#applyMarks(message, count, wantsCredentials, isPeek);
    this.#bytes.peekTo(message.iter, count);
    if (!isPeek) this.#drop(count);
    return count;
  }

  #applyMarks(message: InMessage, wanted: number, wantsCredentials: boolean, isPeek: boolean): number {
    const from = this.#taken;
    let end = from + wanted;
    for (const mark of this.#marks) {
      if (mark.start >= end) break;
      if (wantsCredentials) {
        if (mark.start <= from) message.credentials = mark.credentials;
        else if (!isSame(message.credentials, mark.credentials)) {
          end = mark.start;
          break;
        }
      }
      if (mark.files.length === 0) continue;
      end = Math.min(end, mark.end);
      message.files = isPeek ? mark.files.map((file) => file.get()) : mark.files;
      if (!isPeek) mark.files = [];
      break;
    }
    return end - from;
  }

  #drop(count: number): void {
    this.#bytes.drop(count);
    this.#taken += count;
    while (this.#marks.length > 0 && this.#marks[0]!.end <= this.#taken) this.#marks.shift();
  }

  clear(): void {
    for (const { files } of this.#marks) for (const file of files) file.put();
    this.#marks.length = 0;
    this.#bytes.clear();
  }
}

function isSame(one: Credentials | undefined, other: Credentials): boolean {
  return one !== undefined && one.pid === other.pid && one.uid === other.uid && one.gid === other.gid;
}

export interface Datagram {
  readonly data: Uint8Array;
  readonly name: Uint8Array | undefined;
  readonly files: File[];
  readonly credentials: Credentials;
  /** Told when the message leaves the queue. */
  readonly consumed: (() => void) | undefined;
}

export class MessageQueue {
  readonly #messages: Datagram[] = [];
  #bytes = 0;

  get count(): number {
    return this.#messages.length;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get first(): Datagram | undefined {
    return this.#messages[0];
  }

  push(message: Datagram): void {
    this.#messages.push(message);
    this.#bytes += message.data.length;
  }

  /** Precondition: count > 0. The rest of a message that is too long is lost. */
  receive(message: InMessage, wantsCredentials: boolean): number {
    const datagram = this.#messages[0]!;
    const { data } = datagram;
    const isPeek = (message.flags & MSG_PEEK) !== 0;
    const count = Math.min(message.iter.remaining, data.length);
    message.iter.copyOut(data, 0, count);
    if (count < data.length) message.outFlags |= MSG_TRUNC;
    message.name = datagram.name;
    if (wantsCredentials) message.credentials = datagram.credentials;
    message.files = isPeek ? datagram.files.map((file) => file.get()) : datagram.files;
    if (!isPeek) {
      this.#messages.shift();
      this.#bytes -= data.length;
      datagram.consumed?.();
    }
    return (message.flags & MSG_TRUNC) !== 0 ? data.length : count;
  }

  clear(): void {
    for (const { files, consumed } of this.#messages.splice(0)) {
      for (const file of files) file.put();
      consumed?.();
    }
    this.#bytes = 0;
  }
}

/** The bytes of an outgoing message, whole. */
export function datagramOf(
  message: OutMessage,
  name: Uint8Array | undefined,
  consumed?: () => void,
): Datagram {
  const data = new Uint8Array(message.iter.remaining);
  message.iter.copyIn(data, 0, data.length);
  const { files, credentials } = message;
  message.files = [];
  return { data, name, files, credentials, consumed };
}
