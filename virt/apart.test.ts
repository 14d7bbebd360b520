// SPDX-License-Identifier: Apache-2.0
// Pages that translated code takes for one where they lie in a row in RAM, and what becomes of it where they do not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import {
  FRAMES_START,
  PAGE_SIZE,
  pageStart,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_EXEC,
  PTE_WRITE,
} from "./layout.ts";
import { STACK_ROOM } from "./runtime/status.ts";
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

const CODE = 0x40_0000;
const DATA = 0x7f00_0000_0000;
const ROUNDS = 30_000;

/** Adds two neighbouring words at r5 to r1, r2 times: one check serves both. */
const PAIRS: readonly ToyInstruction[] = [
  [TOY.load64, 6, 5, 0, 0],
  [TOY.add, 1, 1, 6],
  [TOY.load64, 6, 5, 0, 8],
  [TOY.add, 1, 1, 6],
  [TOY.addi, 2, 2, 0, -1],
  [TOY.cmpi, 0, 2, 0, 0],
  [TOY.jcc, 5, 0, 0, -56],
  [TOY.syscall],
];

class Machine {
  readonly ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  readonly cpu: WasmCpu = new WasmCpu(this.ram, new ToyFrontEnd(), { hotEntries: 3, hotBatch: 1 });
  readonly space: ToySpace = new ToySpace(this.ram, FRAMES_START);
  /** In a row; DATA has the first, the page after it another than the second. */
  readonly frames: number[];

  constructor(program: readonly ToyInstruction[]) {
    const code = this.space.frame();
    this.ram.u8.set(assembleToy(program), code);
    this.space.map(CODE, code, PTE_EXEC);
    this.space.leaf(DATA);
    this.frames = [this.space.frame(), this.space.frame(), this.space.frame()];
    this.space.map(DATA, this.frames[0]!, PTE_WRITE);
    this.space.map(DATA + PAGE_SIZE, this.frames[2]!, PTE_WRITE);
    this.cpu.setAddressSpace(this.space.root, 1);
  }

  /** Moves the second page behind the first. */
  gather(): void {
    const [, second, elsewhere] = this.frames;
    this.ram.u8.copyWithin(second!, elsewhere!, elsewhere! + PAGE_SIZE);
    this.space.map(DATA + PAGE_SIZE, second!, PTE_WRITE);
    this.cpu.flushRange(DATA + PAGE_SIZE, DATA + 2 * PAGE_SIZE);
  }

  addPairs(): bigint {
    this.ram.u32[(this.frames[0]! + PAGE_SIZE - 8) >>> 2] = 3;
    this.ram.u32[this.frames[2]! >>> 2] = 4;
    setPc(this.ram, CODE);
    writeGpr(this.ram, 1, 0n);
    writeGpr(this.ram, 2, BigInt(ROUNDS));
    writeGpr(this.ram, 5, BigInt(DATA + PAGE_SIZE - 8));
    assert.equal(this.cpu.run(1e7), TRAP_SYSCALL);
    return readGpr(this.ram, 1);
  }

  count(name: string): number {
    return this.cpu.statistics()[name]!;
  }
}

test("pages that a check found apart are brought together once", () => {
  const machine = new Machine(PAIRS);
  const asked: number[] = [];
  machine.cpu.gatherPagesBy((address) => {
    asked.push(pageStart(address));
    machine.gather();
    return true;
  });
  for (let n = 0; n < 3; n++) assert.equal(machine.addPairs(), BigInt(ROUNDS * 7));
  assert.deepEqual(asked, [DATA]);
  const slow = machine.count("slowExits");
  machine.addPairs();
  assert.equal(machine.count("slowExits"), slow);
});

test("a region whose pages stay apart is made again with checks of single accesses", () => {
  const machine = new Machine(PAIRS);
  machine.cpu.gatherPagesBy(() => false);
  for (let n = 0; n < 3; n++) assert.equal(machine.addPairs(), BigInt(ROUNDS * 7));
  const slow = machine.count("slowExits");
  machine.addPairs();
  assert.equal(machine.count("slowExits"), slow);
});

test("a region that fails with checks of single accesses as well is made again no more", () => {
  const machine = new Machine([
    [TOY.push, 3],
    [TOY.pop, 3],
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -40],
    [TOY.syscall],
  ]);
  const { ram, cpu } = machine;
  cpu.gatherPagesBy(() => false);
  for (let round = 0; round < 3; round++) {
    setPc(ram, CODE);
    writeGpr(ram, 2, BigInt(ROUNDS));
    writeGpr(ram, 4, BigInt(DATA + PAGE_SIZE + 4)); // what is pushed lies over both pages
    assert.equal(cpu.run(1e7), TRAP_SYSCALL);
  }
  assert.ok(machine.count("modules") < 6, `${machine.count("modules")}`);
});

test("the window of the stack takes in the pages around that may be written", () => {
  const machine = new Machine([[TOY.push, 3], [TOY.syscall]]);
  const { ram, cpu, space } = machine;
  machine.gather();
  ram.u32[space.leaf(DATA + PAGE_SIZE)]! |= PTE_ACCESSED | PTE_DIRTY; // as mm leaves what was written once
  for (let round = 0; round < 8; round++) {
    setPc(ram, CODE);
    writeGpr(ram, 4, BigInt(DATA + PAGE_SIZE));
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  }
  assert.ok(ram.readU64(STACK_ROOM) > PAGE_SIZE, "the page above, in which nothing was done, is in it");
});
