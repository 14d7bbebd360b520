// SPDX-License-Identifier: Apache-2.0
// Translations that outlive a CPU: found by content wherever the code is mapped, and never for other content.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { TranslationStore } from "../include/host/translations.ts";
import { TRAP_FAULT, TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PTE_EXEC, PTE_WRITE } from "./layout.ts";
import { MemoryStore } from "./testing/memory-store.ts";
import {
  assembleToy,
  readGpr,
  setPc,
  TOY,
  ToyFrontEnd,
  type ToyInstruction,
  ToySpace,
  writeGpr,
} from "./testing/toy.ts";

/** Sums 1 to `count` by a function that is called for each. */
function program(count: number): readonly ToyInstruction[] {
  return [
    [TOY.li, 2, 0, 0, count],
    [TOY.call, 0, 0, 0, 32], // 8: to 48
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -32],
    [TOY.syscall], // 40
    [TOY.add, 1, 1, 2], // 48
    [TOY.ret],
  ];
}

const DATA = 0x7f00_0000_0000;

/** `at`: where in its first page the program begins. */
interface Placing {
  readonly at: number;
  readonly hotEntries: number;
  /** The second page is mapped when the test says so. */
  readonly isSecondLate?: boolean;
  /** Of the most that it may have, what of the memory is there from the start: all when it is not said. */
  readonly firstBytes?: number;
}

const MEMORY_BYTES = FRAMES_START + (1 << 20);

/** A CPU before the program, and what runs that. */
function start(
  store: TranslationStore,
  page: number,
  count: number,
  { at, hotEntries, isSecondLate = false, firstBytes = MEMORY_BYTES }: Placing = { at: 0, hotEntries: 5 },
): { cpu: WasmCpu; finish: () => void; mapSecond: () => void } {
  const ram = new Ram(MEMORY_BYTES, firstBytes);
  assert.ok(ram.ensure(MEMORY_BYTES));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries, hotBatch: 1, store });
  const space = new ToySpace(ram, FRAMES_START);
  const frames = [space.frame(), space.frame()];
  const code = page + at;
  ram.u8.set(assembleToy(program(count)), frames[0]! + at);
  space.map(page, frames[0]!, PTE_EXEC);
  const mapSecond = (): void => space.map(page + 4096, frames[1]!, PTE_EXEC);
  if (!isSecondLate) mapSecond();
  space.map(DATA, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, code);
  ram.writeU64(4 * 8, DATA + 4096);
  const finish = (): void => {
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), BigInt((count * (count + 1)) / 2));
    assert.equal(readGpr(ram, 4), BigInt(DATA + 4096));
    assert.equal(cpu.retired, 1 + count * 6 + 1);
  };
  return { cpu, finish, mapSecond };
}

function run(
  store: MemoryStore,
  page: number,
  count: number,
  placing?: Placing,
): Record<string, number> {
  const { cpu, finish } = start(store.open(), page, count, placing);
  finish();
  const statistics = cpu.statistics();
  cpu.saveTranslations(true);
  return statistics;
}

test("a second CPU translates nothing and lifts next to nothing, at another address either", () => {
  const store = new MemoryStore();
  const first = run(store, 0x40_0000, 500);
  assert.ok(first["modules"]! > 0);
  assert.ok(first["lifted"]! > 3);
  const second = run(store, 0x7777_0000_0000, 500);
  assert.ok(second["storedModules"]! > 0);
  assert.equal(second["modules"], 0);
  // The first access of a region may miss the TLB: the interpreter begins there, in the middle of a block.
  assert.ok(second["lifted"]! <= 1);
});

test("what was translated for a memory that may grow is not taken for one that may not, nor the other way round", () => {
  const store = new MemoryStore();
  const growing: Placing = { at: 0, hotEntries: 5, firstBytes: FRAMES_START };
  const fixed: Placing = { at: 0, hotEntries: 5 };
  for (const placing of [growing, fixed]) {
    const first = run(store, 0x40_0000, 500, placing);
    assert.ok(first["modules"]! > 0);
    assert.equal(first["storedModules"], 0);
  }
  for (const placing of [growing, fixed]) {
    assert.ok(run(store, 0x40_0000, 500, placing)["storedModules"]! > 0);
  }
});

