// SPDX-License-Identifier: Apache-2.0
// Blocks as the lifter makes them: every form in both modes is valid IR, and blocks end where they should.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { TRAP_ILLEGAL, TRAP_PROTECTION } from "../../include/linux/cpu.ts";
import { MODE_EXACT, MODE_RELAXED } from "../../virt/frontend.ts";
import { IrBuilder } from "../../virt/ir/builder.ts";
import { Op } from "../../virt/ir/ops.ts";
import { TERM_BRANCH, TERM_JUMP, TERM_TRAP } from "../../virt/ir/terminators.ts";
import { validateIr } from "../../virt/ir/validate.ts";
import { unliftedForms, X86Lifter } from "./lift.ts";

const GOLDEN = fileURLToPath(new URL("../../../tools/testing/expect/x86/decode.expect", import.meta.url));
const PC = 0x40_0000;

interface Block {
  readonly ir: IrBuilder;
  readonly bytes: number;
  readonly faultPc: number;
}

function lift(bytes: ArrayLike<number>, at = PC, mode = MODE_RELAXED, instructionsMax = 64): Block {
  const ir = new IrBuilder();
  const out = { bytes: 0, faultPc: 0 };
  ir.begin(at);
  const fetch = { byte: (pc: number) => bytes[pc - at] ?? -1 };
  new X86Lifter().lift(ir, fetch, at, { instructionsMax, endPc: Number.MAX_SAFE_INTEGER }, mode, out);
  return { ir, ...out };
}

test("every form is lifted", () => {
  assert.deepEqual(unliftedForms(), []);
});

test("every form gives valid IR in both modes", () => {
  const lifter = new X86Lifter();
  const ir = new IrBuilder();
  const out = { bytes: 0, faultPc: 0 };
  for (const line of readFileSync(GOLDEN, "utf8").trim().split("\n")) {
    const [hex = "", , form = ""] = line.split("\t");
    const bytes = Buffer.from(hex, "hex");
    for (const mode of [MODE_RELAXED, MODE_EXACT]) {
      ir.begin(PC);
      const fetch = { byte: (pc: number) => bytes[pc - PC] ?? -1 };
      lifter.lift(ir, fetch, PC, { instructionsMax: 1, endPc: Number.MAX_SAFE_INTEGER }, mode, out);
      assert.equal(out.bytes, bytes.length, form);
      assert.doesNotThrow(() => validateIr(ir), form);
    }
  }
});

test("a block ends at a transfer, at the limit, and at the end of the page", () => {
  assert.equal(lift([0x90, 0x74, 0x02, 0x90]).ir.terminator, TERM_BRANCH);
  const nops = new Uint8Array(8192).fill(0x90);
  assert.equal(lift(nops).ir.instructions, 64);
  const last = lift(nops, PC + 4096 - 3);
  assert.deepEqual([last.ir.instructions, last.bytes, last.ir.terminator], [3, 3, TERM_JUMP]);
});

test("an instruction across two pages is a block of its own", () => {
  const bytes = [0x90, 0x48, 0x8b, 0x45, 0x08, 0x90, 0x90];
  const before = lift(bytes, PC + 4096 - 3);
  assert.deepEqual([before.ir.instructions, before.bytes], [1, 1]);
  const across = lift(bytes.slice(1), PC + 4096 - 2);
  assert.deepEqual([across.ir.instructions, across.bytes], [1, 4]);
});

test("a byte that cannot be fetched ends the block before its instruction", () => {
  const block = lift([0x90, 0x90, 0x48]);
  assert.deepEqual([block.bytes, block.ir.instructions], [2, 2]);
  assert.deepEqual([lift([0x48]).bytes, lift([0x48]).faultPc], [0, PC + 1]);
});

test("undefined and privileged instructions trap at themselves", () => {
  const illegal = lift([0x90, 0x0f, 0x0b]).ir;
  assert.deepEqual([illegal.terminator, illegal.termKind, illegal.target], [TERM_TRAP, TRAP_ILLEGAL, 1]);
  assert.equal(lift([0xf4]).ir.termKind, TRAP_PROTECTION);
  assert.equal(lift([...Array(15).fill(0x66), 0x90]).ir.termKind, TRAP_PROTECTION);
});

test("what may fault comes before the first change of registers", () => {
  // xchg [rbx], rax; push [rsi]; add [rdi], ecx; pop [rdx]
  for (const bytes of [[0x48, 0x87, 0x03], [0xff, 0x36], [0x01, 0x0f], [0x8f, 0x02]]) {
    const { ir } = lift(bytes);
    const ops = [...ir.op.subarray(0, ir.length)];
    const firstSet = ops.findIndex((op) => op === Op.set_gpr || op === Op.set_cc);
    const lastFault = ops.findLastIndex((_, i) => ir.mayTrap(i));
    assert.ok(firstSet < 0 || lastFault < firstSet, bytes.join(" "));
  }
});

test("xor of a register with itself is a constant", () => {
  const { ir } = lift([0x31, 0xc0], PC, MODE_RELAXED, 1);
  assert.ok(![...ir.op.subarray(0, ir.length)].includes(Op.get_gpr));
});
