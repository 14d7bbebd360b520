// SPDX-License-Identifier: Apache-2.0
// /proc/net: the tables of the network. Families add their own rows (ProcNet); without them a table is its head.
// Source: proc_net(5).

import { type Kernel, StateKey } from "../../include/linux/sched.ts";
import { type NodeMaker, type PseudoSuperBlock, TextInode } from "../pseudo.ts";

/** Rows that a protocol family shows in its table, by file name in /proc/net. */
export class ProcNet {
  readonly rows: Map<string, () => string> = new Map();
}

const PROC_NET = new StateKey<ProcNet>("proc.net");

/** Where families register: `procNet(kernel).rows.set("unix", () => ...)`; the head line is there already. */
export function procNet(kernel: Kernel): ProcNet {
  return kernel.state(PROC_NET, () => new ProcNet());
}

const INET_HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const INET6_HEAD =
  "  sl  local_address                         remote_address                        st tx_queue "
  + "rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

const HEADS: Readonly<Record<string, string>> = {
  arp: "IP address       HW type     Flags       HW address            Mask     Device\n",
  dev: "Inter-|   Receive                                                |  Transmit\n"
    + " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
  if_inet6: "",
  netlink: "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
  packet: "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n",
  protocols:
    "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n",
  raw: INET_HEAD,
  raw6: INET6_HEAD,
  route: "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
    + "                                                       \n",
  sockstat:
    "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
  tcp: INET_HEAD,
  tcp6: INET6_HEAD,
  udp:
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
  udp6:
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
    + "tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
  unix: "Num       RefCount Protocol Flags    Type St Inode Path\n",
};

export function netEntries(superBlock: PseudoSuperBlock): Record<string, NodeMaker> {
  const { rows } = procNet(superBlock.kernel);
  const entries: Record<string, NodeMaker> = {};
  for (const [name, head] of Object.entries(HEADS)) {
    entries[name] = () => new TextInode(superBlock, () => head + (rows.get(name)?.() ?? ""));
  }
  return entries;
}
