// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  FUTEX_CMP_REQUEUE,
  FUTEX_LOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_WAIT,
  FUTEX_WAKE,
} from "../../include/uapi/futex.ts";
import { CLONE_CHILD_CLEARTID, CLONE_SIGHAND, CLONE_THREAD, CLONE_VM } from "../../include/uapi/sched.ts";
import {
  exploreSchedules,
  type Program,
  type Script,
  type ScriptTask,
} from "../../tools/testing/sim/scripted.ts";

const THREAD = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
const LOCK = 0x1000;
const DONE = 0x1008;
const EAGAIN = -11;
const ETIMEDOUT = -110;

/** The three-state lock of "Futexes are tricky": 0 free, 1 taken, 2 taken with waiters. */
function* lock(task: ScriptTask): Script {
  let state = task.memory.getUint32(LOCK, true);
  if (state === 0) {
    task.memory.setUint32(LOCK, 1, true);
    return;
  }
  do {
    task.memory.setUint32(LOCK, 2, true);
    yield* task.call("futex", LOCK, FUTEX_WAIT, 2, 0, 0, 0);
    state = task.memory.getUint32(LOCK, true);
    if (state === 0) task.memory.setUint32(LOCK, 2, true);
  } while (state !== 0);
}

function* unlock(task: ScriptTask): Script {
  const state = task.memory.getUint32(LOCK, true);
  task.memory.setUint32(LOCK, 0, true);
  if (state === 2) yield* task.call("futex", LOCK, FUTEX_WAKE, 1, 0, 0, 0);
}

test("a lock made of futexes excludes, and loses no wake-up, in every order", () => {
  exploreSchedules(100, (kernel) => {
    let inside = 0;
    let rounds = 0;
    const worker: Program = function*(task) {
      for (let round = 0; round < 4; round++) {
        yield* lock(task);
        assert.equal(++inside, 1);
        yield* task.call("sched_yield");
        inside--;
        yield* unlock(task);
        rounds++;
      }
      yield* task.call("exit", 0);
    };
    kernel.spawn(function*(task) {
      for (let count = 0; count < 3; count++) yield* task.clone(THREAD, worker);
      yield* task.call("exit", 0);
    });
    kernel.run();
    assert.equal(rounds, 12);
  });
});

test("waiting compares first, and gives up at the deadline", () => {
  exploreSchedules(3, (kernel) => {
    const results: number[] = [];
    kernel.spawn(function*(task) {
      results.push(yield* task.call("futex", LOCK, FUTEX_WAIT, 5, 0, 0, 0));
      task.memory.setUint32(0x1108, 1_000_000, true);
      const start = kernel.nowNs;
      results.push(yield* task.call("futex", LOCK, FUTEX_WAIT, 0, 0x1100, 0, 0));
      assert.ok(kernel.nowNs - start >= 1_000_000);
    });
    kernel.run();
    assert.deepEqual(results, [EAGAIN, ETIMEDOUT]);
  });
});

test("requeued waiters wake at the second word", () => {
  exploreSchedules(30, (kernel) => {
    let woken = 0;
    const answers: number[] = [];
    kernel.spawn(function*(task) {
      for (let count = 0; count < 3; count++) {
        yield* task.clone(THREAD, function*(thread) {
          if ((yield* thread.call("futex", LOCK, FUTEX_WAIT, 0, 0, 0, 0)) === 0) woken++;
          yield* thread.call("exit", 0);
        });
      }
      task.memory.setUint32(0x1108, 1_000_000, true);
      yield* task.call("nanosleep", 0x1100, 0);
      answers.push(yield* task.call("futex", LOCK, FUTEX_CMP_REQUEUE, 1, 10, DONE, 0));
      answers.push(yield* task.call("futex", LOCK, FUTEX_WAKE, 10, 0, 0, 0));
      answers.push(yield* task.call("futex", DONE, FUTEX_WAKE, 10, 0, 0, 0));
      yield* task.call("exit", 0);
    });
    kernel.run();
    assert.deepEqual(answers, [3, 0, 2]);
    assert.equal(woken, 3);
  });
});

test("joining a thread through CLONE_CHILD_CLEARTID never misses its end", () => {
  exploreSchedules(40, (kernel) => {
    let joined = false;
    kernel.spawn(function*(task) {
      task.memory.setUint32(DONE, 1, true);
      yield* task.clone(
        THREAD | CLONE_CHILD_CLEARTID,
        function*(thread) {
          yield* thread.call("sched_yield");
          yield* thread.call("exit", 0);
        },
        0,
        0,
        DONE,
      );
      while (task.memory.getUint32(DONE, true) !== 0) yield* task.call("futex", DONE, FUTEX_WAIT, 1, 0, 0, 0);
      joined = true;
    });
    kernel.run();
    assert.ok(joined);
  });
});

test("an owned lock passes from hand to hand", () => {
  exploreSchedules(40, (kernel) => {
    let inside = 0;
    let rounds = 0;
    const worker: Program = function*(task) {
      for (let round = 0; round < 3; round++) {
        const tid = yield* task.call("gettid");
        assert.equal(yield* task.call("futex", LOCK, FUTEX_LOCK_PI, 0, 0, 0, 0), 0);
        assert.equal(task.memory.getUint32(LOCK, true) & 0x3fff_ffff, tid);
        assert.equal(++inside, 1);
        yield* task.call("sched_yield");
        inside--;
        assert.equal(yield* task.call("futex", LOCK, FUTEX_UNLOCK_PI, 0, 0, 0, 0), 0);
        rounds++;
      }
      yield* task.call("exit", 0);
    };
    kernel.spawn(function*(task) {
      for (let count = 0; count < 3; count++) yield* task.clone(THREAD, worker);
      yield* task.call("exit", 0);
    });
    kernel.run();
    assert.equal(rounds, 9);
  });
});
