// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { exploreSchedules, type Program, ScriptedKernel } from "../../tools/testing/sim/scripted.ts";

test("two tasks that only compute share the CPU", () => {
  const kernel = new ScriptedKernel();
  const spent = [0, 0];
  const hog = (index: number): Program =>
    function*(task) {
      for (;;) {
        yield* task.spend(100_000);
        spent[index]! += 1;
      }
    };
  kernel.spawn(hog(0));
  kernel.spawn(hog(1));
  kernel.run(200);
  assert.ok(spent[0]! > 100 && spent[1]! > 100);
  assert.ok(Math.abs(spent[0]! - spent[1]!) / (spent[0]! + spent[1]!) < 0.1);
});

test("nice values divide the CPU", () => {
  const kernel = new ScriptedKernel();
  const spent = [0, 0];
  const hog = (index: number): Program =>
    function*(task) {
      yield* task.call("setpriority", 0, 0, index * 10);
      for (;;) {
        yield* task.spend(1000);
        spent[index]! += 1;
      }
    };
  kernel.spawn(hog(0));
  kernel.spawn(hog(1));
  kernel.run(200);
  const ratio = spent[0]! / spent[1]!;
  assert.ok(ratio > 5 && ratio < 15, String(ratio));
});

test("a task that wakes runs before those whose slice is over", () => {
  const kernel = new ScriptedKernel();
  const order: string[] = [];
  kernel.spawn(function*(task) {
    for (let count = 0; count < 3; count++) {
      yield* task.call("gate_wait", 0);
      order.push("woken");
    }
  });
  for (const name of ["a", "b"]) {
    kernel.spawn(function*(task) {
      for (let count = 0; count < 3; count++) {
        yield* task.call("gate_open", 0);
        yield* task.spend(50_000_000);
        order.push(name);
      }
    });
  }
  kernel.run(50);
  assert.ok(order.indexOf("woken") < order.indexOf("a"));
});

test("the same seed gives the same order, instruction for instruction", () => {
  const runs: string[] = [];
  for (let run = 0; run < 2; run++) {
    exploreSchedules(5, (kernel) => {
      const order: string[] = [];
      for (const name of ["a", "b", "c"]) {
        kernel.spawn(function*(task) {
          for (let count = 0; count < 5; count++) {
            order.push(name);
            yield* task.call("sched_yield");
          }
        });
      }
      kernel.run();
      runs[run] = `${runs[run] ?? ""}${order.join("")} ${String(kernel.kernel.cpu.retired)} `;
    });
  }
  assert.equal(runs[0], runs[1]);
  assert.ok(new Set(runs[0]!.split(" ")).size > 3);
});

test("timers fire in order, and a sleep ends no earlier than asked", () => {
  const kernel = new ScriptedKernel();
  const order: number[] = [];
  for (const ms of [30, 10, 20]) {
    kernel.spawn(function*(task) {
      task.memory.setUint32(0x1108, ms * 1_000_000, true);
      const start = kernel.nowNs;
      assert.equal(yield* task.call("nanosleep", 0x1100, 0), 0);
      assert.ok(kernel.nowNs - start >= ms * 1_000_000);
      order.push(ms);
    });
  }
  kernel.run();
  assert.deepEqual(order, [10, 20, 30]);
});

test("CPU time adds up to what passed", () => {
  const kernel = new ScriptedKernel();
  let usedNs = 0;
  const task = kernel.spawn(function*(script) {
    yield* script.spend(5_000_000);
    usedNs = task.group.cpuTime.userNs;
  });
  kernel.run();
  assert.ok(task.group.cpuTime.userNs + task.group.cpuTime.systemNs >= 5_000_000);
  assert.ok(usedNs <= task.group.cpuTime.userNs);
});

test("what is to be done while nobody waits begins a second after the last instruction, though a timer ends early", async () => {
  const kernel = new ScriptedKernel();
  const { sched } = kernel.kernel;
  const quietNs: number[] = [];
  sched.onQuiet = () => quietNs.push(kernel.nowNs);
  let endNs = 0;
  kernel.spawn(function*(task) {
    yield* task.spend(1_000_345);
    endNs = kernel.nowNs;
  });
  await sched.run(() => kernel.nowNs > 10e9);
  assert.equal(quietNs.length, 1);
  assert.ok(quietNs[0]! >= endNs + 1e9 && quietNs[0]! < endNs + 1.002e9, `${quietNs[0]} after ${endNs}`);
});
