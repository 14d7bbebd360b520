// SPDX-License-Identifier: Apache-2.0
// The jump cache, from guest addresses to code, as WebAssembly functions of the runtime module; and the near cache before it, of regions
// alone and so small that it stays in the host's first cache. Keys of both: pc xor the tag of the address space.
// Invariant: what leaves the jump cache leaves the near cache (virt/cache.ts).

import { JUMP_CACHE, NEAR_CACHE } from "../layout.ts";
import { LINK_DIRECT_AT, LINK_ENTRY_AT, LINK_FORESEEN_AT, LINK_PC_AT } from "../translate/data.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import { emitIsHigh, OTHER_PLACES, pushJumpCacheEntry, pushKey } from "./inline.ts";
import { LINK_KEY } from "./status.ts";

/** entry = first place in the jump cache for pc; leaves 1 when pc is not there, nor in another and moved from it. */
export function pushProbe(f: Assembler, pc: number, entry: number, promote: number): void {
  pushJumpCacheEntry(f, () => f.get(pc));
  f.tee(entry);
  f.memory(W.i64_load, JUMP_CACHE);
  pushKey(f, pc);
  f.op(W.i64_ne);
  f.if_(I32);
  f.get(pc);
  f.get(entry);
  f.call(promote);
  f.op(W.i32_eqz);
  f.else_();
  f.i32(0);
  f.end();
}

/** (pc, its first place) -> 1 when pc was in another of its places: the two entries have changed places then. */
export function emitPromote(): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [pc, first] = [0, 1];
  const other = f.local(I32);
  const held = f.local(V128);
  for (const distance of OTHER_PLACES) {
    f.get(first);
    f.i32(distance);
    f.op(W.i32_xor);
    f.tee(other);
    f.memory(W.i64_load, JUMP_CACHE);
    pushKey(f, pc);
    f.op(W.i64_eq);
    f.if_();
    f.get(first);
    f.memory(W.v128_load, JUMP_CACHE);
    f.set(held);
    f.get(first);
    f.get(other);
    f.memory(W.v128_load, JUMP_CACHE);
    f.memory(W.v128_store, JUMP_CACHE);
    f.get(other);
    f.get(held);
    f.memory(W.v128_store, JUMP_CACHE);
    f.i32(1);
    f.return_();
    f.end();
  }
  f.i32(0);
  return f;
}

/** Makes a link (virt/translate/data.ts) lead to the region that the jump cache knows for a guest address. */
export function emitLink(promote: number): Assembler {
  return emitLinking(promote, (f, _pc, link) => {
    f.get(link);
    f.i32(LINK_KEY);
    f.memory(W.i64_load, 0);
    f.i64(-1);
    f.get(link);
    f.memory(W.i32_load, LINK_ENTRY_AT);
    f.get(link);
    f.memory(W.i32_load, LINK_FORESEEN_AT);
    f.op(W.i32_eq);
    f.op(W.select);
    f.memory(W.i64_store, LINK_DIRECT_AT);
  });
}

/** The same for the link of a steady jump (virt/translate/stubs.ts), which is for that address alone. */
export function emitLinkPlace(promote: number): Assembler {
  return emitLinking(promote, (f, pc, link) => {
    f.get(link);
    f.get(pc);
    f.memory(W.i64_store, LINK_PC_AT);
  });
}

/** `finish`: what the link says besides where it leads. */
function emitLinking(promote: number, finish: (f: Assembler, pc: number, link: number) => void): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [pc, link] = [0, 1];
  const entry = f.local(I32);
  const unknown = f.block();
  emitFind(f, pc, entry, promote, unknown);
  f.get(link);
  f.get(entry);
  f.memory(W.i64_load, JUMP_CACHE + 8);
  f.memory(W.i64_store, 8);
  f.get(link);
  f.i32(LINK_KEY);
  f.memory(W.i64_load, 0);
  f.memory(W.i64_store, 0);
  finish(f, pc, link);
  f.i32(1);
  f.return_();
  f.end();
  f.i32(0);
  return f;
}

/** (pc, its place in the near cache) -> 1 when the jump cache knows a region for it: it is in the near cache now. */
export function emitNear(promote: number): Assembler {
  const f = new Assembler([I64, I32], [I32]);
  const [pc, place] = [0, 1];
  const entry = f.local(I32);
  const unknown = f.block();
  emitFind(f, pc, entry, promote, unknown);
  f.get(place);
  f.get(entry);
  f.memory(W.v128_load, JUMP_CACHE);
  f.memory(W.v128_store, NEAR_CACHE);
  f.i32(1);
  f.return_();
  f.end();
  f.i32(0);
  return f;
}

/** entry = the place in the jump cache of a region for pc; branches to `unknown` when there is none. */
function emitFind(f: Assembler, pc: number, entry: number, promote: number, unknown: Label): void {
  f.get(pc);
  emitIsHigh(f);
  f.brIf(unknown);
  pushProbe(f, pc, entry, promote);
  f.brIf(unknown);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 8);
  f.op(W.i32_eqz);
  f.brIf(unknown);
}
