// SPDX-License-Identifier: Apache-2.0
// Code in pages that the guest goes on writing to.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TranslationStore } from "../include/host/translations.ts";
import { TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PAGE_SIZE, PTE_EXEC, PTE_WRITE } from "./layout.ts";
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

const CODE = 0x40_0000;
const FUNCTIONS = CODE + PAGE_SIZE;
const STACK = 0x7f00_0000_0000;
const INSTRUCTION = 8;
const EQUAL = 4;
const NOT_EQUAL = 5;
const PATCH_EVERY = 16;

/** Calls two functions `rounds` times, and writes before each round into the page of theirs; now and then into the first of them. */
function caller(rounds: number, functions: number): ToyInstruction[] {
  const call = (at: number, to: number): ToyInstruction => [
    TOY.call,
    0,
    0,
    0,
    functions + to * INSTRUCTION - (CODE + (at + 1) * INSTRUCTION),
  ];
  return [
    [TOY.li, 1],
    [TOY.li, 2],
    [TOY.store64, 2, 5, 0, 2048], // 2: the loop
    call(3, 0),
    call(4, 2),
    [TOY.low, 6, 2, 0, PATCH_EVERY - 1],
    [TOY.cmpi, 0, 6, 0, 0],
    [TOY.jcc, NOT_EQUAL, 0, 0, INSTRUCTION],
    [TOY.store8, 2, 5, 0, 4], // the immediate of the first function
    [TOY.addi, 2, 2, 0, 1],
    [TOY.cmpi, 0, 2, 0, rounds],
    [TOY.jcc, NOT_EQUAL, 0, 0, -10 * INSTRUCTION],
    [TOY.syscall],
  ];
}

const FUNCTION_PAIR: readonly ToyInstruction[] = [
  [TOY.addi, 1, 1, 0, 1],
  [TOY.ret],
  [TOY.addi, 1, 1, 0, 1000],
  [TOY.ret],
];

/** What register 1 is in the end. */
function expected(rounds: number): bigint {
  let immediate = 1;
  let sum = 0;
  for (let n = 0; n < rounds; n++) {
    sum += immediate + 1000;
    if (n % PATCH_EVERY === 0) immediate = n & 0xff;
  }
  return BigInt(sum);
}

interface Machine {
  readonly ram: Ram;
  readonly cpu: WasmCpu;
}

function machine(
  pages: readonly (readonly ToyInstruction[])[],
  hotEntries: number,
  store?: TranslationStore,
): Machine {
  const ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  const options = { hotEntries, hotBatch: 1, ...(store === undefined ? {} : { store }) };
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), options);
  const space = new ToySpace(ram, FRAMES_START);
  pages.forEach((program, n) => {
    const frame = space.frame();
    ram.u8.set(assembleToy(program), frame);
    space.map(CODE + n * PAGE_SIZE, frame, PTE_EXEC | PTE_WRITE);
  });
  space.map(STACK, space.frame(), PTE_WRITE);
  cpu.setAddressSpace(space.root, 1);
  setPc(ram, CODE);
  writeGpr(ram, 4, BigInt(STACK + 2048));
  writeGpr(ram, 5, BigInt(FUNCTIONS));
  return { ram, cpu };
}

for (const hot of [0, 3]) {
  const how = hot === 0 ? "interpreted" : "translated";

  test(`functions in a page that is written to, ${how}`, () => {
    const rounds = 3000;
    const { ram, cpu } = machine([caller(rounds, FUNCTIONS), FUNCTION_PAIR], hot);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), expected(rounds));
    const { codeWrites = 0, lifted = 0 } = cpu.statistics();
    // Those that patch, and those after which the frame is watched, or is not any more.
    assert.ok(
      codeWrites >= rounds / PATCH_EVERY && codeWrites < rounds / PATCH_EVERY + 20,
      `${codeWrites} writes`,
    );
    assert.ok(lifted < (rounds / PATCH_EVERY) * 2, `${lifted} blocks`);
  });

  test(`a loop that writes into its own page, ${how}`, () => {
    const rounds = 3000;
    const program = caller(rounds, CODE + 20 * INSTRUCTION);
    while (program.length < 20) program.push([TOY.illegal]);
    const { ram, cpu } = machine([[...program, ...FUNCTION_PAIR]], hot);
    writeGpr(ram, 5, BigInt(CODE + 20 * INSTRUCTION));
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), expected(rounds));
  });

  test(`stores find a TLB entry when the code of a page is not run any more, ${how}`, () => {
    const rounds = 50_000;
    const { ram, cpu } = machine([
      [
        [TOY.li, 2],
        [TOY.store64, 2, 5, 0, 2048], // 1
        [TOY.cmpi, 0, 2, 0, 3],
        [TOY.jcc, EQUAL, 0, 0, 2 * INSTRUCTION],
        [TOY.cmpi, 0, 2, 0, 5],
        [TOY.jcc, NOT_EQUAL, 0, 0, INSTRUCTION],
        [TOY.call, 0, 0, 0, PAGE_SIZE - 7 * INSTRUCTION], // 6: twice
        [TOY.addi, 2, 2, 0, 1],
        [TOY.cmpi, 0, 2, 0, rounds],
        [TOY.jcc, NOT_EQUAL, 0, 0, -9 * INSTRUCTION],
        [TOY.syscall],
      ],
      FUNCTION_PAIR,
    ], hot);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), 2n);
    const { tlbFills = 0 } = cpu.statistics();
    assert.ok(tlbFills > 400 && tlbFills < 3000, `${tlbFills} fills`);
  });
}

test("what was made of a page that is written to is not kept under its first content", () => {
  const store = new MemoryStore();
  for (let run = 0; run < 4; run++) {
    const rounds = 500 + run;
    const { ram, cpu } = machine([caller(rounds, FUNCTIONS), FUNCTION_PAIR], 3, store);
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(readGpr(ram, 1), expected(rounds));
    cpu.saveTranslations(true);
  }
});
