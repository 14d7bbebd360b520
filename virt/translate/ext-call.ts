// SPDX-License-Identifier: Apache-2.0
// A call to TypeScript from a region: all registers are in memory around it.

import { UNLIKELY } from "../wasm/assembler.ts";
import { W } from "../wasm/opcodes.ts";
import type { BlockEmitter } from "./block.ts";

export function emitExtCall(block: BlockEmitter, id: number): void {
  const { frame } = block;
  const f = frame.f;
  const pay = (op: number): void => {
    f.get(frame.budget);
    f.i32(block.unpaid);
    f.op(op);
    f.set(frame.budget);
  };
  // TypeScript sees the pc and the count of before this instruction.
  frame.setPc(block.offset + block.insnOffset);
  pay(W.i32_sub);
  frame.store(block.dirty);
  frame.storeCc(frame.use.setsCc ? "maybe" : "no");
  frame.storePc();
  frame.storeBudget();
  f.i32(id);
  f.call(block.runtime.ext);
  f.set(frame.status);
  frame.load(frame.touched);
  frame.setCc(frame.hasCc);
  frame.setDirty(0);
  frame.loadBudget();
  f.get(frame.status);
  f.brIf(block.labels.exit, UNLIKELY);
  pay(W.i32_add);
}
