// SPDX-License-Identifier: Apache-2.0
// From what regions are asked to be to plans of them, which claim the regions whose place they take.

import type { Plan } from "./draft.ts";
import { findCallTargets, type Region } from "./live.ts";
import type { Merge } from "./merge.ts";
import { type BlockSource, planRegion, type RegionLimits } from "./region.ts";
import { aloneAt, mergedWish, type RegionWish, wishOf } from "./wish.ts";

/** What is to be one module. */
export interface Gathering {
  readonly regions: readonly Region[];
  /** Those of them, and of others, that are to be one each. */
  readonly merges: readonly Merge[];
  /** Where the anchor of one of them is in the code that they are planned from. */
  readonly anchorOf: (region: Region) => number;
  /** Addresses there of blocks that are to be in regions too, in order. */
  readonly warm: readonly number[];
  /** How often what is warm was entered at least. */
  readonly warmEntries: number;
}

/** `number`: of the region in its module. Undefined when there is nothing to be made. */
export function planOf(
  source: BlockSource,
  wish: RegionWish,
  number: number,
  { hasGroups, takesTables }: Pick<Plan, "hasGroups" | "takesTables">,
  limits: RegionLimits,
): Plan | undefined {
  const plan = planRegion(source, wish, limits);
  if (plan === undefined) return undefined;
  for (const region of plan.absorbed) region.isClaimed = true;
  const { absorbed } = plan;
  return {
    name: `region${number}`,
    plan,
    hasGroups: hasGroups && absorbed.every((region) => region.hasGroups),
    takesTables: takesTables && absorbed.every((region) => region.tables !== "never"),
    generation: Math.max(-1, ...absorbed.map((region) => region.generation)) + 1,
  };
}

/**
 * Plans of the regions of a module by name: one after the other in the order given, so that they lie in that order in the engine's memory. Behind them come those
 * that warm blocks begin.
 */
export function planGathering(
  source: BlockSource,
  { regions, merges, anchorOf, warm, warmEntries }: Gathering,
  limits: RegionLimits,
  view: DataView,
): Map<string, Plan> {
  const plans = new Map<string, Plan>();
  const merged = merges.flatMap((merge) => merge.regions);
  const callTargets = findCallTargets([...new Set([...merged, ...regions])], view, anchorOf);
  /** Neither more nor less than the regions had. */
  const add = (wish: RegionWish, blocksMax: number, generation?: number): void => {
    const asTheyAre = { ...limits, blocksMax, instructionsMax: Infinity, inlines: true };
    const plan = planOf(source, wish, plans.size, { hasGroups: true, takesTables: true }, asTheyAre);
    if (plan !== undefined) plans.set(plan.name, { ...plan, generation: generation ?? plan.generation });
  };
  for (const merge of merges) add(mergedWish(merge, anchorOf, callTargets), merge.blocks);
  for (const region of regions) {
    if (region.isClaimed) continue;
    add(wishOf(region, anchorOf(region), [], callTargets), region.offsets.size, region.generation);
  }
  const planned = new Set<number>();
  for (const pc of warm) {
    if (planned.has(pc)) continue;
    const wish = { ...aloneAt(pc), callTargets };
    const asArrived = { ...limits, arrivalHeat: warmEntries };
    const plan = planOf(source, wish, plans.size, { hasGroups: true, takesTables: true }, asArrived);
    if (plan === undefined) continue;
    plans.set(plan.name, plan);
    for (const ir of plan.plan.irs) planned.add(ir.basePc);
  }
  return plans;
}
