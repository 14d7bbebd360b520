// SPDX-License-Identifier: Apache-2.0
// What a region's call does when the callee comes back with another address than that of the return: it is not translated, or has left for code
// that is not. The region waits, and the callee goes on here, by the dispatcher's means, until it has returned.
//
// Invariant: what the dispatcher has to see (a status, a miss, a budget that is over) is given back as it is, so that all regions that wait are
// left. All state is in memory, so nothing is lost by that.

import { JUMP_CACHE } from "../layout.ts";
import { STACK_POINTER } from "../translate/frame.ts";
import { Assembler } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { countUp, emitIsHigh } from "./inline.ts";
import { pushProbe } from "./jump-cache.ts";
import { COUNT_DISPATCHES, stateAddress, STATUS_BASE } from "./status.ts";

/**
 * (guest address, stack pointer, depth, budget) -> as a region returns. Ends where the stack pointer is above that which is given: the call that
 * pushed to there is over, or was left by a jump out of it.
 */
export function emitGoOn(regionType: number, interpret: number, promote: number): Assembler {
  const f = new Assembler([I64, I64, I32, I32], [I64, I32]);
  const [pc, stackPointer, depth, budget] = [0, 1, 2, 3];
  const entry = f.local(I32);
  const status = f.local(I32);
  const pushStackPointer = (): void => {
    f.i32(stateAddress("gpr"));
    f.memory(W.i64_load, STACK_POINTER * 8);
  };
  const over = f.block();
  const again = f.loop();
  f.get(pc);
  emitIsHigh(f);
  f.brIf(over);
  f.get(depth);
  f.op(W.i32_eqz);
  f.brIf(over);
  f.get(budget);
  f.i32(0);
  f.op(W.i32_le_s);
  f.brIf(over);
  pushStackPointer();
  f.get(stackPointer);
  f.op(W.i64_gt_u);
  f.brIf(over);
  pushProbe(f, pc, entry, promote);
  f.brIf(over);
  countUp(f, COUNT_DISPATCHES);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 8);
  f.op(W.i32_eqz);
  f.if_();
  f.i32(stateAddress("pc"));
  f.get(pc);
  f.memory(W.i64_store, 0);
  f.i32(stateAddress("budget"));
  f.get(budget);
  f.op(W.i64_extend_i32_s);
  f.memory(W.i64_store, 0);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 12);
  f.call(interpret);
  f.set(status);
  f.i32(stateAddress("budget"));
  f.memory(W.i32_load, 0);
  f.set(budget);
  f.i32(stateAddress("pc"));
  f.memory(W.i64_load, 0);
  f.set(pc);
  f.get(status);
  f.op(W.i32_eqz);
  f.brIf(again);
  f.get(status);
  f.op(W.i64_extend_i32_u);
  f.i64(STATUS_BASE);
  f.op(W.i64_add);
  f.get(budget);
  f.return_();
  f.end();
  f.get(pc);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 12);
  f.get(depth);
  f.i32(1);
  f.op(W.i32_sub);
  f.get(budget);
  pushStackPointer();
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 8);
  f.callIndirect(regionType);
  f.set(budget);
  f.set(pc);
  f.br(again);
  f.end();
  f.end();
  f.get(pc);
  f.get(budget);
  return f;
}
