// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from "../../include/linux/fs.ts";
import { WOULD_BLOCK } from "../../include/linux/wait.ts";
import { MSG_PEEK, MSG_TRUNC, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../include/uapi/socket.ts";
import { ECONNRESET, EMSGSIZE } from "../../lib/errno.ts";
import { KernelIter } from "../../lib/uio.ts";
import { type Machine, machine } from "../../fs/fixture.test.ts";
import { createPipe } from "../../fs/pipe.ts";
import { type InMessage, newInMessage, type OutMessage, type Socket } from "../core/sock.ts";
import { unixFamily } from "./family.ts";

const ME = { pid: 7, uid: 1, gid: 2 };

function pair(m: Machine, type: number): [Socket, Socket] {
  return unixFamily.createPair!(m.task, type, 0);
}

function send(
  m: Machine,
  socket: Socket,
  text: string,
  extra: Partial<OutMessage> = {},
): number | typeof WOULD_BLOCK {
  const iter = new KernelIter(m.kernel.ram, Buffer.from(text, "latin1"));
  return socket.send(
    {
      iter,
      flags: 0,
      name: undefined,
      target: undefined,
      files: [],
      credentials: ME,
      hasCredentials: false,
      ...extra,
    },
  );
}

function receive(
  m: Machine,
  socket: Socket,
  room: number,
  flags: number = 0,
): [string | typeof WOULD_BLOCK, InMessage] {
  const bytes = new Uint8Array(room);
  const message = newInMessage(new KernelIter(m.kernel.ram, bytes), flags);
  const count = socket.receive(message);
  if (count === WOULD_BLOCK) return [WOULD_BLOCK, message];
  return [Buffer.from(bytes.subarray(0, Math.min(room, count))).toString("latin1"), message];
}

test("a stream joins what was sent and keeps its order", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  send(m, a, "one");
  send(m, a, "two");
  assert.equal(receive(m, b, 4, MSG_PEEK)[0], "onet");
  assert.equal(receive(m, b, 64)[0], "onetwo");
  assert.equal(receive(m, b, 64)[0], WOULD_BLOCK);
});

test("a full stream takes no more and is writable again after reads", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  let total = 0;
  for (;;) {
    const count = send(m, a, "x".repeat(50_000));
    if (count === WOULD_BLOCK) break;
    total += count;
  }
  assert.equal(total, a.options.sendBuffer);
  assert.equal(a.poll() & POLLOUT, 0);
  while (total > 0) total -= (receive(m, b, 65536)[0] as string).length;
  assert.equal(a.poll() & POLLOUT, POLLOUT);
});

test("files arrive with their bytes and end a receive", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  const [reader, writer] = createPipe(m.task, 0);
  send(m, a, "before");
  send(m, a, "with", { files: [reader.get(), writer.get()] });
  send(m, a, "after");
  const [text, message] = receive(m, b, 64);
  assert.equal(text, "beforewith");
  assert.deepEqual(message.files, [reader, writer]);
  assert.equal(receive(m, b, 64)[0], "after");
});

test("files that nobody receives are closed with the socket", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  const [reader, writer] = createPipe(m.task, 0);
  send(m, a, "x", { files: [writer] });
  assert.equal(reader.poll(), 0);
  b.put();
  assert.equal(reader.poll(), POLLHUP);
});

test("credentials split a stream by sender", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  b.options.passesCredentials = true;
  send(m, a, "mine");
  send(m, a, "yours", { credentials: { pid: 8, uid: 1, gid: 2 } });
  const [first, message] = receive(m, b, 64);
  assert.equal(first, "mine");
  assert.deepEqual(message.credentials, ME);
  assert.equal(receive(m, b, 64)[0], "yours");
});

test("closing ends the peer's input, after a reset when something was unread", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_STREAM);
  send(m, b, "bye");
  b.put();
  assert.equal(a.poll() & (POLLIN | POLLHUP | POLLRDHUP), POLLIN | POLLHUP | POLLRDHUP);
  assert.equal(receive(m, a, 8)[0], "bye");
  assert.equal(receive(m, a, 8)[0], "");
  const [c, d] = pair(m, SOCK_STREAM);
  send(m, c, "unread");
  d.put();
  assert.throws(() => receive(m, c, 8), (error) => error === ECONNRESET);
  assert.equal(receive(m, c, 8)[0], "");
});

for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) {
  test(`messages of type ${type} keep their borders and tell when they are cut`, () => {
    const m = machine();
    const [a, b] = pair(m, type);
    send(m, a, "long message");
    send(m, a, "");
    const [text, message] = receive(m, b, 4);
    assert.equal(text, "long");
    assert.equal(message.outFlags, MSG_TRUNC);
    assert.equal(receive(m, b, 4)[0], "");
    assert.throws(() => send(m, a, "x".repeat(300_000)), (error) => error === EMSGSIZE);
  });
}

test("a full datagram receiver makes its sender wait", () => {
  const m = machine();
  const [a, b] = pair(m, SOCK_DGRAM);
  let count = 0;
  while (send(m, a, "m") !== WOULD_BLOCK) count++;
  assert.equal(count, 11);
  assert.equal(a.poll() & POLLOUT, 0);
  receive(m, b, 8);
  assert.equal(a.poll() & POLLOUT, POLLOUT);
});
