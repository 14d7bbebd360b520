// SPDX-License-Identifier: Apache-2.0
// Internet addresses and the one interface there is, the loopback. Source: ip(7).
//
// An address is an unsigned 32-bit number in host order; struct sockaddr_in is family u16, port u16 (big-endian),
// address u32 (big-endian), eight bytes of padding.

import { AF_INET, AF_UNSPEC } from "../../include/uapi/socket.ts";
import { EAFNOSUPPORT, EINVAL } from "../../lib/errno.ts";

export const INADDR_ANY = 0;
export const INADDR_LOOPBACK = 0x7f000001;
export const INADDR_BROADCAST = 0xffffffff;
const SOCKADDR_IN_BYTES = 16;

export interface Endpoint {
  readonly address: number;
  readonly port: number;
}

export const NOWHERE: Endpoint = { address: INADDR_ANY, port: 0 };

/** Throws EINVAL for a short structure, EAFNOSUPPORT for another family. */
export function parseEndpoint(bytes: Uint8Array): Endpoint {
  if (bytes.length < SOCKADDR_IN_BYTES) throw EINVAL;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint16(0, true) !== AF_INET) throw EAFNOSUPPORT;
  return { port: view.getUint16(2), address: view.getUint32(4) };
}

/** connect(2) to nowhere: takes a datagram socket's peer away. */
export function isUnspecified(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && (bytes[0]! | (bytes[1]! << 8)) === AF_UNSPEC;
}

export function encodeEndpoint({ address, port }: Endpoint): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_IN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setUint32(4, address);
  return bytes;
}

/** 127.0.0.0/8 is this machine; nothing else is reachable. */
export function isLocal(address: number): boolean {
  return address >>> 24 === 127;
}

/** A peer of 0.0.0.0 means this machine. */
export function peerAddress(address: number): number {
  return address === INADDR_ANY ? INADDR_LOOPBACK : address;
}
