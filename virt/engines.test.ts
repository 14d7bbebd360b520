// SPDX-License-Identifier: Apache-2.0
// The two back ends must agree bit for bit: random programs of the toy instruction set, run by the interpreter
// alone and with blocks translated after a few entries. Each failure prints its seed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAP_FAULT, TRAP_PREEMPTED } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import type { ExtFunction } from "./frontend.ts";
import { CC_ADD, CC_EXPLICIT, CC_SBB } from "./ir/cc.ts";
import { CPU_BASE, CPU_STATE, FRAMES_START, PTE_EXEC, PTE_WRITE } from "./layout.ts";
import { type CpuOptions, REGION_LIMITS } from "./options.ts";
import { MemoryStore } from "./testing/memory-store.ts";
import { generator, structuredProgram } from "./testing/random-program.ts";
import {
  assembleToy,
  getPc,
  setPc,
  TOY,
  ToyFrontEnd,
  type ToyInstruction,
  ToySpace,
  writeGpr,
} from "./testing/toy.ts";

const CODE = 0x40_0000;
const DATA = 0x7f00_0000_0000;

const PLAIN = [
  TOY.li,
  TOY.add,
  TOY.addi,
  TOY.sub,
  TOY.mul,
  TOY.load64,
  TOY.store64,
  TOY.load8,
  TOY.store8,
  TOY.cmp,
  TOY.add32,
  TOY.xor,
  TOY.shli,
  TOY.rmw,
  TOY.vload,
  TOY.vadd,
  TOY.vstore,
  TOY.cmpi,
  TOY.fadd,
  TOY.mulhi,
  TOY.push,
  TOY.pop,
  TOY.setcc,
  TOY.divu,
  TOY.ext,
];

/** r14 counts down to the end, r15 points at data, r13 too; r4 is the stack. */
function randomProgram(seed: number): ToyInstruction[] {
  const random = generator(seed);
  const program: ToyInstruction[] = [];
  const length = 20 + random(60);
  for (let n = 0; n < length; n++) {
    const [d, a, b] = [random(4), random(4), random(4)];
    const pick = random(10);
    if (pick === 0 || n % 12 === 11) {
      program.push([TOY.addi, 14, 14, 0, -1], [TOY.cmpi, 0, 14, 0, 0], [
        TOY.jcc,
        14,
        0,
        0,
        (length * 2 - program.length) * 8,
      ]);
      program.push([TOY.cmp, 0, a, b], [
        TOY.jcc,
        random(16),
        0,
        0,
        (random(length) - program.length - 1) * 8,
      ]);
      continue;
    }
    const op = PLAIN[random(PLAIN.length)]!;
    const isMemory = [TOY.load64, TOY.store64, TOY.load8, TOY.store8, TOY.rmw, TOY.vload, TOY.vstore].some((
      m,
    ) => m === op);
    const base = isMemory ? 13 + 2 * random(2) : a;
    const imm = isMemory
      ? random(4400) - 60
      : op === TOY.setcc
      ? random(16)
      : op === TOY.ext
      ? 0
      : random(64);
    program.push([op, d, base, b, imm]);
  }
  while (program.length < length * 3) program.push([TOY.syscall]);
  return program;
}

interface Outcome {
  trap: number;
  pc: number;
  retired: number;
  state: string;
  memory: string;
  statistics: Record<string, number>;
}

const mixState: ExtFunction = ({ ram }) => {
  const at = CPU_BASE + CPU_STATE.scratch;
  ram.view.setBigInt64(at, ram.view.getBigInt64(at, true) * 3n + 1n, true);
  ram.view.setBigInt64(CPU_BASE + CPU_STATE.gpr + 3 * 8, ram.view.getBigInt64(at, true) ^ 0x55n, true);
  return 0;
};

/** How a program is run: what it is, and what the three pages of its data are like. */
interface Setting {
  readonly program: readonly ToyInstruction[];
  readonly rounds: number;
  /** Frames of the pages, in the order of their addresses. */
  readonly frameOrder: readonly number[];
  readonly isSecondReadOnly: boolean;
}

const LOW = DATA + 64;
const HIGH = DATA + 4000;

