// SPDX-License-Identifier: Apache-2.0
// Rows of /proc/net/unix. Source: proc_net(5).

import type { Kernel } from "../../include/linux/sched.ts";
import { bytesToString } from "../../lib/byte-string.ts";
import { unixSockets } from "./af_unix.ts";

const FLAG_LISTENING = 0x10000;
const UNCONNECTED = 1;
const CONNECTED = 3;
const PATH_AT = 2;

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

export function showUnix(kernel: Kernel): string {
  let text = "";
  for (const socket of unixSockets(kernel)) {
    const { name } = socket;
    const shown = name.kind === "unnamed"
      ? ""
      : name.kind === "path"
      ? ` ${name.path}`
      : ` ${bytesToString(name.bytes.subarray(PATH_AT)).replaceAll("\0", "@")}`;
    const state = socket.hasPeer ? CONNECTED : UNCONNECTED;
    text += `0000000000000000: ${hex(2, 8)} ${hex(0, 8)} ${hex(socket.isListening ? FLAG_LISTENING : 0, 8)} `
      + `${hex(socket.type, 4)} ${hex(state, 2)} ${String(socket.inode.ino).padStart(5)}${shown}\n`;
  }
  return text;
}
