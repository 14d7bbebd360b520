// SPDX-License-Identifier: Apache-2.0
// Allowances for other processors must not hide an error of any other kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAP_FAULT, TRAP_ILLEGAL, TRAP_PROTECTION } from "../../../include/linux/cpu.ts";
import type { Case } from "./generate.ts";
import { planOne } from "./plan.ts";
import { isOtherOperandFirst, isRefusedBeforeOperands, PAGE_FAULT, pointerHigh } from "./processor-models.ts";
import { FS_BASE, GPR, RESULT_WORDS, RIP, SIGNAL_ADDRESS, TRAP_NUMBER } from "./records.ts";

const INVALID_OPCODE = 6;
const PROTECTION = 13;
const PC = 0x1000_0000;
const SOURCE = 0x40_0000;
const TARGET = 0x50_0000;

function end(trap: number, address: number, source: number = SOURCE, pc: number = PC): Uint32Array {
  const words = new Uint32Array(RESULT_WORDS);
  words[RIP] = pc;
  words[GPR + 12] = source;
  words[GPR + 13] = source === SOURCE ? 0 : 0x8000;
  words[GPR + 14] = TARGET;
  words[TRAP_NUMBER] = trap;
  words[SIGNAL_ADDRESS] = address;
  return words;
}

function caseOf(hex: string): Case {
  return { ...planOne("1/0/0").cases[0]!, bytes: Uint8Array.from(Buffer.from(hex, "hex")), pc: PC };
}

function agree(hex: string, native: Uint32Array, rookery: Uint32Array): boolean {
  return isOtherOperandFirst(caseOf(hex), native, rookery);
}

test("CMPS may fault at either operand", () => {
  assert.ok(agree("f3a6", end(PAGE_FAULT, SOURCE), end(TRAP_FAULT, TARGET)));
  assert.ok(agree("f36448a6", end(PAGE_FAULT, SOURCE + FS_BASE), end(TRAP_FAULT, TARGET)));
  assert.ok(
    agree("90f3a6", end(PAGE_FAULT, SOURCE, SOURCE, PC + 1), end(TRAP_FAULT, TARGET, SOURCE, PC + 1)),
  );
  assert.ok(agree("f26448a6", end(PAGE_FAULT, TARGET), end(TRAP_FAULT, SOURCE + FS_BASE)));
  assert.ok(agree("a6", end(PAGE_FAULT, TARGET), end(TRAP_FAULT, SOURCE)));
  assert.ok(agree("f248a7", end(PAGE_FAULT, TARGET + 4), end(TRAP_FAULT, SOURCE)));
  const wild = SOURCE + 16;
  assert.ok(agree("f3a6", end(PROTECTION, 0, wild), end(TRAP_FAULT, TARGET, wild)));
});

test("no other address, trap or instruction is let through", () => {
  assert.ok(!agree("f3a6", end(PAGE_FAULT, SOURCE), end(TRAP_FAULT, TARGET + 1)));
  assert.ok(!agree("f3a6", end(PAGE_FAULT, SOURCE + 1), end(TRAP_FAULT, TARGET)));
  assert.ok(!agree("f3a6", end(PAGE_FAULT, SOURCE), end(TRAP_PROTECTION, 0)));
  assert.ok(!agree("f248a7", end(PAGE_FAULT, TARGET + 8), end(TRAP_FAULT, SOURCE)));
  for (const other of ["a4", "48af", "f3a4"]) {
    assert.ok(!agree(other, end(PAGE_FAULT, SOURCE), end(TRAP_FAULT, TARGET)), other);
  }
});

test("UD1 may be refused without its operands", () => {
  const refused = (hex: string, vector: number, trap: number): boolean =>
    isRefusedBeforeOperands(caseOf(hex), end(vector, 0), end(trap, PC + hex.length / 2));
  assert.ok(refused("0fb9", INVALID_OPCODE, TRAP_FAULT));
  assert.ok(refused("66470fb9", INVALID_OPCODE, TRAP_FAULT));
  assert.ok(refused("450fb9645f", INVALID_OPCODE, TRAP_FAULT));
  assert.ok(!refused("0fb9", PAGE_FAULT, TRAP_ILLEGAL));
  for (const other of ["0faf", "0f"]) assert.ok(!refused(other, INVALID_OPCODE, TRAP_FAULT), other);
  assert.ok(!isRefusedBeforeOperands(caseOf("0fb9"), end(INVALID_OPCODE, 0), end(TRAP_FAULT, PC)));
});

test("x87 pointers are compared as addresses of 48 bits", () => {
  assert.equal(pointerHigh(0x00ff_a577), 0xffff_a577);
  assert.equal(pointerHigh(0xff06_5774), 0x0000_5774);
  assert.equal(pointerHigh(0xffff_8000), 0xffff_8000);
});
