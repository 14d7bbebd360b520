// SPDX-License-Identifier: Apache-2.0
// Answers of NETLINK_ROUTE: links, addresses and routes of a machine that has only its loopback.
//
// A message: length u32, type u16, flags u16, sequence u32, port u32, body, attributes (length u16, type u16, value,
// padded to 4). Source: netlink(7), rtnetlink(7).

import { AF_INET, AF_UNSPEC } from "../../include/uapi/socket.ts";
import { ENODEV, EOPNOTSUPP, EPERM, type Errno } from "../../lib/errno.ts";
import { LOOPBACK_FLAGS, LOOPBACK_INDEX, LOOPBACK_MTU, LOOPBACK_NAME } from "../core/dev_ioctl.ts";

const HEADER_BYTES = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_MULTI = 2;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_BASE = 16;
const RTM_MAX = 123;
/** Every fourth type from RTM_NEWLINK on asks (GET); the others change. */
const GET_OF_FOUR = 2;

const IFLA_ADDRESS = 1;
const IFLA_BROADCAST = 2;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_QDISC = 6;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKMODE = 17;
const IFLA_GROUP = 27;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_PERMANENT = 0x80;
const RT_SCOPE_HOST = 254;
const ARPHRD_LOOPBACK = 772;

interface Request {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: DataView;
  readonly whole: Uint8Array;
}

/** The datagrams that answer the messages in `bytes`; `port` is the asking socket's. */
export function answerRoute(bytes: Uint8Array, port: number): Uint8Array[] {
  const answers: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    const request: Request = {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: new DataView(bytes.buffer, bytes.byteOffset + at + HEADER_BYTES, length - HEADER_BYTES),
      whole: bytes.subarray(at, at + length),
    };
    if ((request.flags & NLM_F_REQUEST) !== 0) answers.push(...answer(request, port));
    at += Math.ceil(length / 4) * 4;
  }
  return answers;
}

function answer(request: Request, port: number): Uint8Array[] {
  const { type, flags } = request;
  if (type < RTM_BASE || type > RTM_MAX) return acknowledge(request, port);
  if ((type - RTM_BASE) % 4 !== GET_OF_FOUR) return [errorMessage(request, port, EPERM)];
  const isDump = (flags & NLM_F_DUMP) === NLM_F_DUMP || (type !== RTM_GETLINK && (flags & NLM_F_DUMP) !== 0);
  if (isDump) {
    const family = request.body.byteLength > 0 ? request.body.getUint8(0) : AF_UNSPEC;
    const entries = dump(type, family, request.sequence, port);
    const done = message(NLMSG_DONE, NLM_F_MULTI, request.sequence, port, new Uint8Array(4));
    return entries.length === 0 ? [done] : [...entries, done];
  }
  if (type !== RTM_GETLINK) return [errorMessage(request, port, EOPNOTSUPP)];
  if (!namesLoopback(request.body)) return [errorMessage(request, port, ENODEV)];
  return [link(0, request.sequence, port), ...acknowledge(request, port)];
}

function dump(type: number, family: number, sequence: number, port: number): Uint8Array[] {
  if (type === RTM_GETLINK) return [link(NLM_F_MULTI, sequence, port)];
  if (type === RTM_GETADDR && (family === AF_UNSPEC || family === AF_INET)) return [address(sequence, port)];
  return [];
}

function acknowledge(request: Request, port: number): Uint8Array[] {
  return (request.flags & NLM_F_ACK) === 0 ? [] : [errorMessage(request, port, undefined)];
}

/** NLMSG_ERROR: negative errno (0 is an acknowledgement) and the request. */
function errorMessage(request: Request, port: number, error: Errno | undefined): Uint8Array {
  const echoed = error === undefined ? request.whole.subarray(0, HEADER_BYTES) : request.whole;
  const body = new Uint8Array(4 + echoed.length);
  new DataView(body.buffer).setInt32(0, error === undefined ? 0 : -error.errno, true);
  body.set(echoed, 4);
  return message(NLMSG_ERROR, 0, request.sequence, port, body);
}

function namesLoopback(body: DataView): boolean {
  if (body.byteLength < 16) return false;
  const index = body.getInt32(4, true);
  if (index !== 0) return index === LOOPBACK_INDEX;
  for (let at = 16; at + 4 <= body.byteLength;) {
    const length = body.getUint16(at, true);
    if (length < 4 || at + length > body.byteLength) break;
    if (body.getUint16(at + 2, true) === IFLA_IFNAME) {
      let name = "";
      for (let i = at + 4; i < at + length && body.getUint8(i) !== 0; i++) {
        name += String.fromCharCode(body.getUint8(i));
      }
      return name === LOOPBACK_NAME;
    }
    at += Math.ceil(length / 4) * 4;
  }
  return false;
}

function message(
  type: number,
  flags: number,
  sequence: number,
  port: number,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const length = HEADER_BYTES + parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(Math.ceil(length / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  view.setUint32(12, port, true);
  let at = HEADER_BYTES;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + Math.ceil(value.length / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function text(value: string): Uint8Array {
  return Uint8Array.from([...value, "\0"], (c) => c.charCodeAt(0));
}

function link(flags: number, sequence: number, port: number): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint16(2, ARPHRD_LOOPBACK, true);
  view.setInt32(4, LOOPBACK_INDEX, true);
  view.setUint32(8, LOOPBACK_FLAGS | 0x10000, true); // IFF_LOWER_UP
  return message(
    RTM_NEWLINK,
    flags,
    sequence,
    port,
    body,
    attribute(IFLA_IFNAME, text(LOOPBACK_NAME)),
    attribute(IFLA_TXQLEN, u32(1000)),
    attribute(IFLA_OPERSTATE, Uint8Array.of(0)),
    attribute(IFLA_LINKMODE, Uint8Array.of(0)),
    attribute(IFLA_MTU, u32(LOOPBACK_MTU)),
    attribute(IFLA_GROUP, u32(0)),
    attribute(IFLA_QDISC, text("noqueue")),
    attribute(IFLA_ADDRESS, new Uint8Array(6)),
    attribute(IFLA_BROADCAST, new Uint8Array(6)),
  );
}

function address(sequence: number, port: number): Uint8Array {
  const body = Uint8Array.of(AF_INET, 8, IFA_F_PERMANENT, RT_SCOPE_HOST, LOOPBACK_INDEX, 0, 0, 0);
  const loopback = Uint8Array.of(127, 0, 0, 1);
  const forever = new Uint8Array(16).fill(0xff, 0, 8);
  return message(
    RTM_NEWADDR,
    NLM_F_MULTI,
    sequence,
    port,
    body,
    attribute(IFA_ADDRESS, loopback),
    attribute(IFA_LOCAL, loopback),
    attribute(IFA_LABEL, text(LOOPBACK_NAME)),
    attribute(IFA_FLAGS, u32(IFA_F_PERMANENT)),
    attribute(IFA_CACHEINFO, forever),
  );
}
