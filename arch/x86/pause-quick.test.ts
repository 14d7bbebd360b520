// SPDX-License-Identifier: Apache-2.0
// PAUSE ends the turn of a task that spins, and of no other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAP_PREEMPTED } from "../../include/linux/cpu.ts";
import { QuickMachine } from "./testing/quick.ts";

const BUDGET = 100_000;
const PAUSE = [0xf3, 0x90] as const;

test("a loop of PAUSEs gives up what is left of its budget, interpreted and translated", () => {
  const spinning = new QuickMachine("with quick functions");
  spinning.load([...PAUSE, 0xeb, 0xfc]); // jmp to it
  for (let run = 0; run < 6000; run++) {
    const before = spinning.cpu.retired;
    assert.equal(spinning.cpu.run(BUDGET), TRAP_PREEMPTED);
    const retired = spinning.cpu.retired - before;
    assert.ok(retired > 32 && retired < 200, `${retired} instructions`);
  }
  assert.ok(spinning.cpu.statistics()["regions"]! > 0);
});

test("a few PAUSEs do not", () => {
  const machine = new QuickMachine("with quick functions");
  // mov ecx, 20; PAUSE; loop to it; jmp to itself
  machine.load([0xb9, 20, 0, 0, 0, ...PAUSE, 0xe2, 0xfc, 0xeb, 0xfe]);
  assert.equal(machine.cpu.run(BUDGET), TRAP_PREEMPTED);
  assert.ok(machine.cpu.retired >= BUDGET);
  assert.equal(machine.slow, 0);
});
