// SPDX-License-Identifier: Apache-2.0
// A seeded sample of the instruction oracle, small enough for every run of the tests. Needs gcc and an x86-64
// Linux host; on another it fails and says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { X86_FORMS } from "../../../arch/x86/tables/forms.ts";
import { differences } from "./compare.ts";
import { exclusion } from "./exclusions.ts";
import { buildNativeRunner, runNative } from "./native.ts";
import { planBatch, planOne, testedForms } from "./plan.ts";
import { GPR, RFLAGS, SIGNAL } from "./records.ts";
import { reportText } from "./report.ts";
import { RookeryRunner } from "./rookery.ts";
import { runOracle } from "./run.ts";
import { runUndefinedOpcodes } from "./undefined-opcodes.ts";

const SEED = 20_000;

test("a sample of instances agrees with the processor in both back ends, every form covered", () => {
  const summary = runOracle({
    instances: 20_000,
    seed: SEED,
    form: undefined,
    backends: ["interp", "translate"],
    sequences: true,
    progress: () => {},
  });
  assert.equal(summary.differing, 0, reportText(summary));
  assert.deepEqual(summary.missingForms, []);
  assert.ok(summary.instances >= 20_000);
});

test("single steps agree with the processor", () => {
  const summary = runOracle({
    instances: 5_000,
    seed: SEED + 1,
    form: undefined,
    backends: ["step"],
    sequences: true,
    progress: () => {},
  });
  assert.equal(summary.differing, 0, reportText(summary));
});

test("every form is tested or excluded with a reason", () => {
  const tested = new Set(testedForms(undefined));
  for (const form of X86_FORMS) assert.ok(tested.has(form) || exclusion(form) !== undefined, form.name);
});

test("opcodes without a form are undefined instructions", () => {
  const { count, wrong } = runUndefinedOpcodes();
  assert.deepEqual(wrong, []);
  assert.ok(count > 10_000);
});

test("an instance is a function of its key", () => {
  const form = X86_FORMS.find(({ mnemonic }) => mnemonic === "ADC")!;
  const batch = planBatch(7, 3, [form], 0);
  const item = batch.cases[5]!;
  const again = planOne(item.key);
  assert.deepEqual(again.cases[0], item);
  assert.deepEqual(again.background, batch.background);
});

test("the limit that holds the processor's number is that of the first processor", () => {
  // LSL r15, dx with the selector 0x78.
  const batch = planOne("3/250/612");
  assert.deepEqual([...batch.cases[0]!.bytes], [0x44, 0x0f, 0x03, 0xfa]);
  const native = runNative(buildNativeRunner(), batch)[0]!;
  assert.equal(native.words[GPR + 30], 0);
});

test("a wrong register, flag, signal or byte of memory is noticed", () => {
  const form = X86_FORMS.find(({ name }) => name === "01 - ADD Ev,Gv")!;
  const batch = planBatch(7, 0, [form], 0);
  const natives = runNative(buildNativeRunner(), batch);
  const runner = new RookeryRunner({});
  runner.load(batch);
  const n = natives.findIndex(({ diffs }) => diffs.length > 0);
  const item = batch.cases[n]!;
  const native = natives[n]!;
  const outcome = runner.run(item, native, true);
  assert.deepEqual(differences(item, native, outcome, true), []);
  for (const word of [GPR + 7, RFLAGS, SIGNAL]) {
    outcome.words[word]! ^= 1;
    assert.ok(differences(item, native, outcome, true).length > 0, `word ${word}`);
    outcome.words[word]! ^= 1;
  }
  native.diffs[0]!.bytes[0]! ^= 1;
  assert.notEqual(runner.run(item, native, true).memoryOffset, -1);
});
