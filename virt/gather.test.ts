// SPDX-License-Identifier: Apache-2.0
// What no run had a hot block of is translated all the same, once, when the interpreter has much to do with it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PTE_EXEC } from "./layout.ts";
import { type CpuOptions, REGION_LIMITS } from "./options.ts";
import { MemoryStore } from "./testing/memory-store.ts";
import {
  assembleToy,
  readGpr,
  setPc,
  TOY,
  ToyFrontEnd,
  type ToyInstruction,
  ToySpace,
} from "./testing/toy.ts";

const CODE = 0x40_0000;
const HOT_ENTRIES = 40_000;
const ADDS = 25;
const BLOCKS = 6;

/** A loop of some blocks of additions. */
function program(count: number): ToyInstruction[] {
  const block: ToyInstruction[] = [...Array<ToyInstruction>(ADDS).fill([TOY.addi, 1, 1, 0, 1]), [TOY.jump]];
  const body = Array.from({ length: BLOCKS }, () => block).flat();
  return [
    [TOY.li, 2, 0, 0, count],
    ...body, // 8
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -8 * (body.length + 3)],
    [TOY.syscall],
  ];
}

function run(store: MemoryStore, count: number, options: Partial<CpuOptions> = {}): Record<string, number> {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), {
    hotEntries: HOT_ENTRIES,
    hotBatch: 1,
    store: store.open(),
    ...options,
  });
  const space = new ToySpace(ram, FRAMES_START);
  const frame = space.frame();
  ram.u8.set(assembleToy(program(count)), frame);
  space.map(CODE, frame, PTE_EXEC);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, CODE);
  assert.equal(cpu.run(1e10), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), BigInt(count * ADDS * BLOCKS));
  const statistics = cpu.statistics();
  cpu.saveTranslations(true);
  return statistics;
}

test("code that is never hot but keeps the interpreter busy is translated at the end of a run that made nothing else", () => {
  const store = new MemoryStore();
  const count = HOT_ENTRIES - 10_000;
  assert.equal(run(store, count)["modules"], 0);
  assert.equal(store.modules.length, 0, "the first run is not kept waiting");
  run(store, count);
  assert.equal(store.modules.length, 1);
  const third = run(store, count);
  assert.equal(third["storedModules"], 1);
  assert.ok(third["dispatches"]! < count / 10, `${third["dispatches"]}`);
  run(store, count);
  assert.equal(store.modules.length, 1, "and no more than once");
});

test("what ran little is left alone", () => {
  const store = new MemoryStore();
  for (let n = 0; n < 4; n++) run(store, HOT_ENTRIES / 8);
  assert.equal(store.modules.length, 0);
});

test("parts of a loop that is larger than a region are one after the run that knows them", () => {
  const store = new MemoryStore();
  const options = { hotEntries: 100, regionLimits: { ...REGION_LIMITS, blocksMax: 4 } };
  const count = 2_000_000; // three hundred slices
  const live = [1, 2, 3].map(() => run(store, count, options)["liveRegions"]!);
  assert.ok(live[2]! < live[1]!, live.join());
});
