// SPDX-License-Identifier: Apache-2.0
// The same seed gives the same run: output, system calls, retired instructions; with threads, signals and timers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "./image.ts";

const PROGRAM = `
import os, random, signal, threading, time
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(time.monotonic_ns()))
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.002)
total = 0
lock = threading.Lock()
order = []
def work(n):
    global total
    for i in range(3000):
        with lock:
            total += i * n
    order.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
time.sleep(0.05)
signal.setitimer(signal.ITIMER_REAL, 0)
print(total, order, len(ticks), ticks[-1], random.random(), os.getpid(), id(object()), time.time_ns())
`;

async function once(seed: number): Promise<{ output: string; calls: string; retired: string }> {
  const result = await run(["--seed", String(seed), "--strace", "--stats", "--", "python3", "-c", PROGRAM]);
  assert.equal(result.status, 0, result.stderr);
  const retired = /^retired +(\d+)$/m.exec(result.stderr)?.[1];
  assert.ok(retired !== undefined, "no count of retired instructions");
  return { output: result.stdout, calls: result.stderr, retired };
}

test("the same seed gives the same run, another seed another one", async () => {
  const [first, again, other] = await Promise.all([once(42), once(42), once(43)]);
  assert.equal(again.output, first.output);
  assert.equal(again.retired, first.retired);
  assert.equal(again.calls, first.calls);
  assert.notEqual(other.output, first.output);
});
