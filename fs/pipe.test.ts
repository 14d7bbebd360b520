// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../include/linux/fs.ts";
import {
  F_GETPIPE_SZ,
  F_SETPIPE_SZ,
  O_DIRECT,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
} from "../include/uapi/fcntl.ts";
import { type Machine, machine } from "./fixture.test.ts";
import { openFifo } from "./pipe.ts";

const S_IFIFO = 0o010000;

function pipe(m: Machine, flags: number): [number, number] {
  const address = m.buffer(8);
  assert.equal(m.call("pipe2", address, flags), 0);
  const view = new DataView(m.bytes(address, 8).slice().buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

function poll(m: Machine, fd: number, events: number): number {
  const entry = new Uint8Array(8);
  new DataView(entry.buffer).setInt32(0, fd, true);
  new DataView(entry.buffer).setInt16(4, events, true);
  const address = m.buffer(8);
  m.task.mm!.user.tryCopyOut(address, entry);
  m.call("poll", address, 1, 0);
  return new DataView(m.bytes(address, 8).slice().buffer).getUint16(6, true);
}

function read(m: Machine, fd: number, length: number): string {
  const address = m.buffer(length);
  const count = m.call("read", fd, address, length);
  return count < 0 ? `error ${-count}` : m.text(address, count);
}

const write = (m: Machine, fd: number, text: string): number =>
  m.call("write", fd, Buffer.from(text), text.length);

test("bytes come out in order, across slots and partial reads", () => {
  const m = machine();
  const [r, w] = pipe(m, O_NONBLOCK);
  assert.equal(write(m, w, "abc"), 3);
  assert.equal(write(m, w, "d".repeat(5000)), 5000);
  assert.equal(read(m, r, 2), "ab");
  assert.equal(read(m, r, 10_000), `c${"d".repeat(5000)}`);
  assert.equal(read(m, r, 1), "error 11");
});

test("a write of at most PIPE_BUF bytes is whole or not at all", () => {
  const m = machine();
  const [r, w] = pipe(m, O_NONBLOCK);
  assert.equal(write(m, w, "x".repeat(65536 - 4096)), 65536 - 4096);
  assert.equal(write(m, w, "y".repeat(100)), 100);
  assert.equal(m.fails("write", w, Buffer.alloc(4000), 4000), "EAGAIN");
  assert.equal(write(m, w, "y".repeat(3996)), 3996);
  assert.equal(poll(m, w, POLLOUT), 0);
  assert.equal(read(m, r, 4096).length, 4096);
  assert.equal(poll(m, w, POLLOUT), POLLOUT);
});

test("hang-ups and errors show in poll", () => {
  const m = machine();
  const [r, w] = pipe(m, 0);
  assert.equal(poll(m, r, POLLIN), 0);
  write(m, w, "z");
  m.call("close", w);
  assert.equal(poll(m, r, POLLIN), POLLIN | POLLHUP);
  assert.equal(read(m, r, 5), "z");
  assert.equal(read(m, r, 5), "");
  const [r2, w2] = pipe(m, 0);
  Object.assign(m.kernel, { tasks: { current: undefined } }); // nobody to send SIGPIPE to
  m.call("close", r2);
  assert.equal(poll(m, w2, POLLOUT), POLLOUT | POLLERR);
  assert.equal(m.fails("write", w2, Buffer.from("q"), 1), "EPIPE");
});

test("packets keep their borders", () => {
  const m = machine();
  const [r, w] = pipe(m, O_DIRECT | O_NONBLOCK);
  write(m, w, "first");
  write(m, w, "second");
  assert.equal(read(m, r, 2), "fi");
  assert.equal(read(m, r, 100), "second");
});

test("the capacity changes in powers of two and never loses data", () => {
  const m = machine();
  const [r, w] = pipe(m, O_NONBLOCK);
  assert.equal(m.call("fcntl", w, F_GETPIPE_SZ, 0), 65536);
  write(m, w, "a".repeat(9000));
  assert.equal(m.fails("fcntl", w, F_SETPIPE_SZ, 4096), "EBUSY");
  assert.equal(m.call("fcntl", w, F_SETPIPE_SZ, 12_000), 16384);
  assert.equal(m.call("write", w, Buffer.alloc(8192), 8192), 4096, "one slot of four is left");
  assert.equal(read(m, r, 20_000).length, 13_096);
});

test("frames go back when both ends are closed", () => {
  const m = machine();
  const useOnce = (): number => {
    const [r, w] = pipe(m, O_NONBLOCK);
    write(m, w, "a".repeat(60_000));
    m.call("read", r, 0x18_0000, 30_000);
    const held = m.kernel.frames.freePages;
    m.call("close", r);
    m.call("close", w);
    assert.ok(m.kernel.frames.freePages > held);
    return m.kernel.frames.freePages;
  };
  // The first time also makes the program's own pages present.
  const before = useOnce();
  assert.equal(useOnce(), before);
});

test("a FIFO opened without waiting needs a reader to be written", () => {
  const m = machine();
  m.vfs.openFifo = openFifo;
  assert.equal(m.call("mknod", "/fifo", S_IFIFO | 0o600, 0), 0);
  assert.equal(m.fails("open", "/fifo", O_WRONLY | O_NONBLOCK, 0), "ENXIO");
  const r = m.call("open", "/fifo", O_RDONLY | O_NONBLOCK, 0);
  assert.ok(r >= 0);
  assert.equal(poll(m, r, POLLIN), 0, "no hang-up before a writer has come");
  const w = m.call("open", "/fifo", O_WRONLY | O_NONBLOCK, 0);
  assert.equal(write(m, w, "through"), 7);
  m.call("close", w);
  assert.equal(read(m, r, 20), "through");
  assert.equal(poll(m, r, POLLIN), POLLHUP);
});
