// SPDX-License-Identifier: Apache-2.0
// Wait queues: one waiter and several behave alike.

import assert from "node:assert/strict";
import { test } from "node:test";

import { type WaitEntry, WaitQueue } from "./wait.ts";

function entry(log: string[], name: string, exclusive = false): WaitEntry {
  return {
    exclusive,
    wake: () => {
      log.push(name);
      return true;
    },
  };
}

test("waiters are woken in the order of their arrival, whatever came and went before", () => {
  const log: string[] = [];
  const queue = new WaitQueue();
  const [a, b, c] = ["a", "b", "c"].map((name) => entry(log, name)) as [WaitEntry, WaitEntry, WaitEntry];
  assert.ok(queue.isEmpty);
  queue.add(a);
  queue.add(a);
  queue.wake(0);
  queue.add(b);
  queue.add(c);
  queue.wake(0);
  queue.remove(a);
  queue.remove(b);
  queue.wake(0);
  queue.add(a);
  queue.wake(0);
  queue.remove(c);
  queue.remove(a);
  assert.ok(queue.isEmpty);
  queue.wake(0);
  queue.add(b);
  queue.wake(0);
  assert.equal(log.join(""), "aabcccab");
});

test("as many exclusive waiters are woken as asked, and every other one", () => {
  const log: string[] = [];
  const queue = new WaitQueue();
  for (const name of ["x", "y", "z"]) queue.add(entry(log, name, true));
  queue.add(entry(log, "s"));
  queue.wake(0);
  queue.wake(0, 2);
  queue.wakeAll(0);
  assert.equal(log.join(""), "xsxysxyzs");
});

test("a waiter that is added or removed while others are woken changes nothing for them", () => {
  const log: string[] = [];
  const queue = new WaitQueue();
  const late = entry(log, "late");
  const last = entry(log, "last");
  queue.add({
    wake: () => {
      queue.add(late);
      return true;
    },
  });
  queue.wake(0);
  assert.deepEqual(log, []);
  queue.add(last);
  queue.wake(0);
  assert.deepEqual(log, ["late", "last"]);
});
