// SPDX-License-Identifier: Apache-2.0
// SSE arithmetic in exact mode with its WebAssembly and without gives the same results and flags: random numbers under every rounding, and those that are not
// to nearest are done by WebAssembly.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TRAP_BREAKPOINT } from "../../include/linux/cpu.ts";
import { CPU_BASE, CPU_STATE, PTE_WRITE } from "../../virt/layout.ts";
import { makeRandom, pick, QuickMachine, type Random } from "./testing/quick.ts";

const INT3 = 0xcc;
const JOBS = 12_000;
const RAX = CPU_BASE + CPU_STATE.gpr;
const XMM = CPU_BASE + CPU_STATE.xmm;
const MXCSR = CPU_BASE + CPU_STATE.mxcsr;
const STATE_BYTES = 32;
/** Behind MXCSR: the mode is exact. */
const MODE = MXCSR + 4;

/** SQRT, ADD, MUL, SUB and DIV of all four kinds. */
const ARITHMETIC = [0x51, 0x58, 0x59, 0x5c, 0x5e].flatMap((opcode) =>
  [[], [0x66], [0xf2], [0xf3]].map((prefix) => [...prefix, 0x0f, opcode])
);
/** UCOMIS and COMIS, CVTSS2SD and CVTSD2SS, CVTSI2S* and CVT(T)S*2SI of 4 and 8 bytes. */
const OTHERS = [
  ...[0x2e, 0x2f].flatMap((opcode) => [[0x0f, opcode], [0x66, 0x0f, opcode]]),
  ...[0xf2, 0xf3].flatMap((prefix) => [
    [prefix, 0x0f, 0x5a],
    ...[0x2a, 0x2c, 0x2d].flatMap((opcode) => [[prefix, 0x0f, opcode], [prefix, 0x48, 0x0f, opcode]]),
  ]),
];
const INSTRUCTIONS = [...ARITHMETIC, ...ARITHMETIC, ...OTHERS];

function double(random: Random): number {
  const kind = random(16);
  if (kind === 0) return pick(random, [0, -0, Infinity, NaN, 2 ** -1022, 2 ** -1040, Number.MAX_VALUE]);
  const whole = (random(2 ** 26) + 2 ** 26) * 2 ** 26 + pick(random, [0, 1, 2 ** 26 - 1, random(2 ** 26)]);
  const exponent = pick(random, [0, random(4), random(60) - 30, random(600) - 300, random(2000) - 1000]);
  return (random(2) === 0 ? whole : -whole) * 2 ** (exponent - 52);
}

function single(random: Random): number {
  const kind = random(16);
  if (kind === 0) return pick(random, [0, -0, Infinity, NaN, 2 ** -126, 2 ** -140, 2 ** 127]);
  return Math.fround(
    (random(2 ** 24) - 2 ** 23) * 2 ** pick(random, [0, -23, random(60) - 30, random(200) - 100]),
  );
}

interface Job {
  readonly code: readonly number[];
  readonly mxcsr: number;
  readonly rax: bigint;
  readonly vectors: Uint8Array;
}

function makeJob(random: Random): Job {
  const instruction = pick(random, INSTRUCTIONS);
  const view = new DataView(new ArrayBuffer(STATE_BYTES));
  // Doubles where the instruction is of some, or converts to singles.
  const isDouble = instruction.includes(0x66) || instruction[0] === 0xf2;
  if (isDouble) { for (let at = 0; at < STATE_BYTES; at += 8) view.setFloat64(at, double(random), true); }
  else for (let at = 0; at < STATE_BYTES; at += 4) view.setFloat32(at, single(random), true);
  const control = pick(random, [0x3f80, 0x5f80, 0x7f80, 0x1f80, 0x3980]) | pick(random, [0, 0, 0x8040]);
  return {
    code: [...instruction, 0xc1, INT3],
    mxcsr: control | pick(random, [0, 0x20, 0x3f]),
    rax: BigInt(random(2 ** 32)) << BigInt(random(33)) ^ BigInt(-random(2)),
    vectors: new Uint8Array(view.buffer),
  };
}

function run(machine: QuickMachine, job: Job): readonly unknown[] {
  const { view, u8, u32 } = machine.ram;
  machine.load(job.code);
  u32[MXCSR >>> 2] = job.mxcsr;
  u32[MODE >>> 2] = 1;
  view.setBigUint64(RAX, BigInt.asUintN(64, job.rax), true);
  u8.set(job.vectors, XMM);
  const trap = machine.cpu.run(1000);
  const gpr = [0, 1].map((n) => view.getBigUint64(RAX + 8 * n, true));
  const flags = [CPU_STATE.ccOp, CPU_STATE.ccA].map((field) => machine.ram.readU64(CPU_BASE + field));
  return [
    trap,
    gpr,
    flags,
    u32[MXCSR >>> 2],
    Buffer.from(u8.subarray(XMM, XMM + STATE_BYTES)).toString("hex"),
  ];
}

test("the quick way does what the other does", () => {
  const quick = new QuickMachine("with quick functions");
  const plain = new QuickMachine("without");
  const random = makeRandom(754);
  const taken = new Set<string>();
  for (let n = 0; n < JOBS; n++) {
    const job = makeJob(random);
    const name = job.code.map((byte) => byte.toString(16)).join(" ");
    const [before, beforePlain] = [quick.slow, plain.slow];
    assert.deepEqual(run(quick, job), run(plain, job), `job ${n}: ${name}, ${job.mxcsr.toString(16)}`);
    if (plain.slow > beforePlain && quick.slow === before) taken.add(name);
  }
  assert.equal(taken.size, new Set(INSTRUCTIONS).size);
});

test("what sets the precision flag is done once where it was translated", () => {
  const DATA = 0x60_0000;
  const [CLEAR, SET] = [0x1f80, 0x1fa0];
  const results = (["with quick functions", "without"] as const).map((quick) => {
    const machine = new QuickMachine(quick, (space) => space.map(DATA, space.frame(), PTE_WRITE));
    // mov eax, DATA; mov ecx, 200000
    const start = [0xb8, 0, 0, 0x60, 0, 0xb9, 0x40, 0x0d, 0x03, 0];
    // mov [rax], CLEAR; LDMXCSR [rax]; ADDSD xmm0, xmm1 and xmm2, xmm1; STMXCSR [rax]; dec ecx; jnz
    const loop = [
      ...[0xc7, 0x00, 0x80, 0x1f, 0, 0, 0x0f, 0xae, 0x10],
      ...[0xf2, 0x0f, 0x58, 0xc1, 0xf2, 0x0f, 0x58, 0xd1],
      ...[0x0f, 0xae, 0x18, 0xff, 0xc9, 0x75, 0xe8],
    ];
    machine.load([...start, ...loop, INT3]);
    const { view, u32 } = machine.ram;
    u32[MXCSR >>> 2] = CLEAR;
    view.setFloat64(XMM, 1.7, true);
    view.setFloat64(XMM + 16, 0.1, true);
    assert.equal(machine.cpu.run(2e7), TRAP_BREAKPOINT);
    assert.equal(u32[MXCSR >>> 2], SET);
    assert.ok(machine.cpu.statistics()["regions"]! > 0);
    return view.getFloat64(XMM, true);
  });
  assert.equal(results[0], results[1]);
});
