// SPDX-License-Identifier: Apache-2.0
// The machine on a toy instruction set: dispatch, memory, faults, budget, code that changes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_WRITE,
  TRAP_DIVIDE,
  TRAP_FAULT,
  TRAP_ILLEGAL,
  TRAP_PREEMPTED,
  TRAP_PROTECTION,
  TRAP_STEP,
  TRAP_SYSCALL,
} from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import type { ExtFunction } from "./frontend.ts";
import { CPU_BASE, CPU_STATE, FRAMES_START, PAGE_SIZE, PTE_DIRTY, PTE_EXEC, PTE_WRITE } from "./layout.ts";
import {
  assembleToy,
  getPc,
  readGpr,
  setPc,
  TOY,
  ToyFrontEnd,
  type ToyInstruction,
  ToySpace,
  writeGpr,
} from "./testing/toy.ts";
import { walk } from "./walk.ts";

const CODE = 0x40_0000;
const DATA = 0x7f00_0000_0000;
const HOT = [0, 3];

interface Machine {
  ram: Ram;
  cpu: WasmCpu;
  space: ToySpace;
  code: number;
}

function machine(
  program: readonly ToyInstruction[],
  hotEntries: number,
  exts: readonly ExtFunction[] = [],
): Machine {
  const ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(exts), { hotEntries, hotBatch: 1 });
  const space = new ToySpace(ram, FRAMES_START);
  const code = space.frame();
  ram.u8.set(assembleToy(program), code);
  space.map(CODE, code, PTE_EXEC);
  space.map(DATA, space.frame(), PTE_WRITE);
  space.map(DATA + 4096, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, CODE);
  return { ram, cpu, space, code };
}

/** Runs with the interpreter alone and with early translation. */
function both(name: string, body: (hot: number) => void): void {
  for (const hot of HOT) test(`${name} (hot ${hot})`, () => body(hot));
}

const SUM: readonly ToyInstruction[] = [
  [TOY.li, 1, 0, 0, 0],
  [TOY.li, 2, 0, 0, 1000],
  [TOY.add, 1, 1, 2],
  [TOY.addi, 2, 2, 0, -1],
  [TOY.cmpi, 0, 2, 0, 0],
  [TOY.jcc, 5, 0, 0, -32],
  [TOY.syscall],
];

both("a loop sums, retires exactly and traps on its system call", (hot) => {
  const { ram, cpu } = machine(SUM, hot);
  assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), 500500n);
  assert.equal(cpu.retired, 2 + 4000 + 1);
  assert.equal(getPc(ram), CODE + 56);
});

both("the budget preempts at a block boundary and running on gives the same result", (hot) => {
  const { ram, cpu } = machine(SUM, hot);
  let slices = 0;
  while (cpu.run(10) === TRAP_PREEMPTED) slices++;
  assert.ok(slices > 100);
  assert.equal(readGpr(ram, 1), 500500n);
  assert.equal(cpu.retired, 4003);
});

both("memory, calls and the stack", (hot) => {
  const { ram, cpu } = machine([
    [TOY.li, 3, 0, 0, 200],
    [TOY.call, 0, 0, 0, 32], // 8: to 48
    [TOY.addi, 3, 3, 0, -1],
    [TOY.cmpi, 0, 3, 0, 0],
    [TOY.jcc, 5, 0, 0, -32],
    [TOY.syscall], // 40
    [TOY.push, 3], // 48
    [TOY.store64, 3, 5, 0, 0],
    [TOY.rmw, 3, 5, 0, 0],
    [TOY.load64, 6, 5, 0, 0],
    [TOY.add, 7, 7, 6],
    [TOY.pop, 3],
    [TOY.ret],
  ], hot);
  writeGpr(ram, 4, BigInt(DATA + 8192));
  writeGpr(ram, 5, BigInt(DATA + 4096 - 4)); // crosses a page
  assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 7), 2n * 20100n);
  assert.equal(readGpr(ram, 4), BigInt(DATA + 8192));
  assert.equal(cpu.retired, 1 + 200 * 11 + 1);
});

/**
 * Adds one to each of the 100 words that the pointers at [r8] lead to, and stores it in another block than it was loaded in, except where it
 * becomes 50.
 */
