// SPDX-License-Identifier: Apache-2.0
// Lazy flags in TypeScript against the machine's own evaluation, and RFLAGS there and back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ram } from "../../lib/ram.ts";
import {
  CC_ADC,
  CC_ADD,
  CC_DEC,
  CC_INC,
  CC_LOGIC,
  CC_RESULT,
  CC_SBB,
  CC_SUB,
  ccOp,
} from "../../virt/ir/cc.ts";
import { CPU_BASE } from "../../virt/layout.ts";
import { arithmeticFlags, readRflags, writeRflags } from "./flags.ts";

const CF = 0x001;
const PF = 0x004;
const AF = 0x010;
const ZF = 0x040;
const SF = 0x080;
const OF = 0x800;

/** kind, bytes, ccA, ccB, flags: values from the manual's definitions. */
const CASES: readonly (readonly [string, number, number, bigint, bigint, number])[] = [
  ["add overflow", CC_ADD, 1, 0x7fn, 1n, AF | SF | OF],
  ["add carry to zero", CC_ADD, 4, 0xffff_ffffn, 1n, CF | PF | AF | ZF],
  ["add ignores what lies above", CC_ADD, 1, 0xffff_ff01n, 0xabc_0002n, PF],
  ["adc carry only by the carry", CC_ADC, 2, 0xffffn, 0n, CF | PF | AF | ZF],
  ["sub borrow", CC_SUB, 8, 0n, 1n, CF | PF | AF | SF],
  ["sub equal", CC_SUB, 4, 5n, 5n, PF | ZF],
  ["sub overflow", CC_SUB, 1, 0x80n, 1n, AF | OF],
  ["sbb equal operands borrow", CC_SBB, 1, 5n, 5n, CF | PF | AF | SF],
  ["logic", CC_LOGIC, 2, 0x8000n, 0n, PF | SF],
  ["inc overflow keeps carry", CC_INC, 1, 0x80n, 1n, CF | AF | SF | OF],
  ["inc to zero", CC_INC, 8, 0n, 0n, PF | AF | ZF],
  ["dec overflow", CC_DEC, 4, 0x7fff_ffffn, 0n, PF | AF | OF],
  ["result", CC_RESULT, 4, 0n, 0x801n, CF | PF | ZF | OF],
];

for (const [name, kind, bytes, a, b, flags] of CASES) {
  test(name, () => assert.equal(arithmeticFlags(ccOp(kind, bytes), a, b).toString(16), flags.toString(16)));
}

test("RFLAGS there and back, reserved bits dropped", () => {
  const ram = new Ram(1 << 20, 1 << 20);
  writeRflags(ram.view, CPU_BASE, 0xffff_ffff);
  assert.equal(readRflags(ram.view, CPU_BASE), 0x24_4100 | 0x8d5 | 0x400 | 0x202);
  writeRflags(ram.view, CPU_BASE, 0);
  assert.equal(readRflags(ram.view, CPU_BASE), 0x202);
});
