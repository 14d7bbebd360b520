// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { POLLHUP, POLLIN, POLLOUT } from "../include/linux/fs.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLONESHOT,
} from "../include/uapi/eventpoll.ts";
import { O_NONBLOCK } from "../include/uapi/fcntl.ts";
import { type Machine, machine } from "./fixture.test.ts";

function event(events: number, data: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, events >>> 0, true);
  view.setUint32(4, data, true);
  return bytes;
}

/** [events, data] of what is ready now. */
function ready(m: Machine, ep: number, max: number = 8): [number, number][] {
  const address = m.buffer(12 * max);
  const count = m.call("epoll_wait", ep, address, max, 0);
  assert.ok(count >= 0);
  const view = new DataView(m.bytes(address, 12 * max).slice().buffer);
  return Array.from(
    { length: count },
    (_, i) => [view.getUint32(i * 12, true), view.getUint32(i * 12 + 4, true)],
  );
}

function pipe(m: Machine): [number, number] {
  const address = m.buffer(8);
  assert.equal(m.call("pipe2", address, O_NONBLOCK), 0);
  const view = new DataView(m.bytes(address, 8).slice().buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

const add = (m: Machine, ep: number, fd: number, events: number): number =>
  m.call("epoll_ctl", ep, EPOLL_CTL_ADD, fd, event(events, fd));
const write = (m: Machine, fd: number, text: string): number =>
  m.call("write", fd, Buffer.from(text), text.length);

test("level-triggered items stay ready, edge-triggered ones report each arrival once", () => {
  const m = machine();
  const ep = m.call("epoll_create1", 0);
  const [r, w] = pipe(m);
  add(m, ep, r, POLLIN);
  assert.deepEqual(ready(m, ep), []);
  write(m, w, "ab");
  assert.deepEqual(ready(m, ep), [[POLLIN, r]]);
  assert.deepEqual(ready(m, ep), [[POLLIN, r]]);
  m.call("epoll_ctl", ep, EPOLL_CTL_MOD, r, event(POLLIN | EPOLLET, r));
  assert.deepEqual(ready(m, ep), [[POLLIN, r]]);
  assert.deepEqual(ready(m, ep), []);
  m.call("read", r, m.buffer(8), 1);
  assert.deepEqual(ready(m, ep), [], "a partial read is no arrival");
  write(m, w, "c");
  assert.deepEqual(ready(m, ep), [[POLLIN, r]]);
});

test("a one-shot item is silent until it is armed again", () => {
  const m = machine();
  const ep = m.call("epoll_create1", 0);
  const [r, w] = pipe(m);
  add(m, ep, r, POLLIN | EPOLLONESHOT);
  write(m, w, "a");
  assert.equal(ready(m, ep).length, 1);
  m.call("close", w);
  assert.equal(ready(m, ep).length, 0, "not even a hang-up");
  m.call("epoll_ctl", ep, EPOLL_CTL_MOD, r, event(EPOLLONESHOT, r));
  assert.deepEqual(ready(m, ep), [[POLLHUP, r]]);
});

test("the ready list is served in turn when it does not fit", () => {
  const m = machine();
  const ep = m.call("epoll_create1", 0);
  const ends = [pipe(m), pipe(m), pipe(m)];
  for (const [, w] of ends) add(m, ep, w, POLLOUT);
  const seen = new Set([...ready(m, ep, 2), ...ready(m, ep, 2)].map(([, data]) => data));
  assert.equal(seen.size, 3);
});

test("a file leaves the set with its last descriptor, not with the first", () => {
  const m = machine();
  const ep = m.call("epoll_create1", 0);
  const [, w] = pipe(m);
  add(m, ep, w, POLLOUT);
  const copy = m.call("dup", w);
  m.call("close", w);
  assert.equal(ready(m, ep).length, 1);
  m.call("close", copy);
  assert.equal(ready(m, ep).length, 0);
});

test("nested sets wake through each other and may not form a ring or go deeper than five", () => {
  const m = machine();
  const inner = m.call("epoll_create1", 0);
  const outer = m.call("epoll_create1", 0);
  const ev = m.call("eventfd2", 0, 0);
  add(m, inner, ev, POLLIN);
  add(m, outer, inner, POLLIN);
  assert.deepEqual(ready(m, outer), []);
  m.call("write", ev, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8);
  assert.deepEqual(ready(m, outer), [[POLLIN, inner]]);
  assert.equal(m.fails("epoll_ctl", inner, EPOLL_CTL_ADD, outer, event(POLLIN, 0)), "ELOOP");
  let top = outer;
  for (let depth = 2; depth < 5; depth++) {
    const next = m.call("epoll_create1", 0);
    assert.equal(add(m, next, top, POLLIN), 0);
    top = next;
  }
  const tooHigh = m.call("epoll_create1", 0);
  assert.equal(m.fails("epoll_ctl", tooHigh, EPOLL_CTL_ADD, top, event(POLLIN, 0)), "ELOOP");
});

test("what epoll_ctl refuses", () => {
  const m = machine();
  m.writeFile("/file", "x");
  const ep = m.call("epoll_create1", 0);
  const [r] = pipe(m);
  const file = m.call("open", "/file", 0, 0);
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_ADD, file, event(POLLIN, 0)), "EPERM");
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_ADD, ep, event(POLLIN, 0)), "EINVAL");
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_DEL, r, 0), "ENOENT");
  assert.equal(add(m, ep, r, POLLIN), 0);
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_ADD, r, event(POLLIN, 0)), "EEXIST");
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_MOD, r, event(POLLIN | EPOLLEXCLUSIVE, 0)), "EINVAL");
  assert.equal(m.fails("epoll_ctl", ep, EPOLL_CTL_ADD, 99, event(POLLIN, 0)), "EBADF");
});
