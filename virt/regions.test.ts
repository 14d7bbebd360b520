// SPDX-License-Identifier: Apache-2.0
// Regions are found where their pages are mapped, also when that came late; and they wait for what they call.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PTE_EXEC, PTE_WRITE } from "./layout.ts";
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

const CODE = 0x40_0000;
const STACK = 0x7f00_0000_1000;

/** Counts r2 down, by way of the other page when r6 is not 0. */
const LOOP: readonly ToyInstruction[] = [
  [TOY.add, 1, 1, 2],
  [TOY.addi, 2, 2, 0, -1],
  [TOY.cmpi, 0, 6, 0, 0],
  [TOY.jcc, 5, 0, 0, 4096 - 32],
  [TOY.cmpi, 0, 2, 0, 0], // 32
  [TOY.jcc, 5, 0, 0, -48],
  [TOY.syscall], // 48
];
const OTHER_PAGE: readonly ToyInstruction[] = [
  [TOY.addi, 5, 5, 0, 1],
  [TOY.jump, 0, 0, 0, 32 - (4096 + 16)],
];

test("where not all of a region was mapped when it was jumped to, it is looked for again", () => {
  const ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries: 3, hotBatch: 1 });
  const frames = [LOOP, OTHER_PAGE].map((program, n) => {
    const frame = FRAMES_START + (3 << 20) + n * 4096;
    ram.u8.set(assembleToy(program), frame);
    return frame;
  });
  /** A space of its own; what maps its second page. */
  const enterSpace = (id: number): () => void => {
    const space = new ToySpace(ram, FRAMES_START + ((id - 1) << 20));
    space.map(CODE, frames[0]!, PTE_EXEC);
    cpu.setAddressSpace(space.root, id);
    return () => space.map(CODE + 4096, frames[1]!, PTE_EXEC);
  };
  const run = (count: number, budget: number): void => {
    setPc(ram, CODE);
    writeGpr(ram, 2, BigInt(count));
    cpu.run(budget);
  };
  const dispatches = (): number => cpu.statistics()["dispatches"]!;

  enterSpace(1)();
  writeGpr(ram, 6, 1n);
  run(100, 1e6);
  assert.ok(cpu.statistics()["liveRegions"]! > 0);

  writeGpr(ram, 6, 0n);
  for (const id of [2, 3]) {
    const mapSecond = enterSpace(id);
    run(1e6, 12);
    mapSecond();
    const before = dispatches();
    run(1e6, 1e8);
    assert.equal(getPc(ram), CODE + 56);
    const taken = dispatches() - before;
    assert.ok(taken < 100, `${taken} dispatches in space ${id}`);
  }
});

test("a region that calls what has no region goes on when that has returned, and is left when it does not return", () => {
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries: 50, hotBatch: 1 });
  const space = new ToySpace(ram, FRAMES_START);
  const calls = 200;
  const calleeBytes = 16;
  const callees = 64; // after the loop
  const caller: readonly ToyInstruction[] = [
    [TOY.callr, 0, 9], // the next function each time
    [TOY.addi, 9, 9, 0, calleeBytes],
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -40],
    [TOY.syscall], // 40
    [TOY.syscall],
    [TOY.syscall], // 56
  ];
  const callee: readonly ToyInstruction[] = [[TOY.addi, 1, 1, 0, 3], [TOY.ret]];
  const last: readonly ToyInstruction[] = [[TOY.pop, 5], [
    TOY.jump,
    0,
    0,
    0,
    48 - (callees + calls * calleeBytes + 16),
  ]];
  const bytes = assembleToy([
    ...caller,
    ...Array<readonly ToyInstruction[]>(calls).fill(callee).flat(),
    ...last,
  ]);
  const frame = FRAMES_START + (1 << 19);
  ram.u8.set(bytes, frame);
  space.map(CODE, frame, PTE_EXEC);
  space.map(STACK - 4096, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  const run = (count: number): number => {
    const before = cpu.statistics()["dispatches"]!;
    setPc(ram, CODE);
    writeGpr(ram, 1, 0n);
    writeGpr(ram, 2, BigInt(count));
    writeGpr(ram, 4, BigInt(STACK));
    writeGpr(ram, 9, BigInt(CODE + callees));
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), BigInt(calls * 3));
    assert.equal(readGpr(ram, 4), BigInt(STACK));
    return cpu.statistics()["dispatches"]! - before;
  };
  run(calls);
  assert.ok(cpu.statistics()["liveRegions"]! > 0);
  const taken = run(calls);
  assert.equal(getPc(ram), CODE + 48);
  assert.ok(taken < calls * 1.2, `${taken} dispatches`);
  run(calls + 1); // what is called then takes the return address and jumps
  assert.equal(getPc(ram), CODE + 56);
});

test("a callee that takes its caller's frame away comes back into the region, which has no table of its own", () => {
  const tables: number[] = [];
  const compile = (bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module => {
    const module = new WebAssembly.Module(bytes);
    tables.push(WebAssembly.Module.imports(module).filter(({ kind }) => kind === "table").length);
    return module;
  };
  const ram = new Ram(FRAMES_START + (1 << 20), FRAMES_START + (1 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries: 1, hotBatch: 1, compile });
  const space = new ToySpace(ram, FRAMES_START);
  const callee = 64;
  const loop: readonly ToyInstruction[] = [
    [TOY.addi, 4, 4, 0, -8],
    [TOY.call, 0, 0, 0, callee - 16],
    [TOY.add, 1, 1, 4], // 16
    [TOY.addi, 2, 2, 0, -1],
    [TOY.cmpi, 0, 2, 0, 0],
    [TOY.jcc, 5, 0, 0, -48],
    [TOY.syscall], // 48
    [TOY.syscall],
    [TOY.pop, 7], // callee
    [TOY.addi, 4, 4, 0, 8],
    [TOY.push, 7],
    [TOY.ret],
  ];
  const frame = FRAMES_START + (1 << 19);
  ram.u8.set(assembleToy(loop), frame);
  space.map(CODE, frame, PTE_EXEC);
  space.map(STACK - 4096, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  const count = 1000;
  setPc(ram, CODE);
  writeGpr(ram, 2, BigInt(count));
  writeGpr(ram, 4, BigInt(STACK));
  assert.equal(cpu.run(1e6), TRAP_SYSCALL);
  assert.equal(readGpr(ram, 1), BigInt(count) * BigInt(STACK));
  assert.equal(readGpr(ram, 4), BigInt(STACK));
  const { liveRegions, dispatches } = cpu.statistics();
  assert.ok(liveRegions! > 0);
  assert.ok(dispatches! < count / 10, `${dispatches} dispatches`);
  const [runtime, ...regions] = tables;
  assert.equal(runtime, 1);
  assert.ok(regions.length > 0 && regions.every((n) => n === 0), regions.join());
});
