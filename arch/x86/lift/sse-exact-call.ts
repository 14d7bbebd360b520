// SPDX-License-Identifier: Apache-2.0
// Lifted calls to the exact SSE arithmetic of sse-exact.ts.
//
// Slots of CPU_STATE.scratch: 0 i32 operation | bytes of a lane of the result << 8 | scalar << 16 | immediate << 24,
// 1 the target operand (v128), 2 the source operand (v128, or an integer as i64). Result in slot 0.

import type { Temp } from "../../../virt/ir/builder.ts";
import { CC_EXPLICIT, ccOp } from "../../../virt/ir/cc.ts";
import { EXT } from "../ext.ts";
import { KIND_E, KIND_IMM } from "../tables/forms.ts";
import { EXACT } from "../sse-exact-operations.ts";
import type { Lift } from "./context.ts";
import type { Format } from "./sse-fp.ts";
import { enterMmx, low64, readVector, writeVector } from "./vector.ts";

export { EXACT };

function word(l: Lift, format: Format, operation: number, extra = 0): Temp {
  const last = l.insn.form.operands.length - 1;
  const imm = l.operand(last).kind === KIND_IMM ? l.insn.imm : extra;
  return l.b.const32(operation | (format.bytes << 8) | (format.scalar ? 1 << 16 : 0) | (imm << 24));
}

/** target = operation(target, source), whole registers; scalar operations keep the upper lanes. */
export function exactVector(l: Lift, format: Format, operation: number): void {
  const integer = l.operand(1).kind === KIND_E;
  const source = integer ? low64(l, l.wide(l.read(1), l.size(1), "signed")) : readVector(l, 1);
  const target = readVector(l, 0);
  const toMmx = l.isMmx(0);
  // The x87 stack is taken even when the conversion then raises an exception.
  if (toMmx || l.isMmx(1)) takeStack(l);
  const [result] = l.b.extState(EXT.sseExact, [word(l, format, operation, toMmx ? 2 : 0), target, source], [
    "v",
  ]);
  writeVector(l, 0, result!);
}

function takeStack(l: Lift): void {
  if (l.isMmx(0) || !l.isMemory(1)) enterMmx(l);
}

/** Scalar float to general register. */
export function exactInteger(l: Lift, format: Format, rounding: "nearest" | "truncate"): void {
  const size = l.size(0);
  const operation = rounding === "nearest" ? EXACT.toRegister : EXACT.toRegisterTruncate;
  const source = readVector(l, 1);
  const [result] = l.b.extState(EXT.sseExact, [word(l, format, operation, size), source, source], ["l"]);
  l.write(0, size === 8 ? result! : l.narrow(result!));
}

export function exactFlags(l: Lift, format: Format, kind: "ordered" | "unordered"): void {
  const operation = kind === "ordered" ? EXACT.compareOrdered : EXACT.compareUnordered;
  const source = readVector(l, 1);
  const target = readVector(l, 0);
  const [flags] = l.b.extState(EXT.sseExact, [word(l, format, operation), target, source], ["i"]);
  l.b.setCc(ccOp(CC_EXPLICIT, 8), flags!);
}
