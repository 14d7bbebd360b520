// SPDX-License-Identifier: Apache-2.0
// Which regions are to be one. A function of the guest that is larger than a region falls into several, cut where blocks happened to become hot first:
// an interpreter's loop by what ran when it was started. Code that goes to and fro between them gives all registers to memory and forgets what it
// knows each time. At the end of a run it is known where its time went.
//
// Invariants: a region is in one merge at most; a merge is near enough to its first region for offsets from there.

import type { Region } from "./live.ts";
import { type BlockSource, FUNCTION_ALIGNMENT, isNear } from "./region.ts";
import { flowTargets, isSwitch, lastInstruction } from "./terminators.ts";
import { noteTargets, switchesAt } from "./wish.ts";

/** Regions that are to be one, the most used first. */
export interface Merge {
  readonly regions: readonly Region[];
  /** By guest address of an indirect jump of theirs: where in them it was seen to go. */
  readonly switches: ReadonlyMap<number, readonly number[]>;
  /** How many blocks they have. */
  readonly blocks: number;
}

/** Samples without which a run says nothing. */
const SAMPLES_LEAST = 200;
/** A region counts from this part of the samples in a program or library on. */
const SHARE_LEAST = 1 / 300;
/** As much of these must lie outside the most used of the regions; of one that is settled more, since it is large most likely and was worth its compilation. */
const OUTSIDE_LEAST = 1 / 100;
const OUTSIDE_SETTLED_LEAST = 1 / 20;
/** Some 300 are the most that was measured, and no slower than 150 are; to compile takes longer the more they are. */
const BLOCKS_MAX = 400;

/** `regions`: of a program or library. `anchorOf`: where the anchor of one is in the code of `source`. */
export function findMerges(
  source: BlockSource,
  regions: readonly Region[],
  anchorOf: (region: Region) => number,
): Merge[] {
  const total = regions.reduce((sum, { samples }) => sum + samples, 0);
  if (total < SAMPLES_LEAST) return [];
  const used = regions.filter(({ isClaimed, samples }) => !isClaimed && samples >= total * SHARE_LEAST);
  // What is settled was looked at before, and to look takes time in each run.
  if (used.every(({ module }) => module.isSettled)) return [];
  const switches = new Map<number, Set<number>>();
  const functions = joinedByFlow(source, used, anchorOf, switches);
  return functions.flatMap((parts) => {
    const [first, ...others] = parts.sort((a, b) => b.samples - a.samples);
    const outside = others.reduce((sum, { samples }) => sum + samples, 0);
    const least = first!.module.isSettled ? OUTSIDE_SETTLED_LEAST : OUTSIDE_LEAST;
    return outside < total * least ? [] : mergeOf(parts, anchorOf, switches);
  });
}

/** As many of the parts of a function as are not too large together; nothing when that is one. */
function mergeOf(
  parts: readonly Region[],
  anchorOf: (region: Region) => number,
  switches: ReadonlyMap<number, ReadonlySet<number>>,
): Merge[] {
  const headPc = anchorOf(parts[0]!);
  const blocks = new Set<number>();
  const regions = parts.filter((region) => {
    const pcs = blocksOf(region, anchorOf);
    if (blocks.size + pcs.length > BLOCKS_MAX || !pcs.every((pc) => isNear(pc, headPc))) return false;
    for (const pc of pcs) blocks.add(pc);
    return true;
  });
  if (regions.length < 2) return [];
  const within = [...switches].map(([pc, targets]) =>
    [pc, [...targets].filter((to) => blocks.has(to))] as const
  );
  return [{ regions, switches: new Map(within), blocks: blocks.size }];
}

/** Regions by function: those are of one that lead into each other but by the other's start, where tail calls go. Takes what is known of indirect jumps into `switches`. */
function joinedByFlow(
  source: BlockSource,
  regions: readonly Region[],
  anchorOf: (region: Region) => number,
  switches: Map<number, Set<number>>,
): Region[][] {
  const owners = new Map<number, Region>();
  for (const region of regions) {
    for (const pc of blocksOf(region, anchorOf)) owners.set(pc, region);
    for (const [pc, targets] of switchesAt(region, anchorOf(region))) noteTargets(switches, pc, targets);
  }
  const functions = new Map(regions.map((region) => [region, [region]]));
  for (const [pc, region] of owners) {
    const taken = source.take(pc);
    if (taken === undefined) continue;
    const { ir, targets } = taken;
    const jumps = isSwitch(ir) ? noteTargets(switches, lastInstruction(ir), targets) : [];
    for (const to of [...flowTargets(ir), ...jumps]) {
      const other = owners.get(to);
      if (other !== undefined && !isStart(to, anchorOf(other))) join(functions, region, other);
    }
  }
  return [...new Set(functions.values())];
}

function join(functions: Map<Region, Region[]>, region: Region, other: Region): void {
  const [into, from] = [functions.get(region)!, functions.get(other)!];
  if (into === from) return;
  into.push(...from);
  for (const moved of from) functions.set(moved, into);
}

/** Whether a jump to `pc` may be a tail call of the function whose region has its anchor there. */
function isStart(pc: number, anchorPc: number): boolean {
  return pc === anchorPc && pc % FUNCTION_ALIGNMENT === 0;
}

function blocksOf(region: Region, anchorOf: (region: Region) => number): number[] {
  const anchorPc = anchorOf(region);
  return [...region.offsets].map((offset) => anchorPc + offset);
}
