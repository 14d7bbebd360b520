// SPDX-License-Identifier: Apache-2.0
// Windows of places in loops, on a toy instruction set: what lies in a row and what does not, and that they end where translations do.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAP_FAULT, TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PAGE_SIZE, PTE_DIRTY, PTE_EXEC, PTE_WRITE } from "./layout.ts";
import {
  MISSES_BYTES,
  MISSES_LEVEL_AT,
  WINDOW_BYTES,
  WINDOW_MISSES,
  WINDOW_PAIRS,
  WINDOW_ROOM_AT,
  WINDOWS,
} from "./runtime/status.ts";
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
const DATA = 0x7f00_003f_c000; // its fifth page has another leaf table
const WORDS = PAGE_SIZE / 8;

/** Goes over r2 words from r5 on, whose sum is in r1 then where the access is a load. */
const loop = (access: ToyInstruction): readonly ToyInstruction[] => [
  access,
  [TOY.add, 1, 1, 6],
  [TOY.addi, 5, 5, 0, 8],
  [TOY.addi, 2, 2, 0, -1],
  [TOY.cmpi, 0, 2, 0, 0],
  [TOY.jcc, 5, 0, 0, -48],
  [TOY.syscall],
  [TOY.jump, 0, 0, 0, -64],
];
const READS = loop([TOY.load64, 6, 5, 0, 0]);
const WRITES = loop([TOY.store64, 3, 5, 0, 0]);
const DOWN: readonly ToyInstruction[] = READS.map((
  one,
) => (one[0] === TOY.addi && one[1] === 5 ? [TOY.addi, 5, 5, 0, -8] : one));

class Machine {
  readonly ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  readonly cpu: WasmCpu = new WasmCpu(this.ram, new ToyFrontEnd(), { hotEntries: 3, hotBatch: 1 });
  readonly space: ToySpace = new ToySpace(this.ram, FRAMES_START);
  readonly frames: number[];

  /** `order`: by page from DATA on, the number of its frame among those in a row. */
  constructor(program: readonly ToyInstruction[], order: readonly number[]) {
    const code = this.space.frame();
    this.ram.u8.set(assembleToy(program), code);
    this.space.map(CODE, code, PTE_EXEC);
    order.forEach((_, page) => this.space.leaf(DATA + page * PAGE_SIZE));
    const row = order.map(() => this.space.frame());
    this.frames = order.map((n) => row[n]!);
    this.frames.forEach((frame, page) => this.space.map(DATA + page * PAGE_SIZE, frame, PTE_WRITE));
    this.cpu.setAddressSpace(this.space.root, 1);
  }

  /** Words are numbered from DATA on. */
  fill(first: number, end: number): void {
    for (let n = first; n < end; n++) {
      this.ram.u32[(this.frames[Math.floor(n / WORDS)]! >>> 2) + (n % WORDS) * 2] = n;
    }
  }

  run(word: number, count: number, pc: number = CODE): number {
    setPc(this.ram, pc);
    writeGpr(this.ram, 1, 0n);
    writeGpr(this.ram, 2, BigInt(count));
    writeGpr(this.ram, 5, BigInt(DATA + word * 8));
    return this.cpu.run(1e7);
  }

  get sum(): bigint {
    return readGpr(this.ram, 1);
  }

  /** Rooms of the windows that are somewhere, and how many had misses since all were forgotten. */
  get windows(): { rooms: number[]; hadMisses: number } {
    const { u32 } = this.ram;
    const all = Array.from({ length: 2 * WINDOW_PAIRS }, (_, n) => n);
    return {
      rooms: all.map((n) => u32[(WINDOWS + n * WINDOW_BYTES + WINDOW_ROOM_AT) >>> 2]!).filter((room) =>
        room !== 0
      ),
      hadMisses:
        all.filter((n) => u32[(WINDOW_MISSES + n * MISSES_BYTES + MISSES_LEVEL_AT) >>> 2] !== 0).length,
    };
  }
}

function sumOf(first: number, count: number): bigint {
  return BigInt(((2 * first + count - 1) * count) / 2);
}

const IN_A_ROW = [0, 1, 2, 3, 4, 5, 6, 7];
const SCATTERED = [0, 1, 7, 3, 2, 4, 5, 6];

for (const [name, order] of [["in a row", IN_A_ROW], ["scattered", SCATTERED]] as const) {
  test(`a loop goes over pages that lie ${name}`, () => {
    for (const program of [READS, DOWN]) {
      const machine = new Machine(program, order);
      const words = order.length * WORDS;
      machine.fill(0, words);
      for (let round = 0; round < 12; round++) {
        const [first, count] = [round * 100, words - round * 250];
        const from = program === DOWN ? first + count - 1 : first;
        assert.equal(machine.run(from, count), TRAP_SYSCALL);
        assert.equal(machine.sum, sumOf(first, count), `round ${round}`);
      }
      const { rooms } = machine.windows;
      assert.ok(rooms.length > 0, "there is a window");
      if (order === IN_A_ROW) assert.ok(Math.max(...rooms) > 7 * PAGE_SIZE, "it grew over all pages");
    }
  });
}

