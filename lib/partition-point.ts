// SPDX-License-Identifier: Apache-2.0
// Binary search. Lists that are searched at each page fault or block do it for themselves: a call for each look costs there.

/** The index of the first item that `isBefore` does not hold for. Precondition: it holds for all before that and for none after. */
export function partitionPoint<T>(items: readonly T[], isBefore: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(items[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
