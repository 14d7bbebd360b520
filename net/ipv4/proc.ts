// SPDX-License-Identifier: Apache-2.0
// Rows of /proc/net/tcp and /proc/net/udp. Source: proc_net(5).

import type { Kernel } from "../../include/linux/sched.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../../include/uapi/socket.ts";
import { type Endpoint, NOWHERE } from "./address.ts";
import { type InetSocket, inetSockets } from "./inet.ts";
import { TcpSocket } from "./tcp.ts";
import { tcpStateNumber } from "./tcp_options.ts";

const TCP_ROW_WIDTH = 149;
const UDP_ROW_WIDTH = 127;
const UDP_UNCONNECTED = 7;
const UDP_CONNECTED = 1;

function hex(value: number, digits: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(digits, "0");
}

/** The address as the bytes stand in memory, read as a little-endian number; the port in host order. */
function place({ address, port }: Endpoint): string {
  const swapped = (address >>> 24) | ((address >>> 8) & 0xff00) | ((address << 8) & 0xff0000)
    | (address << 24);
  return `${hex(swapped, 8)}:${hex(port, 4)}`;
}

function row(socket: InetSocket, index: number, indexWidth: number, state: number, tail: string): string {
  return `${String(index).padStart(indexWidth)}: ${place(socket.local)} ${place(socket.remote ?? NOWHERE)} ${
    hex(state, 2)
  } `
    + `00000000:00000000 00:00000000 00000000 ${
      String(socket.inode.uid).padStart(5)
    }        0 ${socket.inode.ino} ${tail}`;
}

export function showTcp(kernel: Kernel): string {
  let text = "";
  let index = 0;
  for (const socket of inetSockets(kernel, IPPROTO_TCP)) {
    if (!(socket instanceof TcpSocket) || socket.state === "closed") continue;
    const state = tcpStateNumber(socket.state, socket.shutdownMask);
    const line = row(socket, index++, 4, state, "1 0000000000000000 100 0 0 10 0");
    text += `${line.padEnd(TCP_ROW_WIDTH)}\n`;
  }
  return text;
}

export function showUdp(kernel: Kernel): string {
  let text = "";
  let index = 0;
  for (const socket of inetSockets(kernel, IPPROTO_UDP)) {
    const state = socket.remote === undefined ? UDP_UNCONNECTED : UDP_CONNECTED;
    text += `${row(socket, index++, 5, state, "2 0000000000000000 0").padEnd(UDP_ROW_WIDTH)}\n`;
  }
  return text;
}

/** /proc/net/dev: the loopback, on which nothing is counted. */
export function showDevices(): string {
  return `    lo: ${
    [7, 7, 4, 4, 4, 5, 10, 9, 8, 7, 4, 4, 4, 5, 7, 10].map((width) => "0".padStart(width)).join(" ")
  }\n`;
}