test("a module is read when a block is hot that it may have a region for, and no sooner", () => {
  const store = new MemoryStore();
  const placing: Placing = { at: 0, hotEntries: 256 };
  run(store, 0x40_0000, 500, placing);
  assert.ok(store.modules.length > 0);
  const { cpu, finish } = start(store.open(), 0x40_0000, 500, placing);
  assert.notEqual(cpu.run(12), TRAP_SYSCALL);
  assert.equal(cpu.statistics()["storedModules"], 0);
  finish();
  assert.ok(cpu.statistics()["storedModules"]! > 0);
  assert.equal(cpu.statistics()["modules"], 0);
});

test("code with one byte changed gets nothing of it", () => {
  const store = new MemoryStore();
  run(store, 0x40_0000, 500);
  const other = run(store, 0x40_0000, 501);
  assert.equal(other["storedModules"], 0);
  assert.ok(other["lifted"]! > 3);
});

test("bytecode is there in the next run, and each run counts for itself", () => {
  const store = new MemoryStore();
  run(store, 0x40_0000, 3); // too few for a translation
  const second = run(store, 0x40_0000, 3);
  assert.equal(second["lifted"], 0);
  assert.ok(second["loadedBlocks"]! > 3);
  for (let n = 0; n < 8; n++) run(store, 0x40_0000, 3);
  assert.equal(store.modules.length, 0, "nothing becomes hot bit by bit");
  run(store, 0x40_0000, 500);
  assert.ok(store.modules.length > 0);
});

test("what is left before the end is enough for another CPU, and is not given twice", () => {
  const store = new MemoryStore();
  let pagesSaved = 0;
  const counting: TranslationStore = {
    hash: (page) => store.hash(page),
    modulesFor: (hash, memoryPages, reads) => store.modulesFor(hash, memoryPages, reads),
    bytecodeLength: (hash) => store.bytecodeLength(hash),
    readBytecode: (hash, into) => store.readBytecode(hash, into),
    runtime: () => undefined,
    saveRuntime: () => {},
    save: (modules) => store.save(modules),
    saveBytecode: (pages) => {
      pagesSaved += pages.length;
      store.saveBytecode(pages);
    },
  };
  const machine = start(counting, 0x40_0000, 500);
  machine.finish();
  machine.cpu.saveTranslations(false);
  const modules = store.modules.length;
  assert.ok(modules > 0);
  assert.ok(pagesSaved > 0);
  const saved = pagesSaved;
  machine.cpu.saveTranslations(false);
  machine.cpu.saveTranslations(true);
  assert.equal(store.modules.length, modules);
  assert.equal(pagesSaved, saved);
  const second = run(store, 0x7777_0000_0000, 500);
  assert.equal(second["modules"], 0);
  assert.ok(second["lifted"]! <= 1);
});

test("what a second run uses is put together as one module, and stays that", () => {
  const store = new MemoryStore();
  const placing: Placing = { at: 0, hotEntries: 16 };
  run(store, 0x40_0000, 500, placing);
  assert.ok(store.modules.length > 1);
  assert.ok(store.modules.every(({ isSettled }) => !isSettled));
  const regions = store.modules.flatMap((module) => module.regions).length;
  run(store, 0x7777_0000_0000, 500, placing);
  const settled = store.modules;
  assert.equal(settled.length, 1);
  assert.ok(settled[0]!.isSettled);
  assert.equal(settled[0]!.regions.length, regions);
  const third = run(store, 0x40_0000, 500, placing);
  assert.equal(third["storedModules"], 1);
  assert.equal(third["modules"], 0);
  assert.equal(store.modules.length, 1);
});

