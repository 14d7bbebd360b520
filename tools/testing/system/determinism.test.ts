// SPDX-License-Identifier: Apache-2.0
// The same seed gives the same run: output, system calls, retired instructions; with threads, signals and timers.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { HostDisk } from "../../../include/host/host.ts";
import { fileDisk, Machine } from "../../../virt/host/node/index.ts";
import { run, testImage } from "./image.ts";

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

/** The test image, each part of which comes after a while of up to `delayMs`. */
function lateDisk(disk: HostDisk, delayMs: number): HostDisk {
  return {
    sizeBytes: disk.sizeBytes,
    isReadOnly: true,
    async read(offset, into) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * delayMs));
      await disk.read(offset, into);
    },
    write: () => undefined,
    flush: () => undefined,
  };
}

test("how late a disk answers changes nothing", async () => {
  using disk = fileDisk(testImage());
  const results = [];
  for (const delayMs of [1, 20]) {
    await using machine = await Machine.boot({ root: lateDisk(disk, delayMs), seed: 42 });
    const script =
      "for f in $(ls /bin/* | head -30); do head -c 100 $f | cksum & sleep 0.01; done; wait; date +%N; echo $RANDOM";
    const { stdout } = await machine.exec(["bash", "-c", script]);
    results.push({ stdout, retired: machine.statistics()["retired"] });
  }
  assert.notEqual(results[0]!.stdout, "");
  assert.deepEqual(results[1], results[0]);
});
