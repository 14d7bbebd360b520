// SPDX-License-Identifier: Apache-2.0
// Options of the TCP level with Linux's defaults, and struct tcp_info. Source: tcp(7).

import * as so from "../../include/uapi/socket.ts";

export const TCP_DEFAULTS: readonly (readonly [number, number])[] = [
  [so.TCP_NODELAY, 0],
  [so.TCP_MAXSEG, 536],
  [so.TCP_CORK, 0],
  [so.TCP_KEEPIDLE, 7200],
  [so.TCP_KEEPINTVL, 75],
  [so.TCP_KEEPCNT, 9],
  [so.TCP_SYNCNT, 6],
  [so.TCP_LINGER2, 60],
  [so.TCP_DEFER_ACCEPT, 0],
  [so.TCP_WINDOW_CLAMP, 0],
  [so.TCP_QUICKACK, 1],
  [so.TCP_USER_TIMEOUT, 0],
  [so.TCP_FASTOPEN, 0],
  [so.TCP_FASTOPEN_CONNECT, 0],
];

const TCP_INFO_BYTES = 248;
const ESTABLISHED = 1;
const SYN_SENT = 2;
const FIN_WAIT2 = 5;
const CLOSE = 7;
const CLOSE_WAIT = 8;
const LISTEN = 10;

/** TCP_* of <netinet/tcp.h>, as /proc/net/tcp shows it too. */
export function tcpStateNumber(state: string, shutdownMask: number): number {
  if (state === "listening") return LISTEN;
  if (state === "connecting") return SYN_SENT;
  if (state === "closed") return CLOSE;
  if ((shutdownMask & 2) !== 0) return FIN_WAIT2;
  return (shutdownMask & 1) !== 0 ? CLOSE_WAIT : ESTABLISHED;
}

/** The state byte is told; counters are 0, as nothing is measured on the loopback. */
export function tcpInfo(state: string, shutdownMask: number): Uint8Array {
  const bytes = new Uint8Array(TCP_INFO_BYTES);
  bytes[0] = tcpStateNumber(state, shutdownMask);
  return bytes;
}
