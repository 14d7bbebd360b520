// SPDX-License-Identifier: Apache-2.0
// Jumps through a place in memory that the code names itself, as the stubs of a procedure linkage table make them.
//
// What lies in such a place hardly ever changes, so the jump has a link of its own (data.ts) with the target that it was made for. A call of
// a stub becomes a call through the stub's place: the stub's instruction is put behind the call's in its block.
// Source: System V ABI, AMD64 supplement, "Procedure Linkage Table".

import { FLAG_STORE, FLAG_WRITE, Op, OPS } from "../ir/ops.ts";
import { JUMP_PLAIN, TERM_INDIRECT } from "../ir/terminators.ts";
import type { IrBlock } from "./ir-block.ts";
import { pcOffset, steadyPlace } from "./terminators.ts";

/** A stub is a jump, behind a marker of where indirect jumps may lead at most. */
const STUB_INSTRUCTIONS_MAX = 2;
const TWO_32 = 0x1_0000_0000;

export function isStub(ir: IrBlock): boolean {
  return ir.instructions <= STUB_INSTRUCTIONS_MAX && ir.termKind === JUMP_PLAIN
    && steadyPlace(ir) !== undefined
    && ir.op.every((op) => (OPS[op]!.flags & (FLAG_STORE | FLAG_WRITE)) === 0);
}

/** A block that calls a stub, and the stub, as one. */
export function joinStub(call: IrBlock, stub: IrBlock): IrBlock {
  const shift = call.length;
  const distance = stub.basePc - call.basePc;
  const join = (a: Int32Array, b: Int32Array): Int32Array => Int32Array.from([...a, ...b]);
  const operands = (a: Int32Array, b: Int32Array): Int32Array =>
    join(a, b.map((temp) => (temp < 0 ? temp : temp + shift)));
  const joined = {
    ...call,
    op: Uint16Array.from([...call.op, ...stub.op]),
    a: operands(call.a, stub.a),
    b: operands(call.b, stub.b),
    c: operands(call.c, stub.c),
    imm: join(call.imm, stub.imm),
    imm2: join(call.imm2, stub.imm2),
    length: call.length + stub.length,
    instructions: call.instructions + stub.instructions,
    terminator: TERM_INDIRECT,
    target: 0,
    termTemp: stub.termTemp + shift,
  };
  for (let i = shift; i < joined.length; i++) {
    if (joined.op[i] === Op.insn) joined.imm[i]! += distance;
    if (joined.op[i] !== Op.pc_const) continue;
    const offset = pcOffset(stub, i - shift) + distance;
    joined.imm[i] = offset | 0;
    joined.imm2[i] = Math.floor(offset / TWO_32) | 0;
  }
  return joined;
}
