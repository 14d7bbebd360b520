// SPDX-License-Identifier: Apache-2.0
// RFLAGS in TypeScript: for signal frames, ptrace and core dumps, where the lazy state must become a number.
// The same meaning as virt/ir/cc.ts gives the lazy state; slow (bigint), which is fine for these callers.

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
  FLAG_AF,
  FLAG_CF,
  FLAG_OF,
  FLAG_PF,
  FLAG_SF,
  FLAG_ZF,
} from "../../virt/ir/cc.ts";
import { CPU_STATE } from "../../virt/layout.ts";

const FLAGS_ARITHMETIC = 0x8d5;
const FLAGS_FIXED = 0x202;
export const FLAG_TF = 0x100;
const FLAG_DF = 0x400;
/** TF NT AC ID. */
const FLAGS_OTHER = 0x24_4100;

function parity(value: bigint): number {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0 ? FLAG_PF : 0;
}

function ofResult(result: bigint, bits: number): number {
  return (result === 0n ? FLAG_ZF : 0) | parity(result) | ((result >> BigInt(bits - 1)) === 1n ? FLAG_SF : 0);
}

/** Flags of an addition or subtraction from its operands and its result, all truncated. */
function ofSum(a: bigint, b: bigint, result: bigint, bits: number, isSub: boolean, carryIn: boolean): number {
  const top = BigInt(bits - 1);
  const auxiliary = ((a ^ b ^ result) & 0x10n) !== 0n ? FLAG_AF : 0;
  const signs = isSub ? (a ^ b) & (a ^ result) : ~(a ^ b) & (a ^ result);
  const overflow = ((signs >> top) & 1n) === 1n ? FLAG_OF : 0;
  let carry: boolean;
  if (isSub) carry = carryIn ? a <= b : a < b;
  else carry = carryIn ? result <= a : result < a;
  return ofResult(result, bits) | auxiliary | overflow | (carry ? FLAG_CF : 0);
}

/** CF PF AF ZF SF OF of a lazy state. */
export function arithmeticFlags(op: number, ccA: bigint, ccB: bigint): number {
  const kind = op >> 2;
  const bits = 8 << (op & 3);
  const a = BigInt.asUintN(bits, ccA);
  const b = BigInt.asUintN(bits, ccB);
  switch (kind) {
    case CC_EXPLICIT:
      return Number(ccA & BigInt(FLAGS_ARITHMETIC));
    case CC_ADD:
      return ofSum(a, b, BigInt.asUintN(bits, a + b), bits, false, false);
    case CC_ADC:
      return ofSum(a, b, BigInt.asUintN(bits, a + b + 1n), bits, false, true);
    case CC_SUB:
      return ofSum(a, b, BigInt.asUintN(bits, a - b), bits, true, false);
    case CC_SBB:
      return ofSum(a, b, BigInt.asUintN(bits, a - b - 1n), bits, true, true);
    case CC_LOGIC:
      return ofResult(a, bits);
    case CC_INC:
    case CC_DEC: {
      const before = BigInt.asUintN(bits, kind === CC_INC ? a - 1n : a + 1n);
      return (ofSum(before, 1n, a, bits, kind === CC_DEC, false) & ~FLAG_CF) | Number(ccB & 1n);
    }
    case CC_RESULT:
      return ofResult(a, bits) | Number(ccB & BigInt(FLAG_CF | FLAG_OF));
    default:
      return 0;
  }
}

/** RFLAGS of the register file at `base` in `view`. */
export function readRflags(view: DataView, base: number): number {
  const arithmetic = arithmeticFlags(
    view.getInt32(base + CPU_STATE.ccOp, true),
    view.getBigUint64(base + CPU_STATE.ccA, true),
    view.getBigUint64(base + CPU_STATE.ccB, true),
  );
  const direction = view.getUint8(base + CPU_STATE.df) !== 0 ? FLAG_DF : 0;
  return arithmetic | direction | view.getUint32(base + CPU_STATE.eflagsOther, true) | FLAGS_FIXED;
}

/** Sets what user code may change of RFLAGS. */
export function writeRflags(view: DataView, base: number, flags: number): void {
  view.setInt32(base + CPU_STATE.ccOp, ccOp(CC_EXPLICIT, 8), true);
  view.setUint32(base + CPU_STATE.ccA, flags & FLAGS_ARITHMETIC, true);
  view.setUint32(base + CPU_STATE.ccA + 4, 0, true);
  view.setUint32(base + CPU_STATE.ccB, 0, true);
  view.setUint32(base + CPU_STATE.ccB + 4, 0, true);
  view.setUint32(base + CPU_STATE.df, (flags & FLAG_DF) !== 0 ? 1 : 0, true);
  view.setUint32(base + CPU_STATE.eflagsOther, flags & FLAGS_OTHER, true);
}
