// SPDX-License-Identifier: Apache-2.0
// Jumps to other pages, direct and by register, in the interpreter alone and with early translation: what was there when they were last made must not be
// where they go.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TRAP_SYSCALL } from "../include/linux/cpu.ts";
import { Ram } from "../lib/ram.ts";
import { WasmCpu } from "./cpu.ts";
import { FRAMES_START, PAGE_SIZE, PTE_EXEC, PTE_WRITE } from "./layout.ts";
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
const FAR = CODE + 5 * 4096;

/** Calls FAR and what r9 leads to, as often as r3 says. */
const FAR_CALLS: readonly ToyInstruction[] = [
  [TOY.li, 1, 0, 0, 0],
  [TOY.call, 0, 0, 0, FAR - (CODE + 8) - 8], // 8
  [TOY.callr, 0, 9], // 16
  [TOY.addi, 3, 3, 0, -1],
  [TOY.cmpi, 0, 3, 0, 0],
  [TOY.jcc, 5, 0, 0, -40],
  [TOY.syscall],
];

/** Adds `n` to r1. */
function adder(n: number): Uint8Array {
  return assembleToy([[TOY.addi, 1, 1, 0, n], [TOY.ret]]);
}

function jumpsFar(hotEntries: number): void {
  const ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  const cpu = new WasmCpu(ram, new ToyFrontEnd(), { hotEntries, hotBatch: 1 });
  const space = new ToySpace(ram, FRAMES_START);
  const [code, data, one, hundred] = [space.frame(), space.frame(), space.frame(), space.frame()];
  const other = new ToySpace(ram, FRAMES_START + (1 << 20));
  ram.u8.set(assembleToy(FAR_CALLS), code);
  ram.u8.set(adder(1), one);
  ram.u8.set(adder(100), hundred);
  for (const [each, far] of [[space, one], [other, hundred]] as const) {
    each.map(CODE, code, PTE_EXEC);
    each.map(DATA, data, PTE_WRITE);
    each.map(FAR, far, PTE_EXEC);
  }
  let retired = 0;
  const sum = (count: number): bigint => {
    setPc(ram, CODE);
    writeGpr(ram, 3, BigInt(count));
    writeGpr(ram, 4, BigInt(DATA + 4096));
    writeGpr(ram, 9, BigInt(FAR));
    assert.equal(cpu.run(1e6), TRAP_SYSCALL);
    assert.equal(cpu.retired - retired, 1 + count * 9 + 1);
    retired = cpu.retired;
    return readGpr(ram, 1);
  };
  const enter = (id: number): void => cpu.setAddressSpace((id === 1 ? space : other).root, id);
  for (let round = 0; round < 4; round++) {
    enter(1);
    assert.equal(sum(10), 20n);
    enter(2);
    assert.equal(sum(10), 2000n);
  }
  enter(1);
  space.map(FAR, hundred, PTE_EXEC);
  cpu.flushRange(FAR, FAR + PAGE_SIZE);
  assert.equal(sum(10), 2000n);
  enter(2);
  assert.equal(sum(10), 2000n);
  ram.u8.set(adder(7), hundred);
  cpu.invalidateFrame(hundred);
  assert.equal(sum(10), 140n);
  enter(1);
  assert.equal(sum(10), 140n);
}

for (const hot of [0, 3]) {
  test(`jumps to another page lead to what is there now: mapped anew, in another space, written (hot ${hot})`, () =>
    jumpsFar(hot));
}
