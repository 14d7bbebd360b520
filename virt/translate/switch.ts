// SPDX-License-Identifier: Apache-2.0
// An indirect jump that stays in its region. To few places (cases) it is a branch: its distance from the anchor is compared with theirs one by one, and each
// is a way of the graph. To many it goes by a hash of the distance to an entry. The function's dispatcher has a way for each bucket, where the
// distance is compared with those of the bucket: nothing has to be loaded.

import type { Label } from "../wasm/assembler.ts";
import { W } from "../wasm/opcodes.ts";
import type { RegionFrame } from "./frame.ts";

/** A target of indirect jumps: its offset from the anchor, and the number of its entry. */
interface Place {
  readonly offset: number;
  readonly number: number;
}

export interface SwitchHash {
  readonly factor: number;
  readonly shift: number;
  readonly buckets: readonly (readonly Place[])[];
}

const FACTORS_TRIED = 32;

/** The best of some hash functions: that with the fewest comparisons. `entries`: offsets by number. */
export function hashTargets(entries: readonly number[], targets: readonly number[]): SwitchHash {
  const bits = Math.ceil(Math.log2(targets.length + 1)) + 1;
  const shift = 32 - bits;
  let best: SwitchHash | undefined;
  let fewest = Infinity;
  for (let n = 0; n < FACTORS_TRIED && fewest > targets.length; n++) {
    const factor = Math.imul(0x9e37_79b1, 2 * n + 1);
    const buckets = Array.from<unknown, Place[]>({ length: 1 << bits }, () => []);
    let comparisons = 0;
    for (const offset of targets) {
      const bucket = buckets[Math.imul(offset, factor) >>> shift]!;
      comparisons += bucket.push({ offset, number: entries.indexOf(offset) });
    }
    if (comparisons >= fewest) continue;
    fewest = comparisons;
    best = { factor, shift, buckets };
  }
  if (best === undefined) throw new Error("no hash was tried");
  return best;
}

/** Sets frame.va to the distance of frame.pc from the anchor. It names a place in the region: the mapping of its pages was checked on the way in. */
export function emitDistance(frame: RegionFrame): void {
  const { f } = frame;
  f.get(frame.pc);
  f.get(frame.anchor);
  f.op(W.i64_sub);
  f.set(frame.va);
}

/** Pushes whether frame.va is a distance. */
export function pushIsAt(frame: RegionFrame, offset: number): void {
  const { f } = frame;
  f.get(frame.va);
  f.i64(offset);
  f.op(W.i64_eq);
}

/** Sets frame.va to the distance of frame.pc from the anchor and frame.entry to its bucket, counted from `first`. */
export function emitSwitchHash(frame: RegionFrame, { factor, shift }: SwitchHash, first: number): void {
  const { f } = frame;
  emitDistance(frame);
  f.get(frame.va);
  f.op(W.i32_wrap_i64);
  f.i32(factor);
  f.op(W.i32_mul);
  f.i32(shift);
  f.op(W.i32_shr_u);
  f.i32(first);
  f.op(W.i32_add);
  f.set(frame.entry);
}

/** Where a dispatcher leads: by entry, where none of these is wanted, and where a target is not known. */
interface Ways {
  readonly ways: readonly Label[];
  readonly others: Label;
  readonly miss: Label;
}

/** Branches by frame.entry: to the way of an entry, or of a bucket beyond those. */
export function emitBuckets(frame: RegionFrame, { buckets }: SwitchHash, { ways, others, miss }: Ways): void {
  const { f } = frame;
  const used = buckets.filter(({ length }) => length > 0);
  const labels = buckets.map(({ length }) => (length > 0 ? f.block() : miss));
  f.get(frame.entry);
  f.brTable([...ways, ...labels], others);
  for (const bucket of used.reverse()) {
    f.end();
    for (const place of bucket) emitPlace(frame, place, ways[place.number]!);
    f.br(miss);
  }
}

/** On to an entry, its number in frame.entry, when its distance is the one. */
function emitPlace(frame: RegionFrame, { offset, number }: Place, way: Label): void {
  const { f } = frame;
  pushIsAt(frame, offset);
  f.if_();
  f.i32(number);
  f.set(frame.entry);
  // What it was already, which the engine does not know: what depends on it is not worked out ahead of the loop of dispatches,
  // to be held on the host's stack.
  f.get(frame.pc);
  f.get(frame.va);
  f.op(W.i64_sub);
  f.set(frame.anchor);
  f.br(way);
  f.end();
}