test("a window ends where a page is taken away or becomes another", () => {
  const machine = new Machine(READS, IN_A_ROW);
  const { ram, cpu, space } = machine;
  machine.fill(0, 8 * WORDS);
  for (let round = 0; round < 4; round++) machine.run(0, 8 * WORDS);
  assert.ok(machine.windows.rooms.length > 0);
  const page = DATA + 3 * PAGE_SIZE;
  const other = space.frame();
  space.map(page, other, PTE_WRITE);
  cpu.flushRange(page, page + PAGE_SIZE);
  assert.deepEqual(machine.windows, { rooms: [], hadMisses: 0 });
  for (let round = 0; round < 3; round++) {
    machine.run(0, 8 * WORDS);
    assert.equal(machine.sum, sumOf(0, 8 * WORDS) - sumOf(3 * WORDS, WORDS));
  }
  ram.u32[space.leaf(page)] = 0;
  cpu.flushRange(page, page + PAGE_SIZE);
  for (let round = 0; round < 3; round++) {
    assert.equal(machine.run(0, 8 * WORDS), TRAP_FAULT);
    assert.equal(cpu.trapAddress, page);
    assert.equal(machine.sum, sumOf(0, 3 * WORDS));
  }
});

test("another address space has windows of its own", () => {
  const machine = new Machine(READS, IN_A_ROW);
  const { ram, cpu, space } = machine;
  machine.fill(0, 8 * WORDS);
  for (let round = 0; round < 4; round++) machine.run(0, 8 * WORDS);
  const other = new ToySpace(ram, FRAMES_START + (1 << 20));
  other.map(CODE, ram.u32[space.leaf(CODE)]! & -PAGE_SIZE, PTE_EXEC);
  for (let page = 0; page < 8; page++) other.map(DATA + page * PAGE_SIZE, machine.frames[7 - page]!, 0);
  for (let round = 0; round < 3; round++) {
    cpu.setAddressSpace(other.root, 2);
    machine.run(0, WORDS);
    assert.equal(machine.sum, sumOf(7 * WORDS, WORDS));
    cpu.setAddressSpace(space.root, 1);
    machine.run(0, WORDS);
    assert.equal(machine.sum, sumOf(0, WORDS));
  }
});

test("what is written through a window is marked, and nothing that may not be written is in it", () => {
  const machine = new Machine(WRITES, IN_A_ROW);
  const { ram, cpu, space } = machine;
  const leaf = (page: number): number => space.leaf(DATA + page * PAGE_SIZE);
  const clean = (): void => {
    for (let page = 0; page < 8; page++) ram.u32[leaf(page)]! &= ~PTE_DIRTY;
    cpu.flushRange(DATA, DATA + 8 * PAGE_SIZE);
  };
  writeGpr(ram, 3, 7n);
  for (let round = 0; round < 4; round++) {
    clean();
    assert.equal(machine.run(0, 6 * WORDS), TRAP_SYSCALL);
    const dirty = Array.from({ length: 8 }, (_, page) => ram.u32[leaf(page)]! & PTE_DIRTY);
    assert.deepEqual(
      dirty,
      Array.from({ length: 8 }, (_, page) => (page < 6 ? PTE_DIRTY : 0)),
      `round ${round}`,
    );
  }
  ram.u32[leaf(4)]! &= ~PTE_WRITE;
  cpu.flushRange(DATA + 4 * PAGE_SIZE, DATA + 5 * PAGE_SIZE);
  assert.equal(machine.run(0, 6 * WORDS), TRAP_FAULT);
  assert.equal(cpu.trapAddress, DATA + 4 * PAGE_SIZE);
});

test("a loop that writes over code that has run changes it", () => {
  const machine = new Machine(WRITES, IN_A_ROW);
  const { ram, space, frames } = machine;
  const there = CODE + 16 * PAGE_SIZE;
  space.map(there, frames[2]!, PTE_EXEC);
  ram.u8.set(assembleToy([[TOY.syscall]]), frames[2]! + 8);
  for (let round = 0; round < 8; round++) {
    // The last store of the loop makes the first instruction of that page.
    const instruction = assembleToy([[TOY.li, 8, 0, 0, round]]);
    writeGpr(ram, 3, new DataView(instruction.buffer).getBigInt64(0, true));
    assert.equal(machine.run(0, 2 * WORDS + 1), TRAP_SYSCALL);
    assert.equal(machine.run(0, 0, there), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 8), BigInt(round));
  }
});
