// SPDX-License-Identifier: Apache-2.0
// What a region is asked to be before it is planned (region.ts).

import type { Region } from "./live.ts";
import type { Merge } from "./merge.ts";

/** What a region is made from: where it begins, what it must have, what must be an entry. */
export interface RegionWish {
  readonly headPc: number;
  readonly members: readonly number[];
  readonly entries: readonly number[];
  /** By guest address of an indirect jump: where it is known to go. */
  readonly switches: ReadonlyMap<number, readonly number[]>;
  /** By guest address of a block: where its indirect call went. */
  readonly callTargets: ReadonlyMap<number, number>;
  /** Guest addresses of instructions that are not to share checks of memory. */
  readonly apart: readonly number[];
  /** The regions that it is to take the place of. */
  readonly replaces: readonly Region[];
}

const NO_TARGETS: ReadonlyMap<number, number> = new Map();
const NO_SWITCHES: RegionWish["switches"] = new Map();

/** A region that begins at a block. */
export function aloneAt(pc: number): RegionWish {
  return {
    headPc: pc,
    members: [],
    entries: [],
    switches: NO_SWITCHES,
    callTargets: NO_TARGETS,
    apart: [],
    replaces: [],
  };
}

/** A region made anew, with more blocks. */
export function wishOf(
  region: Region,
  anchorPc: number,
  more: readonly number[],
  callTargets: ReadonlyMap<number, number> = calleesAt(region, anchorPc),
): RegionWish {
  return {
    callTargets,
    headPc: anchorPc,
    members: [...[...region.offsets].map((offset) => anchorPc + offset), ...more],
    entries: region.facts.entries.map((offset) => anchorPc + offset),
    switches: switchesAt(region, anchorPc),
    apart: region.facts.apart.map((offset) => anchorPc + offset),
    replaces: [region],
  };
}

/** One region in the place of several. */
export function mergedWish(
  { regions, switches }: Merge,
  anchorOf: (region: Region) => number,
  callTargets: ReadonlyMap<number, number>,
): RegionWish {
  const wishes = regions.map((region) => wishOf(region, anchorOf(region), []));
  return {
    headPc: wishes[0]!.headPc,
    members: wishes.flatMap(({ members }) => members),
    entries: wishes.flatMap(({ entries }) => entries),
    switches,
    callTargets,
    apart: wishes.flatMap(({ apart }) => apart),
    replaces: regions,
  };
}

/** Notes where the indirect jump at a guest address was seen to go. What is known of it then. */
export function noteTargets(
  switches: Map<number, Set<number>>,
  pc: number,
  targets: readonly number[],
): ReadonlySet<number> {
  const known = switches.get(pc) ?? new Set();
  switches.set(pc, known);
  for (const target of targets) known.add(target);
  return known;
}

/** By guest address of a block of a region whose anchor is at `anchorPc`: where its indirect call went when the region was made. */
export function calleesAt({ facts }: Region, anchorPc: number): Map<number, number> {
  return new Map(facts.callees.map(([offset, target]) => [anchorPc + offset, anchorPc + target]));
}

/** By guest address of an indirect jump of a region whose anchor is at `anchorPc`: where it goes in the region. */
export function switchesAt({ facts }: Region, anchorPc: number): Map<number, number[]> {
  return new Map(
    facts.switches.map(([offset, to]) => [anchorPc + offset, to.map((target) => anchorPc + target)]),
  );
}
