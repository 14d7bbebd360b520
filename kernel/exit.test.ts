// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { CLONE_VFORK, CLONE_VM } from "../include/uapi/sched.ts";
import { SIGCHLD, SIGKILL, SIGSTOP } from "../include/uapi/signal.ts";
import { WCONTINUED, WNOHANG, WUNTRACED } from "../include/uapi/wait.ts";
import { exploreSchedules, type Program, ScriptedKernel } from "../tools/testing/sim/scripted.ts";

const STATUS = 0x1800;
const ECHILD = -10;

function exits(code: number): Program {
  return function*(task) {
    yield* task.call("exit_group", code);
  };
}

test("the parent learns the exit status, once", () => {
  exploreSchedules(20, (kernel) => {
    const seen: number[] = [];
    kernel.spawn(function*(task) {
      const pid = yield* task.clone(SIGCHLD, exits(42));
      seen.push((yield* task.call("wait4", -1, STATUS, 0, 0)) - pid, task.memory.getUint32(STATUS, true));
      seen.push(yield* task.call("wait4", -1, STATUS, 0, 0));
    });
    assert.ok(kernel.run());
    assert.deepEqual(seen, [0, 42 << 8, ECHILD]);
  });
});

test("vfork holds the parent until the child has exited", () => {
  exploreSchedules(20, (kernel) => {
    const order: string[] = [];
    kernel.spawn(function*(task) {
      yield* task.clone(CLONE_VFORK | CLONE_VM | SIGCHLD, function*(child) {
        yield* child.call("sched_yield");
        order.push("child");
        yield* child.call("exit_group", 0);
      });
      order.push("parent");
      yield* task.call("wait4", -1, 0, 0, 0);
    });
    kernel.run();
    assert.deepEqual(order, ["child", "parent"]);
  });
});

test("orphans go to a subreaper", () => {
  exploreSchedules(20, (kernel) => {
    const reaped: number[] = [];
    kernel.spawn(function*(task) {
      yield* task.call("prctl", 36, 1); // PR_SET_CHILD_SUBREAPER
      yield* task.clone(SIGCHLD, function*(child) {
        yield* child.clone(SIGCHLD, function*(grandchild) {
          yield* grandchild.call("sched_yield");
          yield* grandchild.call("exit_group", 7);
        });
        yield* child.call("exit_group", 3);
      });
      for (;;) {
        if ((yield* task.call("wait4", -1, STATUS, 0, 0)) < 0) break;
        reaped.push(task.memory.getUint32(STATUS, true) >> 8);
      }
    });
    kernel.run();
    assert.deepEqual(reaped.sort((a, b) => a - b), [3, 7]);
  });
});

test("without a subreaper init takes orphans and nothing is left", () => {
  const kernel = new ScriptedKernel();
  kernel.spawn(function*(task) {
    yield* task.clone(SIGCHLD, function*(child) {
      yield* child.call("nanosleep", 0x1900, 0);
      yield* child.call("exit_group", 0);
    });
    yield* task.call("exit_group", 0);
  });
  kernel.run();
  assert.deepEqual([...kernel.kernel.tasks.all()].map((task) => task.comm), ["init"]);
});

test("a stopped child is reported, continues, is reported, dies", () => {
  exploreSchedules(10, (kernel) => {
    const seen: number[] = [];
    kernel.spawn(function*(task) {
      const pid = yield* task.clone(SIGCHLD, function*(child) {
        for (;;) yield* child.call("pause");
      });
      yield* task.call("kill", pid, SIGSTOP);
      yield* task.call("wait4", pid, STATUS, WUNTRACED, 0);
      seen.push(task.memory.getUint32(STATUS, true));
      yield* task.call("kill", pid, 18); // SIGCONT
      yield* task.call("wait4", pid, STATUS, WCONTINUED, 0);
      seen.push(task.memory.getUint32(STATUS, true));
      seen.push(yield* task.call("wait4", pid, STATUS, WUNTRACED | WCONTINUED | WNOHANG, 0));
      yield* task.call("kill", pid, SIGKILL);
      yield* task.call("wait4", pid, STATUS, 0, 0);
      seen.push(task.memory.getUint32(STATUS, true));
    });
    kernel.run();
    assert.deepEqual(seen, [(SIGSTOP << 8) | 0x7f, 0xffff, 0, SIGKILL]);
  });
});

test("RLIMIT_NPROC stops a fork bomb of a common user with EAGAIN", () => {
  const kernel = new ScriptedKernel();
  let refused = 0;
  kernel.spawn(function*(task) {
    task.memory.setUint32(STATUS, 5, true);
    task.memory.setUint32(STATUS + 8, 5, true);
    yield* task.call("setrlimit", 6, STATUS);
    yield* task.call("setuid", 1000);
    for (let count = 0; count < 10; count++) {
      const pid = yield* task.clone(SIGCHLD, function*(child) {
        for (;;) yield* child.call("pause");
      });
      if (pid === -11) refused++;
    }
  });
  kernel.run();
  assert.equal(refused, 6);
});
