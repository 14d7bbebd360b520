// SPDX-License-Identifier: Apache-2.0
// Where code that was interpreted was come to from elsewhere: what is to be an entry when a region is made for it.

/** A graph of blocks, numbered from 1, and what is known of each. */
export interface RunBlocks {
  readonly successors: readonly (readonly number[])[];
  /** How often bytecode at a block was entered. */
  readonly heat: (node: number) => number;
  /** Whether it is gone on at after a call, or by an indirect jump. */
  readonly isLandedAt: (node: number) => boolean;
}

/** A block led to another when it ran at least this part as often. */
const LED_SHARE = 4;

/**
 * Of the blocks that ran `least` times and more: those that are landed at, those that no other of them led to, and of a loop with neither
 * one block.
 */
export function findArrivals({ successors, heat, isLandedAt }: RunBlocks, least: number): number[] {
  const nodes = [...successors.keys()].filter((node) => node > 0 && heat(node) >= least);
  const isHot = new Set(nodes);
  const isLed = new Set<number>();
  for (const node of nodes) {
    for (const to of successors[node]!) {
      if (to !== node && isHot.has(to) && heat(node) * LED_SHARE >= heat(to)) isLed.add(to);
    }
  }
  const found: number[] = [];
  const reached = new Set<number>();
  const arriveAt = (start: number): void => {
    found.push(start);
    const waiting = [start];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (reached.has(node) || !isHot.has(node)) continue;
      reached.add(node);
      waiting.push(...successors[node]!);
    }
  };
  for (const node of nodes) if (!isLed.has(node) || isLandedAt(node)) arriveAt(node);
  for (const node of nodes) if (!reached.has(node)) arriveAt(node);
  return found;
}
