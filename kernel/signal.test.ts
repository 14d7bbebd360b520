// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { CLONE_SIGHAND, CLONE_THREAD, CLONE_VM } from "../include/uapi/sched.ts";
import { SA_RESTART, SIGTERM, SIGUSR1 } from "../include/uapi/signal.ts";
import { exploreSchedules, type Script, ScriptedKernel } from "../tools/testing/sim/scripted.ts";
import { SigSet } from "./signal-set.ts";

const EINTR = -4;
const THREAD = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;

test("a set finds its lowest member outside another, in both words", () => {
  const blocked = SigSet.of(3, 40);
  assert.equal(SigSet.of(3, 9, 40).lowestOutside(blocked), 9);
  assert.equal(SigSet.of(3, 40, 64).lowestOutside(blocked), 64);
  assert.equal(SigSet.of(32).lowestOutside(blocked), 32);
  assert.equal(SigSet.of(3, 40).lowestOutside(blocked), 0);
  assert.equal(SigSet.fromBigint(1n << 63n).has(64), true);
  assert.equal(SigSet.of(1, 32, 33, 64).toBigint(), 0x8000_0001_8000_0001n);
});

test("a handler interrupts a sleep: EINTR without SA_RESTART, the call again with it", () => {
  exploreSchedules(20, (kernel) => {
    const results: number[] = [];
    function* handler(): Script {}
    kernel.spawn(function*(task) {
      const pid = yield* task.call("getpid");
      yield* task.handle(SIGUSR1, handler);
      yield* task.clone(17, function*(child) {
        yield* child.call("kill", pid, SIGUSR1);
        yield* child.call("exit_group", 0);
      });
      results.push(yield* task.call("gate_wait", 0));
    });
    kernel.run();
    // The signal may come before the wait: then the gate, never opened, holds for good.
    assert.ok(results.length === 0 || results[0] === EINTR);
    const again = new ScriptedKernel();
    const order: string[] = [];
    again.spawn(function*(task) {
      const pid = yield* task.call("getpid");
      yield* task.handle(SIGUSR1, function*() {
        order.push("handler");
      }, SA_RESTART);
      yield* task.clone(17, function*(child) {
        yield* child.call("sched_yield");
        yield* child.call("kill", pid, SIGUSR1);
        yield* child.call("sched_yield");
        yield* child.call("gate_open", 0);
        yield* child.call("exit_group", 0);
      });
      order.push(`gate ${String(yield* task.call("gate_wait", 0))}`);
    });
    again.run();
    assert.deepEqual(order, ["handler", "gate 0"]);
  });
});

test("a signal to the process goes to a thread that does not block it", () => {
  exploreSchedules(30, (kernel) => {
    const handled: number[] = [];
    kernel.spawn(function*(task) {
      const pid = yield* task.call("getpid");
      yield* task.handle(SIGUSR1, function*() {
        handled.push((yield* task.call("gettid")) - pid);
      });
      task.memory.setUint32(0x1000, 1 << (SIGUSR1 - 1), true);
      yield* task.clone(THREAD, function*(thread) {
        yield* thread.call("gate_wait", 1);
        yield* thread.call("exit", 0);
      });
      yield* task.call("rt_sigprocmask", 0, 0x1000, 0, 8);
      yield* task.call("kill", pid, SIGUSR1);
      yield* task.call("gate_open", 1);
      yield* task.call("gate_wait", 2);
    });
    kernel.run();
    assert.deepEqual(handled, [1]);
  });
});

test("SIGTERM ends every thread, wherever it sleeps", () => {
  exploreSchedules(20, (kernel) => {
    let status: number | undefined;
    kernel.spawn(function*(task) {
      for (let count = 0; count < 4; count++) {
        yield* task.clone(THREAD, function*(thread) {
          yield* thread.call("gate_wait", 0);
        });
      }
      yield* task.call("kill", yield* task.call("getpid"), SIGTERM);
      yield* task.call("gate_wait", 0);
    }, (code) => {
      status = code;
    });
    assert.ok(kernel.run());
    assert.equal(status, SIGTERM);
    assert.equal([...kernel.kernel.tasks.all()].length, 1);
  });
});

test("an exclusive wake-up is not lost when its receiver leaves for a signal", () => {
  exploreSchedules(60, (kernel) => {
    let passed = 0;
    kernel.spawn(function*(task) {
      const pid = yield* task.call("getpid");
      yield* task.handle(SIGUSR1, function*() {});
      const tids: number[] = [];
      for (let count = 0; count < 2; count++) {
        tids.push(
          yield* task.clone(THREAD, function*(thread) {
            if ((yield* thread.call("gate_wait", 0)) === 0) passed++;
            yield* thread.call("exit", 0);
          }),
        );
      }
      yield* task.call("sched_yield");
      yield* task.call("sched_yield");
      yield* task.call("gate_open", 0);
      yield* task.call("tgkill", pid, tids[0]!, SIGUSR1);
      yield* task.call("exit", 0);
    });
    kernel.run();
    assert.equal(passed, 1);
  });
});
