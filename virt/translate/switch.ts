// SPDX-License-Identifier: Apache-2.0
// An indirect jump that stays in its region: from the guest address to the number of an entry, by the hash in the region's
// data (data.ts).

import { W } from "../wasm/opcodes.ts";
import type { Label } from "../wasm/assembler.ts";
import type { DataLayout } from "./data.ts";
import type { RegionFrame } from "./frame.ts";

/** Branches to `dispatch` with frame.entry set when frame.pc is a target that the region has; else falls through. */
export function emitSwitchLookup(frame: RegionFrame, layout: DataLayout, dispatch: Label): void {
  const { f } = frame;
  const { mapAt, map } = layout;
  // The offset names the entry: the mapping of the region's pages was checked on the way in.
  f.get(frame.pc);
  f.get(frame.anchor);
  f.op(W.i64_sub);
  f.tee(frame.va);
  f.op(W.i32_wrap_i64);
  f.i32(map.factor);
  f.op(W.i32_mul);
  f.i32(map.shift);
  f.op(W.i32_shr_u);
  f.i32(4);
  f.op(W.i32_shl);
  f.get(frame.data);
  f.op(W.i32_add);
  f.set(frame.tlbEntry);
  for (const at of [mapAt, mapAt + 8]) {
    f.get(frame.tlbEntry);
    f.memory(W.i64_load32_s, at);
    f.get(frame.va);
    f.op(W.i64_eq);
    f.if_();
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, at + 4);
    f.set(frame.entry);
    // What it was already, which the engine does not know: what depends on it is not worked out ahead of the loop of dispatches,
    // to be held on the host's stack.
    f.get(frame.pc);
    f.get(frame.va);
    f.op(W.i64_sub);
    f.set(frame.anchor);
    f.br(dispatch);
    f.end();
  }
}
