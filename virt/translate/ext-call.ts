// SPDX-License-Identifier: Apache-2.0
// Calls of a front end's functions from a region: of TypeScript, with all registers in memory around it, or first of the quick function in WebAssembly
// that mostly does it.

import { UNLIKELY } from "../wasm/assembler.ts";
import { VOID, W } from "../wasm/opcodes.ts";
import type { BlockEmitter } from "./block.ts";

export function emitExtCall(block: BlockEmitter, id: number): void {
  const { frame } = block;
  const f = frame.f;
  emitCall(block, id);
  frame.load(frame.touched);
  frame.setCc(frame.hasCc);
  frame.setDirty(0);
  frame.loadBudget();
  f.get(frame.status);
  f.brIf(block.labels.exit, UNLIKELY);
  pay(block, W.i32_add);
}

/** For a function that leaves the registers alone: they are put away only where TypeScript is asked, and stay in their locals. */
export function emitStateCall(block: BlockEmitter, id: number): void {
  const { frame } = block;
  const f = frame.f;
  f.call(block.runtime.quick.get(id)!);
  f.op(W.i32_eqz);
  f.if_(VOID, UNLIKELY);
  emitCall(block, id);
  frame.loadBudget();
  f.get(frame.status);
  f.if_(VOID, UNLIKELY);
  frame.setDirty(0);
  frame.setCc(false);
  f.br(block.labels.exit);
  f.end();
  pay(block, W.i32_add);
  f.end();
}

/** TypeScript sees the registers, the pc and the count of before this instruction. */
function emitCall(block: BlockEmitter, id: number): void {
  const { frame } = block;
  const f = frame.f;
  frame.setPc(block.offset + block.insnOffset);
  pay(block, W.i32_sub);
  frame.store(block.dirty);
  frame.storeCc(frame.use.setsCc ? "maybe" : "no");
  frame.storePc();
  frame.storeBudget();
  f.i32(id);
  f.call(block.runtime.ext);
  f.set(frame.status);
}

function pay({ frame, unpaid }: BlockEmitter, op: number): void {
  const { f, budget } = frame;
  f.get(budget);
  f.i32(unpaid);
  f.op(op);
  f.set(budget);
}
