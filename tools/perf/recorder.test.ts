// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeProfile } from "./profile.ts";
import { type CodeRange, findRange, findWord, type Module, Recorder, type Sample } from "./recorder.ts";
import { makeElf } from "./testing.ts";

const FILE: Module = {
  name: "/bin/a",
  file: undefined,
  // _start at 0x2000 is outermost; it calls f at 0x3000.
  bytes: makeElf([{ name: "_start", start: 0x2000, bytes: 64 }, { name: "f", start: 0x3000, bytes: 64 }], [
    { start: 0x2000, bytes: 64, program: [0x07, 16] },
    { start: 0x3000, bytes: 64, program: [] },
  ]),
};
/** The second page of the file and on, mapped high up. */
const RANGE: CodeRange = { start: 0x7f00_0000_0000, end: 0x7f00_0000_4000, fileOffset: 0x1000, module: FILE };
const MADE: CodeRange = {
  start: 0x7f00_0001_0000,
  end: 0x7f00_0001_1000,
  fileOffset: 0,
  module: { name: "[anon]", file: undefined, bytes: undefined },
};
const CODE = [RANGE, MADE];
/** In memory: an address of the file, which counts from 0x1000, is this much lower. */
const BIAS = RANGE.start - 0x2000;

function sampleAt(pc: number, words: readonly number[]): Sample {
  const registers = new Float64Array(17);
  registers[7] = 0x7ffe_0000;
  registers[16] = pc;
  return { comm: "a", code: CODE, registers, words: Float64Array.from(words), instructions: 10, hostNs: 5 };
}

test("ranges and words are found by address", () => {
  assert.equal(findRange(CODE, RANGE.start), RANGE);
  assert.equal(findRange(CODE, RANGE.end), undefined);
  assert.equal(findRange(CODE, MADE.start + 5), MADE);
  assert.equal(findRange(CODE, 0), undefined);
  const words = Float64Array.of(8, 100, 24, 300);
  assert.deepEqual([8, 16, 24, 32].map((at) => findWord(words, at)), [100, undefined, 300, undefined]);
});

test("samples become named chains, the same ones added up", () => {
  const recorder = new Recorder(new Uint8Array(0));
  const samples = [
    sampleAt(BIAS + 0x3004, [0x7ffe_0000, BIAS + 0x2010]),
    sampleAt(BIAS + 0x3008, [0x7ffe_0000, BIAS + 0x2020]),
    sampleAt(MADE.start + 3, []),
    sampleAt(0x1234, []),
  ];
  const facts = { counters: {}, hasTime: true };
  const { stacks } = makeProfile({
    samples,
    period: recorder.period,
    kernelCounts: [],
    totalInstructions: 40,
    totalHostNs: 20,
  }, facts);
  const chains = stacks.map((stack) => [stack.frames.map((frame) => frame.symbol).join(" "), stack.samples]);
  assert.deepEqual(chains, [
    ["_start f", 2],
    ["[callers unknown] [code made at run time]", 1],
    ["[callers unknown] [unknown]", 1],
  ]);
  assert.deepEqual([stacks[0]?.instructions, stacks[0]?.hostNs], [20, 10]);
});

test("kernel functions are counted by process name", () => {
  const recorder = new Recorder(new Uint8Array(0));
  recorder.kernelCount("sh", "read(2)").count++;
  recorder.kernelCount("sh", "read(2)").count++;
  recorder.kernelCount("cat", "read(2)").count++;
  assert.deepEqual(recorder.kernelCounts.map(({ comm, count }) => [comm, count]), [["sh", 2], ["cat", 1]]);
});