test("what is warm is translated with what is put together, and is there when a module is read for what is hot", () => {
  const store = new MemoryStore();
  const placing: Placing = { at: 0, hotEntries: 8 }; // entered once is warm
  run(store, 0x40_0000, 500, placing);
  const hot = store.modules.flatMap(({ regions }) => regions).map(({ anchorOffset }) => anchorOffset);
  const works: number[] = [];
  store.noteWork = (instructions): void => void works.push(instructions);
  run(store, 0x7777_0000_0000, 500, placing);
  const [work] = works;
  assert.ok(works.length === 1 && work !== undefined && work > 0 && work <= program(500).length + 2);
  const [settled] = store.modules;
  const before = settled!.regions.find(({ anchorOffset }) => anchorOffset === 0);
  assert.deepEqual(before?.offsets, [0], "the block before the loop is a region of its own");
  assert.ok(!hot.includes(0));
  run(store, 0x40_0000, 500, placing);
  assert.equal(
    store.modules[0]!.regions.length,
    settled!.regions.length,
    "nothing more is found in the next run",
  );
});

/** Calls what r9 or a word of its own page leads to, `count` times: one function adds once, the other twice. */
function callers(count: number): readonly ToyInstruction[] {
  return [
    [TOY.li, 2, 0, 0, count],
    [TOY.callr, 0, 9], // 8
    [TOY.call, 0, 0, 0, 40], // 16: to 64
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -40],
    [TOY.syscall], // 48
    [TOY.syscall],
    [TOY.jumpm, 0, 0, 0, 4096 - 72], // 64: a stub, by the word at 4096
    [TOY.syscall],
    [TOY.add, 1, 1, 2], // 80
    [TOY.ret],
    [TOY.add, 1, 1, 2], // 96
    [TOY.add, 1, 1, 2],
    [TOY.ret],
  ];
}

test("a call that was put into its caller goes elsewhere when its target is another", () => {
  const store = new MemoryStore();
  const count = 300;
  const runs = (byRegister: number, byWord: number): Record<string, number> => {
    const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
    const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries: 5, hotBatch: 1, store });
    const space = new ToySpace(ram, FRAMES_START);
    const [code, word, data] = [space.frame(), space.frame(), space.frame()];
    ram.u8.set(assembleToy(callers(count)), code);
    ram.writeU64(word, 0x40_0000 + byWord);
    space.map(0x40_0000, code, PTE_EXEC);
    space.map(0x40_1000, word, 0);
    space.map(DATA, data, PTE_WRITE);
    cpu.setAddressSpace(space.root, 1);
    setPc(ram, 0x40_0000);
    ram.writeU64(4 * 8, DATA + 4096);
    ram.writeU64(9 * 8, 0x40_0000 + byRegister);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    const times = (target: number): number => (target === 80 ? 1 : 2);
    const sum = (count * (count + 1)) / 2;
    assert.equal(readGpr(ram, 1), BigInt(sum * (times(byRegister) + times(byWord))));
    assert.equal(readGpr(ram, 4), BigInt(DATA + 4096));
    assert.equal(cpu.retired, 2 + count * (5 + 2 + times(byRegister) + 1 + times(byWord)));
    cpu.saveTranslations(true);
    return cpu.statistics();
  };
  runs(80, 96);
  runs(80, 96);
  assert.ok(store.modules.every(({ isSettled }) => isSettled));
  // All of it is in one region now: nothing is left for the dispatcher.
  assert.ok(runs(80, 96)["dispatches"]! < 10);
  for (const [byRegister, byWord] of [[96, 96], [80, 80], [96, 80], [80, 96]]) runs(byRegister!, byWord!);
});

/** In the middle of the first instruction the page ends. */
const ACROSS: Placing = { at: 4096 - 4, hotEntries: 1e6 };