const COUNT_UP: readonly ToyInstruction[] = [
  [TOY.li, 2, 0, 0, 100],
  [TOY.load64, 5, 8, 0, 0], // 8
  [TOY.addi, 8, 8, 0, 8],
  [TOY.load64, 6, 5, 0, 0],
  [TOY.addi, 6, 6, 0, 1],
  [TOY.cmpi, 0, 6, 0, 50],
  [TOY.jcc, 4, 0, 0, 8], // to 64
  [TOY.store64, 6, 5, 0, 0], // 56
  [TOY.addi, 2, 2, 0, -1], // 64
  [TOY.cmpi, 0, 2, 0, 0],
  [TOY.jcc, 5, 0, 0, -80], // to 8
  [TOY.syscall],
];

both("a store after a load of the same place goes where it may, and faults elsewhere", (hot) => {
  const { ram, cpu, space } = machine(COUNT_UP, hot);
  const frame = walk(ram, DATA, ACCESS_READ);
  const pointers = walk(ram, DATA + 4096, ACCESS_READ);
  /** The first 60 pointers lead to one word, the others to the next. */
  const start = (first: number, second: number): number => {
    for (let n = 0; n < 100; n++) ram.writeU64(pointers + 8 * n, n < 60 ? DATA : DATA + 8);
    ram.writeU64(frame, first);
    ram.writeU64(frame + 8, second);
    setPc(ram, CODE);
    writeGpr(ram, 8, BigInt(DATA + 4096));
    return cpu.run(1e6);
  };
  assert.equal(start(0, 100), TRAP_SYSCALL);
  assert.deepEqual([ram.readU64(frame), ram.readU64(frame + 8)], [49, 140]);
  assert.equal(start(60, 100), TRAP_SYSCALL);
  assert.deepEqual([ram.readU64(frame), ram.readU64(frame + 8)], [120, 140]);
  space.map(DATA, frame, 0);
  cpu.flushRange(DATA, DATA + 4096);
  // The first word is never stored, the second would be.
  assert.equal(start(49, 60), TRAP_FAULT);
  assert.equal(getPc(ram), CODE + 56);
  assert.equal(cpu.trapAddress, DATA + 8);
  assert.equal(cpu.trapAccess, ACCESS_WRITE);
  assert.equal(readGpr(ram, 2), 40n);
  assert.equal(readGpr(ram, 6), 61n);
  assert.deepEqual([ram.readU64(frame), ram.readU64(frame + 8)], [49, 60]);
  // Clean again: the stores are to be seen in the page table.
  space.map(DATA, frame, PTE_WRITE);
  cpu.flushRange(DATA, DATA + 4096);
  assert.equal(start(49, 60), TRAP_SYSCALL);
  assert.deepEqual([ram.readU64(frame), ram.readU64(frame + 8)], [49, 100]);
  assert.notEqual(ram.u32[space.leaf(DATA)]! & PTE_DIRTY, 0);
});

both("a register that a loop sets on some ways only keeps its value on the others", (hot) => {
  const { ram, cpu } = machine([
    [TOY.addi, 6, 1, 0, 0], // the last that reads it before the system call
    [TOY.cmpi, 0, 7, 0, 1],
    [TOY.jcc, 4, 0, 0, 72], // to 96
    [TOY.li, 2, 0, 0, 3],
    [TOY.jump],
    [TOY.cmpi, 0, 9, 0, 0], // 40
    [TOY.jcc, 5, 0, 0, 8],
    [TOY.li, 1, 0, 0, 77],
    [TOY.addi, 2, 2, 0, -1], // 64
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -48],
    [TOY.jump],
    [TOY.syscall], // 96
    [TOY.jump, 0, 0, 0, -112],
  ], hot);
  for (let round = 0; round < 40; round++) {
    writeGpr(ram, 1, 42n);
    writeGpr(ram, 9, BigInt(round % 2));
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), round % 2 === 0 ? 77n : 42n, `round ${round}`);
  }
});

