// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from "../../include/linux/fs.ts";
import type { Kernel } from "../../include/linux/sched.ts";
import { WOULD_BLOCK } from "../../include/linux/wait.ts";
import { O_NONBLOCK } from "../../include/uapi/fcntl.ts";
import { SO_REUSEADDR } from "../../include/uapi/socket.ts";
import { EADDRINUSE, ECONNREFUSED, ECONNRESET, EINPROGRESS, EISCONN, EPIPE } from "../../lib/errno.ts";
import { KernelIter } from "../../lib/uio.ts";
import { run } from "../../mm/testing.ts";
import { type Machine, machine } from "../../fs/fixture.test.ts";
import { newInMessage, type Socket } from "../core/sock.ts";
import { encodeEndpoint, INADDR_ANY, INADDR_LOOPBACK, parseEndpoint } from "./address.ts";
import { showTcp } from "./proc.ts";
import { TcpSocket } from "./tcp.ts";
import { UdpSocket } from "./udp.ts";

const OWNER = { uid: 0, gid: 0 };
const ME = { pid: 1, uid: 0, gid: 0 };

function net(): Machine {
  const m = machine();
  Object.assign(m.kernel, {
    random: { fill: (bytes: Uint8Array) => bytes.fill(0) },
    tasks: { current: undefined },
  });
  return m;
}

const at = (port: number, address: number = INADDR_LOOPBACK): Uint8Array => encodeEndpoint({ address, port });

function send(kernel: Kernel, socket: Socket, text: string, name?: Uint8Array): number | typeof WOULD_BLOCK {
  const iter = new KernelIter(kernel.ram, Buffer.from(text));
  return socket.send({
    iter,
    flags: 0,
    name,
    target: undefined,
    files: [],
    credentials: ME,
    hasCredentials: false,
  });
}

function receive(kernel: Kernel, socket: Socket): string | typeof WOULD_BLOCK {
  const bytes = new Uint8Array(4096);
  const count = socket.receive(newInMessage(new KernelIter(kernel.ram, bytes), 0));
  return count === WOULD_BLOCK ? WOULD_BLOCK : Buffer.from(bytes.subarray(0, count)).toString();
}

function listener(m: Machine, port: number, backlog: number = 4): TcpSocket {
  const socket = new TcpSocket(m.kernel, OWNER);
  socket.bind(m.task, at(port));
  socket.listen(m.task, backlog);
  return socket;
}

function connected(m: Machine, port: number): [client: TcpSocket, server: TcpSocket, listening: TcpSocket] {
  const listening = listener(m, port);
  const client = new TcpSocket(m.kernel, OWNER);
  run(client.connect(m.task, at(port)));
  const server = listening.accept();
  assert.ok(server instanceof TcpSocket);
  return [client, server, listening];
}

test("a connection carries bytes both ways and ends in order", () => {
  const m = net();
  const [client, server] = connected(m, 2000);
  assert.deepEqual(server.getPeerName(), client.getName());
  send(m.kernel, client, "question");
  assert.equal(receive(m.kernel, server), "question");
  send(m.kernel, server, "answer");
  client.shutdown(2);
  assert.equal(receive(m.kernel, server), "");
  assert.equal(receive(m.kernel, client), "answer");
  assert.equal(server.poll(), POLLIN | 0x40 | POLLRDHUP | POLLOUT | 0x100);
});

test("closing with unread data resets the peer; closing without lets one write go out", () => {
  const m = net();
  const [client, server] = connected(m, 2001);
  send(m.kernel, client, "unread");
  server.put();
  assert.equal(client.poll() & (POLLERR | POLLHUP), POLLERR | POLLHUP);
  assert.throws(() => receive(m.kernel, client), (error) => error === ECONNRESET);
  assert.equal(receive(m.kernel, client), "");
  const [other, gone] = connected(m, 2002);
  gone.put();
  assert.equal(send(m.kernel, other, "x"), 1);
  assert.throws(() => send(m.kernel, other, "x"), (error) => error === EPIPE);
});

test("a non-blocking connect is in progress, then tells once how it ended", () => {
  const m = net();
  listener(m, 2003);
  const client = new TcpSocket(m.kernel, OWNER);
  client.flags |= O_NONBLOCK;
  assert.throws(() => run(client.connect(m.task, at(2003))), (error) => error === EINPROGRESS);
  run(client.connect(m.task, at(2003)));
  assert.throws(() => run(client.connect(m.task, at(2003))), (error) => error === EISCONN);
  const refused = new TcpSocket(m.kernel, OWNER);
  assert.throws(() => run(refused.connect(m.task, at(9))), (error) => error === ECONNREFUSED);
});

test("a full backlog holds clients back until accept makes room", () => {
  const m = net();
  const listening = listener(m, 2004, 0);
  const clients = [0, 1].map(() => {
    const client = new TcpSocket(m.kernel, OWNER);
    client.flags |= O_NONBLOCK;
    assert.throws(() => run(client.connect(m.task, at(2004))), (error) => error === EINPROGRESS);
    return client;
  });
  assert.equal(clients[0]!.state, "connected");
  assert.equal(clients[1]!.state, "connecting");
  assert.equal(clients[1]!.poll(), 0);
  listening.accept();
  assert.equal(clients[1]!.state, "connected");
});

test("ports conflict unless both sides share them and none listens", () => {
  const m = net();
  const first = new TcpSocket(m.kernel, OWNER);
  first.bind(m.task, at(2005));
  const second = new TcpSocket(m.kernel, OWNER);
  assert.throws(() => second.bind(m.task, at(2005, INADDR_ANY)), (error) => error === EADDRINUSE);
  first.options.setPlain(SO_REUSEADDR, 1);
  second.options.setPlain(SO_REUSEADDR, 1);
  second.bind(m.task, at(2005, INADDR_ANY));
  first.listen(m.task, 1);
  const third = new TcpSocket(m.kernel, OWNER);
  third.options.setPlain(SO_REUSEADDR, 1);
  assert.throws(() => third.bind(m.task, at(2005)), (error) => error === EADDRINUSE);
  first.put();
  second.put();
  third.bind(m.task, at(2005));
});

test("/proc/net/tcp shows state and ends", () => {
  const m = net();
  const listening = listener(m, 8080);
  const row = showTcp(m.kernel);
  assert.match(row, /^ {3}0: 0100007F:1F90 00000000:0000 0A /);
  assert.equal(row.length, 150);
  listening.put();
  assert.equal(showTcp(m.kernel), "");
});

test("datagrams find the best match and a dead port refuses a connected sender", () => {
  const m = net();
  const any = new UdpSocket(m.kernel, OWNER);
  any.bind(m.task, at(3000, INADDR_ANY));
  const sender = new UdpSocket(m.kernel, OWNER);
  assert.equal(send(m.kernel, sender, "hello", at(3000)), 5);
  assert.equal(receive(m.kernel, any), "hello");
  run(sender.connect(m.task, at(3000)));
  any.put();
  assert.equal(send(m.kernel, sender, "lost"), 4);
  assert.throws(() => receive(m.kernel, sender), (error) => error === ECONNREFUSED);
  assert.ok(parseEndpoint(sender.getName()).port >= 32768);
});