test("a block that ends in the next page is kept with the bytes that it has there, and good for no others", () => {
  const store = new MemoryStore();
  assert.ok(run(store, 0x40_0000, 20, ACROSS)["lifted"]! > 3);
  assert.equal(run(store, 0x7777_0000_0000, 20, ACROSS)["lifted"], 0);
  // The count lies in the second page: the first is as it was.
  const other = run(store, 0x40_0000, 21, ACROSS);
  assert.ok(other["loadedBlocks"]! > 0);
  assert.ok(other["lifted"]! > 3);
});

test("where the rest of an instruction is not mapped, that is known without lifting it", () => {
  const store = new MemoryStore();
  run(store, 0x40_0000, 20, ACROSS);
  const { cpu, finish, mapSecond } = start(store.open(), 0x40_0000, 20, { ...ACROSS, isSecondLate: true });
  assert.equal(cpu.run(100), TRAP_FAULT);
  assert.equal(cpu.trapAddress, 0x40_1000);
  mapSecond();
  finish();
  assert.equal(cpu.statistics()["lifted"], 0);
});

/** Forty blocks, one more where r7 is not 0, and another there where r6 is not. */
function chain(store: MemoryStore, r7: bigint, r6: bigint = 0n): Record<string, number> {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries: 1e6, store: store.open() });
  const space = new ToySpace(ram, FRAMES_START);
  const frame = space.frame();
  const jumps = Array.from({ length: 40 }, (): ToyInstruction => [TOY.jump, 0, 0, 0, 0]);
  const end: ToyInstruction[] = [
    [TOY.cmpi, 0, 7, 0, 0],
    [TOY.jcc, 4, 0, 0, 24],
    [TOY.cmpi, 0, 6, 0, 0],
    [TOY.jcc, 4, 0, 0, 8],
    [TOY.li, 1, 0, 0, 1],
    [TOY.syscall],
  ];
  ram.u8.set(assembleToy([...jumps, ...end]), frame);
  space.map(0x40_0000, frame, PTE_EXEC);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, 0x40_0000);
  writeGpr(ram, 7, r7);
  writeGpr(ram, 6, r6);
  assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), r7 * r6);
  cpu.saveTranslations(true);
  return cpu.statistics();
}

test("the few blocks that a run had to lift are there for the next", () => {
  const store = new MemoryStore();
  assert.ok(chain(store, 0n)["lifted"]! > 40);
  assert.equal(chain(store, 0n)["lifted"], 0);
  assert.equal(chain(store, 1n)["lifted"], 1);
  assert.equal(chain(store, 1n)["lifted"], 0);
});

test("what a block leads to is lifted with it, but for pages that no earlier run has come by", () => {
  const store = new MemoryStore();
  assert.equal(chain(store, 0n)["liftedAhead"], 0);
  // The block where r6 is not 0, and what comes after the system call.
  assert.equal(chain(store, 1n)["liftedAhead"], 2);
  assert.equal(chain(store, 1n, 1n)["lifted"], 0);
});

test("a page that is first looked at for the sake of a region in the page before has its bytecode loaded as well", () => {
  const store = new MemoryStore();
  const placing: Placing = { at: 4096 - 16, hotEntries: 5 };
  const first = run(store, 0x40_0000, 500, placing);
  assert.ok(store.modules.some(({ regions }) => regions.some(({ pages }) => pages.length > 1)));
  const second = run(store, 0x40_0000, 500, placing);
  assert.equal(second["modules"], 0);
  assert.ok(second["loadedBlocks"]! >= first["lifted"]!, `${second["loadedBlocks"]} of ${first["lifted"]}`);
});

test("bytecode that is not as long as it says is left alone", () => {
  for (const word of [0, 1, 2, 3]) {
    const store = new MemoryStore();
    run(store, 0x40_0000, 3);
    for (const bytes of store.pages.values()) {
      new DataView(bytes.buffer).setUint32(word * 4, 0xffff_fff0, true);
    }
    const second = run(store, 0x40_0000, 3);
    assert.equal(second["loadedBlocks"], 0);
    assert.ok(second["lifted"]! > 3);
  }
});
