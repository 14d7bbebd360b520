// SPDX-License-Identifier: Apache-2.0
// RFLAGS of a register file in memory: written as explicit flags, read back from whatever lazy form it has.
// Computed here apart from the machine's own code, from the definitions in virt/ir/cc.ts.

import type { Ram } from "../../../lib/ram.ts";
import {
  CC_ADC,
  CC_ADD,
  CC_DEC,
  CC_EXPLICIT,
  CC_INC,
  CC_LOGIC,
  CC_RESULT,
  CC_SBB,
  CC_SUB,
  ccOp,
} from "../../../virt/ir/cc.ts";
import { CPU_BASE, CPU_STATE } from "../../../virt/layout.ts";

const ARITHMETIC = 0x8d5;
const DIRECTION = 0x400;
const FIXED = 0x202;

export function setFlags(ram: Ram, flags: number): void {
  ram.i32[(CPU_BASE + CPU_STATE.ccOp) >>> 2] = ccOp(CC_EXPLICIT, 8);
  ram.writeU64(CPU_BASE + CPU_STATE.ccA, flags & ARITHMETIC);
  ram.writeU64(CPU_BASE + CPU_STATE.ccB, 0);
  ram.writeU64(CPU_BASE + CPU_STATE.df, (flags & DIRECTION) === 0 ? 0 : 1);
  ram.writeU64(CPU_BASE + CPU_STATE.eflagsOther, flags & ~(ARITHMETIC | DIRECTION | FIXED));
}

export function flagsFromState(ram: Ram): number {
  const { view } = ram;
  const op = ram.i32[(CPU_BASE + CPU_STATE.ccOp) >>> 2]!;
  const a = view.getBigUint64(CPU_BASE + CPU_STATE.ccA, true);
  const b = view.getBigUint64(CPU_BASE + CPU_STATE.ccB, true);
  const other = ram.u32[(CPU_BASE + CPU_STATE.eflagsOther) >>> 2]!;
  const direction = ram.u32[(CPU_BASE + CPU_STATE.df) >>> 2] === 0 ? 0 : DIRECTION;
  return (arithmetic(op >> 2, 8 << (op & 3), a, b) | direction | other | FIXED) >>> 0;
}

/** Flags of a result: ZF, SF, PF. */
function resultFlags(result: bigint, bits: number): number {
  let ones = Number(result & 0xffn);
  ones ^= ones >> 4;
  ones ^= ones >> 2;
  ones ^= ones >> 1;
  const parity = (ones & 1) === 0 ? 4 : 0;
  return parity | (result === 0n ? 0x40 : 0) | (result >> BigInt(bits - 1) === 1n ? 0x80 : 0);
}

function arithmetic(kind: number, bits: number, wideA: bigint, wideB: bigint): number {
  const a = BigInt.asUintN(bits, wideA);
  const b = BigInt.asUintN(bits, wideB);
  const top = BigInt(bits - 1);
  const bit = (value: bigint, n: bigint): number => Number(value >> n & 1n);
  switch (kind) {
    case CC_EXPLICIT:
      return Number(wideA & BigInt(ARITHMETIC));
    case CC_ADD:
    case CC_ADC: {
      const sum = a + b + (kind === CC_ADC ? 1n : 0n);
      const result = BigInt.asUintN(bits, sum);
      const carry = bit(sum, BigInt(bits));
      const overflow = bit((a ^ result) & (b ^ result), top);
      return resultFlags(result, bits) | carry | bit(a ^ b ^ result, 4n) << 4 | overflow << 11;
    }
    case CC_SUB:
    case CC_SBB: {
      const difference = a - b - (kind === CC_SBB ? 1n : 0n);
      const result = BigInt.asUintN(bits, difference);
      const borrow = difference < 0n ? 1 : 0;
      return resultFlags(result, bits) | borrow | bit(a ^ b ^ result, 4n) << 4
        | bit((a ^ b) & (a ^ result), top) << 11;
    }
    case CC_LOGIC:
      return resultFlags(a, bits);
    case CC_INC:
      return resultFlags(a, bits) | Number(wideB & 1n) | ((a & 15n) === 0n ? 0x10 : 0)
        | (a === 1n << top ? 0x800 : 0);
    case CC_DEC: {
      const overflow = a === (1n << top) - 1n ? 0x800 : 0;
      return resultFlags(a, bits) | Number(wideB & 1n) | ((a & 15n) === 15n ? 0x10 : 0) | overflow;
    }
    case CC_RESULT:
      return resultFlags(a, bits) | Number(wideB & 0x801n);
    default:
      throw new RangeError(`flags of unknown kind ${kind}`);
  }
}