both("the flags of a call's block stay in memory where a loop goes on by the dispatcher", (hot) => {
  const { ram, cpu } = machine([
    [TOY.cmpi, 0, 9, 0, 0],
    [TOY.jcc, 5, 0, 0, 16], // to 32: the loop has two ways in
    [TOY.cmp, 0, 1, 8], // 16
    [TOY.call, 0, 0, 0, 64], // to 96
    [TOY.load64, 6, 5, 0, 0], // 32: faults when the page is not there
    [TOY.addi, 5, 5, 0, 4096],
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -56], // to 16
    [TOY.syscall],
    [TOY.jump, 0, 0, 0, -88],
    [TOY.syscall], // 88: filler
    [TOY.addi, 7, 7, 0, 1], // 96
    [TOY.ret],
    [TOY.setcc, 3, 0, 0, 2], // 112: below
    [TOY.syscall],
  ], hot);
  for (let round = 0; round < 40; round++) {
    const below = round & 1;
    writeGpr(ram, 1, BigInt(1 - below));
    writeGpr(ram, 2, 5n);
    writeGpr(ram, 4, BigInt(DATA + 4096));
    writeGpr(ram, 5, BigInt(DATA));
    writeGpr(ram, 8, 1n);
    writeGpr(ram, 9, BigInt(round >> 1 & 1));
    setPc(ram, CODE);
    assert.equal(cpu.run(1e6), TRAP_FAULT, `round ${round}`);
    setPc(ram, CODE + 112);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 3), BigInt(below), `round ${round}`);
  }
});

both(
  "the window of the stack ends where a page is taken away, and no stray stack pointer is in it",
  (hot) => {
    const { ram, cpu, space } = machine([
      [TOY.push, 3],
      [TOY.load64, 6, 4, 0, 0],
      [TOY.syscall],
      [TOY.jump, 0, 0, 0, -32],
    ], hot);
    const push = (sp: bigint): number => {
      setPc(ram, CODE);
      writeGpr(ram, 3, sp);
      writeGpr(ram, 4, sp);
      return cpu.run(1e6);
    };
    const low = BigInt(DATA);
    const frames = [space.frame(), space.frame()]; // one behind the other
    frames.forEach((frame, n) => space.map(DATA + n * 4096, frame, PTE_WRITE));
    cpu.flushAll();
    for (let round = 0n; round < 40n; round++) {
      const sp = low + 4096n + (round % 2n === 0n ? 8n : 4096n) - 4n * (round % 3n); // within each page, and across
      assert.equal(push(sp), TRAP_SYSCALL);
      assert.equal(readGpr(ram, 6), sp, `round ${round}`);
    }
    ram.u32[space.leaf(DATA)] = 0;
    cpu.flushRange(DATA, DATA + 4096);
    assert.equal(push(low + 4096n + 8n), TRAP_SYSCALL);
    assert.equal(push(low + 4096n), TRAP_FAULT);
    assert.equal(cpu.trapAddress, DATA + 4096 - 8);
    assert.equal(push(low + 8n), TRAP_FAULT);
    assert.equal(push(low + 8192n), TRAP_SYSCALL);
    cpu.flushAll();
    assert.equal(push(0x8765_4321_1235_6008n), TRAP_PROTECTION);
    assert.equal(push(0n), TRAP_FAULT);
    assert.equal(push(low + 8192n), TRAP_SYSCALL);
  },
);

both("a pointer into the stack is known by the check of what it points to, not by one nearby", (hot) => {
  const { ram, cpu, space } = machine([
    [TOY.load8, 1, 4, 0, 0],
    [TOY.cmpi, 0, 9, 0, 0],
    [TOY.jcc, 4, 0, 0, 40], // to 64; never
    [TOY.load8, 1, 4, 0, 0], // 24: checked before
    [TOY.vload, 0, 4, 0, 250],
    [TOY.addi, 11, 4, 0, 250],
    [TOY.jump, 0, 0, 0, 8], // to 64
    [TOY.syscall],
    [TOY.load8, 2, 11, 0, 0], // 64
    [TOY.syscall],
    [TOY.jump, 0, 0, 0, -88],
  ], hot);
  const data = ram.u32[space.leaf(DATA)]! & -PAGE_SIZE;
  ram.u8[data + 100 + 250] = 77;
  writeGpr(ram, 4, BigInt(DATA + 100));
  writeGpr(ram, 9, 1n);
  for (let round = 0; round < 40; round++) {
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 2), 77n, `round ${round}`);
  }
});

