// SPDX-License-Identifier: Apache-2.0
// Short sequences that both back ends and the dispatcher emit in line.

import { JUMP_CACHE_ENTRIES, TLB_ENTRIES } from "../layout.ts";
import type { Assembler } from "../wasm/assembler.ts";
import { W } from "../wasm/opcodes.ts";
import { stateAddress } from "./status.ts";

/** Of the tag's upper word, whose low half is empty, for the index into the jump cache. */
export const TAG_INDEX_SHIFT = 12;

/** Leaves 1 when [va, va + bytes) hits; entry = offset of the entry. `pushBytes` replaces a constant width. */
export function pushTlbHit(
  f: Assembler,
  tlb: number,
  bytes: number,
  va: number,
  entry: number,
  pushBytes?: () => void,
): void {
  f.get(va);
  f.i64(8);
  f.op(W.i64_shr_u);
  f.op(W.i32_wrap_i64);
  f.i32((TLB_ENTRIES - 1) << 4);
  f.op(W.i32_and);
  f.tee(entry);
  f.memory(W.i64_load, tlb);
  f.get(va);
  if (pushBytes !== undefined) {
    pushBytes();
    f.op(W.i64_add);
    f.i64(1);
    f.op(W.i64_sub);
  } else if (bytes > 1) {
    f.i64(bytes - 1);
    f.op(W.i64_add);
  }
  f.i64(-4096);
  f.op(W.i64_and);
  f.op(W.i64_eq);
}

/** Leaves the offset within JUMP_CACHE of the entry for a pc. The tag takes part, so that the same code in two address
 *  spaces (after fork) has two places. */
export function pushJumpCacheEntry(f: Assembler, pushPc: () => void): void {
  pushPc();
  pushPc();
  f.i64(12);
  f.op(W.i64_shr_u);
  f.op(W.i64_xor);
  f.op(W.i32_wrap_i64);
  f.i32(stateAddress("addressSpaceTag") + 4);
  f.memory(W.i32_load, 0);
  f.i32(TAG_INDEX_SHIFT);
  f.op(W.i32_shr_u);
  f.op(W.i32_xor);
  f.i32(JUMP_CACHE_ENTRIES - 1);
  f.op(W.i32_and);
  f.i32(4);
  f.op(W.i32_shl);
}