function execute(setting: Setting, options: CpuOptions): Outcome {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd([mixState]), { ...options, blockInstructionsMax: 16 });
  const space = new ToySpace(ram, FRAMES_START);
  const code = [space.frame(), space.frame()];
  const bytes = assembleToy(setting.program);
  code.forEach((frame, n) => {
    ram.u8.set(bytes.subarray(n * 4096, n * 4096 + 4096), frame);
    space.map(CODE + n * 4096, frame, PTE_EXEC);
  });
  const frames = [space.frame(), space.frame(), space.frame()];
  setting.frameOrder.forEach((frame, n) => {
    space.map(DATA + n * 4096, frames[frame]!, n === 1 && setting.isSecondReadOnly ? 0 : PTE_WRITE);
  });
  space.map(DATA - 4096, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, CODE);
  writeGpr(ram, 4, BigInt(DATA));
  for (const base of [11, 12, 13]) writeGpr(ram, base, BigInt(LOW));
  writeGpr(ram, 14, BigInt(setting.rounds));
  writeGpr(ram, 15, BigInt(HIGH));
  let trap = TRAP_PREEMPTED;
  for (let n = 0; n < 400 && trap === TRAP_PREEMPTED; n++) trap = cpu.run(1000);
  const state = Buffer.from(ram.u8.subarray(CPU_BASE, CPU_BASE + 0x300));
  maskFlags(state);
  if (trap === TRAP_FAULT) state.writeDoubleLE(cpu.trapAddress, 0x2f8);
  cpu.saveTranslations(true);
  const memory = Buffer.concat(frames.map((frame) => ram.u8.subarray(frame, frame + 4096)));
  return {
    trap,
    pc: getPc(ram),
    retired: cpu.retired,
    state: state.toString("hex"),
    memory: memory.toString("hex"),
    statistics: cpu.statistics(),
  };
}

/** What lies above the operands that the flags follow from is anything, and as the engine likes it. */
function maskFlags(state: Buffer): void {
  const op = state.readInt32LE(CPU_STATE.ccOp);
  const [kind, size] = [op >> 2, 1 << (op & 3)];
  if (kind !== CC_EXPLICIT) state.fill(0, CPU_STATE.ccA + size, CPU_STATE.ccA + 8);
  if (kind >= CC_ADD && kind <= CC_SBB) state.fill(0, CPU_STATE.ccB + size, CPU_STATE.ccB + 8);
}

const SEEDS = Number(process.env["ENGINE_SEEDS"] ?? 60);
const FIRST = Number(process.env["ENGINE_FIRST"] ?? 1);

/** `optionsOf`: for the runs of each program that are to be as that of the interpreter alone. */
function compareEngines(settingOf: (seed: number) => Setting, optionsOf: () => readonly CpuOptions[]): void {
  let compared = 0;
  let regions = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const setting = settingOf(seed);
    const expected = execute(setting, { hotEntries: 0 });
    // A program that never ends is preempted at different places.
    if (expected.trap === TRAP_PREEMPTED) continue;
    for (const options of optionsOf()) {
      const actual = execute(setting, options);
      regions += actual.statistics["regions"]!;
      assert.deepEqual({ ...actual, statistics: 0 }, { ...expected, statistics: 0 }, `seed ${seed}`);
    }
    compared++;
  }
  assert.ok(compared > SEEDS / 2, `${compared} programs ended`);
  assert.ok(regions > SEEDS / 2, `${regions} regions`);
}

test("interpreter and regions agree on random programs", () => {
  compareEngines((seed) => ({
    program: randomProgram(seed).slice(0, 512),
    rounds: 300,
    frameOrder: [0, 1, 2],
    isSecondReadOnly: seed % 8 === 0,
  }), () => [{ hotEntries: 2, hotBatch: 1 }]);
});

function functionsOf(seed: number): Setting {
  return {
    program: structuredProgram(seed, CODE),
    rounds: 60,
    frameOrder: seed % 2 === 0 ? [0, 1, 2] : [2, 0, 1],
    isSecondReadOnly: seed % 5 === 0,
  };
}

test("they agree on programs of functions, whether pages lie in a row or not", () => {
  compareEngines(functionsOf, () => [{ hotEntries: 2, hotBatch: 1 + (FIRST % 3) }]);
});

test("they agree where functions are put into others", () => {
  const regionLimits = { ...REGION_LIMITS, inlines: true };
  compareEngines(functionsOf, () => [{ hotEntries: 2, hotBatch: 1, regionLimits }]);
});

test("they agree where regions are put together with what was learnt of calls", () => {
  compareEngines(functionsOf, () => {
    const run = { hotEntries: 2, hotBatch: 1, store: new MemoryStore() };
    return [run, run, run];
  });
});
