// SPDX-License-Identifier: Apache-2.0
// Options of SOL_SOCKET: values, limits, byte forms. Source: socket(7), getsockopt(2).

import * as so from "../../include/uapi/socket.ts";
import { EDOM, EINVAL, ENOPROTOOPT } from "../../lib/errno.ts";

/** net.core.wmem_default, rmem_default, wmem_max, rmem_max. */
const BUFFER_DEFAULT = 212992;
const BUFFER_MAX = 212992;
const SEND_BUFFER_MIN = 4608;
const RECEIVE_BUFFER_MIN = 2304;
const NS_PER_S = 1_000_000_000;
const NS_PER_US = 1000;
const US_PER_S = 1_000_000;

export class SocketOptions {
  sendBuffer: number = BUFFER_DEFAULT;
  receiveBuffer: number = BUFFER_DEFAULT;
  receiveTimeoutNs = 0;
  sendTimeoutNs = 0;
  receiveLowAt = 1;
  passesCredentials = false;
  lingers = false;
  lingerSeconds = 0;
  /** Plain integers and booleans without more effect than being remembered, by SO_*. */
  readonly #plain: Map<number, number> = new Map();

  plain(name: number): number {
    return this.#plain.get(name) ?? 0;
  }
  setPlain(name: number, value: number): void {
    this.#plain.set(name, value);
  }

  /** What a socket of accept(2) takes over from the listener. */
  inherit(from: SocketOptions): void {
    this.sendBuffer = from.sendBuffer;
    this.receiveBuffer = from.receiveBuffer;
    this.receiveTimeoutNs = from.receiveTimeoutNs;
    this.sendTimeoutNs = from.sendTimeoutNs;
    this.receiveLowAt = from.receiveLowAt;
    this.passesCredentials = from.passesCredentials;
    this.lingers = from.lingers;
    this.lingerSeconds = from.lingerSeconds;
    for (const [name, value] of from.#plain) this.#plain.set(name, value);
  }

  /** Throws EINVAL, EDOM, ENOPROTOOPT. `isPrivileged` is CAP_NET_ADMIN. */
  set(name: number, value: DataView, isPrivileged: boolean): void {
    switch (name) {
      case so.SO_RCVTIMEO:
        this.receiveTimeoutNs = decodeTimeout(value);
        return;
      case so.SO_SNDTIMEO:
        this.sendTimeoutNs = decodeTimeout(value);
        return;
      case so.SO_LINGER:
        if (value.byteLength < 8) throw EINVAL;
        this.lingers = value.getInt32(0, true) !== 0;
        this.lingerSeconds = value.getInt32(4, true);
        return;
      case so.SO_BINDTODEVICE:
        return;
      default:
        break;
    }
    if (value.byteLength < 4) throw EINVAL;
    const number = value.getInt32(0, true);
    switch (name) {
      case so.SO_SNDBUF:
        this.sendBuffer = bufferSize(number, SEND_BUFFER_MIN);
        return;
      case so.SO_RCVBUF:
        this.receiveBuffer = bufferSize(number, RECEIVE_BUFFER_MIN);
        return;
      case so.SO_SNDBUFFORCE:
      case so.SO_RCVBUFFORCE:
        this.#force(name, number, isPrivileged);
        return;
      case so.SO_PASSCRED:
        this.passesCredentials = number !== 0;
        return;
      case so.SO_RCVLOWAT:
        this.receiveLowAt = number < 0 ? 0x7fff_ffff : Math.max(1, number);
        return;
      case so.SO_TYPE:
      case so.SO_PROTOCOL:
      case so.SO_DOMAIN:
      case so.SO_ERROR:
      case so.SO_ACCEPTCONN:
      case so.SO_SNDLOWAT:
      case so.SO_PEERCRED:
        throw ENOPROTOOPT;
      default:
        break;
    }
    if (BOOLEANS.has(name)) this.setPlain(name, number === 0 ? 0 : 1);
    else if (INTEGERS.has(name)) this.setPlain(name, number);
    else throw ENOPROTOOPT;
  }

  #force(name: number, number: number, isPrivileged: boolean): void {
    if (!isPrivileged) throw ENOPROTOOPT;
    if (name === so.SO_SNDBUFFORCE) this.sendBuffer = Math.max(number * 2, SEND_BUFFER_MIN);
    else this.receiveBuffer = Math.max(number * 2, RECEIVE_BUFFER_MIN);
  }

  /** Throws ENOPROTOOPT for what is not kept here. */
  get(name: number): Uint8Array {
    switch (name) {
      case so.SO_SNDBUF:
        return int32(this.sendBuffer);
      case so.SO_RCVBUF:
        return int32(this.receiveBuffer);
      case so.SO_RCVTIMEO:
        return encodeTimeout(this.receiveTimeoutNs);
      case so.SO_SNDTIMEO:
        return encodeTimeout(this.sendTimeoutNs);
      case so.SO_RCVLOWAT:
        return int32(this.receiveLowAt);
      case so.SO_SNDLOWAT:
        return int32(1);
      case so.SO_PASSCRED:
        return int32(this.passesCredentials ? 1 : 0);
      case so.SO_LINGER:
        return int32(this.lingers ? 1 : 0, this.lingerSeconds);
      case so.SO_BINDTODEVICE:
        return new Uint8Array(0);
      default:
        if (BOOLEANS.has(name) || INTEGERS.has(name)) return int32(this.plain(name));
        throw ENOPROTOOPT;
    }
  }
}

const BOOLEANS: ReadonlySet<number> = new Set([
  so.SO_DEBUG,
  so.SO_REUSEADDR,
  so.SO_DONTROUTE,
  so.SO_BROADCAST,
  so.SO_KEEPALIVE,
  so.SO_OOBINLINE,
  so.SO_NO_CHECK,
  so.SO_REUSEPORT,
  so.SO_TIMESTAMP,
  so.SO_TIMESTAMPNS,
  so.SO_PASSSEC,
  so.SO_RXQ_OVFL,
  so.SO_ZEROCOPY,
]);
const INTEGERS: ReadonlySet<number> = new Set([
  so.SO_PRIORITY,
  so.SO_MARK,
  so.SO_PEEK_OFF,
  so.SO_BUSY_POLL,
  so.SO_INCOMING_CPU,
]);

/** The kernel doubles what is asked for, to allow for its own overhead. */
function bufferSize(wanted: number, least: number): number {
  return Math.max(Math.min(wanted >>> 0, BUFFER_MAX) * 2, least);
}

export function int32(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setInt32(index * 4, value | 0, true));
  return bytes;
}

function decodeTimeout(value: DataView): number {
  if (value.byteLength < 16) throw EINVAL;
  const seconds = value.getBigInt64(0, true);
  const microseconds = value.getBigInt64(8, true);
  if (microseconds < 0n || microseconds >= BigInt(US_PER_S)) throw EDOM;
  if (seconds < 0n) return 1; // As Linux: a negative time is over at once.
  return Math.min(Number(seconds) * NS_PER_S + Number(microseconds) * NS_PER_US, Number.MAX_SAFE_INTEGER);
}

function encodeTimeout(ns: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(Math.floor(ns / NS_PER_S)), true);
  view.setBigInt64(8, BigInt(Math.floor((ns % NS_PER_S) / NS_PER_US)), true);
  return bytes;
}