both("the flags of before a NaN are there for who goes on after it", (hot) => {
  const { ram, cpu, space } = machine([
    [TOY.vload, 0, 5, 0, 0],
    [TOY.cmp, 0, 1, 2], // 1 - 2 borrows
    [TOY.fadd, 1, 0, 0],
    [TOY.setcc, 3, 0, 0, 2], // below
    [TOY.cmp, 0, 1, 1],
    [TOY.syscall],
    [TOY.jump, 0, 0, 0, -56],
  ], hot);
  writeGpr(ram, 1, 1n);
  writeGpr(ram, 2, 2n);
  writeGpr(ram, 5, BigInt(DATA));
  const data = ram.u32[space.leaf(DATA)]! & -PAGE_SIZE;
  for (let round = 0; round < 40; round++) {
    ram.view.setFloat64(data, round < 20 ? 1 : NaN, true);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 3), 1n, `round ${round}`);
  }
});

both("faults leave the registers of before the instruction", (hot) => {
  const { ram, cpu } = machine([
    [TOY.addi, 1, 1, 0, 1],
    [TOY.addi, 2, 2, 0, 4096],
    [TOY.addi, 3, 3, 0, 1],
    [TOY.store64, 3, 2, 0, -4],
    [TOY.addi, 3, 3, 0, 1],
    [TOY.jump, 0, 0, 0, -48],
  ], hot);
  writeGpr(ram, 2, BigInt(DATA - 4096 + 8));
  assert.equal(cpu.run(1e6), TRAP_FAULT);
  assert.equal(cpu.trapAddress, DATA + 8196);
  assert.equal(cpu.trapAccess, ACCESS_WRITE);
  assert.equal(getPc(ram), CODE + 24);
  assert.equal(readGpr(ram, 3), 5n);
  assert.equal(cpu.retired, 6 * 2 + 3);
});

both("a crossing store writes nothing when its second page is missing", (hot) => {
  const { ram, cpu, space } = machine([[TOY.store64, 1, 2, 0, 0], [TOY.syscall]], hot);
  writeGpr(ram, 1, -1n);
  writeGpr(ram, 2, BigInt(DATA + 8192 - 4));
  assert.equal(cpu.run(100), TRAP_FAULT);
  assert.equal(cpu.trapAddress, DATA + 8192);
  const frame = ram.u32[space.leaf(DATA + 4096)]! & ~4095;
  assert.equal(ram.u32[(frame + 4092) >>> 2], 0);
  space.map(DATA + 8192, space.frame(), PTE_WRITE);
  assert.equal(cpu.run(100), TRAP_SYSCALL);
  assert.equal(ram.u32[(frame + 4092) >>> 2], 0xffff_ffff);
  assert.notEqual(ram.u32[space.leaf(DATA + 8192)]! & PTE_DIRTY, 0);
});

both("a read-only page faults on write and on the probe of a read-modify-write", (hot) => {
  const { ram, cpu, space } = machine([[TOY.load64, 1, 2], [TOY.rmw, 3, 2], [TOY.syscall]], hot);
  space.map(DATA, space.frame(), 0);
  writeGpr(ram, 2, BigInt(DATA));
  assert.equal(cpu.run(100), TRAP_FAULT);
  assert.equal(cpu.trapAccess, ACCESS_WRITE);
  assert.equal(getPc(ram), CODE + 8);
  assert.equal(cpu.retired, 1);
});

both("wild addresses: upper half faults, not canonical is a protection trap", (hot) => {
  const { ram, cpu } = machine([[TOY.load64, 1, 2], [TOY.syscall]], hot);
  writeGpr(ram, 2, -4096n);
  assert.equal(cpu.run(100), TRAP_FAULT);
  assert.equal(cpu.trapAccess, ACCESS_READ);
  writeGpr(ram, 2, 1n << 52n);
  assert.equal(cpu.run(100), TRAP_PROTECTION);
});

both("jumping nowhere is a fetch fault at the target", (hot) => {
  const { ram, cpu } = machine([[TOY.jumpr, 0, 2]], hot);
  writeGpr(ram, 2, 0x1234n);
  assert.equal(cpu.run(100), TRAP_FAULT);
  assert.equal(cpu.trapAccess, ACCESS_EXEC);
  assert.equal(cpu.trapAddress, 0x1234);
  assert.equal(getPc(ram), 0x1234);
  assert.equal(cpu.retired, 1);
});

both("trap_if and undefined instructions", (hot) => {
  const { ram, cpu } = machine([[TOY.addi, 1, 1, 0, 1], [TOY.divu, 1, 1, 2], [TOY.illegal]], hot);
  assert.equal(cpu.run(100), TRAP_DIVIDE);
  assert.equal(getPc(ram), CODE + 8);
  writeGpr(ram, 2, 1n);
  assert.equal(cpu.run(100), TRAP_ILLEGAL);
  assert.equal(getPc(ram), CODE + 16);
  assert.equal(cpu.retired, 2);
});

