// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import type { PeerName } from "./peers.ts";
import { duration, median, ratio, report } from "./report.ts";
import { type RunLabel, type Sample, sampleOf } from "./suites.ts";

function sample(round: number, peer: PeerName, pair: string, name: string, cost: number): Sample {
  const failure = Number.isNaN(cost) ? "no result in 1 s" : undefined;
  return { round, suite: "cpu", peer, pair, name, cost, wall: cost, values: "", failure };
}

/** Rounds of pairs: [native, qemu] costs of one workload. */
function pairs(name: string, costs: readonly (readonly [number, number])[]): Sample[] {
  return costs.flatMap(([native, qemu], n) => [
    sample(n + 1, "native", "qemu", name, native),
    sample(n + 1, "qemu", "qemu", name, qemu),
  ]);
}

test("a median forgets the odd run", () => {
  assert.equal(median([3, 100, 1]), 3);
  assert.equal(median([4, 1]), 2.5);
});

test("a ratio is taken within its own round", () => {
  // The machine was twice as slow in the second round: both sides were.
  const samples = pairs("cpu.int", [[1, 2], [2, 4], [1, 9]]);
  assert.equal(ratio(samples, "cpu.int", "qemu"), 2);
  assert.equal(ratio(samples, "cpu.int", "uml"), undefined);
});

test("the native run of another pair is not used", () => {
  const samples = [...pairs("cpu.int", [[1, 3]]), sample(1, "native", "gvisor", "cpu.int", 100)];
  assert.equal(ratio(samples, "cpu.int", "qemu"), 3);
});

test("one failed round fails the cell, and the report says why", () => {
  const samples = [...pairs("cpu.int", [[1, 2], [1, NaN]]), ...pairs("cpu.fib", [[1, 5], [1, 5]])];
  const text = report([{ name: "CPU", value: "2 cores" }], samples);
  assert.match(text, /\| int \| 1\.00 s \| FAIL \|/);
  assert.match(text, /\| fib \| 1\.00 s \| 5\.00 \|/);
  assert.match(text, /\*\*5\.00\*\* \(1 of 2\)/);
  assert.match(text, /- cpu\.int under qemu-user, round 2: no result in 1 s/);
});

test("durations keep three digits", () => {
  assert.equal(duration(1.5), "1.50 s");
  assert.equal(duration(0.0123), "12.3 ms");
  assert.equal(duration(0.000_45), "450 us");
  assert.equal(duration(2.1e-8), "21.0 ns");
});

test("a wrong sum, a failure of the workload and the cost of one operation", () => {
  const label: RunLabel = { round: 1, suite: "cpu", peer: "qemu", pair: "qemu" };
  const stamp = { name: "cpu.int", values: "0.5 cpu=0.5 sum=0a", cpu: 0.5, wall: 0.5, output: [] };
  const native = sampleOf({ ...label, peer: "native" }, { ...stamp, values: "0.5 cpu=0.5 sum=0b" });
  assert.match(sampleOf(label, stamp, native).failure ?? "", /wrong result/);
  assert.equal(sampleOf(label, stamp).failure, undefined);
  assert.equal(sampleOf(label, { ...stamp, values: "FAIL status=1" }).failure, "FAIL status=1");
  const calls = { ...stamp, name: "sys.getppid", values: "0.000000100 ops=1000" };
  assert.equal(sampleOf({ ...label, suite: "sys" }, calls).cost, 0.0005);
  const among = { ...stamp, name: "scale.fork.1000", values: "0.000200000 ops=100" };
  assert.equal(sampleOf({ ...label, suite: "scale" }, among).cost, 0.0002);
});

test("scale is shown by what an operation costs among so many things", () => {
  const at = (peer: PeerName, name: string, cost: number): Sample => ({
    ...sample(1, peer, "rookery", name, cost),
    suite: "scale",
  });
  const text = report([], [at("native", "scale.fork.1000", 2e-4), at("rookery", "scale.fork.1000", 3e-4)]);
  assert.match(text, /\| fork \| 1,000 \| 200 us \| 300 us \|/);
});
