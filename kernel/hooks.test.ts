// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { EACCES } from "../lib/errno.ts";
import { ScriptedKernel } from "../tools/testing/sim/scripted.ts";

test("middleware answers in place of a call, refuses it, or lets it through", () => {
  const kernel = new ScriptedKernel();
  const names: string[] = [];
  const stop = kernel.kernel.hooks.use({
    *around(call, next) {
      names.push(call.name);
      if (call.name === "getuid") return 4711;
      if (call.name === "getgid") throw EACCES;
      const result = yield* next();
      return call.name === "getpid" ? Number(result) + 1000 : result;
    },
  });
  const results: number[] = [];
  const task = kernel.spawn(function*(script) {
    for (const name of ["getuid", "getgid", "getpid", "no_such_call"]) results.push(yield* script.call(name));
    stop();
    results.push(yield* script.call("getuid"));
  });
  kernel.run();
  assert.deepEqual(results, [4711, -13, task.pid + 1000, -38, 0]);
  assert.deepEqual(names.slice(0, 3), ["getuid", "getgid", "getpid"]);
  assert.equal(kernel.kernel.hooks.isActive, false);
});

test("two layers of middleware: the last one added is outermost", () => {
  const kernel = new ScriptedKernel();
  const order: string[] = [];
  for (const name of ["inner", "outer"]) {
    kernel.kernel.hooks.use({
      *around(_call, next) {
        order.push(name);
        return yield* next();
      },
    });
  }
  kernel.spawn(function*(script) {
    yield* script.call("getpid");
  });
  kernel.run();
  assert.deepEqual(order.slice(0, 2), ["outer", "inner"]);
});