both("ext passes operands through scratch and may trap", (hot) => {
  const double: ExtFunction = ({ ram }) => {
    const value = ram.view.getBigInt64(CPU_BASE + CPU_STATE.scratch, true);
    if (value === 30n) return TRAP_ILLEGAL;
    ram.view.setBigInt64(CPU_BASE + CPU_STATE.scratch, value * 2n, true);
    return 0;
  };
  const { ram, cpu } = machine(
    [
      [TOY.addi, 1, 1, 0, 1],
      [TOY.ext, 2, 1, 0, 0],
      [TOY.add, 3, 3, 2],
      [TOY.jump, 0, 0, 0, -32],
    ],
    hot,
    [double],
  );
  assert.equal(cpu.run(1000), TRAP_ILLEGAL);
  assert.equal(readGpr(ram, 3), 870n);
  assert.equal(readGpr(ram, 1), 30n);
  assert.equal(getPc(ram), CODE + 8);
  assert.equal(cpu.retired, 29 * 4 + 1);
});

both("code that rewrites itself runs in its new form", (hot) => {
  const program: ToyInstruction[] = [
    [TOY.li, 1, 0, 0, 0],
    [TOY.addi, 1, 1, 0, 1], // 8: its immediate becomes the loop count
    [TOY.addi, 3, 3, 0, 1],
    [TOY.store8, 3, 5, 0, 12],
    [TOY.cmpi, 0, 3, 0, 50],
    [TOY.jcc, 5, 0, 0, -40],
    [TOY.syscall],
  ];
  const { ram, cpu, space, code } = machine(program, hot);
  space.map(CODE, code, PTE_EXEC | PTE_WRITE);
  cpu.flushAll();
  writeGpr(ram, 5, BigInt(CODE));
  assert.equal(cpu.run(1e5), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), BigInt(1 + (49 * 50) / 2));
  assert.equal(cpu.retired, 1 + 50 * 5 + 1);
  assert.ok(cpu.statistics()["codeWrites"]! > 10);
});

both("code shared by two address spaces at different addresses", (hot) => {
  const { ram, cpu, code } = machine(SUM, hot);
  cpu.run(1e6);
  const other = new ToySpace(ram, FRAMES_START + (1 << 20));
  other.map(0x55_5000_0000, code, PTE_EXEC);
  cpu.setAddressSpace(other.root, 2);
  setPc(ram, 0x55_5000_0000);
  const lifted = cpu.statistics()["lifted"];
  assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), 500500n);
  assert.equal(getPc(ram), 0x55_5000_0000 + 56);
  assert.equal(cpu.statistics()["lifted"], lifted);
});

test("a step executes one instruction, a call included", () => {
  const { ram, cpu } = machine(SUM, 0);
  assert.equal(cpu.step(), TRAP_STEP);
  assert.equal(getPc(ram), CODE + 8);
  for (let n = 0; n < 5; n++) assert.equal(cpu.step(), TRAP_STEP);
  assert.equal(getPc(ram), CODE + 16);
  assert.equal(cpu.retired, 6);
});

both("vectors and floats", (hot) => {
  const { ram, cpu, space } = machine([
    [TOY.li, 3, 0, 0, 30],
    [TOY.vload, 1, 5, 0, 0], // 8
    [TOY.vadd, 2, 1, 2],
    [TOY.fadd, 3, 3, 1],
    [TOY.vstore, 2, 5, 0, 4088],
    [TOY.addi, 3, 3, 0, -1],
    [TOY.cmpi, 0, 3, 0, 0],
    [TOY.jcc, 5, 0, 0, -56],
    [TOY.vstore, 3, 5, 0, 32],
    [TOY.syscall],
  ], hot);
  const frame = ram.u32[space.leaf(DATA)]! & ~4095;
  ram.view.setFloat64(frame, 1.5, true);
  ram.u32[(frame >>> 2) + 2] = 7;
  writeGpr(ram, 5, BigInt(DATA));
  assert.equal(cpu.run(1e5), TRAP_SYSCALL);
  assert.equal(ram.view.getFloat64(frame + 32, true), 45);
  const second = ram.u32[space.leaf(DATA + 4096)]! & ~4095;
  assert.equal(ram.u32[second >>> 2], 210);
});
